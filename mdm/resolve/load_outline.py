"""Loads to look at: which there were, and what taking one back would do."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber, SourceKey
from mdm.domain.loads import LAST_LOAD, LoadEntry, load_of
from mdm.errors import UnknownLoadError
from mdm.limits import LOAD_EXAMPLES_MAX
from mdm.resolve.load_acts import Act, acts_backwards
from mdm.resolve.load_revert import Effect, Fate, fate_of, parts_of
from mdm.resolve.reading import Reading
from mdm.store.view import IndexView

_ACTS_OF_ONE_VIEW = 1000
"""So that no long transaction keeps old pages of the index alive: 50 ms."""


class LoadExample(msgspec.Struct, frozen=True):
    """One record of a load, and what would become of it."""

    effect: Effect
    key: SourceKey | None
    """None once it is erased."""
    golden_id: GoldenId | None
    former_golden_id: GoldenId | None


class RevertOutline(msgspec.Struct, frozen=True):
    """What taking a load back would do, as everything stands now."""

    outcomes: Counter[Effect]
    examples: tuple[LoadExample, ...]
    """Up to `LOAD_EXAMPLES_MAX` for each effect on records."""
    read_seq: int


def known_load(view: IndexView, load_id: str) -> LoadEntry:
    """Return a load.

    Raises:
        UnknownLoadError: None has this id.
    """
    entry = load_of(view, load_id)
    if entry is None:
        raise UnknownLoadError("no load has this id")
    return entry


def loads_page(view: IndexView, feed: str, size: int, before_seq: int | None) -> tuple[list[LoadEntry], int | None]:
    """Return loads that began before a position, the latest first, and the position that the next page goes on from.

    Cost: 5 µs for each load that began since.
    """
    found: list[LoadEntry] = []
    entry = load_of(view, view.setting(LAST_LOAD) or "")
    while entry is not None:
        if (before_seq is None or entry.seq < before_seq) and feed in {"", entry.feed}:
            if len(found) == size:
                return found, found[-1].seq
            found.append(entry)
        entry = load_of(view, entry.before) if entry.before else None
    return found, None


def outline(
    entry: LoadEntry, reading: Callable[[], AbstractContextManager[Reading]], look_up: Callable[[], object]
) -> RevertOutline:
    """Return what taking a load back would do; of one that is being taken back, what is left to do.

    Args:
        entry: The load.
        reading: Opens the index.
        look_up: Called every now and then; raises where nobody waits for the answer any more.

    Cost: 5 µs for each event of the load's stretch of the journal, and 50 µs for each operation that wrote something.
    """
    behind_seq = entry.last_seq + 1 if entry.revert is None else entry.revert.behind_seq
    with reading() as now:
        acts = acts_backwards(now.journal, entry.load_id, entry.seq, behind_seq)
    found = _Outline()
    while batch := list(itertools.islice(acts, _ACTS_OF_ONE_VIEW)):
        look_up()
        with reading() as now:
            for act in batch:
                if act is not None:
                    found.look_at(now, act)
    with reading() as now:
        found.count_golden_ids(now.view)
        return RevertOutline(+found.outcomes, tuple(found.examples), now.view.applied_seq)


class _Outline:
    def __init__(self) -> None:
        self.outcomes: Counter[Effect] = Counter()
        self.examples: list[LoadExample] = []
        self._shown: Counter[Effect] = Counter()
        self._leaving: set[RecordNumber] = set()
        """Records that would not stay where they are."""
        self._minted: set[GoldenId] = set()
        self._parted: set[GoldenId] = set()
        """Golden IDs that merges by the load made one, and that come apart."""
        self._effects: dict[RecordNumber, Effect] = {}
        """Of each record's operations looked at the earliest one's."""

    def look_at(self, now: Reading, act: Act) -> None:
        view = now.view
        for event in act.events:
            if isinstance(event.fact, ev.RecordResolved) and event.fact.is_minted:
                self._minted.add(event.fact.golden_id)
            elif isinstance(event.fact, ev.RecordsRegrouped):
                clusters, is_judged = parts_of(view, now.journal, event)
                self.outcomes[Effect.PARTED] += bool(clusters)
                if clusters:
                    self._parted.update(each.golden_id for each in event.fact.former)
                self.outcomes[Effect.LEFT_JUDGED] += is_judged
        fate = self._fate_of(now, act)
        self._effects[act.number] = fate.effect
        self.outcomes[fate.effect] += 1
        home = act.home_before(view)
        is_leaving = fate.effect is Effect.WITHDRAWN or (
            fate.effect is Effect.RESTORED and home is not None and home != _golden_id_of(view, act)
        )
        (self._leaving.add if is_leaving else self._leaving.discard)(act.number)
        if self._shown[fate.effect] < LOAD_EXAMPLES_MAX:
            self._shown[fate.effect] += 1
            self.examples.append(_example(view, act, fate.effect))
        if fate.effect in {Effect.RETURNED, Effect.RESTORED}:
            golden = view.golden(home) if home is not None else None
            if golden is not None and golden.is_retired and not golden.is_erased:
                retired = [event for event in act.events if isinstance(event.fact, ev.GoldenIdRetired)]
                self.outcomes[Effect.REVIVED] += len(retired)

    def _fate_of(self, now: Reading, act: Act) -> Fate:
        after = self._effects.get(act.number)
        if after is None:
            return fate_of(now.view, now.journal, act)
        if after not in {Effect.WITHDRAWN, Effect.RESTORED, Effect.RETURNED}:
            return Fate(after)
        # By then the revert has taken back what the load did to the record later.
        if isinstance(act.core, ev.RecordDeleted):
            return Fate(Effect.RETURNED)
        return Fate(Effect.RESTORED if act.core.former_payload_id and not act.core.is_returning else Effect.WITHDRAWN)

    def count_golden_ids(self, view: IndexView) -> None:
        for golden_id in self._minted:
            golden = view.golden(golden_id)
            if golden is None or golden.is_retired:
                continue
            if golden_id in self._parted:
                # It answers for itself again, and only then do its records leave.
                others = (view.golden(each) for each in golden.absorbed if each in self._parted)
                elsewhere = {number for other in others if other is not None for number in other.merged_members}
                members = golden.merged_members or tuple(set(golden.members) - elsewhere)
            else:
                surviving = view.golden(golden.survivor) if golden.survivor else golden
                members = surviving.members if surviving is not None else ()
            self.outcomes[Effect.RETIRED] += bool(members) and self._leaving.issuperset(members)


def _example(view: IndexView, act: Act, effect: Effect) -> LoadExample:
    return LoadExample(effect, view.key_of(act.number), _golden_id_of(view, act), act.home_before(view))


def _golden_id_of(view: IndexView, act: Act) -> GoldenId | None:
    entry = view.record(act.number)
    return entry.golden_id if entry is not None else None
