"""What happened, as the journal keeps it: small facts without personal data, in total order.

A fact names records by number; who a number is stands in the sealed payload that `RecordUpserted` points to.
Decisions stand in the facts, so a replay with a newer model gives the same golden IDs.
Facts are msgpack arrays tagged by class name: fields may be appended with a default, never reordered or removed.
"""

from __future__ import annotations

import enum

import msgspec

from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.load_events import LoadFact

SCHEMA_VERSION = 1
"""Version of the facts below; stands on every event."""


class Outcome(enum.StrEnum):
    """What resolution made of a record."""

    LINKED = "linked"
    """Joined a golden record that existed."""
    CREATED = "created"
    """No candidate came near: a golden ID of its own."""
    REVIEW = "review"
    """A golden ID of its own, and at least one potential match for a steward."""


class MatchReason(enum.StrEnum):
    """Why a pair became a potential match instead of a link."""

    WEIGHT = "weight"
    """The match weight lies between the review and the link threshold."""
    VETO = "veto"
    """Above the link threshold, but something forbids the link."""
    AMBIGUOUS = "ambiguous"
    """Two candidates that exclude each other lie too close together."""
    THIN_EVIDENCE = "thin_evidence"
    """A personal ID alone, or a name and birth date that a stranger may well share."""
    REFUSED_EDGE = "refused_edge"
    """Would have put a veto inside a cluster."""
    IDENTIFIER_CONFLICT = "identifier_conflict"
    """Two golden records hold one verified identifier."""
    RELINK_LEFTOVER = "relink_leftover"
    """A re-linkage would have joined them, but something in the component changed before its commit."""
    LOAD_REVERT = "load_revert"


class Verdict(enum.StrEnum):
    """A steward's judgement about two records."""

    SAME = "same"
    DIFFERENT = "different"


class RegroupReason(enum.StrEnum):
    """Why golden records were merged, split or rearranged."""

    FRAGMENTS = "fragments"
    """A new record showed that golden records belong together."""
    RELINK = "relink"
    JUDGEMENT = "judgement"
    CLERK_CHOICE = "clerk_choice"
    REVERT = "revert"
    """A re-linkage was taken back where nothing had happened since."""
    LOAD_REVERT = "load_revert"
    """What a load had merged came apart when the load was taken back."""


class RecordUpserted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RecordUpserted"):
    """A record came or changed. Without a following `RecordResolved` a new record is pending."""

    number: RecordNumber
    registry: str
    kind: EntityKind
    payload_id: int
    payload_hash: bytes
    """Keyed with the record's own key, so that it reveals nothing once the key is destroyed."""
    updated_at_us: int | None = None
    is_new_bearer: bool = False
    is_returning: bool = False
    """Whether its registry had withdrawn it. Events from before loads could be taken back never say so."""
    former_payload_id: int = 0
    former_seq: int = 0
    restored_seq: int = 0
    """The version before, the event that brought that, and the one whose version a revert gives back; 0 for none."""


class RecordDeleted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RecordDeleted"):
    """The registry withdrew the record; it leaves its golden record. Seqs and time are as in `RecordUpserted`."""

    number: RecordNumber
    former_seq: int = 0
    restored_seq: int = 0
    updated_at_us: int | None = None


class PotentialMatchOpened(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="PotentialMatchOpened"):
    """Two records may be the same; a steward has to say. `left` < `right`. `former`: how they were asked before."""

    left: RecordNumber
    right: RecordNumber
    reason: MatchReason
    match_weight_bits: float
    detail: str = ""
    """Name of the veto or missing evidence; never a value."""
    run_id: str = ""
    """The re-linkage run that asked, if any."""
    former: tuple[MatchReason, float, str] | None = None


class RecordResolved(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RecordResolved"):
    """One record joined `golden_id`, which was minted for it if `is_minted`."""

    number: RecordNumber
    golden_id: GoldenId
    is_minted: bool
    outcome: Outcome
    partner: RecordNumber | None = None
    """The member whose evidence was strongest."""
    match_weight_bits: float | None = None
    answered: tuple[PotentialMatchOpened, ...] = ()
    """The open questions that it answers, as in `RecordsRegrouped`; none before loads could be taken back."""


class Group(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One cluster after a regrouping: all its members and the ID that it answers under."""

    golden_id: GoldenId
    is_minted: bool
    numbers: tuple[RecordNumber, ...]


class Former(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a golden ID was before a re-linkage touched it: all that is needed to give it back."""

    golden_id: GoldenId
    anchor: RecordNumber
    numbers: tuple[RecordNumber, ...]
    """Its members; none for an ID that redirected to the one that held its anchor."""


class RecordsRegrouped(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RecordsRegrouped"):
    """Golden records were merged, split or rearranged: `groups` hold every member of each one touched."""

    groups: tuple[Group, ...]
    reason: RegroupReason
    left: RecordNumber | None = None
    right: RecordNumber | None = None
    match_weight_bits: float | None = None
    run_id: str = ""
    former: tuple[Former, ...] = ()
    """Every golden ID that it touched, as it was; records in none were pending. Early merges of fragments have none."""
    answered: tuple[PotentialMatchOpened, ...] = ()
    """The open questions that it answers: both records stand under one golden ID now. As `former`."""


class AnchorMoved(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="AnchorMoved"):
    """The golden ID's anchor left it; the oldest remaining member takes its place."""

    golden_id: GoldenId
    number: RecordNumber


class GoldenIdRetired(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="GoldenIdRetired"):
    """The golden ID lost its last member. It answers for ever and is never refilled."""

    golden_id: GoldenId


class GoldenIdRevived(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="GoldenIdRevived"):
    """A load that had retired the golden ID was taken back: it stands for the record again that it was retired with."""

    golden_id: GoldenId
    number: RecordNumber
    is_redirect: bool = False
    """Whether it leads to the record's golden ID, instead of being that."""


class PotentialMatchClosed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="PotentialMatchClosed"):
    """The question no longer stands, because the evidence changed."""

    left: RecordNumber
    right: RecordNumber
    run_id: str = ""
    """The re-linkage run that closed it, if any."""
    reason: MatchReason | None = None
    """What was asked, as in the fields that follow; None in events from before loads could be taken back."""
    match_weight_bits: float = 0.0
    detail: str = ""


class JudgementMade(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="JudgementMade"):
    """A steward said that two records are the same or different bearers; binds every later decision."""

    left: RecordNumber
    right: RecordNumber
    verdict: Verdict
    reason_ids: tuple[int, ...] = ()
    """Payloads that together hold the steward's words; see `mdm.resolve.reasons`."""
    agreeing: tuple[str, ...] = ()
    """Of a "different": comparisons that agreed between the two golden records, so known when it was said."""
    act_seq: int = 0
    """First judgement of the act that it belongs to: they are withdrawn together. 0 before acts were kept."""
    regrouped_seq: int = 0
    """The regrouping that the act brought about, if any."""


class JudgementWithdrawn(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="JudgementWithdrawn"):
    """The steward took the judgement back."""

    left: RecordNumber
    right: RecordNumber
    reason_ids: tuple[int, ...] = ()
    made_seq: int = 0
    """Where the key changed its bearer: the judgement that ceased to bind, so that a reverted load can restore it."""


class ValuePinned(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ValuePinned"):
    """A steward fixed one value of the golden record that holds `number`; the value is in the payload."""

    number: RecordNumber
    field: str
    payload_id: int
    reason_ids: tuple[int, ...] = ()


class ValueUnpinned(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ValueUnpinned"):
    """The steward let the value go."""

    number: RecordNumber
    field: str
    reason_ids: tuple[int, ...] = ()
    payload_id: int = 0
    """Where the record left: the value that was fixed, so that a reverted load can restore it."""


class ClerkChose(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ClerkChose"):
    """At a counter a clerk said which candidate the record is, or that it is none; evidence below a judgement."""

    number: RecordNumber
    chosen: RecordNumber | None
    rejected: tuple[RecordNumber, ...] = ()


class ConfigurationChanged(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ConfigurationChanged"):
    """Registries, trust or survivorship changed; the content is the artefact of this digest."""

    digest: str
    part: str = "configuration"
    """The setting that names it: `configuration` for the registries, `survivorship` for the rules of values."""
    reason: str = ""
    """Why, in the operator's words; no personal data."""


class ModelActivated(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ModelActivated"):
    """From here on decisions about this kind use the model of this digest."""

    kind: EntityKind
    digest: str
    is_pinned: bool = False
    """Whether an operator chose it: re-linkages use it as it is until they are asked to learn."""
    is_rollback: bool = False
    """Whether it takes the last activation back; the digest is that of the one before."""
    reason: str = ""
    """Why, in the operator's words; no personal data."""


class EpochActivated(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="EpochActivated"):
    """From here on decisions about this kind use the statistics epoch of this digest."""

    kind: EntityKind
    digest: str


class RelinkCommitStarted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RelinkCommitStarted"):
    """Header of a commit: a killed commit resumes behind its last progress."""

    run_id: str
    plan_digest: str
    item_count: int
    active_before: tuple[tuple[str, str], ...] = ()
    """Setting (`model:<kind>`, `epoch:<kind>`, `pin:<kind>`) and digest of what was active before the run."""
    reverts: str = ""
    """The run that this one takes back, if it is none of its own."""


class RelinkProgressed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RelinkProgressed"):
    """The first `done_count` items of the run's plan are committed, or dropped because something in them changed."""

    run_id: str
    done_count: int
    dropped_count: int


class RelinkCommitFinished(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="RelinkCommitFinished"):
    """Trailer of a commit."""

    run_id: str
    dropped_count: int


class Judge(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Judge"):
    """Say that two records are of the same or of different bearers."""

    left: RecordNumber
    right: RecordNumber
    verdict: Verdict


class Merge(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Merge"):
    """Make two golden records one."""

    left: GoldenId
    right: GoldenId


class Move(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="Move"):
    """Take a record out of its golden record and put it into another one."""

    number: RecordNumber
    target: GoldenId


Joining = Judge | Merge | Move
"""Acts that may make golden records larger, and so may need a second person."""


class ReviewAnswer(enum.StrEnum):
    """What a steward says to a review."""

    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"
    """Parks the review."""
    ACCEPT = "accept"
    """The large golden record is right as it is."""
    APPROVE = "approve"
    """A second person lets a proposal through."""
    REJECT = "reject"


class OversizeFound(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="OversizeFound"):
    """A golden record has grown beyond what one bearer's records usually number; a steward has to look."""

    golden_id: GoldenId
    member_count: int


class MergeProposed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="MergeProposed"):
    """One person wants to join golden records that are too large for one person to join."""

    joining: Joining
    left: RecordNumber
    right: RecordNumber
    """The two records that the act would bring together; `left` < `right`."""
    member_count: int
    expires_at_us: int
    reason_ids: tuple[int, ...] = ()


class ReviewClaimed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ReviewClaimed"):
    """The event's actor works on a review until `until_us`, unless it is released before; its rest is over."""

    review: int
    """Seq of the event that opened the review."""
    until_us: int


class ReviewReleased(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ReviewReleased"):
    """The review went back to the common queue, from a claim, from rest, or from an escalation."""

    review: int


class ReviewParked(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ReviewParked"):
    """A steward could not tell; the review rests until `until_us`, or until its evidence changes."""

    review: int
    until_us: int
    reason_ids: tuple[int, ...] = ()


class ReviewEscalated(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ReviewEscalated"):
    """The review waits for somebody who may decide more."""

    review: int
    reason_ids: tuple[int, ...] = ()


class ReviewSettled(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ReviewSettled"):
    """A review ended that no judgement ends: a large golden record was accepted, a proposal approved or rejected."""

    review: int
    answer: ReviewAnswer
    reason_ids: tuple[int, ...] = ()


class SubjectErased(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="SubjectErased"):
    """A person's values are destroyed: the journal's with this event, every derived copy until `ErasureFinished`.

    The events before it in the same transaction have deleted the records and retired the golden IDs.
    """

    golden_ids: tuple[GoldenId, ...]
    """The surviving ID first, then those that it absorbed; none for a record without one."""
    numbers: tuple[RecordNumber, ...]
    """Records erased with all their versions."""
    passed_on: tuple[tuple[RecordNumber, int], ...] = ()
    """(record, payload id): records that have another bearer since; erased up to the former one's last payload."""
    reason: str = ""
    """Why, in the operator's words; no personal data."""


class ErasureFinished(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ErasureFinished"):
    """No file of the data directory holds the erased values any more."""

    seqs: tuple[int, ...]
    """Of the `SubjectErased` events."""


class JournalRestored(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="JournalRestored"):
    """The journal was restored from a backup up to the event before this one; what came behind it is lost."""

    epoch: int
    """That began; tokens of the former one are refused."""
    former_epoch: int
    restored_to_us: int
    """When the last event happened that is there; 0 if there was none."""
    backup_made_at_us: int
    backup_seq: int
    """Last position that the backup holds; beyond the event before this one if it was restored to an earlier one."""


Fact = (
    RecordUpserted
    | RecordDeleted
    | RecordResolved
    | RecordsRegrouped
    | AnchorMoved
    | GoldenIdRetired
    | GoldenIdRevived
    | PotentialMatchOpened
    | PotentialMatchClosed
    | JudgementMade
    | JudgementWithdrawn
    | ValuePinned
    | ValueUnpinned
    | ClerkChose
    | ConfigurationChanged
    | ModelActivated
    | EpochActivated
    | RelinkCommitStarted
    | RelinkProgressed
    | RelinkCommitFinished
    | LoadFact
    | OversizeFound
    | MergeProposed
    | ReviewClaimed
    | ReviewReleased
    | ReviewParked
    | ReviewEscalated
    | ReviewSettled
    | SubjectErased
    | ErasureFinished
    | JournalRestored
)


class Cause(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Who and what brought a fact about; stands on every event."""

    actor: str = ""
    """As asserted by the caller; not authenticated."""
    purpose: str = ""
    method: str = ""
    load_id: str = ""
    """The load that it is part of, or that a revert takes back."""
    model: str = ""
    """Digest of the model in force when the decision was made."""
    epoch: str = ""
    """Digest of the statistics epoch in force."""
    authenticated: str = ""
    """Subject of the certificate that the caller proved to hold; empty where none is asked for."""


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A fact at its place in the total order.

    `seq` is 1-based and without gaps; `at_us` is UTC microseconds, one for each transaction (once: never decreasing).
    """

    seq: int
    at_us: int
    schema_version: int
    cause: Cause
    fact: Fact
