"""The statistics epoch: how many citizens or businesses there are, and how common each value is among them.

Frozen from a snapshot and named by its digest in every decision, so that batch and online judge a name alike
while the counts go on growing. Values stand in it as 64-bit hashes: the epoch reveals no one.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib import resources

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.errors import ConfigurationError
from mdm.linkage.comparisons import Level
from mdm.linkage.features import AnyFeatures
from mdm.linkage.specification import STRANGERS_BIRTHDAY_COUNT, specification_of

PRIOR_MAX = 1e-3
"""Below a thousand bearers the prior stands still: a service that has just started must not link on a surname."""

PRIOR_MIN = 1e-8
"""Ten times the country's population."""

UNLISTED_SHARE_MIN = 0.02
"""The best register of residents lacks 2 to 3 % of those who live in the city."""

CACHED_VALUES_MAX = 2048
"""Values of a column whose share a process remembers: the lookup is 5 µs, the memory about 0.3 MB."""


class _Column(msgspec.Struct, frozen=True, array_like=True):
    """How often each value of a column occurs; hashes ascending as little-endian uint64, counts as uint32."""

    name: str
    stated_count: int
    value_hashes: bytes
    value_counts: bytes
    token_hashes: bytes
    token_counts: bytes


class _Document(msgspec.Struct, frozen=True, array_like=True):
    """The serialised form."""

    kind: str
    population: int
    columns: tuple[_Column, ...]
    listed_count: int = 0


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _table(counts: Counter[str], count_min: int) -> tuple[bytes, bytes]:
    kept = sorted((_hash(text), count) for text, count in counts.items() if count >= count_min)
    hashes = np.array([hash_ for hash_, _ in kept], dtype="<u8")
    return hashes.tobytes(), np.array([count for _, count in kept], dtype="<u4").tobytes()


class _CountTable:
    """Counts by the hash of their text, found by bisection."""

    def __init__(self, hashes: bytes, counts: bytes) -> None:
        # Arrays, because bisection in them takes 1 us, and numpy's search for a single number ten.
        self._hashes = array("Q", np.frombuffer(hashes, dtype="<u8").astype(np.ulonglong).tobytes())
        self._counts = array("I", np.frombuffer(counts, dtype="<u4").astype(np.uintc).tobytes())
        if len(self._hashes) != len(self._counts):
            raise ValueError("as many hashes as counts")

    def counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return what `count` returns of each text."""
        wanted = np.array(list(map(_hash, texts)), np.uint64)
        hashes, counts = np.asarray(self._hashes, np.uint64), np.asarray(self._counts, np.int64)
        if not len(hashes):
            return np.zeros(len(wanted), np.int64)
        places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
        return np.where(hashes[places] == wanted, counts[places], 0)

    def count(self, text: str) -> int:
        """Return the count of `text`, 0 if the table lacks it."""
        wanted = _hash(text)
        place = bisect_left(self._hashes, wanted)
        return self._counts[place] if place < len(self._hashes) and self._hashes[place] == wanted else 0


class _Frequencies:
    """The shares of one column's values."""

    def __init__(self, column: _Column) -> None:
        self.stated_count = column.stated_count
        self._values = _CountTable(column.value_hashes, column.value_counts)
        self._tokens = _CountTable(column.token_hashes, column.token_counts)
        self.share = lru_cache(CACHED_VALUES_MAX)(self._share)
        # A city's names are made of some thousand words.
        self._word_share = lru_cache(CACHED_VALUES_MAX)(self._share_of_word)

    @classmethod
    def of(cls, name: str, values: Iterable[str]) -> _Column:
        counts = Counter(values)
        tokens: Counter[str] = Counter()
        for value, count in counts.items():
            words = set(value.split())
            if len(words) > 1:
                for word in words:
                    tokens[word] += count
        return _Column(name, counts.total(), *_table(counts, 2), *_table(tokens, 2))

    def _share(self, value: str) -> float:
        known = self._values.count(value)
        return known / self.stated_count if known else self._product(value)

    def shares(self, values: Sequence[str]) -> NDArray[np.float64]:
        """Return what `share` returns of each value."""
        counts = self._values.counts(values)
        shares = counts / max(self.stated_count, 1)
        for place in np.flatnonzero(counts == 0).tolist():
            shares[place] = self._product(values[place])
        return shares

    def _share_of_word(self, word: str) -> float:
        return max(self._tokens.count(word), 1) / max(self.stated_count, 1)

    def _product(self, value: str) -> float:
        product = 1.0
        for word in dict.fromkeys(value.split()):
            product *= self._word_share(word)
        return max(product, 1.0 / (self.stated_count + 1))


class StatisticsEpoch:
    """Population, prior and value frequencies of one kind of record. Immutable; equal when the digests are equal."""

    def __init__(self, document: _Document) -> None:
        self._document = document
        self.kind = document.kind
        self.population = document.population
        """Live golden records of this kind."""
        self._columns = {column.name: _Frequencies(column) for column in document.columns}
        self._body = msgspec.msgpack.encode(document)
        self.digest = hashlib.blake2b(self._body, digest_size=16).hexdigest()

    def __reduce__(self) -> tuple[type[StatisticsEpoch], tuple[_Document]]:
        """Travel to another process as what it was made of."""
        return StatisticsEpoch, (self._document,)

    @classmethod
    def from_records(cls, kind: str, records: Iterable[AnyFeatures], population: int) -> StatisticsEpoch:
        """Count the values of the columns that have term frequencies; a value borne once is not kept.

        Args:
            kind: What the records describe.
            records: Features of every resolved record.
            population: Live golden records.
        """
        columns = specification_of(kind).term_frequency_levels
        values: dict[str, list[str]] = {column: [] for column in columns}
        is_listed = specification_of(kind).rules.is_listed
        listed_count = 0
        for record in records:
            listed_count += is_listed(record)
            for column in columns:
                value = getattr(record, column)
                if value:
                    values[column].append(value)
        frequencies = tuple(_Frequencies.of(column, values[column]) for column in columns)
        return cls(_Document(kind, population, frequencies, listed_count))

    @classmethod
    def from_bytes(cls, body: bytes) -> StatisticsEpoch:
        """Read an epoch.

        Raises:
            ConfigurationError: The bytes are no epoch.
        """
        try:
            return cls(msgspec.msgpack.decode(zlib.decompress(body), type=_Document))
        except (zlib.error, msgspec.DecodeError, ValueError) as error:
            raise ConfigurationError("epoch", "is not a statistics epoch of this version") from error

    @classmethod
    def default(cls, kind: str) -> StatisticsEpoch:
        """Return the epoch that ships with the default model of this kind; no register of this city is known to it."""
        shipped = cls.from_bytes((resources.files("mdm.linkage") / "models" / f"{kind}.epoch").read_bytes())
        return cls(msgspec.structs.replace(shipped._document, listed_count=0))  # noqa: SLF001

    def to_bytes(self) -> bytes:
        """Return the serialised epoch, about 8 bytes a value."""
        return zlib.compress(self._body, 6)

    def with_population(self, population: int) -> StatisticsEpoch:
        """Return an epoch with the same names and another population."""
        return StatisticsEpoch(msgspec.structs.replace(self._document, population=population))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StatisticsEpoch) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def prior(self) -> float:
        """Probability that two random records describe the same bearer: one record in `population` is the other's."""
        return min(max(1.0 / max(self.population, 1), PRIOR_MIN), PRIOR_MAX)

    @property
    def prior_bits(self) -> float:
        """The prior as Splink adds it: log2 of its odds."""
        return math.log2(self.prior / (1.0 - self.prior))

    @property
    def unlisted_share(self) -> float:
        """Share of the population that no register of residents lists, at least `UNLISTED_SHARE_MIN`."""
        return max(1.0 - self._document.listed_count / max(self.population, 1), UNLISTED_SHARE_MIN)

    def share(self, column: str) -> Callable[[str], float]:
        """Return the function from a value of this column to the share of records that state it, in (0, 1].

        A value never seen is as common as its words are together, and not rarer than one in all records.
        """
        return self._columns[column].share

    def term_frequency(self, level: Level, u: float) -> Callable[[str], float]:
        """Return the function from a value of the level's column to the probability that strangers share it.

        Args:
            level: With a term-frequency column.
            u: Of the level, which stands for all values that not too many share, where the level says so.
        """
        frequencies = self._columns[str(level.term_frequency_column)]
        free_share = level.sharers_free_max / max(frequencies.stated_count, 1)
        if not free_share:
            return frequencies.share
        return lambda value: min(u * max(frequencies.share(value) / free_share, 1.0), 1.0)

    def term_frequencies(self, level: Level, u: float) -> Callable[[Sequence[str]], NDArray[np.float64]]:
        """Return what `term_frequency` returns, for many values at once. 2 to 4 µs a value."""
        frequencies = self._columns[str(level.term_frequency_column)]
        free_share = level.sharers_free_max / max(frequencies.stated_count, 1)
        if not free_share:
            return frequencies.shares
        return lambda values: np.minimum(u * np.maximum(frequencies.shares(values) / free_share, 1.0), 1.0)

    def expected_strangers(self, name: str) -> float:
        """Return how many others bear this full name and one given birth date, on average."""
        return self.population * self._columns["name"].share(name) / STRANGERS_BIRTHDAY_COUNT
