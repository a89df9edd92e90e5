"""What the service answers about loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mdm_client.records import SourceKey
from mdm_client.results import WriteOutcome


class LoadStatus(StrEnum):
    """Where a load stands."""

    UNSPECIFIED = "unspecified"
    OPEN = "open"
    """Begun and not ended: running, or broken off and to be gone on with."""
    FINISHED = "finished"
    REVERTING = "reverting"
    REVERTED = "reverted"


class LoadRevertEffect(StrEnum):
    """What becomes of a record when its load is taken back."""

    UNSPECIFIED = "unspecified"
    WITHDRAWN = "withdrawn"
    RESTORED = "restored"
    RETURNED = "returned"
    LEFT_CHANGED = "left_changed"
    LEFT_ERASED = "left_erased"


@dataclass(frozen=True, slots=True)
class LoadRevertEffects:
    """What taking a load back does, or leaves undone. A record that the load wrote more than once counts each time."""

    withdrawn_record_count: int
    """The load had created them, or brought them back; they are deleted."""
    restored_record_count: int
    """The load had changed them; they have their former values."""
    returned_record_count: int
    """The load had deleted them; they are stored again."""
    left_changed_record_count: int
    """A later write changed them; they stay as they are."""
    left_erased_record_count: int
    failed_record_count: int
    """A defect stood in the way; the server's log names it."""
    parted_count: int
    """Merges by the load whose golden records are apart again."""
    left_judged_count: int
    """Merges by the load that stay, because a steward said so."""
    retired_golden_id_count: int
    revived_golden_id_count: int
    asked_count: int = 0
    """Questions put to stewards about somebody who came while the load hid a record; no dry run foresees them."""


@dataclass(frozen=True, slots=True)
class LoadRevert:
    """A load being taken back, or that was."""

    started_at: datetime
    actor: str
    reason: str
    effects: LoadRevertEffects
    progress_share: float
    """0 to 1."""
    token: str
    """A read that carries it sees all of it; empty before it is complete."""


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load as the service keeps it."""

    load_id: str
    name: str
    """What its caller calls it; a name that is loaded again gets another id."""
    feed: str
    status: LoadStatus
    started_at: datetime
    finished_at: datetime | None
    actor: str
    purpose: str
    is_full: bool
    is_resolved_later: bool
    allow_older: bool
    content_digest: str
    outcome_counts: dict[WriteOutcome, int]
    """Operations; of an open load those that are durable."""
    row_count: int
    """As its caller stated it at the end; so are the two that follow."""
    unchanged_record_count: int
    rejected_row_count: int
    revert: LoadRevert | None
    refused_delete_count: int = 0
    """Records that its file lacked and that were not deleted, because a gate of its caller's stood in the way."""
    registry_digest: str = ""
    """Of the declaration of the registry by which its rows were read, as its caller stated it."""
    is_registry_changed: bool = False
    """Whether another declaration was in force when it ended: its rows were all read by the one of its beginning."""


@dataclass(frozen=True, slots=True)
class LoadRevertExample:
    """One record of a load, and what would become of it."""

    effect: LoadRevertEffect
    key: SourceKey | None = field(repr=False)
    """None once it is erased."""
    golden_id: str
    """Now; empty if it is deleted or pending."""
    former_golden_id: str
    """Before the load; empty if it had none."""


@dataclass(frozen=True, slots=True)
class LoadRevertPreview:
    """What taking a load back would do, as everything stands now."""

    load: LoadRecord
    effects: LoadRevertEffects
    examples: tuple[LoadRevertExample, ...]
    read_at: str
