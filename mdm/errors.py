"""Every error of the house, as facts; transport codes are the server's business.

    MdmError
    ├── InvalidInputError(field, rule)        the caller sent something that no retry mends
    │   ├── InvalidGoldenIdError
    │   ├── InvalidSourceKeyError
    │   ├── UnknownRegistryError
    │   ├── InvalidTokenError
    │   ├── ConfigurationError
    │   ├── FeedFileError
    │   └── AuditFileError
    ├── NotFoundError                         the named thing does not exist
    │   ├── UnknownGoldenIdError
    │   ├── GoldenIdNotYetIssuedError
    │   ├── UnknownRecordError
    │   ├── UnknownRunError
    │   ├── UnknownModelError
    │   ├── UnknownLoadError
    │   ├── UnknownReviewError
    │   └── UnknownJudgementError
    ├── ConflictError                         the request contradicts what is stored
    │   ├── RequestIdReusedError
    │   ├── RegistryInUseError
    │   ├── ExportExpiredError
    │   ├── PlanOutdatedError
    │   ├── ChurnExceededError
    │   ├── RelinkRunningError
    │   ├── LoadRunningError
    │   ├── FeedResetError
    │   ├── DataRestoredError
    │   ├── BackupMismatchError
    │   ├── ModelRefusedError
    │   ├── ModelOutdatedError
    │   ├── JudgementContradictedError
    │   ├── StaleDecisionError
    │   ├── ActImpossibleError
    │   ├── ReviewClaimedError
    │   └── SecondPersonRequiredError
    ├── LimitExceededError                    a documented bound was hit
    │   └── StorageNearlyFullError
    ├── UnavailableError                      cannot be served now; a retry may succeed
    │   ├── WriterUnavailableError
    │   ├── ReadOnlyError
    │   └── NotFreshEnoughError
    └── StoreError                            the state on disk cannot be used as it is
        ├── DataDirectoryError
        ├── BackupFileError
        ├── FencedError
        ├── JournalFailedError
        ├── IndexDamagedError
        └── IndexMismatchError

No message holds a person's data: only names of fields, rules, counts and positions.
"""

from __future__ import annotations

from collections.abc import Sequence


class MdmError(Exception):
    """Base of all errors that this package raises on purpose. `reason` is the documented wire reason."""

    reason = "INTERNAL"


class InvalidInputError(MdmError):
    """A value breaks a rule. Names the field and the rule, never the value."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, rule: str) -> None:
        """Remember which field broke which rule."""
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class InvalidGoldenIdError(InvalidInputError):
    """Text that is not a golden ID."""

    reason = "INVALID_GOLDEN_ID"

    def __init__(self, rule: str, field: str = "golden_id") -> None:
        """Remember the rule that was broken."""
        super().__init__(field, rule)


class InvalidSourceKeyError(InvalidInputError):
    """A source key that is not well formed."""

    reason = "INVALID_SOURCE_KEY"


class UnknownRegistryError(InvalidInputError):
    """A registry or feed that `registries.toml` does not declare, or a kind that it does not hold."""

    reason = "UNKNOWN_REGISTRY"


class InvalidTokenError(InvalidInputError):
    """A journal token of another journal or epoch, or no token at all."""

    reason = "INVALID_TOKEN"


class ConfigurationError(InvalidInputError):
    """A configuration file that breaks its schema."""

    reason = "INVALID_CONFIGURATION"

    def __init__(self, field: str, rule: str, others: Sequence[tuple[str, str]] = ()) -> None:
        """Remember which key broke which rule, and what else is wrong with the file."""
        super().__init__(field, rule)
        self.others = others


class FeedFileError(InvalidInputError):
    """A feed file that cannot be read as a whole. Names the file and what to change."""


class AuditFileError(InvalidInputError):
    """A reviewer's sheet or an audit's key that cannot be used. Names file, line or item, and what to change."""


class NotFoundError(MdmError):
    """The named thing does not exist."""

    reason = "NOT_FOUND"


class UnknownGoldenIdError(NotFoundError):
    """A well-formed golden ID that was never issued here."""

    reason = "GOLDEN_ID_NOT_FOUND"


class GoldenIdNotYetIssuedError(NotFoundError):
    """A golden ID that was issued later than the position or time asked for."""

    reason = "GOLDEN_ID_NOT_YET_ISSUED"


class UnknownRecordError(NotFoundError):
    """A source key under which nothing was ever stored."""

    reason = "RECORD_NOT_FOUND"


class UnknownRunError(NotFoundError):
    """A re-linkage run that does not exist."""

    reason = "RELINK_RUN_NOT_FOUND"


class UnknownModelError(NotFoundError):
    """A digest that names no model which was ever active here, or a roll-back with nothing before."""

    reason = "MODEL_NOT_FOUND"


class UnknownLoadError(NotFoundError):
    """No load has this id, or it began before loads were kept."""

    reason = "LOAD_NOT_FOUND"


class UnknownReviewError(NotFoundError):
    """A review that was never opened, or that closed because its cause disappeared or somebody answered it."""

    reason = "REVIEW_NOT_FOUND"


class UnknownJudgementError(NotFoundError):
    """A judgement that was never made, or was withdrawn."""

    reason = "JUDGEMENT_NOT_FOUND"


class ConflictError(MdmError):
    """The request contradicts what is stored."""

    reason = "CONFLICT"


class RequestIdReusedError(ConflictError):
    """A request_id that came before with other content."""

    reason = "REQUEST_ID_REUSED"


class RegistryInUseError(ConflictError):
    """A change of the registries that would leave stored records without theirs. Names registry, kind and count."""

    reason = "REGISTRY_IN_USE"


class ExportExpiredError(ConflictError):
    """An export cannot go on: the state that it was reading is no longer kept."""

    reason = "EXPORT_EXPIRED"


class PlanOutdatedError(ConflictError):
    """A re-linkage plan that can no longer be committed: committed or cancelled before, or of another epoch."""

    reason = "RELINK_PLAN_OUTDATED"


class ChurnExceededError(ConflictError):
    """A plan that would change a larger share of the golden IDs than its commit allows."""

    reason = "RELINK_CHURN_EXCEEDED"


class RelinkRunningError(ConflictError):
    """Only one re-linkage runs at a time."""

    reason = "RELINK_RUNNING"


class LoadRunningError(ConflictError):
    """Somebody is loading it right now."""

    reason = "LOAD_RUNNING"


class FeedResetError(ConflictError):
    """A change feed's token of another journal or epoch: the copy that it belongs to must be made anew."""

    reason = "FEED_RESET"


class DataRestoredError(ConflictError):
    """A token, page token, etag or id of an epoch that a restore ended: what it stands for may be lost."""

    reason = "DATA_RESTORED"


class BackupMismatchError(ConflictError):
    """An earlier backup that is no beginning of this journal."""

    reason = "BACKUP_MISMATCH"


class ModelRefusedError(ConflictError):
    """A model that a sanity gate stops, or that changes more pairs than was allowed."""

    reason = "MODEL_REFUSED"


class ModelOutdatedError(ConflictError):
    """Another model was activated since this one was compared with what was in force."""

    reason = "MODEL_OUTDATED"


class JudgementContradictedError(ConflictError):
    """A judgement that standing ones contradict, through a chain of them. Names their ids."""

    reason = "JUDGEMENT_CONTRADICTED"


class StaleDecisionError(ConflictError):
    """Something that a steward or operator looked at changed before the decision arrived. Names what, never how."""

    reason = "DECISION_STALE"


class ActImpossibleError(ConflictError):
    """The records or golden records named do not allow the act: deleted, retired, one already, or never merged."""

    reason = "ACT_IMPOSSIBLE"


class ReviewClaimedError(ConflictError):
    """Somebody else works on the review."""

    reason = "REVIEW_CLAIMED"


class SecondPersonRequiredError(ConflictError):
    """Whoever proposed an act cannot approve it."""

    reason = "SECOND_PERSON_REQUIRED"


class LimitExceededError(MdmError):
    """A bound of `limits.py` was hit. Names the bound and its value."""

    reason = "LIMIT_EXCEEDED"


class StorageNearlyFullError(LimitExceededError):
    """Too little room is left to write to: refused before the journal fails. Names what is full and the bound."""

    reason = "STORAGE_NEARLY_FULL"


class UnavailableError(MdmError):
    """Cannot be served now; a retry may succeed."""

    reason = "UNAVAILABLE"


class WriterUnavailableError(UnavailableError):
    """The writer is starting, stopping or gone; lookups go on."""

    reason = "WRITER_UNAVAILABLE"


class ReadOnlyError(UnavailableError):
    """The writer cannot be kept running, so that only reads are answered. Says why."""

    reason = "READ_ONLY"


class NotFreshEnoughError(UnavailableError):
    """This reader has not yet applied the position that `at_least_as_fresh` asks for."""

    reason = "NOT_FRESH_ENOUGH"


class StoreError(MdmError):
    """The state on disk cannot be used as it is."""

    reason = "STORE"


class DataDirectoryError(StoreError):
    """The data directory is of another version, in use by another server, or not ours."""

    reason = "DATA_DIRECTORY"


class BackupFileError(StoreError):
    """A backup that is damaged, cut off or none, or that cannot be written. Names the file and what is wrong."""


class FencedError(StoreError):
    """Another writer appended first: this one must stop."""

    reason = "FENCED"


class JournalFailedError(StoreError):
    """The journal reported an I/O error; nothing after it may be acknowledged."""

    reason = "JOURNAL_FAILED"


class IndexDamagedError(StoreError):
    """A page of the index was found damaged while it was used; it has to be built anew."""

    reason = "INDEX_DAMAGED"


class IndexMismatchError(StoreError):
    """The index is not the fold of the journal."""

    reason = "INDEX_MISMATCH"
