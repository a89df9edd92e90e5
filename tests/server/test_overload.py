"""More than a reader can hold: refused at once, with when to come back; lookups and health go on."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mdm.limits import QUEUE_CALLS_MAX, STREAM_WORKERS, STREAMS_PER_CONNECTION_MAX
from mdm.server.errors import DeadlineTooShortError
from mdm.server.interceptors import check_deadline, rule_of
from mdm.store.token import JournalToken, parse_token
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, info_of, key, status_of, trailing_of
from tests.serving import RunningServer, running_server


class OpenStream:
    """A stream of lookups that says nothing until it is told to end."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._requests: queue.SimpleQueue[lookup.StreamLookupRequest | None] = queue.SimpleQueue()
        self.answers = LookupServiceStub(channel).StreamLookup(iter(self._requests.get, None))

    def ask(self) -> lookup.StreamLookupResponse:
        """Return the answer to one batch, which shows that the stream has its place."""
        self._requests.put(
            lookup.StreamLookupRequest(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_ids=["NONE"])
        )
        return next(self.answers)

    def end(self) -> None:
        self._requests.put(None)
        list(self.answers)


def test_idle_streams_fill_their_own_places_and_starve_nobody(channel: grpc.Channel) -> None:
    streams = [OpenStream(channel) for _ in range(STREAM_WORKERS)]
    for stream in streams:
        stream.ask()
    surplus = OpenStream(channel)
    with pytest.raises(grpc.RpcError) as caught:
        surplus.ask()
    assert info_of(caught.value).reason == "STREAMS_EXHAUSTED"
    found = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("NONE")), timeout=2)
    assert found.status == common.RECORD_STATUS_NOT_FOUND
    for stream in streams:
        stream.end()
    _wait_for_place(channel)


def test_calls_beyond_the_queue_are_shed_with_a_time_to_come_back(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", grace_s=0.1) as served, contextlib.ExitStack() as stack:
        stub = RegistryServiceStub(stack.enter_context(served.channel()))
        for number in range(30):
            record = citizen(f"BUSY-{number}", personal_id=f"0791870{number:05}")
            stub.UpsertRecord(registry.UpsertRecordRequest(record=record), timeout=5)
        slow = match.BatchMatchRequest(attributes=[citizen("x").attributes] * 500)
        # One connection holds a hundred calls, so it takes several to fill the queue.
        channels = [stack.enter_context(served.channel()) for _ in range(QUEUE_CALLS_MAX // 80 + 1)]
        calls = [
            MatchServiceStub(each).BatchMatch.future(slow, timeout=60)
            for each in channels
            for _ in range(STREAMS_PER_CONNECTION_MAX - 1)
        ]
        assert len(calls) > QUEUE_CALLS_MAX
        refused = _first_refused(calls)
        health = health_pb2_grpc.HealthStub(channels[0]).Check(health_pb2.HealthCheckRequest(), timeout=5)
        for call in calls:
            call.cancel()
    assert info_of(refused).reason == "OVERLOADED"
    assert int(trailing_of(refused)["grpc-retry-pushback-ms"]) > 0
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status_of(refused).details)
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_a_position_that_is_not_applied_yet_is_waited_for_and_then_refused(
    server: RunningServer, channel: grpc.Channel
) -> None:
    stub = LookupServiceStub(channel)
    now = parse_token(stub.Lookup(lookup.LookupRequest(key=key("NONE")), timeout=5).read_at.value)
    later = str(JournalToken(now.journal_id, now.epoch, now.seq + 1_000_000))
    request = lookup.LookupRequest(key=key("NONE"), at_least_as_fresh=common.JournalToken(value=later))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Lookup(request, timeout=5)
    assert info_of(caught.value).reason == "NOT_FRESH_ENOUGH"


def test_a_call_with_next_to_no_time_left_is_not_begun() -> None:
    # A caller cannot see this answer: its own deadline ends the call first. It saves the work.
    with pytest.raises(DeadlineTooShortError):
        check_deadline(rule_of("LookupService/Lookup"), 0.001)


def _first_refused(calls: Sequence[grpc.Future[Any]]) -> grpc.RpcError:
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        for call in calls:
            if call.done() and not call.cancelled() and isinstance(error := call.exception(), grpc.RpcError):
                return error
        time.sleep(0.01)
    raise AssertionError("no call was refused")


def _wait_for_place(channel: grpc.Channel) -> None:
    until_s = time.monotonic() + 10
    while True:
        stream = OpenStream(channel)
        try:
            stream.ask()
        except grpc.RpcError:
            assert time.monotonic() < until_s, "an ended stream keeps its place"
            time.sleep(0.02)
        else:
            stream.end()
            return
