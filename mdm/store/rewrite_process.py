"""The process that writes an index anew; it imports next to nothing, so it starts at once."""

from __future__ import annotations

import sys
from pathlib import Path

from mdm.processes import die_with
from mdm.store.index import Index


def main(source: Path, target: Path) -> None:
    """Write the index at `source` anew at `target`."""
    try:
        with Index.open(source, readonly=True) as index:
            index.rewrite(target)
    except Exception as error:  # noqa: BLE001  (the text of an error may quote values; its type says enough)
        print(f'{{"event": "rewrite_failed", "error": "{type(error).__name__}"}}', file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    main(Path(sys.argv[2]), Path(sys.argv[3]))
