"""The change feed over the wire: places, draining, an event too large for one message, and the reset."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from mdm.domain.changes import ChangeKind, GoldenChange
from mdm.domain.keys import EntityKind, SourceKey, golden_id
from mdm.limits import FEED_CHANGE_TYPES_MAX, FEED_CHECKPOINT_S, FEED_CHECKPOINT_S_MAX, FEED_RECORDS_MAX, WATCH_WORKERS
from mdm.resolve.feed import FeedEvent, FeedMove, FeedPage
from mdm.resolve.reader import Reader
from mdm.server.bell import Bell
from mdm.server.change_service import ChangeService
from mdm.store.token import JournalToken, parse_token
from mdm.v1 import change_service_pb2 as wire
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.change_service_pb2_grpc import ChangeServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, header, info_of, key, operations, status_of
from tests.serving import running_server

DEADLINE_S = 10
NOW = wire.ChangeServiceWatchRequest(start=wire.WATCH_START_NOW)


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[grpc.Channel]:
    """A service of its own: these tests take all its places."""
    with running_server(tmp_path / "data") as served, served.channel() as opened:
        yield opened


def upsert(channel: grpc.Channel, record_id: str) -> registry.UpsertRecordResponse:
    request = registry.UpsertRecordRequest(record=citizen(record_id, personal_id="079187001234"))
    return RegistryServiceStub(channel).UpsertRecord(request, timeout=DEADLINE_S)


def test_idle_watches_leave_loads_and_lookups_their_places_and_are_bounded(channel: grpc.Channel) -> None:
    stub = ChangeServiceStub(channel)
    watches = [stub.Watch(NOW) for _ in range(WATCH_WORKERS)]
    for watch in watches:
        assert next(watch).is_current
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.Watch(NOW))
    assert info_of(caught.value).reason == "STREAMS_EXHAUSTED"
    found = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("NONE")), timeout=2)
    assert found.status == common.RECORD_STATUS_NOT_FOUND
    upsert(channel, "HEARD")
    told = list(
        RegistryServiceStub(channel).IngestRecords(
            iter([header("watched"), operations(registry.IngestOperation(ordinal=1, delete=key("NONE")))]),
            timeout=DEADLINE_S,
        )
    )
    assert told
    for watch in watches:
        assert next(watch).events[0].moves[0].key == key("HEARD")
        watch.cancel()
    # A caller who is gone gives the place back at once, not at the next checkpoint.
    until_s = time.monotonic() + FEED_CHECKPOINT_S / 2
    while time.monotonic() < until_s:
        again = stub.Watch(NOW)
        try:
            next(again)
        except grpc.RpcError:
            time.sleep(0.05)
            continue
        again.cancel()
        return
    raise AssertionError("no place came free")


def test_a_server_that_stops_ends_its_watches_with_a_reason_to_resume(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", grace_s=20) as served, served.channel() as opened:
        watch = ChangeServiceStub(opened).Watch(NOW)
        next(watch)
        started_s = time.monotonic()
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        with pytest.raises(grpc.RpcError) as caught:
            next(watch)
        stopping.join()
        assert (caught.value.code(), info_of(caught.value).reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert time.monotonic() - started_s < 10, "it did not wait for the grace to pass"


def test_a_token_of_another_epoch_is_refused_as_a_reset(channel: grpc.Channel) -> None:
    now = parse_token(next(ChangeServiceStub(channel).Watch(NOW)).token.value)
    other = str(JournalToken(now.journal_id, now.epoch + 1, now.seq))
    request = wire.ChangeServiceWatchRequest(after=common.JournalToken(value=other))
    with pytest.raises(grpc.RpcError) as caught:
        next(ChangeServiceStub(channel).Watch(request))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert info_of(caught.value).reason == "FEED_RESET"
    failure = error_details_pb2.PreconditionFailure()
    assert any(detail.Unpack(failure) for detail in status_of(caught.value).details)
    assert [(each.type, each.subject) for each in failure.violations] == [("RESET", "after")]
    assert "export the crosswalk" in failure.violations[0].description


def test_a_feed_that_nothing_happens_to_says_where_it_stands(channel: grpc.Channel) -> None:
    request = wire.ChangeServiceWatchRequest(start=wire.WATCH_START_BEGINNING, checkpoint_interval_s=1)
    watch = ChangeServiceStub(channel).Watch(request)
    first = next(watch)
    started_s = time.monotonic()
    second = next(watch)
    assert 0.5 < time.monotonic() - started_s < 5
    assert (list(second.events), second.is_current, second.token) == ([], True, first.token)


def test_an_event_with_more_records_than_a_message_holds_goes_on_in_the_next(tmp_path: Path) -> None:
    with running_server(tmp_path / "data"):
        reader = Reader.open(tmp_path / "data")
        service = ChangeService(reader, Bell(reader.applied_seq))
        merged, survivor = golden_id(EntityKind.CITIZEN, 1), golden_id(EntityKind.CITIZEN, 2)
        count = 2 * FEED_RECORDS_MAX + 1
        moves = tuple(
            FeedMove(SourceKey("hospital", EntityKind.CITIZEN, f"H{number}"), merged, survivor)
            for number in range(count)
        )
        event = FeedEvent(7, 1_000_000, (GoldenChange(merged, ChangeKind.MERGED, survivor),), moves)
        parts = list(service._messages(FeedPage((event,), 7, is_at_end=True, is_current=True)))
        reader.close()
    assert [len(part.events[0].moves) for part in parts] == [FEED_RECORDS_MAX, FEED_RECORDS_MAX, 1]
    assert [bool(part.token.value) for part in parts] == [False, False, True], "no token stands inside an event"
    assert [part.events[0].is_continued for part in parts] == [True, True, False]
    assert [len(part.events[0].effects) for part in parts] == [0, 0, 1]
    told = [move.key.record_id for part in parts for move in part.events[0].moves]
    assert told == [f"H{number}" for number in range(count)]


def test_a_filter_may_name_every_type(channel: grpc.Channel) -> None:
    types = [number for number in common.GoldenIdChangeType.values() if number]
    assert len(types) <= FEED_CHANGE_TYPES_MAX
    assert FEED_CHECKPOINT_S < FEED_CHECKPOINT_S_MAX
    request = wire.ChangeServiceWatchRequest(
        start=wire.WATCH_START_NOW, change_types=types, checkpoint_interval_s=FEED_CHECKPOINT_S_MAX
    )
    assert next(ChangeServiceStub(channel).Watch(request)).is_current
