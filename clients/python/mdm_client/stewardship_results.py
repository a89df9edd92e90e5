"""What the service answers to stewards: reviews, judgements, and what an act did or would do."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from mdm_client.records import EntityKind, SourceKey
from mdm_client.results import FieldComparison, GoldenIdChange, GoldenRecord


class Verdict(enum.StrEnum):
    """What a steward says of two records."""

    UNSPECIFIED = "unspecified"
    SAME = "same"
    DIFFERENT = "different"


class ReviewKind(enum.StrEnum):
    """Why a steward is asked."""

    UNSPECIFIED = "unspecified"
    WEIGHT = "weight"
    VETO = "veto"
    AMBIGUOUS = "ambiguous"
    THIN_EVIDENCE = "thin_evidence"
    REFUSED_EDGE = "refused_edge"
    IDENTIFIER_CONFLICT = "identifier_conflict"
    RELINK_LEFTOVER = "relink_leftover"
    LOAD_REVERT = "load_revert"
    OVERSIZED = "oversized"
    PROPOSAL = "proposal"


class ReviewState(enum.StrEnum):
    """Where a review stands; in a filter UNSPECIFIED means open and claimed ones."""

    UNSPECIFIED = "unspecified"
    OPEN = "open"
    CLAIMED = "claimed"
    PARKED = "parked"
    ESCALATED = "escalated"
    PROPOSED = "proposed"


class ReviewAnswer(enum.StrEnum):
    """What a steward says to a review."""

    UNSPECIFIED = "unspecified"
    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"
    ACCEPT = "accept"
    """A large golden record is right."""
    APPROVE = "approve"
    """A second person agrees to a proposal."""
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two records and what is said of them; an erased record has no key."""

    left: SourceKey | None
    right: SourceKey | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """A standing judgement."""

    judgement_id: str
    pair: JudgedPair
    actor: str
    reason: str
    judged_at: datetime
    act_judgement_id: str
    """First judgement of its act; they are withdrawn together."""


@dataclass(frozen=True, slots=True)
class GoldenRecordState:
    """A golden record before or after an act."""

    golden_id: str
    is_new: bool
    members: tuple[SourceKey, ...]
    member_count: int


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A value that a golden ID shows differently after an act."""

    golden_id: str
    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActEffect:
    """What an act did, or in a dry run would do."""

    changes: tuple[GoldenIdChange, ...]
    before: tuple[GoldenRecordState, ...]
    after: tuple[GoldenRecordState, ...]
    value_changes: tuple[ValueChange, ...]
    """In a dry run only."""
    made: tuple[JudgedPair, ...]
    withdrawn: tuple[JudgedPair, ...]
    contradicted: tuple[Judgement, ...]
    """In a dry run: the judgements that forbid the act, as a chain."""
    etag: str
    judgement_id: str
    """Withdrawing it takes the act back; empty if the act made no judgement."""
    is_proposed: bool
    """Nothing was done: the act waits for a second person in `review_id`."""
    review_id: str
    token: str
    """Position from which it holds; empty in a dry run."""


@dataclass(frozen=True, slots=True)
class ReviewSide:
    """One end of a review."""

    golden_id: str
    key: SourceKey | None
    member_count: int


@dataclass(frozen=True, slots=True)
class Review:
    """One thing that stewards are asked."""

    review_id: str
    kind: ReviewKind
    state: ReviewState
    entity_kind: EntityKind
    priority: int
    left: ReviewSide
    right: ReviewSide | None
    match_weight_bits: float | None
    detail: str
    opened_at: datetime
    claimed_by: str
    claimed_until: datetime | None
    parked_until: datetime | None
    member_count: int
    proposed_by: str
    expires_at: datetime | None
    etag: str


@dataclass(frozen=True, slots=True)
class ReviewDetail:
    """A review with all that helps to answer it."""

    review: Review
    left: GoldenRecord
    right: GoldenRecord | None
    starting_weight_bits: float
    comparisons: tuple[FieldComparison, ...]
    earlier_judgements: tuple[Judgement, ...]
    """What was said before of members of both sides."""


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which reviews are meant; the default means all."""

    kinds: tuple[ReviewKind, ...] = ()
    entity_kind: EntityKind | None = None
    registry: str = ""
    priority_min: int = 0
