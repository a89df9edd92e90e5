"""Health as `grpc.health.v1` defines it: each service by name, the whole by the empty name, asked once or watched.

The servicer of grpcio-health-checking holds its lock while a message is on its way to a watcher, and takes the same
lock on gRPC's polling thread when another watcher leaves. The message is not on its way before the polling thread says
so: once in some hundreds of connections that came while others went, a reader answered nobody from then on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
from grpc_health.v1 import health_pb2

from mdm.server.logs import log_failure, logger

HEALTH_WORKERS = 2
"""Threads on which watchers are told, each for as long as a message is on its way: some 0.1 ms."""

UNTAKEN_S_MAX = 10.0
"""How long a message may be on its way. It has two bytes: only a dead or hostile connection does not take it."""

_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

_Send = Callable[[health_pb2.HealthCheckResponse], None]
_Watching = Callable[[health_pb2.HealthCheckRequest, grpc.ServicerContext, _Send], None]


class _Watcher:
    """One call of Watch. `told` is what it was sent last; a message is on its way to it since `since_s`, if one is."""

    __slots__ = ("context", "is_being_told", "send", "service", "since_s", "told")

    def __init__(self, service: str, context: grpc.ServicerContext, send: _Send) -> None:
        self.service = service
        self.context = context
        self.send = send
        self.told: int | None = None
        self.is_being_told = True
        self.since_s: float | None = None


class _WithoutThread:
    """A handler of a stream that keeps no thread while nothing is to be said; gRPC reads both attributes."""

    experimental_non_blocking = True

    def __init__(self, watching: _Watching, pool: ThreadPoolExecutor) -> None:
        self._watching = watching
        self.experimental_thread_pool = pool

    def __call__(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send: _Send) -> None:
        self._watching(request, context, send)


class HealthService:
    """Answers about health. No lock is held while a message is on its way, and no caller of `set` waits for one."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        """Know no service yet; watchers are told on threads of `pool`."""
        self._pool = pool
        self._lock = threading.Lock()
        self._statuses: dict[str, int] = {}
        self._watchers: set[_Watcher] = set()
        self._is_final = False
        self.Watch = _WithoutThread(self._watch, pool)

    def Check(  # noqa: N802 – gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Return the status of a service; NOT_FOUND where there is none of that name."""
        status = self._statuses.get(request.service)
        if status is None:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            return health_pb2.HealthCheckResponse()
        return health_pb2.HealthCheckResponse(status=status)

    def List(  # noqa: N802 – gRPC's name
        self, request: health_pb2.HealthListRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthListResponse:
        """Return the status of every service."""
        del request, context
        statuses = {name: health_pb2.HealthCheckResponse(status=each) for name, each in tuple(self._statuses.items())}
        return health_pb2.HealthListResponse(statuses=statuses)

    def set(self, service: str, status: int) -> None:
        """Change the status of a service and let its watchers know."""
        self._set({service: status})

    def end(self) -> None:
        """Serve nothing from now on, whatever is set later."""
        self._set(dict.fromkeys(self._statuses, _NOT_SERVING), is_final=True)

    def end_untaken(self, after_s: float = UNTAKEN_S_MAX) -> int:
        """End the calls that have not taken their message for `after_s`; returns how many. Once a second."""
        until_s = time.monotonic() - after_s
        with self._lock:
            untaken = [each for each in self._watchers if each.since_s is not None and each.since_s < until_s]
            self._watchers.difference_update(untaken)
        for watcher in untaken:
            logger().warning("health_untaken", waited_s=after_s)
            watcher.context.cancel()
        return len(untaken)

    def _set(self, statuses: Mapping[str, int], *, is_final: bool = False) -> None:
        with self._lock:
            if self._is_final:
                return
            self._is_final = is_final
            self._statuses.update(statuses)
            untold = [each for each in self._watchers if each.service in statuses and not each.is_being_told]
            for watcher in untold:
                watcher.is_being_told = True
        for watcher in untold:
            self._pool.submit(self._tell, watcher)

    def _watch(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send: _Send) -> None:
        watcher = _Watcher(request.service, context, send)
        with self._lock:
            self._watchers.add(watcher)
        if not context.add_callback(partial(self._forget, watcher)):
            self._forget(watcher)
        self._tell(watcher)

    def _forget(self, watcher: _Watcher) -> None:
        """Called on the polling thread when the call has ended."""
        with self._lock:
            self._watchers.discard(watcher)

    def _tell(self, watcher: _Watcher) -> None:
        """Send what the watcher does not know yet, on one thread at a time."""
        while True:
            with self._lock:
                status = self._statuses.get(watcher.service, _UNKNOWN)
                watcher.since_s = None
                if status == watcher.told or watcher not in self._watchers:
                    watcher.is_being_told = False
                    return
                watcher.told, watcher.since_s = status, time.monotonic()
            try:
                watcher.send(health_pb2.HealthCheckResponse(status=status))
            except Exception as error:  # noqa: BLE001 – a watcher that cannot be told must ask anew
                log_failure("health_untold", error)
                self._forget(watcher)
                watcher.context.cancel()
