"""Records of families and firms that nothing links but their relations."""

from __future__ import annotations

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)

FATHER_ID, MOTHER_ID = "079080000111", "079182000222"


def number(value: str, assurance: Assurance = Assurance.SIGHTED) -> Identifier:
    return Identifier(IdentifierType.PERSONAL_ID, value, assurance)


def person(
    record_id: str,
    full_name: str,
    birth_date: str,
    sex: str,
    *relations: Relation,
    personal_id: str = "",
    registry: str = "household",
    updated_at: str = "2025-01-01",
) -> SourceRecord:
    attributes = CitizenAttributes(
        full_name=full_name,
        birth_date=birth_date,
        sex=sex,
        identifiers=(number(personal_id),) if personal_id else (),
        relations=relations,
    )
    return SourceRecord(SourceKey(registry, EntityKind.CITIZEN, record_id), attributes, updated_at)


def firm(
    record_id: str, legal_name: str, *relations: Relation, tax_code: str = "", form: str = "", registry: str = "company"
) -> SourceRecord:
    codes = (Identifier(IdentifierType.TAX_CODE, tax_code, Assurance.SIGHTED),) if tax_code else ()
    attributes = BusinessAttributes(legal_name=legal_name, form=form, identifiers=codes, relations=relations)
    return SourceRecord(SourceKey(registry, EntityKind.BUSINESS, record_id), attributes, "2025-01-01")


def lives_in(household_id: str, role: str = "") -> Relation:
    return Relation(RelationType.HOUSEHOLD, role=role, group_id=household_id)


def mother(name: str = "", personal_id: str = "") -> Relation:
    return Relation(RelationType.MOTHER, name, identifiers=(number(personal_id),) if personal_id else ())


def father(name: str) -> Relation:
    return Relation(RelationType.FATHER, name)


def spouse(name: str) -> Relation:
    return Relation(RelationType.SPOUSE, name)


HUSBAND = person(
    "R1", "Đặng Quốc Vinh", "1980-04-12", "M", lives_in("HK1", "Chủ hộ"), spouse("Lý Thu Cúc"), personal_id=FATHER_ID
)
WIFE = person(
    "R2", "Lý Thu Cúc", "1982-09-30", "F", lives_in("HK1", "vợ"), spouse("Đặng Quốc Vinh"), personal_id=MOTHER_ID
)
DAUGHTER = person(
    "R3",
    "Đặng Hải Yến",
    "2012-06-01",
    "F",
    lives_in("HK1", "con đẻ"),
    father("Đặng Quốc Vinh"),
    mother("Lý Thu Cúc", MOTHER_ID),
)
FAMILY = (HUSBAND, WIFE, DAUGHTER)
