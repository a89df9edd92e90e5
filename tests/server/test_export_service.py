"""Exports over the wire: whole, filtered, and the same however often the stream is cut."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from mdm import limits
from mdm.store.export_ledger import ExportLedger
from mdm.v1 import common_pb2 as common
from mdm.v1 import export_service_pb2 as wire
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.export_service_pb2_grpc import ExportServiceStub
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, info_of
from tests.serving import RunningServer, running_server

PEOPLE = 40
DEADLINE_S = 10
CALLS: list[tuple[str, Any]] = [
    ("ExportCrosswalk", wire.ExportCrosswalkRequest(include_lineage=True)),
    ("ExportGoldenRecords", wire.ExportGoldenRecordsRequest()),
    ("ExportLineage", wire.ExportLineageRequest()),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, small_chunks: None) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "data", workers=2) as served:
        with served.channel() as channel:
            for number in range(PEOPLE):
                for name in ("hospital", "household") if number % 3 == 0 else ("hospital",):
                    record = citizen(
                        f"P{number}",
                        f"Nguyễn Thị Mai {chr(65 + number % 26)}",
                        registry_name=name,
                        birth_date=f"19{50 + number}-03-05",
                        personal_id=f"0791{50 + number}{number:06d}",
                    )
                    upsert(channel, record)
            request = registry.UpsertRecordRequest(record=citizen("LATER"), resolve=common.RESOLVE_TIME_LATER)
            RegistryServiceStub(channel).UpsertRecord(request, timeout=DEADLINE_S)
        yield served


@pytest.fixture(scope="module")
def small_chunks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Messages of few rows, in the service's processes too, so that a small city gives streams to cut."""
    patch = pytest.MonkeyPatch()
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(
        "from mdm import limits\n"
        "limits.CROSSWALK_CHUNK_ROWS, limits.GOLDEN_RECORD_CHUNK_GOLDEN_RECORDS, limits.LINEAGE_CHUNK_ROWS = 7, 3, 5\n",
        encoding="utf-8",
    )
    root = str(Path(limits.__file__).parent.parent)
    patch.setenv("PYTHONPATH", f"{site}:{root}:{root}/clients/python")
    yield
    patch.undo()


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with server.channel() as opened:
        yield opened


def upsert(channel: grpc.Channel, record: common.SourceRecord) -> str:
    request = registry.UpsertRecordRequest(record=record)
    return RegistryServiceStub(channel).UpsertRecord(request, timeout=DEADLINE_S).golden_id


def messages(channel: grpc.Channel, method: str, request: Any, count: int | None = None) -> list[Any]:
    """Return the messages of a stream, or its first few before it is cut."""
    call = getattr(ExportServiceStub(channel), method)(request)
    found = []
    for message in call:
        found.append(message)
        if len(found) == count:
            call.cancel()
            break
    return found


def parts(found: list[Any]) -> list[Any]:
    """Return what the messages hold but for headers and tokens."""
    return [
        (part, getattr(message, part).SerializeToString(deterministic=True))
        for message in found
        if (part := message.WhichOneof("part")) != "header"
    ]


@pytest.mark.parametrize(("method", "request_"), CALLS, ids=[name for name, _ in CALLS])
def test_a_stream_cut_behind_each_message_is_the_stream_that_was_not_cut(
    server: RunningServer, method: str, request_: Any
) -> None:
    asked = type(request_).FromString(request_.SerializeToString())
    with server.channel() as channel:
        (begun,) = messages(channel, method, asked, 1)
    asked.resume_token = begun.resume_token
    found: list[Any] = []
    tokens = {begun.header.token.value}
    while not found or found[-1].WhichOneof("part") != "trailer":
        # Each call on a connection of its own, so at either reader; what is written meanwhile must not be seen.
        with server.channel() as channel:
            upsert(channel, citizen(f"NEW-{method}-{len(found)}"))
            header, *more = messages(channel, method, asked, 2)
        tokens.add(header.header.token.value)
        found += more
        asked.resume_token = found[-1].resume_token
    asked.resume_token = begun.resume_token
    with server.channel() as channel:
        whole = messages(channel, method, asked)
    assert len(whole) > 6, "several messages to cut between"
    assert parts(found) == parts(whole)
    assert tokens == {whole[0].header.token.value}, "one position throughout"
    assert f"NEW-{method}".encode() not in b"".join(body for _, body in parts(found))


def test_an_export_whose_state_is_gone_is_told_to_begin_again(server: RunningServer, channel: grpc.Channel) -> None:
    cut = messages(channel, "ExportLineage", wire.ExportLineageRequest(), 2)
    # The server may still be marking the copy as cut while it is removed.
    while copies := list(server.data.glob("export-*")):
        for copy in copies:
            shutil.rmtree(copy, ignore_errors=True)
    with pytest.raises(grpc.RpcError) as caught:
        messages(channel, "ExportLineage", wire.ExportLineageRequest(resume_token=cut[-1].resume_token))
    assert info_of(caught.value).reason == "EXPORT_EXPIRED"
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_a_resume_token_of_another_question_is_refused(channel: grpc.Channel) -> None:
    cut = messages(channel, "ExportLineage", wire.ExportLineageRequest(), 2)
    other = wire.ExportLineageRequest(registries=["hospital"], resume_token=cut[-1].resume_token)
    with pytest.raises(grpc.RpcError) as caught:
        messages(channel, "ExportLineage", other)
    assert info_of(caught.value).reason == "INVALID_TOKEN"


def test_an_export_goes_on_for_the_actor_that_began_it_alone(channel: grpc.Channel) -> None:
    request = wire.ExportGoldenRecordsRequest(caller=common.Caller(actor="an-agency"))
    request.resume_token = messages(channel, "ExportGoldenRecords", request, 2)[-1].resume_token
    request.caller.actor = "somebody-else"
    with pytest.raises(grpc.RpcError) as caught:
        messages(channel, "ExportGoldenRecords", request)
    assert info_of(caught.value).reason == "INVALID_TOKEN"
    request.caller.CopyFrom(common.Caller(actor="an-agency", purpose="decree 12"))
    assert messages(channel, "ExportGoldenRecords", request)[-1].WhichOneof("part") == "trailer"


def rows_of(found: list[Any]) -> dict[str, list[tuple[str, str, str, str, int]]]:
    rows: dict[str, list[tuple[str, str, str, str, int]]] = {}
    for chunk in (message.chunk for message in found if message.WhichOneof("part") == "chunk"):
        values = zip(chunk.fields, chunk.values, chunk.registries, chunk.record_ids, chunk.decided_by, strict=True)
        for golden_id, count in zip(chunk.golden_ids, chunk.value_counts, strict=True):
            rows[golden_id] = [next(values) for _ in range(count)]
    return rows


def test_golden_records_are_exported_as_they_are_read_one_by_one(channel: grpc.Channel) -> None:
    found = messages(channel, "ExportGoldenRecords", wire.ExportGoldenRecordsRequest())
    rows = rows_of(found)
    assert len(rows) == found[-1].trailer.golden_record_count >= PEOPLE
    assert sum(map(len, rows.values())) == found[-1].trailer.value_count
    for golden_id, values in list(rows.items())[:10]:
        request = golden.GetGoldenRecordRequest(golden_id=golden_id)
        shown = GoldenRecordServiceStub(channel).GetGoldenRecord(request, timeout=DEADLINE_S).golden_record
        assert values == [
            (each.field, each.value, each.provenance.key.registry, each.provenance.key.record_id, each.decided_by)
            for each in shown.values
        ]


def test_golden_records_are_chosen_by_registry_and_fields(channel: grpc.Channel) -> None:
    everything = rows_of(messages(channel, "ExportGoldenRecords", wire.ExportGoldenRecordsRequest()))
    request = wire.ExportGoldenRecordsRequest(registries=["household"], fields=["birth_date", "identifiers"])
    some = rows_of(messages(channel, "ExportGoldenRecords", request))
    assert 0 < len(some) < len(everything)
    for golden_id, values in some.items():
        assert {field for field, *_ in values} == {"birth_date", "identifiers.personal_id"}
        assert set(values) <= set(everything[golden_id])


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ExportGoldenRecords", wire.ExportGoldenRecordsRequest(fields=["names"]), "fields"),
        ("ExportGoldenRecords", wire.ExportGoldenRecordsRequest(registries=["nowhere"]), "registries"),
        ("ExportLineage", wire.ExportLineageRequest(registries=["nowhere"]), "registries"),
    ],
)
def test_what_there_is_none_of_is_refused(channel: grpc.Channel, method: str, request_: Any, field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        messages(channel, method, request_)
    assert dict(info_of(caught.value).metadata)["field"] == field


def test_lineage_by_registry_leaves_others_out(channel: grpc.Channel) -> None:
    def ids(request: wire.ExportLineageRequest) -> set[str]:
        found = messages(channel, "ExportLineage", request)
        return {each for message in found for each in message.chunk.golden_ids}

    crosswalk = messages(channel, "ExportCrosswalk", wire.ExportCrosswalkRequest(registries=["household"]))
    households = {each for message in crosswalk for each in message.chunk.golden_ids}
    assert ids(wire.ExportLineageRequest(registries=["household"])) == households
    assert households < ids(wire.ExportLineageRequest())
    assert ids(wire.ExportLineageRequest(entity_kind=common.ENTITY_KIND_BUSINESS)) == set()


def test_an_export_of_values_stands_in_the_ledger_once_however_often_it_was_cut(
    server: RunningServer, channel: grpc.Channel
) -> None:
    caller = common.Caller(actor="statistics", purpose="decree 12")
    request = wire.ExportGoldenRecordsRequest(fields=["sex"], caller=caller)
    request.resume_token = messages(channel, "ExportGoldenRecords", request, 2)[-1].resume_token
    whole = messages(channel, "ExportGoldenRecords", request)
    (entry,) = [each for each in ExportLedger(server.data / "exports.jsonl").entries() if each.actor == "statistics"]
    assert (entry.kind, entry.fields, entry.purpose) == ("golden-records", ("sex",), "decree 12")
    assert entry.row_count == whole[-1].trailer.golden_record_count


def test_exports_have_places_of_their_own(server: RunningServer) -> None:
    with server.channel() as channel:
        held = [ExportServiceStub(channel).ExportLineage(wire.ExportLineageRequest()) for _ in range(2)]
        # Both places of the reader that this connection landed at may be taken; its lookups and loads go on.
        upsert(channel, citizen("BESIDE"))
        for call in held:
            call.cancel()
