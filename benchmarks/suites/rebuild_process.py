"""One rebuild of an index, timed by part: `python -m benchmarks.suites.rebuild_process DATA` prints JSON.

Match state is what `derive_match_state` puts; everything else is reading the journal and folding identity state.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.processes import machine_cpu_s
from mdm.domain.keys import RecordNumber
from mdm.resolve import projection
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index
from mdm.store.transaction import IndexTransaction


def main(data: Path) -> None:
    """Rebuild, and print records, seconds by part, and CPU."""
    derive = projection.derive_match_state
    match_s = 0.0

    def timed(txn: IndexTransaction, number: RecordNumber) -> None:
        nonlocal match_s
        began_s = time.perf_counter()
        derive(txn, number)
        match_s += time.perf_counter() - began_s

    projection.derive_match_state = timed
    machine_s, cpu_s, began_s = machine_cpu_s(), time.process_time(), time.perf_counter()
    projection.rebuild(data)
    whole_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    busy_s = machine_cpu_s() - machine_s
    with DataDirectory.open(data) as directory:
        current = directory.generations.current()
        assert current is not None
        with Index.open(current, readonly=True) as index:
            records = index.sizes().entries["records"]
    told = {
        "records": records,
        "whole_s": whole_s,
        "match_s": match_s,
        "identity_s": whole_s - match_s,
        "cpu_s": used_s,
        "foreign_cores": max(busy_s - used_s, 0.0) / whole_s,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
