"""Stewards' acts in the journal: an act is one transaction of several events, and one of them holds the reason."""

from __future__ import annotations

from collections.abc import Iterator

from mdm.domain import events as ev
from mdm.domain.load_events import LoadFact
from mdm.limits import ACT_EVENTS_EXAMINED_MAX
from mdm.resolve.reasons import read_reason
from mdm.store.journal import JournalReader

_Saying = (
    ev.JudgementMade
    | ev.JudgementWithdrawn
    | ev.ValuePinned
    | ev.ValueUnpinned
    | ev.MergeProposed
    | ev.ReviewParked
    | ev.ReviewEscalated
    | ev.ReviewSettled
)
"""Facts that may hold a reason."""

_NO_ACT = ev.RecordUpserted | ev.RecordDeleted | ev.RelinkProgressed | LoadFact
"""Facts that no act consists of: what stands beside one of them is none of a steward's."""


def reason_behind(journal: JournalReader, event: ev.Event) -> str | None:
    """Return why a steward acted, for an event that is part of the act; None if it is part of none.

    Empty where a record that the words are about was erased. Cost: 20 µs an event looked at, two or three of them for
    all but a withdrawal that has much decided anew; at most `ACT_EVENTS_EXAMINED_MAX` to either side.
    """
    act = _act(journal, event)
    return read_reason(journal, act.fact.reason_ids) if act and isinstance(act.fact, _Saying) else None


def erasure_behind(journal: JournalReader, event: ev.Event, erased_seq: int) -> ev.SubjectErased | None:
    """Return an erasure if an event is part of its transaction."""
    erasure = _event(journal, erased_seq)
    if erasure is None or _transaction(erasure) != _transaction(event):
        return None
    return erasure.fact if isinstance(erasure.fact, ev.SubjectErased) else None


def is_inherited(journal: JournalReader, event: ev.Event) -> bool:
    """Return whether an event is a judgement that a record left to another one when it left or changed its bearer."""
    act = _act(journal, event) if isinstance(event.fact, ev.JudgementMade) else None
    return act is not None and _transaction(act) != _transaction(event)


def _act(journal: JournalReader, event: ev.Event) -> ev.Event | None:
    """Return the event of the same act that says why; of an inherited judgement, of the act that it came from."""
    fact = event.fact
    if isinstance(fact, ev.JudgementMade):
        return event if fact.act_seq in {0, event.seq} else _event(journal, fact.act_seq)
    if isinstance(fact, _Saying) and fact.reason_ids:
        return event
    if isinstance(fact, ev.JudgementWithdrawn):
        # A steward always says why: the record changed its bearer, and what was said of the former one is over.
        return None
    if _is_of_none(fact):
        return None
    before = next(_saying_why(journal, event, -1), None)
    # Judgements come last in an act, before the questions that they close: others are of an act before this one.
    if before is not None and (isinstance(fact, ev.PotentialMatchClosed) or not _is_made(before)):
        return _act(journal, before)
    after = next(_saying_why(journal, event, 1), None)
    return _act(journal, after) if after is not None else None


def _saying_why(journal: JournalReader, event: ev.Event, step: int) -> Iterator[ev.Event]:
    """Yield the events of the same transaction that say why, going on from one of its events."""
    for seq in range(event.seq + step, event.seq + step * (ACT_EVENTS_EXAMINED_MAX + 1), step):
        found = _event(journal, seq)
        if found is None or _is_of_none(found.fact) or _transaction(found) != _transaction(event):
            return
        is_why = isinstance(found.fact, _Saying) and bool(found.fact.reason_ids)
        if is_why or (_is_made(found) and not is_inherited(journal, found)):
            yield found


def _is_of_none(fact: ev.Fact) -> bool:
    if isinstance(fact, ev.RecordsRegrouped):
        return fact.reason is not ev.RegroupReason.JUDGEMENT
    return isinstance(fact, _NO_ACT)


def _is_made(event: ev.Event) -> bool:
    return isinstance(event.fact, ev.JudgementMade)


def _transaction(event: ev.Event) -> tuple[int, str, str]:
    # A steward's transaction holds one call and all its events bear one time.
    return event.at_us, event.cause.actor, event.cause.method


def _event(journal: JournalReader, seq: int) -> ev.Event | None:
    return next(journal.events(seq - 1, seq), None) if seq > 0 else None
