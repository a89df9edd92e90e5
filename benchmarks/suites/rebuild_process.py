"""One rebuild of an index, timed by part: `python -m benchmarks.suites.rebuild_process DATA` prints JSON.

Identity state is folded first, then match state is described by all cores and its postings are written: the rebuild
tells its progress by stage, and that is where the clock is read.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.processes import machine_cpu_s
from mdm.resolve import projection
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index

IDENTITY_STAGE = "replay"


def main(data: Path) -> None:
    """Rebuild, and print records, seconds and CPU by part."""
    began = before = _now()

    def note(stage: str, _done: int, _whole: int) -> None:
        nonlocal before
        if stage == IDENTITY_STAGE:
            before = _now()

    projection.rebuild(data, note)
    after = _now()
    with DataDirectory.open(data) as directory:
        current = directory.generations.current()
        assert current is not None
        with Index.open(current, readonly=True) as index:
            records = index.sizes().entries["records"]
    whole_s = after[0] - began[0]
    told = {
        "records": records,
        "identity_s": before[0] - began[0],
        "match_s": after[0] - before[0],
        "whole_s": whole_s,
        "match_cpu_s": after[1] - before[1],
        "cpu_s": after[1] - began[1],
        "foreign_cores": max(after[2] - began[2] - (after[1] - began[1]), 0.0) / whole_s,
    }
    print(json.dumps(told))


def _now() -> tuple[float, float, float]:
    """Return the clock, the CPU of this process and of those it waited for, and the machine's."""
    # Processes that describe records end with the stage that they work in.
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + ended.ru_utime + ended.ru_stime, machine_cpu_s()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
