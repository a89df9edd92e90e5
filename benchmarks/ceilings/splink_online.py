"""Splink's own online calls: `python -m benchmarks.ceilings.splink_online ROWS CALLS`.

ROWS is a file of citizens as `quality.peers.rows` makes them.
`compare_records` with its SQL cached compares a record with 50 others that somebody found; `predict_between` also finds
them, in all rows. Both with the stock comparisons of `quality.peers.splink_stock`. The model is not trained: the SQL
and its work are the same. It prints the milliseconds of each call as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from splink import DuckDBAPI, Linker
from splink.internals.realtime import compare_records

from benchmarks.quality.peers.splink_stock import citizens

COMPARED = 50
"""Records that one cached call compares with: about as many candidates as a record has."""
_WARM_UP_CALLS = 3


def main(rows: Path, calls: int) -> None:
    """Call each way so often, and print how long each call took."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    connection = duckdb.connect()
    connection.execute("CREATE TABLE plain AS SELECT * FROM read_parquet(?)", [str(rows)]).fetchall()
    (count,) = connection.execute("SELECT count(*) FROM plain").fetchall()[0]
    settings, _, _ = citizens()
    api = DuckDBAPI(connection=connection)
    told: dict[str, Any] = {"rows": count, "cached_ms": [], "predict_ms": []}
    rows_table = pq.read_table(rows)
    sample = rows_table.slice(0, COMPARED + 1)
    # The call asks for the frequencies of the values; any will do for the work that they cause.
    frequencies = pa.array([0.001] * len(sample))
    known = sample.append_column("tf_full_name", frequencies).append_column("tf_phone", frequencies)
    existing, one = known.slice(0, len(known) - 1), known.slice(len(known) - 1)
    for number in range(_WARM_UP_CALLS + calls):
        began_s = time.perf_counter()
        found = compare_records(one, existing, settings, api, sql_cache_key="plain").as_record_list()
        assert len(found) == len(existing)
        if number >= _WARM_UP_CALLS:
            told["cached_ms"].append((time.perf_counter() - began_s) * 1000)
    told["predict_ms"] = _predictions(api, settings, sample.slice(len(sample) - 1), calls)
    print(json.dumps(told))


def _predictions(api: DuckDBAPI, settings: Any, record: pa.Table, calls: int) -> list[float]:
    existing = api.register("plain", dataset_display_name="plain_rows")
    linker = Linker(existing, settings, log_level=logging.ERROR)
    for column in ("full_name", "phone"):
        linker.table_management.compute_tf_table(column)
    spent_ms = []
    for number in range(_WARM_UP_CALLS + calls):
        began_s = time.perf_counter()
        fresh = api.register(
            record.set_column(0, "row", pa.array([-1 - number])), dataset_display_name=f"fresh_{number}"
        )
        linker.inference.predict_between(fresh, existing, link_type="link_only").as_record_list()
        if number >= _WARM_UP_CALLS:
            spent_ms.append((time.perf_counter() - began_s) * 1000)
    return spent_ms


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
