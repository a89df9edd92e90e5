"""Records of the domain as the client's values: the same fields under the same names."""

from __future__ import annotations

import mdm_client as client
from mdm.domain import records
from mdm.domain.keys import SourceKey


def client_key(key: SourceKey) -> client.SourceKey:
    """Return a source key as the client has it."""
    return client.SourceKey(key.registry, client.EntityKind(key.kind), key.record_id)


def client_record(record: records.SourceRecord) -> client.SourceRecord:
    """Return a source record as the client has it; about 10 µs."""
    return client.SourceRecord(client_key(record.key), _attributes(record.attributes), record.updated_at)


def _attributes(attributes: records.Attributes) -> client.CitizenAttributes | client.BusinessAttributes:
    identifiers = _identifiers(attributes.identifiers)
    addresses = tuple(
        client.Address(client.AddressKind(item.kind), item.text, item.ward_code) for item in attributes.addresses
    )
    relations = tuple(_relation(item) for item in attributes.relations)
    if isinstance(attributes, records.CitizenAttributes):
        return client.CitizenAttributes(
            full_name=attributes.full_name,
            other_name=attributes.other_name,
            birth_date=attributes.birth_date,
            sex=attributes.sex,
            nationality=attributes.nationality,
            ethnicity=attributes.ethnicity,
            birth_order=attributes.birth_order,
            identifiers=identifiers,
            phones=attributes.phones,
            addresses=addresses,
            relations=relations,
            facility_id=attributes.facility_id,
            status=attributes.status,
            died_on=attributes.died_on,
        )
    return client.BusinessAttributes(
        legal_name=attributes.legal_name,
        foreign_name=attributes.foreign_name,
        short_name=attributes.short_name,
        form=attributes.form,
        established_on=attributes.established_on,
        status=attributes.status,
        identifiers=identifiers,
        phones=attributes.phones,
        addresses=addresses,
        relations=relations,
        former_names=attributes.former_names,
    )


def _identifiers(identifiers: tuple[records.Identifier, ...]) -> tuple[client.Identifier, ...]:
    return tuple(
        client.Identifier(client.IdentifierType(item.type), item.value, client.Assurance(item.assurance))
        for item in identifiers
    )


def _relation(relation: records.Relation) -> client.Relation:
    return client.Relation(
        type=client.RelationType(relation.type),
        name=relation.name,
        role=relation.role,
        group_id=relation.group_id,
        record_id=relation.record_id,
        phone=relation.phone,
        identifiers=_identifiers(relation.identifiers),
    )
