from __future__ import annotations

from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
from mdm.domain.records import CitizenAttributes, Identifier, IdentifierType, SourceRecord
from mdm.domain.survivorship import GoldenValue, Member, golden_values


def member(number: int, rank: int, at: int | None = None, **attributes: object) -> Member:
    key = SourceKey(f"registry{rank}", EntityKind.CITIZEN, str(number))
    record = SourceRecord(key, CitizenAttributes(**attributes), updated_at="" if at is None else str(at))  # type: ignore[arg-type]
    return Member(RecordNumber(number), record, rank, at)


def by_field(values: list[GoldenValue]) -> dict[str, GoldenValue]:
    return {value.field: value for value in values}


def test_the_more_trusted_registry_wins_over_the_newer_row() -> None:
    values = by_field(golden_values([member(1, 2, 99, full_name="B"), member(2, 1, 1, full_name="A")]))
    assert values["full_name"].value == "A"
    assert values["full_name"].source.registry == "registry1"
    assert values["full_name"].alternatives_count == 1


def test_within_one_registry_the_newest_row_wins_and_undated_ones_are_oldest() -> None:
    members = [member(1, 1, None, sex="M"), member(2, 1, 5, sex="F"), member(3, 1, 7, sex="U")]
    assert by_field(golden_values(members))["sex"].value == "U"
    assert by_field(golden_values(members[:2]))["sex"].value == "F"


def test_a_tie_goes_to_the_older_record_in_any_order() -> None:
    members = [member(2, 1, 5, sex="F"), member(1, 1, 5, sex="M")]
    assert golden_values(members) == golden_values(reversed(members))
    assert by_field(golden_values(members))["sex"].source.record_id == "1"


def test_silence_never_outweighs_a_statement() -> None:
    values = by_field(golden_values([member(1, 1, 9), member(2, 4, 1, full_name="A")]))
    assert values["full_name"].value == "A"
    assert values["full_name"].alternatives_count == 0
    assert set(values) == {"full_name"}


def test_repeated_values_come_once_each_with_their_best_source() -> None:
    phones = [member(1, 2, 1, phones=("1", "2")), member(2, 1, 1, phones=("2", "3"))]
    values = [value for value in golden_values(phones) if value.field == "phones"]
    assert [(value.value, value.source.registry) for value in values] == [
        (("2",), "registry1"),
        (("3",), "registry1"),
        (("1",), "registry2"),
    ]
    identifiers = (Identifier(IdentifierType.PERSONAL_ID, "079080000001"),)
    assert len(golden_values([member(1, 1, identifiers=identifiers), member(2, 2, identifiers=identifiers)])) == 1


def test_a_stewards_value_stands_above_all_and_says_so() -> None:
    members = [member(1, 1, full_name="A"), member(2, 2, full_name="B")]
    pinned = by_field(golden_values(members, {"full_name": "C"}))["full_name"]
    assert (pinned.value, pinned.is_pinned, pinned.alternatives_count) == ("C", True, 2)


def test_a_stewards_value_stays_when_no_member_states_the_field_any_more() -> None:
    pinned = by_field(golden_values([member(1, 1)], {"full_name": "C"}))["full_name"]
    assert (pinned.value, pinned.is_pinned, pinned.source.record_id) == ("C", True, "1")


def test_nobody_has_no_values() -> None:
    assert golden_values([]) == []
