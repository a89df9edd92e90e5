"""Identifiers are read by the field they stood in, and believed as far as the record agrees."""

from __future__ import annotations

import pytest

from mdm.linkage.normalise.identifiers import (
    Agreement,
    Claim,
    HealthCards,
    PersonalId,
    TaxCode,
    agreement,
    insurance_number,
    nationality,
    parse_claim,
    parse_health_cards,
    parse_personal_id,
    parse_tax_code,
)

HOA = PersonalId("079185001234", "f", 1985)
NAM = PersonalId("001203004567", "m", 2003)

CLAIMS = [
    ("079185001234", Claim(personal_id=HOA), "12 digits"),
    ("079 185 001 234", Claim(personal_id=HOA), "spaces"),
    ("79185001234", Claim(personal_id=HOA), "the leading zero lost"),
    ("023456789", Claim(cmnd="023456789"), "CMND"),
    ("23456781", Claim(cmnd="023456781"), "CMND with its zero lost: the city's begin with 02"),
    ("22345678.0", Claim(cmnd="022345678"), "as a spreadsheet writes it: the 0 is none of its digits"),
    ("79185001234.0", Claim(personal_id=HOA), "the same of 12 digits"),
    ("79.185.001.234", Claim(personal_id=HOA), "groups"),
    ("22345678,0", Claim(cmnd="022345678"), "as a Vietnamese spreadsheet writes it"),
    ("2.2345678E+7", Claim(rule="is no personal ID, CMND or passport"), "its digits are lost"),
    ("B1234567", Claim(passport="B1234567"), "passport"),
    ("003185001234", Claim(rule="is no personal ID, CMND or passport"), "no such province"),
    ("079485001234", Claim(rule="is no personal ID, CMND or passport"), "a birth after 2099"),
    ("111111111111", Claim(rule="is a filler"), "filler"),
    ("123456789", Claim(rule="is a filler"), "filler"),
    ("024000000", Claim(rule="is a filler"), "a CMND of zeros behind its place"),
    ("024000001", Claim(rule="is a filler"), "and of zeros and a one"),
    ("24000001", Claim(rule="is a filler"), "the same with its leading zero lost"),
    ("024000101", Claim(cmnd="024000101"), "a low number"),
    ("1234567890", Claim(rule="is a filler"), "filler"),
    ("7912345678", Claim(rule="is no personal ID, CMND or passport"), "a social insurance number in the wrong field"),
    ("không có", Claim(rule="is no personal ID, CMND or passport"), "words"),
]

AGREEMENTS = [
    (1985, "f", Agreement(is_consistent=True, is_near=True), "agrees"),
    (None, None, Agreement(is_consistent=True, is_near=True), "nothing stated"),
    (1985, "m", Agreement(is_consistent=False, is_near=True), "a wrong sex is one slip"),
    (1984, "f", Agreement(is_consistent=False, is_near=True), "a year off is one slip: lunar calendar"),
    (1983, "f", Agreement(is_consistent=False, is_near=True), "one digit is one slip"),
    (1984, "m", Agreement(is_consistent=False, is_near=False), "two slips are another person"),
    (None, "m", Agreement(is_consistent=False, is_near=False), "a wrong sex with no year to support it"),
    (2015, "f", Agreement(is_consistent=False, is_near=False), "a mother's number"),
    (1955, "f", Agreement(is_consistent=False, is_near=False), "decades apart is another person"),
]

TAX_CODES = [
    ("0312687878", False, TaxCode("0312687878", is_personal_id=False), "10 digits"),
    ("312687878", False, TaxCode("0312687878", is_personal_id=False), "the leading zero lost"),
    ("0312687878.001", True, TaxCode("0312687878-001", is_personal_id=False), "branch behind a dot"),
    ("312687878.0", False, TaxCode("0312687878", is_personal_id=False), "as a spreadsheet writes it"),
    ("0312687878-001", True, TaxCode("0312687878-001", is_personal_id=False), "branch"),
    ("0312687878001", False, TaxCode("0312687878-001", is_personal_id=False), "branch without the hyphen"),
    ("312687878001", True, TaxCode("0312687878-001", is_personal_id=False), "branch with its zero lost"),
    ("079185001234", False, TaxCode("079185001234", is_personal_id=True), "household business"),
    ("0312687879", False, None, "wrong check digit"),
    ("0312687878-000", True, None, "no branch has number 000"),
    ("000000000000", False, None, "filler"),
    ("3.12687878E+8", False, None, "its digits are lost"),
    ("", False, None, "nothing"),
]

CARDS = [
    ("GD4797912345678", HealthCards(("7912345678",), (), has_malformed=False), "last ten"),
    ("DN4790000000001", HealthCards((), (), has_malformed=True), "zeros and a one: a filler"),
    ("TE1797912345678;GD4797912345678", HealthCards(("7912345678",) * 2, (), has_malformed=False), "joined cards"),
    ("GD 4 79 79 1234 5678", HealthCards(("7912345678",), (), has_malformed=False), "written in groups"),
    ("7912345678", HealthCards(("7912345678",), (), has_malformed=False), "the number alone"),
    ("7912345678.0", HealthCards(("7912345678",), (), has_malformed=False), "as a spreadsheet writes it"),
    ("7912345678.0;7912345679.0", HealthCards(("7912345678", "7912345679"), (), has_malformed=False), "two of them"),
    ("079185001234", HealthCards((), ("079185001234",), has_malformed=False), "the personal ID shown instead"),
    ("7.9e+10", HealthCards((), (), has_malformed=True), "its digits are lost"),
    ("GD4797912345678;7,912345678E9", HealthCards(("7912345678",), (), has_malformed=True), "one card's digits are"),
    ("GD47979", HealthCards((), (), has_malformed=True), "too short"),
]


@pytest.mark.parametrize(("text", "claim", "reason"), CLAIMS, ids=[case[2] + " " + case[0] for case in CLAIMS])
def test_a_personal_id_field_is_read(text: str, claim: Claim, reason: str) -> None:
    assert parse_claim(text, None, None) == claim, reason


def test_two_lost_zeros_are_restored_only_when_the_record_agrees() -> None:
    assert parse_claim("1203004567", 2003, "m").personal_id == NAM
    assert parse_claim("1203004567", 2003, "f").personal_id is None
    assert parse_claim("1203004567", None, "m").personal_id is None


def test_a_personal_id_says_sex_century_and_year() -> None:
    assert parse_personal_id("079185001234") == HOA
    assert parse_personal_id("001203004567") == NAM
    assert parse_personal_id("079085001234") == PersonalId("079085001234", "m", 1985)
    assert parse_personal_id("079303001234") == PersonalId("079303001234", "f", 2003)
    assert parse_personal_id("101303001234") is not None, "born abroad: a country's code"
    assert parse_personal_id("07918500123") is None


@pytest.mark.parametrize(("year", "sex", "fit", "reason"), AGREEMENTS, ids=[case[3] for case in AGREEMENTS])
def test_a_number_agrees_with_its_record_or_not(year: int | None, sex: str | None, fit: Agreement, reason: str) -> None:
    assert agreement(HOA, year, sex) == fit, reason


@pytest.mark.parametrize(("text", "is_branch", "code", "reason"), TAX_CODES, ids=[case[3] for case in TAX_CODES])
def test_a_tax_code_is_read(text: str, *, is_branch: bool, code: TaxCode | None, reason: str) -> None:
    assert parse_tax_code(text, may_be_branch=is_branch) == code, reason


@pytest.mark.parametrize(("text", "cards", "reason"), CARDS, ids=[case[2] for case in CARDS])
def test_a_health_card_field_is_read(text: str, cards: HealthCards, reason: str) -> None:
    assert parse_health_cards(text) == cards, reason


def test_a_social_insurance_number_has_ten_digits() -> None:
    assert insurance_number("7912345678") == "7912345678"
    assert insurance_number("112345678") == "0112345678", "the leading zero lost"
    assert insurance_number("7912345678.0") == "7912345678", "as a spreadsheet writes it"
    assert insurance_number("790123456.0") == "0790123456", "and its zero lost"
    assert insurance_number("791234567,0") == "0791234567", "by a Vietnamese one"
    assert insurance_number("2.2345678E7") is None, "its digits are lost"
    assert insurance_number("079185001234") is None
    assert insurance_number("0000000000") is None


def test_vietnamese_is_the_nationality_that_says_nothing() -> None:
    assert {nationality(text) for text in ("", "VN", "Việt Nam", "000", "Vietnam")} == {None}
    assert nationality("Hàn Quốc") == "han quoc"
