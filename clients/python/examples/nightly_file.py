"""A nightly file of a hospital's own format into the service, resumable, with an exit code for the scheduler.

The load's id is made of the file's content: run again after a break, the load goes on behind what is durable; run again
when it is done, it changes nothing.

    python nightly_file.py patients.csv --server 127.0.0.1:50051

Exit codes: 0 done, 1 the file cannot be read or lacks a column, 3 done with rows that the service refused (printed), 75
the service stayed away: run it again.
`mdm load` does the same from the command line and more: whole files, dry runs, limits.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from mdm_client import (
    CitizenAttributes,
    Client,
    EntityKind,
    Identifier,
    IdentifierType,
    Load,
    ServiceError,
    SourceKey,
    SourceRecord,
    Upsert,
    WriteOutcome,
)

COLUMNS = ("record_id", "full_name", "birth_date", "sex", "personal_id", "phone", "updated_at")
UNUSABLE = 1
DONE_WITH_REJECTS = 3
AWAY = 75


def operations(path: Path) -> Iterator[Upsert]:
    """Yield what each row of the file asks for; the ordinal is the row's number, so that outcomes name rows."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            numbers = [Identifier(IdentifierType.PERSONAL_ID, row["personal_id"])] if row["personal_id"] else []
            citizen = CitizenAttributes(
                full_name=row["full_name"],
                birth_date=row["birth_date"],
                sex=row["sex"],
                phones=(row["phone"],) if row["phone"] else (),
                identifiers=tuple(numbers),
            )
            key = SourceKey("hospital", EntityKind.CITIZEN, row["record_id"])
            yield Upsert(SourceRecord(key, citizen, updated_at=row["updated_at"]), ordinal=number)


def main() -> int:
    """Load the file and return the exit code."""
    parser = argparse.ArgumentParser(description="Loads a nightly file into the service.")
    parser.add_argument("file", type=Path, help="CSV in UTF-8 with the columns of hospital.patients")
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT of the service")
    parser.add_argument("--give-up-s", type=float, default=120.0, help="how long to wait for a service that is away")
    arguments = parser.parse_args()

    try:
        content = arguments.file.read_bytes()
        header = next(csv.reader([content.decode("utf-8-sig").partition("\n")[0]]), [])
    except OSError as error:
        print(f"{arguments.file}: {error.strerror}", file=sys.stderr)
        return UNUSABLE
    except UnicodeDecodeError:
        print(f"{arguments.file}: is not UTF-8", file=sys.stderr)
        return UNUSABLE
    if missing := [column for column in COLUMNS if column not in header]:
        print(f"{arguments.file}: has no column {', '.join(missing)}", file=sys.stderr)
        return UNUSABLE
    digest = hashlib.sha256(content).hexdigest()[:32]
    load = Load(f"nightly-{digest}", "hospital.patients", give_up_s=arguments.give_up_s)
    with Client(arguments.server, actor="nightly-file", purpose="synchronisation") as client:
        ingest = client.ingest(operations(arguments.file), load)
        try:
            for each in ingest:
                if each.outcome is WriteOutcome.REJECTED:
                    rules = "; ".join(f"{issue.field}: {issue.rule}" for issue in each.value_issues)
                    print(f"row {each.ordinal} refused: {rules}", file=sys.stderr)
        except ServiceError as error:
            print(f"not done ({error.reason or error.code.name}); run it again", file=sys.stderr)
            return AWAY
    counts = {str(outcome): count for outcome, count in sorted(ingest.counts.items())}
    print(json.dumps({"outcomes": counts, "durable_before": ingest.skipped_count, "token": ingest.token}))
    return DONE_WITH_REJECTS if ingest.counts[WriteOutcome.REJECTED] else 0


if __name__ == "__main__":
    sys.exit(main())
