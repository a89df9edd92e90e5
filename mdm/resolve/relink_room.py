"""What a re-linkage needs of memory and disk, said before it starts."""

from __future__ import annotations

import os
from pathlib import Path

from mdm.errors import InvalidInputError, LimitExceededError
from mdm.limits import (
    FREE_DISK_BYTES_MIN,
    RELINK_DUCKDB_BYTES_MIN,
    RELINK_MEMORY_BYTES,
    RELINK_PROCESS_BYTES,
    RELINK_RECORD_BYTES,
    RELINK_RECORD_DISK_BYTES,
)
from mdm.machine import memory_bytes

_MIB = 1 << 20

_DUCKDB_RECORD_BYTES = 512
"""DuckDB's buffers for each record where that is more than RELINK_DUCKDB_BYTES_MIN: what it joins it holds, and 2.9
million records failed to train within 512 MiB."""

DECIDERS_MAX = 3
"""Processes that help to decide pairs: of 7 s at 450,000 citizens four cores would take 1.8, five 1.4."""

_DECIDERS_RECORDS_MIN = 20_000
"""Pairs of fewer records are decided within the time that a process takes to start."""

_DECIDER_BYTES = 128 << 20
_DECIDER_RECORD_BYTES = 384
"""What one takes: 80 MB with the features that it keeps; 32 bytes a record, and 700 for each whose pairs it decides.

The first also finds the candidates, with 800 bytes a record. They are among RELINK_RECORD_BYTES, of which the run's own
process has no use by then, and are given back before pairs are decided.
"""


def memory_needed_bytes(record_count: int) -> int:
    """Return the least memory in which a plan for so many records can be made."""
    return RELINK_PROCESS_BYTES + RELINK_RECORD_BYTES * record_count + _duckdb_bytes_min(record_count)


def memory_limit(asked_bytes: int, record_count: int) -> int:
    """Return the memory that a run which links so many records may use.

    Args:
        asked_bytes: What was asked for; 0 takes 4 GiB, or what the records need where that is more.
        record_count: Of all kinds.

    Raises:
        InvalidInputError: What was asked for is too little.
        LimitExceededError: Nothing was asked for, they need more than 4 GiB, and the service may use less than that.
    """
    needed = memory_needed_bytes(record_count)
    if asked_bytes:
        if asked_bytes < needed:
            raise InvalidInputError(
                "memory_limit_bytes", f"must be at least {needed} ({-(-needed // _MIB)} MiB) for {record_count} records"
            )
        return asked_bytes
    if needed <= RELINK_MEMORY_BYTES:
        return RELINK_MEMORY_BYTES
    whole = memory_bytes()
    if whole < needed:
        raise LimitExceededError(
            f"a re-linkage of {record_count} records needs {-(-needed // _MIB)} MiB of memory, and the service may use "
            f"{whole // _MIB} MiB"
        )
    return needed


def _duckdb_bytes_min(record_count: int) -> int:
    return max(RELINK_DUCKDB_BYTES_MIN, _DUCKDB_RECORD_BYTES * record_count)


def decider_count(memory_limit_bytes: int, record_count: int, linked_count: int) -> int:
    """Return how many processes may help: one for each core but this one's, as far as the limit has room.

    Args:
        memory_limit_bytes: Of the run.
        record_count: Of all kinds, as for `memory_needed_bytes`.
        linked_count: Of the kind that is linked.
    """
    if linked_count < _DECIDERS_RECORDS_MIN:
        return 0
    spare_bytes = memory_limit_bytes - memory_needed_bytes(record_count)
    room_for = spare_bytes // (_DECIDER_BYTES + _DECIDER_RECORD_BYTES * record_count)
    return max(min(len(os.sched_getaffinity(0)) - 1, DECIDERS_MAX, room_for), 0)


def duckdb_bytes(memory_limit_bytes: int, record_count: int, deciders: int) -> int:
    """Return what is left for DuckDB's buffers, beside so many processes that help."""
    taken_bytes = RELINK_PROCESS_BYTES + RELINK_RECORD_BYTES * record_count
    left_bytes = memory_limit_bytes - taken_bytes - deciders * (_DECIDER_BYTES + _DECIDER_RECORD_BYTES * record_count)
    # Records may have come since the limit was found to be enough.
    return max(left_bytes, _duckdb_bytes_min(record_count))


def disk_needed_bytes(record_count: int, index_bytes: int) -> int:
    """Return the room that a run takes until its plan is committed, beside an index of this size."""
    return index_bytes + RELINK_RECORD_DISK_BYTES * record_count + FREE_DISK_BYTES_MIN


def require_disk(record_count: int, index_bytes: int, data: Path) -> None:
    """Return if a run over so many records has disk enough.

    Raises:
        LimitExceededError: The disk that holds `data` has too little room.
    """
    free = os.statvfs(data)
    free_bytes, needed = free.f_bavail * free.f_frsize, disk_needed_bytes(record_count, index_bytes)
    if free_bytes < needed:
        raise LimitExceededError(
            f"a re-linkage of {record_count} records needs {-(-needed // _MIB)} MiB of free disk beside the index, "
            f"and {free_bytes // _MIB} MiB are free"
        )
