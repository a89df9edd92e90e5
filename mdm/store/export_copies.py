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

import msgspec

from mdm.errors import ExportExpiredError
from mdm.limits import EXPORT_COPIES_IDLE_MAX, EXPORT_DONE_KEPT_S, EXPORT_KEPT_S
from mdm.store.index import Index
from mdm.store.view import IndexView

_LEASE = "lease"
"""Locked by whoever reads; its time says when the copy was made, or how long it is still worth keeping."""
_CUT = "cut"
"""Its time says when a stream was last cut."""
_NAME = re.compile(r"export-\d{20}-[0-9a-f]{16}")


class _Shared(msgspec.Struct):
    """A copy open in this process: LMDB allows one environment for a file in a process."""

    index: Index
    reader_count: int = 1


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
        """
        path, lease = self._resumed(name) if name else self._begun(index)
        is_done = False
        try:
            shared = self._opened(path)
            try:
                with shared.read() as view:
                    yield path.name, view
                is_done = True
            finally:
                self._closed(path)
        finally:
            # A cut stream may come back. Of one that was sent to its end at most the trailer was lost, unless another
            # that shares the copy was cut: the mark of a cut stays.
            with contextlib.suppress(FileNotFoundError):
                if not is_done:
                    (path / _CUT).touch()
                elif not (path / _CUT).exists():
                    moment = time.time() - EXPORT_KEPT_S + EXPORT_DONE_KEPT_S
                    os.utime(path / _LEASE, (moment, moment))
            os.close(lease)

    def sweep(self, idle_max: int = EXPORT_COPIES_IDLE_MAX) -> None:
        """Remove the copies whose time is over, and of those that nobody reads all but the latest few."""
        for name in tuple(self._open):
            # Still young if this process is killed, however long the export has run by then.
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._data / name / _LEASE)
        idle: list[tuple[float, Path]] = []
        for path in self._data.glob("export-*"):
            is_ours = _NAME.fullmatch(path.name) is not None
            age_s = self._idle_s(path)
            if age_s is None:
                continue
            if not is_ours or age_s > EXPORT_KEPT_S:
                shutil.rmtree(path, ignore_errors=True)
            else:
                idle.append((age_s, path))
        for _, path in sorted(idle)[idle_max:]:
            shutil.rmtree(path, ignore_errors=True)

    def _begun(self, index: Index) -> tuple[Path, int]:
        with index.read() as view:
            seq = view.applied_seq
        for path in self._data.glob(f"export-{seq:020d}-*"):
            lease = self._leased(path)
            if lease is not None and (path / "index").is_dir():
                return path, lease
            if lease is not None:
                os.close(lease)
        self.sweep(EXPORT_COPIES_IDLE_MAX - 1)
        return self._copied(index)

    def _copied(self, index: Index) -> tuple[Path, int]:
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
        except BaseException:
            os.close(lease)
            shutil.rmtree(making, ignore_errors=True)
            raise
        return path, lease

    def _resumed(self, name: str) -> tuple[Path, int]:
        path = self._data / name
        lease = self._leased(path) if _NAME.fullmatch(name) else None
        if lease is None:
            raise ExportExpiredError("the state that the export was reading is no longer kept: begin the export again")
        return path, lease

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

    def _idle_s(self, path: Path) -> float | None:
        """Return for how many seconds nobody has read a copy; None if somebody does."""
        try:
            lease = os.open(path / _LEASE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # Left by a killed process, or being made at this very moment.
            return self._age_s(path)
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            marks = [path / name for name in (_LEASE, _CUT)]
            return time.time() - max(mark.stat().st_mtime for mark in marks if mark.exists())
        except BlockingIOError:
            return None
        finally:
            os.close(lease)

    def _age_s(self, path: Path) -> float | None:
        try:
            age_s = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return None
        return age_s if age_s > EXPORT_DONE_KEPT_S else None

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
