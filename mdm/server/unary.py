"""The unary calls of our services. Short reads and searches are answered on the polling thread, all others in pools.

`grpc.server` hands each call to a worker, which then waits until the polling thread brings it the request: two changes
of thread under one interpreter lock, which cost several times what a lookup does. Here a call is taken up where its
request arrives. Short reads, other reads, batches and calls that wait for the writer have places of their own: none
starves another.

Rests on private parts of grpcio, used as `grpc/_server.py` uses them: the server's state and the Cython layer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from mdm import stages
from mdm.errors import UnavailableError
from mdm.limits import (
    BATCH_WORKERS,
    COLUMN_REQUEST_BYTES_MAX,
    DEADLINE_UNARY_S_MAX,
    MATCH_REQUEST_BYTES_MAX,
    POSTED_CALLS,
    QUEUE_CALLS_MAX,
    SHORT_REQUEST_BYTES_MAX,
    SLOW_CALL_S,
    UNARY_WORKERS,
)
from mdm.server import metrics
from mdm.server.calls import WouldWaitError
from mdm.server.errors import (
    CallRefusedError,
    CallStatus,
    DeadlineTooShortError,
    InvalidRequestError,
    OverloadedError,
    status_of,
)
from mdm.server.interceptors import check_deadline, request_of, rule_of
from mdm.server.logs import log_failure, loggable_request_id, logger
from mdm.server.polling import Polling

SHORT_CALLS = frozenset(
    {
        "LookupService/Lookup",
        "LookupService/BatchLookup",
        "LookupService/LookupByIdentifier",
        "RegistryService/GetRecord",
    }
)
"""Calls that only read, as a rule for a tenth of a millisecond: while one runs no other call of the reader moves. A
request of theirs above SHORT_REQUEST_BYTES_MAX, or one that must wait until it is fresh enough or has many records to
read, is a search or goes to the pool."""

SEARCHES = {"LookupService/BatchLookup": COLUMN_REQUEST_BYTES_MAX, "MatchService/Match": MATCH_REQUEST_BYTES_MAX}
"""Calls that read for one to three milliseconds, with the largest request of each: likewise on the polling thread, and
likewise in the pool if they must, but one by one, and each only once nothing else waits there."""

_SHORT_SHED_TIME_SHARE = 0.25
"""Of a reader's time, spent on refusing short reads for want of a place; further ones wait in gRPC until there is a
place or their deadline is over. A refusal costs more than a lookup: without a bound refusals would leave no time."""

_SHED_TIME_SHARE = 0.55
"""Likewise of all other calls, which cost many times a refusal: enough for three times what a reader can match. What
waits in gRPC is served in the order of its coming, so that in an overload that lasts every call waits until it is
nearly, or quite, too late."""

_SHED_TIME_SAVED_S = 0.05
"""Time for refusals that a quiet reader has saved up: a rush of 500 calls is told to come back at once."""

_REFUSAL_COST = 3.5
"""Processor time of a whole refusal, 40 to 100 us, over that of ending the call: gRPC receives it first, and sends."""

_ROUNDED_S = 0.02
_ROUNDED_SHARE = 0.015
"""A caller's deadline travels rounded up, by as much as a hundredth of it: who goes away so shortly before what arrived
had none left."""

_Behaviour = Callable[[Message, grpc.ServicerContext], Message | bytes]

# What a tag tells the polling thread: none of the server's own calls has ended, and nobody is to be called back.
_GO_ON: tuple[None, tuple[()]] = (None, ())
_NO_FLAGS = 0
_OK = cygrpc.StatusCode.ok

_OVERLOADED = status_of(OverloadedError("more calls wait than this server will queue; retry later"), "")
_GIVEN_UP = CallStatus(grpc.StatusCode.CANCELLED, "", ())
_shed = metrics.shed.labels(OverloadedError.__name__)


class UnaryCalls:
    """All unary calls of one server: their methods, their places, their pool.

    Invariant: places are counted on the polling thread alone, so that no count needs a lock.
    """

    def __init__(self, server: grpc.Server) -> None:
        """Take calls of a server that has not started."""
        self._server = cast("Any", server)
        self._state = self._server._state  # noqa: SLF001 – see the module's docstring
        self._methods: list[_Method] = []
        self._short = _Lane("short", 1, _Allowance(_SHORT_SHED_TIME_SHARE))
        allowance = _Allowance(_SHED_TIME_SHARE)
        self._reads = _Lane("read", UNARY_WORKERS, allowance)
        self._writes = _Lane("write", UNARY_WORKERS, allowance)
        self._batches = _Lane("batch", BATCH_WORKERS, allowance)
        self._waiting = ThreadPoolExecutor(UNARY_WORKERS, thread_name_prefix="wait")
        self._polling = Polling(server)
        self.searches_idle = self._polling.idle
        """Set while no search, long column of keys among them, waits for the polling thread or is under way there."""
        self._is_draining = False

    def add(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        """Serve these handlers, all of them unary, of a service by its full name."""
        for name, handler in handlers.items():
            method = _Method(f"/{service}/{name}", handler, self)
            if not _is_read(f"{service}.{name}"):
                method.lane = self._writes
            elif method.rule.deadline_s_max > DEADLINE_UNARY_S_MAX and not method.is_short:
                method.lane = self._batches
            else:
                method.lane = self._reads
            self._server._cy_server.register_method(method.path)  # noqa: SLF001
            self._methods.append(method)

    def start(self) -> None:
        """Start the server, and ask gRPC for calls."""
        self._polling.start()
        for method in self._methods:
            for _ in range(POSTED_CALLS if method.is_short else 1):
                self._ask(method)

    def begin_draining(self) -> None:
        """Refuse every new call from now on; those under way go on."""
        self._is_draining = True

    def admit(self, call: _Call) -> None:
        """Begin a call that has arrived, refuse it, or let it wait for a place."""
        lane = self._short if call.method.is_short else call.method.lane
        if self._is_draining:
            call.refuse(UnavailableError("this server is stopping; another one answers"))
        elif lane.count < QUEUE_CALLS_MAX:
            self._place(call, lane)
        elif lane.allowance.is_left():
            with lane.allowance:
                call.shed()
        else:
            # Asking for no further call of its method meanwhile leaves the rest in gRPC, where waiting costs nothing.
            lane.waiting.append(call)
            return
        self._ask(call.method)

    def let_search(self, call: _Call, body: bytes) -> None:
        """Let a call go on once the polling thread has nothing else to do."""
        if self._is_placed(call):
            call.handed_s = time.perf_counter()
            if self._polling.is_waited_for:
                # Worth an event only where its turn may come after its caller has gone.
                call.watch()
            self._polling.do_when_idle(partial(call.search, body))

    def hand_over(self, call: _Call, body: bytes) -> None:
        """Let a call go on in a pool, where it may take its time."""
        if self._is_placed(call):
            lane = call.method.lane
            call.has_thread, call.may_wait = True, lane is self._writes
            call.handed_s = call.handed_s or time.perf_counter()
            call.watch()
            lane.pool.submit(call.work, body)

    def _is_placed(self, call: _Call) -> bool:
        """Give a call that is not as short as others of its method a place among the long ones, or refuse it."""
        lane = call.method.lane
        if call.lane is lane:
            return True
        if lane.count >= QUEUE_CALLS_MAX:
            # Whether or not time for it is left: it has been read, and can wait nowhere.
            with lane.allowance:
                call.shed()
            return False
        self.end(call)
        lane.count += 1
        call.lane = lane
        return True

    def let_wait(self, call: _Call, body: bytes) -> None:
        """Let a read that has to wait for a position do so where it keeps no other from being worked on."""
        call.may_wait = True
        self._waiting.submit(call.work, body)

    def end(self, call: _Call) -> None:
        """Give a call's place to the one that has waited longest, if any waits."""
        lane, call.lane = call.lane, None
        if lane is not None:
            lane.count -= 1
            if lane.waiting:
                following = lane.waiting.popleft()
                self._place(following, lane)
                self._ask(following.method)

    def _place(self, call: _Call, lane: _Lane) -> None:
        lane.count += 1
        call.lane = lane
        call.receive()

    def _ask(self, method: _Method) -> None:
        with self._state.lock:
            if self._state.stage is _server._ServerStage.STARTED:  # noqa: SLF001
                queue = self._state.completion_queue
                self._state.server.request_registered_call(queue, queue, method.path, method.accept)


class _Lane:
    """The places for one sort of calls, who waits for one, and the threads for those that need one."""

    __slots__ = ("allowance", "count", "pool", "waiting")

    def __init__(self, name: str, workers: int, allowance: _Allowance) -> None:
        self.count = 0
        self.allowance = allowance
        self.waiting: deque[_Call] = deque()
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix=name)


def _is_read(name: str) -> bool:
    """Return whether the proto says of a call, by its full name, that it changes nothing."""
    method = cast("Any", descriptor_pool.Default()).FindMethodByName(name)
    return bool(method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


class _Allowance:
    """Time for refusing calls: it grows as time passes, and a refusal spends what it takes."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_s = _SHED_TIME_SAVED_S
        self._at_s = time.perf_counter()
        self._began_s = 0.0

    def is_left(self) -> bool:
        now_s = time.perf_counter()
        self._left_s = min(_SHED_TIME_SAVED_S, self._left_s + (now_s - self._at_s) * self._share)
        self._at_s = now_s
        return self._left_s > 0

    def __enter__(self) -> None:
        self._began_s = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._left_s -= _REFUSAL_COST * (time.thread_time() - self._began_s)


class _Method:
    """One call of a service, and what answers it."""

    def __init__(self, path: str, handler: grpc.RpcMethodHandler[Any, Any], calls: UnaryCalls) -> None:
        name = path.removeprefix("/mdm.v1.")
        self.path = path
        self.calls = calls
        self.rule = rule_of(name)
        self.is_short = name in SHORT_CALLS
        self.search_bytes_max = SEARCHES.get(name, 0)
        """Of a request that is searched for on the polling thread."""
        self.lane: _Lane
        self.parse = cast("Callable[[bytes], Message]", handler.request_deserializer)
        self.behaviour = cast("_Behaviour", handler.unary_unary)
        self.tally = metrics.Tally(name)

    def accept(self, event: Any) -> tuple[None, tuple[()]]:
        """Take a call up. Like the other tags it runs on the polling thread, which would end if one raised."""
        # Without success the server is stopping.
        if event.success:
            try:
                self.calls.admit(_Call(self, event))
            except Exception as error:  # noqa: BLE001
                log_failure("call_not_admitted", error, method=self.rule.name)
        return _GO_ON


class _Call:
    """One call under way; also the context that its handler sees: handlers of unary calls need no more of it."""

    __slots__ = (
        *("_call", "_code", "_deadline_s", "_due_s", "_is_cancelled", "_is_given_up", "_is_watched", "_metadata"),
        *("_seconds", "handed_s", "has_thread", "lane", "may_wait", "method"),
    )

    def __init__(self, method: _Method, event: Any) -> None:
        self.method = method
        self.lane: _Lane | None = None
        self.has_thread = self.may_wait = False
        self.handed_s = 0.0
        # The event itself must not outlive its turn.
        self._call = event.call
        self._deadline_s: float = event.call_details.deadline
        # Of the whole time, not of what is left after a wait for a place.
        self._due_s = self._deadline_s - _ROUNDED_S - _ROUNDED_SHARE * (self._deadline_s - time.time())
        self._metadata = event.invocation_metadata
        self._is_watched = False
        self._is_cancelled = self._is_given_up = False
        self._code = "OK"
        self._seconds: float | None = None

    def time_remaining(self) -> float:
        """Return the seconds until the deadline; none once the caller has gone."""
        return 0.0 if self._is_cancelled else max(self._deadline_s - time.time(), 0.0)

    def invocation_metadata(self) -> Any:
        """Return the caller's metadata."""
        return self._metadata

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """Return what is proven of the caller, as gRPC's own contexts do."""
        proven = cygrpc.auth_context(self._call) or {}
        return {key.decode(): value for key, value in proven.items()}

    def receive(self) -> None:
        """Wait for the request, unless the deadline would let a caller who sends none keep the place for ever."""
        if self._is_in_time():
            self._call.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), self.received)

    def received(self, event: Any) -> tuple[None, tuple[()]]:
        """Answer the request, or pass it to the pool."""
        try:
            self._begin(event.batch_operations[0].message())
        except Exception as error:  # noqa: BLE001
            log_failure("call_not_begun", error, method=self.method.rule.name)
        return _GO_ON

    def watch(self) -> None:
        """Learn of it when the caller goes away; a short call is over before that could matter."""
        if not self._is_watched:
            self._is_watched = True
            self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self.closed)

    def closed(self, event: Any) -> tuple[None, tuple[()]]:
        """Note whether the caller went away, and whether before the deadline: once it is over gRPC says so of any."""
        is_cancelled = event.batch_operations[0].cancelled()
        # In this order, for a thread that sees the second goes by the first.
        self._is_given_up = is_cancelled and time.time() < self._due_s
        self._is_cancelled = is_cancelled
        return _GO_ON

    def work(self, body: bytes) -> None:
        """Answer in the pool."""
        self._go_on(body, self.method.calls.let_wait)

    def search(self, body: bytes) -> None:
        """Answer on the polling thread, which has nothing else to do."""
        self._go_on(body, self.method.calls.hand_over)

    def _go_on(self, body: bytes, or_else: Callable[[_Call, bytes], None]) -> None:
        """Answer, unless nobody waits any more, or the thread is not for what it takes."""
        waited_s = time.perf_counter() - self.handed_s
        stages.begin_call()
        try:
            if self._is_given_up:
                self._fail(_GIVEN_UP)
            elif self._is_cancelled:
                self.refuse(DeadlineTooShortError("the deadline passed before the call was begun"))
            elif self._is_in_time():
                self._answer(body)
                stages.note(stages.QUEUE, waited_s)
                self._log_if_slow(waited_s, stages.end_call())
        except WouldWaitError:
            or_else(self, body)
        except Exception as error:  # noqa: BLE001 – a pool swallows what its work raises, and the polling thread must go on
            log_failure("call_not_answered", error, method=self.method.rule.name)

    def _log_if_slow(self, waited_s: float, parts: dict[str, float]) -> None:
        worked_s = self._seconds or 0.0
        if waited_s + worked_s >= SLOW_CALL_S:
            logger().warning(
                "slow_call",
                method=self.method.rule.name,
                code=self._code,
                seconds=round(waited_s + worked_s, 3),
                stages={stage: round(seconds, 3) for stage, seconds in parts.items()},
                request_id=loggable_request_id(self._metadata or ()),
            )

    def done(self, _event: Any) -> tuple[None, tuple[()]]:
        """Count the call, whose answer is on its way, and give its place back."""
        try:
            self.method.tally.add(self._code, self._seconds)
            self.method.calls.end(self)
        except Exception as error:  # noqa: BLE001
            log_failure("call_not_ended", error, method=self.method.rule.name)
        return _GO_ON

    def refuse(self, error: BaseException) -> None:
        """End the call with an error, whether or not its request has been read."""
        self._fail(status_of(error, self.method.rule.name, self._metadata or ()))

    def shed(self) -> None:
        """Refuse the call because all places are taken."""
        _shed.inc()
        self._fail(_OVERLOADED)

    def _begin(self, body: bytes | None) -> None:
        if body is None:
            self.refuse(InvalidRequestError([("request", "must be one message")]))
            return
        if self.method.is_short and len(body) <= SHORT_REQUEST_BYTES_MAX:
            try:
                self._answer(body)
            except WouldWaitError:
                pass
            else:
                return
        elif len(body) <= self.method.search_bytes_max:
            self.method.calls.let_search(self, body)
            return
        self.method.calls.hand_over(self, body)

    def _is_in_time(self) -> bool:
        """Return whether the deadline is within bounds and leaves time to work in; refuse the call if not."""
        try:
            check_deadline(self.method.rule, self._deadline_s - time.time())
        except CallRefusedError as error:
            self.refuse(error)
            return False
        return True

    def _answer(self, body: bytes) -> None:
        method = self.method
        started_s = time.perf_counter()
        try:
            response = method.behaviour(request_of(method.rule, method.parse, body), cast("grpc.ServicerContext", self))
            answer = response if isinstance(response, bytes) else response.SerializeToString()
        except WouldWaitError:
            raise
        except BaseException as error:  # noqa: BLE001 – a panic of an extension is no Exception, and would end the thread
            self._seconds = time.perf_counter() - started_s
            if self._is_given_up and isinstance(error, DeadlineTooShortError):
                self._fail(_GIVEN_UP)
            else:
                self.refuse(error)
        else:
            self._seconds = time.perf_counter() - started_s
            self._finish(
                cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),
                cygrpc.SendMessageOperation(answer, _NO_FLAGS),
                cygrpc.SendStatusFromServerOperation(None, _OK, b"", _NO_FLAGS),
            )

    def _fail(self, status: CallStatus) -> None:
        self._code = status.code.name
        number, details = status.code.value[0], status.details.encode()
        self._finish(
            cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),
            cygrpc.SendStatusFromServerOperation(status.trailing_metadata, number, details, _NO_FLAGS),
        )

    def _finish(self, *operations: Any) -> None:
        if not self._is_watched:
            operations += (cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),)
        self._call.start_server_batch(operations, self.done)
