"""Households and relations through both clients."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mdm.domain.keys import EntityKind as Kind
from mdm.domain.keys import golden_id
from mdm_client import (
    AsyncClient,
    CitizenAttributes,
    Client,
    EntityKind,
    GoldenIdStatus,
    InvalidArgumentError,
    NotFoundError,
    Relation,
    RelationDirection,
    RelationGround,
    RelationObstacle,
    RelationType,
    SourceKey,
    SourceRecord,
)
from tests.serving import RunningServer


def resident(
    record_id: str, full_name: str, birth_date: str, role: str, *relations: Relation, household_id: str = "HK1"
) -> SourceRecord:
    lives_in = Relation(RelationType.HOUSEHOLD, role=role, group_id=household_id)
    attributes = CitizenAttributes(full_name=full_name, birth_date=birth_date, relations=(lives_in, *relations))
    return SourceRecord(SourceKey("household", EntityKind.CITIZEN, record_id), attributes, "2025-01-01")


@pytest.fixture(scope="module")
def family(client: Client) -> tuple[str, list[str], str]:
    """Golden IDs of a father and his three children, and the position behind them."""
    named = Relation(RelationType.FATHER, "Đặng Quốc Vinh")
    father = client.upsert(resident("F", "Đặng Quốc Vinh", "1980-04-12", "chủ hộ"))
    written = [
        client.upsert(resident(f"F{place}", f"Đặng {name}", f"20{10 + place}-06-01", "con", named))
        for place, name in enumerate(("Hải Yến", "Minh Khôi", "Gia Hân"))
    ]
    return father.golden_id, [each.golden_id for each in written], written[-1].token


def test_a_household_comes_with_its_members_and_since_when(client: Client, family: tuple[str, list[str], str]) -> None:
    father, children, token = family
    found = client.households(children[0], fresh=token)
    assert (found.golden_id, found.status) == (children[0], GoldenIdStatus.ACTIVE)
    (household,) = found.households
    assert (household.registry, household.household_id, household.record_count) == ("household", "HK1", 4)
    assert [(member.golden_id, member.is_head) for member in household.members] == [
        (father, True),
        *((child, False) for child in children),
    ]
    (statement,) = household.members[0].statements
    assert (statement.key.record_id, statement.name, statement.role, statement.since) == (
        *("F", "Đặng Quốc Vinh", "chủ hộ", "2025-01-01"),
    )
    assert abs(datetime.now(UTC) - statement.since_recorded_at) < timedelta(hours=1)
    assert found.former_households == ()


def test_relations_are_yielded_over_all_pages(client: Client, family: tuple[str, list[str], str]) -> None:
    father, children, token = family
    listed = client.list_relations(
        father, type=RelationType.FATHER, direction=RelationDirection.INCOMING, page_size=1, fresh=token
    )
    found = list(listed)
    assert [relation.golden_id for relation in found] == children
    assert {(relation.type, relation.direction, relation.ground) for relation in found} == {
        (RelationType.FATHER, RelationDirection.INCOMING, RelationGround.HOUSEHOLD_AND_NAME)
    }
    everything = list(client.list_relations(father, fresh=token))
    assert everything[0].obstacle is RelationObstacle.ONESELF
    assert everything[0].statements[0].household_id == "HK1"
    assert len(everything) == 1 + 2 * len(children)


def test_a_move_shows_the_household_left(client: Client) -> None:
    client.upsert(resident("M", "Tô Bích Phượng", "1990-03-08", "ở nhờ", household_id="HK7"))
    moved = client.upsert(resident("M", "Tô Bích Phượng", "1990-03-08", "chủ hộ", household_id="HK8"))
    found = client.households(moved.golden_id, fresh=moved.token)
    (former,) = found.former_households
    assert (former.key.record_id, former.household_id, former.role) == ("M", "HK7", "ở nhờ")
    assert former.since_recorded_at <= former.until_recorded_at


def test_what_is_wrong_has_its_reason(client: Client) -> None:
    with pytest.raises(NotFoundError) as missing:
        client.households(golden_id(Kind.CITIZEN, 0))
    assert missing.value.reason == "GOLDEN_ID_NOT_FOUND"
    with pytest.raises(InvalidArgumentError) as wrong:
        list(client.list_relations("C-1"))
    assert wrong.value.reason == "INVALID_GOLDEN_ID"


def test_the_asyncio_client_answers_alike(
    server: RunningServer, client: Client, family: tuple[str, list[str], str]
) -> None:
    father, children, token = family

    async def run() -> None:
        async with AsyncClient(server.address) as awaited:
            assert (await awaited.households(father, fresh=token)).households == client.households(father).households
            listed = awaited.list_relations(father, type=RelationType.FATHER, page_size=2, fresh=token)
            assert [relation.golden_id async for relation in listed] == children

    asyncio.run(run())


def test_no_value_of_a_person_stands_in_the_text_of_an_answer(
    client: Client, family: tuple[str, list[str], str]
) -> None:
    father, _, token = family
    text = repr(client.households(father, fresh=token)) + repr(list(client.list_relations(father, fresh=token)))
    assert [value for value in ("Đặng", "HK1", "chủ hộ") if value in text] == []
