"""Phones and addresses, read alike for citizens and businesses."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from mdm.domain.records import Address
from mdm.limits import ADDRESS_CHARACTERS_MAX, RECORD_VALUES_MAX, VALUE_CHARACTERS_MAX
from mdm.linkage.normalise.addresses import parse_address
from mdm.linkage.normalise.findings import Findings
from mdm.linkage.normalise.phones import phone_number
from mdm.linkage.normalise.wards import may_be_ward_code

_WARD_CODE_DIGITS = 5


class Places(NamedTuple):
    """What all addresses of a record say together; each column sorted and free of duplicates."""

    wards: tuple[str, ...]
    streets: tuple[str, ...]
    premises: tuple[str, ...]


_NOWHERE = Places((), (), ())


def ordered(values: Collection[str]) -> tuple[str, ...]:
    """Return values sorted and free of duplicates, as features hold them."""
    return tuple(values) if len(values) < 2 else tuple(sorted(set(values)))  # noqa: PLR2004 one is in order


def phone_numbers(values: tuple[str, ...], findings: Findings, field: str = "phone") -> list[str]:
    """Return the usable numbers; several numbers in one value are split at `;`, `,` and `/`."""
    numbers: list[str] = []
    for value in findings.values(field, values, RECORD_VALUES_MAX):
        text = findings.text(field, value, VALUE_CHARACTERS_MAX)
        if not text:
            continue
        number = phone_number(text)
        if number is not None:
            numbers.append(number)
            continue
        pieces = text.replace(",", ";").replace("/", ";").split(";")
        found = [number for piece in pieces if (number := phone_number(piece.strip()))] if len(pieces) > 1 else []
        if not found:
            findings.add(field, "is no telephone number, or a filler")
        numbers += found
    return numbers


def stated_addresses(addresses: tuple[Address, ...], findings: Findings) -> list[tuple[str, str]]:
    """Return text and ward code of each address, cleaned."""
    stated = []
    for address in findings.values("address", addresses, RECORD_VALUES_MAX):
        if not address.text and not address.ward_code:
            continue
        text = findings.text("address", address.text, ADDRESS_CHARACTERS_MAX)
        code = findings.text("ward_code", address.ward_code, VALUE_CHARACTERS_MAX)
        if code and not (len(code) == _WARD_CODE_DIGITS and code.isdigit()):
            findings.add("ward_code", "is not an official unit code of 5 digits")
        elif code and not may_be_ward_code(code):
            findings.add("ward_code", "is beyond the country's ward codes")
        stated.append((text, code))
    return stated


def places(stated: list[tuple[str, str]]) -> Places:
    """Return wards, streets and premises of all addresses of a record."""
    wards: set[str] = set()
    streets: set[str] = set()
    premises: set[str] = set()
    for text, code in stated:
        place = parse_address(text, code)
        wards |= place.wards
        if place.street is not None:
            streets.add(place.street)
            if place.house is not None:
                premises.add(f"{place.house}|{place.street}")
    if not wards and not streets:
        return _NOWHERE
    return Places(ordered(wards), ordered(streets), ordered(premises))
