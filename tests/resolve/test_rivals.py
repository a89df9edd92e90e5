"""Two residents of one name and birth date: who states no more than those is neither's, by whatever way it comes."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from mdm.domain.records import SourceRecord
from tests.resolve.cities import city_records
from tests.resolve.office import Office, citizen

NAME, BORN = "Nguyễn Thị Hồng", "1990-02-10"
HOME = "{}8 Lê Lợi, Phường Bến Thành, Quận 1"
PHONE = "0903123456"


@pytest.mark.parametrize("phone", ["", PHONE], ids=["no more", "and a phone that only they share"])
@pytest.mark.parametrize("are_residents_first", [True, False])
def test_rows_of_a_desk_join_neither_of_two_residents(tmp_path: Path, phone: str, *, are_residents_first: bool) -> None:
    office = Office(tmp_path / "data")
    # In so small a city name and birth date are rare enough to link by.
    office.put_all(city_records(60, 5))
    residents = [
        citizen(
            f"R{number}",
            NAME,
            BORN,
            registry="household",
            personal_id=f"07919000600{number}",
            phone="",
            address=HOME.format(number),
        )
        for number in (1, 2)
    ]
    rows = [citizen(f"BN{number}", NAME, BORN, phone=phone, address="") for number in (1, 2)]
    for record in residents + rows if are_residents_first else rows + residents:
        office.put(record)
    if are_residents_first:
        assert apart(office, residents, rows)
        assert (office.id_of(rows[0]) == office.id_of(rows[1])) is bool(phone), "what they share is theirs alone"
    # Whoever comes first knows of no other: a re-linkage, which knows both, takes that back.
    office.relink_here()
    assert apart(office, residents, rows)
    assert (office.id_of(rows[0]) == office.id_of(rows[1])) is bool(phone)
    asked = {key for pair in office.questions() for key in pair}
    assert asked >= {"R1", "R2", "BN1"}
    office.close()


def test_who_may_be_the_sole_bearer_of_either_of_two_is_neither(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    office.put_all(city_records(60, 5))
    # Name and birth date link only a sole bearer here, for the phones say that they moved; one is no register's.
    told = [("P1", "hospital", "079190006001", "0911222333"), ("R2", "household", "079190006002", "0911222334")]
    persons = [
        citizen(key, NAME, BORN, registry=registry, personal_id=number, phone=phone, address="")
        for key, registry, number, phone in told
    ]
    row = citizen("BN1", NAME, BORN, phone=PHONE, address="")
    for record in [*persons, row]:
        office.put(record)
    office.relink_here()
    assert apart(office, persons, [row])
    office.close()


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=lambda order: "".join(map(str, order)))
def test_a_newborn_without_a_name_closes_up_no_twins(tmp_path: Path, order: tuple[int, ...]) -> None:
    office = Office(tmp_path / "data")
    office.put_all(city_records(60, 5))
    names = ["PHẠM TUẤN HUY", "PHẠM QUỐC TÂM", "CON BÀ BÙI BÍCH VÂN"]
    twins = [
        citizen(f"BN{number}", name, "20230825", sex="M", phone=PHONE, mother="Bùi Bích Vân", address=HOME.format(1))
        for number, name in enumerate(names)
    ]
    for place in order:
        office.put(twins[place])
    assert office.id_of(twins[0]) != office.id_of(twins[1])
    assert any("BN2" in pair for pair in office.questions()), "either may be the newborn"
    office.relink_here()
    assert len({office.id_of(each) for each in twins}) == 3
    assert {pair for pair in office.questions() if "BN2" in pair} == {("BN0", "BN2"), ("BN1", "BN2")}
    office.close()


def apart(office: Office, residents: list[SourceRecord], rows: list[SourceRecord]) -> bool:
    return len({office.id_of(each) for each in residents}) == 2 and {office.id_of(each) for each in rows}.isdisjoint(
        office.id_of(each) for each in residents
    )
