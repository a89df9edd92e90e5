"""Every pair of records that an audit may draw, and which stratum it belongs to.

Pairs that stand together are all looked at, however weak their own evidence. Pairs that stand apart are those that
blocking makes, and, for some records drawn at random, those that it fails to make: these records are compared with
every other one of their kind.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.limits import SEARCH_BATCH_RECORDS
from mdm.linkage.codec import decode_features
from mdm.linkage.comparisons import Meaning
from mdm.linkage.evidence import assess
from mdm.linkage.features import Features
from mdm.linkage.model import Thresholds
from mdm.linkage.specification import Specification
from mdm.resolve.audit.design import Stratum, Way
from mdm.resolve.engines import Engine
from mdm.store.view import IndexView

WEIGHT_BITS_MIN = -10.0
"""Pairs apart that the model gives less than one in a thousand are left out: they are most of all pairs, and a sample
that bounds their errors would be as large as a census. In a synthetic city with every error rate tripled, 21 of 17,848
true pairs lay below."""

NUMBER_COMPARISONS = frozenset({"personal_id", "insurance_number", "tax_code"})
"""Comparisons of numbers that are one bearer's own."""

_STRONG_BITS = 8.0
"""Above the link threshold: most links lie higher, and should not be judged by the few that do not."""

_WEAK_BITS = -5.0
"""Halves what lies between the lowest weight and even odds."""

_NUMBER_BITS = 32
"""A pair is one integer of 64 bits; record numbers are dense, and stay below four billion."""

Progress = Callable[[str, int, int | None], None]


class Population(msgspec.Struct, frozen=True):
    """The live, resolved records of one kind, in order of their numbers, and what people have said of pairs."""

    kind: EntityKind
    numbers: NDArray[np.int64]
    goldens: NDArray[np.int64]
    """Equal for records of one golden record."""
    registries: NDArray[np.int64]
    """Places in `registry_names`."""
    registry_names: tuple[str, ...]
    encoded: list[bytes]
    """Features."""
    asked: NDArray[np.int64]
    """Pairs before a steward, as `pair_codes`."""
    judged: NDArray[np.int64]
    """Pairs that a steward has judged: they are no decision of the machine, and are left out."""
    pending_count: int

    @classmethod
    def read(cls, view: IndexView, kind: EntityKind) -> Population:
        """Read it from the index. About 300 bytes a record."""
        numbers, goldens, registries, encoded = [], [], [], []
        places: dict[str, int] = {}
        registry_places: dict[str, int] = {}
        pending_count = 0
        for number, entry in view.iter_records():
            if entry.kind is not kind or entry.is_deleted:
                continue
            features = view.features(number)
            if entry.golden_id is None or features is None:
                pending_count += 1
                continue
            numbers.append(number)
            goldens.append(places.setdefault(entry.golden_id, len(places)))
            registries.append(registry_places.setdefault(entry.registry, len(registry_places)))
            encoded.append(features)
        known = frozenset(numbers)
        return cls(
            kind,
            _integers(numbers),
            _integers(goldens),
            _integers(registries),
            tuple(registry_places),
            encoded,
            _coded((pair for pair, _ in view.iter_potential_matches()), known),
            _coded((pair for pair, _ in view.iter_judgements()), known),
            pending_count,
        )

    def features(self, place: int) -> Features:
        """Return the features of the record at a place."""
        return decode_features(self.kind, self.encoded[place])

    def places(self, numbers: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the places of records of this population."""
        return np.searchsorted(self.numbers, numbers)

    def features_of(self, number: int) -> Features:
        """Return the features of a record of this population."""
        return self.features(int(np.searchsorted(self.numbers, number)))

    def are_together(self, lefts: NDArray[np.int64], rights: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs stand in one golden record."""
        return np.equal(self.goldens[self.places(lefts)], self.goldens[self.places(rights)])


class Pairs(NamedTuple):
    """Pairs of record numbers, the smaller left; all columns of shape (pairs,)."""

    lefts: NDArray[np.int64]
    rights: NDArray[np.int64]
    ways: NDArray[np.int64]
    """Places in `Way`."""
    are_carried_by_number: NDArray[np.bool_]
    bits: NDArray[np.float64]

    def where(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> Pairs:
        """Return some of them."""
        return Pairs(
            self.lefts[mask], self.rights[mask], self.ways[mask], self.are_carried_by_number[mask], self.bits[mask]
        )

    @property
    def codes(self) -> NDArray[np.int64]:
        """Each pair as one number."""
        return pair_codes(self.lefts, self.rights)


def pair_codes(lefts: NDArray[np.int64], rights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each pair."""
    return (lefts << _NUMBER_BITS) | rights


def joined(parts: Iterable[Pairs]) -> Pairs:
    """Return the pairs of all parts."""
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def linked_pairs(population: Population, engine: Engine, progress: Progress) -> Pairs:
    """Return every pair that stands together and was not judged, scored. About 15 µs a pair."""
    order = np.argsort(population.goldens, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(population.goldens[order])) + 1)
    numbers, agreeing = population.numbers, _agreeing(engine.scorer.specification)
    rows = []
    for done, group in enumerate(groups, start=1):
        members = [population.features(int(place)) for place in group] if len(group) > 1 else []
        for place, left in enumerate(members[:-1]):
            rest = members[place + 1 :]
            for other, (right, (levels, bits)) in enumerate(
                zip(rest, engine.scorer.score(left, rest), strict=True), start=place + 1
            ):
                band = assess(population.kind, levels, left, right, bits, engine.model, engine.epoch).band
                way = Way.LINKED_DIRECTLY if band is Band.LINK else Way.LINKED_THROUGH_OTHERS
                carried = _is_carried(levels, agreeing)
                rows.append((numbers[group[place]], numbers[group[other]], way, carried, bits))
        if done % 10_000 == 0 or done == len(groups):
            progress("linked pairs", done, len(groups))
    pairs = _pairs(rows)
    return pairs.where(~np.isin(pairs.codes, population.judged))


def apart_pairs(population: Population, engine: Engine, predicted: Path) -> Pairs:
    """Return every predicted pair that stands apart and was not judged.

    Args:
        population: What was predicted.
        engine: That predicted.
        predicted: Parquet as `predict` writes it.
    """
    agreeing = _agreeing(engine.scorer.specification)
    names = [comparison.name for comparison in engine.scorer.specification.comparisons]
    gammas = {f"gamma_{names[place]}": values for place, values in agreeing}
    parts = [_pairs([])]
    for batch in pq.ParquetFile(predicted).iter_batches(columns=["left", "right", "match_weight", *gammas]):
        lefts, rights, bits = (batch.column(place).to_numpy() for place in range(3))
        carried = np.zeros(len(lefts), dtype=np.bool_)
        for gamma, values in gammas.items():
            carried |= np.isin(batch.column(gamma).to_numpy(), list(values))
        codes = pair_codes(lefts, rights)
        are_asked = np.isin(codes, population.asked)
        ways = np.where(are_asked, _place(Way.ASKED), _place(Way.APART))
        found = Pairs(lefts, rights, ways, carried, bits)
        parts.append(found.where(~population.are_together(lefts, rights) & ~np.isin(codes, population.judged)))
    return joined(parts)


def unblocked_pairs(
    population: Population, engine: Engine, searched: NDArray[np.int64], apart: Pairs, progress: Progress
) -> Pairs:
    """Return the pairs of some records that stand apart, reach `WEIGHT_BITS_MIN` and were made by no blocking rule.

    Args:
        population: Of whom they are.
        engine: In force.
        searched: Numbers of the records that are compared with every other one: 5 to 10 µs a pair.
        apart: What blocking made.
        progress: Told of batches.
    """
    seekers = [(number, population.features_of(number)) for number in searched.tolist()]
    rows = []
    whole = len(population.numbers)
    for start in range(0, whole if seekers else 0, SEARCH_BATCH_RECORDS):
        stop = min(start + SEARCH_BATCH_RECORDS, whole)
        others = population.numbers[start:stop].tolist()
        features = [population.features(place) for place in range(start, stop)]
        for number, left in seekers:
            for other, (_, bits) in zip(others, engine.scorer.score(left, features), strict=True):
                if bits >= WEIGHT_BITS_MIN and other != number:
                    rows.append((min(number, other), max(number, other), Way.UNBLOCKED, False, bits))
        progress("compared with every record", stop, whole)
    pairs = _pairs(rows)
    # A pair of two searched records was met from both ends.
    pairs = pairs.where(np.unique(pairs.codes, return_index=True)[1])
    known = np.isin(pairs.codes, np.concatenate([apart.codes, population.judged]))
    return pairs.where(~known & ~population.are_together(pairs.lefts, pairs.rights))


def caught_share(records: int, searched: int) -> float:
    """Return the chance that a pair has at least one end among the searched records."""
    if searched >= records:
        return 1.0
    rest = records - searched
    return 1.0 - rest * (rest - 1) / (records * (records - 1))


def cut(
    pairs: Pairs, population: Population, thresholds: Thresholds, searched: int
) -> tuple[list[Stratum], NDArray[np.intp]]:
    """Cut pairs into strata by how they stand, what carries them, and weight.

    Returns:
        The strata, without items, in a fixed order, and the place of each pair's stratum among them. The stratum of
        unblocked pairs is there whenever records were searched, for that none was found says much.
    """
    review, link = thresholds.review_bits, thresholds.link_bits
    linked_edges = sorted({0.0, link, link + _STRONG_BITS})
    apart_edges = sorted({_WEAK_BITS, 0.0, review, link})
    ways = list(Way)
    are_linked = np.array([way.is_linked for way in ways])[pairs.ways]
    bands = np.where(
        are_linked,
        np.searchsorted(linked_edges, pairs.bits, "right"),
        np.searchsorted(apart_edges, pairs.bits, "right"),
    )
    bands[pairs.ways == _place(Way.UNBLOCKED)] = 0
    codes = (pairs.ways * 2 + ~pairs.are_carried_by_number) * (len(apart_edges) + 1) + bands
    unblocked = _place(Way.UNBLOCKED) * 2 * (len(apart_edges) + 1) + len(apart_edges) + 1
    kinds = sorted({int(code) for code in np.unique(codes)} | ({unblocked} if searched else set()))
    probability = 1 / (1 + np.exp2(-pairs.bits))
    errors = np.where(are_linked, 1 - probability, probability)
    registries = _registry_pairs(pairs, population)
    strata = []
    for code in kinds:
        mask = codes == code
        rest, band = divmod(code, len(apart_edges) + 1)
        way, carried = ways[rest // 2], rest % 2 == 0
        edges = [None, *linked_edges, None] if way.is_linked else [WEIGHT_BITS_MIN, *apart_edges, None]
        found, counts = np.unique(registries[mask], return_counts=True)
        strata.append(
            Stratum(
                way,
                carried,
                None if way is Way.UNBLOCKED else edges[band],
                None if way is Way.UNBLOCKED else edges[band + 1],
                int(mask.sum()),
                caught_share(len(population.numbers), searched) if way is Way.UNBLOCKED else 1.0,
                float(errors[mask].mean()) if mask.any() else 0.0,
                {
                    registry_pair(population, *divmod(int(each), len(population.registry_names))): int(count)
                    for each, count in zip(found, counts, strict=True)
                },
            )
        )
    return strata, np.searchsorted(kinds, codes)


def registry_pair(population: Population, one: int, other: int) -> str:
    """Return the title of a pair of registries, by their places: in alphabetical order, for it has no direction."""
    return " × ".join(sorted((population.registry_names[one], population.registry_names[other])))


def _registry_pairs(pairs: Pairs, population: Population) -> NDArray[np.int64]:
    one, other = (population.registries[population.places(side)] for side in (pairs.lefts, pairs.rights))
    return np.minimum(one, other) * len(population.registry_names) + np.maximum(one, other)


def _agreeing(specification: Specification) -> list[tuple[int, frozenset[int]]]:
    """Return the place of each comparison of numbers and the level values at which it agrees."""
    return [
        (
            place,
            frozenset(
                value
                for level, value in zip(comparison.levels, comparison.level_values(), strict=True)
                if level.meaning is Meaning.AGREES
            ),
        )
        for place, comparison in enumerate(specification.comparisons)
        if comparison.name in NUMBER_COMPARISONS
    ]


def _is_carried(levels: Sequence[int], agreeing: list[tuple[int, frozenset[int]]]) -> bool:
    return any(levels[place] in values for place, values in agreeing)


def _place(way: Way) -> int:
    return list(Way).index(way)


def _pairs(rows: Sequence[tuple[int, int, Way, bool, float]]) -> Pairs:
    lefts, rights, ways, carried, bits = zip(*rows, strict=True) if rows else ((),) * 5
    return Pairs(
        _integers(lefts),
        _integers(rights),
        _integers([_place(way) for way in ways]),
        np.array(carried, dtype=np.bool_),
        np.array(bits, dtype=np.float64),
    )


def _integers(values: Sequence[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _coded(pairs: Iterator[tuple[int, int]], known: Container[int]) -> NDArray[np.int64]:
    found = [pair for pair in pairs if pair[0] in known]
    return pair_codes(_integers([left for left, _ in found]), _integers([right for _, right in found]))
