"""gRPC's polling thread as our own: it reads connections, takes events up, and searches while nothing else waits.

`grpc.server` polls in a thread that only takes events up. A search on that thread is not parted from the interpreter
lock by every event of other calls, which cost it a third of its time; but gRPC reads connections only once no event is
left, so that a row of searches would keep every lookup waiting that arrives meanwhile. Here each lets them go first.

Rests on private parts of grpcio, as `grpc._server._start` and `_serve` use them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import grpc
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from mdm.server.logs import log_failure

_CHECK_S = _server._DEALLOCATED_SERVER_CHECK_PERIOD_S  # noqa: SLF001
_AT_ONCE = 0.0
"""A deadline long past: gRPC reads what has arrived on one connection, and does not wait for more."""

EMPTY_POLLS_MIN = 4
"""Polls without an event, 1 us each, before nothing is thought to wait. What this thread itself sent ends the first one
early; each of the others reads one connection, and what it brings after an answer is seldom a call. When 30 connections
sent 60 searches at once, three lookups waited for 47 of them with two polls, for 14 with four, for 9 with eight."""

EVENTS_BETWEEN_MAX = 32
"""Events taken up before a search that waits has its turn: some ten lookups, so that these never starve it."""


class Polling:
    """The thread that polls for one server's events. What it is given to do is done on that thread, one at a time."""

    def __init__(self, server: grpc.Server) -> None:
        """Take a server that has not started."""
        self._state = cast("Any", server)._state  # noqa: SLF001 – see the module's docstring
        self._waiting: deque[Callable[[], None]] = deque()
        self.idle = threading.Event()
        """Set while no work waits for the thread or is being done there."""
        self.idle.set()

    def start(self) -> None:
        """Start the server and the thread."""
        state = self._state
        with state.lock:
            if state.stage is not _server._ServerStage.STOPPED:  # noqa: SLF001
                raise ValueError("the server has started already")
            state.server.start()
            state.stage = _server._ServerStage.STARTED  # noqa: SLF001
            for method in state.registered_method_handlers:
                _server._request_registered_call(state, method)  # noqa: SLF001
            _server._request_call(state)  # noqa: SLF001
        threading.Thread(target=self._serve, name="polling", daemon=True).start()

    @property
    def is_waited_for(self) -> bool:
        """Whether work waits for the thread."""
        return bool(self._waiting)

    def do_when_idle(self, work: Callable[[], None]) -> None:
        """Do `work` once no event waits. To be called on the polling thread alone."""
        self._waiting.append(work)
        self.idle.clear()

    def _work(self) -> None:
        try:
            self._waiting.popleft()()
        except Exception as error:  # noqa: BLE001 – without this thread the process answers nobody
            log_failure("polling_work_failed", error)
        if not self._waiting:
            self.idle.set()

    def _serve(self) -> None:
        state, waiting = self._state, self._waiting
        events_count = empty_count = 0
        while True:
            if waiting and (empty_count >= EMPTY_POLLS_MIN or events_count >= EVENTS_BETWEEN_MAX):
                events_count = empty_count = 0
                self._work()
            event = state.completion_queue.poll(_AT_ONCE if waiting else time.time() + _CHECK_S)
            if state.server_deallocated:
                _server._begin_shutdown_once(state)  # noqa: SLF001
            if event.completion_type == cygrpc.CompletionType.queue_timeout:
                empty_count += 1
            else:
                # Those that came while nothing waited kept nobody waiting.
                events_count, empty_count = events_count + 1 if waiting else 0, 0
                if not _server._process_event_and_continue(state, event):  # noqa: SLF001
                    waiting.clear()
                    self.idle.set()
                    return
            # As in `grpc._server`: an event that outlives its turn keeps its call from ending.
            del event
