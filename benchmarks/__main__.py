"""`python -m benchmarks`: see `benchmarks.command`."""

from __future__ import annotations

import signal
import sys

from mdm.machine import avoid_slow_instructions


def main() -> int:
    """Run the command line and return its exit code."""
    # What is linked in this process and in peers' is sorted as it is in the service's.
    avoid_slow_instructions()
    from benchmarks.command import main as run  # noqa: PLC0415  (loads numpy, which asks once what to avoid)

    return run()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # As Ctrl-C does: a benchmark that is ended ends its services and removes its files.
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
