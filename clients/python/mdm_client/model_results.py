"""What the service answers about its linkage models."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from mdm_client.records import EntityKind


class PairBand(enum.StrEnum):
    """Which band a pair of records falls into."""

    UNSPECIFIED = "unspecified"
    LINK = "link"
    REVIEW = "review"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ModelActivation:
    """One time that a model was put in force."""

    kind: EntityKind
    digest: str
    activated_at: datetime
    actor: str
    purpose: str
    method: str
    reason: str
    is_in_force: bool
    is_pinned: bool
    is_rollback: bool
    is_usable: bool
    source: str
    trained_on: str
    record_count: int
    link_bits: float
    review_bits: float


@dataclass(frozen=True, slots=True)
class StatisticsInForce:
    """The statistics in force for one kind."""

    kind: EntityKind
    digest: str
    population_count: int


@dataclass(frozen=True, slots=True)
class ModelList:
    """Every activation, the latest first, and the statistics in force."""

    activations: tuple[ModelActivation, ...]
    statistics: tuple[StatisticsInForce, ...]

    def in_force(self, kind: EntityKind) -> ModelActivation:
        """Return the activation in force; raises LookupError if this kind was not asked for."""
        for each in self.activations:
            if each.is_in_force and each.kind is kind:
                return each
        message = f"no model of kind {kind} was listed"
        raise LookupError(message)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file and the digest that decisions name it by."""

    digest: str
    content: bytes


@dataclass(frozen=True, slots=True)
class BandChange:
    """Pairs that go from one band to another, or stay in it."""

    before: PairBand
    after: PairBand
    pair_count: int


@dataclass(frozen=True, slots=True)
class LevelPattern:
    """Pairs with the same comparison levels and the same change of band; never a value."""

    levels: tuple[str, ...]
    before: PairBand
    after: PairBand
    pair_count: int
    shift_bits: float


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """What a candidate model changes against a base, on a sample of golden records."""

    base_digest: str
    candidate_digest: str
    kind: EntityKind
    golden_record_count: int
    sampled_golden_record_count: int
    pair_count: int
    near_pair_count: int
    band_change_fraction: float
    changes: tuple[BandChange, ...]
    shift_min_bits: float
    shift_low_bits: float
    shift_median_bits: float
    shift_high_bits: float
    shift_max_bits: float
    patterns: tuple[LevelPattern, ...]
    merged_golden_record_count: int
    split_golden_record_count: int


@dataclass(frozen=True, slots=True)
class ModelInForce:
    """The model that was put in force; `comparison` is None for a repeated request, `token` empty for a dry run."""

    digest: str
    comparison: ModelComparison | None
    token: str
