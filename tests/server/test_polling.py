"""The polling thread: what arrives goes before searches that wait, searches are never starved, and nothing ends it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from mdm.limits import KEYS_AT_ONCE_MAX
from mdm.resolve.reader import Reader
from mdm.server import reader_process
from mdm.server.calls import WouldWaitError
from mdm.server.lookup_service import LookupService
from mdm.server.options import ChildOptions
from mdm.server.polling import EMPTY_POLLS_MIN, EVENTS_BETWEEN_MAX, Polling
from mdm.server.supervisor import WITHOUT_EVENT_ENGINE
from mdm.server.writer_link import WriterLink
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from tests.resolve.office import Office
from tests.server.records import citizen, key

SEARCHES = 60
LOOKUPS = 5
CALL_S = 10


@pytest.fixture
def address() -> Iterator[str]:
    """A reader's polling thread, on which each search takes 0.2 s until the last of the lookups was asked for."""
    line = [sys.executable, "-m", "tests.server.slow_searches", str(LOOKUPS)]
    environment = {**os.environ, "GRPC_EXPERIMENTS": WITHOUT_EVENT_ENGINE}
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as serving:
        assert serving.stdout is not None
        yield f"127.0.0.1:{serving.stdout.readline().strip()}"
        serving.communicate(timeout=30)


@pytest.mark.parametrize("desks_count", [1, 30])
def test_a_lookup_goes_before_all_searches_that_wait(address: str, desks_count: int) -> None:
    # On connections of their own: one that is not read while searches wait is what would keep lookups waiting.
    alone = [("grpc.use_local_subchannel_pool", 1)]
    with contextlib.ExitStack() as opened:
        desks = [opened.enter_context(grpc.insecure_channel(address, alone)) for _ in range(desks_count)]
        other = opened.enter_context(grpc.insecure_channel(address, alone))
        for desk in [*desks, other]:
            grpc.channel_ready_future(desk).result(CALL_S)
        stub = LookupServiceStub(other)
        stub.Lookup(lookup.LookupRequest(key=key("NONE")), timeout=CALL_S)
        request = match.MatchRequest(attributes=citizen("x").attributes)
        stubs = [MatchServiceStub(desk) for desk in desks]
        searches = [stubs[i % desks_count].Match.future(request, timeout=CALL_S) for i in range(SEARCHES)]
        searches[0].result()
        for _ in range(LOOKUPS - 2):
            stub.Lookup(lookup.LookupRequest(key=key("NONE")), timeout=CALL_S)
        done_count = sum(search.done() for search in searches)
        stub.Lookup(lookup.LookupRequest(key=key("NONE")), timeout=CALL_S)
        assert done_count < SEARCHES / 2
        assert all(search.result() is not None for search in searches)


def test_a_long_column_of_keys_goes_to_a_thread_that_may_take_its_time(tmp_path: Path) -> None:
    Office(tmp_path / "data").close()
    on_polling_thread = cast("grpc.ServicerContext", SimpleNamespace(has_thread=False))
    with contextlib.closing(Reader.open(tmp_path / "data")) as reader:
        service = LookupService(reader)
        request = lookup.BatchLookupRequest(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN)
        request.record_ids.extend("1" * KEYS_AT_ONCE_MAX)
        # As a caller that reads keys in long columns would hold it.
        with reader._column:
            answer = lookup.BatchLookupResponse.FromString(service.BatchLookup(request, on_polling_thread))
        assert list(answer.statuses) == [common.RECORD_STATUS_NOT_FOUND] * KEYS_AT_ONCE_MAX
        request.record_ids.append("1")
        with pytest.raises(WouldWaitError):
            service.BatchLookup(request, on_polling_thread)


class _Silent:
    """A bell that nobody rings."""

    def __init__(self, *_: object) -> None: ...


def test_batches_of_a_reader_give_way_to_searches_on_its_polling_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    Office(data).close()
    (data / "run").mkdir(exist_ok=True)
    # It would end the process of the tests.
    monkeypatch.setattr(reader_process, "watch_for_damage", lambda _: None)
    # Its thread would go on reading what this test has closed.
    monkeypatch.setattr(reader_process, "Bell", _Silent)
    with contextlib.closing(Reader.open(data)) as reader:
        options = ChildOptions("reader-0", data, os.getpid(), -1)
        server = reader_process._ReaderServer(options, reader, WriterLink(data))
        assert reader.searches._idle is server._unary_calls._polling.idle


class _Over(BaseException):
    """Ends the thread under test."""


def _polling(events: Iterator[Any]) -> Polling:
    """The thread's work on these events, which it does in the test's own thread."""
    state = SimpleNamespace(
        completion_queue=SimpleNamespace(poll=lambda _deadline: next(events)),
        server_deallocated=False,
        registered_method_handlers={},
    )
    return Polling(cast("grpc.Server", SimpleNamespace(_state=state)))


def _event(tag: Callable[[object], tuple[None, tuple[()]]]) -> object:
    return SimpleNamespace(tag=tag, completion_type=cygrpc.CompletionType.operation_complete)


NOTHING = SimpleNamespace(tag=None, completion_type=cygrpc.CompletionType.queue_timeout)


def test_events_without_end_do_not_starve_a_search() -> None:
    taken_up: list[object] = []

    def take_up(event: object) -> tuple[None, tuple[()]]:
        taken_up.append(event)
        return None, ()

    def events() -> Iterator[object]:
        while True:
            yield _event(take_up)

    def search() -> None:
        raise _Over

    polling = _polling(events())
    polling.do_when_idle(search)
    with pytest.raises(_Over):
        polling._serve()
    assert len(taken_up) == EVENTS_BETWEEN_MAX


def test_events_while_nothing_waits_do_not_count_against_a_search_that_comes_later() -> None:
    done: list[str] = []

    def take_up(_: object) -> tuple[None, tuple[()]]:
        return None, ()

    def ask(_: object) -> tuple[None, tuple[()]]:
        polling.do_when_idle(lambda: done.append("search"))
        return None, ()

    def events() -> Iterator[object]:
        yield from [_event(take_up)] * (2 * EVENTS_BETWEEN_MAX)
        yield _event(ask)
        for _ in range(EMPTY_POLLS_MIN + 1):
            done.append("poll")
            yield NOTHING
        raise _Over

    polling = _polling(events())
    with pytest.raises(_Over):
        polling._serve()
    assert done == ["poll"] * EMPTY_POLLS_MIN + ["search", "poll"]


def test_the_thread_is_idle_only_while_no_search_waits_or_is_under_way() -> None:
    seen: list[bool] = []
    polling = _polling(iter(()))
    assert polling.idle.is_set()
    for _ in range(2):
        polling.do_when_idle(lambda: seen.append(polling.idle.is_set()))
        seen.append(polling.idle.is_set())
    polling._work()
    seen.append(polling.idle.is_set())
    polling._work()
    assert seen == [False] * 5
    assert polling.idle.is_set()


def test_the_thread_is_idle_when_a_search_has_failed() -> None:
    def fail() -> None:
        raise ValueError

    polling = _polling(iter(()))
    polling.do_when_idle(fail)
    polling._work()
    assert polling.idle.is_set()


def test_the_thread_is_idle_when_the_server_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "_process_event_and_continue", lambda *_: False)
    polling = _polling(iter([NOTHING, _event(lambda _: (None, ()))]))
    polling.do_when_idle(lambda: None)
    polling._serve()
    assert polling.idle.is_set()


def test_an_event_is_gone_before_the_next_poll() -> None:
    alive: list[weakref.ref[Any]] = []

    class Event(SimpleNamespace):
        pass

    def events() -> Iterator[object]:
        for _ in range(3):
            assert [each() for each in alive] == [None] * len(alive)
            event = Event(tag=lambda _: (None, ()), completion_type=cygrpc.CompletionType.operation_complete)
            alive.append(weakref.ref(event))
            held = [event]
            del event
            yield held.pop()
        raise _Over

    with pytest.raises(_Over):
        _polling(events())._serve()
    assert len(alive) == 3


def test_each_search_waits_for_connections_to_be_read() -> None:
    done: list[str] = []

    def events() -> Iterator[object]:
        for _ in range(4 * EMPTY_POLLS_MIN):
            done.append("poll")
            yield NOTHING
        raise _Over

    polling = _polling(events())
    for number in range(3):
        polling.do_when_idle(lambda number=number: done.append(f"search {number}"))  # type: ignore[misc]
    with pytest.raises(_Over):
        polling._serve()
    polls = ["poll"] * EMPTY_POLLS_MIN
    assert done == [*polls, "search 0", *polls, "search 1", *polls, "search 2", *polls]


def test_work_that_fails_does_not_end_the_thread() -> None:
    done: list[str] = []

    def events() -> Iterator[object]:
        yield from [NOTHING] * (2 * EMPTY_POLLS_MIN)
        raise _Over

    def fail() -> None:
        raise ValueError

    polling = _polling(events())
    polling.do_when_idle(fail)
    polling.do_when_idle(lambda: done.append("next"))
    with pytest.raises(_Over):
        polling._serve()
    assert done == ["next"]
