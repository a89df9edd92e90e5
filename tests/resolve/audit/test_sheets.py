from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.errors import AuditFileError
from mdm.resolve.audit.agreement import Label
from mdm.resolve.audit.design import Stratum, Way
from mdm.resolve.audit.sampling import FORMAT_VERSION, Audit, Item, Key
from mdm.resolve.audit.sheets import Sheet, labels_of, read_key, read_sheet, save_key, sheets_of, values_of
from tests.resolve.office import business, citizen

ITEMS = 40
NAMES = ["Nguyễn Thị Hoa", "Đỗ Văn Ân", "=HYPERLINK(1)", "+84 903", "'Tí", "Lê; Minh, “An”"]


def made(name: str = "a1") -> Audit:
    """An audit of made-up people, whose names try a spreadsheet's patience."""
    items = tuple(
        Item(f"{name}-{number:05d}", 2 * number + 1, 2 * number + 2, 0, 12.5, "hospital × hospital")
        for number in range(ITEMS)
    )
    records = {
        number: citizen(
            f"P{number}", f"{NAMES[number % len(NAMES)]} {number}", "05/03/1987", personal_id="079187000123"
        )
        for number in range(1, 2 * ITEMS + 1)
    }
    stratum = Stratum(Way.LINKED_DIRECTLY, True, 7.0, None, 900, 1.0, 0.0, {"hospital × hospital": 900}, ITEMS)
    fields = (FORMAT_VERSION, name, EntityKind.CITIZEN, 1, "journal", 9, "model", "epoch", 80, 0, 0, 0, -10.0, 0)
    return Audit(Key(*fields, strata=(stratum,), items=items), records)


def labelled(sheet: Sheet, label: str = "same") -> Sheet:
    return Sheet(sheet.fields, [msgspec.structs.replace(row, label=label) for row in sheet.rows], sheet.delimiter)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A finished sheet."""
    path = tmp_path / "audit.A.csv"
    labelled(sheets_of(made())["A"]).save(path)
    return path


def test_reviewers_see_the_same_items_in_orders_and_with_sides_of_their_own() -> None:
    sheets = sheets_of(made())
    one, other = sheets["A"].rows, sheets["B"].rows
    assert {row.item for row in one} == {row.item for row in other} == {item.id for item in made().key.items}
    assert [row.item for row in one] != [row.item for row in other] != sorted(row.item for row in other)
    cells = {row.item: row.cells for row in other}
    swapped = sum(row.cells != cells[row.item] for row in one)
    assert 0.2 * ITEMS < swapped < 0.8 * ITEMS
    for row in one:
        assert sorted(row.cells) == sorted(cells[row.item])


def test_sheets_are_the_same_for_the_same_audit() -> None:
    assert [sheet.text() for sheet in sheets_of(made()).values()] == [
        sheet.text() for sheet in sheets_of(made()).values()
    ]


def test_a_sheet_tells_nothing_of_what_the_machine_thinks() -> None:
    (head, *rows) = csv.reader(io.StringIO(sheets_of(made())["A"].text().removeprefix("\ufeff")))
    shown = {name.removeprefix("left_").removeprefix("right_") for name in head}
    for told in ("weight", "golden", "stratum", "link", "score", "rank", "record_id"):
        assert not any(told in name for name in shown)
    assert all("12.5" not in cell for row in rows for cell in row)


def test_a_key_holds_no_personal_values(tmp_path: Path) -> None:
    save_key(made().key, tmp_path / "key.json")
    text = (tmp_path / "key.json").read_text(encoding="utf-8")
    for record in made().records.values():
        assert isinstance(record.attributes, CitizenAttributes)
        assert record.attributes.full_name not in text
        assert record.key.record_id not in json.loads(text).values()
    assert "079187000123" not in text
    assert read_key(tmp_path / "key.json") == made().key


def test_files_are_their_owners_alone(path: Path, tmp_path: Path) -> None:
    save_key(made().key, tmp_path / "key.json")
    for file in (path, tmp_path / "key.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit.A.csv", "key.json"]


def test_values_stand_as_the_registry_wrote_them() -> None:
    attributes = CitizenAttributes(
        full_name="  CON BÀ  HOA ",
        birth_date="20250103",
        sex="2",
        identifiers=(
            Identifier(IdentifierType.PERSONAL_ID, "079187000123", Assurance.GUARDIAN),
            Identifier(IdentifierType.HEALTH_CARD, "TE1797938028804", Assurance.SIGHTED),
        ),
        phones=("0903123456", "02838291234"),
        addresses=(Address(AddressKind.CONTACT, "12 Lê Lợi", "26734"), Address(AddressKind.CURRENT, "5 Hai Bà Trưng")),
        relations=(
            Relation(RelationType.MOTHER, "Trần Thị Hoa", identifiers=(Identifier(IdentifierType.PERSONAL_ID, "1"),)),
        ),
    )
    values = values_of(SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "1"), attributes, "2025-01-04"))
    assert {field: value for field, value in values.items() if value} == {
        "registry": "hospital",
        "full_name": "CON BÀ HOA",
        "birth_date": "20250103",
        "sex": "2",
        "personal_id": "079187000123 (guardian's)",
        "health_card": "TE1797938028804",
        "phones": "0903123456 ; 02838291234",
        "addresses": "12 Lê Lợi [ward 26734] ; 5 Hai Bà Trưng",
        "mother": "Trần Thị Hoa, 1",
        "updated_at": "2025-01-04",
    }
    assert values_of(business("B", "Công ty An", tax_code="0312345678"))["tax_code"] == "0312345678"


def test_no_cell_turns_into_a_number_a_date_or_a_formula(path: Path) -> None:
    (_, *rows) = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    for cell in (cell for row in rows for cell in row if cell):
        assert cell[0].isalpha() or cell[0] == "'"


Change = Callable[[bytes], bytes]


def table(change: Callable[[list[list[str]]], object]) -> Change:
    """A change of the cells, saved again as they were."""

    def changed(body: bytes) -> bytes:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
        change(rows)
        written = io.StringIO()
        csv.writer(written).writerows(rows)
        return written.getvalue().encode()

    return changed


def widen(rows: list[list[str]]) -> None:
    rows[:] = [[*row, "", ""] for row in rows]


def with_delimiter(delimiter: str) -> Change:
    def changed(body: bytes) -> bytes:
        written = io.StringIO()
        csv.writer(written, delimiter=delimiter).writerows(
            csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))
        )
        return written.getvalue().encode()

    return changed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda body: body, id="as written"),
        pytest.param(lambda body: body.removeprefix("\ufeff".encode()), id="without byte order mark"),
        pytest.param(lambda body: body.replace(b"\r\n", b"\n"), id="line feeds alone"),
        pytest.param(with_delimiter(";"), id="semicolons"),
        pytest.param(with_delimiter("\t"), id="tabs"),
        pytest.param(lambda body: body.decode("utf-8-sig").encode("utf-16"), id="UTF-16"),
        pytest.param(lambda body: body.replace(b",same,", b", Same ,"), id="a capital and spaces"),
        pytest.param(lambda body: body + b"\r\n,,,\r\n", id="empty lines at the end"),
        pytest.param(table(widen), id="empty columns at the end"),
        pytest.param(table(lambda rows: rows.sort(key=lambda row: (row[0] != "item", row[0]))), id="rows sorted"),
        pytest.param(lambda body: body.replace(b",'", b","), id="apostrophes swallowed"),
        pytest.param(table(lambda rows: rows[3].__setitem__(2, "hỏi lại; =1")), id="a comment"),
    ],
)
def test_whatever_a_spreadsheet_does_the_labels_are_read(path: Path, change: Change) -> None:
    path.write_bytes(change(path.read_bytes()))
    assert labels_of(path, made().key) == {item.id: Label.SAME for item in made().key.items}


def swap_names(rows: list[list[str]]) -> None:
    column = rows[0].index("left_full_name")
    rows[1][column], rows[2][column] = rows[2][column], rows[1][column]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            table(lambda rows: rows[7].__setitem__(1, "yes")), r"line 8: the label of item a1-\d+ must be", id="label"
        ),
        pytest.param(table(lambda rows: rows[7].__setitem__(1, "")), r"without a label.*\(a1-\d+\)", id="no label"),
        pytest.param(table(lambda rows: rows.pop(3)), r"lacks rows of the audit \(a1-\d+\)", id="row missing"),
        pytest.param(table(lambda rows: rows.append(rows[1])), r"line 42: item a1-\d+ stands twice", id="row doubled"),
        pytest.param(table(swap_names), "line 2: the values are not those of item", id="one column sorted alone"),
        pytest.param(table(lambda rows: rows[4].pop()), "line 5: must have", id="cell missing"),
        pytest.param(table(lambda rows: rows[0].__setitem__(1, "Label?")), "line 1: must be the header", id="header"),
        pytest.param(lambda body: body.decode("utf-8-sig").encode("cp1258", "replace"), "must be UTF-8", id="encoding"),
        pytest.param(lambda _: b"", "is empty", id="empty"),
        pytest.param(lambda _: b"PK\x03\x04\x00", "line 1: must be the header", id="a workbook"),
    ],
)
def test_a_sheet_that_is_not_what_was_handed_out_is_refused(path: Path, change: Change, said: str) -> None:
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(AuditFileError, match=said) as refused:
        labels_of(path, made().key)
    for name in NAMES:
        assert name not in str(refused.value)


def test_the_key_of_another_audit_is_refused(path: Path) -> None:
    with pytest.raises(AuditFileError, match=r"audit\.A\.csv: belongs to audit a1, the key to b2"):
        labels_of(path, made("b2").key)


def test_a_third_opinion_is_about_the_disagreements_alone(path: Path) -> None:
    with pytest.raises(AuditFileError, match=r"rows that were not asked for \(.* and 34 more\)"):
        labels_of(path, made().key, {"a1-00001": None})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"item,label\n", "is not the key"),
        (b"{}", "is not the key"),
        (msgspec.json.encode(msgspec.structs.replace(made().key, format_version=7)), "is of format 7"),
    ],
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, body: bytes, said: str) -> None:
    (tmp_path / "key.json").write_bytes(body)
    with pytest.raises(AuditFileError, match=said):
        read_key(tmp_path / "key.json")


def test_a_sheet_keeps_its_form_when_it_is_saved_again(path: Path) -> None:
    path.write_bytes(with_delimiter(";")(path.read_bytes()))
    sheet = read_sheet(path)
    sheet.save(path)
    assert path.read_bytes().startswith("\ufeffitem;label;comment;".encode())
    assert read_sheet(path) == sheet
