"""What every call passes: places, deadline, size and the rules of its proto; then one kind of error, and figures.

The gate holds this for streams; `unary` for all other calls of ours, by the same rules. Calls reach their handler as
bytes, so that a request that is too large is refused by a documented error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError, Message

from mdm.errors import UnavailableError
from mdm.limits import (
    DEADLINE_BATCH_S_MAX,
    DEADLINE_S_MIN,
    DEADLINE_UNARY_S_MAX,
    REQUEST_BATCH_BYTES_MAX,
    REQUEST_UNARY_BYTES_MAX,
    STREAM_STALLED_S_MAX,
)
from mdm.server import metrics
from mdm.server.errors import (
    CallStatus,
    DeadlineRequiredError,
    DeadlineTooLongError,
    DeadlineTooShortError,
    InvalidRequestError,
    RequestTooLargeError,
    StreamsExhaustedError,
    UnknownMethodError,
    status_of,
)
from mdm.server.pools import CountingPool
from mdm.server.stalls import Stalls
from mdm.server.validation import validate

_OURS = "/mdm.v1."
_BATCH_CALLS = frozenset(
    {
        *("TranslateKeys", "CompareModels", "ActivateModel", "RollbackModel", "CompareSurvivorshipRules"),
        "ActivateConfiguration",
        "PreviewRevertLoad",
    }
)
# grpcio reports a call without a deadline as one of many years.
_NO_DEADLINE_S = 10 * 365 * 86_400
# A deadline travels rounded up.
_DEADLINE_SLACK_S = 1.0

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Details = grpc.HandlerCallDetails
_Context = grpc.ServicerContext


class MethodRule(NamedTuple):
    """Bounds of one call."""

    name: str
    """`LookupService/BatchLookup`, as in metrics and logs."""
    request_bytes_max: int
    deadline_s_max: float


class _Behaviour:
    """A handler with the pool that it runs in; gRPC reads the attribute."""

    def __init__(self, call: Callable[[Any, Any], Any] | None, pool: CountingPool) -> None:
        if call is None:
            raise TypeError("a handler without behaviour")
        self._call = call
        self.experimental_thread_pool = pool

    def __call__(self, request: Any, context: _Context) -> Any:
        return self._call(request, context)


class _Route(NamedTuple):
    handler: _Handler
    when_full: _Handler
    pool: CountingPool


class Gate(grpc.ServerInterceptor):
    """Wraps each handler of a stream once and refuses streams for which there is no place."""

    def __init__(
        self,
        streams: CountingPool,
        watches: CountingPool,
        exports: CountingPool,
        backups: CountingPool,
        administration: CountingPool,
    ) -> None:
        """Share the pools of one server.

        Args:
            streams: For streaming calls: their bound is its number of threads, so that none waits behind another.
            watches: For calls named Watch, which may stay for ever with nothing to do; bounded like the streams.
            exports: For exports, each of which keeps a core busy for long; bounded like the streams.
            backups: For calls of BackupService, which last for minutes; bounded likewise.
            administration: For health checks and refusals, which must answer when all else is full.
        """
        self._streams = streams
        self._watches = watches
        self._exports = exports
        self._backups = backups
        self._administration = administration
        self._routes: dict[str, _Route] = {}
        self._stalls = Stalls()
        self._is_draining = False
        self._draining = self._refusing(UnavailableError("this server is stopping; another one answers"), "draining")
        self._unknown = self._refusing(UnknownMethodError("this version has no such call"), "unknown")

    def begin_draining(self) -> None:
        """Refuse every new call but health checks from now on; those under way go on."""
        self._is_draining = True

    def end_stalled(self, after_s: float = STREAM_STALLED_S_MAX) -> int:
        """End the streams whose callers have not read on for `after_s`; returns how many."""
        return self._stalls.end(after_s)

    def intercept_service(self, continuation: Callable[[_Details], _Handler | None], details: _Details) -> _Handler:
        """Return the handler of a call. Runs on gRPC's one polling thread, so it only looks up."""
        route = self._routes.get(details.method)
        if route is None:
            handler = continuation(details)
            if handler is None:
                return self._unknown
            route = self._routes[details.method] = self._route(details.method, handler)
        if self._is_draining and route.pool is not self._administration:
            return self._draining
        if route.pool.is_full:
            return route.when_full
        return route.handler

    def _route(self, method: str, handler: _Handler) -> _Route:
        if method.startswith("/grpc.health."):
            if handler.unary_unary is not None:
                behaviour = _Behaviour(handler.unary_unary, self._administration)
                handler = grpc.unary_unary_rpc_method_handler(
                    behaviour, handler.request_deserializer, handler.response_serializer
                )
            return _Route(handler, handler, self._administration)
        name = method.rpartition(".")[2]
        pool = self._watches if name.endswith("/Watch") else self._streams
        if name.startswith("ExportService/"):
            pool = self._exports
        if name.startswith("BackupService/"):
            pool = self._backups
        refusal = StreamsExhaustedError("all places for streams are taken; retry later, or use the batch calls")
        when_full = self._refusing(refusal, name)
        if not method.startswith(_OURS):
            behaviour = _Behaviour(handler.stream_stream, pool)
            passed = grpc.stream_stream_rpc_method_handler(
                behaviour, handler.request_deserializer, handler.response_serializer
            )
            return _Route(passed, when_full, pool)
        return _Route(_guarded(rule_of(name), handler, pool, self._stalls), when_full, pool)

    def _refusing(self, error: Exception, name: str) -> _Handler:
        def refuse(_: Any, context: _Context) -> None:
            metrics.shed.labels(error.__class__.__name__).inc()
            _abort(context, name, status_of(error, name))

        # Takes any kind of call: a stream of requests that is never read.
        return grpc.stream_stream_rpc_method_handler(_Behaviour(refuse, self._administration))


def rule_of(name: str) -> MethodRule:
    """Return the bounds of the call `Service/Method`."""
    method = name.rpartition("/")[2]
    if method.startswith(("Batch", "Stream", "Ingest")) or method in _BATCH_CALLS:
        return MethodRule(name, REQUEST_BATCH_BYTES_MAX, DEADLINE_BATCH_S_MAX)
    return MethodRule(name, REQUEST_UNARY_BYTES_MAX, DEADLINE_UNARY_S_MAX)


def _guarded(rule: MethodRule, handler: _Handler, pool: CountingPool, stalls: Stalls) -> _Handler:
    parse = cast("Callable[[bytes], Message]", handler.request_deserializer)
    serialize = _serializer(handler)
    if handler.unary_stream is not None:
        call = _Behaviour(_stream(rule, _one(rule, parse), handler.unary_stream, stalls), pool)
        return grpc.unary_stream_rpc_method_handler(call, None, serialize)
    if handler.stream_stream is None:
        raise TypeError("no stream of ours is answered once")
    call = _Behaviour(_stream(rule, _many(rule, parse), handler.stream_stream, stalls), pool)
    return grpc.stream_stream_rpc_method_handler(call, None, serialize)


def _stream(
    rule: MethodRule,
    read: Callable[[Any], Any],
    behaviour: Callable[[Any, _Context], Iterator[Message]],
    stalls: Stalls,
) -> Callable[[Any, _Context], Iterator[Message]]:
    seconds = metrics.latency.labels(rule.name)
    succeeded = metrics.calls.labels(rule.name, "OK")

    def call(requests: Any, context: _Context) -> Iterator[Message]:
        started_s = time.perf_counter()
        try:
            yield from stalls.sent(behaviour(read(requests), context), rule.name, context)
        except grpc.RpcError:
            # The caller went away; nobody is left to tell.
            metrics.calls.labels(rule.name, "CANCELLED").inc()
            raise
        except Exception as error:  # noqa: BLE001 – no text of a foreign exception reaches a caller
            status = status_of(error, rule.name, context.invocation_metadata() or ())
        else:
            succeeded.inc()
            return
        finally:
            seconds.observe(time.perf_counter() - started_s)
        _abort(context, rule.name, status)

    return call


def _serializer(handler: _Handler) -> Callable[[Message | bytes], bytes]:
    """Return what makes bytes of answers; some handlers write them themselves."""
    serialize = cast("Callable[[Message | bytes], bytes]", handler.response_serializer)
    return lambda answer: answer if isinstance(answer, bytes) else serialize(answer)


def _one(rule: MethodRule, parse: Callable[[bytes], Message]) -> Callable[[bytes], Message]:
    return lambda body: request_of(rule, parse, body)


def _many(rule: MethodRule, parse: Callable[[bytes], Message]) -> Callable[[Iterator[bytes]], Iterator[Message]]:
    def read(bodies: Iterator[bytes]) -> Iterator[Message]:
        for body in bodies:
            yield request_of(rule, parse, body)

    return read


def request_of(rule: MethodRule, parse: Callable[[bytes], Message], body: bytes) -> Message:
    """Return the request that a body holds, its size and the rules of its proto checked.

    Raises:
        RequestTooLargeError: More bytes than the call may have.
        InvalidRequestError: No message of this call, or one that breaks rules of its proto.
    """
    if len(body) > rule.request_bytes_max:
        text = f"a request of this call may have {rule.request_bytes_max} bytes, this one has {len(body)}; send less"
        raise RequestTooLargeError(text, request_bytes_max=str(rule.request_bytes_max))
    try:
        request = parse(body)
    except DecodeError as error:
        raise InvalidRequestError([("request", "is not a message of this call")]) from error
    validate(request)
    return request


def check_deadline(rule: MethodRule, remaining_s: float | None) -> None:
    """Return if a unary call has a deadline within its bound, and time left to work in.

    Raises:
        DeadlineRequiredError: None was set.
        DeadlineTooLongError: It is beyond the bound.
        DeadlineTooShortError: Next to nothing is left.
    """
    bound = f"{rule.deadline_s_max:g}"
    if remaining_s is None or remaining_s > _NO_DEADLINE_S:
        text = (
            f"set a deadline of at most {bound} s on every call, for example "
            f"timeout={min(5.0, rule.deadline_s_max):g} in Python or --timeout 5s in buf curl"
        )
        raise DeadlineRequiredError(text, deadline_s_max=bound)
    if remaining_s > rule.deadline_s_max + _DEADLINE_SLACK_S:
        text = f"this call may take {bound} s; set a deadline of at most that"
        raise DeadlineTooLongError(text, deadline_s_max=bound)
    if remaining_s < DEADLINE_S_MIN:
        raise DeadlineTooShortError("too little time was left to begin; retry with a longer deadline")


def _abort(context: _Context, name: str, status: CallStatus) -> None:
    metrics.calls.labels(name, status.code.name).inc()
    context.abort_with_status(cast("grpc.Status", status))
