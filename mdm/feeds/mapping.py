"""From rows to operations on source records, as the registries file declares; nothing is cleaned here."""

from __future__ import annotations

import itertools
import tomllib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mdm.config import Configuration
from mdm.declarations.sections import (
    Feed,
    RecordMapping,
)
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import (
    Attributes,
    BusinessAttributes,
    CitizenAttributes,
    SourceRecord,
)
from mdm.errors import ConfigurationError, FeedFileError, InvalidSourceKeyError
from mdm.feeds.cells import (
    Column,
    ColumnsOf,
    Reader,
    RelationReader,
    address_reader,
    compiled,
    field_reader,
    identifier_reader,
    joined_identifiers,
    list_reader,
    parts_reader,
    record_id_in,
    together,
    with_keys,
)
from mdm.feeds.reading import Row, has_plain_names
from mdm.feeds.rejects import Reject
from mdm.limits import FEED_CELL_CHARACTERS_MAX

ENTITY_KIND_COLUMN = "entity_kind"
"""A file may state the kind of each row; a row of one kind then only yields that record."""


class UpsertOperation(msgspec.Struct, frozen=True, gc=False):
    """Store a record."""

    record: SourceRecord

    @property
    def key(self) -> SourceKey:
        """Of the record."""
        return self.record.key


class DeleteOperation(msgspec.Struct, frozen=True, gc=False):
    """Withdraw a record."""

    key: SourceKey
    updated_at: str = ""
    """Of the row, as the registry wrote it: a record that is newer stays."""
    is_implied: bool = False
    """Whether the row does not ask for it, but is about no such record (any more)."""


Operation = UpsertOperation | DeleteOperation

_OWN_SHARE_MAX, _OTHER_SHARE_MIN, _MORE_MIN = 0.75, 0.9, 2
"""A file of which a feed knows at most the first share of the columns that any feed knows, and another feed the second
and two columns more, is the other's. The feeds of the four registries know 14 to 71 % of each other's columns; only of
those of social_security.employers company.businesses knows six of seven."""

_DIGEST_MASK = (1 << 64) - 1


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


def _found(columns: Sequence[str]) -> str:
    """Name a file's columns, unless its first line may be a row of values instead of a header."""
    if has_plain_names(columns):
        return ", ".join(columns)
    return f"{len(columns)} columns of other names, or a file without a header"


def _check_is_of(feed_name: str, columns: Sequence[str], configuration: Configuration) -> None:
    known = {name: configuration.feed(name).columns.intersection(columns) for name in configuration.feed_names}
    # What no feed knows says nothing of whose the file is.
    whole, own = len(frozenset[str]().union(*known.values())), len(known[feed_name])
    if own > _OWN_SHARE_MAX * whole:
        return
    least = max(_OTHER_SHARE_MIN * whole, own + _MORE_MIN)
    others = [name for name, names in known.items() if len(names) >= least]
    if others:
        raise FeedFileError(
            feed_name,
            f"the file's columns are those of {' or '.join(others)}: of {whole} it has {len(known[others[0]])}, and "
            f"this feed {own}. If the file is this feed's all the same, say so with mdm load --mapping FILE, where "
            'FILE holds: record_id = "record_id"',
        )


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
            FeedFileError: The file has no record id column, or lacks one that `names` names; or it has the columns of
                another feed, and no `names`.
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
                f"no column {feed.record_id}; found {_found(columns)}. Name it with --mapping FILE, "
                f'where FILE holds: {feed.record_id} = "their column"',
            )
        if not names:
            _check_is_of(feed_name, columns, configuration)
        self._positions = {column: position for position, column in enumerate(ours)}
        self.unknown_columns = tuple(sorted(set(ours) - feed.columns - {ENTITY_KIND_COLUMN}))
        # Without the column of operations every row is an upsert: few files have it.
        self.missing_columns = tuple(sorted(feed.columns.difference(ours, (feed.operation,))))
        self.record_count_max = len(feed.kinds)
        """Operations that one row yields at most."""
        self._feed = feed
        self._builders: dict[EntityKind, list[_RecordBuilder]] = {}
        for item in feed.records:
            self._builders.setdefault(EntityKind(item.kind), []).append(_RecordBuilder(item))
        conditions = [builder.condition for builders in self._builders.values() for builder in builders]
        self._conditions = None if None in conditions else [each for each in conditions if each is not None]
        """Of all records, where none of them is yielded by every row."""
        self._seen = _SeenIds()
        self._set_aside = _SeenIds()

    def operations(self, row: Row) -> tuple[Operation, ...] | Reject:
        """Return what to do for one row, or why it is set aside; see `batch`, which costs a fraction of it."""
        return self.batch([row])[0]

    def batch(self, rows: Sequence[Row]) -> list[tuple[Operation, ...] | Reject]:
        """Return for each row what to do, or why it is set aside. Hand every row in once, in order."""
        cells = list(zip(*(row.cells for row in rows), strict=True))
        record_ids = [record_id_in(text) for text in self._column(cells, len(rows), self._feed.record_id)]
        stated = [
            (operation.strip().lower(), kind.strip().lower())
            for operation, kind in zip(
                self._column(cells, len(rows), self._feed.operation),
                self._column(cells, len(rows), ENTITY_KIND_COLUMN),
                strict=True,
            )
        ]
        orphans = self._orphans(cells, len(rows))
        answers: list[tuple[Operation, ...] | Reject | None] = [
            self._refused(row, record_id, *what, is_orphan=place in orphans)
            for place, (row, record_id, what) in enumerate(zip(rows, record_ids, stated, strict=True))
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

    def _orphans(self, cells: list[tuple[str, ...]], count: int) -> frozenset[int]:
        """Return the rows that fulfil the condition of no record."""
        if self._conditions is None:
            return frozenset()
        # A column that the file lacks says of no row what it is: not even that it is not of some form.
        known = [each for each in self._conditions if each.column in self._positions]
        columns = [(self._column(cells, count, each.column), each.holds) for each in known]
        return frozenset(place for place in range(count) if not any(holds(column[place]) for column, holds in columns))

    def _refused(self, row: Row, record_id: str, operation: str, kind: str, *, is_orphan: bool) -> Reject | None:
        """Return why a row is set aside; notes the record ids of the others as seen."""
        if not record_id:
            return Reject(row.line, "record_id", "must not be empty", row.cells)
        if operation not in {"", "upsert", "delete"}:
            return self._rejected(row, record_id, "operation", "must be upsert or delete")
        if kind and kind not in self._builders:
            return self._rejected(row, record_id, "entity_kind", f"must be one of {', '.join(sorted(self._builders))}")
        if is_orphan and operation != "delete":
            return self._rejected(row, record_id, "when", "fulfils the condition of no record of this feed")
        try:
            SourceKey(self.registry, EntityKind.CITIZEN, record_id).checked_to_store()
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
        updated_at = self._column(cells, len(record_ids), self._feed.updated_at)
        for kind, builders in self._builders.items():
            places = [place for place in taken if stated[place][1] in {"", kind.value} and stated[place][0] != "delete"]
            # A row that fulfils no condition is about no such record: one from before is withdrawn.
            found: dict[int, Operation] = {}
            if builders[0].condition is not None:
                found = {
                    place: self._withdrawn(kind, record_ids[place], updated_at[place], is_implied=True)
                    for place in places
                }
            for builder in builders:
                found |= self._built(builder, kind, places, cells, record_ids)
            by_kind[kind] = found
        for place in taken:
            operation, stated_kind = stated[place]
            kinds = (EntityKind(stated_kind),) if stated_kind else tuple(self._builders)
            if operation == "delete":
                yield tuple(self._withdrawn(kind, record_ids[place], updated_at[place]) for kind in kinds)
            else:
                yield tuple(by_kind[kind][place] for kind in kinds)

    def _withdrawn(self, kind: EntityKind, record_id: str, updated_at: str, *, is_implied: bool = False) -> Operation:
        return DeleteOperation(SourceKey(self.registry, kind, record_id), updated_at, is_implied)

    def _built(
        self,
        builder: _RecordBuilder,
        kind: EntityKind,
        places: list[int],
        cells: list[tuple[str, ...]],
        record_ids: list[str],
    ) -> dict[int, Operation]:
        """Return by place the operations of the rows that fulfil the builder's condition."""
        count = len(record_ids)
        condition = builder.condition
        if condition is not None:
            column = self._column(cells, count, condition.column)
            places = [place for place in places if condition.holds(column[place])]

        def column_of(name: str) -> Column:
            whole = self._column(cells, count, name)
            return whole if len(places) == count else [whole[place] for place in places]

        keys = [SourceKey(self.registry, kind, record_ids[place]) for place in places]
        return dict(zip(places, builder.operations(keys, column_of, column_of(self._feed.updated_at)), strict=True))

    def _rejected(self, row: Row, record_id: str, field: str, reason: str) -> Reject:
        self._set_aside.add(record_id)
        return Reject(row.line, field, reason, row.cells, is_record_known=True)

    def _column(self, cells: list[tuple[str, ...]], count: int, name: str) -> Column:
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
        self.condition = compiled(mapping.when)
        build: type[CitizenAttributes | BusinessAttributes] = (
            CitizenAttributes if EntityKind(mapping.kind) is EntityKind.CITIZEN else BusinessAttributes
        )
        self._build: Callable[..., Attributes] = build
        self._fields = msgspec.structs.fields(build)
        self._required = mapping.required
        self._readers: dict[str, Reader] = {
            name: field_reader(name, columns, mapping.translations.get(name, {}), mapping.date_patterns.get(name, ""))
            for name, columns in mapping.fields.items()
        }
        identifiers = [identifier_reader(item) for item in mapping.identifiers]
        self._readers["identifiers"] = list_reader(identifiers, joined_identifiers)
        phones = [parts_reader(name, mapping.phone_separator) for name in mapping.phones]
        self._readers["phones"] = list_reader(phones, ";".join)
        self._readers["addresses"] = together([address_reader(item) for item in mapping.addresses])
        relations = [RelationReader(item) for item in mapping.relations]
        self._relations = [relation.read for relation in relations]
        if mapping.former_names:
            readers = [parts_reader(name, mapping.former_name_separator) for name in mapping.former_names]
            self._readers["former_names"] = list_reader(readers, ";".join)

    def operations(self, keys: list[SourceKey], column: ColumnsOf, updated_at: Column) -> list[Operation]:
        """Return the operation of each row for this record."""
        count = len(keys)
        readers = self._readers | {
            "relations": together([with_keys(read, keys) for read in self._relations]),
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
                operation if text.strip() else DeleteOperation(key, updated, is_implied=True)
                for operation, key, text, updated in zip(found, keys, stated, updated_at, strict=True)
            ]
        return found


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
