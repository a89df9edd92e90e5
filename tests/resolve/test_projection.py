"""An index built in bulk is entry for entry the one that was written record by record."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from mdm.domain.keys import RecordNumber
from mdm.domain.records import SourceRecord
from mdm.errors import StoreError
from mdm.resolve import describing, projection
from mdm.resolve.payloads import encode_payload
from mdm.resolve.projection import rebuild, verify
from mdm.store.comparison import differences
from mdm.store.index import Index
from tests.resolve.cities import city_records
from tests.resolve.office import Office


@pytest.fixture
def lived(office: Office) -> Office:
    """A city of which some records came twice, some are pending, some were withdrawn."""
    records = city_records(60, 11)
    office.put_all(records[:-20])
    office.put_all(records[-20:], later=True)
    office.put_all(records[:30:3])
    for record in records[5:40:7]:
        office.drop(record.key)
    return office


def test_several_processes_build_the_index_that_was_written(lived: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "DESCRIBED_TOGETHER", 7)
    stages: dict[str, tuple[int, int]] = {}
    lived.close()
    generations = lived.directory.generations
    written = generations.current()
    assert written is not None
    report = verify(lived.path, lambda stage, done, whole: stages.update({stage: (done, whole)}))
    assert report.is_equal, report.differences
    assert stages["replay"] == (report.event_count, report.event_count)
    assert 0 < stages["records"][0] <= stages["records"][1]

    kept = lived.path / "written"
    written.rename(kept)
    rebuild(lived.path)
    built = generations.current()
    assert built is not None
    with Index.open(kept) as left, Index.open(built) as right:
        assert differences(left, right) == []
        assert left.sizes().entries == right.sizes().entries
        assert left.sizes().entries["postings"] > 100
        assert left.sizes().entries["relations"] > 100
    assert [each.name for each in built.iterdir() if each.is_dir()] == []
    lived.reopen()


def frames(records: tuple[SourceRecord, ...], size: int) -> list[describing.Payloads]:
    rows = [(RecordNumber(number), encode_payload(record)) for number, record in enumerate(records, start=1)]
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def test_processes_describe_records_as_one_would_and_in_order() -> None:
    given = frames(city_records(60, 11), 9)
    assert len(given) > 10
    together = [state for states in describing.match_states(given) for state in states]
    assert together == [state for frame in given for state in describing._described(frame)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process that the test starts."""
    found: list[subprocess.Popen[bytes]] = []

    class Remembered(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Remembered)
    return found


def test_an_interrupt_at_the_terminal_reaches_no_process_but_the_first(started: list[subprocess.Popen[bytes]]) -> None:
    found = describing.match_states(frames(city_records(60, 11), 5))
    next(found)
    groups = [os.getpgid(process.pid) for process in started]
    assert groups
    assert os.getpgid(0) not in groups
    found.close()  # type: ignore[attr-defined]  # a generator, typed as the iterator that callers see
    assert None not in {process.returncode for process in started}


def test_a_process_that_dies_ends_the_build_with_an_error(started: list[subprocess.Popen[bytes]]) -> None:
    given = frames(city_records(60, 11), 5)
    found = describing.match_states(given)
    next(found)
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(StoreError, match="ended early"):
        list(found)
    assert {process.returncode for process in started} == {-signal.SIGKILL}
