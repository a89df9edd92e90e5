"""What re-linkage answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mdm_client.records import EntityKind, SourceKey


class RelinkState(StrEnum):
    """How far a re-linkage has come."""

    UNSPECIFIED = "unspecified"
    PLANNING = "planning"
    PLANNED = "planned"
    COMMITTING = "committing"
    COMMITTED = "committed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RelinkChange(StrEnum):
    """What happens to records or golden IDs."""

    UNSPECIFIED = "unspecified"
    NEW = "new"
    JOINED = "joined"
    MERGED = "merged"
    SPLIT = "split"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class RelinkRun:
    """One run of re-linkage."""

    run_id: str
    state: RelinkState
    stage: str
    progress_fraction: float
    snapshot_token: str
    plan_digest: str
    started_at: datetime | None
    ended_at: datetime | None
    component_count: int
    committed_component_count: int
    dropped_component_count: int
    error_reason: str
    token: str
    reverts_run_id: str = ""
    """The run that this one takes back; empty for a re-linkage."""

    @property
    def is_under_way(self) -> bool:
        """Whether the service is working on it."""
        return self.state in {RelinkState.PLANNING, RelinkState.COMMITTING}


@dataclass(frozen=True, slots=True)
class ComparisonTraining:
    """What became of the weights of one comparison: learned, or kept with the gate that stopped them."""

    comparison: str
    is_learned: bool
    gate: str
    detail: str


@dataclass(frozen=True, slots=True)
class TrainingSession:
    """One run of expectation maximisation."""

    columns: tuple[str, ...]
    iteration_count: int
    last_change: float
    is_converged: bool


@dataclass(frozen=True, slots=True)
class RelinkImpact:
    """What a plan would change, for one entity kind."""

    kind: EntityKind
    record_count: int
    pending_record_count: int
    golden_record_count_before: int
    golden_record_count_after: int
    created_golden_id_count: int
    merged_golden_id_count: int
    split_golden_id_count: int
    restored_golden_id_count: int
    moved_record_count: int
    potential_match_count: int
    scored_pair_count: int
    refused_link_count: int
    model_digest: str
    epoch_digest: str
    is_shipped_model_kept: bool
    largest_member_count: int
    model_origin: str = ""
    comparisons: tuple[ComparisonTraining, ...] = ()
    sessions: tuple[TrainingSession, ...] = ()
    unchanged_golden_id_count: int = 0
    closed_potential_match_count: int = 0
    registries: tuple[RelinkRegistryImpact, ...] = ()
    sizes: tuple[RelinkSizeCount, ...] = ()
    """How large golden records are before and after, the smallest first."""
    largest: tuple[RelinkLargeGoldenRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RelinkRegistryImpact:
    """What a plan would change for the records of one registry and kind."""

    registry: str
    record_count: int
    resolved_record_count: int
    moved_record_count: int


@dataclass(frozen=True, slots=True)
class RelinkSizeCount:
    """How many golden records have at least `member_count_min` members and fewer than the next entry says."""

    member_count_min: int
    golden_record_count_before: int
    golden_record_count_after: int


@dataclass(frozen=True, slots=True)
class RelinkLargeGoldenRecord:
    """One of the largest golden records that a plan leaves; without a golden ID if the commit issues it."""

    golden_id: str
    member_count: int
    registries: dict[str, int]


@dataclass(frozen=True, slots=True)
class RelinkExampleRecord:
    """A record of an example; no golden ID before if it is pending, none after if the commit issues it."""

    key: SourceKey
    golden_id_before: str
    golden_id_after: str
    is_deciding: bool


@dataclass(frozen=True, slots=True)
class RelinkExampleStep:
    """What one comparison of the deciding pair found and added to the match weight."""

    comparison: str
    level: str
    bits: float


@dataclass(frozen=True, slots=True)
class RelinkExample:
    """One component of a plan, and the pair that decides it."""

    kind: EntityKind
    change: RelinkChange
    records: tuple[RelinkExampleRecord, ...]
    record_count: int
    match_weight_bits: float | None
    steps: tuple[RelinkExampleStep, ...]


@dataclass(frozen=True, slots=True)
class RelinkReversal:
    """What taking a run back changes and what it leaves."""

    restored_component_count: int
    kept_judged_component_count: int
    kept_changed_component_count: int
    restored_golden_id_count: int
    withdrawn_golden_id_count: int
    kept_pending_record_count: int
    restored_settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RelinkReport:
    """The impact report of a run."""

    run: RelinkRun
    impacts: tuple[RelinkImpact, ...]
    examples: tuple[RelinkExample, ...] = ()
    dropped: tuple[tuple[SourceKey, ...], ...] = ()
    """The first components that the commit left as they are, by their records; the run counts all."""
    churn_percent: float = 0.0
    """Of the golden IDs, those that the plan changes."""
    reversal: RelinkReversal | None = None
