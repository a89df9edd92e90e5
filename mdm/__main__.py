"""The command line: `mdm`, or `python -m mdm`."""

from __future__ import annotations

from mdm.cli.application import run


def main() -> None:
    """Run the command line and exit with its code."""
    run()


if __name__ == "__main__":
    main()
