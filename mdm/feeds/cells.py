"""What the columns of a feed state, part by part of a record: fields, identifiers, addresses, relations."""

from __future__ import annotations

import functools
import itertools
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mdm.declarations.sections import (
    DATE_FIELDS,
    AddressColumns,
    Columns,
    Condition,
    IdentifierColumn,
    RelationColumns,
    columns_of,
    folded_code,
)
from mdm.domain.keys import SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
)
from mdm.limits import RECORD_ID_BYTES_MAX, RECORD_VALUES_MAX

_YEAR_DIGITS = 4
_CELL_PARTS_MAX = RECORD_VALUES_MAX // 2
"""Parts that one cell is split into: a record may carry more values from other columns."""

Column = Sequence[str]
"""One column's cells, in the order of the rows at hand."""

ColumnsOf = Callable[[str], Column]
"""Gives a column of the feed by its name; one that the file does not have is empty throughout."""

Reader = Callable[[ColumnsOf, int], Iterable[Any]]
"""Reads one part of a record for so many rows at once: a loop over a column costs a tenth of a call for each cell."""


class CompiledCondition:
    """A condition, compiled."""

    def __init__(self, declared: Condition) -> None:
        self.column = declared.column
        self._one_of, self._none_of = (
            frozenset(_composed(value.strip()) for value in each) for each in (declared.one_of, declared.none_of)
        )
        self._pattern, self._not_pattern = (
            re.compile(_composed(each)) if each else None for each in (declared.pattern, declared.not_pattern)
        )

    def holds(self, value: str) -> bool:
        """Return whether a row with this cell fulfils it."""
        value = _composed(value.strip())
        return (
            (not self._one_of or value in self._one_of)
            and value not in self._none_of
            and (self._pattern is None or self._pattern.fullmatch(value) is not None)
            and (self._not_pattern is None or self._not_pattern.fullmatch(value) is None)
        )


def _composed(text: str) -> str:
    # Of two files that look alike one may write an accented letter as two characters.
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def record_id_in(text: str) -> str:
    """Return the record id that a cell states: one key however it is encoded and whatever spaces pad it."""
    return unicodedata.normalize("NFC", text.strip())


def compiled(declared: Condition | None) -> CompiledCondition | None:
    """Compile a condition, if there is one."""
    return None if declared is None else CompiledCondition(declared)


def together(readers: Sequence[Reader]) -> Reader:
    """Return a reader of tuples, one behind the other for each row."""

    def read(columns: ColumnsOf, count: int) -> Iterable[Any]:
        found = [reader(columns, count) for reader in readers]
        return functools.reduce(lambda left, right: map(operator.add, left, right), found, itertools.repeat((), count))

    return readers[0] if len(readers) == 1 else read


def list_reader(readers: Sequence[Reader], join: Callable[[Sequence[Any]], Any]) -> Reader:
    """Return a reader of all values that several columns state for one list of a record.

    More than a record may carry never cost it: those beyond the bound are joined to one, which keeps them as written.
    """
    read = together(readers)
    if len(readers) * _CELL_PARTS_MAX <= RECORD_VALUES_MAX:
        return read
    last = RECORD_VALUES_MAX - 1
    return lambda columns, count: [
        found if len(found) <= RECORD_VALUES_MAX else (*found[:last], join(found[last:]))
        for found in read(columns, count)
    ]


def joined_identifiers(several: Sequence[Identifier]) -> Identifier:
    """Return identifiers as one that holds them all: malformed, so that it is no evidence and is counted."""
    return Identifier(several[0].type, ";".join(each.value for each in several), several[0].assurance)


def field_reader(field: str, columns: Columns, translations: Mapping[str, str], date_pattern: str) -> Reader:
    """Return a reader of a single-valued attribute."""
    read = _texts_reader(columns, "/" if field in DATE_FIELDS else " ")
    if translations:
        return _mapped(read, _translator(translations))
    return _mapped(read, _date_reader(re.compile(date_pattern))) if date_pattern else read


def _texts_reader(named: Columns, separator: str) -> Reader:
    """Return a reader of one column, or of the filled cells of several with a separator between."""
    if isinstance(named, str):
        return lambda columns, _count: columns(named)

    def read(columns: ColumnsOf, _count: int) -> list[str]:
        return [separator.join(filter(None, map(str.strip, cells))) for cells in zip(*map(columns, named), strict=True)]

    return read


def _mapped(read: Reader, change: Callable[[str], str]) -> Reader:
    return lambda columns, count: [change(text) for text in read(columns, count)]


def _translator(translations: Mapping[str, str]) -> Callable[[str], str]:
    codes = {folded_code(code): value for code, value in translations.items()}
    # Nearly every cell is a code as the file lists it.
    listed = dict(translations)

    def translated(text: str) -> str:
        value = listed.get(text.strip())
        return codes.get(folded_code(text), text) if value is None else value

    return translated


def _date_reader(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        match = pattern.fullmatch(text.strip())
        parts = match.groupdict() if match else {}
        year, month, day = (parts.get(name) or "" for name in ("year", "month", "day"))
        # Of a year in two digits nobody knows the century: it stays as written, and is no evidence.
        if len(year) != _YEAR_DIGITS:
            return text
        if not month:
            return year
        return f"{year}-{month.zfill(2)}-{day.zfill(2)}" if day else f"{year}-{month.zfill(2)}"

    return read


def parts_reader(name: str, separator: str) -> Reader:
    """Return a reader of the texts that a column states."""
    if not separator:
        return lambda columns, _count: [(text,) if text and not text.isspace() else () for text in columns(name)]
    return lambda columns, _count: [tuple(_parts(text, separator)) if text else () for text in columns(name)]


def identifier_reader(declared: IdentifierColumn) -> Reader:
    """Return a reader of the identifiers that a column states."""
    condition = compiled(declared.when)
    read = _unconditional_identifier_reader(declared)
    if condition is None:
        return read
    column, holds = condition.column, condition.holds
    return lambda columns, count: [
        found if found and holds(value) else ()
        for found, value in zip(read(columns, count), columns(column), strict=True)
    ]


def _unconditional_identifier_reader(declared: IdentifierColumn) -> Reader:
    type_, assurance = IdentifierType(declared.type), Assurance(declared.assurance)
    pattern = re.compile(declared.pattern) if declared.pattern else None
    if pattern is None and not declared.separator:
        return lambda columns, _count: [
            (Identifier(type_, text, assurance),) if text and not text.isspace() else ()
            for text in columns(declared.column)
        ]

    def found(text: str) -> Iterator[Identifier]:
        for part in _parts(text, declared.separator):
            if pattern is None:
                yield Identifier(type_, part, assurance)
            elif (match := pattern.fullmatch(part.strip())) is not None:
                yield Identifier(type_, match.group(1) if pattern.groups else match.group(), assurance)

    return lambda columns, _count: [tuple(found(text)) if text else () for text in columns(declared.column)]


def address_reader(declared: AddressColumns) -> Reader:
    """Return a reader of an address."""
    kind = AddressKind(declared.kind)
    texts = _texts_reader(declared.text if any(columns_of(declared.text)) else "", ", ")

    def read(columns: ColumnsOf, count: int) -> Iterable[Any]:
        return [
            (Address(kind, text, ward_code),) if text.strip() or ward_code.strip() else ()
            for text, ward_code in zip(texts(columns, count), columns(declared.ward_code), strict=True)
        ]

    return read


def with_keys(read: Callable[[ColumnsOf, int, list[SourceKey]], Iterable[Any]], keys: list[SourceKey]) -> Reader:
    """Return a reader for records with these keys."""
    return lambda columns, count: read(columns, count, keys)


class RelationReader:
    """Reads a relation of each row."""

    def __init__(self, declared: RelationColumns) -> None:
        """Compile a declaration."""
        self._declared = declared
        self._type = RelationType(declared.type)
        self._condition = compiled(declared.when)
        self._identifiers = list_reader([identifier_reader(item) for item in declared.identifiers], joined_identifiers)

    def read(self, columns: ColumnsOf, count: int, keys: list[SourceKey]) -> Iterable[tuple[Relation, ...]]:
        """Return the relation that each row states, if it does."""
        declared = self._declared
        names = (declared.name, declared.role, declared.group_id, declared.record_id, declared.phone)
        condition = self._condition
        values = columns(condition.column) if condition else itertools.repeat("", count)
        return [
            # Most rows leave most relations empty.
            self._relation(key, texts, identifiers)
            if (identifiers or any(texts)) and (condition is None or condition.holds(value))
            else ()
            for key, value, identifiers, texts in zip(
                keys,
                values,
                self._identifiers(columns, count),
                zip(*map(columns, names), strict=True),
                strict=True,
            )
        ]

    def _relation(
        self, key: SourceKey, texts: tuple[str, str, str, str, str], identifiers: tuple[Identifier, ...]
    ) -> tuple[Relation, ...]:
        name, role, group_id, other_id, phone = texts
        if not identifiers and not any(map(str.strip, texts)):
            return ()
        if self._declared.is_same_record_id:
            # The other record exists only where its name is stated.
            other_id = key.record_id if name.strip() else ""
        if other_id:
            other_id = record_id_in(other_id)
            if len(other_id.encode()) > RECORD_ID_BYTES_MAX:
                # No record can have such an id, and it must not cost this row its own record.
                other_id = ""
        return (Relation(self._type, name, role or self._declared.role_text, group_id, other_id, phone, identifiers),)


def _parts(value: str, separator: str) -> list[str]:
    # What is beyond the bound stays in the last part: kept as written, and flagged as malformed.
    parts = value.split(separator, _CELL_PARTS_MAX - 1) if separator else [value]
    return [part for part in parts if part.strip()]
