"""What raw values say, for survivorship: the normaliser's own reading of names, dates, addresses and identifiers."""

from __future__ import annotations

from collections.abc import Callable

from mdm.domain.records import Address, Identifier, IdentifierType
from mdm.domain.survivorship import Item
from mdm.domain.survivorship_rules import DATES, NAMES
from mdm.limits import ADDRESS_CHARACTERS_MAX, NAME_CHARACTERS_MAX, VALUE_CHARACTERS_MAX
from mdm.linkage.normalise.addresses import parse_address
from mdm.linkage.normalise.dates import LATEST_DAY, is_after, parse_date
from mdm.linkage.normalise.identifiers import insurance_number, parse_claim, parse_passport, parse_tax_code
from mdm.linkage.normalise.names import folded_name
from mdm.linkage.normalise.text import clean, fold_words

_PERSON_NAMES = frozenset({"full_name", "other_name"})
_VOWELS = frozenset("aeiouy")


def completeness(field: str, value: Item) -> int:
    """Return how complete a value is, 0 for one that says nothing; comparable within one field.

    Names: 0 unusable, a newborn's alias or "unknown", 1 abbreviated, 2 without marks, 3 with marks. Dates: 0 unusable,
    1 year, 2 month, 3 a first of January, which clerks write for a bare year, 4 any other day. Addresses: 0 nothing
    understood, 1 ward, 2 street, 3 house number. Every other field: 0.
    """
    if isinstance(value, Address):
        return _of_address(value)
    if not isinstance(value, str):
        return 0
    if field in NAMES:
        return _of_name(clean(value, NAME_CHARACTERS_MAX)[0], is_person=field in _PERSON_NAMES)
    return _of_date(clean(value, VALUE_CHARACTERS_MAX)[0]) if field in DATES else 0


def _of_name(text: str, *, is_person: bool) -> int:
    words = fold_words(text)
    if not words or (is_person and folded_name(text) is None):
        return 0
    # "Như Ý" is written out, "N. T. Hoa" is not.
    if is_person and any(len(word) == 1 and word not in _VOWELS for word in words):
        return 1
    return 2 if text.isascii() else 3


def _of_date(text: str) -> int:
    date = parse_date(text)
    if date is None or is_after(date, LATEST_DAY):
        return 0
    if date.month is None:
        return 1
    if date.day is None:
        return 2
    return 3 if date.is_first_january else 4


def _of_address(address: Address) -> int:
    place = parse_address(clean(address.text, ADDRESS_CHARACTERS_MAX)[0], address.ward_code)
    if place.house:
        return 3
    if place.street:
        return 2
    return 1 if place.wards else 0


def number_of(identifier: Identifier) -> str:
    """Return the number that an identifier states, as it is written where nothing was lost of it.

    One text for all spellings of a number: lost zeros, groups, a spreadsheet's decimals. What the normaliser can't
    read, and a health card, stands for itself but for case and spaces.
    """
    text = clean(identifier.value, VALUE_CHARACTERS_MAX)[0]
    read = _NUMBERS.get(identifier.type)
    return (read(text) if read and text else None) or "".join(text.split()).upper()


def _of_claim(text: str) -> str | None:
    claim = parse_claim(text, None, None)
    return claim.personal_id.number if claim.personal_id else claim.cmnd or claim.passport


def _of_tax_code(text: str) -> str | None:
    code = parse_tax_code(text, may_be_branch=False)
    return code.code if code else None


_NUMBERS: dict[IdentifierType, Callable[[str], str | None]] = {
    IdentifierType.PERSONAL_ID: _of_claim,
    IdentifierType.OLD_PERSONAL_ID: _of_claim,
    IdentifierType.PASSPORT: parse_passport,
    IdentifierType.SOCIAL_INSURANCE_NUMBER: lambda text: insurance_number(text) or _of_claim(text),
    IdentifierType.TAX_CODE: _of_tax_code,
}
