"""Peers' results as linkages, measured as ours are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.quality.datasets import Linkage, Numbers, Truth, Workshop
from benchmarks.quality.intervals import ratio
from benchmarks.quality.metrics import Agreement

PEERS = {"splink_stock": "splink", "record_linkage": "recordlinkage", "golden_match": "goldenmatch"}
"""Module beside this one → the library that it needs."""

_ROOT = Path(__file__).resolve().parents[3]


def link_with_peers(kind: str, rows: pa.Table, truth: Truth, workshop: Workshop) -> Iterator[Linkage]:
    """Yield what each peer asked for makes of the rows: with its own threshold, and with the best if that is another.

    A peer that is not installed or fails is named to whoever watches, and left out.
    """
    wanted: list[str] = [peer for peer in workshop.options.peers if peer != "none"]
    file, result = workshop.scratch / f"{kind}.rows.parquet", workshop.scratch / f"{kind}.result.parquet"
    if wanted:
        pq.write_table(rows, file)
    for peer in wanted:
        if find_spec(PEERS[peer]) is None:
            workshop.say(f"{kind}: {peer} left out: {PEERS[peer]} is not installed (pip install 'hcm-mdm[peers]')")
            continue
        workshop.say(f"{kind}: {peer}")
        arguments = [peer, str(kind), str(file), str(result), str(workshop.options.seed)]
        failure = _run(arguments, workshop.options.peer_seconds_max)
        if failure is not None:
            workshop.say(f"{kind}: {peer} left out: {failure}")
            continue
        yield from _linkages(peer, kind, result, truth)


def _run(arguments: list[str], seconds_max: float) -> str | None:
    """Run one peer; return why it failed, None if it did not."""
    command = [sys.executable, "-m", "benchmarks.quality.peers.process", *arguments]
    try:
        done = subprocess.run(
            command, cwd=_ROOT, capture_output=True, text=True, errors="replace", check=False, timeout=seconds_max
        )
    except subprocess.TimeoutExpired:
        return f"took more than {seconds_max:g} s"
    return None if done.returncode == 0 else f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"


def _linkages(peer: str, kind: str, result: Path, truth: Truth) -> Iterator[Linkage]:
    table = pq.read_table(result)
    told = json.loads(table.schema.metadata[b"told"])
    clusters = {threshold: table.column(threshold).to_numpy() for threshold in table.column_names}
    advised = table.column_names[0]
    best = max(clusters, key=lambda threshold: _f1(truth, clusters[threshold]))
    facts = told["facts"] | {"threshold": advised}
    yield Linkage(str(kind), peer, truth, clusters[advised], seconds=told["seconds"], facts=facts)
    if best != advised:
        # Only the advised threshold's clustering was timed.
        yield Linkage(str(kind), f"{peer}_best", truth, clusters[best], facts=told["facts"] | {"threshold": best})


def _f1(truth: Truth, clusters: Numbers) -> float:
    right, found, true = (np.sum(each) for each in Agreement(truth, clusters).all())
    return float(ratio(np.array([2 * right]), np.array([found + true]))[0])
