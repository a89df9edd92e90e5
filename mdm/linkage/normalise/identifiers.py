"""Identifiers of citizens and businesses: what their digits claim, and whether the record agrees.

The type of an identifier comes from the field that it stood in. A social insurance number passes the tax code's check
one time in eleven by chance, so no pattern decides a type.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stdnum.vn import mst

from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.text import digits, fold, whole_number

# Birth registration provinces of a personal ID, Decision 124/2004; not renumbered by the merger of 2025.
# Source: the table of vn-ident 0.1.0 (MIT).
PROVINCES = frozenset(
    """
    001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035 036 037 038 040 042 044
    045 046 048 049 051 052 054 056 058 060 062 064 066 067 068 070 072 074 075 077 079 080 082 083 084 086 087 089 091
    092 093 094 095 096
    """.split()
)
_COUNTRY_CODE_MIN = "100"
"""Births registered abroad carry a country's code instead."""

PERSONAL_ID_DIGITS = 12
CMND_DIGITS = 9
INSURANCE_DIGITS = 10
HEALTH_CARD_CHARACTERS = 15
TAX_CODE_DIGITS = 10
_CENTURY_MAX = 2
"""Century symbols count from 1900 in pairs of sexes; 6 and above are births after 2199."""

_PASSPORT = re.compile(r"[A-Z]{1,2}[A-Z0-9]{5,8}|[0-9][A-Z0-9]{5,8}")
_HEALTH_CARD = re.compile(r"[A-Z]{2}[A-Z0-9]\d{12}")
_SEPARATORS = re.compile(r"[\s.\-_/]+")
_CARD = re.compile(r"[^;,|\s]+")
_CARD_SEPARATORS = re.compile(r"[;,|\s]+")
_FILLERS = frozenset(
    {"012345678912", "123456789012", "123456789", "012345678", "987654321", "1234567890", "0123456789"}
)
_ZEROED = re.compile(r"\d{3}0{5}\d|0{9}\d")
"""A CMND and an insurance number. A personal ID counts on within place, year and sex: there the first ones are real."""


def _compact(text: str) -> str:
    """Return the text without what separates groups."""
    return _SEPARATORS.sub("", whole_number(text))


class PersonalId(NamedTuple):
    """A well-formed 12-digit number and what it claims of its bearer."""

    number: str
    sex: str
    birth_year: int


def parse_personal_id(number: str) -> PersonalId | None:
    """Return what 12 digits claim, None when they cannot be a personal ID."""
    if len(number) != PERSONAL_ID_DIGITS or not number.isdigit() or is_filler(number):
        return None
    if number[:3] not in PROVINCES and number[:3] < _COUNTRY_CODE_MIN:
        return None
    century, is_female = divmod(int(number[3]), 2)
    if century >= _CENTURY_MAX:
        return None
    return PersonalId(number, "f" if is_female else "m", 1900 + 100 * century + int(number[4:6]))


class Claim(NamedTuple):
    """What a citizen's identifier field holds: exactly one of the numbers is set, or `rule` says why none is."""

    personal_id: PersonalId | None = None
    cmnd: str | None = None
    passport: str | None = None
    rule: str | None = None


_MALFORMED = "is no personal ID, CMND or passport"
_FILLER = "is a filler"


def parse_claim(text: str, birth_year: int | None, sex: str | None) -> Claim:
    """Read the personal ID field: 12 digits, CMND, passport, any of them with leading zeros lost.

    Two lost zeros are restored only when the number then agrees with the stated birth year and sex, because ten digits
    are also the length of a social insurance number.
    """
    number = text
    if not (text.isascii() and text.isdigit()):
        compact = _compact(text).upper()
        number = digits(compact)
        if number == "" or len(number) != len(compact):
            passport = parse_passport(compact)
            return Claim(passport=passport) if passport else Claim(rule=_MALFORMED)
    # The city's CMND numbers begin with 02.
    if len(number) == CMND_DIGITS - 1 and number.startswith("2"):
        number = "0" + number
    if is_filler(number):
        return Claim(rule=_FILLER)
    if len(number) == CMND_DIGITS:
        return Claim(cmnd=number)
    if len(number) in {PERSONAL_ID_DIGITS, PERSONAL_ID_DIGITS - 1}:
        parsed = parse_personal_id(number.zfill(PERSONAL_ID_DIGITS))
        return Claim(personal_id=parsed) if parsed else Claim(rule=_MALFORMED)
    if len(number) == PERSONAL_ID_DIGITS - 2:
        parsed = parse_personal_id(number.zfill(PERSONAL_ID_DIGITS))
        if parsed is not None and (parsed.birth_year, parsed.sex) == (birth_year, sex):
            return Claim(personal_id=parsed)
    return Claim(rule=_MALFORMED)


def parse_passport(text: str) -> str | None:
    """Return a passport number in upper case without separators, None when it cannot be one."""
    compact = _compact(text).upper()
    is_number = compact.isascii() and any(character.isdigit() for character in compact)
    return compact if is_number and _PASSPORT.fullmatch(compact) else None


class Agreement(NamedTuple):
    """How a personal ID fits the record that it stands in."""

    is_consistent: bool
    """Nothing stated contradicts it."""
    is_near: bool
    """One slip of a clerk explains the contradiction: a wrong sex, or a year one off or one digit off."""


def agreement(claim: PersonalId, birth_year: int | None, sex: str | None) -> Agreement:
    """Compare what a number claims with the birth year and sex that its record states (None: not stated)."""
    is_sex_equal = sex is None or sex == claim.sex
    if birth_year is None or birth_year == claim.birth_year:
        return Agreement(is_sex_equal, is_sex_equal or birth_year is not None)
    differing = sum(a != b for a, b in zip(f"{birth_year:04}", f"{claim.birth_year:04}", strict=True))
    is_year_near = abs(birth_year - claim.birth_year) == 1 or (
        differing == 1 and birth_year // 10 == claim.birth_year // 10
    )
    return Agreement(is_consistent=False, is_near=is_sex_equal and is_year_near)


def is_filler(number: str) -> bool:
    """Whether digits are what one types to get past a mandatory field: one digit repeated, or a counting row.

    So are zeros with one digit behind them, in a CMND behind the three digits that say where it was issued.
    """
    return number in _FILLERS or number == number[:1] * len(number) or _ZEROED.fullmatch(number) is not None


def insurance_number(text: str) -> str | None:
    """Return the 10-digit social insurance number, a lost leading zero restored; None for anything else."""
    number = text if text.isascii() and text.isdigit() else digits(_compact(text))
    if len(number) == INSURANCE_DIGITS - 1:
        number = "0" + number
    return number if len(number) == INSURANCE_DIGITS and not is_filler(number) else None


class HealthCards(NamedTuple):
    """What a health card field holds: several cards may be joined by `;`."""

    insurance_numbers: tuple[str, ...]
    """Last 10 characters of each card: they outlive a change of group or job, the prefix does not."""
    personal_ids: tuple[str, ...]
    """12-digit numbers shown instead of a card."""
    has_malformed: bool


def parse_health_cards(text: str) -> HealthCards:
    """Read the health card field; a number whose digits a spreadsheet lost stays as it is, and is no card."""
    if _HEALTH_CARD.fullmatch(text) and not is_filler(text[-INSURANCE_DIGITS:]):
        # As most are written: one card, in one piece.
        return HealthCards((text[-INSURANCE_DIGITS:],), (), has_malformed=False)
    numbers: list[str] = []
    personal_ids: list[str] = []
    has_malformed = False
    text = _CARD.sub(lambda card: whole_number(card[0]) or card[0], whole_number(text) or text)
    for card in _CARD_SEPARATORS.split(_joined_cards(text.upper())):
        if not card:
            continue
        if _HEALTH_CARD.fullmatch(card) and not is_filler(card[-INSURANCE_DIGITS:]):
            numbers.append(card[-INSURANCE_DIGITS:])
        elif card.isdigit() and len(card) in {PERSONAL_ID_DIGITS, PERSONAL_ID_DIGITS - 1}:
            personal_ids.append(card)
        elif card.isdigit() and (number := insurance_number(card)):
            numbers.append(number)
        else:
            has_malformed = True
    return HealthCards(tuple(numbers), tuple(personal_ids), has_malformed)


def _joined_cards(text: str) -> str:
    # One card is often written in groups: "GD 4 79 79 1234 5678".
    compact = _SEPARATORS.sub("", text)
    return compact if len(compact) == HEALTH_CARD_CHARACTERS else text.replace("-", "").replace(".", "")


class TaxCode(NamedTuple):
    """A tax code in its canonical form: 10 digits, `10-3`, or a household business's 12."""

    code: str
    is_personal_id: bool


@lru_cache(maxsize=REMEMBERED_MAX)
def parse_tax_code(text: str, *, may_be_branch: bool) -> TaxCode | None:
    """Read the tax code field, a lost leading zero restored; None when it fails its check.

    Twelve bare digits are the owner's personal ID unless the record is a branch and they make one with a zero before.
    """
    number = digits(_compact(text))
    if is_filler(number):
        return None
    if len(number) == PERSONAL_ID_DIGITS:
        with_zero = "0" + number
        if (may_be_branch or "-" in text) and mst.is_valid(with_zero):
            return TaxCode(f"{with_zero[:10]}-{with_zero[10:]}", is_personal_id=False)
        return TaxCode(number, is_personal_id=True) if parse_personal_id(number) else None
    if len(number) == TAX_CODE_DIGITS - 1:
        number = "0" + number
    if len(number) == PERSONAL_ID_DIGITS - 1 and not mst.is_valid(number) and parse_personal_id("0" + number):
        return TaxCode("0" + number, is_personal_id=True)
    if not mst.is_valid(number):
        return None
    return TaxCode(number if len(number) == TAX_CODE_DIGITS else f"{number[:10]}-{number[10:]}", is_personal_id=False)


_VIETNAMESE = frozenset({"", "000", "vn", "vnm", "viet nam", "vietnam", "vie", "704", "viet", "kinh", "viet nam vnm"})


@lru_cache(maxsize=1024)
def nationality(text: str) -> str | None:
    """Return a folded nationality, None for Vietnamese or not stated."""
    folded = fold(text)
    return None if folded in _VIETNAMESE else folded
