"""A backup: one file that holds a journal at one position, and a seal over every byte of it.

The file is SQLite with the journal's own tables, a table `backup` that says what it is of, the ledger of exports, and
behind its last page the seal: eight letters and the SHA-256 of all bytes before. It is written beside its name, proven
(`mdm.store.backup_check`), synced and then put in the earlier one's place, so a kill at any moment leaves that one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import apsw
import msgspec

from mdm.domain.events import SubjectErased
from mdm.errors import BackupFileError
from mdm.store import journal_file
from mdm.store.event_codec import decode_event
from mdm.store.files import sync_directory
from mdm.store.journal_rows import Base, Counts, Extent, Row, RowsDigest, Table, extent_of
from mdm.store.token import JournalToken

Progress = Callable[[str, int, int], None]
"""Called with a stage, what is done of it and the whole."""

BACKUP_APPLICATION_ID = 0x6D646D62
""""mdmb": a backup that is put in a journal's place by hand is refused, because a restore begins a new epoch."""

BACKUP_VERSION = 1
"""Layout of the table `backup` and of the seal; stands in its row."""

_SEAL = b"mdm-seal"
_SEAL_BYTES = len(_SEAL) + hashlib.sha256().digest_size
_SQLITE_MAGIC = b"SQLite format 3\0"
_COPY_BYTES = 1024 * 1024
_PAGE_CACHE_KIB = 65_536
_SCHEMA = """
CREATE TABLE backup (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    made_at_us INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    events_sha256 BLOB NOT NULL,
    record_keys INTEGER NOT NULL,
    payloads INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    artefacts INTEGER NOT NULL
) STRICT;
CREATE TABLE exports (id INTEGER PRIMARY KEY CHECK (id = 1), lines BLOB NOT NULL) STRICT;
"""
_INSERTS: dict[Table, str] = {
    Table.EVENTS: "INSERT INTO events VALUES (?, ?, ?)",
    Table.RECORD_KEYS: "INSERT INTO record_keys VALUES (?, ?)",
    Table.PAYLOADS: "INSERT INTO payloads VALUES (?, ?, ?)",
    Table.ANSWERS: "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
    Table.ARTEFACTS: "INSERT INTO artefacts (rowid, digest, kind, body) VALUES (?, ?, ?, ?)",
}


class Identity(msgspec.Struct, frozen=True):
    """The journal that a backup is of."""

    token: JournalToken
    """Its id and epoch; the seq is not used."""
    created_at_us: int
    fingerprint_key: bytes


class Contents(msgspec.Struct, frozen=True):
    """What a backup says that it holds."""

    token: JournalToken
    """Position that it is the journal at."""
    made_at_us: int
    events_sha256: bytes
    counts: Counts


class BackupWriter:
    """A backup in the making, in a file of its own beside `path`; nothing of that is left at the end of a `with` block.

    Invariant: `path` is what it was before until `publish`, and holds the whole new backup after it.
    """

    def __init__(self, path: Path) -> None:
        """Begin without an earlier backup, or with what `copy_earlier` takes over.

        Raises:
            BackupFileError: Another process makes a backup at `path`, or none can be made there.
        """
        # A link stays one: what it names is replaced, on the disk where that lies.
        self._path = path.resolve()
        self.partial = self._path.with_name(f".{self._path.name}.partial")
        self._connection: apsw.Connection | None = None
        self._base_seq = 0
        self.proven: Extent | None = None
        """Up to where the rows are those of the earlier backup, compared with its seal; None without one."""
        self._journal_id: bytes | None = None
        self._epoch = 0
        self._is_published = False
        with _told(path):
            self._claim = _claimed(self.partial)

    def __enter__(self) -> Self:
        """Leave no partial file at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not published."""
        self._close()
        if not self._is_published:
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)
        os.close(self._claim)

    def copy_earlier(self, progress: Progress) -> Contents:
        """Take over the earlier backup at `path`, checking its seal on the way. Cost: 1 to 3 s a GB.

        Raises:
            BackupFileError: It is damaged, or no backup.
        """
        with _told(self._path), self.partial.open("r+b") as target:
            copy_sealed(self._path, target, progress)
        connection = self._opened()
        contents = read_contents(connection, self._path)
        self._identify(contents.token)
        self._base_seq = contents.token.seq
        self.proven = extent_of(connection)
        return contents

    def begin(self, identity: Identity) -> None:
        """Make ready for rows of a journal; of the same one as the earlier backup's, or the second time the same."""
        token = identity.token
        if self._journal_id is not None:
            if (self._journal_id, self._epoch) != (token.journal_id.bytes, token.epoch):
                raise BackupFileError("the service answers with another journal than before; begin again")
            return
        with _told(self.partial):
            connection = self._opened()
            with connection:
                connection.execute(journal_file.SCHEMA + _SCHEMA)
                connection.execute(
                    "INSERT INTO meta VALUES (1, ?, ?, ?, ?)",
                    (token.journal_id.bytes, token.epoch, identity.created_at_us, identity.fingerprint_key),
                )
                connection.execute(f"PRAGMA application_id = {BACKUP_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {journal_file.JOURNAL_VERSION}")
        self._identify(token)

    def base(self, earlier: Contents | None = None) -> Base | None:
        """Return what is there already; None without an event. Cost: 1 µs for each, unless it is all from `earlier`."""
        if self._connection is None or self._journal_id is None:
            return None
        digest = RowsDigest()
        with _told(self.partial):
            extent = msgspec.structs.replace(extent_of(self._connection), answered_seq=self._base_seq)
            if earlier is None:
                for row in self._connection.execute("SELECT seq, at_us, body FROM events ORDER BY seq"):
                    digest.update((row,))
        events_sha256 = digest.digest() if earlier is None else earlier.events_sha256
        token = JournalToken.of(self._journal_id, self._epoch, extent.seq)
        return Base(token, extent, events_sha256) if extent.seq else None

    def take(self, table: Table, rows: Iterable[Row]) -> None:
        """Write rows, all or none of them."""
        with _told(self.partial), self._open as connection:
            connection.executemany(_INSERTS[table], rows)

    def finish(self, contents: Contents, ledger: bytes) -> None:
        """Destroy what was erased since the earlier backup, and say what the file holds."""
        with _told(self.partial), self._open as connection:
            numbers, until = erased_since(connection, self._base_seq)
            many = connection.executemany
            many("DELETE FROM record_keys WHERE number = ?", ((number,) for number in numbers))
            many("UPDATE payloads SET sealed = x'' WHERE number = ?", ((number,) for number in numbers))
            many("UPDATE payloads SET sealed = x'' WHERE number = ? AND payload_id <= ?", until)
            counts = contents.counts
            connection.execute(
                "INSERT OR REPLACE INTO backup VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(BACKUP_VERSION, contents.made_at_us, contents.token.seq, contents.events_sha256),
                    *(counts.record_keys, counts.payloads, counts.answers, counts.artefacts),
                ),
            )
            connection.execute("INSERT OR REPLACE INTO exports VALUES (1, ?)", (ledger,))
        self._close()

    def publish(self) -> str:
        """Seal and sync the file and put it in its place; returns its SHA-256, the seal's own bytes included."""
        with _told(self.partial):
            with self.partial.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256")
                seal = _SEAL + digest.digest()
                file.seek(0, os.SEEK_END)
                file.write(seal)
                file.flush()
                os.fsync(file.fileno())
                digest.update(seal)
            self.partial.replace(self._path)
            self._is_published = True
            sync_directory(self._path.absolute().parent)
        return digest.hexdigest()

    @property
    def _open(self) -> apsw.Connection:
        if self._connection is None:
            raise BackupFileError("the backup has not been begun")
        return self._connection

    def _opened(self) -> apsw.Connection:
        with _told(self.partial):
            connection = self._connection = apsw.Connection(str(self.partial), flags=apsw.SQLITE_OPEN_READWRITE)
            # Erased keys and payloads are overwritten, not only unlinked.
            connection.execute("PRAGMA secure_delete = ON")
            # Only whole files are kept, so nothing has to survive a crash, and `take` must be all or nothing.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection

    def _identify(self, token: JournalToken) -> None:
        self._journal_id, self._epoch = token.journal_id.bytes, token.epoch

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close(force=True)
            self._connection = None


def open_backup(path: Path) -> apsw.Connection:
    """Open a backup for reading; whoever checks its seal, does so first.

    Raises:
        BackupFileError: It cannot be read as one.
    """
    with _told(path):
        # Nobody changes it: without this SQLite would look for files beside it and lock it.
        name = f"file:{quote(str(path.absolute()))}?immutable=1"
        connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
    return connection


def read_contents(connection: apsw.Connection, path: Path) -> Contents:
    """Return what a backup says that it holds.

    Raises:
        BackupFileError: It is none, or of another version.
    """
    with _told(path):
        if connection.pragma("application_id") != BACKUP_APPLICATION_ID:
            raise BackupFileError(f"{path.name} is an SQLite file, but no backup of this service")
        version = connection.pragma("user_version")
        if version != journal_file.JOURNAL_VERSION:
            raise BackupFileError(
                f"{path.name} is of journal layout {version}, this release reads {journal_file.JOURNAL_VERSION}"
            )
        row = connection.execute("SELECT * FROM backup").fetchone()
        identity = connection.execute("SELECT journal_id, epoch FROM meta").fetchone()
    if row is None or identity is None:
        raise BackupFileError(f"{path.name} was never finished")
    if row[1] != BACKUP_VERSION:
        raise BackupFileError(f"{path.name} is of backup version {row[1]}, this release reads {BACKUP_VERSION}")
    return Contents(JournalToken.of(identity[0], identity[1], row[3]), row[2], row[4], Counts(*row[5:]))


def contents_of(path: Path) -> Contents:
    """Return what a backup says that it holds, unproven.

    Raises:
        BackupFileError: It is no backup, or cut off.
    """
    read_seal(path)
    connection = open_backup(path)
    try:
        return read_contents(connection, path)
    finally:
        connection.close(force=True)


def copy_sealed(source: Path, target: IO[bytes] | None, progress: Progress) -> None:
    """Read a backup without its seal, into a file if one is given, and check every byte against the seal.

    Raises:
        BackupFileError: No backup, cut off, or one of its bytes is another one than was written.
    """
    size, seal = read_seal(source)
    with _told(source), source.open("rb") as file:
        found = hashlib.sha256()
        done = 0
        while done < size:
            block = file.read(min(_COPY_BYTES, size - done))
            found.update(block)
            if target is not None:
                target.write(block)
            done += len(block)
            progress("bytes", done, size)
    if seal != found.digest():
        raise BackupFileError(f"{source.name} is damaged: its bytes are not those that were written; use another")


def read_seal(path: Path) -> tuple[int, bytes]:
    """Return how many bytes stand before the seal of a backup, and the digest that it says they have.

    Raises:
        BackupFileError: There is none.
    """
    with _told(path), path.open("rb") as file:
        is_sqlite = file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
        size = os.fstat(file.fileno()).st_size - _SEAL_BYTES
        file.seek(max(size, 0))
        seal = file.read()
    if size > 0 and not is_sqlite:
        raise BackupFileError(f"{path.name} is no backup, or its first bytes are damaged")
    if size <= 0 or not seal.startswith(_SEAL):
        raise BackupFileError(
            f"{path.name} is no whole backup: its seal is missing; it was cut off, or is another file"
        )
    return size, seal[len(_SEAL) :]


def erased_since(connection: apsw.Connection, after_seq: int) -> tuple[set[int], list[tuple[int, int]]]:
    """Return the records that were erased behind a position, and those erased up to a payload id."""
    # The name stands in the body of each such fact, and may stand in a caller's words.
    sql = "SELECT seq, at_us, body FROM events WHERE seq > ? AND instr(body, ?)"
    numbers: set[int] = set()
    until: list[tuple[int, int]] = []
    for row in connection.execute(sql, (after_seq, SubjectErased.__name__.encode())):
        fact = decode_event(*row).fact
        if isinstance(fact, SubjectErased):
            numbers.update(fact.numbers)
            until.extend(fact.passed_on)
    return numbers, until


def _claimed(partial: Path) -> int:
    """Return the descriptor of an empty file that only its owner may read, and that no other backup writes."""
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BackupFileError(
                f"another backup is being made at {partial.name[1:].removesuffix('.partial')}"
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), partial.stat()):
                # What a killed one left is of no use: nobody knows which of its pages were written.
                os.truncate(descriptor, 0)
                return descriptor
        # Its former owner has put it in its place meanwhile.
        os.close(descriptor)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say of a file into an error that names it; their texts may quote values."""
    try:
        yield
    except apsw.FullError as error:
        raise BackupFileError(f"{path.name} cannot be written: the disk is full") from error
    except apsw.Error as error:
        raise BackupFileError(f"{path.name} cannot be used: {type(error).__name__}") from error
    except OSError as error:
        raise BackupFileError(f"{path.name} cannot be used: {error.strerror}") from error
