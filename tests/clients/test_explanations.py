"""Explanations and histories by both clients."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mdm.domain.keys import EntityKind as Kind
from mdm.domain.keys import golden_id
from mdm_client import (
    Assurance,
    AsyncClient,
    CitizenAttributes,
    Client,
    EntityKind,
    Identifier,
    IdentifierType,
    InvalidArgumentError,
    NotFoundError,
    ObstacleKind,
    PairBand,
    PairJudgement,
    SourceKey,
    SourceRecord,
)
from mdm_client.explanation_results import HistoryGround
from mdm_client.results import Agreement, GoldenIdChangeType, GoldenIdStatus, RecordStatus
from tests.serving import RunningServer

NAME, ID, OTHER_ID = "Phùng Ngọc Thiên Kim", "079187004567", "079187007654"


def record(record_id: str, personal_id: str = ID, updated_at: str = "2025-01-01", name: str = NAME) -> SourceRecord:
    identifier = Identifier(IdentifierType.PERSONAL_ID, personal_id, Assurance.SIGHTED)
    attributes = CitizenAttributes(full_name=name, birth_date="1987-03-05", sex="F", identifiers=(identifier,))
    return SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, record_id), attributes, updated_at)


ONE, OTHER, STRANGER = record("EX1"), record("EX2", name=NAME.upper()), record("EX3", OTHER_ID)


@pytest.fixture(scope="module")
def tokens(client: Client) -> list[str]:
    """Positions behind four writes: two records of one citizen, an update of the second, a stranger."""
    written = (ONE, OTHER, record("EX2", updated_at="2026-01-01"), STRANGER)
    return [client.upsert(each).token for each in written]


def test_a_pair_comes_with_all_that_decides(client: Client, tokens: list[str]) -> None:
    found = client.explain.why(ONE.key, OTHER.key, fresh=tokens[-1])
    assert (found.are_one, found.are_compared, found.band) == (True, True, PairBand.LINK)
    total = found.starting_weight_bits + sum(each.match_weight_bits for each in found.comparisons)
    assert total == pytest.approx(found.match_weight_bits, abs=1e-9)
    number = next(each for each in found.comparisons if each.comparison == "personal_id")
    assert (number.left_written_values, number.agreement) == ((ID,), Agreement.AGREES)
    assert number.level_bits + number.term_frequency_bits == pytest.approx(number.match_weight_bits)
    assert (found.judgement, found.question) == (PairJudgement.UNSPECIFIED, None)
    assert found.left.key == ONE.key
    assert found.left.status is RecordStatus.FOUND
    assert found.decision is not None
    assert found.decision.type is GoldenIdChangeType.LINKED
    assert not found.was_decided_otherwise
    assert found.summary.vi.startswith("Cộng lại +")
    assert found.expected_strangers is not None


def test_what_keeps_two_apart_comes_firmest_first(client: Client, tokens: list[str]) -> None:
    golden = client.lookup("hospital", EntityKind.CITIZEN, "EX1", fresh=tokens[-1]).golden_id
    found = client.explain.why_not(STRANGER.key, golden)
    assert [each.kind for each in found.obstacles] == [ObstacleKind.VETO, ObstacleKind.MEMBER_VETO, ObstacleKind.LACK]
    assert found.obstacles[0].detail == "verified_ids_differ"
    assert [each.name for each in found.enough] == ["steward"]
    assert not found.pair.are_one


def test_a_golden_record_comes_with_its_growth_and_its_tree(client: Client, tokens: list[str]) -> None:
    golden = client.lookup("hospital", EntityKind.CITIZEN, "EX1", fresh=tokens[-1]).golden_id
    found = client.explain.how(golden)
    assert (found.golden_id, found.status, found.part_count) == (golden, GoldenIdStatus.ACTIVE, 1)
    assert [each.key for each in found.members] == [ONE.key, OTHER.key]
    assert found.edges == (found.weakest_edge,)
    assert [each.type for each in found.steps] == [GoldenIdChangeType.CREATED, GoldenIdChangeType.LINKED]
    assert found.bridges == ()


def test_a_history_is_yielded_over_all_pages(client: Client, tokens: list[str]) -> None:
    golden = client.lookup("hospital", EntityKind.CITIZEN, "EX1", fresh=tokens[-1]).golden_id
    entries = list(client.history.entries(golden, page_size=1))
    assert [(each.type, each.ground) for each in entries] == [
        (GoldenIdChangeType.CREATED, HistoryGround.DECISION),
        (GoldenIdChangeType.LINKED, HistoryGround.DECISION),
        (GoldenIdChangeType.VALUES_CHANGED, HistoryGround.REGISTRY),
    ]
    assert (entries[1].partner, entries[1].keys, entries[1].record_count) == (ONE.key, (OTHER.key,), 1)
    assert entries[0].match_weight_bits is None
    assert abs(datetime.now(UTC) - entries[0].happened_at) < timedelta(hours=1)
    assert entries[0].actor == "tests"


def test_what_was_known_comes_by_position_and_by_time(client: Client, tokens: list[str]) -> None:
    golden = client.lookup("hospital", EntityKind.CITIZEN, "EX1", fresh=tokens[-1]).golden_id
    alone = client.history.golden_record(golden, tokens[0])
    assert ([each.key for each in alone.record.members], alone.as_of) == ([ONE.key], tokens[0])
    joined = next(each for each in client.history.entries(golden) if each.type is GoldenIdChangeType.LINKED)
    by_time = client.history.golden_record(golden, joined.happened_at)
    assert len(by_time.record.members) == 2
    assert by_time.erased_member_count == 0
    stranger = client.lookup("hospital", EntityKind.CITIZEN, "EX3").golden_id
    with pytest.raises(NotFoundError) as early:
        client.history.golden_record(stranger, tokens[0])
    assert early.value.reason == "GOLDEN_ID_NOT_YET_ISSUED"
    with pytest.raises(InvalidArgumentError, match="as_of_time"):
        client.history.golden_record(golden, datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(ValueError, match="time zone"):
        client.history.golden_record(golden, datetime(2026, 1, 1))  # noqa: DTZ001 – what is refused


def test_what_is_wrong_has_its_reason(client: Client, tokens: list[str]) -> None:
    assert tokens
    never = golden_id(Kind.CITIZEN, 0)
    for call in (lambda: client.explain.how(never), lambda: list(client.history.entries(never))):
        with pytest.raises(NotFoundError) as missing:
            call()
        assert missing.value.reason == "GOLDEN_ID_NOT_FOUND"
    with pytest.raises(InvalidArgumentError) as same:
        client.explain.why(ONE.key, ONE.key)
    assert [each.field for each in same.value.field_violations] == ["right"]


def test_the_asyncio_client_answers_alike(server: RunningServer, client: Client, tokens: list[str]) -> None:
    golden = client.lookup("hospital", EntityKind.CITIZEN, "EX1", fresh=tokens[-1]).golden_id

    async def run() -> None:
        async with AsyncClient(server.address) as awaited:
            assert await awaited.explain.why(ONE.key, OTHER.key) == client.explain.why(ONE.key, OTHER.key)
            assert await awaited.explain.why_not(ONE.key, STRANGER.key) == client.explain.why_not(ONE.key, STRANGER.key)
            assert await awaited.explain.how(golden) == client.explain.how(golden)
            entries = [each async for each in awaited.history.entries(golden, page_size=2)]
            assert entries == list(client.history.entries(golden))
            past = await awaited.history.golden_record(golden, tokens[0])
            assert past.record.members == client.history.golden_record(golden, tokens[0]).record.members

    asyncio.run(run())


def test_no_value_of_a_person_stands_in_the_text_of_an_answer(client: Client, tokens: list[str]) -> None:
    found = client.explain.why_not(ONE.key, STRANGER.key, fresh=tokens[-1])
    text = repr(found) + repr(client.history.golden_record(found.pair.left.golden_id, tokens[0]))
    assert [value for value in (NAME, "phung", ID, OTHER_ID) if value in text] == []
