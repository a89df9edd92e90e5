"""The records of one kind as a re-linkage takes them: read once from a copy of the index, kept as files.

Linkage knows records by their place in the order of source keys, from 1, not by number: numbers tell the order of
loading, and ties must not be broken by that.
"""

from __future__ import annotations

import mmap
import shutil
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.state import RecordEntry, pair_of
from mdm.limits import FEATURES_CACHED_MAX, POSTING_KEY_BYTES
from mdm.linkage.banding import FeaturesOf
from mdm.linkage.codec import decode_features
from mdm.linkage.features import Features
from mdm.linkage.snapshot import write_snapshot
from mdm.resolve.describing import Payloads, match_states
from mdm.store.view import IndexView

Pair = tuple[RecordNumber, RecordNumber]

_COLUMNS_FILE = "columns.npz"
_FEATURES_FILE = "features.bin"
_NAMES_FILE = "registries.json"
_PARQUET_FILE = "records.parquet"
_TELL_RECORDS = 10_000
_PART_RECORDS = 5_000
"""Read before their rows are made: some 5 MB."""
_PART_PAYLOADS = 500
"""Described in one piece, by one of several processes."""

_Read = tuple[RecordNumber, RecordEntry, bytes | None]
"""A record, and its features unless they are to be made."""


class People(msgspec.Struct, frozen=True):
    """What people said about pairs of records."""

    same: frozenset[Pair] = frozenset()
    different: frozenset[Pair] = frozenset()
    chosen: frozenset[Pair] = frozenset()
    """Pairs that a clerk at a counter called the same: evidence, below a judgement."""
    rejected: frozenset[Pair] = frozenset()

    @classmethod
    def of(cls, view: IndexView) -> Self:
        """Read all judgements and clerks' choices. Cost: about 1 µs a record."""
        verdicts: dict[Verdict, set[Pair]] = {verdict: set() for verdict in Verdict}
        for pair, verdict in view.iter_judgements():
            verdicts[verdict].add(pair)
        chosen: set[Pair] = set()
        rejected: set[Pair] = set()
        for number, entry in view.iter_records():
            if entry.chosen is not None:
                chosen.add(pair_of(number, entry.chosen))
            rejected.update(pair_of(number, other) for other in entry.rejected)
        return cls(*map(frozenset, (verdicts[Verdict.SAME], verdicts[Verdict.DIFFERENT], chosen, rejected)))

    def records(self) -> NDArray[np.int64]:
        """Return the records that anything was said of, in no order."""
        said = chain.from_iterable(msgspec.structs.astuple(self))
        return np.fromiter(chain.from_iterable(said), np.int64)

    def labels(self) -> dict[tuple[int, int], int]:
        """Return 1 for pairs that are of one bearer and 0 for two; stewards outrank clerks."""
        return {
            **dict.fromkeys(self.rejected, 0),
            **dict.fromkeys(self.chosen, 1),
            **dict.fromkeys(self.different, 0),
            **dict.fromkeys(self.same, 1),
        }

    def among(self, records: NDArray[np.int64]) -> People:
        """Return what was said of pairs whose ends are both among some records."""
        known = frozenset(records.tolist()) if any(msgspec.structs.astuple(self)) else frozenset()
        said = ((pair for pair in pairs if known.issuperset(pair)) for pairs in msgspec.structs.astuple(self))
        return People(*map(frozenset, said))

    def of_kind(self, snapshot: Snapshot) -> People:
        """Return what was said of the records of a snapshot, by their places."""
        return People(*(frozenset(snapshot.placed(pairs)) for pairs in msgspec.structs.astuple(self)))


class _Columns(NamedTuple):
    """What is known of each record beside its features; arrays of one length, in the order of places."""

    numbers: NDArray[np.int64]
    registries: NDArray[np.int16]
    goldens: NDArray[np.int32]
    """Positions in `golden_ids`; -1 for a pending record."""
    is_described: NDArray[np.bool_]
    """Whether the features were made here, because the index holds none: a pending record."""
    features_end: NDArray[np.int64]
    record_end: NDArray[np.int64]
    """Bytes of the features file at which the record's features end, and its posting keys behind them."""
    golden_ids: NDArray[np.bytes_]


class StoredFeatures(Mapping[RecordNumber, bytes]):
    """Encoded features by place, mapped into memory: pages that are not in use cost nothing."""

    def __init__(self, path: Path, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        """Map a file that says of each place where its features begin and end."""
        self._made_from = path, starts, ends
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if len(ends) else b""
        # Single places are asked for, which a view of memory answers in half of the time that an array takes.
        self._starts, self._ends = starts.data, ends.data

    @classmethod
    def written(cls, path: Path, encoded: Iterable[bytes]) -> StoredFeatures:
        """Write the features of the places from 1 on, and map them."""
        sizes = array("q")
        with path.open("wb") as file:
            for features in encoded:
                sizes.append(file.write(features))
        ends = np.cumsum(np.asarray(sizes, np.int64))
        return cls(path, ends - np.asarray(sizes, np.int64), ends)

    def __reduce__(self) -> tuple[type[StoredFeatures], tuple[Path, NDArray[np.int64], NDArray[np.int64]]]:
        """Travel to another process as the name of the file, with where each record begins and ends: 16 bytes."""
        return StoredFeatures, self._made_from

    def __getitem__(self, place: RecordNumber) -> bytes:
        return self._bytes[self._starts[place - 1] : self._ends[place - 1]]

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[RecordNumber]:
        return map(RecordNumber, range(1, len(self) + 1))


class Records:
    """The features of one kind's records, encoded and decoded as needed."""

    def __init__(self, kind: str, encoded: Mapping[RecordNumber, bytes]) -> None:
        """Take over the encoded features."""
        self.kind = kind
        self.encoded = encoded
        # Not a method: it would hold this object in a cycle, and its memory for as long as nobody looks for cycles.
        self.features: FeaturesOf = lru_cache(FEATURES_CACHED_MAX)(
            lambda number: decode_features(kind, encoded[RecordNumber(number)])
        )

    def __reduce__(self) -> tuple[type[Records], tuple[str, Mapping[RecordNumber, bytes]]]:
        """Travel to another process without what is decoded already."""
        return Records, (self.kind, self.encoded)


class Snapshot:
    """All live records of one kind at one position of the journal.

    About 50 bytes a record in memory; features are read from a mapped file.
    """

    def __init__(self, kind: EntityKind, path: Path) -> None:
        """Open a snapshot that `take` made."""
        self.kind = kind
        self.parquet = path / _PARQUET_FILE
        """What Splink reads; its `number` is the place."""
        with np.load(path / _COLUMNS_FILE) as saved:
            self._columns = _Columns(*(saved[name] for name in _Columns._fields))
        self.registry_names: list[str] = msgspec.json.decode((path / _NAMES_FILE).read_bytes())
        features, columns = path / _FEATURES_FILE, self._columns
        starts = np.concatenate((np.zeros(1, np.int64), columns.record_end[:-1]))
        self.encoded: Mapping[RecordNumber, bytes] = StoredFeatures(features, starts, columns.features_end)
        self._keys = StoredFeatures(features, columns.features_end, columns.record_end)
        self._by_number = np.argsort(self._columns.numbers, kind="stable")

    @classmethod
    def take(cls, view: IndexView, kind: EntityKind, path: Path, tell: Callable[[int], None]) -> None:
        """Write the snapshot of a kind; `path` appears only when it is whole.

        Args:
            view: Of a copy of the index: a long transaction on the live one would hold its old pages.
            kind: Of the records.
            path: A directory that does not exist.
            tell: Called now and then with the records read.
        """
        temporary = path.with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        reading = _Reading(view, kind, tell)
        with (temporary / _FEATURES_FILE).open("wb") as features:
            write_snapshot(temporary / _PARQUET_FILE, kind, reading.rows(features.write))
        np.savez(temporary / _COLUMNS_FILE, **reading.columns()._asdict())
        (temporary / _NAMES_FILE).write_bytes(msgspec.json.encode(list(reading.registry_names)))
        temporary.rename(path)

    def __len__(self) -> int:
        """Return how many records it holds."""
        return len(self._columns.numbers)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Record numbers, in the order of places."""
        return self._columns.numbers

    @property
    def goldens(self) -> NDArray[np.int32]:
        """Each record's golden ID as a number from 0, -1 for a pending record; `golden_id` gives its name."""
        return self._columns.goldens

    @property
    def registries(self) -> NDArray[np.int16]:
        """Each record's registry as a position in `registry_names`."""
        return self._columns.registries

    @property
    def golden_count(self) -> int:
        """How many golden IDs hold these records."""
        return len(self._columns.golden_ids)

    def golden_id(self, golden: int) -> GoldenId:
        """Return the golden ID of a number from `goldens`."""
        return GoldenId(self._columns.golden_ids[golden].decode("ascii"))

    def features(self, place: int) -> Features:
        """Return a record's features. Cost: 3 µs."""
        return decode_features(self.kind, self.encoded[RecordNumber(place)])

    def described(self, place: int) -> tuple[bytes, tuple[bytes, ...]] | None:
        """Return the match state that a pending record gets: features and posting keys; None for any other."""
        if not self._columns.is_described[place - 1]:
            return None
        packed = self._keys[RecordNumber(place)]
        keys = tuple(packed[at : at + POSTING_KEY_BYTES] for at in range(0, len(packed), POSTING_KEY_BYTES))
        return self.encoded[RecordNumber(place)], keys

    def number(self, place: int) -> RecordNumber:
        """Return the record number at a place."""
        return RecordNumber(int(self._columns.numbers[place - 1]))

    def place_of(self, number: RecordNumber) -> RecordNumber | None:
        """Return the place of a record, or None if it is of another kind or deleted."""
        at = int(np.searchsorted(self._columns.numbers, number, sorter=self._by_number))
        if at == len(self) or self._columns.numbers[self._by_number[at]] != number:
            return None
        return RecordNumber(int(self._by_number[at]) + 1)

    def placed(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the pairs whose records are both here, by places."""
        for left, right in pairs:
            one, other = self.place_of(left), self.place_of(right)
            if one is not None and other is not None:
                yield pair_of(one, other)

    def numbered(self, pair: tuple[int, int]) -> Pair:
        """Return a pair of places as record numbers."""
        return pair_of(self.number(pair[0]), self.number(pair[1]))

    def first_population(self) -> int:
        """Return a first guess that depends on the records alone: the size of the largest registry."""
        return int(np.bincount(self._columns.registries).max())


class _Reading:
    """One pass over the records of a kind, in the order of source keys."""

    def __init__(self, view: IndexView, kind: EntityKind, tell: Callable[[int], None]) -> None:
        self._view = view
        self._kind = kind
        self._tell = tell
        self.registry_names: dict[str, int] = {}
        self._golden_ids: dict[GoldenId, int] = {}
        self._numbers, self._ends, self._key_ends = array("q"), array("q"), array("q")
        self._registries, self._goldens, self._is_described = array("h"), array("i"), array("b")

    def rows(self, write: Callable[[bytes], object]) -> Iterator[tuple[int, str, Features, bytes]]:
        """Yield the rows of the Parquet file, writing features and posting keys beside."""
        view, offset = self._view, 0
        waiting: deque[list[_Read]] = deque()
        for states in match_states(self._read(waiting)):
            described = iter(states)
            for number, entry, stored in waiting.popleft():
                is_described = stored is None
                if stored is None:
                    _, encoded, own = next(described)
                    keys = b"".join(own)
                else:
                    encoded, keys = stored, view.packed_posting_keys(number)
                write(encoded)
                self._ends.append(offset := offset + len(encoded))
                if is_described:
                    write(keys)
                    offset += len(keys)
                self._key_ends.append(offset)
                self._numbers.append(number)
                self._registries.append(self.registry_names.setdefault(entry.registry, len(self.registry_names)))
                golden_id = entry.golden_id
                self._goldens.append(
                    -1 if golden_id is None else self._golden_ids.setdefault(golden_id, len(self._golden_ids))
                )
                self._is_described.append(is_described)
                yield len(self._numbers), entry.registry, decode_features(self._kind, encoded), keys
                if len(self._numbers) % _TELL_RECORDS == 0:
                    self._tell(len(self._numbers))

    def _read(self, waiting: deque[list[_Read]]) -> Iterator[Payloads]:
        """Put the records into `waiting`, part by part, and yield the payloads of those that are to be described."""
        view = self._view
        part: list[_Read] = []
        payloads: Payloads = []
        for key, row in view.iter_crosswalk():
            entry = view.record(row.number) if key.kind is self._kind else None
            if entry is None or entry.is_deleted:
                continue
            payload = view.raw(row.number)
            if payload is None:
                continue
            encoded = view.features(row.number) if entry.golden_id is not None else None
            if encoded is None:
                payloads.append((row.number, payload))
            part.append((row.number, entry, encoded))
            if len(part) == _PART_RECORDS or len(payloads) == _PART_PAYLOADS:
                waiting.append(part)
                yield payloads
                part, payloads = [], []
        waiting.append(part)
        yield payloads

    def columns(self) -> _Columns:
        return _Columns(
            np.asarray(self._numbers, np.int64),
            np.asarray(self._registries, np.int16),
            np.asarray(self._goldens, np.int32),
            np.asarray(self._is_described, np.bool_),
            np.asarray(self._ends, np.int64),
            np.asarray(self._key_ends, np.int64),
            np.array([golden_id.encode("ascii") for golden_id in self._golden_ids], np.bytes_),
        )
