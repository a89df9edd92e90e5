"""From two labelled sheets to precision and recall with their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mdm.resolve.audit.agreement import Agreement, Label, agreement, disagreements, settled
from mdm.resolve.audit.design import Way
from mdm.resolve.audit.estimates import Total, add, stratum_total
from mdm.resolve.audit.sampling import Item, Key

REGISTRY_ITEMS_MIN = 30
"""Items of a pair of registries below which its bounds would span most of what is possible."""


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


class _Cell(msgspec.Struct, frozen=True):
    """The part of a stratum that an estimate is about."""

    way: Way
    population: int
    caught_share: float
    items: int
    labels: tuple[tuple[Item, Label], ...]
    fallback: float
    """Share of the same bearer in the whole stratum, for a part of which no item was drawn."""

    def same(self, *, is_unsure_same: bool) -> Total:
        """Return the pairs of one bearer."""
        counted = {Label.SAME, Label.UNSURE} if is_unsure_same else {Label.SAME}
        found = [item for item, label in self.labels if label in counted]
        if self.population and not self.labels:
            scale = self.population / self.caught_share
            return Total(scale * self.fallback, 0.0, scale)
        return stratum_total(
            self.population, len(self.labels), len(found), caught_share=self.caught_share, clump=_clump(found)
        )


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
    cells = _cells(key, labels, None)
    precision, recall, with_reviews = _shares(cells)
    unblocked = [cell for cell in cells if cell.way is Way.UNBLOCKED]
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
        precision,
        recall,
        with_reviews,
        _missed(unblocked) if key.searched_record_count else None,
        tuple(
            Counts(stratum.title, stratum.population, stratum.items, *_tally(key, labels, place))
            for place, stratum in enumerate(key.strata)
        ),
        _by_registries(key, labels),
        key.searched_record_count,
        key.pending_record_count,
        key.judged_pair_count,
        key.match_weight_bits_min,
        key.below_pair_count,
    )


def _cells(key: Key, labels: Mapping[str, Label], registries: str | None) -> list[_Cell]:
    cells = []
    for place, stratum in enumerate(key.strata):
        all_items = [item for item in key.items if item.stratum == place]
        items = [item for item in all_items if registries in {None, item.registries}]
        population = stratum.population if registries is None else stratum.populations.get(registries, 0)
        same = sum(labels[item.id] is Label.SAME for item in all_items)
        cells.append(
            _Cell(
                stratum.way,
                population,
                stratum.caught_share,
                len(items),
                tuple((item, labels[item.id]) for item in items),
                same / len(all_items) if all_items else 0.0,
            )
        )
    return cells


def _shares(cells: Sequence[_Cell]) -> tuple[Share | None, Share | None, Share | None]:
    linked = [cell for cell in cells if cell.way.is_linked]
    apart = [cell for cell in cells if not cell.way.is_linked]
    population = sum(cell.population for cell in linked)
    (right_min, right_max), (missed_min, missed_max) = _range(linked), _range(apart)
    asked_min, asked_max = _range([cell for cell in apart if cell.way is Way.ASKED])
    unasked_min, unasked_max = _range([cell for cell in apart if cell.way is not Way.ASKED])
    precision = None
    if population:
        precision = Share(
            right_min.estimate / population,
            right_max.estimate / population,
            right_min.lower / population,
            min(right_max.upper / population, 1.0),
        )
    return (
        precision,
        _recall(right_min, right_max, missed_min, missed_max),
        _recall(add([right_min, asked_min]), add([right_max, asked_max]), unasked_min, unasked_max),
    )


def _range(cells: Sequence[_Cell]) -> tuple[Total, Total]:
    """Return the pairs of one bearer with every unsettled item counted as different, then as the same."""
    totals = [add(cell.same(is_unsure_same=is_same) for cell in cells) for is_same in (False, True)]
    return totals[0], totals[1]


def _recall(found_min: Total, found_max: Total, missed_min: Total, missed_max: Total) -> Share | None:
    """Return found / (found + missed). Bounds take both at their worst at once, which errs on the safe side."""
    if not found_max.estimate + missed_max.estimate:
        return None
    return Share(
        _part(found_min.estimate, missed_max.estimate),
        _part(found_max.estimate, missed_min.estimate),
        _part(found_min.lower, missed_max.upper),
        _part(found_max.upper, missed_min.lower),
    )


def _part(found: float, missed: float) -> float:
    return found / (found + missed) if found else 0.0


def _missed(cells: Sequence[_Cell]) -> Total:
    low, high = _range(cells)
    return Total(low.estimate, low.lower, high.upper)


def _tally(key: Key, labels: Mapping[str, Label], place: int) -> tuple[int, int, int]:
    given = [labels[item.id] for item in key.items if item.stratum == place]
    return given.count(Label.SAME), given.count(Label.DIFFERENT), given.count(Label.UNSURE)


def _by_registries(key: Key, labels: Mapping[str, Label]) -> dict[str, RegistryPair]:
    found = {}
    for registries in sorted({name for stratum in key.strata for name in stratum.populations}):
        cells = _cells(key, labels, registries)
        precision, recall, _ = _shares(cells)
        linked = sum(cell.items for cell in cells if cell.way.is_linked)
        whole = sum(cell.items for cell in cells)
        found[registries] = RegistryPair(
            whole,
            precision if linked >= REGISTRY_ITEMS_MIN else None,
            recall if linked >= REGISTRY_ITEMS_MIN <= whole - linked else None,
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
