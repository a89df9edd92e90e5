"""What becomes of calls when a server bounds them, ages its connections out, stops, or is none."""

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

from benchmarks.load.connection import Connection, Exchange
from benchmarks.load.spec import Call

CALLS = [Call("echo", "/test.Server/Echo", "", timeout_s=10.0), Call("hold", "/test.Server/Hold", "", timeout_s=10.0)]
ECHO, HOLD = 0, 1
WAIT_S = 20.0


class Held:
    """Calls that a server answers only when told to."""

    def __init__(self) -> None:
        self.is_let_go = threading.Event()
        self.began = threading.Semaphore(0)

    def hold(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        self.began.release()
        assert self.is_let_go.wait(WAIT_S)
        return request


@contextmanager
def serving(held: Held, *options: tuple[str, int]) -> Iterator[tuple[str, grpc.Server]]:
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _context: request),
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

    def __init__(self, address: str) -> None:
        self.reading: dict[int, Connection] = {}
        self.writing: dict[int, Connection] = {}
        self.connection = Connection(address, CALLS, self.reading, self.writing)
        self.port = 0
        """Of the call that ended last."""

    def until(self, count: int) -> Counter[str]:
        """Wait for the end of so many calls."""
        statuses: Counter[str] = Counter()
        end_s = time.monotonic() + WAIT_S
        while statuses.total() < count and time.monotonic() < end_s:
            for each in self.turn():
                statuses[each.status] += 1
                self.port = each.getinfo(pycurl.LOCAL_PORT)
        return statuses

    def turn_until_begun(self, held: Held, count: int) -> None:
        """Wait until the server has so many calls in hand."""
        end_s = time.monotonic() + WAIT_S
        while count:
            assert time.monotonic() < end_s
            assert not self.turn()
            count -= held.began.acquire(blocking=False)

    def turn(self) -> list[Exchange]:
        """Do what is due, and return what has ended."""
        if self.connection.timer_s <= time.monotonic():
            self.connection.act()
        wait_s = min(max(self.connection.timer_s - time.monotonic(), 0), 0.05)
        readable, writable, _ = select.select(self.reading, self.writing, (), wait_s)
        for ready, event in ((readable, pycurl.CSELECT_IN), (writable, pycurl.CSELECT_OUT)):
            for descriptor in ready:
                self.connection.act(descriptor, event)
        return [*self.connection.ended()]


def test_calls_beyond_the_streams_of_a_connection_wait_and_are_answered() -> None:
    held = Held()
    with serving(held, ("grpc.max_concurrent_streams", 2)) as (address, _):
        caller = Caller(address)
        for _ in range(6):
            caller.connection.begin(HOLD, b"x", 0.0)
        caller.turn_until_begun(held, 2)
        for _ in range(5):
            caller.turn()
        # The third is not with the server until one of the two has been answered.
        assert not held.began.acquire(blocking=False)
        held.is_let_go.set()
        assert caller.until(6) == {"OK": 6}
        caller.connection.close()


def test_a_connection_that_ages_out_is_followed_by_another() -> None:
    with serving(Held(), ("grpc.max_connection_age_ms", 200), ("grpc.max_connection_age_grace_ms", 5000)) as (
        address,
        _,
    ):
        caller = Caller(address)
        ports: set[int] = set()
        end_s = time.monotonic() + WAIT_S
        while len(ports) < 3 and time.monotonic() < end_s:
            caller.connection.begin(ECHO, b"x", 0.0)
            assert caller.until(1) == {"OK": 1}
            ports.add(caller.port)
        assert len(ports) == 3
        caller.connection.close()


def test_a_server_that_stops_is_told_as_grpc_tells_it() -> None:
    held = Held()
    with serving(held) as (address, server):
        caller = Caller(address)
        caller.connection.begin(HOLD, b"x", 0.0)
        caller.turn_until_begun(held, 1)
        server.stop(0)
        assert caller.until(1).keys() <= {"CANCELLED", "UNAVAILABLE"}
        caller.connection.begin(ECHO, b"x", 0.0)
        assert caller.until(1) == {"UNAVAILABLE": 1}
        caller.connection.close()


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
