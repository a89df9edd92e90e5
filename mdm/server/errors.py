"""Errors on the wire: families become codes in one table, and one function makes the `google.rpc.Status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from mdm import errors
from mdm.server.logs import log_failure, loggable_request_id, logger, new_error_id
from mdm.server.writer_link import DefectError

DOMAIN = "mdm.hochiminhcity.gov.vn"
_DETAILS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"


class CallRefusedError(errors.MdmError):
    """A call that is refused before its work began. `reason` is set for each."""

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, text: str, **facts: str) -> None:
        """Remember what to do differently, and bounds as facts."""
        super().__init__(text)
        self.facts = facts


class DeadlineRequiredError(CallRefusedError):
    """A unary call without a deadline."""

    reason = "DEADLINE_REQUIRED"


class DeadlineTooLongError(CallRefusedError):
    """A deadline beyond what the call may take."""

    reason = "DEADLINE_TOO_LONG"


class DeadlineTooShortError(CallRefusedError):
    """Too little time is left to begin."""

    reason = "DEADLINE_TOO_SHORT"
    code = grpc.StatusCode.DEADLINE_EXCEEDED


class RequestTooLargeError(CallRefusedError):
    """More bytes than the call allows."""

    reason = "REQUEST_TOO_LARGE"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class OverloadedError(CallRefusedError):
    """More calls wait than this process will queue."""

    reason = "OVERLOADED"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class StreamsExhaustedError(CallRefusedError):
    """All places for streams are taken."""

    reason = "STREAMS_EXHAUSTED"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnknownMethodError(CallRefusedError):
    """No such call."""

    reason = "UNKNOWN_METHOD"
    code = grpc.StatusCode.UNIMPLEMENTED


class InvalidRequestError(errors.InvalidInputError):
    """A request that breaks rules of its proto."""

    def __init__(self, violations: Sequence[tuple[str, str]]) -> None:
        """Remember each field and the rule that it breaks; at least one."""
        super().__init__(*violations[0])
        self.violations = violations


_CODES: tuple[tuple[type[errors.MdmError], grpc.StatusCode], ...] = (
    (errors.InvalidInputError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFoundError, grpc.StatusCode.NOT_FOUND),
    (errors.ConflictError, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.LimitExceededError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.UnavailableError, grpc.StatusCode.UNAVAILABLE),
    (errors.DataDirectoryError, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.FencedError, grpc.StatusCode.UNAVAILABLE),
    (errors.JournalFailedError, grpc.StatusCode.UNAVAILABLE),
    (errors.IndexDamagedError, grpc.StatusCode.UNAVAILABLE),
    (errors.StoreError, grpc.StatusCode.INTERNAL),
    (errors.MdmError, grpc.StatusCode.INTERNAL),
)
"""The first family that an error belongs to decides."""

_RETRY_MS: Mapping[str, int] = {
    "OVERLOADED": 200,
    "STREAMS_EXHAUSTED": 1000,
    "UNAVAILABLE": 500,
    "WRITER_UNAVAILABLE": 500,
    "NOT_FRESH_ENOUGH": 100,
    "FENCED": 1000,
    "JOURNAL_FAILED": 1000,
    "READ_ONLY": 30_000,
    "STORAGE_NEARLY_FULL": 30_000,
    "INDEX_DAMAGED": 5000,
}
"""After how long a repetition may succeed. A killed writer is back within about a second; what waits for an operator
should not be asked for by all callers twice a second."""


_RESETS = frozenset({errors.FeedResetError.reason, errors.DataRestoredError.reason})
"""What a caller holds is of a journal or epoch that is gone: it has to begin again."""


class CallStatus(NamedTuple):
    """What gRPC's `abort_with_status` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


grpc.Status.register(CallStatus)


_damage_watchers: list[Callable[[errors.IndexDamagedError], None]] = []


def watch_for_damage(watcher: Callable[[errors.IndexDamagedError], None]) -> None:
    """Have `watcher` called when a call of this process meets a damaged index: such a process must not go on."""
    _damage_watchers.append(watcher)


def _tell_of_damage(error: errors.IndexDamagedError) -> None:
    for watcher in _damage_watchers:
        watcher(error)


def code_of(error: errors.MdmError) -> grpc.StatusCode:
    """Return the code that an error of ours has on the wire."""
    if isinstance(error, CallRefusedError):
        return error.code
    return next(code for family, code in _CODES if isinstance(error, family))


def status_of(error: BaseException, method: str, metadata: Iterable[tuple[str, str | bytes]] = ()) -> CallStatus:
    """Return what the caller sees of an error: our facts, and of anything foreign nothing but an error id.

    What is not the caller's fault is logged, with the request id in its metadata if that is fit for a log.
    """
    match error:
        case DefectError(error_id=error_id):
            # The writer's line says why; this one says of which call.
            error_id = error_id or new_error_id()
            request_id = loggable_request_id(metadata)
            logger().error("call_failed", error_id=error_id, method=method, code="INTERNAL", request_id=request_id)
            return internal_status(error_id)
        case errors.StoreError():
            if isinstance(error, errors.IndexDamagedError):
                _tell_of_damage(error)
            facts = {"method": method, "code": code_of(error).name, "request_id": loggable_request_id(metadata)}
            error_id = log_failure("store_error", error, **facts)
            text = "the state on disk cannot be used; the server's log has the error id"
            return _status(code_of(error), error.reason, text, {"error_id": error_id}, ())
        case errors.MdmError() if error.reason != "INTERNAL":
            return _status(code_of(error), error.reason, str(error), _facts(error), _violations(error))
        case _:
            facts = {"method": method, "code": "INTERNAL", "request_id": loggable_request_id(metadata)}
            return internal_status(log_failure("call_failed", error, **facts))


def internal_status(error_id: str) -> CallStatus:
    """Return the status of a defect whose cause is in the log under `error_id`."""
    text = "the server failed on this call; its log has the error id"
    return _status(grpc.StatusCode.INTERNAL, "INTERNAL", text, {"error_id": error_id}, ())


def _facts(error: errors.MdmError) -> dict[str, str]:
    match error:
        case CallRefusedError(facts=facts):
            return facts
        case errors.InvalidInputError(field=field, rule=rule):
            return {"field": field, "rule": rule}
        case _:
            return {}


def _violations(error: errors.MdmError) -> Sequence[tuple[str, str]]:
    match error:
        case InvalidRequestError(violations=violations):
            return violations
        case errors.ConfigurationError(field=field, rule=rule, others=others):
            return ((field, rule), *others)
        case errors.InvalidInputError(field=field, rule=rule):
            return ((field, rule),)
        case _:
            return ()


def _status(
    code: grpc.StatusCode, reason: str, text: str, facts: Mapping[str, str], violations: Sequence[tuple[str, str]]
) -> CallStatus:
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=dict(facts))]
    if reason in _RESETS:
        subject = "after" if reason == errors.FeedResetError.reason else text.partition(" ")[0]
        violation = error_details_pb2.PreconditionFailure.Violation(type="RESET", subject=subject, description=text)
        details.append(error_details_pb2.PreconditionFailure(violations=[violation]))
    if violations:
        fields = [error_details_pb2.BadRequest.FieldViolation(field=f, description=d) for f, d in violations]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    trailing: list[tuple[str, str | bytes]] = []
    retry_ms = _RETRY_MS.get(reason)
    if retry_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        trailing.append((_PUSHBACK_KEY, str(retry_ms)))
    status = status_pb2.Status(code=code.value[0], message=text, details=[_packed(detail) for detail in details])
    trailing.append((_DETAILS_KEY, status.SerializeToString()))
    return CallStatus(code, text, tuple(trailing))


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
