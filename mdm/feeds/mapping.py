"""From a row to operations on source records, as the registries file declares; nothing is cleaned here."""

from __future__ import annotations

import hashlib
import re
import tomllib
import unicodedata
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mdm.config import AddressColumns, Configuration, Feed, IdentifierColumn, RecordMapping, RelationColumns
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Address,
    AddressKind,
    Assurance,
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


class UpsertOperation(msgspec.Struct, frozen=True):
    """Store a record."""

    record: SourceRecord


class DeleteOperation(msgspec.Struct, frozen=True):
    """Withdraw a record."""

    key: SourceKey


Operation = UpsertOperation | DeleteOperation

_CELL_PARTS_MAX = RECORD_VALUES_MAX // 2
"""Parts that one cell is split into: a record may carry more values from other columns."""

_Cells = Sequence[str]
_Cell = Callable[[_Cells], str]


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
        self.positions = {column: position for position, column in enumerate(ours)}
        self.unknown_columns = tuple(sorted(set(ours) - feed.columns - {ENTITY_KIND_COLUMN}))
        self.record_count_max = len(feed.records)
        """Operations that one row yields at most."""
        self._builders = {EntityKind(item.kind): _RecordBuilder(item, self._cell) for item in feed.records}
        self._record_id = self._cell(feed.record_id)
        self._operation = self._cell(feed.operation)
        self._updated_at = self._cell(feed.updated_at)
        self._kind = self._cell(ENTITY_KIND_COLUMN)
        self._seen = _SeenIds()
        self._set_aside = _SeenIds()

    def operations(self, row: Row) -> tuple[Operation, ...] | Reject:
        """Return what to do for a row, or why it is set aside. Call it once for each row, in order."""
        cells = row.cells
        record_id = unicodedata.normalize("NFC", self._record_id(cells))
        if not record_id.strip():
            return Reject(row.line, "record_id", "must not be empty", row.cells)
        operation = self._operation(cells).strip().lower()
        if operation not in {"", "upsert", "delete"}:
            return self._rejected(row, record_id, "operation", "must be upsert or delete")
        stated_kind = self._kind(cells).strip().lower()
        if stated_kind and stated_kind not in self._builders:
            return self._rejected(row, record_id, "entity_kind", f"must be one of {', '.join(sorted(self._builders))}")
        kinds = (EntityKind(stated_kind),) if stated_kind else tuple(self._builders)
        keys = [SourceKey(self.registry, kind, record_id) for kind in kinds]
        try:
            keys[0].checked()
        except InvalidSourceKeyError as error:
            return Reject(row.line, error.field, error.rule, row.cells)
        if not self._seen.add(f"{stated_kind}\0{record_id}"):
            return self._rejected(row, record_id, "record_id", "stands in an earlier row of this file too")
        if operation == "delete":
            return tuple(DeleteOperation(key) for key in keys)
        updated_at = self._updated_at(cells)
        return tuple(self._builders[key.kind].operation(key, cells, updated_at) for key in keys)

    @property
    def kinds(self) -> frozenset[str]:
        """Entity kinds that the feed yields."""
        return frozenset(self._builders)

    def has_seen(self, kind: str, record_id: str) -> bool:
        """Return whether a row so far was about this record, set-aside rows whose record id is known included."""
        texts = (f"\0{record_id}", f"{kind}\0{record_id}")
        return any(text in self._seen for text in texts) or record_id in self._set_aside

    def _rejected(self, row: Row, record_id: str, field: str, reason: str) -> Reject:
        self._set_aside.add(record_id)
        return Reject(row.line, field, reason, row.cells, is_record_known=True)

    def _cell(self, column: str) -> _Cell:
        position = self.positions.get(column, -1) if column else -1
        if position < 0:
            return _nothing
        return lambda cells: cells[position][:FEED_CELL_CHARACTERS_MAX]


class _RecordBuilder:
    """One record of a row, compiled: each value is read by position."""

    def __init__(self, mapping: RecordMapping, cell: Callable[[str], _Cell]) -> None:
        self._kind = EntityKind(mapping.kind)
        self._required = cell(mapping.required) if mapping.required else None
        self._fields = [
            (name, cell(column), mapping.translations.get(name, {})) for name, column in mapping.fields.items()
        ]
        self._identifiers = [_IdentifierReader(item, cell) for item in mapping.identifiers]
        self._phones = [cell(column) for column in mapping.phones]
        self._phone_separator = mapping.phone_separator
        self._former_names = [cell(column) for column in mapping.former_names]
        self._former_name_separator = mapping.former_name_separator
        self._addresses = [_address_reader(item, cell) for item in mapping.addresses]
        self._relations = [_RelationReader(item, cell) for item in mapping.relations]

    def operation(self, key: SourceKey, cells: _Cells, updated_at: str) -> Operation:
        """Return the operation for this record of the row."""
        if self._required is not None and not self._required(cells).strip():
            return DeleteOperation(key)
        fields: dict[str, Any] = {}
        for name, cell, translations in self._fields:
            value = cell(cells)
            fields[name] = translations.get(value.strip(), value) if translations else value
        identifiers = tuple(item for reader in self._identifiers for item in reader.read(cells))
        phones = tuple(part for cell in self._phones for part in _parts(cell(cells), self._phone_separator))
        addresses = tuple(address for read in self._addresses if (address := read(cells)))
        relations = tuple(found for reader in self._relations if (found := reader.read(cells, key.record_id)))
        build = CitizenAttributes if self._kind is EntityKind.CITIZEN else BusinessAttributes
        attributes = build(**fields, identifiers=identifiers, phones=phones, addresses=addresses, relations=relations)
        former = tuple(part for cell in self._former_names for part in _parts(cell(cells), self._former_name_separator))
        if former and isinstance(attributes, BusinessAttributes):
            attributes = msgspec.structs.replace(attributes, former_names=former)
        return UpsertOperation(SourceRecord(key, attributes, updated_at))


class _IdentifierReader:
    def __init__(self, declared: IdentifierColumn, cell: Callable[[str], _Cell]) -> None:
        self._type = IdentifierType(declared.type)
        self._assurance = Assurance(declared.assurance)
        self._cell = cell(declared.column)
        self._separator = declared.separator
        self._pattern = re.compile(declared.pattern) if declared.pattern else None

    def read(self, cells: _Cells) -> list[Identifier]:
        """Return the identifiers that the row states."""
        found = []
        for part in _parts(self._cell(cells), self._separator):
            value = part
            if self._pattern is not None:
                match = self._pattern.fullmatch(part.strip())
                if match is None:
                    continue
                value = match.group(1) if self._pattern.groups else match.group()
            found.append(Identifier(self._type, value, self._assurance))
        return found


class _RelationReader:
    def __init__(self, declared: RelationColumns, cell: Callable[[str], _Cell]) -> None:
        self._type = RelationType(declared.type)
        self._cells = [cell(name) for name in (declared.name, declared.role, declared.group_id, declared.record_id)]
        self._phone = cell(declared.phone)
        self._identifiers = [_IdentifierReader(item, cell) for item in declared.identifiers]
        self._is_same_record_id = declared.is_same_record_id
        self._role_text = declared.role_text
        self._when = declared.when
        self._condition = cell(declared.when.column) if declared.when else _nothing

    def read(self, cells: _Cells, record_id: str) -> Relation | None:
        """Return the relation that the row states, if it does."""
        if self._when is not None:
            value = self._condition(cells).strip()
            if value in self._when.none_of or (self._when.one_of and value not in self._when.one_of):
                return None
        name, role, group_id, other_id = (cell(cells) for cell in self._cells)
        phone = self._phone(cells)
        identifiers = tuple(item for reader in self._identifiers for item in reader.read(cells))
        if not (identifiers or any(text.strip() for text in (name, role, group_id, other_id, phone))):
            return None
        if self._is_same_record_id:
            # The other record exists only where its name is stated.
            other_id = record_id if name.strip() else ""
        other_id = unicodedata.normalize("NFC", other_id)
        if len(other_id.encode()) > RECORD_ID_BYTES_MAX:
            # No record can have such an id, and it must not cost this row its own record.
            other_id = ""
        return Relation(
            type=self._type,
            name=name,
            role=role or self._role_text,
            group_id=group_id,
            record_id=other_id,
            phone=phone,
            identifiers=identifiers,
        )


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
    # 0 marks a free slot, so it is no digest.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def _address_reader(declared: AddressColumns, cell: Callable[[str], _Cell]) -> Callable[[_Cells], Address | None]:
    kind = AddressKind(declared.kind)
    text_of, ward_code_of = cell(declared.text), cell(declared.ward_code)

    def read(cells: _Cells) -> Address | None:
        text, ward_code = text_of(cells), ward_code_of(cells)
        return Address(kind, text, ward_code) if text.strip() or ward_code.strip() else None

    return read


def _parts(value: str, separator: str) -> list[str]:
    # What is beyond the bound stays in the last part: kept as written, and flagged as malformed.
    parts = value.split(separator, _CELL_PARTS_MAX - 1) if separator else [value]
    return [part for part in parts if part.strip()]


def _nothing(cells: _Cells) -> str:  # noqa: ARG001 – stands in for a column that the file does not have
    return ""
