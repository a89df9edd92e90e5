"""One entry for all suites: `python -m benchmarks SUITE [options]`."""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks import city, feed, recovery, serving
from benchmarks.quality import suite as quality

SUITES = {"city": city, "feed": feed, "quality": quality, "recovery": recovery, "serving": serving}


def main() -> int:
    """Run one suite, print its result as JSON, and return 1 if it found a broken promise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True)
    for name, module in SUITES.items():
        module.add_options(suites.add_parser(name, help=(module.__doc__ or "").splitlines()[0]))
    options = parser.parse_args()
    result, is_kept = SUITES[options.suite].run(options)
    print(json.dumps(result, indent=2))
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
