"""Telephone numbers in E.164 without the plus sign.

Source: the numbering plan changes of 2017 (landlines) and 2018 (mobiles, 11 to 10 digits), and the prefixes since.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.text import digits, whole_number

_MOBILE_2018 = {
    "120": "70", "121": "79", "122": "77", "126": "76", "128": "78",
    "123": "83", "124": "84", "125": "85", "127": "81", "129": "82",
    "162": "32", "163": "33", "164": "34", "165": "35", "166": "36", "167": "37", "168": "38", "169": "39",
    "186": "56", "188": "58", "199": "59",
}  # fmt: skip
# Taken on the first two digits: the library's finer table lags behind the blocks that are handed out.
_MOBILE_PREFIXES = frozenset(
    (
        "32 33 34 35 36 37 38 39 52 55 56 58 59 70 76 77 78 79 81 82 83 84 85 86 87 88 89 90 91 92 93 94 96 97 98 99"
    ).split()
)
_MOBILE_DIGITS = 9
_LANDLINE_DIGITS = 10

# Numbers that clerks type to get past a mandatory field.
_FILLER_TAILS = frozenset({"123456789", "987654321", "900000000", "909090909"})
_FILLER_RUN = 7
"""Equal digits at the end that no subscriber of interest has: 0900000000, 0999999999."""


_LANDLINE_2017_DIGITS = 8
_LANDLINE_2017 = re.compile(r"\(?0?8\)?[ .\-)]+([2-9][\d .\-]{7,})")
"""The area code (08) set apart: run together, 083… and 088… are mobile prefixes of today."""


@lru_cache(maxsize=REMEMBERED_MAX)
def phone_number(text: str) -> str | None:
    """Return the E.164 number without "+" that a cleaned text states, None when it is no number or a filler."""
    text = whole_number(text)
    number = digits(text)
    old_landline = _LANDLINE_2017.fullmatch(text)
    if old_landline and len(digits(old_landline[1])) == _LANDLINE_2017_DIGITS:
        number = "028" + digits(old_landline[1])
    if text.startswith("+") and not number.startswith("84"):
        return _foreign(number)
    number = number.removeprefix("00")
    if number.startswith("84") and len(number) >= 11:  # noqa: PLR2004 country code and a national number
        number = number[2:]
    number = number.removeprefix("0")
    if number in _FILLER_TAILS or number[-_FILLER_RUN:] == number[-1:] * _FILLER_RUN:
        return None
    if len(number) == _MOBILE_DIGITS + 1 and number[:3] in _MOBILE_2018:
        number = _MOBILE_2018[number[:3]] + number[3:]
    if len(number) == _MOBILE_DIGITS and number[:2] in _MOBILE_PREFIXES:
        return "84" + number
    # The city's landlines were 08 and eight digits until 2017; what is no mobile prefix can only be one of them.
    if len(number) == _MOBILE_DIGITS and number.startswith("8"):
        number = "28" + number[1:]
    return "84" + number if _is_valid_vietnamese(number) else None


@lru_cache(maxsize=REMEMBERED_MAX)
def _is_valid_vietnamese(number: str) -> bool:
    if not _MOBILE_DIGITS <= len(number) <= _LANDLINE_DIGITS:
        return False
    return phonenumbers.is_valid_number(phonenumbers.PhoneNumber(country_code=84, national_number=int(number)))


def _foreign(number: str) -> str | None:
    try:
        parsed = phonenumbers.parse("+" + number)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(parsed) else None
