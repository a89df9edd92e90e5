"""Whom a stated relation names, on which ground, and when nobody is named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mdm.domain.records import Relation, RelationType, SourceRecord
from mdm.domain.relations import Ground, Obstacle
from mdm.limits import HOUSEHOLD_RECORDS_MAX
from mdm.resolve.relation_ends import End, Ends, are_alike
from tests.resolve.families import (
    DAUGHTER,
    FAMILY,
    FATHER_ID,
    HUSBAND,
    MOTHER_ID,
    WIFE,
    father,
    firm,
    lives_in,
    mother,
    person,
    spouse,
)
from tests.resolve.office import Office

EMPLOYER = firm("E1", "Công ty TNHH Bình Phát", registry="social_security", tax_code="0300588569")


def end_of(office: Office, record: SourceRecord, type_: RelationType) -> End:
    with office.writer._index.read() as view:
        ends = Ends(view)
        stating = ends.stating(office.number(record.key))
        assert stating is not None
        (relation,) = [each for each in stating.relations if each.type is type_]
        return ends.end_of(stating, relation)


def check(
    office: Office,
    records: Sequence[SourceRecord],
    asked: SourceRecord,
    type_: RelationType,
    expected: tuple[SourceRecord, Ground] | Obstacle,
) -> None:
    office.put_all([*records, asked])
    found = end_of(office, asked, type_)
    if isinstance(expected, Obstacle):
        assert found == End(obstacle=expected)
    else:
        assert found == End(office.id_of(expected[0]), expected[1])


def child(*relations: Relation, household_id: str = "HK1") -> SourceRecord:
    return person("CHILD", "Đặng Minh Khôi", "2015-02-03", "M", lives_in(household_id, "con"), *relations)


@pytest.mark.parametrize(
    ("records", "asked", "type_", "expected"),
    [
        (FAMILY, child(mother("", MOTHER_ID)), RelationType.MOTHER, (WIFE, Ground.IDENTIFIER)),
        (FAMILY, child(mother("LY THU CUC", MOTHER_ID)), RelationType.MOTHER, (WIFE, Ground.IDENTIFIER)),
        (FAMILY, child(mother("Lý Cúc", MOTHER_ID)), RelationType.MOTHER, (WIFE, Ground.IDENTIFIER)),
        (FAMILY, child(mother("Lý Thu Cúc")), RelationType.MOTHER, (WIFE, Ground.HOUSEHOLD_AND_NAME)),
        (FAMILY, child(father("DANG QUOC VINH")), RelationType.FATHER, (HUSBAND, Ground.HOUSEHOLD_AND_NAME)),
        (FAMILY, child(), RelationType.HOUSEHOLD, (HUSBAND, Ground.HOUSEHOLD)),
        (FAMILY, child(mother("Lý Thu Cúc"), household_id="HK2"), RelationType.MOTHER, Obstacle.NOT_FOUND),
        (FAMILY, child(mother("Lý Thu Cúc", "079182999999")), RelationType.MOTHER, Obstacle.NOT_FOUND),
        (FAMILY, child(mother("Lý Thu Cúc", "079182000223")), RelationType.MOTHER, (WIFE, Ground.HOUSEHOLD_AND_NAME)),
        (FAMILY, child(mother("Phan Bảo Ngọc", MOTHER_ID)), RelationType.MOTHER, Obstacle.CONTRADICTED),
        (FAMILY, child(mother("", FATHER_ID)), RelationType.MOTHER, Obstacle.CONTRADICTED),
        (FAMILY, child(father("Lý Thu Cúc")), RelationType.FATHER, Obstacle.NOT_FOUND),
        (FAMILY, child(mother("Đặng Hải Yến")), RelationType.MOTHER, Obstacle.NOT_FOUND),
        (FAMILY, child(mother()), RelationType.MOTHER, Obstacle.NAME_ONLY),
        (FAMILY, child(mother("", "12345")), RelationType.MOTHER, Obstacle.NAME_ONLY),
        ((), child(spouse("Đặng Minh Khôi")), RelationType.SPOUSE, Obstacle.NOT_FOUND),
        ((), HUSBAND, RelationType.HOUSEHOLD, Obstacle.ONESELF),
        ((), child(), RelationType.HOUSEHOLD, Obstacle.NOT_FOUND),
    ],
    ids=[
        "a number",
        "a number and the name without marks",
        "a number and the name less its middle",
        "the name within the household",
        "the name without marks",
        "the head",
        "the name in another household",
        "the name beside another number",
        "the name beside a number that is one digit off",
        "a number whose holder bears another name",
        "a number whose holder has the other sex",
        "a name whose bearer has the other sex",
        "a name whose bearer is a child too",
        "nothing",
        "a malformed number",
        "oneself by name",
        "the head is oneself",
        "a household without a head",
    ],
)
def test_who_stands_at_the_other_end(
    office: Office,
    records: Sequence[SourceRecord],
    asked: SourceRecord,
    type_: RelationType,
    expected: tuple[SourceRecord, Ground] | Obstacle,
) -> None:
    check(office, records, asked, type_, expected)


@pytest.mark.parametrize("type_", [RelationType.GUARDIAN, RelationType.MOTHER])
def test_a_name_tells_nobody_apart_outside_a_household(office: Office, type_: RelationType) -> None:
    patient = person("P1", "Đặng Hải Yến", "2012-06-01", "F", Relation(type_, "Lý Thu Cúc"), registry="hospital")
    check(office, FAMILY, patient, type_, Obstacle.NAME_ONLY)


def test_two_members_of_one_name_are_ambiguous(office: Office) -> None:
    aunt = person("R4", "Lý Thu Cúc", "1979-01-20", "F", lives_in("HK1", "em"), personal_id="079179000444")
    check(office, [*FAMILY, aunt], child(mother("Lý Thu Cúc")), RelationType.MOTHER, Obstacle.AMBIGUOUS)


def test_two_records_of_one_person_are_one_member(office: Office) -> None:
    again = person("R2B", "Lý Thu Cúc", "1982-09-30", "F", lives_in("HK1", "vợ"), personal_id=MOTHER_ID)
    check(
        office,
        [*FAMILY, again],
        child(mother("Lý Thu Cúc")),
        RelationType.MOTHER,
        (WIFE, Ground.HOUSEHOLD_AND_NAME),
    )


def test_a_number_that_two_hold_names_nobody(office: Office) -> None:
    other = person("P9", "Trương Gia Hân", "1982-11-11", "F", personal_id=MOTHER_ID, registry="hospital")
    office.put_all([*FAMILY, other])
    assert office.id_of(other) != office.id_of(WIFE)
    asked = person("P8", "Đặng Minh Khôi", "2015-02-03", "M", mother("", MOTHER_ID), registry="hospital")
    check(office, [], asked, RelationType.MOTHER, Obstacle.AMBIGUOUS)


def test_an_employer_is_the_record_that_its_registry_names(office: Office) -> None:
    worker = person(
        "S1",
        "Lý Thu Cúc",
        "1982-09-30",
        "F",
        Relation(RelationType.EMPLOYER, record_id="E1"),
        registry="social_security",
    )
    elsewhere = firm("E1", "Hộ kinh doanh Sao Mai")
    check(office, [elsewhere, EMPLOYER], worker, RelationType.EMPLOYER, (EMPLOYER, Ground.RECORD_KEY))


def test_a_record_that_is_pending_or_withdrawn_names_nobody(office: Office) -> None:
    worker = person(
        "S1",
        "Lý Thu Cúc",
        "1982-09-30",
        "F",
        Relation(RelationType.EMPLOYER, record_id="E1"),
        registry="social_security",
    )
    check(office, [], worker, RelationType.EMPLOYER, Obstacle.NOT_FOUND)
    office.put(EMPLOYER, later=True)
    assert end_of(office, worker, RelationType.EMPLOYER) == End(obstacle=Obstacle.PENDING)
    office.drop(EMPLOYER.key)
    assert end_of(office, worker, RelationType.EMPLOYER) == End(obstacle=Obstacle.NOT_FOUND)


PARENT = firm("D1", "Công ty Cổ phần Đại Nam Thành", tax_code="0300588569", form="company")
OWNER = person("R7", "Tô Bích Phượng", "1975-03-08", "F", personal_id="079175000777")


@pytest.mark.parametrize(
    ("records", "asked", "type_", "expected"),
    [
        (
            [PARENT, firm("D3", "CN Đại Nam Thành 2", tax_code="0300588569-002", form="branch")],
            firm("D2", "Chi nhánh Đại Nam Thành", tax_code="0300588569-001", form="branch"),
            RelationType.BRANCH_OF,
            (PARENT, Ground.IDENTIFIER),
        ),
        (
            [OWNER],
            firm("HKD1", "Hộ kinh doanh Bích Phượng", tax_code="079175000777", form="household_business"),
            RelationType.OWNER,
            (OWNER, Ground.IDENTIFIER),
        ),
        (
            [],
            firm("HKD1", "Hộ kinh doanh Bích Phượng", tax_code="079175000777", form="household_business"),
            RelationType.OWNER,
            Obstacle.NOT_FOUND,
        ),
    ],
    ids=["a branch", "a household business", "an owner without a record"],
)
def test_a_tax_code_names_the_parent_or_the_owner(
    office: Office,
    records: Sequence[SourceRecord],
    asked: SourceRecord,
    type_: RelationType,
    expected: tuple[SourceRecord, Ground] | Obstacle,
) -> None:
    check(office, records, asked, type_, expected)


def test_a_relation_follows_a_merge_and_an_unmerge(office: Office) -> None:
    office.put_all([*FAMILY, child(mother("", MOTHER_ID))])
    namesake = person("P2", "Lý Thu Cúc", "1982-09-30", "F", personal_id=MOTHER_ID, registry="hospital")
    office.put(namesake)
    assert end_of(office, child(), RelationType.MOTHER).golden_id == office.id_of(WIFE) == office.id_of(namesake)


@pytest.mark.parametrize("is_too_large", [False, True])
def test_in_a_dormitory_a_name_tells_nobody_apart(
    office: Office,
    is_too_large: bool,  # noqa: FBT001 – a case table's column
) -> None:
    size = HOUSEHOLD_RECORDS_MAX - len(FAMILY) - 1 + is_too_large
    # Pending ones count too: a household is read whole or not at all.
    crowd = [person(f"X{place}", f"Người {place}", "", "", lives_in("HK1", "ở nhờ")) for place in range(size)]
    office.put_all(crowd, later=True, group=256)
    expected = Obstacle.AMBIGUOUS if is_too_large else (WIFE, Ground.HOUSEHOLD_AND_NAME)
    check(office, FAMILY, child(mother("Lý Thu Cúc")), RelationType.MOTHER, expected)


def test_a_pending_record_states_nothing_yet(office: Office) -> None:
    office.put(DAUGHTER, later=True)
    with office.writer._index.read() as view:
        assert Ends(view).stating(office.number(DAUGHTER.key)) is None


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("ly thu cuc", "ly thu cuc", True),
        ("ly thu cuc", "ly cuc", True),
        ("ly thu cuc", "cuc ly thu", True),
        ("nguyen thi thuy", "nguyen thi thuyy", True),
        ("ly thu cuc", "phan bao ngoc", False),
        ("nguyen thi hoa", "nguyen van binh", False),
        ("ha thi giang", "ha thi thuy", False),
    ],
)
def test_names_may_be_one_persons(left: str, right: str, expected: bool) -> None:  # noqa: FBT001 – a case table's column
    assert are_alike(left, right) is expected
    assert are_alike(right, left) is expected
