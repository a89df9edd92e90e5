"""The batch process of a re-linkage gives way to whoever answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mdm.limits import RELINK_NICENESS
from mdm.resolve import relink_process
from mdm.resolve.commands import Request, RunAnswer, StartRelink
from mdm.resolve.relink_runs import Phase, read_state
from tests.resolve.office import Office

_TELL = """
import os, sys, threading
from mdm.resolve.relink_process import _give_way
_give_way(int(sys.argv[1]))
threading.Thread(target=lambda: print(len(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0))).start()
"""

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("asked", "cores"),
    [
        (0, CORES),  # nobody bounded it
        (1, 1),
        (CORES + 1, CORES),  # more than there are
    ],
)
def test_a_run_keeps_to_its_cores_and_stands_behind_readers(asked: int, cores: int) -> None:
    told = subprocess.run([sys.executable, "-c", _TELL, str(asked)], capture_output=True, text=True, check=True)
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + RELINK_NICENESS, 19)
    assert told.stdout.split() == [str(cores), str(niceness)]


def test_a_run_remembers_its_cores_for_every_process_that_takes_it_up(office: Office) -> None:
    (started,) = office.execute(StartRelink(Request(office.cause), core_count_max=1))
    assert isinstance(started, RunAnswer)
    assert office.follow(started.run_id).core_count_max == 1
    assert read_state(office.directory.relinks, started.run_id).core_count_max == 1


def test_the_process_of_a_run_gives_way_before_its_first_stage(office: Office) -> None:
    (started,) = office.execute(StartRelink(Request(office.cause), core_count_max=1))
    assert isinstance(started, RunAnswer)
    process = office.writer._relink._process
    assert process is not None
    office.follow(started.run_id, until=lambda run: run.phase is not Phase.STARTING)
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + RELINK_NICENESS, 19)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == niceness
    assert len(os.sched_getaffinity(process.pid)) == 1
    assert office.follow(started.run_id).phase is Phase.PLANNED


def test_what_a_killed_process_spilled_is_cleared_away_and_the_rest_is_kept(tmp_path: Path) -> None:
    relink_process._prepare(work := tmp_path / "work")
    (spilled := work / "citizen" / "snapshot" / ".linkage-abc").mkdir(parents=True)
    (learned := work / "citizen" / "learned").write_bytes(b"")
    relink_process._prepare(work)
    assert learned.exists()
    assert not spilled.exists()
