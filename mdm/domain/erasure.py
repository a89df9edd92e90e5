"""Whom an erasure is about, and the facts that end what was said of a record before its values are destroyed."""

from __future__ import annotations

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.rules import departure
from mdm.domain.state import GoldenEntry, IdentityView, pair_of


class Subject(msgspec.Struct, frozen=True):
    """All that the journal holds of one person or firm."""

    golden_ids: tuple[GoldenId, ...]
    """The surviving ID first, then those that it absorbed; of retired ones the oldest first; none for a record without
    one."""
    numbers: tuple[RecordNumber, ...]
    """Records with all their versions: members, and deleted ones that were members."""
    deleted_count: int
    passed_on: tuple[tuple[RecordNumber, int], ...] = ()
    """(record, payload id): keys of another bearer since; the former bearer's last payload."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is left to erase."""
        return not self.numbers and not self.passed_on


def subject_of(state: IdentityView, golden_id: GoldenId) -> Subject | None:
    """Return whom a golden ID stands for, None if it was never issued; a retired one for its deleted records."""
    entry = state.golden(golden_id)
    if entry is None:
        return None
    surviving = entry.survivor or golden_id
    golden = state.golden(surviving) or entry
    golden_ids = _retired_with(state, golden_id) if golden.is_retired else (surviving, *golden.absorbed)
    goldens = [each for identifier in golden_ids if (each := state.golden(identifier)) is not None]
    withdrawn = {number for each in goldens for number in each.withdrawn}
    # A key that went from one bearer to another and back is a member again, and goes whole.
    passed_on = {pair for each in goldens for pair in each.passed_on if pair[0] not in golden.members}
    numbers = tuple(sorted({*golden.members, *withdrawn}))
    return Subject(golden_ids, numbers, len(withdrawn), tuple(sorted(passed_on)))


def _retired_with(state: IdentityView, golden_id: GoldenId) -> tuple[GoldenId, ...]:
    """Return a retired ID and those that led to the same bearer when they were retired, the oldest first."""
    found: dict[GoldenId, GoldenEntry] = {}
    waiting = [golden_id]
    while waiting:
        each = waiting.pop()
        entry = state.golden(each)
        if each not in found and entry is not None and entry.is_retired:
            found[each] = entry
            waiting += entry.retired_with
    return tuple(sorted(found, key=lambda each: (found[each].minted_seq, found[each].minted_ordinal)))


def farewell(state: IdentityView, number: RecordNumber) -> list[ev.Fact]:
    """Return the facts that end a record's judgements, pinned values and membership; fold them before the next one's.

    Questions about it end with its deletion.
    """
    entry = state.record(number)
    if entry is None:
        return []
    facts: list[ev.Fact] = [ev.JudgementWithdrawn(*pair_of(number, other)) for other in entry.judged]
    facts += [ev.ValueUnpinned(number, field) for field, _ in entry.pins]
    if not entry.is_deleted:
        facts += [*departure(state, number), ev.RecordDeleted(number, entry.since_seq)]
    return facts
