"""What the writer is asked and what it answers; also the frames of the private socket between readers and writer."""

from __future__ import annotations

import enum

import msgspec

from mdm import errors
from mdm.domain.changes import ChangeKind
from mdm.domain.events import Cause, Joining, Judge, ReviewAnswer
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.records import SourceRecord
from mdm.domain.reviews import ReviewKind
from mdm.errors import InvalidGoldenIdError, InvalidInputError, MdmError
from mdm.limits import REVIEW_LEASE_S
from mdm.linkage.features import FieldIssue
from mdm.store.index import IndexVersions

REVERT_LOAD = "RevertLoad"
"""Method in the cause of every event by which a load is taken back."""


class WriteOutcome(enum.StrEnum):
    """What became of one written record."""

    CREATED = "created"
    """Resolved; a golden ID of its own, no candidate near."""
    LINKED = "linked"
    """Resolved; belongs to a golden record with other members."""
    REVIEW = "review"
    """Resolved; a golden ID of its own and a potential match for a steward."""
    UPDATED = "updated"
    """Was known already; its values changed and its golden ID did not."""
    PENDING = "pending"
    """Stored for a following re-linkage."""
    UNCHANGED = "unchanged"
    """Identical to what is stored; nothing written."""
    STALE = "stale"
    """Older than what is stored; nothing written."""
    DELETED = "deleted"
    ABSENT = "absent"
    """A delete of what was never stored, or is deleted already; nothing written."""


class GoldenIdChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One affected golden ID and what happened to it."""

    golden_id: GoldenId
    kind: ChangeKind
    successor: GoldenId | None = None


class ScoredCandidate(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One candidate record as a reader scored it."""

    number: RecordNumber
    match_weight_bits: float
    levels: tuple[int, ...]


class Proposal(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A reader's work on one record: the writer scores again only if something it rests on changed since `read_seq`."""

    read_seq: int
    features: bytes
    posting_keys: tuple[bytes, ...]
    candidates: tuple[ScoredCandidate, ...]
    issues: tuple[FieldIssue, ...]
    model: str
    epoch: str
    versions: IndexVersions
    """Normaliser and specification version; another one makes the proposal void."""


class ClerkChoice(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a clerk said at the counter: one of the shown candidates, or none of them."""

    chosen: GoldenId | None
    shown: tuple[GoldenId, ...] = ()


class Request(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Who asks, and under which id a repetition gets the first answer.

    An empty `request_id` switches the repetition guard off (streams have their own: load id and ordinal).
    """

    cause: Cause
    request_id: str = ""
    content_hash: bytes = b""


class Upsert(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Upsert"):
    """Store a record and, unless `is_deferred`, resolve it."""

    request: Request
    record: SourceRecord
    is_deferred: bool = False
    allow_older: bool = False
    proposal: Proposal | None = None
    choice: ClerkChoice | None = None
    ordinal: int = 0
    """1-based position in the load; 0 outside of loads."""
    other_kind: EntityKind | None = None
    """Of the other record, under the same record id, that the same row of the source is about."""


class Delete(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Delete"):
    """Withdraw a record."""

    request: Request
    key: SourceKey
    ordinal: int = 0
    updated_at: str = ""
    """When the source last changed what asks for it; a record that is newer stays. Empty for whatever is stored."""
    allow_older: bool = False


class BeginLoad(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="BeginLoad"):
    """Begin a load, or go on with the one of the same name that did not end."""

    request: Request
    name: str
    feed: str
    is_full: bool = False
    is_deferred: bool = False
    allow_older: bool = False
    content_digest: str = ""
    registry_digest: str = ""
    """Of the declaration by which the caller reads the rows."""


class FinishLoad(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="FinishLoad"):
    """The load's last row was acknowledged; the same name starts from the beginning next time."""

    request: Request
    """Its cause names the load."""
    row_count: int = 0
    """As the caller states it; so are the two that follow."""
    unchanged_count: int = 0
    rejected_count: int = 0
    refused_delete_count: int = 0


class RevertLoad(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RevertLoad"):
    """Take a load back; done step by step between writes."""

    request: Request
    load_id: str
    reason: str = ""
    keeps_later: bool = False
    """Whether later loads of the same records stand, and what they wrote stays."""


class CommitRelink(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="CommitRelink"):
    """Commit the stored plan of a run."""

    request: Request
    run_id: str
    churn_share_max: float = 1.0
    """Refused if the plan would change a larger share of the golden IDs."""


class StartRelink(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="StartRelink"):
    """Make a plan; committing it is a command of its own."""

    request: Request
    memory_limit_bytes: int = 0
    """0 leaves the default."""
    kind: EntityKind | None = None
    """The only kind to link; None for both."""
    is_learning: bool = False
    """Whether m and u are learned anew although an operator pinned a model; a commit then takes the pin away."""
    reverts: str = ""
    """The run that the plan is to take back, instead of linking anew."""
    core_count_max: int = 0
    """Processor cores of the process; 0 leaves it all."""


class CancelRelink(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="CancelRelink"):
    """Stop a running plan or commit after the component in hand."""

    request: Request
    run_id: str


class SwitchModel(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="SwitchModel"):
    """Put a model in force that a reader has read, put through the gates and compared."""

    request: Request
    kind: EntityKind
    body: bytes
    """The model file; empty for a roll-back, for which the journal says which model it is."""
    compared_with: str
    """Digest of the model in force when it was compared; another one in force makes the comparison void."""
    reason: str = ""
    is_rollback: bool = False


class SwitchRules(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="SwitchRules"):
    """Put rules of survivorship in force that a reader has read and checked."""

    request: Request
    body: bytes
    """The file as it was given."""
    reason: str = ""


class SwitchConfiguration(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="SwitchConfiguration"):
    """Put the registries of a file in force that a reader has read and checked."""

    request: Request
    body: bytes
    """A `Declaration` as JSON."""
    is_whole: bool = False
    """Whether registries that it lacks are taken away."""
    reason: str = ""
    etag: str = ""
    """Digest of the configuration that the file was made from; empty for any."""


class Erase(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Erase"):
    """Destroy a person's or firm's values: of the golden record, or of one record without a golden record."""

    request: Request
    golden_id: GoldenId | None
    key: SourceKey | None = None
    """Instead of a golden ID: of a resolved record its whole golden record, of any other the record alone."""
    reason: str = ""
    expected_record_count: int | None = None
    """Records that a dry run counted; with another number nothing is erased."""


class WithdrawJudgement(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="WithdrawJudgement"):
    """Take a judgement back, with all of its act."""

    judgement: int
    """Seq of its event."""


class Unmerge(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Unmerge"):
    """Give a golden ID back that was merged."""

    golden_id: GoldenId


class Split(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Split"):
    """Take records out of a golden record and make them one of their own."""

    golden_id: GoldenId
    numbers: tuple[RecordNumber, ...]


class Pin(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Pin"):
    """Fix the value that a golden record shows for a field."""

    golden_id: GoldenId
    field: str
    value: str


class Unpin(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Unpin"):
    """Let a fixed value go."""

    golden_id: GoldenId
    field: str


Act = Joining | WithdrawJudgement | Unmerge | Split | Pin | Unpin


class Steward(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Steward"):
    """Carry out a steward's act on golden records."""

    request: Request
    act: Act
    reason: str
    etag: str = ""
    """What the steward looked at; empty decides whatever is there."""
    is_dry_run: bool = False


class ReviewFilter(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Which reviews are meant; nothing stated means all."""

    kinds: tuple[ReviewKind, ...] = ()
    entity_kind: EntityKind | None = None
    registry: str = ""
    priority_min: int = 0
    skipped: tuple[int, ...] = ()


class ClaimReview(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ClaimReview"):
    """Keep a review for oneself for a while."""

    request: Request
    review: int = 0
    """0 takes the most urgent one that passes the filter and nobody works on."""
    wanted: ReviewFilter = ReviewFilter()
    lease_s: int = REVIEW_LEASE_S


class ReleaseReview(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ReleaseReview"):
    """Give a review back, or hand it to somebody who may decide more."""

    request: Request
    review: int
    is_escalated: bool = False
    reason: str = ""


class ResolveReview(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ResolveReview"):
    """Answer a review."""

    request: Request
    review: int
    answer: ReviewAnswer
    reason: str
    etag: str = ""
    is_dry_run: bool = False


StewardCommand = Steward | ClaimReview | ReleaseReview | ResolveReview
Command = (
    Upsert
    | Delete
    | BeginLoad
    | FinishLoad
    | RevertLoad
    | StartRelink
    | CommitRelink
    | CancelRelink
    | SwitchModel
    | SwitchRules
    | SwitchConfiguration
    | Erase
    | StewardCommand
)


class WriteAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="WriteAnswer"):
    """What became of an upsert or delete; durable when it arrives."""

    outcome: WriteOutcome
    seq: int
    """Journal position at which the answer holds."""
    golden_id: GoldenId | None = None
    changes: tuple[GoldenIdChange, ...] = ()
    issues: tuple[FieldIssue, ...] = ()
    is_new_bearer: bool = False
    is_repeated: bool = False
    """The first answer to the same request_id."""
    ordinal: int = 0
    match_weight_bits: float | None = None
    """Weight of the pair that decided; None when nothing came near or nothing was decided."""


class LoadAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="LoadAnswer"):
    """A load may go on."""

    load_id: str
    ordinal: int
    """Its last durable ordinal, 0 if none."""
    seq: int
    is_registry_changed: bool = False
    """At its end: whether another declaration is in force than the one that its rows were read by."""


class RunAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RunAnswer"):
    """A re-linkage run was started, committed or cancelled; its state is a file that readers can watch."""

    run_id: str
    seq: int


class EraseAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="EraseAnswer"):
    """The values are destroyed in the journal; derived copies go next, until `ErasureFinished` names `erasure_seq`."""

    seq: int
    erasure_seq: int
    """0 if there was nothing to erase any more."""
    is_repeated: bool = False


class SwitchAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="SwitchAnswer"):
    """A model, rules of survivorship or a configuration are in force from `seq` on."""

    digest: str
    seq: int
    is_repeated: bool = False


class RecordGroup(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A golden record before or after an act."""

    golden_id: GoldenId
    is_minted: bool
    """Issued by the act; a dry run shows another ID than the act will give."""
    numbers: tuple[RecordNumber, ...]


class StewardAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="StewardAnswer"):
    """What a steward's act did, or would do."""

    seq: int
    changes: tuple[GoldenIdChange, ...] = ()
    before: tuple[RecordGroup, ...] = ()
    after: tuple[RecordGroup, ...] = ()
    made: tuple[Judge, ...] = ()
    withdrawn: tuple[Judge, ...] = ()
    contradicted: tuple[int, ...] = ()
    """In a dry run: the judgements that stand against the act, as a chain."""
    etag: str = ""
    """What the act was decided on."""
    judgement: int = 0
    """The act's first judgement: withdrawing it withdraws the act."""
    review: int = 0
    """The review that was claimed, or opened for a second person."""
    is_proposed: bool = False
    """Nothing was done yet: the act waits for a second person."""
    is_repeated: bool = False


class Refusal(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Refusal"):
    """An error that belongs to the command alone: class name of `mdm.errors` and its arguments."""

    error: str
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, error: MdmError) -> Refusal:
        """Return the frame of an error."""
        if isinstance(error, InvalidGoldenIdError):
            return cls(type(error).__name__, (error.rule, error.field))
        if isinstance(error, InvalidInputError):
            return cls(type(error).__name__, (error.field, error.rule))
        return cls(type(error).__name__, tuple(str(argument) for argument in error.args))

    def as_error(self) -> MdmError:
        """Return the error that the frame carries."""
        raised: MdmError = getattr(errors, self.error)(*self.arguments)
        return raised


Accepted = WriteAnswer | LoadAnswer | RunAnswer | SwitchAnswer | EraseAnswer | StewardAnswer
Answer = Accepted | Refusal
