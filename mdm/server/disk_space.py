"""A full disk: refused before anything is opened on it, and told apart from every other failure of the store.

Both engines and the metrics map files. Where the disk has no page for a mapped one, the process gets a signal instead
of an error, so the free space counts beside what the error says.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mdm.errors import DataDirectoryError
from mdm.limits import (
    FREE_DISK_BYTES_MIN,
    INDEX_MAP_SHARE_MAX,
    WRITE_FREE_DISK_BYTES_AGAIN,
    WRITE_FREE_DISK_BYTES_MIN,
)
from mdm.store import files

_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
# How SQLite and LMDB say it; only the store may import them.
_FULL_ERROR_NAMES = frozenset({"FullError", "DiskError"})
_MIB = 1 << 20
_LOOK_S = 0.2


def free_bytes(data: Path) -> int:
    """Return the free space of the disk that holds `data`, or would hold it."""
    found = data.absolute()
    while not found.exists():
        found = found.parent
    return files.free_bytes(found)


def is_short(data: Path) -> bool:
    """Return whether less is free than a service needs to start. Cost: 2 us."""
    return free_bytes(data) < FREE_DISK_BYTES_MIN


class WriteGuard:
    """Says whether there is room to write to, of the disk and of the index's map; asks them a few times a second.

    What was refused once stays refused until clearly more is free.
    """

    def __init__(self, data: Path, map_share: Callable[[], float]) -> None:
        """Watch the disk of `data` and the share of the index's map that is in use."""
        self._data = data
        self._map_share = map_share
        self._due_s = 0.0
        self._refusal = ""

    def refusal(self) -> str:
        """Return why writes are refused, for a caller; empty while they are not. Cost: 5 us, five times a second."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + _LOOK_S
            self._refusal = self._look()
        return self._refusal

    def _look(self) -> str:
        bound = WRITE_FREE_DISK_BYTES_AGAIN if self._refusal else WRITE_FREE_DISK_BYTES_MIN
        free = free_bytes(self._data)
        if free < bound:
            return f"the service's disk is nearly full: {free // _MIB} MiB are free, writes need {bound // _MIB} MiB"
        share = self._map_share()
        if share > INDEX_MAP_SHARE_MAX:
            return f"the service's index is nearly full: {share:.0%} of the most that it can hold is in use"
        return ""


def total_bytes(data: Path) -> int:
    """Return the size of the disk that holds `data`."""
    disk = os.statvfs(data)
    return disk.f_blocks * disk.f_frsize


def require(data: Path) -> None:
    """Return if a service may start on `data`.

    Raises:
        DataDirectoryError: Less than `FREE_DISK_BYTES_MIN` is free.
    """
    if is_short(data):
        free, needed = free_bytes(data) // _MIB, FREE_DISK_BYTES_MIN // _MIB
        raise DataDirectoryError(f"{advice(data)} ({free} MiB are free, {needed} MiB are needed)")


def advice(data: Path) -> str:
    """Return what an operator reads of a full disk."""
    return f"the disk that holds {data} is full: free space and start again"


def advice_running(data: Path) -> str:
    """Return what an operator of a running service reads of a full disk."""
    return f"the disk that holds {data} is full: free space, and writes come back by themselves"


def is_cause_of(error: BaseException, data: Path) -> bool:
    """Return whether an error of the store comes from a full disk."""
    says_so = any(
        type(each).__name__ in _FULL_ERROR_NAMES or (isinstance(each, OSError) and each.errno in _FULL_ERRNOS)
        for each in _chain(error)
    )
    return says_so or is_short(data)


def cause_of(error: BaseException) -> str:
    """Return what an error came from, as class names and names of errno, the first cause last; never a text."""
    return " < ".join(
        f"{type(each).__name__} {errno.errorcode.get(each.errno, '')}".strip()
        if isinstance(each, OSError) and each.errno
        else type(each).__name__
        for each in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__
