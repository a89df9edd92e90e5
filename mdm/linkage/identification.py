"""Who holds an identifier: normalised and keyed as in blocking, so that every spelling finds the same holders."""

from __future__ import annotations

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Assurance,
    BusinessAttributes,
    Identifier,
    IdentifierType,
    SourceRecord,
)
from mdm.linkage.blocking import posting_keys
from mdm.linkage.features import BusinessFeatures, Features
from mdm.linkage.normalise.citizens import identifier_features
from mdm.linkage.normalise.record import normalise


def identifier_keys(kind: EntityKind, type_: IdentifierType, value: str) -> tuple[bytes, ...]:
    """Return the posting keys under which holders of this identifier stand; none for a value that is not valid."""
    return posting_keys(_alone(kind, Identifier(type_, value)))


class WantedIdentifier:
    """An identifier that somebody asks for, and what records state of it."""

    def __init__(self, kind: EntityKind, type_: IdentifierType, value: str) -> None:
        """Read the value once for all records; one that is not valid has no keys."""
        features = _alone(kind, Identifier(type_, value))
        self._kind = kind
        self._numbers = _numbers(features)
        self.keys = posting_keys(features)
        """Posting keys of its holders."""

    def is_borne(self, features: Features) -> bool:
        """Return whether a record with these features has it as its bearer's own."""
        return not self._numbers.isdisjoint(_numbers(features))

    def assurances(self, record: SourceRecord) -> list[Assurance]:
        """Return how far each statement of it in the record is to be believed."""
        return [
            identifier.assurance
            for identifier in record.attributes.identifiers
            if not self._numbers.isdisjoint(_numbers(_alone(self._kind, identifier)))
        ]


def _alone(kind: EntityKind, identifier: Identifier) -> Features:
    if kind is EntityKind.CITIZEN:
        return identifier_features(identifier)
    attributes = BusinessAttributes(identifiers=(identifier,))
    return normalise(SourceRecord(SourceKey("query", kind, "query"), attributes)).features


def _numbers(features: Features) -> set[str]:
    if isinstance(features, BusinessFeatures):
        return set(features.tax_codes)
    return {*features.personal_ids, *features.insurance_numbers}
