"""The rows that peers link: each registry's own columns, cleaned as anyone would in an hour.

Lower case, NFC, single spaces, digits of numbers, dates in one format. No Vietnamese normaliser: diacritics, names,
abbreviations, wards and aliases stay as the registry wrote them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from mdm.domain.keys import EntityKind
from mdm.domain.records import BusinessAttributes, CitizenAttributes, IdentifierType, RelationType, SourceRecord

_ISO, _SLASHES = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})"), re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{4})$")
_DIGITS, _YEAR = re.compile(r"^(\d{4})(\d{2})(\d{2})(\d{4})?$"), re.compile(r"(19|20)\d{2}")
_HEALTH_CARD_NUMBER_DIGITS = 10

Row = dict[str, str | None]


def plain_rows(kind: EntityKind, sources: Sequence[SourceRecord]) -> pa.Table:
    """Return one row for each record, in order: `row` from 0, `registry`, and text columns that may be null."""
    of = citizen_row if kind is EntityKind.CITIZEN else business_row
    rows = [of(source) for source in sources]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in (rows[0] if rows else {})}
    registries = pa.array([source.key.registry for source in sources], pa.string())
    return pa.table({"row": pa.array(range(len(rows)), pa.int64()), "registry": registries} | columns)


def citizen_row(source: SourceRecord) -> Row:
    """Return a citizen's plain columns."""
    attributes = source.attributes
    if not isinstance(attributes, CitizenAttributes):
        raise TypeError("a citizen's record has a citizen's attributes")
    name = _text(attributes.full_name)
    words = name.split() if name else []
    born_on = _date(attributes.birth_date)
    year = _YEAR.search(attributes.birth_date)
    card = _identifier(source, IdentifierType.HEALTH_CARD)
    insurance = _identifier(source, IdentifierType.SOCIAL_INSURANCE_NUMBER)
    return {
        "full_name": name,
        "surname": words[0] if words else None,
        "given_name": words[-1] if words else None,
        "birth_date": born_on,
        "birth_year": born_on[:4] if born_on else year.group() if year else None,
        "sex": sex if (sex := _text(attributes.sex)) in {"m", "f"} else None,
        "personal_id": _identifier(source, IdentifierType.PERSONAL_ID),
        "insurance_number": insurance or (card[-_HEALTH_CARD_NUMBER_DIGITS:] if card else None),
        "phone": _phone(attributes.phones),
        "address": _text(attributes.addresses[0].text) if attributes.addresses else None,
        "ward_code": _text(attributes.addresses[0].ward_code) if attributes.addresses else None,
    }


def business_row(source: SourceRecord) -> Row:
    """Return a firm's plain columns."""
    attributes = source.attributes
    if not isinstance(attributes, BusinessAttributes):
        raise TypeError("a firm's record has a firm's attributes")
    leaders = {RelationType.LEGAL_REPRESENTATIVE, RelationType.OWNER}
    leader = next((each.name for each in attributes.relations if each.type in leaders), "")
    return {
        "legal_name": _text(attributes.legal_name),
        "tax_code": _identifier(source, IdentifierType.TAX_CODE),
        "phone": _phone(attributes.phones),
        "address": _text(attributes.addresses[0].text) if attributes.addresses else None,
        "ward_code": _text(attributes.addresses[0].ward_code) if attributes.addresses else None,
        "representative_name": _text(leader),
    }


def _text(value: str) -> str | None:
    return " ".join(unicodedata.normalize("NFC", value).lower().split()) or None


def _identifier(source: SourceRecord, kind: IdentifierType) -> str | None:
    values = (each.value for each in source.attributes.identifiers if each.type is kind)
    return next((cleaned for value in values if (cleaned := re.sub(r"[\s.]", "", value).lower())), None)


def _phone(phones: Sequence[str]) -> str | None:
    digits = re.sub(r"\D", "", phones[0]) if phones else ""
    return re.sub(r"^84", "0", digits) or None


def _date(value: str) -> str | None:
    """Return `yyyy-mm-dd` of a full date in any of the registries' formats."""
    value = value.strip()
    if match := _ISO.match(value) or _DIGITS.match(value):
        year, month, day = (int(part) for part in match.groups()[:3])
    elif match := _SLASHES.match(value):
        day, month, year = (int(part) for part in match.groups())
    else:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
