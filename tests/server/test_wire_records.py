"""Records on the wire and in the domain hold the same values."""

from __future__ import annotations

import msgspec
import pytest
from google.protobuf.descriptor import Descriptor

from mdm.domain import records
from mdm.domain.keys import EntityKind, SourceKey
from mdm.errors import InvalidInputError, InvalidSourceKeyError
from mdm.server.validation import violations_of
from mdm.server.wire_records import record_message, source_key, source_record
from mdm.v1 import common_pb2 as common

IDENTIFIERS = tuple(
    records.Identifier(type_, f"value of {type_}", assurance)
    for type_, assurance in zip(records.IdentifierType, [*records.Assurance] * 2, strict=False)
)
ADDRESSES = tuple(records.Address(kind, f"12 {kind}", "26734") for kind in records.AddressKind)
RELATIONS = tuple(
    records.Relation(type_, "tên", "vai", "group", "record", "0903", IDENTIFIERS[:2]) for type_ in records.RelationType
)
REPEATED = {
    "identifiers": IDENTIFIERS,
    "phones": ("1", "2"),
    "addresses": ADDRESSES,
    "relations": RELATIONS,
    "former_names": ("A", "B"),
}


def _filled(family: type[msgspec.Struct]) -> records.Attributes:
    values = {field.name: REPEATED.get(field.name, f"text of {field.name}") for field in msgspec.structs.fields(family)}
    attributes = family(**values)
    assert isinstance(attributes, records.CitizenAttributes | records.BusinessAttributes)
    return attributes


@pytest.mark.parametrize(
    ("kind", "family"),
    [(EntityKind.CITIZEN, records.CitizenAttributes), (EntityKind.BUSINESS, records.BusinessAttributes)],
)
def test_a_record_with_every_field_and_enum_value_survives_the_wire(
    kind: EntityKind, family: type[msgspec.Struct]
) -> None:
    record = records.SourceRecord(SourceKey("hospital", kind, "MÃ-1"), _filled(family), "2025-01-01 10:00")
    message = common.SourceRecord.FromString(record_message(record).SerializeToString())
    assert violations_of(message) == []
    assert source_record(message) == record


@pytest.mark.parametrize(
    ("descriptor", "family"),
    [
        (common.CitizenAttributes.DESCRIPTOR, records.CitizenAttributes),
        (common.BusinessAttributes.DESCRIPTOR, records.BusinessAttributes),
        (common.Relation.DESCRIPTOR, records.Relation),
        (common.Address.DESCRIPTOR, records.Address),
        (common.Identifier.DESCRIPTOR, records.Identifier),
    ],
)
def test_wire_and_domain_have_the_same_fields(descriptor: Descriptor, family: type[msgspec.Struct]) -> None:
    assert {field.name for field in descriptor.fields} == {field.name for field in msgspec.structs.fields(family)}


def test_a_key_of_another_kind_than_its_attributes_is_refused() -> None:
    message = common.SourceRecord(
        key=common.SourceKey(registry="company", entity_kind=common.ENTITY_KIND_BUSINESS, record_id="1"),
        attributes=common.Attributes(citizen=common.CitizenAttributes(full_name="A")),
    )
    with pytest.raises(InvalidInputError) as caught:
        source_record(message)
    assert caught.value.field == "record.key.entity_kind"


@pytest.mark.parametrize(
    ("record_id", "rule"),
    [
        (" X033", "must not begin or end with white space"),
        ("X033\t", "must not begin or end with white space"),
        ("X033\u00a0", "must not begin or end with white space"),
        ("X033,Lan\nX034", "must not hold a line break"),
        ("X\u0085033", "must not hold a line break or another control character"),
    ],
)
def test_a_record_is_stored_under_no_such_key_and_one_stored_so_is_still_found(record_id: str, rule: str) -> None:
    key = common.SourceKey(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id=record_id)
    with pytest.raises(InvalidSourceKeyError, match=rule):
        source_record(common.SourceRecord(key=key, attributes=common.Attributes(citizen=common.CitizenAttributes())))
    assert source_key(key).record_id == record_id


@pytest.mark.parametrize("record_id", ["e\u0302", "a\0", ""], ids=["not NFC", "NUL", "empty"])
def test_a_key_that_is_not_well_formed_is_refused(record_id: str) -> None:
    message = common.SourceKey(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id=record_id)
    with pytest.raises(InvalidSourceKeyError):
        source_key(message)
