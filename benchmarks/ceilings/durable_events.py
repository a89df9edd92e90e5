"""Durable appends of a journal's events: `python -m benchmarks.ceilings.durable_events DIRECTORY JOURNAL AFTER UNTIL`.

The events behind one seq up to another, in the transactions in which they were committed: what a commit of a
re-linkage cannot beat on this disk, whatever it does to check and to fold them. It prints seconds, events and
transactions as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import apsw

from benchmarks.ceilings.durable_appends import appending

_EVENTS = "SELECT at_us, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"


def main(directory: Path, journal: Path, after: int, until: int) -> None:
    """Append them once, and print how long it took."""
    source = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
    # Events of one transaction share their time; no two transactions do.
    committed = groupby(source.execute(_EVENTS, (after, until)), key=itemgetter(0))
    groups = [[(body,) for _, body in events] for _, events in committed]
    source.close()
    file = directory / "events.sqlite"
    with appending(file) as append:
        began_s = time.perf_counter()
        for bodies in groups:
            append(bodies)
        took_s = time.perf_counter() - began_s
    told = {"seconds": took_s, "events": sum(map(len, groups)), "transactions": len(groups)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
