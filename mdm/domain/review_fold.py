"""How events move the stewards' queue: part of the fold in `state`, which calls it.

A review never outlives its cause: what removes a question, a record or a golden record removes its reviews in the same
step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.reviews import Review, ReviewKind, priority

if TYPE_CHECKING:
    from mdm.domain.state import GoldenEntry, IdentityState, Pair, PotentialMatch, RecordEntry

ReviewFact = (
    ev.OversizeFound
    | ev.MergeProposed
    | ev.ReviewClaimed
    | ev.ReviewReleased
    | ev.ReviewParked
    | ev.ReviewEscalated
    | ev.ReviewSettled
)


def fold_review(state: IdentityState, event: ev.Event, fact: ReviewFact) -> None:
    """Fold what happens to a review; one that is closed meanwhile stays closed."""
    seq = event.seq
    match fact:
        case ev.OversizeFound():
            golden = _golden(state, fact.golden_id)
            rank = priority(ReviewKind.OVERSIZED, 0.0, fact.member_count)
            found = Review(ReviewKind.OVERSIZED, golden.members[0], None, rank, event.at_us, seq)
            found = msgspec.structs.replace(found, golden_id=fact.golden_id, member_count=fact.member_count)
            state.put_review(seq, found)
            state.put_golden(fact.golden_id, msgspec.structs.replace(golden, oversize_review=seq))
        case ev.MergeProposed():
            rank = priority(ReviewKind.PROPOSAL, 0.0, fact.member_count)
            proposed = Review(ReviewKind.PROPOSAL, fact.left, fact.right, rank, event.at_us, seq)
            proposed = msgspec.structs.replace(
                proposed,
                member_count=fact.member_count,
                joining=fact.joining,
                proposed_by=event.cause.actor,
                expires_at_us=fact.expires_at_us,
            )
            state.put_review(seq, proposed)
            for number in (fact.left, fact.right):
                entry = _record(state, number)
                state.put_record(number, msgspec.structs.replace(entry, proposals=(*entry.proposals, seq)))
        case ev.ReviewClaimed():
            # Who takes up a parked review ends its rest.
            _change_review(
                state,
                fact.review,
                claimed_by=event.cause.actor,
                claimed_until_us=fact.until_us,
                parked_until_us=0,
            )
        case ev.ReviewReleased():
            _change_review(state, fact.review, claimed_by="", claimed_until_us=0, parked_until_us=0, is_escalated=False)
        case ev.ReviewParked():
            _change_review(state, fact.review, claimed_by="", claimed_until_us=0, parked_until_us=fact.until_us)
        case ev.ReviewEscalated():
            _change_review(state, fact.review, claimed_by="", claimed_until_us=0, is_escalated=True)
        case ev.ReviewSettled():
            review = state.review(fact.review)
            if review is not None and review.golden_id is not None:
                golden = _golden(state, review.golden_id)
                accepted = len(golden.members) if fact.answer is ev.ReviewAnswer.ACCEPT else golden.accepted_count
                changed = msgspec.structs.replace(golden, oversize_review=0, accepted_count=accepted)
                state.put_golden(review.golden_id, changed)
                state.put_review(fact.review, None)
            elif review is not None:
                _close_proposal(state, fact.review, review)
        case _:
            assert_never(fact)


def _change_review(state: IdentityState, review: int, **changes: object) -> None:
    entry = state.review(review)
    if entry is not None:
        state.put_review(review, msgspec.structs.replace(entry, **changes))


def _close_proposal(state: IdentityState, review: int, entry: Review) -> None:
    state.put_review(review, None)
    for number in (entry.left, entry.right):
        record = state.record(number) if number is not None else None
        if number is not None and record is not None:
            rest = tuple(each for each in record.proposals if each != review)
            state.put_record(number, msgspec.structs.replace(record, proposals=rest))


def close_proposals(state: IdentityState, number: RecordNumber, other: RecordNumber | None = None) -> None:
    """Close what is proposed about a record, or about it and one other."""
    for review in _record(state, number).proposals:
        entry = state.review(review)
        if entry is not None and (other is None or other in {entry.left, entry.right}):
            _close_proposal(state, review, entry)


def close_answered_proposals(state: IdentityState, entry: RecordEntry) -> None:
    """Close the proposals about a record whose other end stands under the same golden ID now."""
    for review in entry.proposals:
        proposed = state.review(review)
        if proposed is not None and proposed.right is not None:
            ends = [_record(state, each).golden_id for each in (proposed.left, proposed.right)]
            if ends[0] == ends[1]:
                _close_proposal(state, review, proposed)


def put_question(state: IdentityState, pair: Pair, match: PotentialMatch, at_us: int) -> None:
    """Store an open question with its review, which keeps its id and its claim when only the evidence changes."""
    known = state.potential_match(pair)
    review_id = known.review if known is not None else match.opened_seq
    state.put_potential_match(pair, msgspec.structs.replace(match, review=review_id))
    kind = ReviewKind(match.reason.value)
    rank = priority(kind, match.match_weight_bits, sum(_company(state, number) for number in pair))
    review = state.review(review_id) or Review(kind, *pair, rank, at_us, match.opened_seq)
    # New evidence ends the rest that an "unsure" brought.
    changed = msgspec.structs.replace(review, kind=kind, priority=rank, changed_seq=match.opened_seq, parked_until_us=0)
    state.put_review(review_id, changed)


def put_golden(state: IdentityState, golden_id: GoldenId, entry: GoldenEntry) -> None:
    """Store a golden record; the review of its size closes when it is as large no longer, and names a member."""
    if entry.oversize_review:
        review = state.review(entry.oversize_review)
        if review is None or len(entry.members) < review.member_count:
            state.put_review(entry.oversize_review, None)
            entry = msgspec.structs.replace(entry, oversize_review=0)
        elif review.left not in entry.members:
            state.put_review(entry.oversize_review, msgspec.structs.replace(review, left=entry.members[0]))
    state.put_golden(golden_id, entry)


def _company(state: IdentityState, number: RecordNumber) -> int:
    golden_id = _record(state, number).golden_id
    return len(_golden(state, golden_id).members) if golden_id is not None else 1


def _record(state: IdentityState, number: RecordNumber) -> RecordEntry:
    entry = state.record(number)
    if entry is None:
        message = f"event names record {number}, which was never upserted"
        raise AssertionError(message)
    return entry


def _golden(state: IdentityState, golden_id: GoldenId) -> GoldenEntry:
    entry = state.golden(golden_id)
    if entry is None:
        message = f"event names golden ID {golden_id}, which was never minted"
        raise AssertionError(message)
    return entry
