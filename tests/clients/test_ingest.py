from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from mdm.v1 import common_pb2, registry_service_pb2
from mdm_client import (
    AsyncClient,
    CitizenAttributes,
    Client,
    Delete,
    EntityKind,
    InvalidArgumentError,
    Load,
    RecordStatus,
    ServiceError,
    SourceKey,
    SourceRecord,
    UnavailableError,
    Upsert,
    WatchStart,
    WriteOutcome,
)
from mdm_client.ingest import OPERATION_BYTES_MAX, IngestFlow, Operation, Retry
from mdm_client.streams import KeyBatch, leave_all
from tests.serving import RunningServer, running_server

CITIZEN = EntityKind.CITIZEN


def records(prefix: str, count: int) -> list[SourceRecord]:
    """Return records of people who have nothing in common."""
    return [
        SourceRecord(
            SourceKey("hospital", CITIZEN, f"{prefix}{number}"),
            CitizenAttributes(
                full_name=f"{'ABCDEFGHIK'[number % 10]}{'aeiou'[number // 10 % 5] * 3} {prefix} {number * 7919}",
                birth_date=f"{1930 + number % 90}-0{1 + number % 9}-1{number % 10}",
            ),
        )
        for number in range(count)
    ]


def test_every_record_gets_an_outcome_in_order(client: Client) -> None:
    given = records("order", 1200)
    ingest = client.ingest(given, Load("order-1", "hospital.patients"))
    outcomes = list(ingest)
    assert [outcome.ordinal for outcome in outcomes] == list(range(1, 1201))
    assert sum(ingest.counts.values()) == 1200
    found = client.batch_lookup("hospital", CITIZEN, [item.key.record_id for item in given], fresh=ingest.token)
    assert found.golden_ids == [outcome.golden_id for outcome in outcomes]


def test_a_second_run_of_a_load_changes_nothing(client: Client) -> None:
    given = records("twice", 100)
    first = client.ingest(given, Load("twice-1", "hospital.patients"))
    before = [outcome.golden_id for outcome in first]
    second = client.ingest(given, Load("twice-1", "hospital.patients"))
    after = [outcome.golden_id for outcome in second]
    assert after == before
    assert second.counts == {WriteOutcome.UNCHANGED: 100}


def test_a_load_for_later_leaves_records_pending(client: Client) -> None:
    given = records("later", 10)
    ingest = client.ingest(given, Load("later-1", "hospital.patients", is_resolved_later=True))
    assert {outcome.outcome for outcome in ingest} == {WriteOutcome.PENDING}
    assert client.lookup("hospital", CITIZEN, "later0", fresh=ingest.token).status is RecordStatus.PENDING


def test_a_record_that_breaks_a_rule_is_rejected_and_the_rest_goes_on(client: Client) -> None:
    one, two, three = records("rule", 3)
    foreign = SourceRecord(SourceKey("household", CITIZEN, "rule"), two.attributes)
    outcomes = list(client.ingest([one, foreign, three], Load("rule-1", "hospital.patients")))
    assert [outcome.outcome is WriteOutcome.REJECTED for outcome in outcomes] == [False, True, False]
    assert outcomes[1].value_issues[0].field == "key.registry"


def test_a_record_that_cannot_travel_is_rejected_here_and_the_rest_goes_on(client: Client) -> None:
    one, two = records("surrogate", 2)
    bad = SourceRecord(one.key, CitizenAttributes(full_name="\ud800"))
    outcomes = {
        outcome.ordinal: outcome for outcome in client.ingest([bad, two], Load("surrogate-1", "hospital.patients"))
    }
    assert {ordinal: each.outcome is WriteOutcome.REJECTED for ordinal, each in outcomes.items()} == {1: True, 2: False}
    assert [issue.field for issue in outcomes[1].value_issues] == ["attributes.full_name"]


def test_a_record_larger_than_the_service_takes_is_rejected_here(client: Client) -> None:
    one, two = records("large", 2)
    assert isinstance(two.attributes, CitizenAttributes)
    large = SourceRecord(two.key, replace(two.attributes, full_name="x" * OPERATION_BYTES_MAX))
    ingest = client.ingest([large, one], Load("large-1", "hospital.patients"))
    assert {outcome.ordinal: outcome.outcome is WriteOutcome.REJECTED for outcome in ingest} == {1: True, 2: False}


def test_own_ordinals_and_deletes_are_kept(client: Client) -> None:
    one, two = records("own", 2)
    operations: list[Operation] = [Upsert(one, 10), Upsert(two, 20), Delete(one.key, 30)]
    outcomes = list(client.ingest(operations, Load("own-1", "hospital.patients")))
    assert [outcome.ordinal for outcome in outcomes] == [10, 20, 30]
    assert outcomes[2].outcome is WriteOutcome.DELETED


def test_ordinals_that_fall_are_refused(client: Client) -> None:
    one, two = records("fall", 2)
    with pytest.raises(ValueError, match="larger"):
        list(client.ingest([Upsert(one, 5), Upsert(two, 5)], Load("fall-1", "hospital.patients")))


def test_a_load_is_continued_by_a_later_call(client: Client) -> None:
    one, two = records("continued", 2)
    load = Load("continued-1", "hospital.patients", is_continued=True)
    assert [outcome.ordinal for outcome in client.ingest([one], load)] == [1]
    rest = client.ingest([Upsert(one, 1), Upsert(two, 2)], replace(load, is_continued=False))
    assert [outcome.ordinal for outcome in rest] == [2]
    assert (rest.durable_ordinal, rest.skipped_count) == (1, 1)


def test_an_outage_is_told_of_once_and_the_next_one_again() -> None:
    # One reading at the beginning and at each error and success.
    clock = iter((0.0, 1.0, 2.9, 3.0, 10.0, 10.0, 12.0, 14.0))
    told: list[float] = []
    retry = Retry(120.0, clock=lambda: next(clock), on_away=told.append)
    away = UnavailableError(grpc.StatusCode.UNAVAILABLE, "away")
    for _ in range(4):
        retry.delay_s(away)
    retry.progress()
    for _ in range(2):
        retry.delay_s(away)
    assert told == [117.0, 116.0]


@pytest.mark.parametrize(
    ("code", "is_retried"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, True),  # a host that is cut off says nothing until the deadline
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.INTERNAL, False),
    ],
)
def test_a_load_waits_for_a_service_that_does_not_answer(code: grpc.StatusCode, is_retried: bool) -> None:  # noqa: FBT001 – a case table's column
    error = ServiceError(code, "no answer")
    if is_retried:
        assert Retry(120.0).delay_s(error) > 0
    else:
        with pytest.raises(ServiceError, match="no answer"):
            Retry(120.0).delay_s(error)


def test_an_empty_load_ends(client: Client) -> None:
    assert list(client.ingest([], Load("empty-1", "hospital.patients"))) == []


def test_an_unknown_feed_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        list(client.ingest(records("feed", 1), Load("feed-1", "hospital.visits")))
    assert caught.value.reason == "UNKNOWN_REGISTRY"


def test_an_error_of_the_source_of_records_reaches_the_caller(client: Client) -> None:
    def broken() -> Iterator[SourceRecord]:
        yield from records("broken", 3)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        list(client.ingest(broken(), Load("broken-1", "hospital.patients")))


@pytest.mark.crash
@pytest.mark.parametrize("victim", ["writer_process", "reader_process"])
def test_a_killed_process_leaves_no_gap_and_no_double(tmp_path: Path, victim: str) -> None:
    given = records(victim, 800)
    ordinals = []
    # A service of its own: one that is killed too often gives up.
    with running_server(tmp_path / "data") as server, Client(server.address) as client:
        ingest = client.ingest(given, Load(f"{victim}-1", "hospital.patients", give_up_s=30))
        for outcome in ingest:
            ordinals.append(outcome.ordinal)
            if len(ordinals) in {100, 500}:
                server.kill(victim)
        keys = [item.key.record_id for item in given]
        found = client.batch_lookup("hospital", CITIZEN, keys, fresh=ingest.token)
    assert ordinals == list(range(1, 801))
    assert set(found.statuses) == {RecordStatus.FOUND}


def test_a_load_that_was_cut_off_goes_on_in_another_process(client: Client, server: RunningServer) -> None:
    given = records("cut", 600)
    load = Load("cut-1", "hospital.patients")
    outcomes = iter(client.ingest(given, load))
    for _ in range(300):
        next(outcomes)
    outcomes.close()
    with Client(server.address) as another:
        resumed = another.ingest(given, load)
        rest = [outcome.ordinal for outcome in resumed]
    assert resumed.skipped_count >= 300
    assert rest == list(range(resumed.skipped_count + 1, 601))


def test_the_service_may_be_away_for_seconds(tmp_path: Path) -> None:
    given = records("away", 400)
    with running_server(tmp_path / "data") as first:
        address = first.address
        with Client(address) as client:
            outcomes = iter(client.ingest(given, Load("away-1", "hospital.patients")))
            seen = [next(outcomes).ordinal for _ in range(150)]
            assert first.stop() == 0
            with running_server(tmp_path / "data", listen=address):
                seen += [outcome.ordinal for outcome in outcomes]
    assert seen == list(range(1, 401))


def test_a_service_that_stays_away_ends_the_load(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served:
        address = served.address
    with Client(address) as client, pytest.raises(UnavailableError):
        list(client.ingest(records("gone", 1), Load("gone-1", "hospital.patients", give_up_s=0.5)))


def test_the_asyncio_client_loads_alike(tmp_path: Path) -> None:
    async def run(server: RunningServer) -> list[int]:
        async with AsyncClient(server.address) as client:
            ingest = client.ingest(records("aio", 700), Load("aio-1", "hospital.patients", give_up_s=30))
            ordinals = []
            async for outcome in ingest:
                ordinals.append(outcome.ordinal)
                if len(ordinals) == 200:
                    server.kill("reader_process")
            return ordinals

    with running_server(tmp_path / "data") as served:
        assert asyncio.run(run(served)) == list(range(1, 701))


def accepted(durable_ordinal: int, credit: int = 100) -> registry_service_pb2.IngestRecordsResponse:
    return registry_service_pb2.IngestRecordsResponse(
        accepted=registry_service_pb2.IngestAccepted(durable_ordinal=durable_ordinal, credit_operation_count=credit)
    )


def sent_ordinals(flow: IngestFlow) -> list[int]:
    request = flow.next_request()
    return [operation.ordinal for operation in operations(request)] if request else []


def operations(request: bytes) -> Sequence[registry_service_pb2.IngestOperation]:
    return registry_service_pb2.IngestRecordsRequest.FromString(request).operations.operations


def test_a_lost_acknowledgement_is_confirmed_and_the_rest_is_sent_again() -> None:
    flow = IngestFlow(Load("lost-1", "hospital.patients"), records("lost", 5), common_pb2.Caller())
    flow.header()
    flow.receive(accepted(0))
    assert sent_ordinals(flow) == [1, 2, 3, 4, 5]
    flow.header()
    outcomes = flow.receive(accepted(2))
    assert [(item.ordinal, item.outcome) for item in outcomes] == [
        (1, WriteOutcome.CONFIRMED),
        (2, WriteOutcome.CONFIRMED),
    ]
    assert sent_ordinals(flow) == [3, 4, 5]


@pytest.mark.parametrize(("is_later", "sizes"), [(False, [32, 32]), (True, [128, 128, 128, 116])])
def test_records_to_be_resolved_now_do_not_queue_for_their_acknowledgement(is_later: bool, sizes: list[int]) -> None:  # noqa: FBT001 – a case table's column
    load = Load("pace-1", "hospital.patients", is_later)
    flow = IngestFlow(load, records("pace", 700), common_pb2.Caller())
    flow.header()
    flow.receive(accepted(0, credit=500))
    sent = []
    while (request := flow.next_request()) is not None:
        sent.append(len(operations(request)))
    assert sent == sizes


def failing(prefix: str) -> Iterator[SourceRecord]:
    """Yield three records and fail as a service does that is away."""
    yield from records(prefix, 3)
    raise UnavailableError(grpc.StatusCode.UNAVAILABLE, "what the source asked is away")


def test_no_thread_outlives_a_load_whether_it_ends_or_is_given_up(client: Client) -> None:
    # One that did could hold gRPC's lock of the call when the process ends, which then waits for it for ever.
    for number in range(20):
        assert (
            len(list(client.ingest(records(f"whole-{number}", 3), Load(f"whole-{number}", "hospital.patients")))) == 3
        )
        assert "ingest" not in {thread.name for thread in threading.enumerate()}
    given_up = iter(client.ingest(records("given-up", 3), Load("given-up", "hospital.patients")))
    next(given_up)
    del given_up
    assert "ingest" not in {thread.name for thread in threading.enumerate()}


def _calls_left() -> int:
    """Return how many calls with many answers are still there, whoever holds them."""
    return sum(issubclass(type(each), grpc.Call) and issubclass(type(each), grpc.RpcError) for each in gc.get_objects())


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_no_call_outlives_its_stream_not_even_by_its_failure(client: Client) -> None:
    # What is left when the process ends takes a lock that a thread which was stopped with the process may hold.
    before = _calls_left()
    list(client.ingest(records("let-go", 3), Load("let-go", "hospital.patients")))
    given_up = iter(client.ingest(records("let-go-early", 3), Load("let-go-early", "hospital.patients")))
    next(given_up)
    del given_up
    keys = [KeyBatch("hospital", EntityKind.CITIZEN, ["let-go-0"])]
    assert len(list(client.stream_lookup(keys))) == 1
    left_early = client.stream_lookup(keys * 3)
    next(left_early)
    del left_early
    failures = []
    for failing_stream in (
        client.ingest(records("unknown", 3), Load("unknown", "hospital.no_such_feed")),
        client.stream_lookup([replace(keys[0], registry="no_such_registry")]),
        client.export_crosswalk(["no_such_registry"]),
    ):
        with pytest.raises(ServiceError) as raised:
            list(failing_stream)
        failures.append(raised.value)
    assert len(failures) == 3
    assert _calls_left() <= before


@pytest.mark.usefixtures("no_collector")
def test_an_interrupt_holds_no_call(client: Client) -> None:
    before = _calls_left()

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before_signal = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            for _ in client.changes.watch(start=WatchStart.NOW):
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before_signal)
    assert raised.value.__traceback__ is not None
    assert _calls_left() <= before


@pytest.mark.usefixtures("no_collector")
def test_what_is_under_way_when_the_process_ends_is_let_go_before_the_threads_of_grpc_are(client: Client) -> None:
    before = _calls_left()
    ingest = iter(client.ingest(records("at-exit", 3), Load("at-exit", "hospital.patients")))
    stream = client.stream_lookup([KeyBatch("hospital", EntityKind.CITIZEN, ["at-exit-0"])] * 3)
    next(ingest)
    next(stream)
    assert _calls_left() >= 2
    leave_all()
    assert _calls_left() <= before


def test_the_stream_of_a_thread_that_goes_on_is_not_cut_short(client: Client) -> None:
    keys = [KeyBatch("hospital", EntityKind.CITIZEN, ["at-exit-0"])] * 3
    is_begun, may_go_on = threading.Event(), threading.Event()
    found = []

    def read() -> None:
        for answer in client.stream_lookup(keys):
            found.append(answer)
            is_begun.set()
            may_go_on.wait()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert is_begun.wait(20)
    leave_all()
    may_go_on.set()
    thread.join(20)
    assert len(found) == len(keys)


def test_a_source_that_fails_as_a_service_does_never_passes_for_a_whole_load(client: Client) -> None:
    ingest = client.ingest(failing("failing"), Load("failing-1", "hospital.patients"))
    for _ in range(2):
        began_s = time.monotonic()
        with pytest.raises(UnavailableError, match="what the source asked"):
            list(ingest)
        assert time.monotonic() - began_s < 10, "no other attempt mends a source"
    assert not ingest._flow.is_finished


def test_the_asyncio_client_hands_on_what_its_source_failed_with(server: RunningServer) -> None:
    async def run() -> None:
        async with AsyncClient(server.address) as client:
            async for _ in client.ingest(failing("aio-failing"), Load("aio-failing-1", "hospital.patients")):
                pass

    began_s = time.monotonic()
    with pytest.raises(UnavailableError, match="what the source asked"):
        asyncio.run(run())
    assert time.monotonic() - began_s < 10


def test_no_more_is_sent_than_was_granted() -> None:
    flow = IngestFlow(Load("credit-1", "hospital.patients"), records("credit", 50), common_pb2.Caller())
    flow.header()
    assert flow.next_request() is None
    flow.receive(accepted(0, credit=3))
    assert sent_ordinals(flow) == [1, 2, 3]
    assert flow.next_request() is None
