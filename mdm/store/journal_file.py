"""The SQLite file under the journal: its schema, how it is opened, and what is refused."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import apsw

from mdm.errors import DataDirectoryError
from mdm.limits import WAL_RECOVERY_S_MAX
from mdm.store.files import sync_directory

JOURNAL_VERSION = 1
"""Layout of the tables below; stands in SQLite's `user_version`."""

APPLICATION_ID = 0x6D646D31
""""mdm1": tells our file from any other SQLite file."""

SQLITE_VERSION_MIN = (3, 51, 3)
"""Before it a WAL reset could race with a checkpoint and lose commits."""

_HEADER_BYTES = 100
SCHEMA = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    journal_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    fingerprint_key BLOB NOT NULL
) STRICT;
CREATE TABLE events (seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE record_keys (number INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT;
CREATE TABLE payloads (payload_id INTEGER PRIMARY KEY, number INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE INDEX payloads_by_number ON payloads (number);
CREATE TABLE answers (
    actor TEXT NOT NULL,
    method TEXT NOT NULL,
    request_id TEXT NOT NULL,
    content_hash BLOB NOT NULL,
    response BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (actor, method, request_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE artefacts (digest TEXT PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL) STRICT;
"""


def sqlite_version() -> str:
    """Return the version of the SQLite that keeps the journal."""
    return apsw.sqlite_lib_version()


def check_sqlite_version(version: str) -> None:
    """Refuse an SQLite that may lose commits.

    Raises:
        DataDirectoryError: `version` is below 3.51.3.
    """
    if tuple(int(part) for part in version.split(".")[:3]) < SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, SQLITE_VERSION_MIN))
        raise DataDirectoryError(f"SQLite {version} may lose commits (WAL reset): install apsw with {wanted} or newer")


def open_for_writing(path: Path, *, create: bool, vfs: str | None = None) -> apsw.Connection:
    """Open the journal file as its one writer, creating it when asked to.

    Args:
        path: The file; its directory must exist.
        create: Whether a missing or empty file becomes a new journal.
        vfs: Name of a registered SQLite VFS, for fault injection; None for the system's.

    Raises:
        DataDirectoryError: SQLite is too old, or the file is missing, truncated, not ours, of another version or takes
            no write.
    """
    check_sqlite_version(apsw.sqlite_lib_version())
    if not create or (path.is_file() and path.stat().st_size > 0):
        _check_file(path)
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    try:
        connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
        # Readers that start beside the writer after a crash may be the ones to recover the WAL.
        connection.set_busy_timeout(round(WAL_RECOVERY_S_MAX * 1000))
        if create and not connection.execute("SELECT count(*) FROM sqlite_schema").get:
            _create(connection)
            sync_directory(path.parent)
        _check_version(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # An I/O error on a mapped page would be a signal instead of an error.
        connection.execute("PRAGMA mmap_size = 0")
        # Erased keys and payloads are overwritten, not only unlinked.
        connection.execute("PRAGMA secure_delete = ON")
        # SQLite swallows the errors of its automatic checkpoint; ours end the journal like every other error.
        connection.wal_autocheckpoint(0)
        # The first page as it is, synced: a disk that takes no write is found out before anybody is promised one. An
        # UPDATE that changes nothing would write nothing.
        connection.execute(f"PRAGMA user_version = {JOURNAL_VERSION}")
        # From here on nobody else has any business with its locks.
        connection.set_busy_timeout(0)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    return connection


def open_for_reading(path: Path) -> apsw.Connection:
    """Open the journal file beside its writer, or alone.

    Raises:
        DataDirectoryError: SQLite is too old, or the file is missing, truncated, not ours or of another version.
    """
    check_sqlite_version(apsw.sqlite_lib_version())
    _check_file(path)
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(round(WAL_RECOVERY_S_MAX * 1000))
        # Not SQLITE_OPEN_READONLY: the last connection of a crashed writer's file has to recover its WAL first.
        connection.execute("PRAGMA query_only = ON")
        connection.wal_autocheckpoint(0)
        # Moving pages into the file is the writer's business, also when a reader outlives it.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _check_version(connection, path)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    return connection


def _create(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # One transaction: a crash leaves an empty file or a whole journal, and nothing between.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(SCHEMA)
    connection.execute(
        "INSERT INTO meta VALUES (1, ?, 1, ?, ?)", (uuid.uuid4().bytes, time.time_ns() // 1000, os.urandom(32))
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {JOURNAL_VERSION}")
    connection.execute("COMMIT")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataDirectoryError(f"{path.name} is missing: the directory holds no journal")
    size = path.stat().st_size
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        return  # The newest pages may stand in the WAL alone; SQLite checks those by checksum.
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    if len(header) < _HEADER_BYTES or size < page_bytes * int.from_bytes(header[28:32], "big"):
        raise DataDirectoryError(f"{path.name} is truncated: restore it from a backup")


def _check_version(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise DataDirectoryError(f"{path.name} is an SQLite file, but not a journal of this service")
    version = connection.pragma("user_version")
    if version != JOURNAL_VERSION:
        raise DataDirectoryError(f"{path.name} has layout {version}, this release reads layout {JOURNAL_VERSION}")


def _unusable(path: Path, error: apsw.Error) -> DataDirectoryError:
    return DataDirectoryError(f"{path.name} cannot be opened: {type(error).__name__}")
