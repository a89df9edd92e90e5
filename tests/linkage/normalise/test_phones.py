"""Telephone numbers of before and after the numbering plan changes are one number."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.normalise.phones import phone_number

PHONES = [
    ("0912345678", "84912345678", "as written today"),
    ("912345678", "84912345678", "the leading zero lost in a numeric column"),
    ("+84 912 345 678", "84912345678", "international"),
    ("0084912345678", "84912345678", "international with zeros"),
    ("84912345678", "84912345678", "international without a sign"),
    ("0912.345.678", "84912345678", "dots"),
    ("01212345678", "84792345678", "2018: 0121 is 079"),
    ("1212345678", "84792345678", "2018, the zero lost as well"),
    ("01691234567", "84391234567", "2018: 0169 is 039"),
    ("01991234567", "84591234567", "2018: 0199 is 059"),
    ("(08) 3822 1234", "842838221234", "2017: the city's area code 08 is 028"),
    ("08-38221234", "842838221234", "2017, other signs"),
    ("028 3822 1234", "842838221234", "landline today"),
    ("0551234567", "84551234567", "a new operator"),
    ("0871234567", "84871234567", "a new operator"),
    ("+1 650 253 0000", "16502530000", "abroad"),
    ("0900000000", None, "filler"),
    ("0123456789", None, "filler"),
    ("0999999999", None, "filler"),
    ("113", None, "too short"),
    ("0112345678", None, "no such prefix"),
    ("khong co", None, "words"),
    ("0912345678901234567890", None, "too long"),
]

OLD_PREFIXES = "120 121 122 123 124 125 126 127 128 129 162 163 164 165 166 167 168 169 186 188 199".split()


@pytest.mark.parametrize(("text", "number", "reason"), PHONES, ids=[case[0] for case in PHONES])
def test_a_number_is_read(text: str, number: str | None, reason: str) -> None:
    assert phone_number(text) == number, reason


@pytest.mark.parametrize("prefix", OLD_PREFIXES)
def test_every_old_mobile_prefix_becomes_one_that_exists(prefix: str) -> None:
    number = phone_number(f"0{prefix}2345671")
    assert number is not None
    assert phonenumbers.is_valid_number(phonenumbers.parse("+" + number))


@given(st.integers(min_value=2 * 10**8, max_value=3 * 10**9 - 1))
def test_what_the_library_calls_valid_is_read_as_it_stands(value: int) -> None:
    number = phone_number(f"0{value}")
    is_valid = phonenumbers.is_valid_number(phonenumbers.PhoneNumber(country_code=84, national_number=value))
    is_filler = value in {900000000, 987654321, 909090909} or len(set(str(value)[-7:])) == 1
    # Nine digits from 8 that are no mobile number of today were the city's landlines.
    if is_valid and not is_filler and not str(value).startswith("1"):
        assert number == f"84{value}"
    if number is not None:
        assert phonenumbers.is_possible_number(phonenumbers.parse("+" + number))
