"""One source record to its features: the entry to this package."""

from __future__ import annotations

from typing import assert_never

import msgspec

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import BusinessAttributes, CitizenAttributes, SourceRecord
from mdm.linkage.features import Features, FieldIssue, Normalised
from mdm.linkage.normalise.citizens import citizen_features, citizen_values
from mdm.linkage.normalise.dates import NOT_A_TIME, PartialDate, city_date, parse_time
from mdm.linkage.normalise.findings import Findings
from mdm.linkage.normalise.firms import business_features

NORMALISER_VERSION = 9
"""Goes up with every change that gives any record other features: the index is then built anew from raw values."""


def normalise(record: SourceRecord) -> Normalised:
    """Return the features of a record and what was wrong with its values.

    Pure: the same record gives the same features in every process and at any time. Accepts any text and never raises;
    a value that breaks a rule becomes an issue and is not used as evidence.
    """
    findings = Findings()
    attributes = record.attributes
    written_on = _written_on(record.updated_at, findings)
    features: Features
    match attributes:
        case CitizenAttributes():
            features = citizen_features(citizen_values(record.key, attributes, written_on, findings))
        case BusinessAttributes():
            features = business_features(attributes, written_on, findings)
        case _:
            assert_never(attributes)
    return Normalised(features, findings.issues())


def value_issues(record: SourceRecord) -> tuple[FieldIssue, ...]:
    """Return the issues that `normalise` finds, of a citizen in half of its time: without features."""
    if not isinstance(record.attributes, CitizenAttributes):
        return normalise(record).issues
    findings = Findings()
    citizen_values(record.key, record.attributes, _written_on(record.updated_at, findings), findings)
    return findings.issues()


def knows_value(kind: str, field: str, value: str) -> bool:
    """Return whether a record that states nothing but this value of a single-valued attribute has no issue with it."""
    nothing = CitizenAttributes() if EntityKind(kind) is EntityKind.CITIZEN else BusinessAttributes()
    attributes = msgspec.structs.replace(nothing, **{field: value})
    record = SourceRecord(SourceKey("registry", EntityKind(kind), "1"), attributes)
    return all(issue.field != field for issue in value_issues(record))


def _written_on(updated_at: str, findings: Findings) -> PartialDate | None:
    moment = parse_time(updated_at)
    if moment is None:
        if updated_at.strip():
            findings.add("updated_at", NOT_A_TIME)
        return None
    return city_date(moment)
