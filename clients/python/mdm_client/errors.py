"""What can go wrong, as exceptions that carry the service's documented reason.

    MdmError
    ├── ServiceError(code, reason, metadata, field_violations, retry_after_s)
    │   ├── InvalidArgumentError      the request breaks a rule; no retry mends it
    │   ├── NotFoundError             the named thing does not exist
    │   ├── FailedPreconditionError   the request contradicts what is stored
    │   │   └── DataRestoredError     a token or id is of before a restore from backup: read again without it
    │   ├── ResourceExhaustedError    a bound was hit; retry after `retry_after_s` if it is stated
    │   ├── UnavailableError          the service cannot answer now
    │   ├── DeadlineExceededError     no answer in time; a write may have happened, its request_id tells
    │   └── InternalError             a defect of the service; report `metadata["error_id"]`
    ├── SeveralHoldersError           `.one()` found several
    ├── NoHolderError                 `.one()` found none
    ├── IncompleteExportError         an export broke off
    ├── CrosswalkCopyError            a copy of the crosswalk is another one, unusable, or somebody else moved it on
    ├── TlsFileError                  a certificate or key file cannot be used
    └── IngestError                   a load cannot be resumed

No message holds a person's data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "mdm.hochiminhcity.gov.vn"
_DETAILS_KEY = "grpc-status-details-bin"
_NOT_CONNECTED = ("failed to connect", "connections to all backends failing")
_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([^:]+)")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request and the rule that it breaks."""

    field: str
    rule: str


class MdmError(Exception):
    """Base of all errors of this client."""


class ServiceError(MdmError):
    """A call failed. Handle it by `reason`; the text is for people and may change."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        """Remember the answer's code, reason and details."""
        super().__init__(f"{reason or code.name}: {message}")
        self.code = code
        self.reason = reason
        """A name of `mdm.v1.ErrorReason` without its prefix; empty if the service did not answer."""
        self.message = message
        self.metadata = dict(metadata or {})
        self.field_violations = tuple(field_violations)
        self.retry_after_s = retry_after_s

    def again(self) -> Self:
        """Return the same error for another caller of the same call: one that is raised belongs to one of them."""
        return self.__class__(
            self.code,
            self.message,
            reason=self.reason,
            metadata=self.metadata,
            field_violations=self.field_violations,
            retry_after_s=self.retry_after_s,
        )


class InvalidArgumentError(ServiceError):
    """The request breaks a rule; `field_violations` name it."""


class NotFoundError(ServiceError):
    """The named thing does not exist."""


class FailedPreconditionError(ServiceError):
    """The request contradicts what is stored."""


class DataRestoredError(FailedPreconditionError):
    """The data was restored from a backup since a token or id was given out: leave it out, or read it again.

    What was acknowledged after the backup is lost: send it again. Golden IDs issued after it are unknown.
    """


class ResourceExhaustedError(ServiceError):
    """A bound was hit, or the service sheds load."""


class UnavailableError(ServiceError):
    """The service cannot answer now, or cannot be reached."""


class DeadlineExceededError(ServiceError):
    """No answer came in time."""


class InternalError(ServiceError):
    """A defect of the service."""


class SeveralHoldersError(MdmError):
    """Several golden records hold an identifier."""

    def __init__(self, golden_ids: Sequence[str], holder_count: int) -> None:
        """Remember the holders; `holder_count` counts those beyond the list too."""
        super().__init__(f"{holder_count} golden records hold the identifier")
        self.golden_ids = tuple(golden_ids)
        self.holder_count = holder_count


class NoHolderError(MdmError):
    """No golden record holds an identifier."""


class IncompleteExportError(MdmError):
    """An export ended before its trailer, or with other rows than the trailer counts: fetch it again."""


class CrosswalkCopyError(MdmError):
    """A file is a copy of other registries or another kind, or none, or another process moved it on meanwhile."""


class TlsFileError(MdmError):
    """A file of certificates or a key cannot be read, or its counterpart is missing."""


class IngestError(MdmError):
    """A load cannot be resumed: the service does not know what it acknowledged before."""


_CLASSES: dict[grpc.StatusCode, type[ServiceError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.ABORTED: FailedPreconditionError,
    grpc.StatusCode.ALREADY_EXISTS: FailedPreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.UNKNOWN: InternalError,
    grpc.StatusCode.DATA_LOSS: InternalError,
}


_REASONS: dict[str, type[ServiceError]] = {"DATA_RESTORED": DataRestoredError}


def service_error(error: grpc.RpcError) -> ServiceError:
    """Return the exception that a failed call stands for, with the details of its `google.rpc.Status`."""
    code: grpc.StatusCode = error.code()
    status = _status(error)
    reason, metadata, violations, retry_after_s = "", {}, [], None
    for detail in status.details:
        info, request, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(request):
            violations = [FieldViolation(item.field, item.description) for item in request.field_violations]
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return (_REASONS.get(reason) or _CLASSES.get(code, ServiceError))(
        code,
        status.message or _in_words(error.details() or ""),
        reason=reason,
        metadata=metadata,
        field_violations=violations,
        retry_after_s=retry_after_s,
    )


def _in_words(details: str) -> str:
    """Return gRPC's own text, or what it means where that is hard to see."""
    if untrusted := _UNTRUSTED.search(details):
        return f"the certificate of the service is not trusted: {untrusted[1]}"
    if "WRONG_VERSION_NUMBER" in details:
        return "the service does not speak TLS"
    if details.startswith(_NOT_CONNECTED) and "Socket closed" in details:
        return f"{details}; perhaps the service speaks TLS, or asks for another client certificate"
    return details


def unreachable(why: str) -> UnavailableError:
    """Return the error of a service that cannot be reached."""
    return UnavailableError(grpc.StatusCode.UNAVAILABLE, why)


def _status(error: grpc.RpcError) -> status_pb2.Status:
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()
