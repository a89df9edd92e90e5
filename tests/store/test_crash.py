"""A writer killed between any two steps: the index is behind the journal, never ahead, and catches up exactly."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdm.domain.events import RecordUpserted
from mdm.domain.keys import EntityKind, SourceKey
from mdm.store.comparison import differences
from mdm.store.index import Index, IndexVersions
from mdm.store.journal import Journal, JournalReader

VERSIONS = IndexVersions("normaliser 1", "specification 1")

WRITER = """
import sys
from pathlib import Path
from mdm.domain.events import Cause, Outcome, RecordResolved, RecordUpserted
from mdm.domain.keys import EntityKind, RecordNumber, SourceKey, golden_id
from mdm.store.index import Index
from mdm.store.journal import Journal

cause, citizen = Cause("loader"), EntityKind.CITIZEN
directory = Path(sys.argv[1])
with Journal.open(directory / "journal.sqlite") as journal, Index.open(directory / "index") as index:
    while True:
        with index.write() as txn:
            batch = journal.begin(at_us=1)
            for _ in range(3):
                number = RecordNumber(txn.last_number() + 1)
                plain = b"values of %d" % number
                sealed = batch.seal(number, plain)
                txn.put_raw(number, SourceKey("hospital", citizen, str(number)), plain)
                upserted = RecordUpserted(number, "hospital", citizen, sealed.payload_id, sealed.payload_hash)
                txn.fold(batch.add(cause, upserted))
                resolved = RecordResolved(number, golden_id(citizen, number), True, Outcome.CREATED)
                txn.fold(batch.add(cause, resolved))
                txn.put_match_state(number, plain, [b"%09d" % (number % 7)])
            journal.commit(batch)
        sys.stdout.write(f"{batch.last_seq}\\n")
        sys.stdout.flush()
"""


def catch_up(index: Index, journal: JournalReader) -> None:
    with index.write() as txn:
        for event, plain in journal.events_with_payloads(txn.applied_seq):
            fact = event.fact
            if isinstance(fact, RecordUpserted):
                assert plain is not None
                txn.put_raw(fact.number, SourceKey("hospital", EntityKind.CITIZEN, str(fact.number)), plain)
                txn.put_match_state(fact.number, plain, [b"%09d" % (fact.number % 7)])
            txn.fold(event)


@pytest.mark.crash
def test_the_index_of_a_killed_writer_catches_up_to_exactly_the_journals_fold(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal.sqlite", create=True).close()
    Index.open(tmp_path / "index", versions=VERSIONS).close()
    randomness = random.Random(11)
    acknowledged = 0
    for attempt in range(8):
        arguments = [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            first = int(child.stdout.readline())
            assert first == acknowledged + 6
            time.sleep(randomness.uniform(0, 0.03))
            child.kill()
            lines = child.stdout.read().splitlines(keepends=True)
        acknowledged = max([first, *(int(line) for line in lines if line.endswith("\n"))])
        with Journal.open(tmp_path / "journal.sqlite") as journal, Index.open(tmp_path / "index") as index:
            with index.read() as view:
                assert acknowledged <= view.applied_seq <= journal.last_seq
            catch_up(index, journal)
            with Index.open(tmp_path / f"replay-{attempt}", versions=VERSIONS) as replay:
                catch_up(replay, journal)
                assert differences(index, replay) == []
            acknowledged = journal.last_seq
