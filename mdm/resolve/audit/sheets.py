"""What reviewers fill in: one CSV file each, with two records a row and nothing that tells what the machine thinks.

Written for spreadsheets and read back from them: byte order mark, semicolons, tabs and carriage returns are taken as
they come, values are kept from turning into numbers, dates or formulas, and a row whose cells were sorted apart is
found by its check.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from mdm.domain.keys import EntityKind
from mdm.domain.records import (
    Address,
    Assurance,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.errors import AuditFileError
from mdm.resolve.audit.agreement import Label
from mdm.resolve.audit.design import random_numbers
from mdm.resolve.audit.sampling import FORMAT_VERSION, Audit, Key, derived_seed, shuffled
from mdm.store.files import replace_file

PRIVATE_MODE = 0o600
"""Sheets hold personal data, keys tell what the machine thinks: the owner alone reads them."""

REVIEWERS = ("A", "B")

_ITEM, _LABEL, _COMMENT, _CHECK = "item", "label", "comment", "check"
_HEAD = (_ITEM, _LABEL, _COMMENT)
_SIDES = ("left", "right")
_DELIMITERS = ",;\t"
_SHOWN_MAX = 5
"""Lines or items that one message names."""

_SHEET_FIELDS = {
    EntityKind.CITIZEN: (
        *("registry", "full_name", "other_name", "birth_date", "sex", "birth_order"),
        *("personal_id", "old_personal_id", "passport", "social_insurance_number", "health_card"),
        *("phones", "addresses", "mother", "father", "guardian", "spouse", "household", "employer"),
        *("nationality", "ethnicity", "died_on", "updated_at"),
    ),
    EntityKind.BUSINESS: (
        *("registry", "legal_name", "short_name", "foreign_name", "form", "tax_code", "phones", "addresses"),
        *("legal_representative", "owner", "branch_of", "established_on", "status", "updated_at"),
    ),
}
"""In the order in which people compare."""


class Row(msgspec.Struct):
    """One item as a reviewer sees it."""

    item: str
    label: str
    """Empty until it is given."""
    comment: str
    cells: tuple[str, ...]
    """Left and right value of each field by turns."""


class Sheet(msgspec.Struct):
    """One reviewer's file."""

    fields: tuple[str, ...]
    rows: list[Row]
    delimiter: str = ","

    def text(self) -> str:
        """Return the file's content, its byte order mark included: without it spreadsheets misread Vietnamese."""
        written = io.StringIO()
        writer = csv.writer(written, delimiter=self.delimiter, lineterminator="\r\n")
        writer.writerow([*_HEAD, *_columns(self.fields), _CHECK])
        for row in self.rows:
            cells = [_as_text(cell) for cell in row.cells]
            writer.writerow([row.item, row.label, _as_text(row.comment), *cells, _check(row)])
        return "\ufeff" + written.getvalue()

    def save(self, path: Path) -> None:
        """Write the file in one step, for its owner alone."""
        replace_file(path, self.text(), PRIVATE_MODE)


def sheets_of(audit: Audit) -> dict[str, Sheet]:
    """Return a sheet for each reviewer: the same items, each in an order and with sides of its own."""
    items = audit.key.items
    fields = fields_of(audit.key.kind)
    lefts = np.array([item.left for item in items], dtype=np.int64)
    rights = np.array([item.right for item in items], dtype=np.int64)
    sheets = {}
    for reviewer in REVIEWERS:
        order = shuffled(lefts, rights, audit.key.seed, f"order of {reviewer}")
        coins = random_numbers(lefts, rights, derived_seed(audit.key.seed, f"sides of {reviewer}"))
        rows = []
        for place in order:
            item = items[int(place)]
            sides = (item.left, item.right) if int(coins[place]) % 2 else (item.right, item.left)
            left, right = (values_of(audit.records[number]) for number in sides)
            cells = tuple(value for field in fields for value in (left[field], right[field]))
            rows.append(Row(item.id, "", "", cells))
        sheets[reviewer] = Sheet(fields, rows)
    return sheets


def fields_of(kind: EntityKind) -> tuple[str, ...]:
    """Return the fields of a sheet, in the order in which people compare."""
    return _SHEET_FIELDS[kind]


def values_of(record: SourceRecord) -> dict[str, str]:
    """Return what a record says, as its registry wrote it, by field of the sheet; several values one after another."""
    attributes = record.attributes
    values: dict[str, list[str]] = {str(type_): [] for type_ in (*IdentifierType, *RelationType)}
    values |= {field: [value] for field, value in msgspec.structs.asdict(attributes).items() if isinstance(value, str)}
    for identifier in attributes.identifiers:
        values[identifier.type].append(_identifier(identifier))
    for relation in attributes.relations:
        values[relation.type].append(_relation(relation))
    values["phones"] = list(attributes.phones)
    values["addresses"] = [_address(address) for address in attributes.addresses]
    values["registry"], values["updated_at"] = [record.key.registry], [record.updated_at]
    return {
        field: " ; ".join(" ".join(value.split()) for value in values[field] if value.strip())
        for field in fields_of(record.key.kind)
    }


def _identifier(identifier: Identifier) -> str:
    return f"{identifier.value} (guardian's)" if identifier.assurance is Assurance.GUARDIAN else identifier.value


def _relation(relation: Relation) -> str:
    numbers = [each.value for each in relation.identifiers]
    parts = (relation.name, relation.role, relation.group_id, relation.record_id, relation.phone, *numbers)
    return ", ".join(part for part in parts if part)


def _address(address: Address) -> str:
    return f"{address.text} [ward {address.ward_code}]" if address.ward_code else address.text


def read_sheet(path: Path) -> Sheet:
    """Read a sheet, filled in or not, in whatever form a spreadsheet left it.

    Raises:
        AuditFileError: Not a sheet of an audit, or a row that no longer is what was handed out.
    """
    table, delimiter = _table(path)
    head, rows = _without_empty_end(table[0][1], 0), table[1:]
    fields = tuple(name.removeprefix("left_") for name in head[len(_HEAD) : -1 : 2])
    if tuple(head) != (*_HEAD, *_columns(fields), _CHECK) or not fields:
        raise AuditFileError(f"{path.name} line 1", "must be the header that `mdm audit sample` wrote")
    found: dict[str, Row] = {}
    for line, all_cells in rows:
        where, cells = f"{path.name} line {line}", _without_empty_end(all_cells, len(head))
        if len(cells) != len(head):
            raise AuditFileError(where, f"must have {len(head)} columns and has {len(cells)}")
        item, label, comment, *values, check = (_as_read(cell) for cell in cells)
        row = Row(item, label.casefold(), comment, tuple(values))
        if item in found:
            raise AuditFileError(where, f"item {item} stands twice")
        if row.label and row.label not in set(Label):
            raise AuditFileError(where, f"the label of item {item} must be same, different or unsure")
        if check != _check(row):
            raise AuditFileError(
                where, f"the values are not those of item {item}: were columns sorted apart, or values changed?"
            )
        found[item] = row
    return Sheet(fields, list(found.values()), delimiter)


def labels_of(path: Path, key: Key, expected: Mapping[str, object] | None = None) -> dict[str, Label]:
    """Read the labels of a finished sheet.

    Args:
        path: The sheet.
        key: Of its audit.
        expected: The items that it must hold, by default all of the audit.

    Raises:
        AuditFileError: Not this audit's, items missing or too many, or items without a label.
    """
    sheet = read_sheet(path)
    found = {row.item: row.label for row in sheet.rows}
    wanted = {item.id: None for item in key.items} if expected is None else expected
    strangers = [item for item in found if item.partition("-")[0] != key.audit]
    if strangers:
        raise AuditFileError(path.name, f"belongs to audit {strangers[0].partition('-')[0]}, the key to {key.audit}")
    for rule, items in (
        ("lacks rows of the audit", [item for item in wanted if item not in found]),
        ("holds rows that were not asked for", [item for item in found if item not in wanted]),
        ("has items without a label: `mdm audit label` goes on", [item for item in found if not found[item]]),
    ):
        if items:
            more = f" and {len(items) - _SHOWN_MAX:,} more" if len(items) > _SHOWN_MAX else ""
            raise AuditFileError(path.name, f"{rule} ({', '.join(sorted(items)[:_SHOWN_MAX])}{more})")
    return {item: Label(label) for item, label in found.items()}


def save_key(key: Key, path: Path) -> None:
    """Write the key, for its owner alone."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(key), indent=1).decode() + "\n", PRIVATE_MODE)


def read_key(path: Path) -> Key:
    """Read a key.

    Raises:
        AuditFileError: Not the key of an audit, or of another version.
    """
    try:
        key = msgspec.json.decode(path.read_bytes(), type=Key)
    except msgspec.DecodeError as error:
        raise AuditFileError(path.name, "is not the key that `mdm audit sample` wrote") from error
    if key.format_version != FORMAT_VERSION:
        raise AuditFileError(path.name, f"is of format {key.format_version}; this release reads {FORMAT_VERSION}")
    return key


def _table(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """Return the rows that hold anything, each with its line, and what separates the columns."""
    body = path.read_bytes()
    try:
        text = body.decode("utf-16" if body[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AuditFileError(path.name, 'must be UTF-8: save it as "CSV UTF-8"') from error
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        table = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise AuditFileError(f"{path.name} line {reader.line_num}", "is not CSV") from error
    if not table:
        raise AuditFileError(path.name, "is empty")
    return table, delimiter


def _without_empty_end(cells: list[str], length: int) -> list[str]:
    """Return the cells without the empty columns that spreadsheets add, down to a length."""
    while len(cells) > length and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _columns(fields: tuple[str, ...]) -> list[str]:
    return [f"{side}_{field}" for field in fields for side in _SIDES]


def _as_text(value: str) -> str:
    """Keep a spreadsheet from making a number, a date or a formula of it."""
    return value if not value or value[0].isalpha() else f"'{value}"


def _as_read(cell: str) -> str:
    return cell.strip().removeprefix("'")


def _check(row: Row) -> str:
    """Return what ties the cells to their item, whatever a spreadsheet does to case, spaces and signs."""
    kept = "\x1f".join(re.sub(r"[\W_]", "", cell.casefold()) for cell in (row.item, *row.cells))
    return "x" + hashlib.blake2b(kept.encode(), digest_size=4).hexdigest()
