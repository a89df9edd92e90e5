"""One peer in a process of its own: `python -m benchmarks.quality.peers.process PEER KIND ROWS RESULT SEED`.

A peer that hangs, or takes all memory, can then be ended, and its peak memory is its own.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.quality.datasets import Numbers


class PeerResult(NamedTuple):
    """What a peer found."""

    clusters: dict[str, Numbers]
    """By threshold, cluster codes of all rows; the first is the peer's own advice."""
    seconds: dict[str, float]
    """By stage; `predict_and_cluster` is for the first threshold alone."""
    facts: dict[str, str]


def main(peer: str, kind: str, rows: Path, result: Path, seed: int) -> None:
    """Let a peer link the rows of a Parquet file and write its clusters beside its times."""
    module = importlib.import_module(f"benchmarks.quality.peers.{peer}")
    found: PeerResult = module.link(kind, rows, seed)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = {"seconds": found.seconds, "facts": {**found.facts, "peak_mib": peak_mib}}
    table = pa.table({threshold: pa.array(codes, pa.int64()) for threshold, codes in found.clusters.items()})
    pq.write_table(table.replace_schema_metadata({"told": json.dumps(told)}), result)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
