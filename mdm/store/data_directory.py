"""The directory that holds all state of one service, and the lock that keeps a second one out."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Self

from mdm.errors import DataDirectoryError
from mdm.store.export_ledger import ExportLedger
from mdm.store.files import replace_file, sync_directory
from mdm.store.generations import Generations
from mdm.store.journal import Journal

VERSION = "hcm-mdm data 1"
"""Content of the VERSION file; another layout of the directory gets another number."""

_VERSION_FILE = "VERSION"
_LOCK_FILE = "lock"
_JOURNAL_FILE = "journal.sqlite"
_EXPORTS_FILE = "exports.jsonl"
_RESTORING_FILE = "RESTORING"
"""Stands in a directory until what is restored into it is whole."""
_DIRECTORIES = ("index", "relinks")
SCRATCH_PREFIXES = ("export-", "audit-", "verify-")
"""Names of working directories begin so; what a killed process left of them holds copies of values."""
_OURS = frozenset(_JOURNAL_FILE + suffix for suffix in ("", "-journal", "-wal", "-shm"))
_HARMLESS = frozenset({_LOCK_FILE, _VERSION_FILE + ".tmp", *_DIRECTORIES, "lost+found"} | _OURS)
"""What a creation that was killed, or the file system, leaves in a directory without a VERSION."""


class DataDirectory:
    """An opened data directory: `journal.sqlite`, `index/`, `relinks/`, `exports.jsonl`, `VERSION`, `lock`."""

    def __init__(self, path: Path, lock: int | None) -> None:
        """Take over an open directory; see `open`."""
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, create: bool = False, exclusive: bool = False) -> DataDirectory:
        """Open the data directory at `path`.

        Args:
            path: Local disk only: LMDB and SQLite both map files and lock them.
            create: Whether a missing or empty directory becomes a new one.
            exclusive: Whether to keep every other exclusive opener out until `close` or the end of the process:
                serving, rebuilding and verifying do. Child processes of the holder open without it.

        Raises:
            DataDirectoryError: Missing, not ours, of another version, or in use by another process.
        """
        _check(path, create=create)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if exclusive:
                path.chmod(0o700)
            lock = _take_lock(path) if exclusive else None
        except OSError as error:
            raise DataDirectoryError(f"{path} cannot be used: {error.strerror}") from error
        directory = cls(path, lock)
        for name in _DIRECTORIES:
            (path / name).mkdir(mode=0o700, exist_ok=True)
        if not (path / _VERSION_FILE).exists():
            # Before the VERSION, so that a journal missing later was lost, and is never replaced by an empty one.
            Journal.open(directory.journal, create=True).close()
            replace_file(path / _VERSION_FILE, VERSION + "\n")
            sync_directory(path.parent)
        return directory

    @classmethod
    def receive(cls, path: Path) -> DataDirectory:
        """Take a directory for a restore: a missing or empty one, or one in which a restore was cut off, emptied.

        Until `restored`, nothing but another restore uses it.

        Raises:
            DataDirectoryError: It holds anything else, or another process is at work in it.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            _vacant(path)
            directory = cls(path, _take_lock(path))
            # Another restore may have come to its end before we had the lock.
            names = _vacant(path)
            replace_file(path / _RESTORING_FILE, "a restore is at work here, or was cut off\n")
            for name in names & {*_OURS, _VERSION_FILE, _EXPORTS_FILE}:
                (path / name).unlink()
            for name in _DIRECTORIES:
                shutil.rmtree(path / name, ignore_errors=True)
                (path / name).mkdir(mode=0o700)
        except OSError as error:
            raise DataDirectoryError(f"{path} cannot be used: {error.strerror}") from error
        return directory

    def restored(self) -> None:
        """Say that all is there and synced: the directory is like any other from here on."""
        replace_file(self.path / _VERSION_FILE, VERSION + "\n")
        (self.path / _RESTORING_FILE).unlink()
        sync_directory(self.path)
        sync_directory(self.path.absolute().parent)

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let others in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def journal(self) -> Path:
        """The journal's file; it is there from the creation of the directory on."""
        return self.path / _JOURNAL_FILE

    def journal_bytes(self) -> tuple[int, int]:
        """Return the sizes of the journal's file and of the write-ahead log beside it."""
        wal = self.path / f"{_JOURNAL_FILE}-wal"
        return self.journal.stat().st_size, wal.stat().st_size if wal.exists() else 0

    @property
    def generations(self) -> Generations:
        """The index generations."""
        return Generations(self.path / "index")

    @property
    def exports(self) -> ExportLedger:
        """The ledger of exports."""
        return ExportLedger(self.path / _EXPORTS_FILE)

    def scratch(self) -> list[Path]:
        """Return the working directories of exports, audits and checks, those that killed processes left included."""
        return [each for each in self.path.iterdir() if each.is_dir() and each.name.startswith(SCRATCH_PREFIXES)]

    @property
    def relinks(self) -> Path:
        """Where re-linkage runs keep snapshots and plans; scratch."""
        return self.path / "relinks"


def _check(path: Path, *, create: bool) -> None:
    try:
        names = set(os.listdir(path))  # noqa: PTH208  (names are all that is needed)
    except FileNotFoundError:
        if create:
            return
        raise DataDirectoryError(f"{path} does not exist; `mdm serve --data` creates it") from None
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be read: {error.strerror}") from error
    if _RESTORING_FILE in names:
        raise DataDirectoryError(f"a restore into {path} is at work, or was cut off: run `mdm restore` again")
    if _VERSION_FILE in names:
        version = (path / _VERSION_FILE).read_text(encoding="utf-8", errors="replace").strip()
        if version != VERSION:
            raise DataDirectoryError(f"{path} holds data of another version; this release reads {VERSION!r}")
    elif names - _HARMLESS:
        raise DataDirectoryError(f"{path} is not empty and not a data directory of this service; name another")
    elif not create:
        raise DataDirectoryError(f"{path} is empty; `mdm serve --data` makes it a data directory")


def _vacant(path: Path) -> set[str]:
    """Return the names in a directory that is empty but for a restore that was cut off."""
    names = {each.name for each in path.iterdir()}
    if _RESTORING_FILE not in names and names - {_LOCK_FILE, "lost+found"}:
        raise DataDirectoryError(f"{path} is not empty; restore into another directory, or move this one away")
    return names


def _take_lock(path: Path) -> int:
    descriptor = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise DataDirectoryError(f"{path} is in use by another server (process {holder}); stop it first") from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
