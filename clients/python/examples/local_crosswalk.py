"""A local copy of the crosswalk, for lookups that must not leave the house or wait for a network.

    python local_crosswalk.py copy.sqlite follow               # begins with an export, then follows without end
    python local_crosswalk.py copy.sqlite lookup hospital citizen P1

`follow` outlives restarts of the service and of itself: rows and position change in one transaction of the file. After
a restore of the service (FEED_RESET) the copy is replaced by a new export. `lookup` asks the file alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import NoReturn

from mdm_client import Client, EntityKind, ServiceError, SourceKey, UnavailableError
from mdm_client.crosswalk import CrosswalkCopy, follow

UNKNOWN = 1
PAUSE_S = 1.0


def keep_in_step(client: Client, copy: CrosswalkCopy) -> NoReturn:
    """Follow without end. The feed resumes by itself; the export that a new copy begins with is asked for again."""
    while True:
        try:
            for batch in follow(client, copy, checkpoint_interval_s=1):
                if batch.changes or batch.is_current:
                    print(f"{len(copy)} rows, {'current' if batch.is_current else 'behind'}", flush=True)
        except UnavailableError as error:
            print(f"the service is away ({error.reason or error.code.name}); the copy stays as it is", file=sys.stderr)
            time.sleep(PAUSE_S)


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(description="Keeps a local copy of the crosswalk and looks records up in it.")
    parser.add_argument("copy", help="file of the copy")
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT of the service")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("follow", help="keep the copy in step")
    lookup = commands.add_parser("lookup", help="the golden ID of a record, from the copy alone")
    for name in ("registry", "kind", "record_id"):
        lookup.add_argument(name)
    arguments = parser.parse_args()
    with CrosswalkCopy(arguments.copy) as copy:
        if arguments.command == "lookup":
            key = SourceKey(arguments.registry, EntityKind(arguments.kind), arguments.record_id)
            golden_id = copy.golden_id(key)
            print(golden_id or "unknown")
            return 0 if golden_id else UNKNOWN
        with Client(arguments.server, actor="local-crosswalk") as client:
            try:
                keep_in_step(client, copy)
            except KeyboardInterrupt:
                return 0
            except ServiceError as error:
                print(f"refused: {error.reason}", file=sys.stderr)
                return 2


if __name__ == "__main__":
    sys.exit(main())
