"""Priority is explainable and bounded; queues and places follow from what stands in a review."""

from __future__ import annotations

import msgspec
import pytest

from mdm.domain.events import MatchReason
from mdm.domain.keys import RecordNumber
from mdm.domain.reviews import HARM, PRIORITY_MAX, QueueState, Review, ReviewKind, priority

ASKED = Review(ReviewKind.WEIGHT, RecordNumber(1), RecordNumber(2), 17, 5, 3)


@pytest.mark.parametrize(
    ("kind", "bits", "members", "expected"),
    [
        (ReviewKind.WEIGHT, 6.4, 2, 10 + 6 + 2),
        (ReviewKind.IDENTIFIER_CONFLICT, -3.0, 4, 40 + 0 + 4),
        (ReviewKind.VETO, 90.0, 300, 30 + 20 + 20),
        (ReviewKind.OVERSIZED, 0.0, 50, 60 + 0 + 20),
    ],
)
def test_priority_is_harm_and_value_and_reach(kind: ReviewKind, bits: float, members: int, expected: int) -> None:
    assert priority(kind, bits, members) == expected


def test_every_kind_has_its_harm_and_every_question_a_kind() -> None:
    assert set(HARM) == set(ReviewKind)
    assert {reason.value for reason in MatchReason} == set(ReviewKind) - {ReviewKind.OVERSIZED, ReviewKind.PROPOSAL}
    assert max(priority(kind, 1e9, 10**6) for kind in ReviewKind) == PRIORITY_MAX


def test_a_review_stands_in_one_queue_at_its_place() -> None:
    assert (ASKED.queue, ASKED.place) == (QueueState.OPEN, PRIORITY_MAX - 17)
    parked = msgspec.structs.replace(ASKED, parked_until_us=99)
    assert (parked.queue, parked.place) == (QueueState.PARKED, 99)
    assert msgspec.structs.replace(parked, is_escalated=True).queue is QueueState.ESCALATED
    assert msgspec.structs.replace(ASKED, kind=ReviewKind.PROPOSAL).queue is QueueState.PROPOSED


def test_a_claim_holds_up_to_its_time_and_no_longer() -> None:
    claimed = msgspec.structs.replace(ASKED, claimed_by="hoa", claimed_until_us=10)
    assert [claimed.is_claimed(now_us) for now_us in (9, 10)] == [True, False]
    assert not ASKED.is_claimed(0)
