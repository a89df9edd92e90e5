"""A copy of the index and a pass over its match state: `python -m benchmarks.ceilings.lmdb_copy DATA DIRECTORY`.

The index's file, synced, and from the copy all features and posting keys in the order of their numbers, put into one
file as they are stored: what a re-linkage's snapshot takes on this disk without its order, its columns and its choice
of records. It prints seconds as JSON; both files are removed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import lmdb

from mdm.limits import INDEX_MAP_BYTES
from mdm.store.files import sync_file
from mdm.store.generations import Generations
from mdm.store.index import DATA_FILE
from mdm.store.view import Databases

_READ = ("features", "posting_keys")


def main(data: Path, directory: Path) -> None:
    """Copy, read and write, and print how long it took."""
    current = Generations(data / "index").current()
    assert current is not None, "no index"
    target, written = directory / "copied-index", directory / "match-state"
    target.mkdir()
    began_s = time.perf_counter()
    with _opened(current) as index:
        index.copy(str(target))
    sync_file(target / DATA_FILE)
    with _opened(target) as copy, written.open("wb") as file:
        for name in _READ:
            with copy.begin(db=copy.open_db(name.encode(), create=False)) as txn, txn.cursor() as cursor:
                file.writelines(cursor.iternext(keys=False, values=True))
    took_s = time.perf_counter() - began_s
    told = {"seconds": took_s, "index_bytes": (target / DATA_FILE).stat().st_size, "bytes": written.stat().st_size}
    shutil.rmtree(target)
    written.unlink()
    print(json.dumps(told))


def _opened(path: Path) -> lmdb.Environment:
    count_max = len(Databases._fields)
    return lmdb.open(str(path), map_size=INDEX_MAP_BYTES, max_dbs=count_max, readonly=True, create=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
