"""What a plan changes, as an operator reads it before the commit: counts, sizes, examples of each kind of change."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber, golden_id
from mdm.domain.rules import regroup
from mdm.limits import RELINK_EXAMPLE_RECORDS_MAX, RELINK_EXAMPLES_MAX, RELINK_LARGEST_SHOWN
from mdm.linkage.scorer import Scorer
from mdm.resolve.relink_linkage import Linked
from mdm.resolve.relink_plan import golden_sizes
from mdm.resolve.relink_runs import (
    Change,
    Component,
    Example,
    ExampleRecord,
    ExampleStep,
    LargeGoldenRecord,
    RegistryImpact,
    Report,
    SizeCount,
)
from mdm.resolve.relink_snapshot import Snapshot
from mdm.store.view import IndexView

SIZES_FROM = (1, 2, 3, 4, 5, 10, 20, 50)
"""Where the bars of the size histogram begin: honest golden records have up to some twenty members."""


class Impact:
    """Reads the components of one kind as they are written into the plan, and adds up what they change."""

    def __init__(self, view: IndexView, snapshot: Snapshot, linked: Linked, scorer: Scorer) -> None:
        """Begin with everything that stays as it is.

        Args:
            view: The state that the plan is made on.
            snapshot: The records of the kind.
            linked: What linkage made of them.
            scorer: Says which levels decided an example.
        """
        self._view = view
        self._snapshot = snapshot
        self._linked = linked
        self._scorer = scorer
        self._new = self._restored = self._moved = 0
        self._merged: set[GoldenId] = set()
        self._split: set[GoldenId] = set()
        self._touched_count = 0
        self._resolved_by: Counter[str] = Counter()
        self._moved_by: Counter[str] = Counter()
        self._chosen: dict[Change, list[tuple[tuple[float, int], Component]]] = {change: [] for change in Change}
        self._large = _largest(snapshot, linked)
        self._golden_of_large: dict[RecordNumber, GoldenId | None] = {}

    def note(self, component: Component) -> None:
        """Take in one component. Cost: about 10 µs a record."""
        groups = self._groups(component)
        survivors = {group.golden_id for group in groups}
        changes: set[Change] = set()
        before_of = {number: self._standing(number) for group in groups for number in group.numbers}
        held = {golden for _, golden in before_of.values() if golden is not None}
        self._touched_count += len(held)
        for group in groups:
            self._new += group.is_minted
            self._restored += not group.is_minted and group.golden_id not in held
            if group.numbers[0] in self._large:
                self._golden_of_large[group.numbers[0]] = None if group.is_minted else group.golden_id
            for number in group.numbers:
                registry, before = before_of[number]
                if before is None:
                    self._resolved_by[registry] += 1
                    changes.add(Change.NEW if group.is_minted else Change.JOINED)
                elif before != group.golden_id:
                    self._moved += 1
                    self._moved_by[registry] += 1
                    (self._split if before in survivors else self._merged).add(before)
                    changes.add(_change(before, group.golden_id, survivors, held))
        for change in changes:
            self._consider(change, component)

    def report(self) -> Report:
        """Return the sum."""
        snapshot, linked = self._snapshot, self._linked
        before, merged, split = snapshot.golden_count, len(self._merged), len(self._split)
        counts = np.bincount(snapshot.registries, minlength=len(snapshot.registry_names)).tolist()
        return Report(
            record_count=len(snapshot),
            pending_record_count=int(np.sum(snapshot.goldens < 0)),
            golden_before_count=before,
            golden_after_count=len(linked.clusters),
            unchanged_count=before - self._touched_count,
            new_count=self._new,
            merged_count=merged,
            split_count=split,
            restored_count=self._restored,
            moved_record_count=self._moved,
            compared_pair_count=linked.prediction.candidate_pairs,
            linked_pair_count=linked.linked_pair_count,
            refused_pair_count=linked.refused_pair_count,
            largest_member_count=max(map(len, linked.clusters), default=0),
            churn_share=len(self._merged | self._split) / before if before else 0.0,
            registries=tuple(
                RegistryImpact(
                    registry, snapshot.kind.value, count, self._resolved_by[registry], self._moved_by[registry]
                )
                for registry, count in sorted(zip(snapshot.registry_names, counts, strict=True))
            ),
            sizes=_sizes(golden_sizes(snapshot).tolist(), map(len, linked.clusters)),
            largest=tuple(self._largest()),
        )

    def examples(self) -> list[Example]:
        """Return a few of each kind of change, those first that the least weight holds together."""
        return [
            self._example(change, component)
            for change, chosen in self._chosen.items()
            for _, component in sorted(chosen, key=lambda each: each[0], reverse=True)
        ]

    def _standing(self, number: RecordNumber) -> tuple[str, GoldenId | None]:
        entry = self._view.record(number)
        if entry is None:
            message = f"record {number} is not in the snapshot"
            raise AssertionError(message)
        return entry.registry, entry.golden_id

    def _groups(self, component: Component) -> Collection[ev.Group]:
        placeholders = itertools.count()
        facts = regroup(
            self._view,
            component.clusters,
            lambda kind: golden_id(kind, next(placeholders)),
            reason=ev.RegroupReason.RELINK,
        )
        return next((fact.groups for fact in facts if isinstance(fact, ev.RecordsRegrouped)), ())

    def _consider(self, change: Change, component: Component) -> None:
        bits = component.match_weight_bits
        # A heap's first entry is its smallest, so the weight is turned round; what no edge holds comes last.
        risk = (float("-inf") if bits is None else -bits, -component.clusters[0][0])
        kept = self._chosen[change]
        if len(kept) < RELINK_EXAMPLES_MAX:
            heapq.heappush(kept, (risk, component))
        elif risk > kept[0][0]:
            heapq.heapreplace(kept, (risk, component))

    def _largest(self) -> Iterable[LargeGoldenRecord]:
        for first, places in self._large.items():
            registries = Counter(
                self._snapshot.registry_names[self._snapshot.registries[place - 1]] for place in places
            )
            if first in self._golden_of_large:
                golden = self._golden_of_large[first]
            else:
                golden = self._snapshot.golden_id(int(self._snapshot.goldens[places[0] - 1]))
            yield LargeGoldenRecord(golden, len(places), dict(sorted(registries.items())))

    def _example(self, change: Change, component: Component) -> Example:
        after_of = {number: group for group in self._groups(component) for number in group.numbers}
        left, right = self._deciding(change, component, after_of)
        numbers = sorted(after_of, key=lambda number: (number not in {left, right}, number))
        records = tuple(
            ExampleRecord(
                number,
                self._standing(number)[1],
                None if after_of[number].is_minted else after_of[number].golden_id,
                number in {left, right},
            )
            for number in numbers[:RELINK_EXAMPLE_RECORDS_MAX]
        )
        return Example(self._snapshot.kind, change, records, len(numbers), *self._steps(left, right))

    def _deciding(
        self, change: Change, component: Component, after_of: dict[RecordNumber, ev.Group]
    ) -> tuple[RecordNumber | None, RecordNumber | None]:
        """Return the pair to explain: for a split one that is parted, else the edge that held with least weight."""
        if change not in {Change.SPLIT, Change.MOVED}:
            return component.left, component.right
        stays: dict[GoldenId, RecordNumber] = {}
        for number, group in sorted(after_of.items()):
            if self._standing(number)[1] == group.golden_id:
                stays.setdefault(group.golden_id, number)
        for number, group in sorted(after_of.items()):
            before = self._standing(number)[1]
            if before is not None and before != group.golden_id and before in stays:
                return stays[before], number
        return component.left, component.right

    def _steps(
        self, left: RecordNumber | None, right: RecordNumber | None
    ) -> tuple[float | None, tuple[ExampleStep, ...]]:
        places = [self._snapshot.place_of(number) for number in (left, right) if number is not None]
        found = [self._snapshot.features(place) for place in places if place is not None]
        if len(found) < 2:  # noqa: PLR2004  (a pair takes two)
            return None, ()
        steps = self._scorer.waterfall(found[0], found[1])
        bits = self._scorer.score(found[0], (found[1],))[0].match_weight_bits
        return bits, tuple(
            ExampleStep(step.comparison, step.level, step.bits + step.term_frequency_bits) for step in steps
        )


def total(reports: Collection[Report]) -> Report:
    """Return the impact on all kinds together."""
    whole = Report()
    for report in reports:
        changes: dict[str, object] = {}
        for field in msgspec.structs.fields(Report):
            mine, other = getattr(whole, field.name), getattr(report, field.name)
            if isinstance(mine, dict):
                changes[field.name] = mine | other
            elif not isinstance(mine, str | bool):  # a digest stands for one kind alone
                changes[field.name] = mine + other
        whole = msgspec.structs.replace(whole, **changes)
    disturbed = sum(report.churn_share * report.golden_before_count for report in reports)
    share = disturbed / whole.golden_before_count if whole.golden_before_count else 0.0
    largest = max((report.largest_member_count for report in reports), default=0)
    return msgspec.structs.replace(whole, churn_share=share, largest_member_count=largest, sizes=(), largest=())


def _change(before: GoldenId, after: GoldenId, survivors: Collection[GoldenId], held: Collection[GoldenId]) -> Change:
    if before not in survivors:
        return Change.MERGED
    return Change.MOVED if after in held else Change.SPLIT


def _largest(snapshot: Snapshot, linked: Linked) -> dict[RecordNumber, tuple[RecordNumber, ...]]:
    """Return the largest clusters, as places, by their lowest record number."""
    found = heapq.nlargest(RELINK_LARGEST_SHOWN, linked.clusters, key=lambda cluster: (len(cluster), -cluster[0]))
    return {min(map(snapshot.number, cluster)): cluster for cluster in found}


def _sizes(before: Iterable[int], after: Iterable[int]) -> tuple[SizeCount, ...]:
    counts = [
        np.bincount(np.searchsorted(SIZES_FROM, list(each), "right"), minlength=len(SIZES_FROM) + 1)
        for each in (before, after)
    ]
    return tuple(
        SizeCount(size, int(counts[0][bar]), int(counts[1][bar])) for bar, size in enumerate(SIZES_FROM, start=1)
    )
