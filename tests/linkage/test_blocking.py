"""Blocking keys: what brings two records together, and what never does."""

from __future__ import annotations

from typing import Any

import pytest

from mdm.linkage.blocking import POSTING_KEY_BYTES, blocking_keys, posting_keys
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features

NAMED: dict[str, Any] = {
    "name": "nguyen thi hoa",
    "name_sorted": "hoa nguyen thi",
    "name_short": "nguyen hoa",
    "given": "hoa",
    "name_phonetic": "nguyen ti hoa",
}
BORN: dict[str, Any] = {"birth_date": "1990-02-17", "birth_year": 1990, "birth_month": 2}

MEETINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a shared number", {"personal_ids": ("079190000001",)}, {"personal_ids": ("023456789", "079190000001")}),
    ("an insurance number", {"insurance_numbers": ("7912345678",)}, {"insurance_numbers": ("7912345678",)}),
    ("name and year", NAMED | {"birth_year": 1990}, NAMED | BORN),
    ("words of the name swapped", NAMED | BORN, NAMED | {"name": "hoa nguyen thi", "birth_year": 1990}),
    ("a former name", NAMED | BORN, {"other_names": ("nguyen thi hoa",), "birth_year": 1990}),
    ("a year mistyped", NAMED | BORN, NAMED | {"birth_date": "1909-02-17", "birth_year": 1909}),
    ("the middle name dropped", NAMED | BORN, NAMED | BORN | {"name_sorted": "hoa nguyen", "name": "nguyen hoa"}),
    ("a slip in the surname", NAMED | BORN, BORN | {"given": "hoa", "name_sorted": "hoa nguyeb thi"}),
    ("spoken alike in one ward", NAMED | BORN | {"wards": ("1", "2")},
     {"name_phonetic": "nguyen ti hoa", "birth_year": 1990, "wards": ("2",)}),
    ("one door and given name", {"given": "hoa", "premises": ("1|a",)}, {"given": "hoa", "premises": ("1|a",)}),
    ("a slip in the given name, one door and birth date", BORN | {"given": "hiu", "premises": ("1|a",)},
     BORN | {"given": "hieu", "premises": ("1|a",)}),
    ("a slip in the given name, one ward, surname and birth date",
     BORN | {"given": "hiu", "surname": "le", "wards": ("1", "2")},
     BORN | {"given": "hieu", "surname": "le", "wards": ("2",)}),
    ("one phone and given name", {"given": "hoa", "phones": ("849",)}, {"given": "hoa", "phones": ("849",)}),
    ("one phone and year, the name unknown", {"birth_year": 2025, "phones": ("849",)},
     {"birth_year": 2025, "phones": ("849",), "given": "an"}),
    ("a newborn and the child named later", {"mother_name": "le thi sau"} | BORN,
     NAMED | BORN | {"mother_name": "le thi sau"}),
    ("the mother's number", {"relative_ids": ("079160000009",)} | BORN, {"relative_ids": ("079160000009",)} | BORN),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "left", "right"), MEETINGS, ids=[case[0] for case in MEETINGS])
def test_records_of_one_person_meet(reason: str, left: dict[str, Any], right: dict[str, Any]) -> None:
    assert set(posting_keys(CitizenFeatures(**left))) & set(posting_keys(CitizenFeatures(**right)))


STRANGERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing stated on either side", {}, {}),
    ("a birth date alone", BORN, BORN),
    ("a name alone", NAMED, NAMED),
    ("a phone alone", {"phones": ("849",)}, {"phones": ("849",)}),
    ("a door alone", {"premises": ("1|a",)}, {"premises": ("1|a",)}),
    ("the day of a filler date", NAMED | {"birth_date": "1990-01-01", "birth_year": 1990, "is_filler_birth_date": True},
     NAMED | {"birth_date": "1960-01-01", "birth_year": 1960, "is_filler_birth_date": True}),
    ("a number in another field", {"personal_ids": ("7912345678",)}, {"insurance_numbers": ("7912345678",)}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "left", "right"), STRANGERS, ids=[case[0] for case in STRANGERS])
def test_what_thousands_share_brings_nobody_together(reason: str, left: dict[str, Any], right: dict[str, Any]) -> None:
    assert not set(posting_keys(CitizenFeatures(**left))) & set(posting_keys(CitizenFeatures(**right)))


@pytest.mark.parametrize(
    ("reason", "shared"),
    [
        ("tax code", {"tax_codes": ("0301234567",)}),
        ("any of its names", {"names": ("hoa mai",)}),
        ("phone", {"phones": ("842838000000",)}),
        ("what tells it apart, in one ward", {"name_distinct": "hoa mai", "wards": ("26740",)}),
        ("door and a word", {"premises": ("1|a",), "name_distinct": "hoa mai"}),
        ("representative in one ward", {"representative_ids": ("079190000001",), "wards": ("26740",)}),
        ("representative's name and a word", {"representative_name": "le van tam", "name_distinct": "hoa mai"}),
    ],
)
def test_records_of_one_business_meet(reason: str, shared: dict[str, Any]) -> None:
    assert posting_keys(BusinessFeatures(**shared)), reason
    assert posting_keys(BusinessFeatures(**shared)) == posting_keys(BusinessFeatures(**shared, form="company"))


@pytest.mark.parametrize(
    ("reason", "left", "right"),
    [
        ("the brand's first word left out", {"premises": ("1|a",), "name_distinct": "chau phuong"},
         {"premises": ("1|a",), "name_distinct": "phuong"}),
        ("a slip in the first word", {"premises": ("1|a",), "name_distinct": "nha thoc to ngoc van"},
         {"premises": ("1|a",), "name_distinct": "to ngoc van"}),
        ("short name and legal name", {"names": ("an phat", "thuong mai an phat")}, {"names": ("an phat",)}),
    ],
)  # fmt: skip
def test_records_of_one_business_meet_though_their_names_differ(
    reason: str, left: dict[str, Any], right: dict[str, Any]
) -> None:
    assert set(posting_keys(BusinessFeatures(**left))) & set(posting_keys(BusinessFeatures(**right))), reason


@pytest.mark.parametrize(
    ("reason", "shared"),
    [
        ("nothing stated", {}),
        ("a tower's door", {"premises": ("1|a",)}),
        ("a street", {"wards": ("26740",), "streets": ("le loi",)}),
        ("a legal form", {"legal_form": "llc", "form": "company"}),
        ("a representative's name", {"representative_name": "le van tam"}),
        ("an owner of several firms", {"representative_ids": ("079190000001",)}),
    ],
)
def test_what_hundreds_of_firms_share_brings_none_together(reason: str, shared: dict[str, Any]) -> None:
    assert not posting_keys(BusinessFeatures(**shared)), reason


def test_posting_keys_have_one_width_and_hold_no_value_in_clear() -> None:
    features = CitizenFeatures(**(NAMED | BORN | {"personal_ids": ("079190000001",)}))
    keys = posting_keys(features)
    assert {len(key) for key in keys} == {POSTING_KEY_BYTES}
    assert list(keys) == sorted(set(keys))
    assert not any(b"079190000001" in key or b"nguyen" in key for key in keys)


def test_the_rule_of_a_posting_key_is_its_first_byte() -> None:
    features = CitizenFeatures(**(NAMED | BORN))
    assert {key[0] for key in posting_keys(features)} == {rule for rule, _ in blocking_keys(features)}


def test_citizens_and_businesses_never_share_a_posting_key() -> None:
    number = "079190000001"
    both: list[Features] = [CitizenFeatures(personal_ids=(number,)), BusinessFeatures(tax_codes=(number,))]
    assert not set(posting_keys(both[0])) & set(posting_keys(both[1]))
