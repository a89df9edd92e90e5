"""What a load did, as acts: the events of one operation each, read from the journal alone, the latest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

import msgspec

from mdm.domain import events as ev
from mdm.domain import load_events as le
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.limits import JOURNAL_CHUNK_EVENTS
from mdm.store.journal import JournalReader
from mdm.store.view import IndexView

_LOAD_FACTS = get_args(le.LoadFact)

_Following = (
    ev.RecordResolved | ev.RecordsRegrouped | ev.PotentialMatchOpened | ev.PotentialMatchClosed | ev.OversizeFound
)
"""Facts that come behind the storing of a record; what stands before one of them is of the same operation."""


class Act(msgspec.Struct, frozen=True):
    """The events of one operation that wrote something."""

    core: ev.RecordUpserted | ev.RecordDeleted
    """The event that stored or withdrew the record."""
    seq: int
    """Its position."""
    events: tuple[ev.Event, ...]
    """All of them, oldest first."""

    @property
    def number(self) -> RecordNumber:
        """The record."""
        return self.core.number

    @property
    def load_id(self) -> str:
        """The load."""
        return self.events[0].cause.load_id

    @property
    def first_seq(self) -> int:
        """Position of the first event."""
        return self.events[0].seq

    @property
    def last_seq(self) -> int:
        """Position of the last event."""
        return self.events[-1].seq

    def home_before(self, view: IndexView) -> GoldenId | None:
        """Return the golden ID that the record had before; None if it was new, pending or withdrawn."""
        for event in self.events:
            changes = view.changes(event.seq)
            for change in changes.records if changes is not None else ():
                if change.number == self.number:
                    return change.before
        return None


def event_at(journal: JournalReader, seq: int, drafts: Sequence[ev.Event] = ()) -> ev.Event:
    """Return the event at a position, which may be one of a group that is not committed yet. Cost: 10 µs."""
    if drafts and seq >= drafts[0].seq:
        return drafts[seq - drafts[0].seq]
    return next(journal.events(seq - 1, seq))


def acts_backwards(journal: JournalReader, load_id: str, first_seq: int, behind_seq: int) -> Iterator[Act | None]:
    """Yield what a load did at positions in [`first_seq`, `behind_seq`), the latest first.

    Also yields None wherever a chunk of the journal holds nothing of it: a load that was broken off and gone on with
    hours later is looked for so long that others want their turn meanwhile.

    Args:
        journal: Holds the load's events.
        load_id: The load.
        first_seq: Of its first event.
        behind_seq: Its end, or the first event of an act of it.

    Cost: about 5 µs for each event of the stretch, others' included; memory for one chunk of it.
    """
    size = JOURNAL_CHUNK_EVENTS
    while behind_seq > first_seq:
        low = max(first_seq, behind_seq - size)
        events = [event for event in journal.events(low - 1, behind_seq - 1) if event.cause.load_id == load_id]
        mark = low
        if not events:
            yield None
        elif low > first_seq and events[0].seq == low:
            # The events of an operation are neighbours, and those of a group end with the load's progress: what stands
            # before the first one may be cut.
            marks = (event.seq for event in events if isinstance(event.fact, le.LoadProgressed))
            found = next(marks, None)
            if found is None:
                size *= 2
                continue
            mark = found
        yield from reversed(list(_acts(event for event in events if event.seq >= mark)))
        behind_seq, size = mark, JOURNAL_CHUNK_EVENTS


def _acts(events: Iterable[ev.Event]) -> Iterator[Act]:
    core: ev.Event | None = None
    own: list[ev.Event] = []
    leading: list[ev.Event] = []
    for event in events:
        fact = event.fact
        if isinstance(fact, _LOAD_FACTS):
            continue
        if isinstance(fact, ev.RecordUpserted | ev.RecordDeleted):
            if isinstance(fact, ev.RecordDeleted):
                # Questions about a record are closed before it is withdrawn.
                before = _before_closings(own, fact.number)
                own, leading = own[:before], [*own[before:], *leading]
            if core is not None:
                yield _act(core, own)
            core, own, leading = event, [*leading, event], []
        elif isinstance(fact, _Following):
            own += [*leading, event]
            leading = []
        else:
            leading.append(event)
    if core is not None:
        yield _act(core, [*own, *leading])


def _before_closings(events: list[ev.Event], number: RecordNumber) -> int:
    """Return how many events there are without the closed questions about a record at their end."""
    count = len(events)
    while count and isinstance(fact := events[count - 1].fact, ev.PotentialMatchClosed):
        if number not in {fact.left, fact.right}:
            break
        count -= 1
    return count


def _act(core: ev.Event, events: list[ev.Event]) -> Act:
    if not isinstance(core.fact, ev.RecordUpserted | ev.RecordDeleted):
        raise TypeError(type(core.fact).__name__)
    return Act(core.fact, core.seq, tuple(events))
