"""A journal whose disk fails, and a writer that is killed: nothing acknowledged is lost, nothing half is kept."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from mdm.domain.events import Cause, ConfigurationChanged, RecordUpserted
from mdm.errors import JournalFailedError
from mdm.store.journal import Draft, Journal

CAUSE = Cause("loader")


class Disk(apsw.VFS):
    """The system's VFS, of which one chosen read, write or sync fails once; later ones succeed, as on Linux."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.remaining = -1
        self.error: type[apsw.Error] = apsw.IOError
        self.operation = ""
        self.failed_on = ""
        super().__init__(name, base="")

    def arm(self, operation: str, nth: int, error: type[apsw.Error]) -> None:
        self.operation, self.remaining, self.error = operation, nth, error

    def step(self, operation: str, name: str) -> None:
        if operation != self.operation or self.remaining < 0:
            return
        self.remaining -= 1
        if self.remaining < 0:
            self.failed_on = f"{operation} {name}"
            raise self.error("injected")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return DiskFile(name, flags, self)


class DiskFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], disk: Disk) -> None:
        self._disk = disk
        self._kind = "log" if flags[0] & apsw.SQLITE_OPEN_WAL else "file"
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.step("read", self._kind)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.step("write", self._kind)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.step("sync", self._kind)
        super().xSync(flags)


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    made = Disk(f"faulty-{request.node.name}")
    yield made
    made.unregister()


def drafts(count: int) -> list[Draft]:
    return [Draft(CAUSE, ConfigurationChanged(f"{each:032x}")) for each in range(count)]


@pytest.mark.parametrize(
    ("operation", "error", "places"),
    [
        ("write", apsw.IOError, {"write log", "write file"}),
        ("write", apsw.FullError, {"write log", "write file"}),
        ("sync", apsw.IOError, {"sync log", "sync file"}),
    ],
    ids=["EIO", "ENOSPC", "failed sync"],
)
def test_the_first_error_of_the_disk_ends_the_journal_and_loses_nothing(
    tmp_path: Path,
    disk: Disk,
    operation: str,
    error: type[apsw.Error],
    places: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Checkpoint after every commit, so that its writes and syncs fail too.
    monkeypatch.setattr("mdm.store.journal.WAL_PAGES_MAX", 1)
    seen = set()
    for nth in range(100):
        path = tmp_path / f"journal-{nth}.sqlite"
        failures: list[str] = []
        journal = Journal.open(path, create=True, vfs=disk.name, on_failure=lambda: failures.append("exit"))  # noqa: B023
        journal.append(0, drafts(3), at_us=1)
        disk.arm(operation, nth, error)
        try:
            journal.append(3, drafts(20), at_us=1)
        except JournalFailedError:
            seen.add(disk.failed_on)
            assert failures == ["exit"]
            with pytest.raises(JournalFailedError, match="failed before"):
                journal.append(3, drafts(1), at_us=1)
            with pytest.raises(JournalFailedError, match="failed before"):
                list(journal.events())
            journal.close()
            with Journal.open(path) as reopened:
                events = list(reopened.events())
                # Unacknowledged, so it may be there or not, but whole.
                assert len(events) in {3, 23}
                assert [event.seq for event in events] == list(range(1, len(events) + 1))
        else:
            journal.close()
            assert not failures
            break
    assert seen == places


def test_a_disk_error_while_reading_ends_the_journal_too(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, create=True) as journal:
        journal.append(0, drafts(2000), at_us=1)
    journal = Journal.open(path, vfs=disk.name)
    disk.arm("read", 0, apsw.IOError)

    with pytest.raises(JournalFailedError):
        list(journal.events())
    with pytest.raises(JournalFailedError, match="failed before"):
        journal.append(2000, drafts(1), at_us=1)
    journal.close()


def test_a_damaged_page_is_an_error_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, create=True) as journal:
        journal.append(0, drafts(2000), at_us=1)
    content = bytearray(path.read_bytes())
    content[16 * 4096 : -4096] = bytes(len(content) - 17 * 4096)
    path.write_bytes(content)

    with Journal.open(path) as journal, pytest.raises(JournalFailedError):
        list(journal.events())


WRITER = """
import sys
from pathlib import Path
from mdm.domain.events import Cause, RecordUpserted
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.store.journal import Journal

cause = Cause("loader")
with Journal.open(Path(sys.argv[1])) as journal:
    while True:
        batch = journal.begin(at_us=1)
        for _ in range(5):
            number = RecordNumber(batch.last_seq + 1)
            sealed = batch.seal(number, b"values of %d" % number)
            batch.add(cause, RecordUpserted(number, "hospital", EntityKind.CITIZEN, sealed.payload_id, b""))
        batch.answer("loader", "ingest", str(batch.last_seq), b"hash", b"done")
        journal.commit(batch)
        sys.stdout.write(f"{batch.last_seq}\\n")
        sys.stdout.flush()
"""


@pytest.mark.crash
def test_what_a_killed_writer_acknowledged_is_there_in_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path, create=True).close()
    randomness = random.Random(7)
    acknowledged = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert int(child.stdout.readline()) == acknowledged + 5
            time.sleep(randomness.uniform(0, 0.05))
            child.kill()
            lines = child.stdout.read().splitlines(keepends=True)
        acknowledged = max([acknowledged + 5, *(int(line) for line in lines if line.endswith("\n"))])
        with Journal.open(path) as journal:
            replayed = list(journal.events_with_payloads())
            assert len(replayed) >= acknowledged
            assert len(replayed) % 5 == 0
            for event, plain in replayed:
                assert isinstance(event.fact, RecordUpserted)
                assert plain == b"values of %d" % event.fact.number
            for last_seq in range(5, len(replayed) + 1, 5):
                answer = journal.answer("loader", "ingest", str(last_seq))
                assert answer is not None
                assert answer.seq == last_seq
            acknowledged = len(replayed)
