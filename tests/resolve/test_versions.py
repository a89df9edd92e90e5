"""Events that a process reads ahead are those that the journal holds, and its damage is told as such."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import apsw
import pytest

from mdm.errors import JournalFailedError
from mdm.resolve import versions
from mdm.resolve.versions import VersionedEvent, read_ahead, versioned_events
from mdm.resolve.workers import Worker
from mdm.store.journal import Journal
from tests.resolve.cities import city_records
from tests.resolve.office import Office

TOGETHER = 50


@pytest.fixture
def lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A small city, read as a large one is."""
    office = Office(tmp_path / "data")
    monkeypatch.setattr(versions, "READ_AHEAD_EVENTS_MIN", 1)
    monkeypatch.setattr(versions, "READ_TOGETHER_EVENTS", TOGETHER)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    records = city_records(60, 11)
    office.put_all(records)
    office.drop(records[3].key)
    office.close()
    return office


def test_a_process_reads_what_is_there(lived: Office, started: list[Worker]) -> None:
    path = lived.directory.journal
    with Journal.open_read_only(path) as journal:
        expected = list(versioned_events(journal, 0, journal.last_seq))
        assert len(expected) == journal.last_seq > 3 * TOGETHER
        assert sum(version is not None for _, version in expected) > TOGETHER
        assert list(read_ahead(journal, path, journal.last_seq)) == expected
        # To the event, where the last frame is full and where it is not.
        for until in (TOGETHER - 1, TOGETHER, TOGETHER + 1):
            assert list(read_ahead(journal, path, until)) == expected[:until]
    assert len(started) == 4


def test_a_reading_process_that_is_killed_is_done_without(lived: Office, started: list[Worker]) -> None:
    path = lived.directory.journal
    with Journal.open_read_only(path) as journal:
        expected = list(versioned_events(journal, 0, journal.last_seq))
        found: list[VersionedEvent] = []
        for event in read_ahead(journal, path, journal.last_seq):
            found.append(event)
            if len(found) == TOGETHER + 1:
                os.kill(started[0].pid, signal.SIGKILL)
        assert found == expected


def test_damage_that_the_process_meets_is_told_as_damage(lived: Office, started: list[Worker]) -> None:
    path = lived.directory.journal
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE payloads SET sealed = zeroblob(length(sealed)) WHERE payload_id = 60")
    connection.close()
    with Journal.open_read_only(path) as journal, pytest.raises(JournalFailedError, match="payload 60 of record"):
        list(read_ahead(journal, path, journal.last_seq))
    assert len(started) == 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """The processes that were started."""
    workers: list[Worker] = []

    class Noted(Worker):
        def __init__(self, module: str) -> None:
            super().__init__(module)
            workers.append(self)

    monkeypatch.setattr(versions, "Worker", Noted)
    return workers
