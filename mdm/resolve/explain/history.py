"""What happened to a golden ID, event by event, in data and in words: read from what each event changed, and why."""

from __future__ import annotations

import enum
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from mdm.domain import events as ev
from mdm.domain.changes import ChangeKind, Changes, GoldenChange
from mdm.domain.keys import GoldenId, RecordNumber, SourceKey
from mdm.domain.loads import load_of
from mdm.domain.reviews import ReviewKind
from mdm.domain.state import Pair
from mdm.limits import HISTORY_RECORDS_SHOWN_MAX
from mdm.resolve.commands import REVERT_LOAD
from mdm.resolve.explain.acts import erasure_behind, is_inherited, reason_behind
from mdm.resolve.explain.phrases import Sentence, by_ground, named, phrase, weighed, with_detail
from mdm.resolve.matcher import STEWARD_BITS
from mdm.resolve.reading import Reading

GAINS = frozenset({ChangeKind.CREATED, ChangeKind.JOINED, ChangeKind.ABSORBED, ChangeKind.RESTORED})
"""Kinds by which records come to a golden ID."""

_VERDICTS = frozenset({ChangeKind.JUDGED_SAME, ChangeKind.JUDGED_DIFFERENT})

_CLOSED = frozenset({ChangeKind.POTENTIAL_MATCH_CLOSED, ChangeKind.REVIEW_CLOSED})

_OF_PAIRS = _VERDICTS | {
    ChangeKind.POTENTIAL_MATCH_OPENED,
    ChangeKind.POTENTIAL_MATCH_CLOSED,
    ChangeKind.JUDGEMENT_WITHDRAWN,
}


class Ground(enum.StrEnum):
    """Who or what brought a change about."""

    DECISION = "decision"
    """The machine's, as records came and went."""
    RELINK = "relink"
    REVERT = "revert"
    """A re-linkage was taken back."""
    STEWARD = "steward"
    CLERK = "clerk"
    REGISTRY = "registry"
    """It sent other values, or withdrew the record."""
    OPERATOR = "operator"
    """Erased a person or firm."""
    LOAD_REVERT = "load_revert"
    """A load was taken back."""


class Position(NamedTuple):
    """Place in a history: entries behind it follow."""

    seq: int
    ordinal: int
    """1-based place among the entries of one event."""


class HistoryEntry(msgspec.Struct, frozen=True):
    """One thing that happened to a golden ID."""

    position: Position
    at_us: int
    kind: ChangeKind
    other: GoldenId | None
    """The other golden ID that the kind speaks of."""
    numbers: tuple[RecordNumber, ...]
    """The records that came, went or are spoken of."""
    partner: RecordNumber | None
    """The record whose evidence decided, if one did."""
    match_weight_bits: float | None
    """Weight of the pair that decided or is asked about."""
    ground: Ground
    detail: str
    """Name of a veto or lack, reason of a question, field of a pinned value, kind of a review or its answer."""
    run_id: str
    cause: ev.Cause
    sentence: Sentence
    reason: str = ""
    """A steward's or operator's words; empty if none acted, or a record that the words are about was erased."""


class HistoryPage(NamedTuple):
    """Some entries, oldest first, and the place behind which more follow; None if none do."""

    entries: list[HistoryEntry]
    following: Position | None


def history_page(reading: Reading, golden_id: GoldenId, size: int, after: Position | None) -> HistoryPage:
    """Return a page of a golden ID's own history, what happened before a merge included. Cost: about 60 µs an entry."""
    found: list[HistoryEntry] = []
    for entry in _entries(reading, golden_id, after or Position(0, 0)):
        if len(found) == size:
            return HistoryPage(found, found[-1].position)
        found.append(entry)
    return HistoryPage(found, None)


def gains(reading: Reading, golden_id: GoldenId, members: Container[RecordNumber]) -> Iterator[HistoryEntry]:
    """Yield how the present members came to a golden ID, oldest first, each entry with those of them that it brought.

    Cost: 5 µs an event of the golden ID's history, and 60 µs for each that is yielded.
    """
    for seq in reading.view.iter_golden_seqs(golden_id):
        changes = reading.view.changes(seq)
        if changes is None or not _brings(changes, golden_id, members):
            continue
        for entry in _of_event(reading, golden_id, seq, changes):
            numbers = tuple(number for number in entry.numbers if number in members)
            if entry.kind in GAINS and numbers:
                yield msgspec.structs.replace(entry, numbers=numbers)


def meeting(
    reading: Reading, golden_id: GoldenId, numbers: frozenset[RecordNumber], until_seq: int | None = None
) -> HistoryEntry | None:
    """Return the entry by which the last of some members came to a golden ID, or to the one that brought them all here.

    Cost: 5 µs an event of the histories looked at.

    Args:
        reading: One state.
        golden_id: Theirs.
        numbers: Two members of one golden record, or one member.
        until_seq: Only events before it.
    """
    last = None
    for seq in reading.view.iter_golden_seqs(golden_id):
        if until_seq is not None and seq >= until_seq:
            break
        changes = reading.view.changes(seq)
        if changes is not None and _brings(changes, golden_id, numbers):
            last = (seq, changes)
    if last is None:
        return None
    seq, changes = last
    homes = {each.before for each in changes.records if each.number in numbers and each.after == golden_id}
    came = {each.number for each in changes.records if each.number in numbers and each.before != each.after}
    if len(numbers) > 1 and came == numbers and len(homes) == 1 and (home := homes.pop()) is not None:
        # They came together, and so had met before.
        return meeting(reading, home, numbers, seq)
    entries = [each for each in _of_event(reading, golden_id, seq, changes) if each.kind in GAINS]
    return next((each for each in entries if not numbers.isdisjoint(each.numbers)), None)


def judged(reading: Reading, pair: Pair) -> HistoryEntry | None:
    """Return the standing judgement about a pair, with who made it, when and why, wherever the two stand by now.

    None without one, and if it was made while both were pending.
    """
    standing = reading.view.standing(pair)
    changes = reading.view.changes(standing.seq) if standing is not None else None
    if standing is None or changes is None:
        return None
    golden_id = next(each.golden_id for each in changes.goldens if each.kind in _VERDICTS)
    entry = next(each for each in _of_event(reading, golden_id, standing.seq, changes) if each.kind in _VERDICTS)
    # One that a leaving record left to this one was made when its act was.
    act = next(reading.journal.events(standing.act_seq - 1, standing.act_seq))
    return msgspec.structs.replace(entry, at_us=act.at_us, cause=act.cause)


def keys_of(reading: Reading, entries: Iterable[HistoryEntry]) -> dict[RecordNumber, SourceKey]:
    """Return the source keys of all records that entries name."""
    numbers = {
        number for each in entries for number in (*each.numbers[:HISTORY_RECORDS_SHOWN_MAX], each.partner) if number
    }
    return {number: key for number in numbers if (key := reading.view.key_of(number)) is not None}


def _brings(changes: Changes, golden_id: GoldenId, numbers: Container[RecordNumber]) -> bool:
    return any(each.after == golden_id != each.before and each.number in numbers for each in changes.records)


def _entries(reading: Reading, golden_id: GoldenId, after: Position) -> Iterator[HistoryEntry]:
    for seq in reading.view.iter_golden_seqs(golden_id, max(after.seq - 1, 0)):
        changes = reading.view.changes(seq)
        if changes is not None:
            for entry in _of_event(reading, golden_id, seq, changes):
                if entry.position > after:
                    yield entry


def _of_event(reading: Reading, golden_id: GoldenId, seq: int, changes: Changes) -> list[HistoryEntry]:
    event = next(reading.journal.events(seq - 1, seq))
    entries = []
    own = [each for each in changes.goldens if each.golden_id == golden_id]
    reason = reason_behind(reading.journal, event) if isinstance(event.fact, _OF_ACTS) else None
    is_left = is_inherited(reading.journal, event)
    golden = reading.view.golden(golden_id)
    # Nothing happens to an erased golden ID any more.
    erased_seq = golden.changed_seq if golden is not None and golden.is_erased else 0
    erasure = erasure_behind(reading.journal, event, erased_seq)
    if erasure is not None:
        reason = erasure.reason
    if event.cause.method == REVERT_LOAD:
        load = load_of(reading.view, event.cause.load_id)
        reason = load.revert.reason if load is not None and load.revert is not None else ""
    for ordinal, change in enumerate(own, start=1):
        why = _why(event.fact, change.kind, is_act=reason is not None)
        why = why._replace(detail="inherited") if is_left else why
        why = why._replace(ground=Ground.OPERATOR) if erasure is not None else why
        # A partner or weight would be of the evidence that the load brought.
        why = _Why(Ground.LOAD_REVERT, detail=why.detail) if event.cause.method == REVERT_LOAD else why
        numbers = _numbers(change, changes, event.fact, own)
        partner = next((each for each in why.partners if each is not None and each not in numbers), None)
        entries.append(
            HistoryEntry(
                Position(seq, ordinal),
                event.at_us,
                change.kind,
                change.other,
                numbers,
                partner,
                why.match_weight_bits,
                why.ground,
                why.detail,
                why.run_id,
                event.cause,
                _sentence(change.kind, why),
                reason or "",
            )
        )
    return entries


class _Why(NamedTuple):
    ground: Ground
    partners: tuple[RecordNumber | None, ...] = ()
    """Records whose evidence decided, the likeliest partner first."""
    match_weight_bits: float | None = None
    detail: str = ""
    run_id: str = ""


_OF_ACTS = (
    ev.RecordsRegrouped
    | ev.AnchorMoved
    | ev.PotentialMatchClosed
    | ev.JudgementMade
    | ev.JudgementWithdrawn
    | ev.ValuePinned
    | ev.ValueUnpinned
    | ev.MergeProposed
    | ev.ReviewParked
    | ev.ReviewEscalated
    | ev.ReviewSettled
)
"""Facts that may be part of a steward's act."""

_GROUNDS = {
    ev.RegroupReason.FRAGMENTS: Ground.DECISION,
    ev.RegroupReason.RELINK: Ground.RELINK,
    ev.RegroupReason.CLERK_CHOICE: Ground.CLERK,
    ev.RegroupReason.REVERT: Ground.REVERT,
    ev.RegroupReason.LOAD_REVERT: Ground.LOAD_REVERT,
}
"""Any other reason is a steward's act."""


def _why(fact: ev.Fact, kind: ChangeKind, *, is_act: bool) -> _Why:
    """Return who or what stands behind a fact.

    Args:
        fact: What happened.
        kind: What it did to the golden ID.
        is_act: Whether the fact is part of a steward's act.
    """
    match fact:
        case ev.RecordUpserted() | ev.RecordDeleted():
            return _Why(Ground.REGISTRY)
        case ev.RecordResolved() if kind in _CLOSED | {ChangeKind.CREATED}:
            # Of a new golden ID the partner is a candidate that it did not join.
            return _Why(Ground.DECISION)
        case ev.RecordResolved():
            return _weighed(Ground.DECISION, (fact.partner,), fact.match_weight_bits)
        case ev.RecordsRegrouped():
            ground = _GROUNDS.get(fact.reason, Ground.STEWARD)
            if kind in _CLOSED:
                return _Why(ground, run_id=fact.run_id)
            return _weighed(ground, (fact.right, fact.left), fact.match_weight_bits)._replace(run_id=fact.run_id)
        case ev.PotentialMatchOpened():
            ground = Ground.RELINK if fact.run_id else Ground.DECISION
            return _Why(ground, (), fact.match_weight_bits, fact.detail or fact.reason, fact.run_id)
        case ev.PotentialMatchClosed(run_id=run_id) if run_id:
            return _Why(Ground.RELINK, run_id=run_id)
        case _:
            return _why_apart(fact, is_act=is_act)


def _why_apart(fact: ev.Fact, *, is_act: bool) -> _Why:
    """Return who or what stands behind a fact that moves no record."""
    match fact:
        case ev.OversizeFound():
            return _Why(Ground.DECISION, detail=ReviewKind.OVERSIZED)
        case ev.MergeProposed():
            return _Why(Ground.STEWARD, detail=ReviewKind.PROPOSAL)
        case ev.ReviewSettled():
            return _Why(Ground.STEWARD, detail=fact.answer)
        case ev.SubjectErased():
            return _Why(Ground.OPERATOR)
        case ev.AnchorMoved() | ev.GoldenIdRetired() | ev.GoldenIdRevived() | ev.PotentialMatchClosed():
            return _Why(Ground.STEWARD if is_act else Ground.DECISION)
        case _:
            # What was fixed or judged and is no act goes with the record that it was said of.
            detail = fact.field if isinstance(fact, ev.ValuePinned | ev.ValueUnpinned) else ""
            return _Why(Ground.STEWARD if is_act else Ground.REGISTRY, detail=detail)


def _weighed(ground: Ground, partners: tuple[RecordNumber | None, ...], bits: float | None) -> _Why:
    if bits is not None and bits >= STEWARD_BITS:
        # A judgement "same" decided, whatever the evidence weighs.
        return _Why(Ground.STEWARD, partners)
    return _Why(ground, partners, bits)


def _numbers(
    change: GoldenChange, changes: Changes, fact: ev.Fact, own: Sequence[GoldenChange]
) -> tuple[RecordNumber, ...]:
    golden_id, records = change.golden_id, changes.records
    match change.kind, fact:
        case (
            (ChangeKind.ANCHOR_MOVED | ChangeKind.RESTORED),
            ev.AnchorMoved(number=number) | ev.GoldenIdRevived(number=number),
        ):
            return (number,)
        case kind, (
            ev.PotentialMatchOpened(left=left, right=right)
            | ev.PotentialMatchClosed(left=left, right=right)
            | ev.JudgementMade(left=left, right=right)
            | ev.JudgementWithdrawn(left=left, right=right)
        ) if kind in _OF_PAIRS:
            return (left, right)
        case kind, _ if kind in _OF_PAIRS:
            # Closed because its records are one now, or one of them is gone: the event does not say which they were.
            return ()
        case ChangeKind.CREATED, _:
            return tuple(each.number for each in records if each.after == golden_id)
        case ChangeKind.JOINED, _:
            absorbed = {each.other for each in own if each.kind in {ChangeKind.ABSORBED, ChangeKind.RESTORED}}
            return tuple(
                each.number for each in records if each.after == golden_id and each.before not in {golden_id, *absorbed}
            )
        case ((ChangeKind.ABSORBED | ChangeKind.RESTORED), _):
            return tuple(each.number for each in records if each.after == golden_id and each.before == change.other)
        case ((ChangeKind.MERGED | ChangeKind.LEFT | ChangeKind.SPLIT), _):
            return tuple(each.number for each in records if each.before == golden_id and each.after == change.other)
        case _:
            return tuple(each.number for each in records if each.before == each.after == golden_id)


def _sentence(kind: ChangeKind, why: _Why) -> Sentence:
    found = by_ground(phrase("history", kind), phrase("ground", why.ground))
    behind = named(why.detail) if why.detail else None
    if behind is not None:
        found = with_detail(found, behind)
    return found if why.match_weight_bits is None else weighed(found, why.match_weight_bits)
