"""What the service answers about erasures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mdm_client.records import SourceKey


@dataclass(frozen=True, slots=True)
class ExportMade:
    """One export that was handed out: a file for the operator to find and delete."""

    made_at: datetime
    token: str
    kind: str
    registries: tuple[str, ...]
    """None means all."""
    row_count: int
    actor: str
    purpose: str


@dataclass(frozen=True, slots=True)
class SubjectErasure:
    """What was erased, or would be; `token` is empty for a dry run and where nothing was left to erase."""

    golden_ids: tuple[str, ...]
    keys: tuple[SourceKey, ...] = field(repr=False)
    record_count: int
    deleted_record_count: int
    passed_on_record_count: int
    mention_count: int
    exports: tuple[ExportMade, ...]
    token: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure as the journal keeps it; holds nothing of its subject."""

    token: str
    erased_at: datetime
    is_finished: bool
    """Whether every derived copy in the data directory is gone, too."""
    golden_ids: tuple[str, ...]
    record_count: int
    actor: str
    reason: str
