from __future__ import annotations

import itertools

import pytest

from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    SourceRecord,
)
from mdm.domain.survivorship import GoldenValue, Item, Member, Pin, golden_values
from mdm.domain.survivorship_rules import Criterion, KindRules
from mdm.linkage.completeness import number_of

C = Criterion
RULES = KindRules((C.TRUST, C.RECENCY, C.FREQUENCY))


def longest(_field: str, value: Item) -> int:
    """Completeness by length: what it really means is the business of the normaliser."""
    return len(value.text if isinstance(value, Address) else str(value))


def whole(identifier: Identifier) -> str:
    """Ten digits: what a number really is, is the business of the normaliser."""
    return identifier.value.zfill(10)


def member(number: int, rank: int, at: int | None = None, **attributes: object) -> Member:
    key = SourceKey(f"registry{rank}", EntityKind.CITIZEN, str(number))
    record = SourceRecord(key, CitizenAttributes(**attributes), updated_at="" if at is None else str(at))  # type: ignore[arg-type]
    return Member(RecordNumber(number), record, rank, at)


def values(members: list[Member], rules: KindRules = RULES, pins: dict[str, Pin] | None = None) -> list[GoldenValue]:
    return golden_values(members, rules, longest, whole, pins)


def by_field(found: list[GoldenValue]) -> dict[str, GoldenValue]:
    return {value.field: value for value in found}


def full_name(members: list[Member], *criteria: Criterion) -> GoldenValue:
    return by_field(values(members, KindRules(RULES.default, {"full_name": criteria} if criteria else {})))["full_name"]


def test_the_more_trusted_registry_wins_over_the_newer_row() -> None:
    shown = full_name([member(1, 2, 99, full_name="B"), member(2, 1, 1, full_name="A")])
    assert (shown.value, shown.source.registry, shown.decided_by) == ("A", "registry1", C.TRUST)
    assert shown.alternatives_count == 1


def test_within_one_registry_the_newest_row_wins_and_undated_ones_are_oldest() -> None:
    members = [member(1, 1, None, sex="M"), member(2, 1, 5, sex="F"), member(3, 1, 7, sex="U")]
    assert by_field(values(members))["sex"].value == "U"
    assert by_field(values(members[:2]))["sex"].value == "F"


CRITERIA_CASES = [
    ((C.COMPLETENESS, C.TRUST), "Long", C.COMPLETENESS, "the fuller value before the trusted one"),
    ((C.TRUST, C.COMPLETENESS), "A", C.TRUST, "the other way round when the list says so"),
    ((C.RECENCY,), "B", C.RECENCY, "the newest row whoever states it"),
    ((C.FREQUENCY,), "b", C.FIRST_STORED, "two writings of the commonest value: the older one is shown"),
]


@pytest.mark.parametrize(("criteria", "shown", "decided_by", "why"), CRITERIA_CASES, ids=[c[3] for c in CRITERIA_CASES])
def test_the_first_criterion_that_tells_two_values_apart_decides(
    criteria: tuple[Criterion, ...], shown: str, decided_by: Criterion, why: str
) -> None:
    members = [
        member(1, 1, 1, full_name="A"),
        member(2, 2, 2, full_name="Long"),
        member(3, 3, 3, full_name="b"),
        member(4, 3, 4, full_name="B"),
    ]
    found = full_name(members, *criteria)
    assert (found.value, found.decided_by) == (shown, decided_by)


def test_frequency_counts_a_value_in_any_case_and_with_any_spaces() -> None:
    members = [member(1, 1, full_name="A"), member(2, 2, full_name="Bao  Trâm"), member(3, 3, full_name="BAO TRÂM")]
    shown = full_name(members, C.FREQUENCY, C.TRUST)
    assert (shown.value, shown.record_count) == ("Bao  Trâm", 1)
    assert [(each.value, each.lost_by) for each in shown.alternatives] == [("BAO TRÂM", C.TRUST), ("A", C.FREQUENCY)]


def test_every_value_that_lost_is_kept_with_its_source_and_the_reason() -> None:
    members = [
        member(1, 1, 5, full_name="A"),
        member(2, 1, 3, full_name="B"),
        member(3, 2, 9, full_name="C"),
        member(4, 2, 8, full_name="C"),
    ]
    shown = full_name(members)
    assert [(each.value, each.source.record_id, each.record_count, each.lost_by) for each in shown.alternatives] == [
        ("B", "2", 1, C.RECENCY),
        ("C", "3", 2, C.TRUST),
    ]
    assert shown.decided_by is C.RECENCY, "the next best value is the newest row's rival, not the less trusted registry"


def test_a_tie_goes_to_the_record_stored_first_in_any_order_and_says_so() -> None:
    members = [member(n, 1, 5, sex=sex, phones=(str(n), "9")) for n, sex in enumerate("FMU", start=1)]
    outcomes = {str(values(list(order))) for order in itertools.permutations(members)}
    assert len(outcomes) == 1
    shown = by_field(values(members))["sex"]
    assert (shown.source.record_id, shown.decided_by) == ("1", C.FIRST_STORED)


def test_a_registry_can_be_trusted_more_for_one_field_than_its_rank_says() -> None:
    rules = KindRules(RULES.default, {}, {"full_name": ("registry3",)})
    members = [member(1, 1, full_name="A", sex="F"), member(2, 3, full_name="C", sex="M")]
    found = by_field(values(members, rules))
    assert (found["full_name"].value, found["full_name"].trust_rank) == ("C", 1)
    assert (found["sex"].value, found["sex"].trust_rank) == ("F", 1)
    assert found["full_name"].alternatives[0].trust_rank == 2, "behind those that the field names"


def test_silence_never_outweighs_a_statement() -> None:
    found = by_field(values([member(1, 1, 9), member(2, 4, 1, full_name="A")]))
    assert (found["full_name"].value, found["full_name"].alternatives_count) == ("A", 0)
    assert found["full_name"].decided_by is None, "nothing had to be decided"
    assert set(found) == {"full_name"}


def test_repeated_values_come_once_each_with_their_best_source() -> None:
    phones = [member(1, 2, 1, phones=("1", "2")), member(2, 1, 1, phones=("2", "3"))]
    found = [value for value in values(phones) if value.field == "phones"]
    assert [(value.value, value.source.registry, value.record_count, value.decided_by) for value in found] == [
        ("2", "registry1", 2, C.FREQUENCY),
        ("3", "registry1", 1, C.FREQUENCY),
        ("1", "registry2", 1, C.TRUST),
    ]
    identifiers = (Identifier(IdentifierType.PERSONAL_ID, "079080000001"),)
    assert len(values([member(1, 1, identifiers=identifiers), member(2, 2, identifiers=identifiers)])) == 1


def code(value: str, assurance: Assurance = Assurance.STATED) -> tuple[Identifier, ...]:
    return (Identifier(IdentifierType.TAX_CODE, value, assurance),)


def test_a_number_comes_once_in_the_spelling_that_lost_nothing() -> None:
    members = [
        member(1, 1, identifiers=code("301442379")),
        member(2, 3, identifiers=code("0301442379")),
        member(3, 2, identifiers=code("0312687878")),
        member(4, 4, identifiers=code("301442379")),
    ]
    found = values(members)
    assert [(each.value, each.source.record_id, each.record_count, each.decided_by) for each in found] == [
        (*code("0301442379"), "2", 3, C.TRUST),
        (*code("0312687878"), "3", 1, C.TRUST),
    ]
    assert {each.alternatives_count for each in found} == {1}
    assert [each.value for each in values(members[:1])] == [*code("301442379")], (
        "as written where nobody wrote it whole"
    )


def test_a_number_is_shown_as_best_assured_and_a_guardian_s_apart() -> None:
    members = [
        member(1, 1, identifiers=code("0301442379")),
        member(2, 2, identifiers=code("0301442379", Assurance.SIGHTED)),
        member(3, 3, identifiers=code("301442379", Assurance.CHIP_READ)),
        member(4, 4, identifiers=code("0301442379", Assurance.GUARDIAN)),
    ]
    assert [(each.value, each.record_count) for each in values(members)] == [
        (*code("0301442379", Assurance.SIGHTED), 3),
        (*code("0301442379", Assurance.GUARDIAN), 1),
    ]


@pytest.mark.parametrize("whole", ["0301442379 ", "0301.442.379"])
def test_a_number_in_groups_has_lost_nothing(whole: str) -> None:
    members = [member(1, 1, identifiers=code("301442379")), member(2, 2, identifiers=code(whole))]
    assert [each.value for each in golden_values(members, RULES, longest, number_of)] == [*code(whole)]


def test_frequency_counts_a_number_in_any_spelling() -> None:
    written = ["0312687878", "0301442379", "301442379"]
    members = [member(n, 1, identifiers=code(each)) for n, each in enumerate(written, start=1)]
    assert [each.value for each in values(members)] == [*code("0301442379"), *code("0312687878")]


def test_repeated_values_are_ranked_within_their_kind() -> None:
    here, long = Address(AddressKind.CONTACT, "Bến Thành"), Address(AddressKind.CONTACT, "12 Lê Lợi, Bến Thành")
    home = Address(AddressKind.PERMANENT, "An Phú")
    rules = KindRules(RULES.default, {"addresses": (C.COMPLETENESS, C.TRUST)})
    found = values([member(1, 1, addresses=(here, home)), member(2, 2, addresses=(long,))], rules)
    assert [(each.field, each.value, each.alternatives_count, each.decided_by) for each in found] == [
        ("addresses.contact", long, 1, C.COMPLETENESS),
        ("addresses.contact", here, 1, C.COMPLETENESS),
        ("addresses.permanent", home, 0, None),
    ]


def test_phone_numbers_keep_their_leading_zeros() -> None:
    found = values([member(1, 1, phones=("0903123456", "903123456")), member(2, 2, phones=("0028",))])
    assert [each.value for each in found] == ["0903123456", "903123456", "0028"]


def test_a_stewards_value_stands_above_all_and_keeps_what_the_records_say() -> None:
    members = [member(1, 1, full_name="A"), member(2, 2, full_name="B")]
    pinned = by_field(values(members, pins={"full_name": Pin("C", RecordNumber(2))}))["full_name"]
    assert (pinned.value, pinned.is_pinned, pinned.alternatives_count, pinned.record_count) == ("C", True, 2, 0)
    assert pinned.source.record_id == "2", "the record that carries the pin"
    assert [(each.value, each.lost_by) for each in pinned.alternatives] == [("A", C.PINNED), ("B", C.PINNED)]


def test_a_stewards_value_that_a_record_states_names_that_record() -> None:
    members = [member(1, 1, full_name="A"), member(2, 2, full_name="B")]
    pinned = by_field(values(members, pins={"full_name": Pin("B", RecordNumber(1))}))["full_name"]
    assert (pinned.source.record_id, pinned.record_count, pinned.is_pinned) == ("2", 1, True)


def test_a_stewards_value_stays_when_no_member_states_the_field_any_more() -> None:
    pinned = by_field(values([member(1, 1)], pins={"full_name": Pin("C", RecordNumber(1))}))["full_name"]
    assert (pinned.value, pinned.is_pinned, pinned.source.record_id) == ("C", True, "1")


def test_a_business_has_its_own_fields() -> None:
    key = SourceKey("company", EntityKind.BUSINESS, "1")
    record = SourceRecord(key, BusinessAttributes(legal_name="Công ty A", former_names=("Công ty B",)))
    found = values([Member(RecordNumber(1), record, 3, None)])
    assert [(each.field, each.value) for each in found] == [("legal_name", "Công ty A"), ("former_names", "Công ty B")]


def test_nobody_has_no_values() -> None:
    assert values([]) == []
