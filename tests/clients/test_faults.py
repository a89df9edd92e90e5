"""What cannot travel is refused by its field and rule, never by its value."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from mdm_client import (
    Address,
    CitizenAttributes,
    EntityKind,
    Identifier,
    IdentifierType,
    InvalidArgumentError,
    Relation,
    RelationType,
    SourceKey,
    SourceRecord,
    content_digest,
)
from mdm_client.wire import attributes_to_wire, key_to_wire, record_to_wire

KEY = SourceKey("hospital", EntityKind.CITIZEN, "1")
GIVEN = "Hoài"
NO_UTF8 = f"{GIVEN}\ud800"
NOT_UTF8 = "must be text in UTF-8, without lone surrogates"

# What a caller's type checker would refuse, too.
FAULTS: list[tuple[Callable[[Any], object], Any, tuple[str, str]]] = [
    (record_to_wire, SourceRecord(KEY, CitizenAttributes(full_name=NO_UTF8)), ("attributes.full_name", NOT_UTF8)),
    (
        record_to_wire,
        SourceRecord(KEY, CitizenAttributes(birth_date=dt.date(1990, 1, 31))),  # type: ignore[arg-type]
        ("attributes.birth_date", "must be text, not date"),
    ),
    (
        record_to_wire,
        SourceRecord(KEY, CitizenAttributes(), dt.datetime(2025, 1, 1, tzinfo=dt.UTC)),  # type: ignore[arg-type]
        ("updated_at", "must be text, not datetime"),
    ),
    (
        attributes_to_wire,
        CitizenAttributes(identifiers=(Identifier(IdentifierType.PERSONAL_ID, 79085001234),)),  # type: ignore[arg-type]
        ("attributes.identifiers[0].value", "must be text, not int"),
    ),
    (
        attributes_to_wire,
        CitizenAttributes(phones=("0903123456", NO_UTF8)),
        ("attributes.phones[1]", NOT_UTF8),
    ),
    (
        attributes_to_wire,
        CitizenAttributes(relations=(Relation(RelationType.MOTHER, name=NO_UTF8),)),
        ("attributes.relations[0].name", NOT_UTF8),
    ),
    (
        attributes_to_wire,
        CitizenAttributes(addresses=(Address("home", GIVEN),)),  # type: ignore[arg-type]
        ("attributes.addresses[0].kind", "must be one of AddressKind"),
    ),
    (
        attributes_to_wire,
        CitizenAttributes(addresses=(GIVEN,)),  # type: ignore[arg-type]
        ("attributes.addresses[0]", "must be a record's part, not str"),
    ),
    (attributes_to_wire, CitizenAttributes(phones=7), ("attributes.phones", "must be a tuple, not int")),  # type: ignore[arg-type]
    (key_to_wire, SourceKey("hospital", EntityKind.CITIZEN, NO_UTF8), ("key.record_id", NOT_UTF8)),
    (content_digest, SourceRecord(KEY, CitizenAttributes(sex=NO_UTF8)), ("attributes.sex", NOT_UTF8)),
    (
        content_digest,
        SourceRecord(KEY, CitizenAttributes(full_name=None)),  # type: ignore[arg-type]
        ("attributes.full_name", "must be text, not NoneType"),
    ),
]


@pytest.mark.parametrize(("convert", "value", "fault"), FAULTS, ids=[" ".join(case[2]) for case in FAULTS])
def test_what_cannot_travel_is_named(convert: Callable[[Any], object], value: Any, fault: tuple[str, str]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        convert(value)
    assert [(each.field, each.rule) for each in caught.value.field_violations] == [fault]
    assert caught.value.reason == "INVALID_FIELD"
    assert GIVEN not in "".join(traceback.format_exception(caught.value))


def test_all_that_is_wrong_is_named_together() -> None:
    bad = CitizenAttributes(full_name=NO_UTF8, birth_date=dt.date(1990, 1, 31))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError) as caught:
        attributes_to_wire(bad)
    found = [each.field for each in caught.value.field_violations]
    assert found == ["attributes.full_name", "attributes.birth_date"]


def test_what_can_travel_is_not_accused_beside_what_cannot() -> None:
    attributes = CitizenAttributes(full_name=b"Lan", birth_date=dt.date(1990, 1, 31))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError) as caught:
        record_to_wire(SourceRecord(KEY, attributes))
    assert [each.field for each in caught.value.field_violations] == ["attributes.birth_date"]
