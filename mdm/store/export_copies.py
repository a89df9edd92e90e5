"""Copies of the index that exports read, kept for a while so that a stream that was cut can go on at the same position.

Each is a directory of its own beside the index. Whoever reads one holds a shared lock on its lease, in any process; a
copy that nobody reads goes when its time is over, when others take its place, or when an erasure sweeps the directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from mdm.errors import ExportExpiredError, IndexMismatchError, StorageNearlyFullError, StoreError, UnavailableError
from mdm.limits import EXPORT_COPIES_IDLE_MAX, EXPORT_DONE_KEPT_S, EXPORT_KEPT_S, WRITE_FREE_DISK_BYTES_AGAIN
from mdm.store.files import free_bytes
from mdm.store.index import Index
from mdm.store.view import IndexView

_LEASE = "lease"
"""Locked by whoever reads; its time says when the copy was made, or how long it is still worth keeping."""
_CUT = "cut"
"""Its time says when a stream was last cut."""
_NAME = re.compile(r"export-\d{20}-[0-9a-f]{16}")
_AT_ONCE_S = float("-inf")


class _Shared(msgspec.Struct):
    """A copy open in this process: LMDB allows one environment for a file in a process."""

    index: Index
    reader_count: int = 1


class _Taken(NamedTuple):
    """A copy that is open here and locked against removal."""

    path: Path
    lease: int
    state: Index


class ExportCopies:
    """The copies under one data directory, as one process uses them. Safe to share between threads."""

    def __init__(self, data: Path) -> None:
        """Keep copies under `data`."""
        self._data = data
        self._lock = threading.Lock()
        self._open: dict[str, _Shared] = {}

    @contextmanager
    def reading(self, index: Index, name: str = "") -> Iterator[tuple[str, IndexView]]:
        """Yield the name of a copy and one consistent state of it.

        Args:
            index: Copied unless a copy of its very state is there already. Cost: 0.3 s a GiB.
            name: The copy of an export that goes on; empty begins one.

        Raises:
            ExportExpiredError: The named copy is no longer kept.
            StorageNearlyFullError: The disk has no room for another copy.
            UnavailableError: An erasure replaced the index while it was copied; it can be copied again in a second.
        """
        taken = self._resumed(name) if name else self._begun(index)
        is_done = False
        try:
            with taken.state.read() as view:
                yield taken.path.name, view
            is_done = True
        finally:
            self._closed(taken.path)
            # A cut stream may come back. Of one that was sent to its end at most the trailer was lost, unless another
            # that shares the copy was cut: the mark of a cut stays.
            with contextlib.suppress(FileNotFoundError):
                if not is_done:
                    (taken.path / _CUT).touch()
                elif not (taken.path / _CUT).exists():
                    moment = time.time() - EXPORT_KEPT_S + EXPORT_DONE_KEPT_S
                    os.utime(taken.path / _LEASE, (moment, moment))
            os.close(taken.lease)

    def is_kept(self, name: str) -> bool:
        """Return whether a copy is still there: an erasure takes away even those that are read. Cost: 2 µs."""
        return (self._data / name / _LEASE).exists()

    def sweep(self, idle_max: int = EXPORT_COPIES_IDLE_MAX) -> None:
        """Remove the copies whose time is over, and of those that nobody reads all but the latest few."""
        for name in tuple(self._open):
            # Still young if this process is killed, however long the export has run by then.
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._data / name / _LEASE)
        idle: list[tuple[float, Path]] = []
        for path in self._data.glob("export-*"):
            is_whole = _NAME.fullmatch(path.name) is not None
            idle_s = _swept(path, EXPORT_KEPT_S if is_whole else EXPORT_DONE_KEPT_S)
            if idle_s is not None and is_whole:
                idle.append((idle_s, path))
        for _, path in sorted(idle)[idle_max:]:
            _swept(path, _AT_ONCE_S)

    def _begun(self, index: Index) -> _Taken:
        with index.read() as view:
            seq = view.applied_seq
        for path in self._data.glob(f"export-{seq:020d}-*"):
            taken = self._taken(path)
            if taken is not None:
                return taken
        self.sweep(EXPORT_COPIES_IDLE_MAX - 1)
        made = self._copied(index)
        if not index.is_in_place:
            # An erasure removes what it replaces, then all copies: this one may have come too late for that.
            self._closed(made.path)
            shutil.rmtree(made.path, ignore_errors=True)
            os.close(made.lease)
            raise _replaced()
        return made

    def _copied(self, index: Index) -> _Taken:
        file_bytes = index.sizes().file_bytes
        if free_bytes(self._data) < file_bytes + WRITE_FREE_DISK_BYTES_AGAIN:
            # It would take the room that the journal needs, faster than anybody looks.
            raise StorageNearlyFullError(
                f"an export reads a copy of the index, for which {file_bytes >> 20} MiB of the service's disk "
                f"have to be free beside the {WRITE_FREE_DISK_BYTES_AGAIN >> 20} MiB that writes need"
            )
        # Its seq is known once it is made; until then nobody finds it.
        making = self._data / f"export-making-{secrets.token_hex(8)}"
        making.mkdir(mode=0o700)
        lease = os.open(making / _LEASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lease, fcntl.LOCK_SH)
            index.copy(making / "index")
            with Index.open(making / "index", readonly=True) as copy, copy.read() as view:
                seq = view.applied_seq
            path = self._data / f"export-{seq:020d}-{secrets.token_hex(8)}"
            making.rename(path)
            return _Taken(path, lease, self._opened(path))
        except BaseException as error:
            os.close(lease)
            is_gone = not making.exists()
            shutil.rmtree(making, ignore_errors=True)
            if is_gone and isinstance(error, StoreError | OSError):
                raise _replaced() from error
            raise

    def _resumed(self, name: str) -> _Taken:
        taken = self._taken(self._data / name) if _NAME.fullmatch(name) else None
        if taken is None:
            raise ExportExpiredError("the state that the export was reading is no longer kept: begin the export again")
        return taken

    def _taken(self, path: Path) -> _Taken | None:
        """Return a copy, open and locked against removal; None if it is gone, or another release made it."""
        lease = self._leased(path)
        if lease is None:
            return None
        try:
            return _Taken(path, lease, self._opened(path))
        except IndexMismatchError:
            os.close(lease)
            return None

    def _leased(self, path: Path) -> int | None:
        """Return the lease of a copy, locked against removal; None if it is gone."""
        try:
            lease = os.open(path / _LEASE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        fcntl.flock(lease, fcntl.LOCK_SH)
        # Whoever removes it holds the lock alone: it is still there, or it is gone for good.
        if (path / _LEASE).exists():
            return lease
        os.close(lease)
        return None

    def _opened(self, path: Path) -> Index:
        with self._lock:
            shared = self._open.get(path.name)
            if shared is None:
                shared = self._open[path.name] = _Shared(Index.open(path / "index", readonly=True), 0)
            shared.reader_count += 1
            return shared.index

    def _closed(self, path: Path) -> None:
        with self._lock:
            shared = self._open[path.name]
            shared.reader_count -= 1
            if not shared.reader_count:
                self._open.pop(path.name).index.close()


def _swept(path: Path, kept_s: float) -> float | None:
    """Remove a copy that nobody has read for longer than `kept_s`; return the seconds of one that stays unread."""
    try:
        lease = os.open(path / _LEASE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Left by a killed process, or being made or removed at this very moment.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > EXPORT_DONE_KEPT_S:
                shutil.rmtree(path, ignore_errors=True)
        return None
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        marks = [path / name for name in (_LEASE, _CUT)]
        idle_s = time.time() - max((mark.stat().st_mtime for mark in marks if mark.exists()), default=0.0)
        if idle_s <= kept_s:
            return idle_s
        # Under the lock: whoever comes for it meanwhile waits, and then finds none instead of half a copy.
        shutil.rmtree(path, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        # Somebody reads it, or an erasure takes it away.
        pass
    finally:
        os.close(lease)
    return None


def _replaced() -> UnavailableError:
    return UnavailableError("the index was written anew while an export copied it: try again in a second")
