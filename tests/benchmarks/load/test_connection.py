"""What becomes of calls when a server bounds them, ages its connections out, ends them, stops, or is none."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pycurl
import pytest

from benchmarks.load.connection import Connection, Sent
from benchmarks.load.spec import Call
from tests.benchmarks.load.resetting_server import resetting

CALLS = [
    Call("echo", "/test.Server/Echo", "", timeout_s=10.0),
    Call("hold", "/test.Server/Hold", "", timeout_s=10.0),
    Call("hold briefly", "/test.Server/Hold", "", timeout_s=0.3),
]
ECHO, HOLD, HOLD_BRIEFLY = 0, 1, 2
WAIT_S = 20.0


class Held:
    """Answers calls, some only when told to, and remembers them."""

    def __init__(self) -> None:
        self.is_let_go = threading.Event()
        self.began = threading.Semaphore(0)
        self.bodies: list[bytes] = []
        self.peers: set[str] = set()
        self.left_s: list[float] = []

    def hold(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.bodies.append(request)
        self.left_s.append(context.time_remaining())
        self.began.release()
        assert self.is_let_go.wait(WAIT_S)
        return request

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.peers.add(context.peer())
        return request


@contextmanager
def serving(held: Held, *options: tuple[str, int]) -> Iterator[tuple[str, grpc.Server]]:
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(held.echo),
        "Hold": grpc.unary_unary_rpc_method_handler(held.hold),
    }
    server.add_registered_method_handlers("test.Server", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", server
    finally:
        held.is_let_go.set()
        server.stop(0).wait()


class Caller:
    """A connection, and the loop that waits for it."""

    def __init__(self, address: str, streams_max: int = 100) -> None:
        self.reading: dict[int, Connection] = {}
        self.writing: dict[int, Connection] = {}
        self.connection = Connection(address, CALLS, self.reading, self.writing, streams_max)

    def begin(self, kind: int, body: bytes = b"x") -> None:
        self.connection.begin(kind, body, 0.0)

    def until(self, count: int) -> Counter[str]:
        """Wait for the end of so many calls."""
        statuses: Counter[str] = Counter()
        end_s = time.monotonic() + WAIT_S
        while statuses.total() < count and time.monotonic() < end_s:
            statuses.update(each.status for each in self.turn())
        return statuses

    def turn_until_begun(self, held: Held, count: int) -> None:
        """Wait until the server has so many calls in hand."""
        end_s = time.monotonic() + WAIT_S
        while count:
            assert time.monotonic() < end_s
            assert not self.turn()
            count -= held.began.acquire(blocking=False)

    def turn(self) -> list[Sent]:
        """Do what is due, and return what has ended."""
        if self.connection.timer_s <= time.monotonic():
            self.connection.act()
        wait_s = min(max(self.connection.timer_s - time.monotonic(), 0), 0.05)
        readable, writable, _ = select.select(self.reading, self.writing, (), wait_s)
        for ready, event in ((readable, pycurl.CSELECT_IN), (writable, pycurl.CSELECT_OUT)):
            for descriptor in ready:
                self.connection.act(descriptor, event)
        return [*self.connection.ended()]


def test_calls_beyond_the_streams_of_a_connection_wait_and_keep_their_order() -> None:
    held, bodies = Held(), [b"%d" % number for number in range(8)]
    with serving(held, ("grpc.max_concurrent_streams", 1)) as (address, _):
        caller = Caller(address, streams_max=1)
        for body in bodies:
            caller.begin(HOLD, body)
        caller.turn_until_begun(held, 1)
        assert not any(caller.turn() for _ in range(5))
        # The second is not with the server until the first has been answered.
        assert not held.began.acquire(blocking=False)
        held.is_let_go.set()
        assert caller.until(len(bodies)) == {"OK": len(bodies)}
        caller.connection.close()
    assert held.bodies == bodies


def test_what_waits_has_the_time_that_is_left_and_ends_when_none_is() -> None:
    held = Held()
    with serving(held) as (address, _):
        caller = Caller(address, streams_max=1)
        for kind in (HOLD_BRIEFLY, HOLD_BRIEFLY, HOLD):
            caller.begin(kind)
        # The second waits for all of its time, and is never sent.
        assert caller.until(2) == {"DEADLINE_EXCEEDED": 2}
        held.is_let_go.set()
        assert caller.until(1) == {"OK": 1}
        caller.connection.close()
    _, left_s = held.left_s
    assert left_s < CALLS[HOLD].timeout_s - 0.25


def test_a_connection_that_ages_out_is_followed_by_another_without_a_wait_for_old_calls() -> None:
    held = Held()
    with serving(held, ("grpc.max_connection_age_ms", 200), ("grpc.max_connection_age_grace_ms", 60_000)) as served:
        caller = Caller(served[0])
        caller.begin(HOLD)
        caller.turn_until_begun(held, 1)
        end_s = time.monotonic() + WAIT_S
        while len(held.peers) < 2 and time.monotonic() < end_s:
            caller.begin(ECHO)
            assert caller.until(1) == {"OK": 1}
        # All that while the first connection has kept the call that is held.
        assert len(held.peers) == 2
        held.is_let_go.set()
        assert caller.until(1) == {"OK": 1}
        caller.connection.close()


def test_a_server_that_stops_is_told_as_grpc_tells_it() -> None:
    held = Held()
    with serving(held) as (address, server):
        caller = Caller(address)
        caller.begin(HOLD)
        caller.turn_until_begun(held, 1)
        server.stop(0)
        assert caller.until(1) == {"UNAVAILABLE": 1}
        caller.begin(ECHO)
        assert caller.until(1) == {"UNAVAILABLE": 1}
        caller.connection.close()


@pytest.mark.parametrize("code", [0x2, 0x8, 0xB])
def test_a_stream_that_the_server_ends_is_told_as_grpc_tells_it(code: int) -> None:
    with resetting(code) as address:
        caller = Caller(address)
        caller.begin(ECHO)
        found = caller.until(1)
        caller.connection.close()
        with grpc.insecure_channel(address, [("grpc.enable_retries", 0)]) as channel:
            echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Server/Echo")
            with pytest.raises(grpc.RpcError):
                echo(b"the first is answered", timeout=WAIT_S)
            with pytest.raises(grpc.RpcError) as caught:
                echo(b"x", timeout=WAIT_S)
    assert found == {caught.value.code().name: 1}


def test_what_does_not_speak_http_2_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.recv(64)
                taken.sendall(b"220 mail\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionError):
            Caller(f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
