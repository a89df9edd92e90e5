"""What would be enough is enough: the two records are written with the value, and linked; with another, and not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    Attributes,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.resolve.explain.counterfactuals import COUNTERFACTUALS
from tests.resolve.explain.explaining import explaining
from tests.resolve.office import Office

HOUSE = Address(AddressKind.CONTACT, "12 Lê Lợi, Phường Bến Thành, Quận 1, TP Hồ Chí Minh")
RELATIVE = Identifier(IdentifierType.PERSONAL_ID, "079160000321", Assurance.SIGHTED)

Stating = Callable[[Attributes], Attributes]


def _with(**more: object) -> Stating:
    def state(found: Attributes) -> Attributes:
        added = {name: (*getattr(found, name), value) for name, value in more.items()}
        return msgspec.structs.replace(found, **added)

    return state


STATED: dict[tuple[EntityKind, str], Stating] = {
    (EntityKind.CITIZEN, "personal_id"): _with(identifiers=Identifier(IdentifierType.PERSONAL_ID, "079187000123")),
    (EntityKind.CITIZEN, "insurance_number"): _with(
        identifiers=Identifier(IdentifierType.SOCIAL_INSURANCE_NUMBER, "7912345678")
    ),
    (EntityKind.CITIZEN, "phone"): _with(phones="0938417265"),
    (EntityKind.CITIZEN, "address"): _with(addresses=HOUSE),
    (EntityKind.CITIZEN, "family"): _with(relations=Relation(RelationType.MOTHER, identifiers=(RELATIVE,))),
    (EntityKind.CITIZEN, "employer"): _with(relations=Relation(RelationType.EMPLOYER, record_id="TZ062858")),
    (EntityKind.BUSINESS, "tax_code"): _with(identifiers=Identifier(IdentifierType.TAX_CODE, "0301452948")),
    (EntityKind.BUSINESS, "phone"): _with(phones="02838417265"),
    (EntityKind.BUSINESS, "address"): _with(addresses=msgspec.structs.replace(HOUSE, kind=AddressKind.HEAD_OFFICE)),
    (EntityKind.BUSINESS, "representative"): _with(
        relations=Relation(RelationType.LEGAL_REPRESENTATIVE, "Trần Văn Tâm", identifiers=(RELATIVE,))
    ),
}
THIN: dict[EntityKind, Attributes] = {
    EntityKind.CITIZEN: CitizenAttributes(full_name="Nguyễn Thị Hoa", birth_date="1987-03-05", sex="F"),
    EntityKind.BUSINESS: BusinessAttributes(legal_name="Công ty TNHH Minh Anh", form="company"),
}


def test_every_counterfactual_is_written_here() -> None:
    assert STATED.keys() == COUNTERFACTUALS.keys()


@pytest.mark.parametrize(("kind", "name"), STATED, ids=str)
def test_what_is_said_to_be_enough_links_two_written_records(office: Office, kind: EntityKind, name: str) -> None:
    thin = THIN[kind]
    registry = "social_security" if name == "employer" else "hospital" if kind is EntityKind.CITIZEN else "company"
    keys = [SourceKey(registry, kind, each) for each in ("P1", "P2")]
    office.put_all([SourceRecord(key, thin) for key in keys])
    with explaining(office) as explainer:
        found = explainer.why_not(*keys)
    said = [each.name for each in found.enough]
    assert said
    full = [SourceRecord(key, STATED[kind, name](thin)) for key in keys]
    office.put_all(full)
    assert (office.id_of(full[0]) == office.id_of(full[1])) is (name in said)
