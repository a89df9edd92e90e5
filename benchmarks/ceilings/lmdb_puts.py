"""A bare loop of LMDB puts: `python -m benchmarks.ceilings.lmdb_puts DATA TARGET` copies an index entry by entry.

The same entries in key order, so that no page is looked for twice, unsynced as a rebuild's: what writing an index takes
without working out what to write.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import lmdb

from mdm.limits import INDEX_MAP_BYTES
from mdm.store.generations import Generations
from mdm.store.view import DUPLICATED, Databases

MATCH_STATE = frozenset({"features", "posting_keys", "postings"})
_PUTS_PER_COMMIT = 200_000
"""A transaction that holds more pages than memory should would write them and read them back."""


def main(data: Path, target: Path) -> None:
    """Copy, and print records a second for identity state, match state and both."""
    current = Generations(data / "index").current()
    assert current is not None, "no index"
    count_max = len(Databases._fields)
    spent_s = {True: 0.0, False: 0.0}
    with (
        lmdb.open(str(current), map_size=INDEX_MAP_BYTES, max_dbs=count_max, readonly=True, create=False) as source,
        lmdb.open(str(target), map_size=INDEX_MAP_BYTES, max_dbs=count_max, sync=False, metasync=False) as copy,
    ):
        for name in Databases._fields:
            is_duplicated = name in DUPLICATED
            read, write = (
                each.open_db(name.encode(), create=each is copy, dupsort=is_duplicated, dupfixed=is_duplicated)
                for each in (source, copy)
            )
            began_s = time.perf_counter()
            with source.begin(db=read) as old, old.cursor() as cursor:
                entries = iter(cursor)
                while _put(copy, write, islice(entries, _PUTS_PER_COMMIT)) == _PUTS_PER_COMMIT:
                    pass
                if name == "records":
                    records = old.stat(read)["entries"]
            spent_s[name in MATCH_STATE] += time.perf_counter() - began_s
    told = {"identity": records / spent_s[False], "match": records / spent_s[True]}
    print(json.dumps(told | {"whole": records / sum(spent_s.values())}))


def _put(copy: lmdb.Environment, database: lmdb._Database, entries: Iterable[tuple[bytes, bytes]]) -> int:
    with copy.begin(db=database, write=True) as new, new.cursor() as cursor:
        consumed, _ = cursor.putmulti(entries)
        return consumed


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
