"""The stewards' queue: what is to be looked at, in which order, and who is at it.

A review's id is the position of the event that opened it, so it is never given again. Claims, parking and proposals run
out at a time that stands in the review; the fold has no clock, so whoever reads compares it with the present.
"""

from __future__ import annotations

import enum

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber

PRIORITY_MAX = 100


class ReviewKind(enum.StrEnum):
    """Why a steward is asked. All but the last two are questions about two records, named as `MatchReason` is."""

    WEIGHT = "weight"
    VETO = "veto"
    AMBIGUOUS = "ambiguous"
    THIN_EVIDENCE = "thin_evidence"
    REFUSED_EDGE = "refused_edge"
    IDENTIFIER_CONFLICT = "identifier_conflict"
    RELINK_LEFTOVER = "relink_leftover"
    LOAD_REVERT = "load_revert"
    OVERSIZED = "oversized"
    """One golden record has more members than a bearer's records usually number."""
    PROPOSAL = "proposal"
    """One person wants to make a large golden record, and a second has to agree."""


HARM: dict[ReviewKind, int] = {
    ReviewKind.WEIGHT: 10,
    ReviewKind.THIN_EVIDENCE: 10,
    ReviewKind.AMBIGUOUS: 20,
    ReviewKind.RELINK_LEFTOVER: 20,
    ReviewKind.LOAD_REVERT: 20,
    ReviewKind.REFUSED_EDGE: 30,
    ReviewKind.VETO: 30,
    ReviewKind.IDENTIFIER_CONFLICT: 40,
    ReviewKind.OVERSIZED: 60,
    ReviewKind.PROPOSAL: 60,
}
"""What an unanswered review of this kind may cost, from 0 to 60: a missed link costs a second look, a number under two
names misleads whoever asks by it, and a record that swallowed others shows one patient's data under another's name."""

VALUE_MAX = 20
"""Most that a pair's match weight adds: what weighs 20 bits is as good as answered, and the answer joins."""

REACH_MAX = 20
"""Most that the number of members adds, one point each: an answer about many records serves many."""


class QueueState(enum.IntEnum):
    """Which of its four queues a review stands in; the numbers are the index's."""

    OPEN = 0
    """By priority. A claimed review keeps its place: a claim lasts minutes."""
    PARKED = 1
    """By the time at which it comes back."""
    ESCALATED = 2
    """By priority."""
    PROPOSED = 3
    """By priority; needs another person than the one who proposed."""


class Review(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One thing that stewards are asked. Stands in the state only while its cause does."""

    kind: ReviewKind
    left: RecordNumber
    """Of a large golden record a member."""
    right: RecordNumber | None
    priority: int
    """0 to `PRIORITY_MAX`, the higher the sooner."""
    opened_at_us: int
    changed_seq: int
    """Last event that changed what is asked; claims do not."""
    claimed_by: str = ""
    claimed_until_us: int = 0
    parked_until_us: int = 0
    is_escalated: bool = False
    golden_id: GoldenId | None = None
    """Of a large golden record."""
    member_count: int = 0
    """Of a large golden record when it was found, of a proposal what it would make."""
    joining: ev.Joining | None = None
    """What is proposed."""
    proposed_by: str = ""
    expires_at_us: int = 0
    """When a proposal lapses."""

    @property
    def queue(self) -> QueueState:
        """The queue it stands in."""
        if self.kind is ReviewKind.PROPOSAL:
            return QueueState.PROPOSED
        if self.is_escalated:
            return QueueState.ESCALATED
        return QueueState.PARKED if self.parked_until_us else QueueState.OPEN

    @property
    def place(self) -> int:
        """Its order within the queue, the lower the sooner; ties go by id."""
        return self.parked_until_us if self.queue is QueueState.PARKED else PRIORITY_MAX - self.priority

    def is_claimed(self, now_us: int) -> bool:
        """Return whether somebody works on it now."""
        return bool(self.claimed_by) and now_us < self.claimed_until_us


def priority(kind: ReviewKind, match_weight_bits: float, member_count: int) -> int:
    """Return harm + value + reach, from 0 to `PRIORITY_MAX`.

    Args:
        kind: Gives the harm.
        match_weight_bits: Gives the value; 0 where no pair is asked about.
        member_count: Members of all golden records that the answer touches.
    """
    value = min(max(round(match_weight_bits), 0), VALUE_MAX)
    return HARM[kind] + value + min(member_count, REACH_MAX)
