"""The journal's tables as rows: what a backup reads from a running service, and what its file is written from.

Every table grows at its end only, but for `answers`, and but for erasures, which destroy keys and payloads in place. So
rows are read in many short transactions and the rest in one: all erasures up to its position are then among the events.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import sub
from pathlib import Path
from typing import Any, Self

import apsw
import msgspec

from mdm.errors import BackupMismatchError, JournalFailedError
from mdm.limits import BACKUP_MESSAGE_BYTES, BACKUP_ROUNDS_MAX, BACKUP_TAIL_EVENTS
from mdm.store.journal_file import open_for_reading
from mdm.store.token import JournalToken

Row = tuple[Any, ...]


class Table(enum.StrEnum):
    """Tables of the journal whose rows travel."""

    EVENTS = "events"
    """seq, at_us, body."""
    RECORD_KEYS = "record_keys"
    """number, key."""
    PAYLOADS = "payloads"
    """payload_id, number, sealed."""
    ANSWERS = "answers"
    """actor, method, request_id, content_hash, response, seq."""
    ARTEFACTS = "artefacts"
    """rowid, digest, kind, body."""


class Extent(msgspec.Struct, frozen=True):
    """How far the tables of a journal reach: the last id of each; 0 for an empty one."""

    seq: int = 0
    payload_id: int = 0
    number: int = 0
    artefact: int = 0
    answered_seq: int = 0
    """Answers before this seq are all there; these come in no order of their own."""


class Base(msgspec.Struct, frozen=True):
    """The beginning of a journal that somebody has already."""

    token: JournalToken
    extent: Extent
    events_sha256: bytes


class Counts(msgspec.Struct, frozen=True):
    """Rows of the tables whose ids have gaps."""

    record_keys: int
    payloads: int
    answers: int
    artefacts: int


class RowsDigest:
    """A SHA-256 over rows in their order, however they are cut into parts."""

    def __init__(self) -> None:
        """Start with no rows."""
        self._hash = hashlib.sha256()

    def update(self, rows: Iterable[Row]) -> None:
        """Take rows in. Cost: 0.5 µs each, and 1 s a GB."""
        self._hash.update(b"".join(map(msgspec.msgpack.encode, rows)))

    def digest(self) -> bytes:
        """Return the 32 bytes."""
        return self._hash.digest()


_EXTENT_SQL = """
SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(payload_id), 0) FROM payloads),
    (SELECT coalesce(max(number), 0) FROM record_keys), (SELECT coalesce(max(rowid), 0) FROM artefacts)
"""
COUNTS_SQL = """
SELECT (SELECT count(*) FROM record_keys), (SELECT count(*) FROM payloads), (SELECT count(*) FROM answers),
    (SELECT count(*) FROM artefacts)
"""
_GROWING: dict[Table, str] = {
    Table.EVENTS: "SELECT seq, at_us, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq",
    Table.RECORD_KEYS: "SELECT number, key FROM record_keys WHERE number > ? AND number <= ? ORDER BY number",
    Table.PAYLOADS: """
        SELECT payload_id, number, sealed FROM payloads WHERE payload_id > ? AND payload_id <= ? ORDER BY payload_id""",
    Table.ARTEFACTS: "SELECT rowid, digest, kind, body FROM artefacts WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
}
_ANSWERS_SQL = """
SELECT actor, method, request_id, content_hash, response, seq FROM answers
WHERE seq >= ? AND (actor, method, request_id) > (?, ?, ?) ORDER BY actor, method, request_id
"""


class JournalExtract:
    """Reads a journal beside its writer for a backup. One thread; iterate over `rows` once, then read the rest.

    Attributes:
        token: Position when it was opened.
        opened: How far the tables reached then.
        created_at_us: When the journal was created.
        fingerprint_key: Key of its request hashes.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal file.

        Raises:
            DataDirectoryError: As for `Journal.open`.
        """
        self._connection = open_for_reading(path)
        self._events = RowsDigest()
        self._rows = RowsDigest()
        with _told():
            identity = self._connection.execute(
                "SELECT journal_id, epoch, created_at_us, fingerprint_key FROM meta"
            ).get
            self.opened = extent_of(self._connection)
        empty = JournalToken.of(identity[0], identity[1], 0)
        self.token = msgspec.structs.replace(empty, seq=self.opened.seq)
        self.created_at_us: int = identity[2]
        self.fingerprint_key: bytes = identity[3]
        self._base = Base(empty, Extent(), b"")
        self._counts = Counts(0, 0, 0, 0)

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._connection.close(force=True)

    def require_base(self, base: Base) -> None:
        """Begin behind a base. Cost: 1 µs for each event of it.

        Raises:
            BackupMismatchError: The journal does not begin with just these events.
        """
        here, there = self.token, base.token
        if here.journal_id != there.journal_id:
            raise BackupMismatchError("the earlier backup is of another journal; back up to another file")
        if here.epoch != there.epoch:
            raise BackupMismatchError(
                "the data was restored since the earlier backup was made; keep it, and back up to another file"
            )
        for rows in self._growing(Table.EVENTS, 0, min(base.extent.seq, here.seq)):
            self._events.update(rows)
        if self._events.digest() != base.events_sha256:
            raise BackupMismatchError(
                "the journal does not begin with the events of the earlier backup: keep that file, back up to another "
                "one, and find out which of the two changed"
            )
        self._base = base

    def rows(self) -> Iterator[tuple[Table, list[Row]]]:
        """Yield all rows behind the base, some hundred KiB at a time; afterwards `end` and the digests hold.

        Raises:
            JournalFailedError: The file cannot be read, or events are missing.
        """
        reached = self._base.extent
        for _ in range(BACKUP_ROUNDS_MAX):
            with _told():
                wanted = extent_of(self._connection)
            # Of every table, because a base may have all events and nothing of what belongs to them.
            if max(map(sub, msgspec.structs.astuple(wanted), msgspec.structs.astuple(reached))) <= BACKUP_TAIL_EVENTS:
                break
            for table, rows in self._between(reached, wanted):
                yield table, self._noted(table, rows)
            reached = wanted
        yield from self._tail(reached)

    @property
    def end(self) -> JournalToken:
        """Position that base and rows together are the journal at."""
        return msgspec.structs.replace(self.token, seq=self._base.extent.seq)

    @property
    def counts(self) -> Counts:
        """Rows of the journal at `end`."""
        return self._counts

    @property
    def events_sha256(self) -> bytes:
        """Of all events up to `end`."""
        return self._events.digest()

    @property
    def rows_sha256(self) -> bytes:
        """Of all rows that were yielded."""
        return self._rows.digest()

    def _tail(self, reached: Extent) -> Iterator[tuple[Table, list[Row]]]:
        """Yield the rest, read in one transaction: nobody keeps it open who is slow to take the rows."""
        with _told():
            self._connection.execute("BEGIN")
            try:
                end = extent_of(self._connection)
                parts = list(self._between(reached, end))
                self._counts = Counts(*self._connection.execute(COUNTS_SQL).get)
            finally:
                self._connection.execute("COMMIT")
        self._base = msgspec.structs.replace(self._base, extent=end)
        for table, rows in parts:
            yield table, self._noted(table, rows)

    def _noted(self, table: Table, rows: list[Row]) -> list[Row]:
        self._rows.update(rows)
        if table is Table.EVENTS:
            self._events.update(rows)
        return rows

    def _between(self, after: Extent, until: Extent) -> Iterator[tuple[Table, list[Row]]]:
        """Yield the rows that came between two extents, the events first."""
        bounds: Sequence[tuple[Table, int, int]] = (
            (Table.EVENTS, after.seq, until.seq),
            (Table.RECORD_KEYS, after.number, until.number),
            (Table.PAYLOADS, after.payload_id, until.payload_id),
            (Table.ARTEFACTS, after.artefact, until.artefact),
        )
        for table, low, high in bounds:
            for rows in self._growing(table, low, high):
                yield table, rows
        # From this seq on, because one without an event of its own comes at the seq of the last event before it.
        place: tuple[Any, ...] = ("", "", "")
        while rows := self._part(_ANSWERS_SQL, (after.answered_seq, *place)):
            yield Table.ANSWERS, rows
            place = rows[-1][:3]

    def _growing(self, table: Table, low: int, high: int) -> Iterator[list[Row]]:
        while low < high and (rows := self._part(_GROWING[table], (low, high))):
            if table is Table.EVENTS and (rows[0][0], rows[-1][0]) != (low + 1, low + len(rows)):
                raise JournalFailedError(f"the journal has a gap after seq {low}")
            yield rows
            low = rows[-1][0]
        if table is Table.EVENTS and low < high:
            raise JournalFailedError(f"the journal has a gap after seq {low}")

    def _part(self, sql: str, bindings: Sequence[Any]) -> list[Row]:
        rows: list[Row] = []
        size = 0
        with _told():
            cursor = self._connection.execute(sql, bindings)
            for row in cursor:
                rows.append(row)
                # What is no text and no bytes is a number of at most eight bytes.
                size += sum(len(cell) if isinstance(cell, bytes | str) else 8 for cell in row)
                if size >= BACKUP_MESSAGE_BYTES:
                    break
            cursor.close(force=True)
        return rows


def extent_of(connection: apsw.Connection) -> Extent:
    """Return how far the tables reach, all at one position."""
    seq, payload_id, number, artefact = connection.execute(_EXTENT_SQL).get
    return Extent(seq, payload_id, number, artefact, seq)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what SQLite says of the file into the error of a journal that cannot be read."""
    try:
        yield
    except apsw.Error as error:
        raise JournalFailedError(f"the journal cannot be read: {type(error).__name__}") from error
