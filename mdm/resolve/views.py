"""What readers answer: plain structs, one hop from the wire."""

from __future__ import annotations

import enum

import msgspec

from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.records import Assurance, IdentifierType, SourceRecord
from mdm.domain.state import GoldenEntry
from mdm.domain.survivorship import GoldenValue
from mdm.linkage.features import Features, FieldIssue
from mdm.linkage.scorer import Step
from mdm.resolve.commands import Proposal


class RecordState(enum.IntEnum):
    """What a source key answers; the numbers are those of the wire's `RecordStatus`."""

    FOUND = 1
    NOT_FOUND = 2
    DELETED = 3
    PENDING = 4


class GoldenState(enum.StrEnum):
    """What a golden ID answers."""

    ACTIVE = "active"
    REDIRECTED = "redirected"
    RETIRED = "retired"
    NEVER_ISSUED = "never_issued"


def golden_state(entry: GoldenEntry) -> GoldenState:
    """Return how an issued golden ID answers."""
    if entry.is_retired:
        return GoldenState.RETIRED
    return GoldenState.REDIRECTED if entry.survivor else GoldenState.ACTIVE


class Grade(enum.StrEnum):
    """How a candidate golden record stands to what was asked."""

    CERTAIN = "certain"
    """The machine would link."""
    LIKELY = "likely"
    """At or above the review threshold, or above the link threshold but held back; a clerk should compare."""
    POSSIBLE = "possible"
    """More probable than not by a chance pair, below review."""


class MatchCandidate(msgspec.Struct, frozen=True):
    """One golden record that may be who was asked for."""

    golden_id: GoldenId
    match_weight_bits: float
    match_probability: float
    grade: Grade
    held_back: str
    """Veto or missing evidence that keeps it from being a link; empty when none does."""
    steps: tuple[Step, ...]
    """How each comparison came out, without values: names only, so it may be shown to any agency."""
    partner: RecordNumber
    """The member whose evidence is strongest."""
    member_count: int


class TruncatedBlock(msgspec.Struct, frozen=True):
    """A blocking rule whose key had more holders than were read."""

    rule: str
    total_count: int
    read_count: int


class MatchResult(msgspec.Struct, frozen=True):
    """Ranked candidates for one query, best first."""

    candidates: tuple[MatchCandidate, ...]
    candidate_count: int
    """Golden records that were compared, those that are not shown included."""
    scored_count: int
    """Records compared."""
    truncated: tuple[TruncatedBlock, ...]
    read_seq: int


class Preview(msgspec.Struct, frozen=True):
    """What a write would see, without writing."""

    features: Features
    issues: tuple[FieldIssue, ...]
    match: MatchResult
    outcome: str
    """`linked`, `created`, `review`, as `WriteOutcome`."""
    golden_id: GoldenId | None
    proposal: Proposal | None
    """The same work as a write takes it over; None where the writer would not."""


class StoredRecord(msgspec.Struct, frozen=True):
    """A source record as stored."""

    record: SourceRecord | None
    """None when deleted."""
    state: RecordState
    golden_id: GoldenId | None
    changed_seq: int


class GoldenMember(msgspec.Struct, frozen=True):
    """One source record of a golden record."""

    key: SourceKey
    updated_at: str
    """As its registry wrote it."""
    is_anchor: bool
    """Whether the golden ID stands for this record."""


class GoldenRecord(msgspec.Struct, frozen=True):
    """A golden ID's answer."""

    requested: GoldenId
    golden_id: GoldenId | None
    """The surviving ID; None when retired."""
    state: GoldenState
    kind: EntityKind
    values: tuple[GoldenValue, ...]
    members: tuple[GoldenMember, ...]
    """In the order in which their keys were first stored."""
    absorbed: tuple[GoldenId, ...]
    potential_match_count: int
    """Questions about its members that wait for a steward."""
    read_seq: int
    is_erased: bool = False
    """Whether the values of the requested ID's bearer were destroyed."""


class IdentifierHolder(msgspec.Struct, frozen=True):
    """One golden record that holds an identifier; several may hold the same."""

    golden_id: GoldenId
    type: IdentifierType
    assurance: Assurance
    """The highest among the members that state it."""
    member_count: int
    """Members that state it."""
