"""Households and relations over the wire: the answers, their order, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

from mdm.domain.keys import EntityKind
from mdm.domain.keys import golden_id as golden_id_of
from mdm.limits import PAGE_SIZE_MAX
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import info_of, trailing_of

DEADLINE_S = 5
MOTHER_ID = "079182000222"
NEVER_ISSUED = golden_id_of(EntityKind.CITIZEN, 0)
OUTGOING, INCOMING = golden.RELATION_DIRECTION_OUTGOING, golden.RELATION_DIRECTION_INCOMING


def resident(
    record_id: str,
    full_name: str,
    birth_date: str,
    role: str,
    *relations: common.Relation,
    household_id: str = "HK1",
    personal_id: str = "",
    updated_at: str = "2025-01-01",
) -> common.SourceRecord:
    citizen = common.CitizenAttributes(full_name=full_name, birth_date=birth_date)
    if personal_id:
        citizen.identifiers.append(number(personal_id))
    citizen.relations.add(type=common.RELATION_TYPE_HOUSEHOLD, group_id=household_id, role=role)
    citizen.relations.extend(relations)
    key = common.SourceKey(registry="household", entity_kind=common.ENTITY_KIND_CITIZEN, record_id=record_id)
    return common.SourceRecord(key=key, attributes=common.Attributes(citizen=citizen), updated_at=updated_at)


def number(value: str) -> common.Identifier:
    return common.Identifier(type=common.IDENTIFIER_TYPE_PERSONAL_ID, value=value, assurance=common.ASSURANCE_SIGHTED)


MOTHER = resident("REL-M", "Lý Thu Cúc", "1982-09-30", "chủ hộ", personal_id=MOTHER_ID)
CHILDREN = [
    resident(
        f"REL-{name}",
        f"Đặng {name}",
        f"20{10 + place}-06-01",
        "con",
        common.Relation(type=common.RELATION_TYPE_MOTHER, name="Lý Thu Cúc", identifiers=[number(MOTHER_ID)]),
    )
    for place, name in enumerate(("Hải Yến", "Quốc Vinh", "Minh Khôi"))
]


class Family:
    """What was stored: golden IDs, and the position behind the last write."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = RegistryServiceStub(channel)
        self.mother = self.put(MOTHER)
        self.children = [self.put(child) for child in CHILDREN]

    def put(self, record: common.SourceRecord, *, later: bool = False) -> str:
        request = registry.UpsertRecordRequest(record=record)
        if later:
            request.resolve = common.RESOLVE_TIME_LATER
        answer = self._stub.UpsertRecord(request, timeout=DEADLINE_S)
        self.token = answer.token
        return str(answer.golden_id)

    def drop(self, record: common.SourceRecord) -> None:
        self.token = self._stub.DeleteRecord(registry.DeleteRecordRequest(key=record.key), timeout=DEADLINE_S).token


@pytest.fixture(scope="module")
def family(channel: grpc.Channel) -> Family:
    return Family(channel)


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> GoldenRecordServiceStub:
    return GoldenRecordServiceStub(channel)


def test_a_household_is_answered_by_any_member(stub: GoldenRecordServiceStub, family: Family) -> None:
    request = golden.GetHouseholdRequest(
        golden_id=family.children[1].lower().replace("-", ""), at_least_as_fresh=family.token
    )
    answer = stub.GetHousehold(request, timeout=DEADLINE_S)
    assert (answer.golden_id, answer.status) == (family.children[1], common.GOLDEN_ID_STATUS_ACTIVE)
    (found,) = answer.households
    assert (found.registry, found.household_id, found.record_count) == ("household", "HK1", 4)
    assert [member.golden_id for member in found.members] == [family.mother, *family.children]
    assert [member.is_head for member in found.members] == [True, False, False, False]
    (statement,) = found.members[1].statements
    assert (statement.key.record_id, statement.name, statement.role) == ("REL-Hải Yến", "Đặng Hải Yến", "con")
    assert statement.since == "2025-01-01"
    assert statement.since_recorded_at.seconds > 1_700_000_000
    assert answer.read_at.value


def test_a_mother_lists_her_children_page_by_page(stub: GoldenRecordServiceStub, family: Family) -> None:
    request = golden.ListRelationsRequest(
        golden_id=family.mother, type=common.RELATION_TYPE_MOTHER, page_size=2, at_least_as_fresh=family.token
    )
    first = stub.ListRelations(request, timeout=DEADLINE_S)
    request.page_token = first.next_page_token
    second = stub.ListRelations(request, timeout=DEADLINE_S)
    assert (len(first.relations), second.next_page_token) == (2, "")
    found = [*first.relations, *second.relations]
    assert [relation.golden_id for relation in found] == family.children
    assert {relation.direction for relation in found} == {INCOMING}
    assert {relation.ground for relation in found} == {golden.RELATION_GROUND_IDENTIFIER}
    assert {relation.obstacle for relation in found} == {golden.RELATION_OBSTACLE_UNSPECIFIED}
    assert found[0].statements[0].key.record_id == "REL-Hải Yến"
    assert found[0].statements[0].name == "Đặng Hải Yến"
    assert found[0].statements[0].ground == golden.RELATION_GROUND_IDENTIFIER


def test_a_child_names_its_mother_and_the_head(stub: GoldenRecordServiceStub, family: Family) -> None:
    request = golden.ListRelationsRequest(golden_id=family.children[0], at_least_as_fresh=family.token)
    answer = stub.ListRelations(request, timeout=DEADLINE_S)
    assert [(each.type, each.direction, each.golden_id, each.ground) for each in answer.relations] == [
        (common.RELATION_TYPE_HOUSEHOLD, OUTGOING, family.mother, golden.RELATION_GROUND_HOUSEHOLD),
        (common.RELATION_TYPE_MOTHER, OUTGOING, family.mother, golden.RELATION_GROUND_IDENTIFIER),
    ]
    assert (answer.golden_id, answer.status) == (family.children[0], common.GOLDEN_ID_STATUS_ACTIVE)


def test_who_moved_is_answered_with_the_household_left(stub: GoldenRecordServiceStub, family: Family) -> None:
    here = resident("REL-MOVED", "Tô Bích Phượng", "1990-03-08", "ở nhờ", household_id="HK7")
    there = resident("REL-MOVED", "Tô Bích Phượng", "1990-03-08", "chủ hộ", household_id="HK8", updated_at="2026-02-02")
    family.put(here)
    golden_id = family.put(there)
    request = golden.GetHouseholdRequest(golden_id=golden_id, at_least_as_fresh=family.token)
    answer = stub.GetHousehold(request, timeout=DEADLINE_S)
    assert [each.household_id for each in answer.households] == ["HK8"]
    (former,) = answer.former_households
    assert (former.key.record_id, former.household_id, former.role) == ("REL-MOVED", "HK7", "ở nhờ")
    assert (former.since, former.until) == ("2025-01-01", "2026-02-02")
    assert former.until_recorded_at.ToMicroseconds() >= former.since_recorded_at.ToMicroseconds() > 0


def test_what_cannot_be_named_says_why(stub: GoldenRecordServiceStub, family: Family) -> None:
    unheld = common.Relation(
        type=common.RELATION_TYPE_MOTHER, name="Phan Bảo Ngọc", identifiers=[number("079170000333")]
    )
    golden_id = family.put(resident("REL-LOST", "Khuất Duy Tân", "2019-01-05", "", unheld, household_id="HK9"))
    request = golden.ListRelationsRequest(
        golden_id=golden_id, direction=OUTGOING, type=common.RELATION_TYPE_MOTHER, at_least_as_fresh=family.token
    )
    (relation,) = stub.ListRelations(request, timeout=DEADLINE_S).relations
    assert (relation.golden_id, relation.ground) == ("", golden.RELATION_GROUND_UNSPECIFIED)
    assert relation.obstacle == golden.RELATION_OBSTACLE_NOT_FOUND
    assert (relation.statements[0].name, relation.statement_count) == ("Phan Bảo Ngọc", 1)


def test_a_retired_golden_id_has_no_household_and_no_relations(stub: GoldenRecordServiceStub, family: Family) -> None:
    record = resident("REL-GONE", "Vũ Kim Ngân", "1950-05-05", "chủ hộ", household_id="HK10")
    golden_id = family.put(record)
    family.drop(record)
    left = stub.GetHousehold(
        golden.GetHouseholdRequest(golden_id=golden_id, at_least_as_fresh=family.token), timeout=DEADLINE_S
    )
    listed = stub.ListRelations(
        golden.ListRelationsRequest(golden_id=golden_id, at_least_as_fresh=family.token), timeout=DEADLINE_S
    )
    for answer in (left, listed):
        assert (answer.golden_id, answer.status) == ("", common.GOLDEN_ID_STATUS_RETIRED)
    assert (len(left.households), len(left.former_households), len(listed.relations)) == (0, 0, 0)


Ask = Callable[[GoldenRecordServiceStub], object]


def household(**fields: object) -> Ask:
    return lambda stub: stub.GetHousehold(golden.GetHouseholdRequest(**fields), timeout=DEADLINE_S)  # type: ignore[arg-type]


def relations(**fields: object) -> Ask:
    return lambda stub: stub.ListRelations(golden.ListRelationsRequest(**fields), timeout=DEADLINE_S)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ask", "reason", "field"),
    [
        (household(golden_id="C-1"), "INVALID_GOLDEN_ID", "golden_id"),
        (household(golden_id=NEVER_ISSUED), "GOLDEN_ID_NOT_FOUND", ""),
        (household(), "INVALID_FIELD", "golden_id"),
        (relations(golden_id="C-1"), "INVALID_GOLDEN_ID", "golden_id"),
        (relations(golden_id=NEVER_ISSUED), "GOLDEN_ID_NOT_FOUND", ""),
        (relations(golden_id=NEVER_ISSUED, page_size=PAGE_SIZE_MAX), "GOLDEN_ID_NOT_FOUND", ""),
        (relations(golden_id=NEVER_ISSUED, page_size=PAGE_SIZE_MAX + 1), "INVALID_FIELD", "page_size"),
        (relations(golden_id=NEVER_ISSUED, type=99), "INVALID_FIELD", "type"),
        (relations(golden_id=NEVER_ISSUED, direction=9), "INVALID_FIELD", "direction"),
        (
            relations(golden_id=NEVER_ISSUED, at_least_as_fresh=common.JournalToken(value="?")),
            "INVALID_TOKEN",
            "at_least_as_fresh",
        ),
    ],
)
def test_what_is_wrong_is_named(stub: GoldenRecordServiceStub, ask: Ask, reason: str, field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(stub)
    info = info_of(caught.value)
    assert (info.reason, info.metadata.get("field", "")) == (reason, field)


def test_a_business_has_no_household(stub: GoldenRecordServiceStub, channel: grpc.Channel) -> None:
    key = common.SourceKey(registry="company", entity_kind=common.ENTITY_KIND_BUSINESS, record_id="REL-D1")
    business = common.BusinessAttributes(legal_name="Công ty TNHH Bình Phát Đạt")
    record = common.SourceRecord(key=key, attributes=common.Attributes(business=business))
    written = RegistryServiceStub(channel).UpsertRecord(registry.UpsertRecordRequest(record=record), timeout=DEADLINE_S)
    request = golden.GetHouseholdRequest(golden_id=written.golden_id, at_least_as_fresh=written.token)
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetHousehold(request, timeout=DEADLINE_S)
    info = info_of(caught.value)
    assert (info.reason, info.metadata["field"]) == ("INVALID_FIELD", "golden_id")
    assert "grpc-status-details-bin" in trailing_of(caught.value)
