"""Backups made straight from a journal's file, without a service between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from mdm.store.backup_check import check_rows
from mdm.store.backup_file import BackupWriter, Contents, Identity
from mdm.store.journal_rows import JournalExtract, Row, Table


def quiet(_stage: str, _done: int, _whole: int) -> None:
    """Progress that nobody wants to see."""


class Transfer:
    """One backup under way: iterate over it for each part that arrived; then `publish`."""

    def __init__(self, journal: Path, writer: BackupWriter, earlier: Contents | None = None) -> None:
        self.writer = writer
        self.extract = JournalExtract(journal)
        self._base = writer.base(earlier)
        self.event_count = 0

    def __iter__(self) -> Iterator[tuple[Table, list[Row]]]:
        with self.extract as extract:
            if self._base is not None:
                extract.require_base(self._base)
            self.writer.begin(Identity(extract.token, extract.created_at_us, extract.fingerprint_key))
            for table, rows in extract.rows():
                self.writer.take(table, rows)
                self.event_count += len(rows) if table is Table.EVENTS else 0
                yield table, rows

    def publish(self, ledger: bytes = b"") -> Contents:
        contents = Contents(self.extract.end, 7, self.extract.events_sha256, self.extract.counts)
        self.writer.finish(contents, ledger)
        check_rows(self.writer.partial, quiet, self.writer.proven)
        self.writer.publish()
        return contents


def begun(journal: Path, writer: BackupWriter, file: Path) -> Transfer:
    """Return a backup that goes on with the one that is there."""
    return Transfer(journal, writer, writer.copy_earlier(quiet) if file.exists() else None)


def back_up(journal: Path, file: Path, ledger: bytes = b"") -> tuple[Contents, int]:
    """Make a backup, or bring one up to date; returns what it holds and how many events travelled."""
    with BackupWriter(file) as writer:
        transfer = begun(journal, writer, file)
        for _ in transfer:
            pass
        return transfer.publish(ledger), transfer.event_count


def tables_of(path: Path) -> dict[str, list[Any]]:
    """Return every row of a journal or backup, by a connection of its own."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        named: dict[str, list[Any]] = {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in Table}
        return named | {"meta": connection.execute("SELECT * FROM meta").fetchall()}
    finally:
        connection.close()
