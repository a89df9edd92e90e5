"""What the service answers about the rules of survivorship."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mdm_client.records import EntityKind
from mdm_client.results import GoldenValue, SurvivorshipCriterion


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The file in force, and who put it in force, when and why."""

    digest: str
    content: bytes
    activated_at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class ValueExample:
    """One value that rules would change."""

    golden_id: str
    before: GoldenValue = field(repr=False)
    after: GoldenValue = field(repr=False)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What rules would change in one field."""

    path: str
    golden_record_count: int
    criteria: dict[SurvivorshipCriterion, int]
    """What would put the new values first → golden records."""
    examples: tuple[ValueExample, ...]


@dataclass(frozen=True, slots=True)
class KindComparison:
    """What rules would change in a sample of the golden records of one kind."""

    kind: EntityKind
    golden_record_count: int
    """Live ones in all; an estimate unless all were sampled."""
    sampled_golden_record_count: int
    changed_golden_record_count: int
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class RulesComparison:
    """What rules would change against those in force."""

    base_digest: str
    candidate_digest: str
    kinds: tuple[KindComparison, ...]


@dataclass(frozen=True, slots=True)
class RulesActivated:
    """Rules that were put in force; `token` is empty for a dry run."""

    digest: str
    was_in_force: bool
    token: str
