"""Who holds an identifier: asked for by any spelling, read as records are."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

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
from mdm.linkage.identification import WantedIdentifier, identifier_keys
from mdm.linkage.normalise.citizens import identifier_features
from mdm.linkage.normalise.record import normalise

VALUES = (
    *("079187000123", "079.187.000.123", " 079-187-000-123 ", "024123456", "24123456", "000000000000", "123"),
    *("B1234567", "b 1234567", "P<VNM", "0123456789", "7916000123", "DN4797916000123", "TE1797916000123;DN479"),
    *("079187000123, 024123456", "không có", "\u0660\u0661", "x" * 300, "", "0100109106", "0100109106-001"),
)


@pytest.mark.parametrize("type_", IdentifierType)
def test_an_identifier_alone_is_read_as_in_a_record_that_states_nothing_else(type_: IdentifierType) -> None:
    for value, assurance in itertools.product(VALUES, Assurance):
        identifier = Identifier(type_, value, assurance)
        assert identifier_features(identifier) == normalise(_citizen(identifier)).features


def test_reading_an_identifier_alone_costs_a_fraction_of_reading_a_record() -> None:
    identifier = Identifier(IdentifierType.PERSONAL_ID, "079187000123")

    def seconds(read: Callable[[], object]) -> float:
        started_s = time.process_time()
        for _ in range(300):
            read()
        return time.process_time() - started_s

    ratios = [
        seconds(lambda: normalise(_citizen(identifier))) / seconds(lambda: identifier_features(identifier))
        for _ in range(5)
    ]
    assert max(ratios) > 1.5


@pytest.mark.parametrize(
    ("stated", "assurances"),
    [
        ((("079187000123", Assurance.SIGHTED),), [Assurance.SIGHTED]),
        ((("079.187.000.123", Assurance.STATED), ("024123456", Assurance.CHIP_READ)), [Assurance.STATED]),
        ((("079187000123", Assurance.GUARDIAN),), []),
        ((("079187000124", Assurance.SIGHTED),), []),
        ((), []),
    ],
    ids=["its bearer's", "in another spelling beside another number", "a guardian's", "another number", "none"],
)
def test_a_record_says_how_far_its_identifier_is_to_be_believed(
    stated: tuple[tuple[str, Assurance], ...], assurances: list[Assurance]
) -> None:
    wanted = WantedIdentifier(EntityKind.CITIZEN, IdentifierType.PERSONAL_ID, "079187000123")
    record = _citizen(*(Identifier(IdentifierType.PERSONAL_ID, value, assurance) for value, assurance in stated))
    assert wanted.assurances(record) == assurances
    assert wanted.is_borne(normalise(record).features) == bool(assurances)


def test_the_keys_asked_for_are_keys_of_the_holder() -> None:
    tax_code = Identifier(IdentifierType.TAX_CODE, "0100109106")
    firm = SourceRecord(SourceKey("company", EntityKind.BUSINESS, "1"), BusinessAttributes(identifiers=(tax_code,)))
    person = _citizen(Identifier(IdentifierType.PERSONAL_ID, "079187000123"))
    for record, identifier in ((firm, tax_code), (person, person.attributes.identifiers[0])):
        keys = identifier_keys(record.key.kind, identifier.type, identifier.value)
        assert keys
        assert keys == WantedIdentifier(record.key.kind, identifier.type, identifier.value).keys
        assert set(keys) <= set(posting_keys(normalise(record).features))


def _citizen(*identifiers: Identifier) -> SourceRecord:
    return SourceRecord(SourceKey("query", EntityKind.CITIZEN, "query"), CitizenAttributes(identifiers=identifiers))
