"""What the service answers, as plain values.

Every enumeration has `UNSPECIFIED` for a value that this version of the client does not know. Tokens are opaque: hand
one back as `at_least_as_fresh` to read what a write wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from mdm_client.errors import NoHolderError, SeveralHoldersError
from mdm_client.records import Assurance, EntityKind, SourceKey, SourceRecord


class RecordStatus(StrEnum):
    """What is stored under a source key."""

    UNSPECIFIED = "unspecified"
    FOUND = "found"
    NOT_FOUND = "not_found"
    DELETED = "deleted"
    PENDING = "pending"
    """Stored, but without a golden ID until the next re-linkage."""


class GoldenIdStatus(StrEnum):
    """How a golden ID answers."""

    UNSPECIFIED = "unspecified"
    ACTIVE = "active"
    REDIRECTED = "redirected"
    RETIRED = "retired"
    UNKNOWN = "unknown"
    INVALID = "invalid"


class WriteOutcome(StrEnum):
    """What a write made of one source record."""

    UNSPECIFIED = "unspecified"
    CREATED = "created"
    LINKED = "linked"
    REVIEW = "review"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    PENDING = "pending"
    DELETED = "deleted"
    ABSENT = "absent"
    REJECTED = "rejected"
    CONFIRMED = "confirmed"
    """Durable, but the answer that said more was lost with a connection; only from `ingest`. Look the record up."""


class GoldenIdChangeType(StrEnum):
    """What happened to a golden ID."""

    UNSPECIFIED = "unspecified"
    CREATED = "created"
    LINKED = "linked"
    LEFT = "left"
    MERGED = "merged"
    ABSORBED = "absorbed"
    SPLIT = "split"
    RESTORED = "restored"
    ANCHOR_MOVED = "anchor_moved"
    RETIRED = "retired"
    VALUES_CHANGED = "values_changed"
    POTENTIAL_MATCH_OPENED = "potential_match_opened"
    POTENTIAL_MATCH_CLOSED = "potential_match_closed"
    JUDGED_SAME = "judged_same"
    JUDGED_DIFFERENT = "judged_different"
    JUDGEMENT_WITHDRAWN = "judgement_withdrawn"
    VALUE_PINNED = "value_pinned"
    VALUE_UNPINNED = "value_unpinned"
    REVIEW_OPENED = "review_opened"
    REVIEW_CLOSED = "review_closed"
    REVIEW_PARKED = "review_parked"
    REVIEW_ESCALATED = "review_escalated"
    ERASED = "erased"


class MatchGrade(StrEnum):
    """How good a match is."""

    UNSPECIFIED = "unspecified"
    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    CERTAINLY_NOT = "certainly_not"


class Agreement(StrEnum):
    """Whether two records say the same about a field."""

    UNSPECIFIED = "unspecified"
    AGREES = "agrees"
    SIMILAR = "similar"
    DIFFERS = "differs"
    MISSING = "missing"


class ResolveOutcome(StrEnum):
    """What `resolve` found or did."""

    UNSPECIFIED = "unspecified"
    LINKED = "linked"
    CREATED = "created"
    REVIEW = "review"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ValueIssue:
    """A value that is kept as written but not used as evidence, or was cut."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class GoldenIdChange:
    """One golden ID that a write affected; `surviving_golden_id` is empty when it was retired."""

    golden_id: str
    type: GoldenIdChangeType
    surviving_golden_id: str


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a record; durable when it arrives."""

    outcome: WriteOutcome
    golden_id: str
    """Empty while the record is pending, and once it is deleted."""
    changes: tuple[GoldenIdChange, ...]
    token: str
    value_issues: tuple[ValueIssue, ...] = ()
    match_weight_bits: float | None = None


class Lookup(NamedTuple):
    """The golden ID of one record; empty unless the status is FOUND.

    A tuple, as a client that gathers makes one for each of 180,000 answers a second: half of a frozen dataclass's time.
    """

    status: RecordStatus
    golden_id: str
    read_at: str


@dataclass(frozen=True, slots=True)
class BatchLookup:
    """Golden IDs of many records, as columns in the order asked.

    `read_at` is the position of the first batch if the keys were sent in several.
    """

    golden_ids: list[str]
    statuses: list[RecordStatus]
    read_at: str
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class IdentifierHolder:
    """A golden record that holds an identifier, with the best assurance among its records that state it."""

    golden_id: str
    assurance: Assurance
    record_count: int = 0
    """Records that state it; 0 in a batch's answer by a service of an earlier release."""


@dataclass(frozen=True, slots=True)
class IdentifierHolders:
    """Every golden record that holds an identifier, the best assured first."""

    holders: tuple[IdentifierHolder, ...]
    holder_count: int
    read_at: str
    is_truncated: bool = False
    """Whether more records state it than were looked at, so that more golden records may hold it."""

    def one(self) -> IdentifierHolder:
        """Return the only holder.

        Raises:
            NoHolderError: Nobody holds the identifier.
            SeveralHoldersError: Several do: a mistyped or lent number must not pick one of them by chance.
        """
        if not self.holders:
            raise NoHolderError
        if self.holder_count > 1:
            raise SeveralHoldersError([holder.golden_id for holder in self.holders], self.holder_count)
        return self.holders[0]


@dataclass(frozen=True, slots=True)
class Translation:
    """The same bearers' keys in another registry, as columns in the order asked."""

    statuses: list[RecordStatus]
    target_record_ids: list[tuple[str, ...]]
    read_at: str


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """How one field compares with a candidate."""

    field: str
    level: str
    agreement: Agreement
    match_weight_bits: float


@dataclass(frozen=True, slots=True)
class MatchCandidate:
    """A golden record that a record may belong to."""

    golden_id: str
    grade: MatchGrade
    match_weight_bits: float
    match_probability: float
    starting_weight_bits: float
    comparisons: tuple[FieldComparison, ...]
    member_count: int
    veto: str


@dataclass(frozen=True, slots=True)
class TruncatedBlock:
    """A blocking rule that found more holders of a key than were scored."""

    rule: str
    holder_count: int
    scored_count: int


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Ranked candidates, best first."""

    candidates: tuple[MatchCandidate, ...]
    candidate_count: int
    scored_count: int
    truncated_blocks: tuple[TruncatedBlock, ...]
    value_issues: tuple[ValueIssue, ...]
    read_at: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who a bearer is and what was done."""

    outcome: ResolveOutcome
    grade: MatchGrade
    golden_id: str
    match: MatchResult
    changes: tuple[GoldenIdChange, ...]
    token: str
    write_outcome: WriteOutcome


@dataclass(frozen=True, slots=True)
class ClerkChoice:
    """What a clerk said about the candidates shown: one of them, or with an empty `golden_id` none of them."""

    golden_id: str
    shown_golden_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as stored; `record` is None if it was deleted."""

    record: SourceRecord | None = field(repr=False)
    status: RecordStatus
    golden_id: str
    value_issues: tuple[ValueIssue, ...]
    read_at: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an upsert would do."""

    features: dict[str, tuple[str, ...]] = field(repr=False)
    match: MatchResult
    outcome: WriteOutcome
    golden_id: str
    read_at: str


class SurvivorshipCriterion(StrEnum):
    """Why one value stands before another; unspecified where nothing had to be decided."""

    UNSPECIFIED = "unspecified"
    COMPLETENESS = "completeness"
    TRUST = "trust"
    RECENCY = "recency"
    FREQUENCY = "frequency"
    PINNED = "pinned"
    """A steward fixed it."""
    FIRST_STORED = "first_stored"
    """Equal by every criterion."""


@dataclass(frozen=True, slots=True)
class AlternativeValue:
    """A value that members state and the golden record does not show."""

    value: str
    source: SourceKey
    updated_at: str
    rank: int
    record_count: int
    lost_by: SurvivorshipCriterion


@dataclass(frozen=True, slots=True)
class GoldenValue:
    """One surviving value and the record that states it."""

    field: str
    value: str
    source: SourceKey
    updated_at: str
    rank: int
    assurance: Assurance
    alternative_count: int
    decided_by: SurvivorshipCriterion
    record_count: int
    alternatives: tuple[AlternativeValue, ...] = ()
    """What members state besides; only on request, and of single-valued fields."""

    @property
    def is_pinned(self) -> bool:
        """Whether a steward fixed the value."""
        return self.decided_by is SurvivorshipCriterion.PINNED


@dataclass(frozen=True, slots=True)
class Member:
    """One source record of a golden record."""

    key: SourceKey
    updated_at: str
    is_anchor: bool


@dataclass(frozen=True, slots=True)
class GoldenRecord:
    """What is known of one bearer; `golden_id` is the surviving one, empty if retired, unknown or invalid."""

    requested_golden_id: str
    golden_id: str
    status: GoldenIdStatus
    kind: EntityKind
    values: tuple[GoldenValue, ...] = field(repr=False)
    members: tuple[Member, ...] = field(repr=False)
    member_count: int
    absorbed_golden_ids: tuple[str, ...]
    potential_match_count: int
    read_at: str
    is_erased: bool = False
    """Whether the bearer of the requested golden ID was erased."""


@dataclass(frozen=True, slots=True)
class CurrentGoldenIds:
    """What stored golden IDs stand for now, as columns in the order asked."""

    surviving_golden_ids: list[str]
    statuses: list[GoldenIdStatus]
    read_at: str


@dataclass(frozen=True, slots=True)
class CrosswalkChunk:
    """Rows of one registry and kind, as columns."""

    registry: str
    kind: EntityKind
    record_ids: list[str] = field(repr=False)
    golden_ids: list[str]


@dataclass(frozen=True, slots=True)
class GoldenRecordChunk:
    """Values of whole golden records, as columns in the order of the golden IDs."""

    golden_ids: list[str]
    value_counts: list[int]
    """For each golden ID, how many of the values below are its own, in order."""
    fields: list[str]
    """Path of each value, for example `full_name` or `identifiers.tax_code`."""
    values: list[str] = field(repr=False)
    registries: list[str]
    """Registry of the record that states each value."""
    record_ids: list[str] = field(repr=False)
    updated_at: list[str]
    """When that record last changed, as its registry wrote it."""
    assurances: list[Assurance]
    """How far each value is believed; unspecified but for identifiers."""
    decided_by: list[SurvivorshipCriterion]
    """What put each value before the next best."""


@dataclass(frozen=True, slots=True)
class GoldenIdLineage:
    """Where one golden ID comes from and what became of it."""

    golden_id: str
    status: GoldenIdStatus
    surviving_golden_id: str
    """What answers in its place: itself, its survivor, or empty when it is retired."""
    minted_at: datetime
    predecessor_golden_ids: tuple[str, ...]
    """What its first records answered under before: it was split off them."""


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of one operation of a load."""

    ordinal: int
    outcome: WriteOutcome
    golden_id: str = ""
    value_issues: tuple[ValueIssue, ...] = ()
    changes: tuple[GoldenIdChange, ...] = ()
