"""From rows to operations on source records, as the registries file declares; nothing is cleaned here."""

from __future__ import annotations

import functools
import itertools
import operator
import re
import tomllib
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mdm.config import AddressColumns, Configuration, Feed, IdentifierColumn, RecordMapping, RelationColumns
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
    Attributes,
    BusinessAttributes,
    CitizenAttributes,
    Identifier,
    IdentifierType,
    Relation,
    RelationType,
    SourceRecord,
)
from mdm.errors import ConfigurationError, FeedFileError, InvalidSourceKeyError
from mdm.feeds.reading import Row
from mdm.feeds.rejects import Reject
from mdm.limits import FEED_CELL_CHARACTERS_MAX, RECORD_ID_BYTES_MAX, RECORD_VALUES_MAX

ENTITY_KIND_COLUMN = "entity_kind"
"""A file may state the kind of each row; a row of one kind then only yields that record."""


class UpsertOperation(msgspec.Struct, frozen=True, gc=False):
    """Store a record."""

    record: SourceRecord


class DeleteOperation(msgspec.Struct, frozen=True, gc=False):
    """Withdraw a record."""

    key: SourceKey


Operation = UpsertOperation | DeleteOperation

_DIGEST_MASK = (1 << 64) - 1
_CELL_PARTS_MAX = RECORD_VALUES_MAX // 2
"""Parts that one cell is split into: a record may carry more values from other columns."""

_Column = Sequence[str]
"""One column's cells, in the order of the rows at hand."""

_Columns = Callable[[str], _Column]
"""Gives a column of the feed by its name; one that the file does not have is empty throughout."""

_Reader = Callable[[_Columns, int], Iterable[Any]]
"""Reads one part of a record for so many rows at once: a loop over a column costs a tenth of a call for each cell."""


def read_column_names(path: Path, feed: Feed) -> dict[str, str]:
    """Return a mapping file's table: column of the feed → its name in the file at hand.

    Raises:
        ConfigurationError: The file cannot be read, is no TOML, names a column that the feed does not have, or one name
            twice.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(path.name, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(path.name, f"is no TOML in UTF-8: {error}") from error
    for column, name in table.items():
        if column not in feed.columns | {ENTITY_KIND_COLUMN}:
            raise ConfigurationError(f"{path.name}: {column}", f"must be one of {', '.join(sorted(feed.columns))}")
        if not isinstance(name, str):
            raise ConfigurationError(f"{path.name}: {column}", 'must be text, as in record_id = "MA_BN"')
    if len(set(table.values())) < len(table):
        raise ConfigurationError(path.name, "maps two columns to one name")
    return table


class RowMapper:
    """Turns the rows of one file into operations; remembers the record ids seen, in 16 to 32 bytes each."""

    def __init__(
        self,
        configuration: Configuration,
        feed_name: str,
        columns: Sequence[str],
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Compile the feed's declaration for a file with these columns.

        Args:
            configuration: Declares the feed.
            feed_name: As `registry.feed`.
            columns: The file's columns.
            names: Column of the feed → its name in the file, where they differ.

        Raises:
            UnknownRegistryError: The feed is not declared.
            FeedFileError: The file has no record id column, or lacks one that `names` names.
        """
        feed = configuration.feed(feed_name)
        self.registry = feed_name.partition(".")[0]
        names = names or {}
        missing = sorted(set(names.values()).difference(columns))
        if missing:
            raise FeedFileError(feed_name, f"the mapping names columns that the file lacks: {', '.join(missing)}")
        theirs = {name: column for column, name in names.items()}
        ours = [theirs.get(column, column) for column in columns]
        if feed.record_id not in ours:
            raise FeedFileError(
                feed_name,
                f"no column {feed.record_id}; found {', '.join(columns)}. Name it with --mapping FILE, "
                f'where FILE holds: {feed.record_id} = "their column"',
            )
        self._positions = {column: position for position, column in enumerate(ours)}
        self.unknown_columns = tuple(sorted(set(ours) - feed.columns - {ENTITY_KIND_COLUMN}))
        self.record_count_max = len(feed.records)
        """Operations that one row yields at most."""
        self._feed = feed
        self._builders = {EntityKind(item.kind): _RecordBuilder(item) for item in feed.records}
        self._seen = _SeenIds()
        self._set_aside = _SeenIds()

    def operations(self, row: Row) -> tuple[Operation, ...] | Reject:
        """Return what to do for one row, or why it is set aside; see `batch`, which costs a fraction of it."""
        return self.batch([row])[0]

    def batch(self, rows: Sequence[Row]) -> list[tuple[Operation, ...] | Reject]:
        """Return for each row what to do, or why it is set aside. Hand every row in once, in order."""
        cells = list(zip(*(row.cells for row in rows), strict=True))
        record_ids = [
            unicodedata.normalize("NFC", text) for text in self._column(cells, len(rows), self._feed.record_id)
        ]
        stated = [
            (operation.strip().lower(), kind.strip().lower())
            for operation, kind in zip(
                self._column(cells, len(rows), self._feed.operation),
                self._column(cells, len(rows), ENTITY_KIND_COLUMN),
                strict=True,
            )
        ]
        answers: list[tuple[Operation, ...] | Reject | None] = [
            self._refused(row, record_id, *what) for row, record_id, what in zip(rows, record_ids, stated, strict=True)
        ]
        taken = [place for place, answer in enumerate(answers) if answer is None]
        found = self._yielded(cells, taken, record_ids, stated)
        return [next(found) if answer is None else answer for answer in answers]

    @property
    def kinds(self) -> frozenset[str]:
        """Entity kinds that the feed yields."""
        return frozenset(self._builders)

    def has_seen(self, kind: str, record_id: str) -> bool:
        """Return whether a row so far was about this record, set-aside rows whose record id is known included."""
        texts = (f"\0{record_id}", f"{kind}\0{record_id}")
        return any(text in self._seen for text in texts) or record_id in self._set_aside

    def _refused(self, row: Row, record_id: str, operation: str, kind: str) -> Reject | None:
        """Return why a row is set aside; notes the record ids of the others as seen."""
        if not record_id.strip():
            return Reject(row.line, "record_id", "must not be empty", row.cells)
        if operation not in {"", "upsert", "delete"}:
            return self._rejected(row, record_id, "operation", "must be upsert or delete")
        if kind and kind not in self._builders:
            return self._rejected(row, record_id, "entity_kind", f"must be one of {', '.join(sorted(self._builders))}")
        try:
            SourceKey(self.registry, EntityKind.CITIZEN, record_id).checked()
        except InvalidSourceKeyError as error:
            return Reject(row.line, error.field, error.rule, row.cells)
        if not self._seen.add(f"{kind}\0{record_id}"):
            return self._rejected(row, record_id, "record_id", "stands in an earlier row of this file too")
        return None

    def _yielded(
        self, cells: list[tuple[str, ...]], taken: list[int], record_ids: list[str], stated: list[tuple[str, str]]
    ) -> Iterator[tuple[Operation, ...]]:
        """Yield the operations of the rows that are taken, in order."""
        by_kind = {}
        for kind, builder in self._builders.items():
            places = [place for place in taken if stated[place][1] in {"", kind.value} and stated[place][0] != "delete"]

            def column(name: str, places: list[int] = places) -> _Column:
                whole = self._column(cells, len(record_ids), name)
                return whole if len(places) == len(record_ids) else [whole[place] for place in places]

            keys = [SourceKey(self.registry, kind, record_ids[place]) for place in places]
            built = builder.operations(keys, column, column(self._feed.updated_at))
            by_kind[kind] = dict(zip(places, built, strict=True))
        for place in taken:
            operation, stated_kind = stated[place]
            kinds = (EntityKind(stated_kind),) if stated_kind else tuple(self._builders)
            if operation == "delete":
                yield tuple(DeleteOperation(SourceKey(self.registry, kind, record_ids[place])) for kind in kinds)
            else:
                yield tuple(by_kind[kind][place] for kind in kinds)

    def _rejected(self, row: Row, record_id: str, field: str, reason: str) -> Reject:
        self._set_aside.add(record_id)
        return Reject(row.line, field, reason, row.cells, is_record_known=True)

    def _column(self, cells: list[tuple[str, ...]], count: int, name: str) -> _Column:
        position = self._positions.get(name, -1) if name else -1
        if position < 0 or not cells:
            return ("",) * count
        column = cells[position]
        if max(map(len, column)) > FEED_CELL_CHARACTERS_MAX:
            return [text[:FEED_CELL_CHARACTERS_MAX] for text in column]
        return column


class _RecordBuilder:
    """One record of each row, built column by column."""

    def __init__(self, mapping: RecordMapping) -> None:
        build: type[CitizenAttributes | BusinessAttributes] = (
            CitizenAttributes if EntityKind(mapping.kind) is EntityKind.CITIZEN else BusinessAttributes
        )
        self._build: Callable[..., Attributes] = build
        self._fields = msgspec.structs.fields(build)
        self._required = mapping.required
        self._readers: dict[str, _Reader] = {
            name: _field_reader(column, mapping.translations.get(name, {})) for name, column in mapping.fields.items()
        }
        self._readers["identifiers"] = _together([_identifier_reader(item) for item in mapping.identifiers])
        self._readers["phones"] = _together([_parts_reader(name, mapping.phone_separator) for name in mapping.phones])
        self._readers["addresses"] = _together([_address_reader(item) for item in mapping.addresses])
        relations = [_RelationReader(item) for item in mapping.relations]
        self._relations = [relation.read for relation in relations]
        if mapping.former_names:
            readers = [_parts_reader(name, mapping.former_name_separator) for name in mapping.former_names]
            self._readers["former_names"] = _together(readers)

    def operations(self, keys: list[SourceKey], column: _Columns, updated_at: _Column) -> list[Operation]:
        """Return the operation of each row for this record."""
        count = len(keys)
        readers = self._readers | {
            "relations": _together([_with_keys(read, keys) for read in self._relations]),
        }
        # In the order of the struct's fields, so that no row needs a dictionary of them.
        values = [
            readers[field.name](column, count) if field.name in readers else itertools.repeat(field.default, count)
            for field in self._fields
        ]
        attributes = map(self._build, *values)
        found: list[Operation] = [
            UpsertOperation(SourceRecord(key, each, updated))
            for key, each, updated in zip(keys, attributes, updated_at, strict=True)
        ]
        if self._required:
            stated = column(self._required)
            return [
                operation if text.strip() else DeleteOperation(key)
                for operation, key, text in zip(found, keys, stated, strict=True)
            ]
        return found


def _together(readers: Sequence[_Reader]) -> _Reader:
    """Return a reader of tuples, one behind the other for each row."""

    def read(columns: _Columns, count: int) -> Iterable[Any]:
        found = [reader(columns, count) for reader in readers]
        return functools.reduce(lambda left, right: map(operator.add, left, right), found, itertools.repeat((), count))

    return readers[0] if len(readers) == 1 else read


def _field_reader(name: str, translations: Mapping[str, str]) -> _Reader:
    if not translations:
        return lambda columns, _count: columns(name)
    return lambda columns, _count: [translations.get(text.strip(), text) for text in columns(name)]


def _parts_reader(name: str, separator: str) -> _Reader:
    if not separator:
        return lambda columns, _count: [(text,) if text and not text.isspace() else () for text in columns(name)]
    return lambda columns, _count: [tuple(_parts(text, separator)) if text else () for text in columns(name)]


def _identifier_reader(declared: IdentifierColumn) -> _Reader:
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


def _address_reader(declared: AddressColumns) -> _Reader:
    kind = AddressKind(declared.kind)

    def read(columns: _Columns, _count: int) -> Iterable[Any]:
        return [
            (Address(kind, text, ward_code),) if text.strip() or ward_code.strip() else ()
            for text, ward_code in zip(columns(declared.text), columns(declared.ward_code), strict=True)
        ]

    return read


def _with_keys(read: Callable[[_Columns, int, list[SourceKey]], Iterable[Any]], keys: list[SourceKey]) -> _Reader:
    return lambda columns, count: read(columns, count, keys)


class _RelationReader:
    def __init__(self, declared: RelationColumns) -> None:
        self._declared = declared
        self._type = RelationType(declared.type)
        self._identifiers = _together([_identifier_reader(item) for item in declared.identifiers])

    def read(self, columns: _Columns, count: int, keys: list[SourceKey]) -> Iterable[tuple[Relation, ...]]:
        """Return the relation that each row states, if it does."""
        declared = self._declared
        names = (declared.name, declared.role, declared.group_id, declared.record_id, declared.phone)
        condition = columns(declared.when.column) if declared.when else itertools.repeat("", count)
        return [
            # Most rows leave most relations empty.
            self._relation(key, texts, identifiers) if (identifiers or any(texts)) and self._holds(value) else ()
            for key, value, identifiers, texts in zip(
                keys,
                condition,
                self._identifiers(columns, count),
                zip(*map(columns, names), strict=True),
                strict=True,
            )
        ]

    def _holds(self, value: str) -> bool:
        when = self._declared.when
        if when is None:
            return True
        value = value.strip()
        return value not in when.none_of and (not when.one_of or value in when.one_of)

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
            other_id = unicodedata.normalize("NFC", other_id)
            if len(other_id.encode()) > RECORD_ID_BYTES_MAX:
                # No record can have such an id, and it must not cost this row its own record.
                other_id = ""
        return (Relation(self._type, name, role or self._declared.role_text, group_id, other_id, phone, identifiers),)


class _SeenIds:
    """A set of texts that only grows: an open hash table of 64-bit digests, 16 to 32 bytes for each.

    Two texts share a digest about three times in a million files of ten million rows; the later row is then set aside.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def add(self, text: str) -> bool:
        """Add a text; returns whether it was new."""
        is_new = self._put(_digest(text))
        if is_new:
            self._count += 1
            if 2 * self._count > len(self._slots):
                self._grow()
        return is_new

    def __contains__(self, text: str) -> bool:
        digest = _digest(text)
        return self._slots[self._place(digest)] == digest

    def _put(self, digest: int) -> bool:
        position = self._place(digest)
        is_new = self._slots[position] != digest
        self._slots[position] = digest
        return is_new

    def _place(self, digest: int) -> int:
        """Return the slot that holds the digest, or the free one where it belongs."""
        slots = self._slots
        mask = len(slots) - 1
        position = digest & mask
        while slots[position] not in (0, digest):
            position = position + 1 & mask
        return position

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(2 * 8 * len(old)))
        for digest in old:
            if digest:
                self._put(digest)


def _digest(text: str) -> int:
    # Python's own keyed hash of 64 bits. 0 marks a free slot, so it is no digest.
    return hash(text) & _DIGEST_MASK or 1


def _parts(value: str, separator: str) -> list[str]:
    # What is beyond the bound stays in the last part: kept as written, and flagged as malformed.
    parts = value.split(separator, _CELL_PARTS_MAX - 1) if separator else [value]
    return [part for part in parts if part.strip()]
