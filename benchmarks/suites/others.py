"""Other linkers on the city's own rows, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import City
from benchmarks.quality.peers.rows import plain_rows
from benchmarks.session import Session
from mdm.config import Configuration
from mdm.domain.keys import EntityKind
from mdm.domain.records import SourceRecord
from mdm.feeds.mapping import RowMapper, UpsertOperation
from mdm.feeds.reading import Row, open_feed
from mdm.synth.feeds import KINDS

ROWS_AT_A_TIME = 50_000


def linked_by(session: Session, peer: str, rows: Path) -> dict[str, float]:
    """Return seconds by stage and peak MiB (`peak_mib`) of a peer of the quality suite on the rows.

    Raises:
        RuntimeError: It failed.
    """
    result = session.scratch / f"{peer}.parquet"
    command = [sys.executable, "-m", "benchmarks.quality.peers.process", peer, EntityKind.CITIZEN.value]
    command += [str(rows), str(result), str(session.options.seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{peer} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    told = json.loads(pq.read_schema(result).metadata[b"told"])
    return {**told["seconds"], "peak_mib": float(told["facts"]["peak_mib"])}


def write_plain_rows(city: City, path: Path) -> int:
    """Write all citizens of a city as plain Splink takes them, and return how many records they are."""
    count = 0
    writer: pq.ParquetWriter | None = None
    for feed, kinds in KINDS.items():
        if EntityKind.CITIZEN not in kinds:
            continue
        opened = open_feed(city.files[feed])
        mapper = RowMapper(Configuration.load(), feed, opened.columns)
        waiting: list[SourceRecord] = []

        def write(waiting: list[SourceRecord]) -> None:
            nonlocal count, writer
            table = plain_rows(EntityKind.CITIZEN, waiting)
            table = table.set_column(0, "row", pa.array(range(count, count + len(waiting)), pa.int64()))
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            count += len(waiting)
            waiting.clear()

        for row in opened.rows():
            operations = mapper.operations(row) if isinstance(row, Row) else ()
            if isinstance(operations, tuple):
                records = (each.record for each in operations if isinstance(each, UpsertOperation))
                waiting += [record for record in records if record.key.kind is EntityKind.CITIZEN]
            if len(waiting) >= ROWS_AT_A_TIME:
                write(waiting)
        if waiting:
            write(waiting)
    if writer is not None:
        writer.close()
    return count
