"""A copy of the crosswalk in a local SQLite file, kept in step by the change feed.

Rows and the feed's token change in one transaction, so a follower that is killed goes on exactly where its copy stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mdm_client.changes import FEED_RESET, ChangeBatch, ChangeFilter
from mdm_client.errors import CrosswalkCopyError, DataRestoredError, FailedPreconditionError
from mdm_client.exports import CrosswalkProgress
from mdm_client.records import EntityKind, SourceKey
from mdm_client.results import CrosswalkChunk

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client

_SCHEMA = """
CREATE TABLE IF NOT EXISTS crosswalk (
    registry TEXT NOT NULL,
    entity_kind TEXT NOT NULL,
    record_id TEXT NOT NULL,
    golden_id TEXT NOT NULL,
    PRIMARY KEY (registry, entity_kind, record_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS crosswalk_by_golden_id ON crosswalk (golden_id);
CREATE TABLE IF NOT EXISTS feed (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL, wanted TEXT NOT NULL);
"""
_KEY = "registry = ? AND entity_kind = ? AND record_id = ?"


class CrosswalkCopy:
    """Source key → golden ID of every live, resolved record that was asked for, at the position of `token`.

    Invariant: rows and token are of one position of the service, whenever the process ends.
    """

    def __init__(self, path: Path | str, registries: Sequence[str] = (), kind: EntityKind | None = None) -> None:
        """Open or create the file.

        Args:
            path: Of the file; its directory must exist. Not on a network share.
            registries: Whose records it holds; none means all.
            kind: The only kind that it holds; None means both.

        Raises:
            CrosswalkCopyError: The file holds other registries or another kind, or is no copy at all.
        """
        self.registries = tuple(sorted(registries))
        self.kind = kind
        wanted = f"{','.join(self.registries)} {kind or ''}"
        with _told():
            self._connection = sqlite3.connect(path, isolation_level=None)
            # Keys of erased people must not stay in the pages that their rows leave, whatever SQLite was built with.
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.executescript(_SCHEMA)
            self._connection.execute("INSERT OR IGNORE INTO feed VALUES (1, '', ?)", (wanted,))
            self.token, held = self._connection.execute("SELECT token, wanted FROM feed").fetchone()
        """Position of the rows; empty before the first load."""
        if held != wanted:
            self.close()
            raise CrosswalkCopyError("the file is a copy of other registries or of another kind; use another file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._connection.execute("SELECT count(*) FROM crosswalk").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def golden_id(self, key: SourceKey) -> str:
        """Return the golden ID of a record, empty if it has none."""
        row = self._connection.execute(f"SELECT golden_id FROM crosswalk WHERE {_KEY}", _row(key)).fetchone()  # noqa: S608
        return str(row[0]) if row else ""

    def records(self, golden_id: str) -> list[SourceKey]:
        """Return the records of a golden record, in order."""
        sql = "SELECT registry, entity_kind, record_id FROM crosswalk WHERE golden_id = ? ORDER BY 1, 2, 3"
        return [
            SourceKey(name, EntityKind(kind), each) for name, kind, each in self._connection.execute(sql, (golden_id,))
        ]

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield registry, entity kind, record id and golden ID, in the order of an export."""
        yield from self._connection.execute("SELECT * FROM crosswalk ORDER BY 1, 2, 3")

    @contextmanager
    def replacing(self, exported: CrosswalkProgress) -> Iterator[Callable[[CrosswalkChunk], None]]:
        """Yield what takes the chunks of an export in; at the end of the block the copy is that export, or as before.

        Raises:
            CrosswalkCopyError: Another process moved the copy on.
        """

        def take(chunk: CrosswalkChunk) -> None:
            rows = zip(chunk.record_ids, chunk.golden_ids, strict=True)
            self._connection.executemany(
                "INSERT INTO crosswalk VALUES (?, ?, ?, ?)",
                ((chunk.registry, str(chunk.kind), record_id, golden_id) for record_id, golden_id in rows),
            )

        with self._transaction():
            self._connection.execute("DELETE FROM crosswalk")
            yield take
            self._move_to(exported.token)
        self.token = exported.token

    def erased(self, batch: ChangeBatch) -> list[SourceKey]:
        """Return the records whose rows a batch may concern without naming them, because they were erased since."""
        nameless = {move.old_golden_id for change in batch.changes for move in change.moves if move.key is None}
        return [key for golden_id in sorted(nameless - {""}) for key in self.records(golden_id)]

    def apply(self, batch: ChangeBatch, looked_up: Iterable[tuple[SourceKey, str]] = ()) -> None:
        """Take a batch of the feed in, with its token, at once or not at all.

        Args:
            batch: Follows the token that the copy has, or repeats what is in it already.
            looked_up: What the service answers for the records of `erased`, at the batch's token or later.

        Raises:
            CrosswalkCopyError: Another process moved the copy on.
        """
        with self._transaction():
            self._move_to(batch.token)
            for key, golden_id in looked_up:
                self._put(key, golden_id)
            for change in batch.changes:
                for move in change.moves:
                    if move.key is not None:
                        self._put(move.key, move.new_golden_id)
        self.token = batch.token

    @property
    def wanted(self) -> ChangeFilter:
        """What the feed has to tell it."""
        return ChangeFilter(self.registries, self.kind)

    def _put(self, key: SourceKey, golden_id: str) -> None:
        if golden_id:
            self._connection.execute("INSERT OR REPLACE INTO crosswalk VALUES (?, ?, ?, ?)", (*_row(key), golden_id))
        else:
            self._connection.execute(f"DELETE FROM crosswalk WHERE {_KEY}", _row(key))  # noqa: S608

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself where the disk is full.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _move_to(self, token: str) -> None:
        moved = self._connection.execute("UPDATE feed SET token = ? WHERE token = ?", (token, self.token))
        if moved.rowcount != 1:
            raise CrosswalkCopyError("another process moved the copy on; only one may follow into a file")


def follow(client: Client, copy: CrosswalkCopy, *, checkpoint_interval_s: int = 0) -> Iterator[ChangeBatch]:
    """Keep a copy in step without end, yielding each batch once it is in the copy; a new copy begins with an export.

    Where the service answers FEED_RESET, after a restore, the copy is replaced by an export, and the feed goes on from
    it. Stop at a batch with `is_current` for a copy that is up to date once.
    """
    while True:
        if not copy.token:
            export(client, copy)
        try:
            for batch in client.changes.watch(
                copy.token, wanted=copy.wanted, checkpoint_interval_s=checkpoint_interval_s
            ):
                keys = copy.erased(batch)
                copy.apply(batch, [(key, _lookup(client, key, batch.token)) for key in keys])
                yield batch
        except FailedPreconditionError as error:
            if error.reason != FEED_RESET and not isinstance(error, DataRestoredError):
                raise
            export(client, copy)


def export(client: Client, copy: CrosswalkCopy) -> None:
    """Replace a copy by an export, row by row in one transaction of the file."""
    exported = client.export_crosswalk(copy.registries, copy.kind)
    with copy.replacing(exported) as take:
        for chunk in exported:
            take(chunk)


async def async_follow(
    client: AsyncClient, copy: CrosswalkCopy, *, checkpoint_interval_s: int = 0
) -> AsyncIterator[ChangeBatch]:
    """Keep a copy in step as `follow` does. The file is written between two awaits: milliseconds a batch."""
    while True:
        try:
            if not copy.token:
                await _async_export(client, copy)
            async for batch in client.changes.watch(
                copy.token, wanted=copy.wanted, checkpoint_interval_s=checkpoint_interval_s
            ):
                keys = copy.erased(batch)
                found = [await client.lookup(key.registry, key.kind, key.record_id, fresh=batch.token) for key in keys]
                copy.apply(batch, [(key, each.golden_id) for key, each in zip(keys, found, strict=True)])
                yield batch
        except FailedPreconditionError as error:
            if error.reason != FEED_RESET and not isinstance(error, DataRestoredError):
                raise
            await _async_export(client, copy)


async def _async_export(client: AsyncClient, copy: CrosswalkCopy) -> None:
    exported = client.export_crosswalk(copy.registries, copy.kind)
    with copy.replacing(exported) as take:
        async for chunk in exported:
            take(chunk)


def _lookup(client: Client, key: SourceKey, fresh: str) -> str:
    return client.lookup(key.registry, key.kind, key.record_id, fresh=fresh).golden_id


@contextmanager
def _told() -> Iterator[None]:
    """Turn what SQLite says of the file into the error of this module."""
    try:
        yield
    except sqlite3.Error as error:
        raise CrosswalkCopyError(f"the file cannot be used as a copy: {error}") from error


def _row(key: SourceKey) -> tuple[str, str, str]:
    return key.registry, str(key.kind), key.record_id
