"""Who holds an identifier: normalised and keyed as in blocking, so that every spelling finds the same holders."""

from __future__ import annotations

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Assurance,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    SourceRecord,
)
from mdm.linkage.blocking import posting_keys
from mdm.linkage.features import BusinessFeatures, Features
from mdm.linkage.normalise.record import normalise


def identifier_keys(kind: EntityKind, type_: IdentifierType, value: str) -> tuple[bytes, ...]:
    """Return the posting keys under which holders of this identifier stand; none for a value that is not valid."""
    return posting_keys(_alone(kind, Identifier(type_, value)))


def stated_identifiers(record: SourceRecord, type_: IdentifierType, value: str) -> list[Assurance]:
    """Return how far the record vouches for this identifier as its bearer's own; empty if it is not."""
    kind = record.key.kind
    wanted = _numbers(_alone(kind, Identifier(type_, value)))
    if not wanted & _numbers(normalise(record).features):
        return []
    return [
        identifier.assurance
        for identifier in record.attributes.identifiers
        if wanted & _numbers(_alone(kind, identifier))
    ]


def _alone(kind: EntityKind, identifier: Identifier) -> Features:
    attributes: CitizenAttributes | BusinessAttributes
    if kind is EntityKind.CITIZEN:
        attributes = CitizenAttributes(identifiers=(identifier,))
    else:
        attributes = BusinessAttributes(identifiers=(identifier,))
    return normalise(SourceRecord(SourceKey("query", kind, "query"), attributes)).features


def _numbers(features: Features) -> set[str]:
    if isinstance(features, BusinessFeatures):
        return set(features.tax_codes)
    return {*features.personal_ids, *features.insurance_numbers}
