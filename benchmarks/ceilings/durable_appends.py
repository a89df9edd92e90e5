"""A bare loop of durable appends: `python -m benchmarks.ceilings.durable_appends DIRECTORY BODIES GROUP SECONDS`.

SQLite with the journal's own durability, a row for a body and a transaction for a group: what nothing that keeps its
word on this disk can beat, whatever it does with a record besides.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import apsw

from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import read_requests


def main(directory: Path, bodies_file: Path, group: int, seconds: float) -> None:
    """Append for so many seconds; print rows a second, and how long transactions took."""
    bodies = read_requests(bodies_file)
    groups = cycle([[(body,) for body in bodies[start : start + group]] for start in range(0, len(bodies), group)])
    count = 0
    waited_s = []
    with appending(directory / "appends.sqlite") as append:
        cpu_s, began_s = time.process_time(), time.monotonic()
        while (took_s := time.monotonic() - began_s) < seconds:
            rows = next(groups)
            begun_s = time.perf_counter()
            append(rows)
            waited_s.append(time.perf_counter() - begun_s)
            count += len(rows)
        used_s = time.process_time() - cpu_s
    waits = Histogram.of(waited_s)
    times = {"median_ms": waits.quantile_ms(0.5), "p99_ms": waits.quantile_ms(0.99)}
    print(json.dumps({"records_per_s": count / took_s, "cpu_us": used_s / count * 1e6, **times}))


@contextmanager
def appending(file: Path) -> Iterator[Callable[[Sequence[tuple[bytes]]], None]]:
    """Yield what appends rows to a new file in one durable transaction; the file is removed."""
    file.unlink(missing_ok=True)
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE appended (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    def append(rows: Sequence[tuple[bytes]]) -> None:
        with connection:
            connection.executemany("INSERT INTO appended (body) VALUES (?)", rows)

    yield append
    connection.close()
    file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
