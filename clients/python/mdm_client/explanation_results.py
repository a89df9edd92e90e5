"""What the service explains, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mdm_client.model_results import PairBand
from mdm_client.records import SourceKey
from mdm_client.results import Agreement, GoldenIdChangeType, GoldenIdStatus, GoldenRecord, RecordStatus

Subject = SourceKey | str
"""A record by its key, or a golden ID."""


class PairJudgement(StrEnum):
    """Whether a steward has judged a pair."""

    UNSPECIFIED = "unspecified"
    """Nobody has."""
    SAME = "same"
    DIFFERENT = "different"


class HistoryGround(StrEnum):
    """Who or what brought a change about."""

    UNSPECIFIED = "unspecified"
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


class ObstacleKind(StrEnum):
    """What stands between two records; `sentence` of the obstacle says it in words."""

    UNSPECIFIED = "unspecified"
    KIND = "kind"
    DELETED = "deleted"
    ERASED = "erased"
    PENDING = "pending"
    JUDGEMENT = "judgement"
    CLERK_CHOICE = "clerk_choice"
    VETO = "veto"
    MEMBER_VETO = "member_veto"
    LACK = "lack"
    BELOW_REVIEW = "below_review"
    BELOW_LINK = "below_link"
    NOT_COMPARED = "not_compared"
    BLOCK_TRUNCATED = "block_truncated"
    REFUSED_EDGE = "refused_edge"
    AMBIGUOUS = "ambiguous"
    MOVE_MARGIN = "move_margin"
    JOINT_EVIDENCE = "joint_evidence"
    TOO_LARGE = "too_large"
    NOT_RECONSIDERED = "not_reconsidered"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in Vietnamese and in English; holds no value of a person."""

    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a golden ID."""

    position: str
    """Token of its place in the journal: what `as_of` takes."""
    happened_at: datetime
    type: GoldenIdChangeType
    other_golden_id: str
    """The other golden ID that the type speaks of; empty if there is none."""
    keys: tuple[SourceKey, ...]
    """The records that came, went or are spoken of, at most 20."""
    record_count: int
    partner: SourceKey | None
    """The record whose evidence decided."""
    match_weight_bits: float | None
    ground: HistoryGround
    detail: str
    run_id: str
    actor: str
    purpose: str
    method: str
    load_id: str
    model_digest: str
    epoch_digest: str
    sentence: Sentence
    reason: str
    """Why, in the words of the steward or operator who acted; empty if none did."""
    authenticated: str
    """Subject of the certificate that the caller proved to hold, where `actor` is asserted; empty without one."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of what happened to a golden ID, and how the golden ID answers now."""

    requested_golden_id: str
    golden_id: str
    """The surviving golden ID; empty if retired."""
    status: GoldenIdStatus
    entries: tuple[HistoryEntry, ...]
    next_page_token: str
    """Empty on the last page."""
    read_at: str


@dataclass(frozen=True, slots=True)
class PastGoldenRecord:
    """What was known of a golden ID, its values chosen by the present rules."""

    record: GoldenRecord
    as_of: str
    """Token of the position that the answer is of."""
    erased_member_count: int
    """Members of then whose values were erased since: neither they nor their values are shown."""


@dataclass(frozen=True, slots=True)
class ExplainedRecord:
    """One of the records explained."""

    key: SourceKey | None
    """None after its erasure."""
    status: RecordStatus
    golden_id: str
    """Empty if it is pending or deleted."""
    updated_at: str


@dataclass(frozen=True, slots=True)
class ExplainedComparison:
    """What one comparison found and what it adds."""

    comparison: str
    level: str
    agreement: Agreement
    match_weight_bits: float
    """Level and term frequency together."""
    level_bits: float
    term_frequency_bits: float
    left_values: tuple[str, ...] = field(repr=False)
    """As the comparison used them."""
    right_values: tuple[str, ...] = field(repr=False)
    left_written_values: tuple[str, ...] = field(repr=False)
    """As the registry wrote them."""
    right_written_values: tuple[str, ...] = field(repr=False)
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says of a pair, whatever its weight."""

    rule: str
    """`veto`, `lack` or `judgement`."""
    name: str
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class SharedBlock:
    """A blocking rule by which both records are found."""

    rule: str
    holder_count: int
    is_truncated: bool
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits for a steward."""

    reason: str
    detail: str
    match_weight_bits: float
    opened_at: str
    """Token of its position."""
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class PairExplanation:
    """All that there is to say of two records; starting weight and comparisons add up to the match weight."""

    left: ExplainedRecord
    right: ExplainedRecord
    are_one: bool
    are_compared: bool
    """If not, kinds differ or values are gone, and there are no comparisons."""
    starting_weight_bits: float
    comparisons: tuple[ExplainedComparison, ...] = field(repr=False)
    match_weight_bits: float
    match_probability: float
    band: PairBand
    link_threshold_bits: float
    review_threshold_bits: float
    lead_bits: float
    expected_strangers: float | None
    """Others in the city who share this name and one given birth date, on average; None for businesses."""
    expected_strangers_max: float
    starting_sentence: Sentence
    summary: Sentence
    rulings: tuple[Ruling, ...]
    judgement: PairJudgement
    judged: HistoryEntry | None
    """Who judged, and when; None too for a judgement made under golden IDs that the two no longer have."""
    question: OpenQuestion | None
    shared_blocks: tuple[SharedBlock, ...]
    model_digest: str
    epoch_digest: str
    decision: HistoryEntry | None
    """By which they came together; of two that are apart, by which the later came to its golden ID."""
    was_decided_otherwise: bool
    """Whether that was under another model or epoch than the numbers here."""
    read_at: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that stands between two records."""

    kind: ObstacleKind
    detail: str
    missing_bits: float
    """How far the weight lies below what a link takes; 0 where none is meant."""
    keys: tuple[SourceKey, ...]
    rival_golden_ids: tuple[str, ...]
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class EnoughEvidence:
    """One thing that would be enough for a link, by itself."""

    name: str
    """A comparison of which both would have to state one value, `judgement` (withdrawn) or `steward` (a judgement)."""
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class WhyNot:
    """What keeps two records apart, the firmest first; nothing if they are one."""

    pair: PairExplanation
    obstacles: tuple[Obstacle, ...]
    enough: tuple[EnoughEvidence, ...]
    read_at: str


@dataclass(frozen=True, slots=True)
class EvidenceEdge:
    """The evidence of one pair within a golden record."""

    left: SourceKey
    right: SourceKey
    match_weight_bits: float
    band: PairBand
    judgement: PairJudgement
    detail: str
    """Name of the veto or of what is missing; empty if the pair would link."""
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class RecordPart:
    """Records that hold together without a bridge: the first 20, and how many there are."""

    keys: tuple[SourceKey, ...]
    record_count: int


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """A record without which a golden record would fall apart, into which parts, the largest first."""

    key: SourceKey
    parts: tuple[RecordPart, ...]


@dataclass(frozen=True, slots=True)
class HowGoldenRecord:
    """What holds a golden record together."""

    requested_golden_id: str
    golden_id: str
    """Empty if retired."""
    status: GoldenIdStatus
    members: tuple[ExplainedRecord, ...]
    erased_member_count: int
    edges: tuple[EvidenceEdge, ...]
    """The tree of strongest evidence, the strongest edge first."""
    weakest_edge: EvidenceEdge | None
    part_count: int
    """Parts by pairs that would link today; 1 if the members hold together without a steward."""
    bridges: tuple[BridgeRecord, ...]
    """At most 50, those that hold the most together first."""
    bridge_count: int
    model_digest: str
    epoch_digest: str
    steps: tuple[HistoryEntry, ...]
    """How its present members came, the oldest first."""
    read_at: str
