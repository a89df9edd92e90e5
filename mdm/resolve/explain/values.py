"""What a comparison looked at: the columns that it used, and the values as the registry wrote them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from mdm.domain.keys import EntityKind
from mdm.domain.records import (
    Assurance,
    Attributes,
    BusinessAttributes,
    CitizenAttributes,
    IdentifierType,
    RelationType,
    SourceRecord,
)
from mdm.linkage.features import Features

_PERSONAL = frozenset({IdentifierType.PERSONAL_ID, IdentifierType.OLD_PERSONAL_ID, IdentifierType.PASSPORT})
_INSURANCE = frozenset({IdentifierType.SOCIAL_INSURANCE_NUMBER, IdentifierType.HEALTH_CARD})
_FAMILY = frozenset(
    {
        RelationType.MOTHER,
        RelationType.FATHER,
        RelationType.GUARDIAN,
        RelationType.SPOUSE,
        RelationType.HOUSEHOLD,
    }
)
_REPRESENTATIVES = frozenset({RelationType.LEGAL_REPRESENTATIVE, RelationType.OWNER})

PERSONAL_ID_DIGITS = 12

COLUMNS: dict[tuple[EntityKind, str], tuple[str, ...]] = {
    (EntityKind.CITIZEN, "name"): ("name", "other_names"),
    (EntityKind.CITIZEN, "diacritics"): ("name_accented",),
    (EntityKind.CITIZEN, "birth"): ("birth_date", "birth_year"),
    (EntityKind.CITIZEN, "sex"): ("sex",),
    (EntityKind.CITIZEN, "personal_id"): ("personal_ids",),
    (EntityKind.CITIZEN, "insurance_number"): ("insurance_numbers",),
    (EntityKind.CITIZEN, "phone"): ("phones",),
    (EntityKind.CITIZEN, "address"): ("premises", "streets", "wards"),
    (EntityKind.CITIZEN, "family"): ("mother_name", "relative_names", "relative_ids", "household"),
    (EntityKind.CITIZEN, "employer"): ("employer",),
    (EntityKind.BUSINESS, "tax_code"): ("tax_codes",),
    (EntityKind.BUSINESS, "name"): ("name", "names"),
    (EntityKind.BUSINESS, "legal_form"): ("legal_form",),
    (EntityKind.BUSINESS, "phone"): ("phones",),
    (EntityKind.BUSINESS, "address"): ("premises", "streets", "wards"),
    (EntityKind.BUSINESS, "representative"): ("representative_name", "representative_ids"),
}
"""By kind and comparison, the columns that say what was compared, without those derived from them."""


def used_values(kind: EntityKind, comparison: str, features: Features) -> tuple[str, ...]:
    """Return the normalised values that a comparison used, each once; none where the record states none."""
    columns = (getattr(features, column) for column in COLUMNS[kind, comparison])
    found = (each for value in columns for each in (value if isinstance(value, tuple) else (value,)))
    return tuple(dict.fromkeys(str(each) for each in found if each not in {None, ""}))


def written_values(record: SourceRecord) -> dict[str, tuple[str, ...]]:
    """Return the same values as the registry wrote them, by comparison."""
    found = record.attributes
    places = [each.text or each.ward_code for each in found.addresses]
    written: dict[str, Iterable[str]]
    match found:
        case CitizenAttributes():
            written = {
                "name": (found.full_name, found.other_name),
                "diacritics": (found.full_name,),
                "birth": (found.birth_date,),
                "sex": (found.sex,),
                "personal_id": _personal_ids(found),
                "insurance_number": _numbers(found, _INSURANCE),
                "phone": _phones(found),
                "address": places,
                "family": [*_related(found, _FAMILY), *_guardians_ids(found)],
                "employer": _related(found, frozenset({RelationType.EMPLOYER})),
            }
        case BusinessAttributes():
            written = {
                "tax_code": _numbers(found, frozenset({IdentifierType.TAX_CODE})),
                "name": (found.legal_name, found.short_name, found.foreign_name, *found.former_names),
                "legal_form": (found.form, found.legal_name),
                "phone": _phones(found),
                "address": places,
                "representative": _related(found, _REPRESENTATIVES),
            }
        case _:
            assert_never(found)
    return {comparison: tuple(dict.fromkeys(filter(None, values))) for comparison, values in written.items()}


def _numbers(found: Attributes, types: frozenset[IdentifierType]) -> list[str]:
    return [each.value for each in found.identifiers if each.type in types]


def _personal_ids(found: Attributes) -> list[str]:
    # Since August 2025 the field of the social insurance number may hold the personal ID.
    return [
        each.value
        for each in found.identifiers
        if each.assurance is not Assurance.GUARDIAN
        and (each.type in _PERSONAL or (each.type in _INSURANCE and _digit_count(each.value) == PERSONAL_ID_DIGITS))
    ]


def _guardians_ids(found: Attributes) -> list[str]:
    return [each.value for each in found.identifiers if each.assurance is Assurance.GUARDIAN]


def _digit_count(value: str) -> int:
    return sum(character.isdigit() for character in value)


def _related(found: Attributes, types: frozenset[RelationType]) -> list[str]:
    related = [each for each in found.relations if each.type in types]
    return [
        text
        for each in related
        for text in (each.name or each.group_id or each.record_id, *(number.value for number in each.identifiers))
    ]


def _phones(found: Attributes) -> list[str]:
    return [*found.phones, *(each.phone for each in found.relations)]
