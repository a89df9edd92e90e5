"""From two labelled sheets to precision and recall with their bounds."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import msgspec

from mdm.resolve.audit.agreement import Agreement, Label, agreement, disagreements, settled
from mdm.resolve.audit.design import Stratum, Way
from mdm.resolve.audit.estimates import Count, Total, total
from mdm.resolve.audit.sampling import Item, Key

REGISTRY_ITEMS_MIN = 30
"""Items of a pair of registries below which its bounds would span most of what is possible."""


_LINKED = frozenset(way for way in Way if way.is_linked)


class Share(msgspec.Struct, frozen=True):
    """A share between 0 and 1 with its 95 % bounds. Items without a settled label count against it, then for it."""

    estimate_min: float
    """Every unsettled item counted against."""
    estimate_max: float
    """Every unsettled item counted for; equal to `estimate_min` where all are settled."""
    lower: float
    """Of the worst case."""
    upper: float
    """Of the best case."""


class Counts(msgspec.Struct, frozen=True):
    """What was found in one stratum."""

    stratum: str
    population: int
    items: int
    same: int
    different: int
    unsure: int


class RegistryPair(msgspec.Struct, frozen=True):
    """Precision and recall between two registries; None where too few items speak for it."""

    items: int
    precision: Share | None
    recall: Share | None


class Report(msgspec.Struct, frozen=True):
    """What an audit found."""

    audit: str
    kind: str
    read_seq: int
    model_digest: str
    epoch_digest: str
    item_count: int
    agreement: Agreement
    disagreements: tuple[str, ...]
    """Items for a third opinion."""
    unsettled_count: int
    """Items that no two opinions settle; they widen the shares."""
    precision: Share | None
    """Of the pairs together, those that belong together. None without any."""
    recall: Share | None
    """Of the pairs that belong together, those that are."""
    recall_with_reviews: Share | None
    """The same, if stewards answer every potential match rightly."""
    missed_by_blocking: Total | None
    """Pairs that belong together and that no blocking rule makes. None if no record was searched."""
    strata: tuple[Counts, ...]
    registries: dict[str, RegistryPair]
    searched_record_count: int
    pending_record_count: int
    judged_pair_count: int
    match_weight_bits_min: float
    below_pair_count: int


class _Labelled(msgspec.Struct, frozen=True):
    """The strata with what was settled about their items."""

    strata: tuple[tuple[Stratum, tuple[tuple[Item, Label], ...]], ...]

    def total(self, ways: Container[Way], labels: Container[Label], registries: str | None) -> Total:
        """Return how many pairs bear one of these labels, among those that stand so and lie between two registries."""
        counts = []
        for stratum, items in self.strata:
            if stratum.way in ways and (registries is None or registries in stratum.populations or not stratum.items):
                found = [item for item, label in items if label in labels and registries in {None, item.registries}]
                clump = _clump(found) if stratum.caught_share < 1.0 else 1.0
                counts.append(Count(stratum.population, stratum.items, len(found), stratum.caught_share, clump))
        return total(counts)

    def linked_count(self, registries: str | None) -> int:
        """Return how many pairs stand together."""
        return sum(
            stratum.population if registries is None else stratum.populations.get(registries, 0)
            for stratum, _ in self.strata
            if stratum.way.is_linked
        )

    def item_counts(self, registries: str) -> tuple[int, int]:
        """Return how many items between two registries stand together, and how many apart."""
        ways = [stratum.way for stratum, items in self.strata for item, _ in items if item.registries == registries]
        linked = sum(way.is_linked for way in ways)
        return linked, len(ways) - linked


def evaluate(
    key: Key, first: Mapping[str, Label], second: Mapping[str, Label], adjudicated: Mapping[str, Label]
) -> Report:
    """Return what the labels say.

    Args:
        key: Of the audit.
        first: One reviewer's label of every item.
        second: The other's.
        adjudicated: A third opinion on `disagreements`, or nothing.
    """
    order = [item.id for item in key.items]
    labels = settled(first, second, adjudicated)
    items_of: list[list[tuple[Item, Label]]] = [[] for _ in key.strata]
    for item in key.items:
        items_of[item.stratum].append((item, labels[item.id]))
    labelled = _Labelled(tuple((stratum, tuple(items)) for stratum, items in zip(key.strata, items_of, strict=True)))
    return Report(
        key.audit,
        str(key.kind),
        key.read_seq,
        key.model_digest,
        key.epoch_digest,
        len(order),
        agreement([first[item] for item in order], [second[item] for item in order]),
        tuple(disagreements(first, second)),
        sum(label is Label.UNSURE for label in labels.values()),
        _precision(labelled, None),
        _recall(labelled, frozenset(), None),
        _recall(labelled, frozenset({Way.ASKED}), None),
        _missed_by_blocking(labelled) if key.searched_record_count else None,
        tuple(_counts(stratum, [label for _, label in items]) for stratum, items in labelled.strata),
        _by_registries(labelled),
        key.searched_record_count,
        key.pending_record_count,
        key.judged_pair_count,
        key.match_weight_bits_min,
        key.below_pair_count,
    )


def _precision(labelled: _Labelled, registries: str | None) -> Share | None:
    population = labelled.linked_count(registries)
    if not population:
        return None
    # Errors are counted, not the right ones: they are what is rare.
    wrong_min = labelled.total(_LINKED, {Label.DIFFERENT}, registries)
    wrong_max = labelled.total(_LINKED, {Label.DIFFERENT, Label.UNSURE}, registries)
    return Share(
        *(max(1 - wrong / population, 0.0) for wrong in (wrong_max.estimate, wrong_min.estimate)),
        *(max(1 - wrong / population, 0.0) for wrong in (wrong_max.upper, wrong_min.lower)),
    )


def _recall(labelled: _Labelled, answered: frozenset[Way], registries: str | None) -> Share | None:
    """Return found / (found + missed). Bounds take both at their worst at once, which errs on the safe side.

    Args:
        labelled: What was labelled.
        answered: Ways of standing apart that count as found.
        registries: Between which, or None for all.
    """
    population = labelled.linked_count(registries)
    precision = _precision(labelled, registries) or Share(0.0, 0.0, 0.0, 0.0)
    apart = frozenset(Way) - _LINKED - answered
    sure, possible = {Label.SAME}, {Label.SAME, Label.UNSURE}
    missed_min, missed_max = (labelled.total(apart, labels, registries) for labels in (sure, possible))
    added_min, added_max = (labelled.total(answered, labels, registries) for labels in (sure, possible))
    if not population and not missed_max.upper:
        return None
    return Share(
        _part(population * precision.estimate_min + added_min.estimate, missed_max.estimate),
        _part(population * precision.estimate_max + added_max.estimate, missed_min.estimate),
        _part(population * precision.lower + added_min.lower, missed_max.upper),
        _part(population * precision.upper + added_max.upper, missed_min.lower),
    )


def _part(found: float, missed: float) -> float:
    return found / (found + missed) if found else 0.0


def _missed_by_blocking(labelled: _Labelled) -> Total:
    low = labelled.total({Way.UNBLOCKED}, {Label.SAME}, None)
    high = labelled.total({Way.UNBLOCKED}, {Label.SAME, Label.UNSURE}, None)
    return Total(low.estimate, low.lower, high.upper)


def _counts(stratum: Stratum, labels: Sequence[Label]) -> Counts:
    found = (labels.count(label) for label in (Label.SAME, Label.DIFFERENT, Label.UNSURE))
    return Counts(stratum.title, stratum.population, stratum.items, *found)


def _by_registries(labelled: _Labelled) -> dict[str, RegistryPair]:
    found = {}
    for registries in sorted({name for stratum, _ in labelled.strata for name in stratum.populations}):
        linked, apart = labelled.item_counts(registries)
        found[registries] = RegistryPair(
            linked + apart,
            _precision(labelled, registries) if linked >= REGISTRY_ITEMS_MIN else None,
            _recall(labelled, frozenset(), registries) if min(linked, apart) >= REGISTRY_ITEMS_MIN else None,
        )
    return found


def _clump(items: Sequence[Item]) -> float:
    """Return how many pairs there are for each group of pairs that share records: these were caught together."""
    group_of: dict[int, int] = {}
    groups: dict[int, set[int]] = {}
    for number, item in enumerate(items):
        members = {item.left, item.right}
        for other in {group_of[record] for record in members if record in group_of}:
            members |= groups.pop(other)
        groups[number] = members
        group_of |= dict.fromkeys(members, number)
    return len(items) / len(groups) if groups else 1.0
