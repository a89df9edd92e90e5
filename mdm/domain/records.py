"""Source records as the registries hand them over: raw text, nothing cleaned.

These structs are what a payload holds (msgpack arrays: fields may be appended, never reordered or removed)
and what the wire's `SourceRecord` carries. An empty string means "not stated".
"""

from __future__ import annotations

import enum

import msgspec

from mdm.domain.keys import SourceKey


class IdentifierType(enum.StrEnum):
    """Which field an identifier stood in: the type comes from the field, never from the pattern alone."""

    PERSONAL_ID = "personal_id"
    """Personal ID / CCCD (12 digits), or what the registry writes in its place: CMND (9), passport."""
    OLD_PERSONAL_ID = "old_personal_id"
    """An earlier number of the same person: CMND or a re-issued CCCD; with PERSONAL_ID an alias chain."""
    PASSPORT = "passport"
    SOCIAL_INSURANCE_NUMBER = "social_insurance_number"
    """BHXH, 10 digits, or the 12-digit personal ID since 2025-08."""
    HEALTH_CARD = "health_card"
    """BHYT code, 15 characters; its last 10 are the BHXH number."""
    TAX_CODE = "tax_code"
    """MST: 10, 10-3 for a branch, 12 for a household business since 2025-07."""


class Assurance(enum.StrEnum):
    """How far an identifier is to be believed. "Verified" means chip-read or sighted."""

    CHIP_READ = "chip_read"
    SIGHTED = "sighted"
    STATED = "stated"
    GUARDIAN = "guardian"
    """The number of the bearer's guardian, never the bearer's own."""

    @property
    def is_verified(self) -> bool:
        """Whether the identity rules may found a veto on it."""
        return self is Assurance.CHIP_READ or self is Assurance.SIGHTED


class AddressKind(enum.StrEnum):
    """Which address of the bearer this is."""

    CONTACT = "contact"
    PERMANENT = "permanent"
    CURRENT = "current"
    HEAD_OFFICE = "head_office"


class RelationType(enum.StrEnum):
    """What another person, household or firm is to the record's bearer."""

    HOUSEHOLD = "household"
    """`group_id` is the household, `name` its head, `role` the bearer's relation to the head."""
    GUARDIAN = "guardian"
    """`role` is the guardian's relation to the bearer."""
    MOTHER = "mother"
    FATHER = "father"
    SPOUSE = "spouse"
    EMPLOYER = "employer"
    """`record_id` is a business record of the same registry."""
    LEGAL_REPRESENTATIVE = "legal_representative"
    """Of a business; `record_id` is a citizen record of the same registry."""
    OWNER = "owner"
    """Of a household business; `record_id` is a citizen record of the same registry."""
    BRANCH_OF = "branch_of"
    """`identifiers` hold the parent's 10-digit tax code."""


class Identifier(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One identifier as written, with the field it stood in and how far it is believed."""

    type: IdentifierType
    value: str
    assurance: Assurance = Assurance.STATED


class Address(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One address line as written; `ward_code` is the official unit code, old or new, or empty."""

    kind: AddressKind
    text: str = ""
    ward_code: str = ""


class Relation(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A relation to someone who may or may not have a record of their own."""

    type: RelationType
    name: str = ""
    role: str = ""
    group_id: str = ""
    record_id: str = ""
    phone: str = ""
    identifiers: tuple[Identifier, ...] = ()


class CitizenAttributes(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="citizen"):
    """All that the four registries say of a citizen."""

    full_name: str = ""
    other_name: str = ""
    birth_date: str = ""
    sex: str = ""
    nationality: str = ""
    ethnicity: str = ""
    birth_order: str = ""
    """`1/2`, `2/2` for twins."""
    identifiers: tuple[Identifier, ...] = ()
    phones: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    relations: tuple[Relation, ...] = ()
    facility_id: str = ""
    status: str = ""
    died_on: str = ""


class BusinessAttributes(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="business"):
    """All that the registries say of a business."""

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
    """Legal names that the business bore before: what the registry states, then those that an update of this very
    record replaced, the latest last. An updated row rarely repeats them, and other registries go on using them."""


Attributes = CitizenAttributes | BusinessAttributes


class SourceRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One row of one registry about one bearer.

    `updated_at` is the source's own time as written; it orders versions of one record and is otherwise only data.
    """

    key: SourceKey
    attributes: Attributes
    updated_at: str = ""
