"""Lookups, matches, golden records and the export, over the wire."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mdm.domain.keys import EntityKind
from mdm.domain.records import IdentifierType
from mdm.limits import IDENTIFIER_HOLDERS_MAX, SHORT_HOLDERS_MAX
from mdm.resolve.reader import Reader
from mdm.server.calls import WouldWaitError
from mdm.server.lookup_service import LookupService
from mdm.v1 import common_pb2 as common
from mdm.v1 import export_service_pb2 as export
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.export_service_pb2_grpc import ExportServiceStub
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, details_of, end, header, info_of, key, operations
from tests.serving import RunningServer

DEADLINE_S = 5
NAME = "Huỳnh Thị Kim Liên"
PERSONAL_ID = "079182000777"
CITIZEN = common.ENTITY_KIND_CITIZEN


@pytest.fixture(scope="module")
def golden_id(channel: grpc.Channel) -> str:
    """One citizen with a record in two registries."""
    stub = RegistryServiceStub(channel)
    answers = [
        stub.UpsertRecord(
            registry.UpsertRecordRequest(
                record=citizen(f"READ-{name}", NAME, registry_name=name, personal_id=PERSONAL_ID)
            ),
            timeout=DEADLINE_S,
        )
        for name in ("hospital", "social_security")
    ]
    assert answers[0].golden_id == answers[1].golden_id
    return str(answers[0].golden_id)


def test_a_batch_answers_in_columns_in_the_order_of_the_request(channel: grpc.Channel, golden_id: str) -> None:
    request = lookup.BatchLookupRequest(
        registry="hospital", entity_kind=CITIZEN, record_ids=["NONE", "READ-hospital", "a\0b", ""]
    )
    answer = LookupServiceStub(channel).BatchLookup(request, timeout=DEADLINE_S)
    missing = common.RECORD_STATUS_NOT_FOUND
    assert list(answer.golden_ids) == ["", golden_id, "", ""]
    assert list(answer.statuses) == [missing, common.RECORD_STATUS_FOUND, missing, missing]
    assert answer.read_at.value


def test_a_stream_of_lookups_answers_each_batch_under_its_number(channel: grpc.Channel, golden_id: str) -> None:
    requests = [
        lookup.StreamLookupRequest(
            ordinal=ordinal, registry="hospital", entity_kind=CITIZEN, record_ids=["READ-hospital"] * ordinal
        )
        for ordinal in (1, 2, 3)
    ]
    answers = list(LookupServiceStub(channel).StreamLookup(iter(requests)))
    assert [(answer.ordinal, list(answer.golden_ids)) for answer in answers] == [
        (count, [golden_id] * count) for count in (1, 2, 3)
    ]


def test_an_identifier_is_answered_with_every_holder(channel: grpc.Channel, golden_id: str) -> None:
    stub = LookupServiceStub(channel)
    request = lookup.LookupByIdentifierRequest(type=common.IDENTIFIER_TYPE_PERSONAL_ID, value=PERSONAL_ID)
    answer = stub.LookupByIdentifier(request, timeout=DEADLINE_S)
    assert [(holder.golden_id, holder.record_count) for holder in answer.holders] == [(golden_id, 2)]
    batch = stub.BatchLookupByIdentifier(
        lookup.BatchLookupByIdentifierRequest(
            type=common.IDENTIFIER_TYPE_PERSONAL_ID, values=["000000000001", PERSONAL_ID]
        ),
        timeout=DEADLINE_S,
    )
    assert list(batch.holder_counts) == [0, 1]
    assert list(batch.golden_ids) == [golden_id]
    assert list(batch.record_counts) == [2]


def test_holders_beyond_the_bound_are_counted_and_said_to_be_missing(
    server: RunningServer, channel: grpc.Channel
) -> None:
    number = "079182000999"
    count = IDENTIFIER_HOLDERS_MAX + 20
    parts = []
    for ordinal in range(1, count + 1):
        # People with little in common but the number; a few may still be taken for one.
        record = citizen(
            f"HOLDER-{ordinal}",
            f"{'Lê Trần Vũ Đỗ'.split()[ordinal % 4]} {chr(65 + ordinal % 26)}{ordinal}",
            birth_date=f"{1930 + ordinal % 70}-0{ordinal % 9 + 1}-1{ordinal % 10}",
            personal_id=f"0790{ordinal % 100:02}{ordinal:06}",
        )
        record.attributes.citizen.ClearField("phones")
        record.attributes.citizen.identifiers.add(
            type=common.IDENTIFIER_TYPE_OLD_PERSONAL_ID, value=number, assurance=common.ASSURANCE_STATED
        )
        parts.append(registry.IngestOperation(ordinal=ordinal, upsert=record))
    list(
        RegistryServiceStub(channel).IngestRecords(
            iter([header("holders"), operations(*parts), end()]),
            timeout=60,
        )
    )
    stub = LookupServiceStub(channel)
    type_ = common.IDENTIFIER_TYPE_OLD_PERSONAL_ID
    answer = stub.LookupByIdentifier(lookup.LookupByIdentifierRequest(type=type_, value=number), timeout=DEADLINE_S)
    assert (len(answer.holders), answer.is_truncated) == (IDENTIFIER_HOLDERS_MAX, True)
    assert IDENTIFIER_HOLDERS_MAX < answer.holder_count <= count
    batch = stub.BatchLookupByIdentifier(
        lookup.BatchLookupByIdentifierRequest(type=type_, values=["079182000998", number]), timeout=DEADLINE_S
    )
    assert list(batch.holder_counts) == [0, IDENTIFIER_HOLDERS_MAX]
    assert list(batch.truncated) == [False, True]
    with contextlib.closing(Reader.open(server.data)) as reader:
        # So many are not read on the polling thread.
        assert reader.holders(IdentifierType.OLD_PERSONAL_ID, number, EntityKind.CITIZEN, SHORT_HOLDERS_MAX) is None
        assert reader.holders(IdentifierType.PERSONAL_ID, PERSONAL_ID, EntityKind.CITIZEN, SHORT_HOLDERS_MAX)
        with pytest.raises(WouldWaitError):
            LookupService(reader).LookupByIdentifier(
                lookup.LookupByIdentifierRequest(type=type_, value=number),
                cast("grpc.ServicerContext", SimpleNamespace(has_thread=False)),
            )


def test_keys_are_translated_into_another_registrys(channel: grpc.Channel, golden_id: str) -> None:
    request = lookup.TranslateKeysRequest(
        source_registry="hospital",
        entity_kind=CITIZEN,
        record_ids=["READ-hospital", "NONE"],
        target_registry="social_security",
    )
    answer = LookupServiceStub(channel).TranslateKeys(request, timeout=DEADLINE_S)
    assert list(answer.target_counts) == [1, 0]
    assert list(answer.target_record_ids) == ["READ-social_security"]


def test_a_golden_id_is_read_without_regard_to_case_or_hyphens(channel: grpc.Channel, golden_id: str) -> None:
    request = golden.GetGoldenRecordRequest(golden_id=golden_id.lower().replace("-", ""))
    record = GoldenRecordServiceStub(channel).GetGoldenRecord(request, timeout=DEADLINE_S).golden_record
    assert record.golden_id == record.requested_golden_id == golden_id
    assert {member.key.registry for member in record.members} == {"hospital", "social_security"}
    names = [value for value in record.values if value.field == "full_name"]
    assert [(name.value, name.provenance.key.registry) for name in names] == [(NAME, "social_security")]


def test_members_come_in_pages(channel: grpc.Channel, golden_id: str) -> None:
    stub = GoldenRecordServiceStub(channel)
    first = stub.ListMembers(golden.ListMembersRequest(golden_id=golden_id, page_size=1), timeout=DEADLINE_S)
    second = stub.ListMembers(
        golden.ListMembersRequest(golden_id=golden_id, page_size=1, page_token=first.next_page_token),
        timeout=DEADLINE_S,
    )
    found = [member.key.registry for page in (first, second) for member in page.members]
    assert found == ["hospital", "social_security"]
    assert (first.member_count, second.next_page_token) == (2, "")


def test_a_batch_of_golden_ids_answers_wrong_ones_by_status(channel: grpc.Channel, golden_id: str) -> None:
    request = golden.BatchCurrentGoldenIdsRequest(golden_ids=["C-0000", golden_id])
    answer = GoldenRecordServiceStub(channel).BatchCurrentGoldenIds(request, timeout=DEADLINE_S)
    assert list(answer.surviving_golden_ids) == ["", golden_id]
    assert list(answer.statuses) == [common.GOLDEN_ID_STATUS_INVALID, common.GOLDEN_ID_STATUS_ACTIVE]
    records = GoldenRecordServiceStub(channel).BatchGetGoldenRecords(
        golden.BatchGetGoldenRecordsRequest(golden_ids=["C-0000", golden_id]), timeout=DEADLINE_S
    )
    assert [record.status for record in records.golden_records] == list(answer.statuses)


def test_a_match_grades_its_candidates_and_shows_what_tells_them_apart(channel: grpc.Channel, golden_id: str) -> None:
    request = match.MatchRequest(attributes=citizen("x", NAME, personal_id=PERSONAL_ID).attributes)
    result = MatchServiceStub(channel).Match(request, timeout=DEADLINE_S).result
    best = result.candidates[0]
    assert (best.golden_id, best.grade, best.member_count) == (golden_id, common.MATCH_GRADE_CERTAIN, 2)
    compared_bits = sum(comparison.match_weight_bits for comparison in best.comparisons)
    assert best.starting_weight_bits + compared_bits == pytest.approx(best.match_weight_bits, abs=1e-9)
    agreements = {comparison.field: comparison.agreement for comparison in best.comparisons}
    assert agreements["name"] == common.AGREEMENT_AGREES
    batch = match.BatchMatchRequest(attributes=[request.attributes] * 2)
    results = MatchServiceStub(channel).BatchMatch(batch, timeout=DEADLINE_S).results
    assert [each.candidates[0].golden_id for each in results] == [golden_id] * 2


def test_resolve_finds_without_writing_and_creates_when_asked(channel: grpc.Channel, golden_id: str) -> None:
    stub = MatchServiceStub(channel)
    known = citizen("x", NAME, personal_id=PERSONAL_ID).attributes
    found = stub.Resolve(match.ResolveRequest(mode=match.RESOLVE_MODE_FIND_ONLY, attributes=known), timeout=DEADLINE_S)
    assert (found.outcome, found.golden_id) == (match.RESOLVE_OUTCOME_LINKED, golden_id)
    stranger = citizen("DESK-1", "Tạ Quốc Bảo", birth_date="2001-11-09", personal_id="079201000888").attributes
    nobody = stub.Resolve(
        match.ResolveRequest(mode=match.RESOLVE_MODE_FIND_ONLY, attributes=stranger), timeout=DEADLINE_S
    )
    assert (nobody.outcome, nobody.golden_id) == (match.RESOLVE_OUTCOME_NONE, "")
    assert nobody.grade == common.MATCH_GRADE_CERTAINLY_NOT
    created = stub.Resolve(
        match.ResolveRequest(
            mode=match.RESOLVE_MODE_FIND_OR_CREATE, key=key("DESK-1"), attributes=stranger, request_id="desk-1"
        ),
        timeout=DEADLINE_S,
    )
    assert created.outcome == match.RESOLVE_OUTCOME_CREATED
    assert created.golden_id
    assert created.golden_id != golden_id


NOTHING = [
    common.Attributes(citizen=common.CitizenAttributes()),
    common.Attributes(business=common.BusinessAttributes(legal_name=" ")),
    common.Attributes(
        citizen=common.CitizenAttributes(
            identifiers=[common.Identifier(type=common.IDENTIFIER_TYPE_PERSONAL_ID, value=" ")]
        )
    ),
]


@pytest.mark.parametrize("attributes", NOTHING, ids=["no value", "a blank", "a blank number"])
def test_a_search_that_states_nothing_is_refused(channel: grpc.Channel, attributes: common.Attributes) -> None:
    stub = MatchServiceStub(channel)
    known = common.Attributes(citizen=common.CitizenAttributes(full_name=NAME))
    searches: list[tuple[str, Callable[[], object]]] = [
        ("attributes", lambda: stub.Match(match.MatchRequest(attributes=attributes), timeout=DEADLINE_S)),
        (
            "attributes[1]",
            lambda: stub.BatchMatch(match.BatchMatchRequest(attributes=[known, attributes]), timeout=DEADLINE_S),
        ),
        (
            "attributes",
            lambda: stub.Resolve(
                match.ResolveRequest(mode=match.RESOLVE_MODE_FIND_ONLY, attributes=attributes), timeout=DEADLINE_S
            ),
        ),
        (
            "attributes",
            lambda: stub.Resolve(
                match.ResolveRequest(mode=match.RESOLVE_MODE_FIND_OR_CREATE, key=key("NOTHING"), attributes=attributes),
                timeout=DEADLINE_S,
            ),
        ),
    ]
    for field, search in searches:
        with pytest.raises(grpc.RpcError) as caught:
            search()
        info = info_of(caught.value)
        assert (info.reason, info.metadata["field"]) == ("INVALID_FIELD", field)


def test_creating_without_a_key_names_the_key(channel: grpc.Channel) -> None:
    attributes = common.Attributes(citizen=common.CitizenAttributes(full_name=NAME))
    with pytest.raises(grpc.RpcError) as caught:
        MatchServiceStub(channel).Resolve(
            match.ResolveRequest(mode=match.RESOLVE_MODE_FIND_OR_CREATE, attributes=attributes), timeout=DEADLINE_S
        )
    info = info_of(caught.value)
    assert (info.reason, info.metadata["field"]) == ("INVALID_FIELD", "key")
    assert details_of(caught.value) == "key: is required with RESOLVE_MODE_FIND_OR_CREATE"


def test_nothing_is_created_under_a_padded_key(channel: grpc.Channel) -> None:
    attributes = common.Attributes(citizen=common.CitizenAttributes(full_name=NAME))
    request = match.ResolveRequest(
        mode=match.RESOLVE_MODE_FIND_OR_CREATE, key=key("PADDED "), attributes=attributes, request_id="padded"
    )
    with pytest.raises(grpc.RpcError) as caught:
        MatchServiceStub(channel).Resolve(request, timeout=DEADLINE_S)
    assert info_of(caught.value).reason == "INVALID_SOURCE_KEY"


def test_the_export_is_framed_and_holds_every_resolved_record(channel: grpc.Channel, golden_id: str) -> None:
    request = export.ExportCrosswalkRequest(registries=["social_security"], entity_kind=CITIZEN)
    parts = list(ExportServiceStub(channel).ExportCrosswalk(request))
    rows = {
        (part.chunk.registry, record_id): row_golden_id
        for part in parts
        for record_id, row_golden_id in zip(part.chunk.record_ids, part.chunk.golden_ids, strict=True)
    }
    assert [part.WhichOneof("part") for part in (parts[0], parts[-1])] == ["header", "trailer"]
    assert rows["social_security", "READ-social_security"] == golden_id
    assert {registry_name for registry_name, _ in rows} == {"social_security"}
    assert parts[-1].trailer.row_count == len(rows)


@pytest.mark.parametrize("name", ["", "mdm.v1.LookupService"])
def test_health_is_served_without_a_deadline(channel: grpc.Channel, name: str) -> None:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_interface_can_be_asked_for(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(stub.ServerReflectionInfo(iter([asked])))
    names = {service.name for service in answer.list_services_response.service}
    assert {"mdm.v1.LookupService", "mdm.v1.RegistryService", "grpc.health.v1.Health"} <= names
