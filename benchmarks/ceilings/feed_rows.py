"""A bare loop over feeds: `python -m benchmarks.ceilings.feed_rows FILE…` makes every row of Parquet files text.

What a load of rows that are stored already cannot beat in Python: to see that nothing changed it must see the rows.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

_BATCH_ROWS = 10_000


def main(files: Sequence[Path]) -> None:
    """Read them, and print rows a second."""
    count = 0
    began_s = time.perf_counter()
    for file in files:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(_BATCH_ROWS):
                columns = [column.to_pylist() for column in batch.columns]
                count += sum(1 for _ in zip(*columns, strict=True))
    print(json.dumps({"rows_per_s": count / (time.perf_counter() - began_s)}))


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
