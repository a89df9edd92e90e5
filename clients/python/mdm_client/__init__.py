"""Python client of the record-linkage and master-data service `mdm.v1`.

    from mdm_client import Client, EntityKind

    with Client("127.0.0.1:50051") as client:
        print(client.lookup("hospital", EntityKind.CITIZEN, "BV006.26.106204").golden_id)

Read in this order: `records` (what goes in), `results`, `relink_results` and `relations` (what comes out), `errors`,
`client` (blocking), `aio` (asyncio), `tls` (encrypted connections), `gathering` (lookups that travel together),
`ingest` (loads that resume), `loads` and `load_results` (which there were, and taking one back), `digests` (for loads
that send what changed), `changes` (the change feed) and `crosswalk` (a copy that follows it), `relink`, `models` and
`model_results` (linkage models), `stewardship` and `stewardship_results` (judgements and reviews), `survivorship` and
`survivorship_results` (which values are shown), `configuration` and `configuration_results` (which registries there
are), `erasures` and `erasure_results`, `backups`, `explanations` and `explanation_results` (why and how), `health`,
`admin` and `admin_results` (the state of the service); behind them `calls`, `wire_relations`, `wire_relink`,
`wire_models`, `wire_loads`, `wire_stewardship`, `wire_survivorship`, `wire_configuration`, `wire_erasure`,
`wire_explanations` and `wire_admin` (each call as a value), `streams`, `exports`, `channel` (deadlines, retries),
`diagnosis` (why nothing answers), `wire` (plain values to messages), `faults` (which of them cannot travel). `testing`
is a server for your own tests.
"""

from mdm_client.aio import AsyncClient
from mdm_client.changes import ChangeFilter, WatchStart
from mdm_client.channel import Timeouts
from mdm_client.client import Client
from mdm_client.digests import content_digest
from mdm_client.errors import (
    CrosswalkCopyError,
    DataRestoredError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    IncompleteExportError,
    IngestError,
    InternalError,
    InvalidArgumentError,
    MdmError,
    NoHolderError,
    NotFoundError,
    ResourceExhaustedError,
    ServiceError,
    SeveralHoldersError,
    TlsFileError,
    UnavailableError,
)
from mdm_client.explanation_results import HistoryGround, ObstacleKind, PairJudgement
from mdm_client.health import ServingStatus
from mdm_client.ingest import Delete, Ingest, Load, LoadCounts, Upsert
from mdm_client.load_results import LoadRevertEffect, LoadStatus
from mdm_client.model_results import PairBand
from mdm_client.records import (
    Address,
    AddressKind,
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    EntityKind,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceKey,
    SourceRecord,
)
from mdm_client.relations import RelationDirection, RelationGround, RelationObstacle
from mdm_client.relink_results import RelinkChange, RelinkState
from mdm_client.results import (
    ClerkChoice,
    GoldenIdChangeType,
    GoldenIdStatus,
    MatchGrade,
    RecordStatus,
    ResolveOutcome,
    SurvivorshipCriterion,
    WriteOutcome,
)
from mdm_client.stewardship_results import ReviewAnswer, ReviewFilter, ReviewKind, ReviewState, Verdict
from mdm_client.streams import KeyBatch
from mdm_client.tls import Tls

__all__ = [
    "Address",
    "AddressKind",
    "Assurance",
    "AsyncClient",
    "BusinessAttributes",
    "ChangeFilter",
    "CitizenAttributes",
    "ClerkChoice",
    "Client",
    "CrosswalkCopyError",
    "DataRestoredError",
    "DeadlineExceededError",
    "Delete",
    "EntityKind",
    "FailedPreconditionError",
    "FieldViolation",
    "GoldenIdChangeType",
    "GoldenIdStatus",
    "HistoryGround",
    "Identifier",
    "IdentifierType",
    "IncompleteExportError",
    "Ingest",
    "IngestError",
    "InternalError",
    "InvalidArgumentError",
    "KeyBatch",
    "Load",
    "LoadCounts",
    "LoadRevertEffect",
    "LoadStatus",
    "MatchGrade",
    "MdmError",
    "NoHolderError",
    "NotFoundError",
    "ObstacleKind",
    "PairBand",
    "PairJudgement",
    "RecordStatus",
    "Relation",
    "RelationDirection",
    "RelationGround",
    "RelationObstacle",
    "RelationType",
    "RelinkChange",
    "RelinkState",
    "ResolveOutcome",
    "ResourceExhaustedError",
    "ReviewAnswer",
    "ReviewFilter",
    "ReviewKind",
    "ReviewState",
    "ServiceError",
    "ServingStatus",
    "SeveralHoldersError",
    "SourceKey",
    "SourceRecord",
    "SurvivorshipCriterion",
    "Timeouts",
    "Tls",
    "TlsFileError",
    "UnavailableError",
    "Upsert",
    "Verdict",
    "WatchStart",
    "WriteOutcome",
    "content_digest",
]
