from __future__ import annotations

import pytest

from mdm.domain.records import Address, AddressKind, Identifier, IdentifierType
from mdm.domain.survivorship import Item
from mdm.domain.survivorship_rules import DATES, MEASURABLE, NAMES
from mdm.linkage.completeness import completeness, number_of


def address(text: str, ward_code: str = "") -> Address:
    return Address(AddressKind.CONTACT, text, ward_code)


ORDERED: list[tuple[str, list[Item], str]] = [
    ("full_name", ["CON BÀ HOA", "N. T. Hoà", "NGUYEN THI HOA", "NGUYỄN THỊ HÒA"], "alias, initials, no marks, marks"),
    ("full_name", ["không rõ", "Nguyen Thi Hoa"], "a note that the name is unknown says nothing"),
    ("full_name", ["Nguyen Thi Nhu Y", "Nguyễn Thị Như Ý"], "a given name of one vowel is written out"),
    ("legal_name", ["CTY TNHH MINH ANH", "Công ty TNHH Minh Ánh"], "marks of a firm"),
    ("birth_date", ["00/13/1987", "1987", "1987-03", "01/01/1987", "05/03/1987"], "by precision, filler before a day"),
    ("birth_date", ["2090-03-05", "1987"], "nobody was born in 2090"),
    ("died_on", ["2025", "2025-06-01"], "any date"),
    ("addresses", [address("?"), address("Phường Bến Thành"), address("Lê Lợi, Phường Bến Thành"),
                   address("12 Lê Lợi, Phường Bến Thành")], "ward, street, house"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "values", "why"), ORDERED, ids=[f"{case[0]}: {case[2]}" for case in ORDERED])
def test_a_value_that_says_more_is_more_complete(field: str, values: list[Item], why: str) -> None:
    found = [completeness(field, value) for value in values]
    assert found == sorted(set(found)), found


def test_a_ward_code_is_a_ward() -> None:
    assert completeness("addresses", address("", "26740")) >= completeness("addresses", address(""))


def test_other_fields_have_no_measure_and_every_measurable_field_has_one() -> None:
    assert completeness("sex", "F") == completeness("phones", "0903123456") == 0
    stated: dict[str, Item] = {"addresses": address("12 Lê Lợi, Phường Bến Thành")}
    stated.update(dict.fromkeys(NAMES, "Nguyễn Thị Hoa"))
    stated.update(dict.fromkeys(DATES, "2020-02-03"))
    assert set(stated) == set(MEASURABLE)
    assert all(completeness(field, value) > 0 for field, value in stated.items())


T = IdentifierType
NUMBERS = [
    (T.TAX_CODE, "0301442379", ["0301442379", "301442379", "301442379.0", "0301 442 379"], "a firm's"),
    (T.TAX_CODE, "0301442379-001", ["0301442379-001", "0301442379001", "0301442379.001"], "a branch's"),
    (T.TAX_CODE, "079185001234", ["079185001234", "79185001234"], "a household business's"),
    (T.PERSONAL_ID, "079185001234", ["079185001234", "79185001234", "079 185 001 234", "79185001234.0"], "12 digits"),
    (T.OLD_PERSONAL_ID, "022345678", ["022345678", "22345678"], "CMND"),
    (T.PERSONAL_ID, "B1234567", ["B1234567", "b 1234567"], "a passport shown instead"),
    (T.PASSPORT, "B1234567", ["B1234567", "b1234567"], "passport"),
    (T.SOCIAL_INSURANCE_NUMBER, "0112345678", ["0112345678", "112345678"], "10 digits"),
    (T.SOCIAL_INSURANCE_NUMBER, "079185001234", ["079185001234", "79185001234"], "12 since 2025"),
    (T.HEALTH_CARD, "GD4797912345678", ["GD4797912345678", "gd4 79 7912345678"], "a card but for case and spaces"),
    (T.TAX_CODE, "SEEFILE", ["see file"], "what is no number"),
]


@pytest.mark.parametrize(("type_", "number", "spellings", "why"), NUMBERS, ids=[case[3] for case in NUMBERS])
def test_every_spelling_of_an_identifier_states_one_number(
    type_: IdentifierType, number: str, spellings: list[str], why: str
) -> None:
    assert {number_of(Identifier(type_, each)) for each in spellings} == {number}, why


def test_numbers_of_others_stay_apart() -> None:
    cards = [Identifier(T.HEALTH_CARD, card) for card in ("GD4797912345678", "HN2797912345678")]
    assert len(set(map(number_of, cards))) == 2, "another card of the same bearer"
    lost = [Identifier(T.PERSONAL_ID, text) for text in ("7.9e+10", "7.8e+10")]
    assert len(set(map(number_of, lost))) == 2
