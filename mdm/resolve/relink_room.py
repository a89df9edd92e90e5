"""What a re-linkage needs of memory and disk, said before it starts."""

from __future__ import annotations

import os
from pathlib import Path

from mdm.errors import InvalidInputError, LimitExceededError
from mdm.limits import (
    FREE_DISK_BYTES_MIN,
    RELINK_DUCKDB_BYTES_MIN,
    RELINK_PROCESS_BYTES,
    RELINK_RECORD_BYTES,
    RELINK_RECORD_DISK_BYTES,
)

_MIB = 1 << 20


def memory_needed_bytes(record_count: int) -> int:
    """Return the least memory in which a plan for so many records can be made."""
    return RELINK_PROCESS_BYTES + RELINK_DUCKDB_BYTES_MIN + RELINK_RECORD_BYTES * record_count


def disk_needed_bytes(record_count: int, index_bytes: int) -> int:
    """Return the room that a run takes until its plan is committed, beside an index of this size."""
    return index_bytes + RELINK_RECORD_DISK_BYTES * record_count + FREE_DISK_BYTES_MIN


def require_room(record_count: int, index_bytes: int, memory_limit_bytes: int, data: Path) -> None:
    """Return if a run over so many records has memory and disk enough.

    Raises:
        InvalidInputError: The memory limit is too low for them.
        LimitExceededError: The disk that holds `data` has too little room.
    """
    needed = memory_needed_bytes(record_count)
    if memory_limit_bytes < needed:
        raise InvalidInputError(
            "memory_limit_bytes", f"must be at least {needed} ({-(-needed // _MIB)} MiB) for {record_count} records"
        )
    free = os.statvfs(data)
    free_bytes, needed = free.f_bavail * free.f_frsize, disk_needed_bytes(record_count, index_bytes)
    if free_bytes < needed:
        raise LimitExceededError(
            f"a re-linkage of {record_count} records needs {-(-needed // _MIB)} MiB of free disk beside the index, "
            f"and {free_bytes // _MIB} MiB are free"
        )
