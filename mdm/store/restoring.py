"""From a backup to a journal that a service goes on with: cut at a position, and in an epoch of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from mdm.domain.events import Event, Fact, SubjectErased
from mdm.domain.restores import new_epoch
from mdm.errors import BackupFileError
from mdm.limits import JOURNAL_CHUNK_EVENTS
from mdm.store.backup_check import check_rows
from mdm.store.backup_file import Contents, Progress, copy_sealed
from mdm.store.data_directory import DataDirectory
from mdm.store.event_codec import decode_event
from mdm.store.files import sync_file
from mdm.store.journal_file import APPLICATION_ID

_EVENTS_SQL = "SELECT seq, at_us, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"


class RestoredJournal(msgspec.Struct, frozen=True):
    """What was made of a backup."""

    contents: Contents
    seq: int
    """Position that the journal was cut at."""
    at_us: int
    """When the last event up to there happened; 0 if there is none."""
    epoch: int
    erased_later: tuple[SubjectErased, ...]
    """Erasures behind that position: the values are destroyed, and the events that say so are cut off."""


def restore_journal(
    source: Path, directory: DataDirectory, until: int | None, now_us: int, progress: Progress
) -> RestoredJournal:
    """Make a backup the journal of a directory that `DataDirectory.receive` returned, proving every byte and row.

    Args:
        source: The backup.
        directory: Gets the journal, synced, and the ledger of exports.
        until: Last position to keep, within the backup; None keeps all. Of a transaction that it cuts nothing is kept.
        now_us: When the new epoch begins.
        progress: Told how far it is.

    Raises:
        BackupFileError: The backup is damaged, or the disk is full.
    """
    path = directory.journal
    try:
        with path.open("xb") as target:
            path.chmod(0o600)
            copy_sealed(source, target, progress)
        contents = check_rows(path, progress)
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # The directory is of no use before all is done: nothing of it has to survive a crash.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA secure_delete = ON")
            seq = contents.token.seq if until is None else _whole_until(connection, until)
            erased_later = tuple(_erasures(connection, seq))
            if seq < contents.token.seq:
                _cut(connection, seq)
            at_us = int(connection.execute("SELECT coalesce(max(at_us), 0) FROM events").get)
            ledger = bytes(connection.execute("SELECT lines FROM exports").get)
            epoch = begin_epoch(connection, now_us)
            connection.execute("DROP TABLE backup; DROP TABLE exports")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        finally:
            connection.close(force=True)
        directory.exports.put_lines(ledger)
        sync_file(path)
    except apsw.FullError as error:
        raise BackupFileError(f"{source.name} cannot be restored: the disk is full") from error
    except apsw.Error as error:
        raise BackupFileError(f"{source.name} cannot be restored: {type(error).__name__}") from error
    except OSError as error:
        raise BackupFileError(f"{source.name} cannot be restored: {error.strerror}") from error
    return RestoredJournal(contents, seq, at_us, epoch, erased_later)


def begin_epoch(connection: apsw.Connection, now_us: int) -> int:
    """Begin another epoch and return it: tokens that were given out before are refused from here on."""
    epoch = new_epoch(int(connection.execute("SELECT epoch FROM meta").get), now_us)
    connection.execute("UPDATE meta SET epoch = ?", (epoch,))
    return epoch


def _whole_until(connection: apsw.Connection, seq: int) -> int:
    """Return the last position up to `seq` that no transaction reaches across: events of one share their time."""
    sql = """
        SELECT seq FROM events WHERE seq <= ?1 AND at_us IS NOT (SELECT at_us FROM events WHERE seq = ?1 + 1)
        ORDER BY seq DESC LIMIT 1"""
    return int(connection.execute(sql, (seq,)).get or 0)


def _erasures(connection: apsw.Connection, after_seq: int) -> Iterator[SubjectErased]:
    for event in _events(connection, after_seq, (1 << 63) - 1):
        if isinstance(event.fact, SubjectErased):
            yield event.fact


def _cut(connection: apsw.Connection, seq: int) -> None:
    """Take away all events behind a position and what came with them; artefacts stay, events name those in force."""
    lost = {each for event in _events(connection, seq, (1 << 63) - 1) for each in _payload_ids(event.fact)}
    # A proposal's reason may come again with the act that carries it out.
    lost.difference_update(each for event in _events(connection, 0, seq) for each in _payload_ids(event.fact))
    connection.execute("BEGIN")
    connection.executemany("DELETE FROM payloads WHERE payload_id = ?", ((each,) for each in lost))
    connection.execute("DELETE FROM record_keys WHERE number NOT IN (SELECT number FROM payloads)")
    connection.execute("DELETE FROM answers WHERE seq > ?", (seq,))
    connection.execute("DELETE FROM events WHERE seq > ?", (seq,))
    connection.execute("COMMIT")


def _payload_ids(fact: Fact) -> tuple[int, ...]:
    payload_id: int | None = getattr(fact, "payload_id", None)
    reason_ids: tuple[int, ...] = getattr(fact, "reason_ids", ())
    return reason_ids if payload_id is None else (payload_id, *reason_ids)


def _events(connection: apsw.Connection, after: int, until: int) -> Iterator[Event]:
    while True:
        rows: list[Any] = connection.execute(_EVENTS_SQL, (after, until, JOURNAL_CHUNK_EVENTS)).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        for row in rows:
            yield decode_event(*row)
