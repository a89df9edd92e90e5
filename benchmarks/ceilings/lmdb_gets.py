"""The index with nothing around it: `python -m benchmarks.ceilings.lmdb_gets DATA KEYS BATCH SECONDS`.

A bare Python loop of gets on the crosswalk of a data directory, one read transaction for each batch, keys as the index
writes them and ready before. It prints keys a second and CPU microseconds for a key as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import lmdb

from benchmarks.load.spec import read_requests
from mdm.limits import INDEX_MAP_BYTES
from mdm.store.generations import Generations
from mdm.store.view import Databases


def main(data: Path, keys_file: Path, batch: int, seconds: float) -> None:
    """Look keys up for so many seconds, after a first pass over all of them."""
    keys = read_requests(keys_file)
    current = Generations(data / "index").current()
    assert current is not None, "no index"
    environment = lmdb.open(
        str(current), map_size=INDEX_MAP_BYTES, max_dbs=len(Databases._fields), readonly=True, create=False
    )
    crosswalk = environment.open_db(b"crosswalk", create=False)
    batches = [keys[start : start + batch] for start in range(0, len(keys), batch)]
    for each in batches:
        _look_up(environment, crosswalk, each)
    found, asked = 0, 0
    cpu_s, began_s = time.process_time(), time.monotonic()
    while (took_s := time.monotonic() - began_s) < seconds:
        for each in batches[:64]:
            found += _look_up(environment, crosswalk, each)
            asked += len(each)
    used_s = time.process_time() - cpu_s
    assert found == asked, "the index lacks keys that were loaded"
    print(json.dumps({"keys_per_s": asked / took_s, "cpu_us": used_s / asked * 1e6}))


def _look_up(environment: lmdb.Environment, crosswalk: lmdb._Database, keys: list[bytes]) -> int:
    with environment.begin(db=crosswalk) as txn:
        get = txn.get
        return len([value for key in keys if (value := get(key)) is not None])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
