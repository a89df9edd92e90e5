"""The command line: `mdm`, or `python -m mdm`."""

from __future__ import annotations

import sys

from mdm.machine import avoid_slow_instructions


def main() -> None:
    """Run the command line and exit with its code."""
    avoid_slow_instructions()
    try:
        from mdm.cli.application import run  # noqa: PLC0415  (the base install is the client and lacks the engines)
    except ModuleNotFoundError as error:
        sys.exit(f"mdm: {error.name} is not installed; the commands need: pip install 'hcm-mdm[server]'")
    run()


if __name__ == "__main__":
    main()
