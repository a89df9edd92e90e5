"""A plain copy that is on the disk: `python -m benchmarks.ceilings.durable_copy FILE TARGET`.

What a backup, or the journal of a restore, cannot beat on this disk: as many bytes, read and written once and synced.
It prints seconds as JSON; the copy is removed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

_PIECE_BYTES = 2**20


def main(file: Path, target: Path) -> None:
    """Copy, sync, and print how long it took."""
    began_s = time.perf_counter()
    with file.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, _PIECE_BYTES)
        copy.flush()
        os.fsync(copy.fileno())
    took_s = time.perf_counter() - began_s
    target.unlink()
    print(json.dumps({"seconds": took_s}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
