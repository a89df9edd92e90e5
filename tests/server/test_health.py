from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mdm.server.health_service import HealthService
from tests.protos.interface import SERVICES

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
NAME = SERVICES[0]
WAIT_S = 20


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_tells_its_health(channel: grpc.Channel, name: str) -> None:
    request = health_pb2.HealthCheckRequest(service=name)
    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_all_services_are_listed(channel: grpc.Channel) -> None:
    answer = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=5)
    assert {name: each.status for name, each in answer.statuses.items()} == dict.fromkeys(("", *SERVICES), SERVING)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def health(pool: ThreadPoolExecutor) -> HealthService:
    served = HealthService(pool)
    served.set(NAME, SERVING)
    return served


@pytest.fixture
def stub(health: HealthService) -> Iterator[health_pb2_grpc.HealthStub]:
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield health_pb2_grpc.HealthStub(opened)
    server.stop(None).wait()


def test_who_watches_is_told_what_changes_and_what_ends(health: HealthService, stub: Any) -> None:
    watched = stub.Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=WAIT_S)
    unknown = stub.Watch(health_pb2.HealthCheckRequest(service="later"), timeout=WAIT_S)
    assert next(watched).status == SERVING
    assert next(unknown).status == SERVICE_UNKNOWN
    health.set(NAME, SERVING)
    health.set(NAME, NOT_SERVING)
    assert next(watched).status == NOT_SERVING
    health.set("later", SERVING)
    assert next(unknown).status == SERVING
    health.end()
    health.set("later", SERVING)
    assert next(unknown).status == NOT_SERVING
    assert stub.Check(health_pb2.HealthCheckRequest(service="later"), timeout=WAIT_S).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(health_pb2.HealthCheckRequest(service="never"), timeout=WAIT_S)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_nothing_is_kept_of_who_left(health: HealthService, stub: Any) -> None:
    left = threading.Semaphore(0)
    for _ in range(50):
        watched = stub.Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=WAIT_S)
        assert next(watched).status == SERVING
        watched.add_callback(left.release)
        watched.cancel()
    for _ in range(50):
        assert left.acquire(timeout=WAIT_S)
    # Whether they have left is the server's to say, a moment later: the last of them answers nothing any more.
    until = threading.Event()
    for _ in range(WAIT_S * 100):
        if not health._watchers:
            break
        until.wait(0.01)
    assert not health._watchers


class Caller:
    """A call of Watch of which the test decides when a message arrives and when it ends."""

    def __init__(self, health: HealthService, *, has_left: bool = False) -> None:
        self.told: SimpleQueue[int] = SimpleQueue()
        self.arrives = threading.Event()
        self.leave: Callable[[], None] = lambda: None
        self.is_broken = False
        self.is_cancelled = threading.Event()
        self._has_left = has_left
        context = SimpleNamespace(add_callback=self._add_callback, cancel=self._cancel)
        request = health_pb2.HealthCheckRequest(service=NAME)
        self.call = threading.Thread(
            target=health.Watch, args=(request, cast("grpc.ServicerContext", context), self._send), daemon=True
        )
        self.call.start()

    def _add_callback(self, callback: Callable[[], None]) -> bool:
        self.leave = callback
        return not self._has_left

    def _cancel(self) -> None:
        self.is_cancelled.set()
        self.arrives.set()

    def _send(self, answer: health_pb2.HealthCheckResponse) -> None:
        self.told.put(answer.status)
        self.arrives.wait()
        if self.is_broken:
            raise ValueError("the call is broken")


def test_one_may_leave_and_all_be_told_while_a_message_is_on_its_way_to_another(health: HealthService) -> None:
    # The message arrives once the polling thread, which says that the other left, is at leisure to say that, too.
    leaving, slow, third = (Caller(health) for _ in range(3))
    for caller in (leaving, third):
        caller.arrives.set()
        caller.call.join(WAIT_S)
        assert caller.told.get(timeout=WAIT_S) == SERVING
    assert slow.told.get(timeout=WAIT_S) == SERVING

    def poll() -> None:
        leaving.leave()
        health.set(NAME, NOT_SERVING)
        slow.arrives.set()

    polling = threading.Thread(target=poll, daemon=True)
    polling.start()
    polling.join(WAIT_S)
    assert not polling.is_alive()
    assert third.told.get(timeout=WAIT_S) == NOT_SERVING
    assert slow.told.get(timeout=WAIT_S) == NOT_SERVING
    slow.call.join(WAIT_S)
    assert not slow.call.is_alive()
    assert leaving.told.empty()


def test_who_left_before_it_was_noted_is_told_nothing(health: HealthService) -> None:
    gone = Caller(health, has_left=True)
    gone.call.join(WAIT_S)
    assert not gone.call.is_alive()
    assert gone.told.empty()
    assert not health._watchers


def test_who_takes_no_message_loses_its_call_and_no_one_else_does(health: HealthService) -> None:
    dead, live = Caller(health), Caller(health)
    live.arrives.set()
    live.call.join(WAIT_S)
    assert dead.told.get(timeout=WAIT_S) == SERVING
    assert health.end_untaken(WAIT_S) == 0
    assert health.end_untaken(0.0) == 1
    dead.call.join(WAIT_S)
    assert not dead.call.is_alive()
    assert dead.is_cancelled.is_set()
    assert health.end_untaken(0.0) == 0
    assert not live.is_cancelled.is_set()
    assert live.told.get(timeout=WAIT_S) == SERVING
    health.set(NAME, NOT_SERVING)
    assert live.told.get(timeout=WAIT_S) == NOT_SERVING
    assert dead.told.empty()


def test_a_watcher_that_cannot_be_told_has_to_ask_anew(health: HealthService) -> None:
    broken = Caller(health)
    broken.is_broken = True
    broken.arrives.set()
    broken.call.join(WAIT_S)
    assert not broken.call.is_alive()
    assert broken.is_cancelled.is_set()
    assert not health._watchers
