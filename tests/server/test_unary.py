"""Unary calls: short reads go on whatever the others wait for, places run out in the open, and nobody is forgotten."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import prometheus_client
import pycurl
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mdm.limits import (
    DEADLINE_BATCH_S_MAX,
    QUEUE_CALLS_MAX,
    STREAMS_PER_CONNECTION_MAX,
    UNARY_WORKERS,
)
from mdm.resolve import searching
from mdm.resolve.reader import Reader
from mdm.server import metrics, unary
from mdm.server.calls import WouldWaitError, remaining_s
from mdm.server.match_service import MatchService
from mdm.server.reader_process import CHANNEL_OPTIONS
from mdm.server.unary import SEARCHES, SHORT_CALLS, UnaryCalls
from mdm.server.wire_records import record_message
from mdm.server.writer_link import WriterLink
from mdm.store.token import JournalToken, parse_token
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.resolve.cities import city_records
from tests.resolve.office import Office
from tests.server.records import citizen, info_of, key
from tests.serving import RunningServer, running_server

REQUEST = lookup.LookupRequest(key=key("NONE"))
DEADLINE_S = 9.0
ONE_QUERY = match.BatchMatchRequest(attributes=[citizen("x").attributes])
CONNECTION_CALLS = 90
"""Calls on one connection at a time, below the hundred streams that the service allows it."""


def test_reads_answer_while_every_worker_waits_for_the_writer(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served, served.channel() as channel, _stopped(served, "writer_process"):
        stub = RegistryServiceStub(channel)
        search = match.MatchRequest(attributes=citizen("x").attributes)
        writes = [
            stub.UpsertRecord.future(registry.UpsertRecordRequest(record=citizen(f"SLOW-{number}")), timeout=DEADLINE_S)
            for number in range(2 * UNARY_WORKERS)
        ]
        time.sleep(0.3)
        assert not any(write.done() for write in writes)
        assert LookupServiceStub(channel).Lookup(REQUEST, timeout=2).status == common.RECORD_STATUS_NOT_FOUND
        assert MatchServiceStub(channel).Match(search, timeout=2).result.candidate_count == 0
        for write in writes:
            write.cancel()


def test_a_lookup_that_waits_for_a_position_keeps_no_other_from_its_answer(
    server: RunningServer, channel: grpc.Channel
) -> None:
    stub = LookupServiceStub(channel)
    now = parse_token(stub.Lookup(REQUEST, timeout=DEADLINE_S).read_at.value)
    later = common.JournalToken(value=str(JournalToken(now.journal_id, now.epoch, now.seq + 1_000_000)))
    waiting = stub.Lookup.future(lookup.LookupRequest(key=key("NONE"), at_least_as_fresh=later), timeout=DEADLINE_S)
    time.sleep(0.1)
    for _ in range(50):
        stub.Lookup(REQUEST, timeout=DEADLINE_S)
    assert not waiting.done()
    error = waiting.exception()
    assert isinstance(error, grpc.RpcError)
    assert info_of(error).reason == "NOT_FRESH_ENOUGH"


def test_searches_go_on_while_many_lookups_wait_for_a_position(server: RunningServer, channel: grpc.Channel) -> None:
    stub = LookupServiceStub(channel)
    now = parse_token(stub.Lookup(REQUEST, timeout=DEADLINE_S).read_at.value)
    later = common.JournalToken(value=str(JournalToken(now.journal_id, now.epoch, now.seq + 1_000_000)))
    request = lookup.LookupRequest(key=key("NONE"), at_least_as_fresh=later)
    waiting = [stub.Lookup.future(request, timeout=DEADLINE_S) for _ in range(2 * UNARY_WORKERS)]
    time.sleep(0.1)
    MatchServiceStub(channel).Match(match.MatchRequest(attributes=citizen("x").attributes), timeout=1)
    assert not any(each.done() for each in waiting)
    for each in waiting:
        each.cancel()


def test_single_searches_go_on_while_batches_take_their_time() -> None:
    is_over = threading.Event()

    def work_on(_: match.BatchMatchRequest, __: grpc.ServicerContext) -> match.BatchMatchResponse:
        is_over.wait(20)
        return match.BatchMatchResponse()

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Match": grpc.unary_unary_rpc_method_handler(
            lambda *_: match.MatchResponse(), match.MatchRequest.FromString, match.MatchResponse.SerializeToString
        ),
        "BatchMatch": grpc.unary_unary_rpc_method_handler(
            work_on, match.BatchMatchRequest.FromString, match.BatchMatchResponse.SerializeToString
        ),
    }
    attributes = citizen("x").attributes
    with _serving("mdm.v1.MatchService", handlers) as channel:
        stub = MatchServiceStub(channel)
        request = match.BatchMatchRequest(attributes=[attributes])
        batches = [stub.BatchMatch.future(request, timeout=30) for _ in range(2 * UNARY_WORKERS)]
        time.sleep(0.2)
        stub.Match(match.MatchRequest(attributes=attributes), timeout=2)
        assert not any(each.done() for each in batches)
        is_over.set()
        assert all(each.result() for each in batches)


def test_a_rush_of_lookups_is_answered_or_told_to_come_back(tmp_path: Path) -> None:
    # While the reader is stopped the whole rush arrives; then it finds more than it has places for.
    count = 14 * CONNECTION_CALLS
    assert count > 2 * QUEUE_CALLS_MAX
    with running_server(tmp_path / "data") as served, contextlib.ExitStack() as stack:
        channels = [stack.enter_context(served.channel()) for _ in range(count // CONNECTION_CALLS)]
        stubs = [LookupServiceStub(each) for each in channels]
        for stub in stubs:
            stub.Lookup(REQUEST, timeout=DEADLINE_S)
        with _stopped(served, "reader_process"):
            calls = [stub.Lookup.future(REQUEST, timeout=DEADLINE_S) for stub in stubs for _ in range(CONNECTION_CALLS)]
            time.sleep(1)
        errors = [call.exception() for call in calls]
        told = Counter(info_of(error).reason if isinstance(error, grpc.RpcError) else "" for error in errors)
        health = health_pb2_grpc.HealthStub(channels[0]).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert stubs[0].Lookup(REQUEST, timeout=2).status == common.RECORD_STATUS_NOT_FOUND
    assert set(told) == {"", "OVERLOADED"}
    assert told[""] >= QUEUE_CALLS_MAX
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_more_callers_than_a_connection_holds_all_get_their_answer(channel: grpc.Channel) -> None:
    stub = LookupServiceStub(channel)

    def ask(_: int) -> int:
        return sum(stub.Lookup(REQUEST, timeout=DEADLINE_S).status for _ in range(20))

    with ThreadPoolExecutor(2 * STREAMS_PER_CONNECTION_MAX) as callers:
        answers = list(callers.map(ask, range(2 * STREAMS_PER_CONNECTION_MAX)))
    assert set(answers) == {20 * common.RECORD_STATUS_NOT_FOUND}


def test_what_callers_no_longer_wait_for_is_not_worked_on(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served, served.channel() as channel:
        stub = RegistryServiceStub(channel)
        with _stopped(served, "writer_process"):
            # The first ones are with the writer; the others wait for a worker and are given up meanwhile.
            writes = [
                stub.UpsertRecord.future(
                    registry.UpsertRecordRequest(record=citizen(f"GONE-{number}")), timeout=DEADLINE_S
                )
                for number in range(5 * UNARY_WORKERS)
            ]
            time.sleep(0.5)
            for write in writes:
                write.cancel()
            time.sleep(0.2)
        done = stub.UpsertRecord(registry.UpsertRecordRequest(record=citizen("LAST")), timeout=DEADLINE_S)
        request = lookup.BatchLookupRequest(
            registry="hospital",
            entity_kind=common.ENTITY_KIND_CITIZEN,
            record_ids=[f"GONE-{number}" for number in range(5 * UNARY_WORKERS)],
            at_least_as_fresh=done.token,
        )
        found = LookupServiceStub(channel).BatchLookup(request, timeout=DEADLINE_S)
    assert 0 < list(found.statuses).count(common.RECORD_STATUS_FOUND) <= UNARY_WORKERS


def test_a_call_without_a_request_is_told_what_is_missing(channel: grpc.Channel) -> None:
    empty = channel.stream_unary("/mdm.v1.LookupService/Lookup", lambda body: body, lookup.LookupResponse.FromString)
    with pytest.raises(grpc.RpcError) as caught:
        empty(iter(()), timeout=DEADLINE_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(info_of(caught.value).metadata) == {"field": "request", "rule": "must be one message"}


def test_a_caller_that_sends_nothing_holds_no_thread(server: RunningServer) -> None:
    with contextlib.ExitStack() as stack:
        silences = []
        for _ in range(2 * UNARY_WORKERS):
            channel = stack.enter_context(server.channel())
            silence = threading.Event()
            upsert = channel.stream_unary("/mdm.v1.RegistryService/UpsertRecord", bytes, bytes)
            silences.append((upsert.future(_after(silence), timeout=DEADLINE_S), silence))
        time.sleep(0.3)
        stub = RegistryServiceStub(stack.enter_context(server.channel()))
        stub.UpsertRecord(registry.UpsertRecordRequest(record=citizen("LOUD")), timeout=5)
        for call, silence in silences:
            call.cancel()
            silence.set()


@pytest.mark.parametrize(
    ("deadline_s", "reason"), [(None, "DEADLINE_REQUIRED"), (3600.0, "DEADLINE_TOO_LONG")], ids=["none", "an hour"]
)
def test_a_caller_that_sends_nothing_keeps_no_place_beyond_the_deadlines_bound(
    channel: grpc.Channel, deadline_s: float | None, reason: str
) -> None:
    silence = threading.Event()
    call = channel.stream_unary("/mdm.v1.LookupService/Lookup", bytes, bytes).future(_after(silence), deadline_s)
    try:
        error = call.exception(timeout=5)
    finally:
        silence.set()
    assert isinstance(error, grpc.RpcError)
    assert info_of(error).reason == reason


def test_a_handler_that_panics_ends_its_call_alone() -> None:
    # Extensions written in Rust raise what is no Exception; outside of a handler it would end the polling thread.
    class PanicError(BaseException):
        pass

    def panic(_: lookup.LookupRequest, __: grpc.ServicerContext) -> lookup.LookupResponse:
        raise PanicError

    handler = grpc.unary_unary_rpc_method_handler(
        panic, lookup.LookupRequest.FromString, lookup.LookupResponse.SerializeToString
    )
    with _serving("mdm.v1.LookupService", {"Lookup": handler}) as channel:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                LookupServiceStub(channel).Lookup(REQUEST, timeout=5)
            assert info_of(caught.value).reason == "INTERNAL"


PLACES = 20
COLUMN_KEYS = {"short": 20, "search": 400, "long": 1500}
"""Keys of 24 characters, so that the request is of each sort by its size."""


def _be_slow(*_: object) -> bytes:
    time.sleep(0.005)
    return b""


def _want_a_thread(_: object, context: Any) -> bytes:
    if not context.has_thread:
        raise WouldWaitError
    return _be_slow()


def _want_to_wait(_: object, context: Any) -> bytes:
    if not context.may_wait:
        raise WouldWaitError
    return _be_slow()


def _fail(*_: object) -> bytes:
    raise KeyError


@pytest.mark.parametrize("sort", COLUMN_KEYS)
@pytest.mark.parametrize(
    ("behave", "timeout_s", "cancelled"),
    [
        (_be_slow, 9.0, 0),
        (_want_a_thread, 9.0, 0),
        (_want_to_wait, 9.0, 0),
        (_fail, 9.0, 0),
        (_be_slow, 0.06, 0),
        (_be_slow, 9.0, 40),
        (_want_a_thread, 9.0, 40),
    ],
    ids=["slow", "handed over", "waiting", "failing", "too late", "cancelled", "handed over, cancelled"],
)
def test_every_place_is_given_back_once(
    sort: str, behave: Callable[..., bytes], timeout_s: float, cancelled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unary, "QUEUE_CALLS_MAX", PLACES)
    served: list[UnaryCalls] = []
    handler = grpc.unary_unary_rpc_method_handler(
        behave, lookup.BatchLookupRequest.FromString, lookup.BatchLookupResponse.SerializeToString
    )
    with _serving("mdm.v1.LookupService", {"BatchLookup": handler}, served) as channel:
        request = lookup.BatchLookupRequest(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN)
        request.record_ids.extend(f"{number:024}" for number in range(COLUMN_KEYS[sort]))
        stub = LookupServiceStub(channel)
        calls = [stub.BatchLookup.future(request, timeout=timeout_s) for _ in range(4 * PLACES)]
        for call in calls[:cancelled]:
            call.cancel()
        for call in calls[cancelled:]:
            call.exception()
        (unary_calls,) = served
        lanes = [unary_calls._short, unary_calls._reads, unary_calls._writes, unary_calls._batches]
        until_s = time.monotonic() + 5
        while any(lane.count or lane.waiting for lane in lanes) and time.monotonic() < until_s:
            time.sleep(0.01)
        assert [(lane.count, len(lane.waiting)) for lane in lanes] == [(0, 0)] * len(lanes)


@pytest.mark.parametrize(("share", "refused_a_second"), [(0.25, 2500), (0.55, 5500)])
def test_refusals_take_a_share_of_the_time_and_what_was_saved_up(
    share: float, refused_a_second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    monkeypatch.setattr(time, "thread_time", lambda: now_s)
    allowance = unary._Allowance(share)
    refused = [0, 0]
    for second in range(2):
        while now_s < 101.0 + second:
            if allowance.is_left():
                with allowance:
                    now_s += 0.0001 / unary._REFUSAL_COST
                refused[second] += 1
            now_s += 0.00005
    saved_up = 500
    assert refused == [pytest.approx(refused_a_second + saved_up, rel=0.05), pytest.approx(refused_a_second, rel=0.05)]


def test_refusals_of_long_calls_have_one_share_and_those_of_short_ones_a_smaller() -> None:
    calls = UnaryCalls(grpc.server(ThreadPoolExecutor(1)))
    lanes = [calls._reads, calls._writes, calls._batches]
    assert {id(lane.allowance) for lane in lanes} == {id(calls._reads.allowance)}
    assert 0 < calls._short.allowance._share < calls._reads.allowance._share
    assert calls._short.allowance._share + calls._reads.allowance._share < 1


def test_searches_whose_callers_have_gone_are_not_made() -> None:
    begun, is_over = threading.Event(), threading.Event()
    searched: list[object] = []

    def search(request: match.MatchRequest, _: object) -> match.MatchResponse:
        searched.append(request)
        begun.set()
        is_over.wait(DEADLINE_S)
        # Long enough for what the callers send to arrive before half of them have been searched for.
        time.sleep(0.05)
        return match.MatchResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        search, match.MatchRequest.FromString, match.MatchResponse.SerializeToString
    )
    with _serving("mdm.v1.MatchService", {"Match": handler}) as channel:
        stub = MatchServiceStub(channel)
        request = match.MatchRequest(attributes=citizen("x").attributes)
        calls = [stub.Match.future(request, timeout=DEADLINE_S) for _ in range(60)]
        # All others wait behind the first, or have not been read, and are given up meanwhile.
        assert begun.wait(DEADLINE_S)
        for call in calls:
            call.cancel()
        is_over.set()
        stub.Match(request, timeout=DEADLINE_S)
    assert len(searched) < len(calls) / 2


def test_a_batch_is_not_worked_on_once_its_caller_has_gone() -> None:
    with _searched_for_ever() as (address, begun, ended), grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(DEADLINE_S)
        with _counted_once("MatchService/BatchMatch", "CANCELLED"):
            call = MatchServiceStub(channel).BatchMatch.future(ONE_QUERY, timeout=DEADLINE_BATCH_S_MAX)
            assert begun.wait(DEADLINE_S)
            call.cancel()
            assert ended.wait(DEADLINE_S)


def test_a_batch_whose_deadline_was_rounded_up_on_its_way_is_none_whose_caller_left() -> None:
    with (
        _searched_for_ever() as (address, begun, ended),
        _counted_once("MatchService/BatchMatch", "DEADLINE_EXCEEDED"),
        contextlib.closing(pycurl.Curl()) as call,
    ):
        call.setopt(pycurl.URL, f"http://{address}/mdm.v1.MatchService/BatchMatch")
        call.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
        # The caller gives up 20 ms before what travels: later than a person would, sooner than the handler does.
        call.setopt(pycurl.HTTPHEADER, ["content-type: application/grpc", "te: trailers", "grpc-timeout: 560m"])
        call.setopt(pycurl.TIMEOUT_MS, 540)
        body = ONE_QUERY.SerializeToString()
        call.setopt(pycurl.POSTFIELDS, b"\0" + len(body).to_bytes(4, "big") + body)
        with pytest.raises(pycurl.error):
            call.perform()
        assert begun.is_set()
        assert ended.wait(DEADLINE_S)


@contextlib.contextmanager
def _searched_for_ever() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """Serve batches that end only with their callers; yields the address, and what tells of begin and end."""
    begun, ended, over = threading.Event(), threading.Event(), threading.Event()

    def search(_: match.BatchMatchRequest, context: grpc.ServicerContext) -> match.BatchMatchResponse:
        try:
            begun.set()
            while not over.wait(0.005):
                remaining_s(context, 1.0)
            raise AssertionError("still worked on")
        finally:
            ended.set()

    handler = grpc.unary_unary_rpc_method_handler(
        search, match.BatchMatchRequest.FromString, match.BatchMatchResponse.SerializeToString
    )
    with _listening("mdm.v1.MatchService", {"BatchMatch": handler}) as address:
        try:
            yield address, begun, ended
        finally:
            over.set()


@contextlib.contextmanager
def _counted_once(method: str, code: str) -> Iterator[None]:
    """Expect that one call of the method is counted with this code by the end of the block, or soon after."""
    count = calls_counted(method, code)
    yield
    until_s = time.monotonic() + DEADLINE_S
    while calls_counted(method, code) == count and time.monotonic() < until_s:
        time.sleep(0.01)
    assert calls_counted(method, code) == count + 1


def calls_counted(method: str, code: str) -> float:
    metrics.publish()
    return prometheus_client.REGISTRY.get_sample_value("mdm_calls_total", {"method": method, "code": code}) or 0.0


def test_a_match_that_reads_more_is_left_to_a_thread_that_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(tmp_path / "data")
    office.put_all(city_records(60, 5)[:20])
    office.close()
    monkeypatch.setattr(searching, "SHORT_MATCH_RECORDS_MAX", 0)
    with contextlib.closing(Reader.open(tmp_path / "data")) as reader:
        service = MatchService(reader, WriterLink(tmp_path / "data"))
        known = record_message(city_records(60, 5)[0])
        request = match.MatchRequest(attributes=known.attributes)
        with pytest.raises(WouldWaitError):
            service.Match(request, cast("grpc.ServicerContext", SimpleNamespace(has_thread=False)))
        found = service.Match(request, cast("grpc.ServicerContext", SimpleNamespace(has_thread=True)))
        assert found.result.scored_count


def test_a_call_may_wait_in_grpc_as_long_as_its_deadline_may_be() -> None:
    assert dict(CHANNEL_OPTIONS)["grpc.server_max_unrequested_time_in_server"] > DEADLINE_BATCH_S_MAX


def test_short_calls_are_calls_that_there_are() -> None:
    services = [file.DESCRIPTOR.services_by_name for file in (lookup, match, registry)]
    names = {f"{name}/{call.name}" for each in services for name, service in each.items() for call in service.methods}
    assert names >= SHORT_CALLS | SEARCHES.keys()


def _after(silence: threading.Event) -> Iterator[bytes]:
    silence.wait()
    yield from ()


@contextlib.contextmanager
def _serving(
    service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]], served: list[UnaryCalls] | None = None
) -> Iterator[grpc.Channel]:
    """Serve handlers of this test in this process; `served` gets what serves them."""
    with _listening(service, handlers, served) as address, grpc.insecure_channel(address) as channel:
        yield channel


@contextlib.contextmanager
def _listening(
    service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]], served: list[UnaryCalls] | None = None
) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    calls = UnaryCalls(server)
    if served is not None:
        served.append(calls)
    calls.add(service, handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    calls.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)


@contextlib.contextmanager
def _stopped(served: RunningServer, module: str) -> Iterator[None]:
    """Hold a child of the service as if its machine had stalled."""
    pid = served.child_pids(module)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
