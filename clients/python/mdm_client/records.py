"""Source records as a registry hands them over: raw text, nothing cleaned. An empty string means "not stated"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntityKind(StrEnum):
    """What a record describes; a citizen never merges with a business."""

    UNSPECIFIED = "unspecified"
    CITIZEN = "citizen"
    BUSINESS = "business"


class IdentifierType(StrEnum):
    """Which field an identifier stood in."""

    UNSPECIFIED = "unspecified"
    PERSONAL_ID = "personal_id"
    OLD_PERSONAL_ID = "old_personal_id"
    PASSPORT = "passport"
    SOCIAL_INSURANCE_NUMBER = "social_insurance_number"
    HEALTH_CARD = "health_card"
    TAX_CODE = "tax_code"


class Assurance(StrEnum):
    """How far an identifier is to be believed; "verified" means chip-read or sighted."""

    UNSPECIFIED = "unspecified"
    CHIP_READ = "chip_read"
    SIGHTED = "sighted"
    STATED = "stated"
    GUARDIAN = "guardian"
    """The number of the bearer's guardian, never the bearer's own."""


class AddressKind(StrEnum):
    """Which address of the bearer an address is."""

    UNSPECIFIED = "unspecified"
    CONTACT = "contact"
    PERMANENT = "permanent"
    CURRENT = "current"
    HEAD_OFFICE = "head_office"


class RelationType(StrEnum):
    """What another person, household or firm is to the record's bearer."""

    UNSPECIFIED = "unspecified"
    HOUSEHOLD = "household"
    GUARDIAN = "guardian"
    MOTHER = "mother"
    FATHER = "father"
    SPOUSE = "spouse"
    EMPLOYER = "employer"
    LEGAL_REPRESENTATIVE = "legal_representative"
    OWNER = "owner"
    BRANCH_OF = "branch_of"


@dataclass(frozen=True, slots=True)
class SourceKey:
    """The name a registry knows a record by; `record_id` is the registry's own key, 1 to 128 bytes of UTF-8 in NFC."""

    registry: str
    kind: EntityKind
    record_id: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier as written."""

    type: IdentifierType
    value: str
    assurance: Assurance = Assurance.STATED


@dataclass(frozen=True, slots=True)
class Address:
    """One address as written; `ward_code` is the official unit code, old or new, or empty."""

    kind: AddressKind
    text: str = ""
    ward_code: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation to someone who may or may not have a record of their own; `record_id` is of the same registry."""

    type: RelationType
    name: str = ""
    role: str = ""
    group_id: str = ""
    record_id: str = ""
    phone: str = ""
    identifiers: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class CitizenAttributes:
    """What a registry says of a person; at most 20 of each list."""

    full_name: str = ""
    other_name: str = ""
    birth_date: str = ""
    sex: str = ""
    nationality: str = ""
    ethnicity: str = ""
    birth_order: str = ""
    identifiers: tuple[Identifier, ...] = ()
    phones: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    relations: tuple[Relation, ...] = ()
    facility_id: str = ""
    status: str = ""
    died_on: str = ""


@dataclass(frozen=True, slots=True)
class BusinessAttributes:
    """What a registry says of a company, branch or household business; at most 20 of each list."""

    legal_name: str = ""
    foreign_name: str = ""
    short_name: str = ""
    form: str = ""
    """`company`, `branch`, `household_business`, or empty."""
    established_on: str = ""
    status: str = ""
    identifiers: tuple[Identifier, ...] = ()
    phones: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    relations: tuple[Relation, ...] = ()
    former_names: tuple[str, ...] = ()
    """Legal names borne before; those that updates of the same record replaced are kept here by the service."""


Attributes = CitizenAttributes | BusinessAttributes


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One row of one registry about one bearer; `attributes` must be of the key's kind.

    `updated_at` is the source's own time as written; it orders versions of one record.
    """

    key: SourceKey
    attributes: Attributes
    updated_at: str = ""
