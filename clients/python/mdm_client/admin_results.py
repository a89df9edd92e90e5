"""What the service answers about its own state."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from mdm_client.load_results import LoadStatus
from mdm_client.records import EntityKind


class ServiceMode(enum.StrEnum):
    """What the service can do now."""

    SERVING = "serving"
    READ_ONLY = "read_only"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class StartProgress:
    """How far a start has come."""

    stage: str
    done_count: int
    total_count: int


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """The journal."""

    seq: int
    token: str
    journal_id: str
    epoch: int
    last_event_at: datetime | None
    file_bytes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The index of the reader that answered."""

    applied_seq: int
    lag_events_count: int
    lag: timedelta
    file_bytes: int
    used_bytes: int
    map_bytes: int
    generation: str


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """The disk that holds the data."""

    free_bytes: int
    total_bytes: int
    write_free_bytes_min: int


@dataclass(frozen=True, slots=True)
class RecordCount:
    """Records of one registry and kind: live, pending or deleted."""

    registry: str
    kind: EntityKind
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class GoldenIdCount:
    """Golden IDs of one kind."""

    kind: EntityKind
    issued_count: int
    active_count: int
    redirected_count: int
    retired_count: int


@dataclass(frozen=True, slots=True)
class ReviewCount:
    """Reviews of one kind in one queue."""

    review_kind: str
    queue: str
    count: int


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What decides about one kind."""

    kind: EntityKind
    model_digest: str
    model_since: datetime | None
    epoch_digest: str
    epoch_since: datetime | None
    population_count: int


@dataclass(frozen=True, slots=True)
class LastRelink:
    """The last re-linkage."""

    run_id: str
    phase: str
    started_at: datetime
    ended_at: datetime | None
    stages: dict[str, timedelta]
    """Time spent on each, in the order in which it came to them."""


@dataclass(frozen=True, slots=True)
class LastLoad:
    """The last load of a feed."""

    feed: str
    load_id: str
    durable_ordinal: int
    is_finished: bool
    """Its last row is durable, or it was taken back; `status` tells."""
    status: LoadStatus = LoadStatus.UNSPECIFIED
    refused_delete_count: int = 0
    """Records that its file lacked and that were not deleted, because a gate of its caller's stood in the way."""


@dataclass(frozen=True, slots=True)
class LastBackup:
    """The last backup that its maker confirmed: proven and in its place."""

    confirmed_at: datetime
    seq: int
    file_bytes: int
    is_incremental: bool


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore from a backup that the data went through."""

    restored_at: datetime
    to_seq: int
    last_event_at: datetime | None
    """When the last event happened that it kept; None if it kept none."""
    epoch: int


@dataclass(frozen=True, slots=True)
class WriterStatus:
    """The writer."""

    is_alive: bool
    queue_count: int
    busy: timedelta
    checkpoint_at: datetime | None
    checkpoint_failure: str


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process."""

    name: str
    pid: int
    since: datetime
    restart_count: int
    memory_bytes: int
    is_serving: bool


@dataclass(frozen=True, slots=True)
class Versions:
    """What the service was made from."""

    release: str
    normaliser: str
    specification: str
    index_layout: int
    journal_layout: int


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The state of the service. Holds no personal data."""

    mode: ServiceMode
    mode_reason: str
    """Why writes are not served; empty while they are."""
    started_at: datetime | None
    warnings: tuple[str, ...]
    progress: StartProgress | None
    """Only while it starts."""
    journal: JournalStatus | None
    index: IndexStatus | None
    """None while it is being built, as is the journal."""
    disk: DiskStatus
    records: tuple[RecordCount, ...]
    golden_ids: tuple[GoldenIdCount, ...]
    reviews: tuple[ReviewCount, ...]
    oldest_review_opened_at: datetime | None
    judgement_count: int
    engines: tuple[EngineStatus, ...]
    last_relink: LastRelink | None
    last_loads: tuple[LastLoad, ...]
    last_backup: LastBackup | None
    restores: tuple[Restore, ...]
    """The latest last."""
    writer: WriterStatus
    processes: tuple[ProcessStatus, ...]
    versions: Versions
