"""What a re-linkage needs of memory and disk is counted before it starts, and it gets what its records need."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from mdm.errors import InvalidInputError, LimitExceededError
from mdm.limits import RELINK_DUCKDB_BYTES_MIN, RELINK_MEMORY_BYTES
from mdm.resolve import relink_process, relink_room
from mdm.resolve.commands import CancelRelink, Request, StartRelink
from mdm.resolve.relink_room import (
    DECIDERS_MAX,
    decider_count,
    disk_needed_bytes,
    duckdb_bytes,
    memory_limit,
    memory_needed_bytes,
    require_disk,
)
from mdm.resolve.relink_runs import Phase, read_state, run_ids
from tests.resolve.cities import city_records
from tests.resolve.office import Office, citizen


def test_a_plan_keeps_to_memory_and_disk_or_says_what_it_needs(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relink_room, "memory_bytes", lambda: 64 << 30)
    needed = memory_needed_bytes(1_300_000)
    assert needed <= RELINK_MEMORY_BYTES, "the default is enough for a city of 450,000"
    assert memory_limit(needed, 1_300_000) == needed
    with pytest.raises(InvalidInputError, match=f"memory_limit_bytes: must be at least {needed} "):
        memory_limit(needed - 1, 1_300_000)
    free = os.statvfs(tmp_path)
    too_large = free.f_bavail * free.f_frsize
    with pytest.raises(LimitExceededError, match="MiB of free disk"):
        require_disk(10, too_large, tmp_path)
    assert disk_needed_bytes(10, 1000) > disk_needed_bytes(5, 1000) > 1000
    # What a machine lacks is said at once, not after the snapshot; what somebody asks for is theirs to choose.
    assert memory_limit(0, 1_300_000) == RELINK_MEMORY_BYTES
    assert memory_limit(0, 3_000_000) == memory_needed_bytes(3_000_000) > RELINK_MEMORY_BYTES
    assert memory_limit(1 << 52, 10**12) == 1 << 52
    with pytest.raises(LimitExceededError, match="MiB of memory, and the service may use"):
        memory_limit(0, 10**12)
    assert office.refused(StartRelink(Request(office.cause), memory_limit_bytes=1)) == "InvalidInputError"
    assert run_ids(office.directory.relinks) == []


def test_a_run_gets_what_its_records_need_and_a_reversal_needs_nothing_of_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = city_records(60, 5)
    office.put_all(records, later=True)
    committed = office.relink()
    needed = memory_needed_bytes(len(records))
    monkeypatch.setattr(relink_room, "RELINK_MEMORY_BYTES", needed - 1)
    planned = office.relink(commit=False)
    assert planned.memory_limit_bytes == needed
    office.execute(CancelRelink(Request(office.cause), planned.run_id))
    monkeypatch.setattr(relink_room, "memory_bytes", lambda: needed - 1)
    assert office.refused(StartRelink(Request(office.cause))) == "LimitExceededError"
    reversal = office.revert(committed.run_id)
    assert reversal.phase is Phase.COMMITTED


def test_a_run_whose_library_had_too_little_memory_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(*_: object) -> None:
        raise RuntimeError("of Splink") from duckdb.OutOfMemoryException("of DuckDB")

    office.put(citizen("A", "Nguyễn Văn An"))
    monkeypatch.setattr(relink_process, "_plan", failed)
    with pytest.raises(SystemExit, match="1"):
        office.plan_here()
    (run_id,) = run_ids(office.directory.relinks)
    assert read_state(office.directory.relinks, run_id).error == "LimitExceededError"


def test_duckdb_keeps_what_three_million_records_were_trained_within(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relink_room, "memory_bytes", lambda: 64 << 30)
    # Within 674 MiB they were not.
    assert duckdb_bytes(memory_limit(0, 2_980_000), 2_980_000, 0) > 896 << 20


@pytest.mark.parametrize(
    ("cores", "record_count", "linked_count", "memory_gib", "expected"),
    [
        (1, 1_300_000, 1_200_000, 64, 0),
        (2, 1_300_000, 1_200_000, 4, 1),
        (8, 1_300_000, 1_200_000, 4, 2),
        (64, 1_300_000, 1_200_000, 64, DECIDERS_MAX),
        (64, 1_300_000, 10_000, 64, 0),
        (64, 14_000_000, 13_000_000, 16, 0),
        (2, 100_000, 90_000, 1, 0),
    ],
)
def test_processes_that_help_fit_into_the_memory_that_is_given(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    record_count: int,
    linked_count: int,
    memory_gib: int,
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    limit = memory_gib << 30
    count = decider_count(limit, record_count, linked_count)
    assert count == expected
    left = duckdb_bytes(limit, record_count, count)
    assert left >= RELINK_DUCKDB_BYTES_MIN
    assert count == 0 or left < duckdb_bytes(limit, record_count, 0)
