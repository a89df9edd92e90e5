"""An admission desk that goes on while the service is away.

What is admitted goes into a queue on the desk's own disk first, with the request id under which it is sent, and from
there to the service, in order. A repetition under its request id gets the first answer, so a desk that is killed
between sending and noting sends again and nothing happens twice. What the service refuses is a conflict: it is shown to
a person and holds nothing else up.

    python admission_desk.py desk.sqlite admit P1 "Trần Thị Bích" 02/03/1961
    python admission_desk.py desk.sqlite send       # exit code 75: the service is away, the rest stays queued
    python admission_desk.py desk.sqlite show
    python admission_desk.py desk.sqlite requeue 2 P1 "Trần Thị Bích" 02/03/1962     # a conflict, mended by a person
    python admission_desk.py desk.sqlite settle 3      # a conflict that needs nothing more
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mdm_client import (
    CitizenAttributes,
    Client,
    DeadlineExceededError,
    EntityKind,
    ResourceExhaustedError,
    ServiceError,
    SourceKey,
    SourceRecord,
    UnavailableError,
    WriteOutcome,
)

AWAY = 75
"""Exit code of sendmail and others for "try again later"."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS admission (
    number INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    golden_id TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
)
"""


class Admission(NamedTuple):
    """One admission as the queue holds it.

    `state` is queued, sent, conflict or settled; `detail` the outcome, the reason, or the admission in its place.
    """

    number: int
    request_id: str
    content: str
    state: str
    golden_id: str
    detail: str

    def record(self) -> SourceRecord:
        """Return what is sent, the same each time: a request id stands for one content."""
        record_id, full_name, birth_date, updated_at = json.loads(self.content)
        key = SourceKey("hospital", EntityKind.CITIZEN, record_id)
        return SourceRecord(key, CitizenAttributes(full_name=full_name, birth_date=birth_date), updated_at=updated_at)


class Queue:
    """Admissions in the order in which they were made, durable once `admit` returns."""

    def __init__(self, path: Path | str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        # The default loses the last transactions with the power: what a clerk was told is kept must be kept.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(SCHEMA)

    def admit(self, record_id: str, full_name: str, birth_date: str) -> int:
        """Keep an admission and return its number."""
        content = json.dumps([record_id, full_name, birth_date, datetime.now(UTC).isoformat()], ensure_ascii=False)
        row = (str(uuid.uuid4()), content)
        return self._connection.execute("INSERT INTO admission (request_id, content) VALUES (?, ?)", row).lastrowid or 0

    def settle(self, number: int, again: tuple[str, str, str] | None = None) -> int:
        """Take a conflict out of what a person has to look at, and queue it again as it is right; returns its number.

        It is queued as of now and under a request id of its own: under the old one the service would only repeat what
        it said. 0 if it is not queued again.

        Raises:
            KeyError: No conflict has this number.
        """
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            if number not in {each.number for each in self.admissions("conflict")}:
                raise KeyError(number)
            queued = self.admit(*again) if again else 0
            self.note(number, "settled", "", f"queued again as {queued}" if queued else "")
        return queued

    def admissions(self, state: str) -> list[Admission]:
        """Return the admissions of one state, in order."""
        columns = ", ".join(Admission._fields)
        sql = f"SELECT {columns} FROM admission WHERE state = ? ORDER BY number"  # noqa: S608 – names of our own
        return [Admission(*row) for row in self._connection.execute(sql, (state,))]

    def note(self, number: int, state: str, golden_id: str, detail: str) -> None:
        """Keep what became of an admission."""
        row = (state, golden_id, detail, number)
        self._connection.execute("UPDATE admission SET state = ?, golden_id = ?, detail = ? WHERE number = ?", row)

    def send(self, client: Client) -> Iterator[Admission]:
        """Send what is queued, in order, and yield each admission when its fate is noted.

        Raises:
            ServiceError: The service is away, or something in between answers; what it has not answered itself stays
                queued.
        """
        for admission in self.admissions("queued"):
            try:
                written = client.upsert(admission.record(), request_id=admission.request_id)
            except (UnavailableError, DeadlineExceededError, ResourceExhaustedError):
                raise
            except ServiceError as error:
                if not error.reason:
                    # Not the service's word, but that of something in between.
                    raise
                state, golden_id, detail = "conflict", "", error.reason
            else:
                # Somebody wrote a newer state of this patient meanwhile: a person has to look.
                state = "conflict" if written.outcome is WriteOutcome.STALE else "sent"
                golden_id, detail = written.golden_id, str(written.outcome)
            self.note(admission.number, state, golden_id, detail)
            yield admission._replace(state=state, golden_id=golden_id, detail=detail)


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(description="An admission desk that goes on while the service is away.")
    parser.add_argument("queue", help="file of the desk's queue")
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT of the service")
    commands = parser.add_subparsers(dest="command", required=True)
    admit = commands.add_parser("admit", help="keep an admission in the queue")
    for name in ("record_id", "full_name", "birth_date"):
        admit.add_argument(name)
    requeue = commands.add_parser("requeue", help="queue a conflict again, as it is right")
    settle = commands.add_parser("settle", help="a conflict needs nothing more: show it no longer")
    for command in (requeue, settle):
        command.add_argument("number", type=int, help="as show says")
    for name in ("record_id", "full_name", "birth_date"):
        requeue.add_argument(name)
    commands.add_parser("send", help="send what is queued")
    commands.add_parser("show", help="what is queued, and what a person has to look at")
    arguments = parser.parse_args()
    queue = Queue(arguments.queue)
    match arguments.command:
        case "admit":
            print(f"{queue.admit(arguments.record_id, arguments.full_name, arguments.birth_date)} queued")
        case "requeue" | "settle":
            again = None
            if arguments.command == "requeue":
                again = arguments.record_id, arguments.full_name, arguments.birth_date
            try:
                queued = queue.settle(arguments.number, again)
                print(f"{queued} queued" if queued else f"{arguments.number} settled")
            except KeyError:
                print(f"no conflict has the number {arguments.number}: see show", file=sys.stderr)
                return 1
        case "send":
            with Client(arguments.server, actor="admission-desk", purpose="admission") as client:
                try:
                    for sent in queue.send(client):
                        print(f"{sent.number} {sent.state} {sent.golden_id or '-'} {sent.detail}", flush=True)
                except ServiceError as error:
                    left = len(queue.admissions("queued"))
                    print(f"the service does not answer ({error.code.name}); {left} stay queued", file=sys.stderr)
                    return AWAY
        case _:
            for state in ("queued", "conflict"):
                for each in queue.admissions(state):
                    print(f"{each.number} {each.state} {each.detail}".strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
