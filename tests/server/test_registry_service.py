"""Records in: one at a time and as a load."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest

from mdm.limits import INGEST_WINDOW_RECORDS
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, details_of, end, header, key, operations

DEADLINE_S = 5


def upsert(channel: grpc.Channel, record: common.SourceRecord, **fields: object) -> registry.UpsertRecordResponse:
    request = registry.UpsertRecordRequest(record=record, **fields)  # type: ignore[arg-type]
    return RegistryServiceStub(channel).UpsertRecord(request, timeout=DEADLINE_S)


def load(channel: grpc.Channel, *requests: registry.IngestRecordsRequest) -> list[registry.IngestRecordsResponse]:
    return list(RegistryServiceStub(channel).IngestRecords(iter(requests), timeout=30))


def outcomes(responses: list[registry.IngestRecordsResponse]) -> list[registry.IngestOutcome]:
    return [outcome for response in responses for outcome in response.acknowledgements.outcomes]


def operation(ordinal: int, record: common.SourceRecord) -> registry.IngestOperation:
    return registry.IngestOperation(ordinal=ordinal, upsert=record)


def test_a_record_can_be_looked_up_as_soon_as_its_upsert_is_answered(channel: grpc.Channel) -> None:
    answer = upsert(channel, citizen("REG-1", "Phạm Minh Đức", personal_id="079090000111"))
    found = LookupServiceStub(channel).Lookup(
        lookup.LookupRequest(key=key("REG-1"), at_least_as_fresh=answer.token), timeout=DEADLINE_S
    )
    assert answer.outcome == common.WRITE_OUTCOME_CREATED
    assert (found.status, found.golden_id) == (common.RECORD_STATUS_FOUND, answer.golden_id)


def test_a_repeated_request_id_gets_the_first_answer(channel: grpc.Channel) -> None:
    record = citizen("REG-2", "Lê Thị Bích Ngọc", personal_id="079191000222")
    first = upsert(channel, record, request_id="once")
    upsert(channel, citizen("REG-2", "Lê Thị Ngọc", personal_id="079191000222", updated_at="2025-02-02"))
    assert upsert(channel, record, request_id="once") == first


def test_a_second_caller_may_use_the_same_request_id(channel: grpc.Channel) -> None:
    record = citizen("REG-3", "Võ Thành Nam", personal_id="079085000333")
    upsert(channel, record, request_id="shared", caller=common.Caller(actor="one"))
    other = upsert(channel, citizen("REG-4"), request_id="shared", caller=common.Caller(actor="two"))
    assert other.golden_id


def test_a_stored_record_comes_back_as_it_was_written(channel: grpc.Channel) -> None:
    record = citizen("REG-5", "  ĐẶNG thị  HỒNG ", birth_date="31/02/1990", personal_id="12")
    upsert(channel, record)
    stored = RegistryServiceStub(channel).GetRecord(registry.GetRecordRequest(key=key("REG-5")), timeout=DEADLINE_S)
    assert stored.record == record
    assert {issue.field for issue in stored.value_issues} >= {"birth_date"}


def test_a_deleted_record_says_so_and_keeps_no_values(channel: grpc.Channel) -> None:
    upsert(channel, citizen("REG-6", "Bùi Quang Huy", personal_id="079077000444"))
    stub = RegistryServiceStub(channel)
    deleted = stub.DeleteRecord(registry.DeleteRecordRequest(key=key("REG-6")), timeout=DEADLINE_S)
    stored = stub.GetRecord(registry.GetRecordRequest(key=key("REG-6")), timeout=DEADLINE_S)
    assert deleted.outcome == common.WRITE_OUTCOME_DELETED
    assert (stored.status, stored.golden_id) == (common.RECORD_STATUS_DELETED, "")
    assert not stored.record.HasField("attributes")


def test_deleting_what_was_never_stored_can_be_allowed(channel: grpc.Channel) -> None:
    request = registry.DeleteRecordRequest(key=key("REG-NEVER"), allow_missing=True)
    answer = RegistryServiceStub(channel).DeleteRecord(request, timeout=DEADLINE_S)
    assert answer.outcome == common.WRITE_OUTCOME_ABSENT


def test_a_preview_writes_nothing(channel: grpc.Channel) -> None:
    stub = RegistryServiceStub(channel)
    preview = stub.PreviewRecord(
        registry.PreviewRecordRequest(record=citizen("REG-7", "Cao Xuân Mỹ", personal_id="079066000555")),
        timeout=DEADLINE_S,
    )
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetRecord(registry.GetRecordRequest(key=key("REG-7")), timeout=DEADLINE_S)
    assert preview.outcome == common.WRITE_OUTCOME_CREATED
    assert {feature.name: list(feature.values) for feature in preview.features}["name"] == ["cao xuan my"]
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_load_acknowledges_each_operation_in_order_and_sets_bad_ones_aside(channel: grpc.Channel) -> None:
    parts = [
        operation(1, citizen("LOAD-1", "Hồ Ngọc Hà", personal_id="079088000666")),
        operation(2, citizen("LOAD-2", registry_name="household")),  # another registry than the feed's
        operation(3, citizen("", "No Key")),  # no record id
        operation(5, citizen("LOAD-3", "Hồ Ngọc Hà", personal_id="079088000666")),
        registry.IngestOperation(ordinal=6),  # neither upsert nor delete
        registry.IngestOperation(ordinal=7, delete=key("LOAD-3")),
        registry.IngestOperation(ordinal=8, delete=key("LOAD-NEVER")),
    ]
    responses = load(channel, header("load-a"), operations(*parts), end())
    found = outcomes(responses)
    assert [outcome.ordinal for outcome in found] == [1, 2, 3, 5, 6, 7, 8]
    assert [common.WriteOutcome.Name(outcome.outcome).removeprefix("WRITE_OUTCOME_") for outcome in found] == [
        "CREATED",
        "REJECTED",
        "REJECTED",
        "LINKED",
        "REJECTED",
        "DELETED",
        "ABSENT",
    ]
    assert [issue.field for issue in found[1].value_issues] == ["key.registry"]
    assert [issue.field for issue in found[2].value_issues] == ["upsert.key.record_id"]
    assert responses[0].accepted.credit_operation_count == INGEST_WINDOW_RECORDS
    assert sum(count.operation_count for count in responses[-1].summary.outcome_counts) == len(parts)


def test_a_load_that_was_cut_off_is_resumed_behind_its_last_durable_row(channel: grpc.Channel) -> None:
    rows = [citizen(f"CUT-{row}", f"Đinh Văn {row}", personal_id=f"0790950{row:05}") for row in range(1, 101)]
    first = load(
        channel, header("load-cut"), operations(*(operation(n, row) for n, row in enumerate(rows[:60], start=1)))
    )
    assert len(outcomes(first)) == 60
    resumed = load(channel, header("load-cut"), end())
    assert resumed[0].accepted.durable_ordinal == 60
    after_the_end = load(channel, header("load-cut"), end())
    assert after_the_end[0].accepted.durable_ordinal == 0


def test_a_load_twice_changes_nothing_the_second_time(channel: grpc.Channel) -> None:
    parts = [operation(n, citizen(f"TWICE-{n}", f"Mai Thị {n}", personal_id="")) for n in range(1, 41)]
    load(channel, header("load-twice"), operations(*parts), end())
    again = load(channel, header("load-twice"), operations(*parts), end())
    assert {outcome.outcome for outcome in outcomes(again)} == {common.WRITE_OUTCOME_UNCHANGED}
    assert len(outcomes(again)) == 40


def test_records_to_be_resolved_later_are_pending(channel: grpc.Channel) -> None:
    later = registry.IngestRecordsRequest(
        header=registry.IngestHeader(load_id="load-later", feed="hospital.patients", resolve=common.RESOLVE_TIME_LATER)
    )
    responses = load(channel, later, operations(operation(1, citizen("LATER-1"))), end())
    found = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("LATER-1")), timeout=DEADLINE_S)
    assert [outcome.outcome for outcome in outcomes(responses)] == [common.WRITE_OUTCOME_PENDING]
    assert (found.status, found.golden_id) == (common.RECORD_STATUS_PENDING, "")


def test_bad_values_of_a_pending_record_are_reported_as_if_it_were_resolved(channel: grpc.Channel) -> None:
    bad = citizen("LATER-2", birth_date="31/02/1990", personal_id="12", updated_at="soon")
    later = registry.IngestRecordsRequest(
        header=registry.IngestHeader(load_id="load-bad", feed="hospital.patients", resolve=common.RESOLVE_TIME_LATER)
    )
    parts = [operation(1, citizen("LATER-3")), registry.IngestOperation(ordinal=2), operation(3, bad)]
    good, rejected, pending = outcomes(load(channel, later, operations(*parts), end()))
    bad.key.record_id = "LATER-4"
    alone = upsert(channel, bad, resolve=common.RESOLVE_TIME_LATER)
    bad.key.record_id = "NOW-1"
    now = upsert(channel, bad)
    assert {issue.field for issue in now.value_issues} == {"birth_date", "personal_id", "updated_at"}
    assert pending.outcome == alone.outcome == common.WRITE_OUTCOME_PENDING
    assert list(pending.value_issues) == list(alone.value_issues) == list(now.value_issues)
    assert (list(good.value_issues), rejected.outcome) == ([], common.WRITE_OUTCOME_REJECTED)


def test_a_caller_that_keeps_to_its_credit_is_never_refused(channel: grpc.Channel) -> None:
    credit: queue.SimpleQueue[int] = queue.SimpleQueue()
    total = 1500

    def requests() -> Iterator[registry.IngestRecordsRequest]:
        yield header("load-credit")
        available = credit.get()
        for ordinal in range(1, total + 1):
            while available == 0:
                available += credit.get()
            available -= 1
            yield operations(registry.IngestOperation(ordinal=ordinal, delete=key(f"NONE-{ordinal}")))
        yield end()

    count = 0
    for response in RegistryServiceStub(channel).IngestRecords(requests(), timeout=60):
        credit.put(response.accepted.credit_operation_count or response.acknowledgements.credit_operation_count)
        count += len(response.acknowledgements.outcomes)
    assert count == total


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([operations(registry.IngestOperation(ordinal=1, delete=key("X")))], "header"),
        ([header("twice"), header("twice")], "header"),
        ([header("falling"), operations(*[registry.IngestOperation(ordinal=4, delete=key("X"))] * 2)], "ordinal"),
    ],
    ids=["no header", "two headers", "an ordinal twice"],
)
def test_messages_out_of_order_end_the_stream(
    channel: grpc.Channel, requests: list[registry.IngestRecordsRequest], field: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        load(channel, *requests)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(caught.value).startswith(f"{field}: ")
