"""GoldenMatch without configuration, as its own page advertises it: it profiles the columns and chooses all else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.quality.peers.process import PeerResult


def link(_kind: str, rows: Path, _seed: int) -> PeerResult:
    """Deduplicate the rows."""
    # Remembers nothing from an earlier run, so that the result depends on the rows alone.
    os.environ["GOLDENMATCH_AUTOCONFIG_MEMORY"] = "0"
    import goldenmatch  # noqa: PLC0415 - after the environment that it reads

    table = pq.read_table(rows)
    began = time.monotonic()
    result = goldenmatch.dedupe_df(
        table.drop_columns(["row", "registry"]), confidence_required=False, allow_red_config=True
    )
    seconds = {"predict_and_cluster": time.monotonic() - began}
    codes = np.arange(table.num_rows, dtype=np.int64)
    for cluster in result.clusters.values():
        members = np.asarray(cluster["members"], np.int64)
        codes[members] = members.min()
    return PeerResult({"zero_config": codes}, seconds, {"configuration": str(result.config)[:2000]})
