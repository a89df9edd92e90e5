"""What a mapping can say beyond one column for one value: conditions, several columns, codes, patterns of dates."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal

import msgspec
import pytest

from mdm.config import Configuration, parse_declaration
from mdm.declarations.sections import Condition
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import Address, AddressKind, Assurance, Identifier, IdentifierType, Relation, RelationType
from mdm.feeds.cells import CompiledCondition
from mdm.feeds.mapping import DeleteOperation, RowMapper, UpsertOperation
from mdm.feeds.reading import Row
from mdm.feeds.rejects import Reject

PAYEES = """
[registries.budget]
title = "Budget payees"
trust_rank = 6

[[registries.budget.feeds.payees.records]]
kind = "citizen"
when = { column = "payee", not_pattern = "(?i)(công ty|hkd) .*" }
phones = ["phone"]
identifiers = [
    { type = "personal_id", column = "doc", assurance = "chip_read", when = { column = "proof", one_of = ["chip"] } },
    { type = "personal_id", column = "doc", when = { column = "proof", none_of = ["chip", ""] } },
]
addresses = [{ kind = "contact", text = ["house", "street", "ward", "district"], ward_code = "unit" }]
fields = { full_name = ["family", "given"], birth_date = ["day", "month", "year"], died_on = "died", sex = "gender" }
translations = { sex = { nam = "M", "nữ" = "F" } }
date_patterns = { died_on = '(?P<month>\\d+)-(?P<day>\\d+)-(?P<year>\\d+)' }

[[registries.budget.feeds.payees.records]]
kind = "business"
when = { column = "payee", pattern = "(?i)(công ty|hkd) .*" }
identifiers = [{ type = "tax_code", column = "doc", assurance = "sighted" }]
relations = [
    { type = "owner", name = "agent", is_same_record_id = true, when = { column = "payee", none_of = ["HKD Mai"] } },
]
fields = { legal_name = "payee" }
"""
TYPED = Configuration.of(
    parse_declaration(
        PAYEES.replace('not_pattern = "(?i)(công ty|hkd) .*"', 'one_of = ["person"]')
        .replace('pattern = "(?i)(công ty|hkd) .*"', 'one_of = ["firm"]')
        .encode()
    )
)
CONFIGURATION = Configuration.of(parse_declaration(PAYEES.encode()))


def rows(*cells: dict[str, str]) -> list[Any]:
    """Return the operations of rows that have the same columns."""
    mapper = RowMapper(CONFIGURATION, "budget.payees", tuple(cells[0]))
    return mapper.batch([Row(line, tuple(row.values())) for line, row in enumerate(cells, start=2)])


def citizen(**cells: str) -> Any:
    (operations,) = rows({"record_id": "1", "payee": "Hồ Lan"} | cells)
    (record,) = (each.record for each in operations if isinstance(each, UpsertOperation))
    return record.attributes


def test_each_row_of_a_mixed_file_is_one_kind_and_withdraws_the_other() -> None:
    found = rows({"record_id": "1", "payee": "Hồ Lan"}, {"record_id": "2", "payee": "Công ty An Phú"})
    told = [
        [(type(each), (each.record.key if isinstance(each, UpsertOperation) else each.key).kind) for each in row]
        for row in found
    ]
    assert told == [
        [(UpsertOperation, EntityKind.CITIZEN), (DeleteOperation, EntityKind.BUSINESS)],
        [(DeleteOperation, EntityKind.CITIZEN), (UpsertOperation, EntityKind.BUSINESS)],
    ]


def test_a_row_that_is_withdrawn_withdraws_both_kinds() -> None:
    (found,) = rows({"record_id": "1", "payee": "Hồ Lan", "operation": "delete"})
    assert {each.key for each in found} == {SourceKey("budget", kind, "1") for kind in EntityKind}


def test_a_row_that_fulfils_no_condition_is_set_aside_and_not_lost() -> None:
    mapper = RowMapper(TYPED, "budget.payees", ("record_id", "payee", "operation"))
    found = mapper.batch([Row(2, ("1", "person", "")), Row(3, ("2", "ship", "")), Row(4, ("3", "ship", "delete"))])
    assert [type(each) for each in found] == [tuple, Reject, tuple]
    assert isinstance(found[1], Reject)
    assert (found[1].line, found[1].field, found[1].is_record_known) == (3, "when", True)
    # With --full its record must not be taken to be gone.
    assert mapper.has_seen("citizen", "2")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_rows_mapped_together_are_mapped_as_each_alone(size: int) -> None:
    cells = [{"record_id": str(n), "payee": "HKD Mai" if n % 3 else "Lê Mai", "doc": str(n)} for n in range(size)]
    assert rows(*cells) == [row for each in cells for row in rows(each)]


@pytest.mark.parametrize(
    ("proof", "identifiers"),
    [
        ("chip", (Identifier(IdentifierType.PERSONAL_ID, "079", Assurance.CHIP_READ),)),
        (" chip ", (Identifier(IdentifierType.PERSONAL_ID, "079", Assurance.CHIP_READ),)),
        ("copy", (Identifier(IdentifierType.PERSONAL_ID, "079", Assurance.STATED),)),
        ("", ()),
    ],
)
def test_how_far_an_identifier_is_believed_can_depend_on_the_row(proof: str, identifiers: tuple[Identifier]) -> None:
    assert citizen(doc="079", proof=proof).identifiers == identifiers


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"house": "12", "street": "Lê Lợi", "ward": "Bến Nghé", "district": "Quận 1"}, "12, Lê Lợi, Bến Nghé, Quận 1"),
        ({"house": " ", "street": " Lê Lợi ", "ward": "", "district": "Quận 1"}, "Lê Lợi, Quận 1"),
    ],
)
def test_an_address_is_joined_from_its_columns(cells: dict[str, str], text: str) -> None:
    assert citizen(**cells).addresses == (Address(AddressKind.CONTACT, text),)


def test_an_address_of_empty_columns_is_none() -> None:
    assert citizen(house="", street=" ").addresses == ()
    assert citizen(house="", unit="26740").addresses == (Address(AddressKind.CONTACT, "", "26740"),)


@pytest.mark.parametrize(
    ("cells", "born"),
    [
        ({"day": "3", "month": "5", "year": "1990"}, "3/5/1990"),
        ({"day": "", "month": "5", "year": "1990"}, "5/1990"),
        ({"day": "", "month": "", "year": "1990"}, "1990"),
        ({"day": "", "month": "", "year": ""}, ""),
    ],
)
def test_a_date_is_joined_from_its_columns(cells: dict[str, str], born: str) -> None:
    assert citizen(**cells).birth_date == born


def test_a_name_is_joined_from_its_columns() -> None:
    assert citizen(family="Hồ", given="Ngọc Lan").full_name == "Hồ Ngọc Lan"


@pytest.mark.parametrize(
    ("written", "stored"),
    [("nam", "M"), ("Nam ", "M"), ("NỮ", "F"), ("nữ", "F"), ("khác", "khác"), ("", "")],
)
def test_a_code_is_translated_whatever_its_case_and_unicode_form(written: str, stored: str) -> None:
    assert citizen(gender=written).sex == stored


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("5-3-1990", "1990-05-03"),
        ("12-31-2001", "2001-12-31"),
        ("5-3-90", "5-3-90"),
        ("1990-05-03", "1990-05-03"),
        ("", ""),
    ],
)
def test_a_date_of_another_form_is_read_by_its_pattern(written: str, stored: str) -> None:
    assert citizen(died=written).died_on == stored


@pytest.mark.parametrize(("payee", "count"), [("Công ty Mai", 1), ("HKD Mai", 0)])
def test_a_relation_can_depend_on_the_row(payee: str, count: int) -> None:
    (found,) = rows({"record_id": "1", "payee": payee, "agent": "Lê Mai"})
    (record,) = (each.record for each in found if isinstance(each, UpsertOperation))
    relation = Relation(RelationType.OWNER, name="Lê Mai", record_id="1")
    assert record.attributes.relations == (relation,) * count


def test_every_column_that_a_condition_reads_is_a_column_of_the_feed() -> None:
    assert {"payee", "proof", "house", "unit", "day"} <= CONFIGURATION.feed("budget.payees").columns


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("condition", ['pattern = "công ty .*"', 'one_of = ["công ty Mai "]'])
def test_a_condition_holds_whichever_way_an_accented_letter_is_written(
    condition: str, form: Literal["NFC", "NFD"]
) -> None:
    pairs: list[tuple[Literal["NFC", "NFD"], Literal["NFC", "NFD"]]] = [(form, "NFC"), ("NFC", form)]
    for declared, cell in pairs:
        condition_of = unicodedata.normalize(declared, f'column = "payee"\n{condition}')
        holds = CompiledCondition(msgspec.toml.decode(condition_of, type=Condition)).holds
        assert holds(unicodedata.normalize(cell, " công ty Mai"))
        assert not holds("cong ty Mai")


def test_rows_of_a_file_without_the_column_of_the_conditions_are_set_aside_but_for_deletes() -> None:
    mapper = RowMapper(CONFIGURATION, "budget.payees", ("record_id", "operation"))
    unsaid, deleted = mapper.batch([Row(2, ("1", "")), Row(3, ("2", "delete"))])
    assert isinstance(unsaid, Reject)
    assert unsaid.field == "when"
    assert isinstance(deleted, tuple)
    assert len(deleted) == 2


def test_a_withdrawal_says_when_the_row_changed_that_asks_for_it() -> None:
    withdrawn, _ = rows({"record_id": "1", "payee": "HKD Mai", "updated_at": "2025-01-02"})[0]
    assert withdrawn == DeleteOperation(SourceKey("budget", EntityKind.CITIZEN, "1"), "2025-01-02", is_implied=True)
