"""Restoring: the same golden IDs in a new epoch, at any position, without what was erased, whole after a kill."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdm.domain import events as ev
from mdm.domain.restores import restores_of
from mdm.domain.state import MemoryState, apply
from mdm.errors import BackupFileError, DataDirectoryError, InvalidInputError
from mdm.resolve.commands import Erase, EraseAnswer, Request
from mdm.resolve.projection import verify
from mdm.resolve.restoring import RestoreReport, restore
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index
from mdm.store.journal import Journal
from mdm.store.journal_rows import Table
from tests.resolve.cities import city_records
from tests.resolve.erasing import OTHERS, PERSON, erased, holding, id_of, search
from tests.resolve.office import Office, citizen
from tests.store.backups import back_up, quiet, tables_of

JOURNAL = "journal.sqlite"


def crosswalk_of(data: Path) -> dict[str, str]:
    """Source key → golden ID as the index of a stopped service says."""
    with DataDirectory.open(data, exclusive=True) as directory:
        current = directory.generations.current()
        assert current is not None
        with Index.open(current, readonly=True) as index, index.read() as view:
            return {str(key): entry.golden_id or "" for key, entry in view.iter_crosswalk()}


def restored(source: Path, data: Path, until: int | None = None) -> RestoreReport:
    report = restore(source, data, until, quiet)
    assert verify(data).is_equal
    return report


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped service with a small city, some erasures and judgements of its history, and its backup beside it."""
    path = tmp_path_factory.mktemp("city")
    office = Office(path / "data")
    records = city_records(60, 3)
    half = len(records) // 2
    office.put_all(records[:half], group=7)
    for record in random.Random(1).sample(records[:half], 5):
        office.drop(record.key)
    office.put_all(records[half:], group=7)
    office.close()
    back_up(path / "data" / JOURNAL, path / "backup", b'{"export_id": "e", "at_us": 1, "seq": 1, "kind": "k"}\n')
    return path


def test_a_restored_service_has_the_same_golden_ids_in_an_epoch_of_its_own(city: Path, tmp_path: Path) -> None:
    before_us = time.time_ns() // 1000
    report = restored(city / "backup", tmp_path / "data")
    assert crosswalk_of(tmp_path / "data") == crosswalk_of(city / "data")
    was, now = tables_of(city / "data" / JOURNAL), tables_of(tmp_path / "data" / JOURNAL)
    assert now[Table.EVENTS][: report.restored_to_seq] == was[Table.EVENTS]
    assert {table: rows for table, rows in now.items() if table not in {Table.EVENTS, "meta"}} == {
        table: rows for table, rows in was.items() if table not in {Table.EVENTS, "meta"}
    }
    with Journal.open_read_only(tmp_path / "data" / JOURNAL) as journal:
        (event,) = journal.events(report.restored_to_seq)
        assert (journal.epoch, journal.last_seq) == (report.epoch, report.seq)
    fact = event.fact
    assert isinstance(fact, ev.JournalRestored)
    assert (fact.former_epoch, fact.epoch, fact.backup_seq) == (1, report.epoch, report.restored_to_seq)
    assert report.epoch >= before_us // 1_000_000
    office = Office(tmp_path / "data")
    with office.writer._index.read() as view:
        (told,) = restores_of(view)
    assert (told.epoch, told.seq) == (report.epoch, report.seq)
    assert "the data was restored at 20" in str(told)
    assert [each.kind for each in office.directory.exports.entries()] == ["k"]
    assert office.put(citizen("NEW", "Lâm Thị Mới", "1990-01-01")).golden_id
    office.close()


def test_restored_to_any_position_it_is_the_fold_up_to_there(city: Path, tmp_path: Path) -> None:
    with Journal.open_read_only(city / "data" / JOURNAL) as journal:
        events = list(journal.events())
    whole = tables_of(city / "data" / JOURNAL)
    after = [*(each.at_us for each in events[1:]), 0]
    ends = [0, *(each.seq for each, next_us in zip(events, after, strict=True) if each.at_us != next_us)]
    inside = [seq for seq in range(ends[2], len(events)) if seq not in ends]
    dice = random.Random(2)
    for asked in [0, 1, *dice.sample(inside, 2), *dice.sample(ends[1:-1], 2), len(events)]:
        data = tmp_path / f"to-{asked}"
        report = restored(city / "backup", data, asked)
        until = max(end for end in ends if end <= asked)
        assert (report.restored_to_seq, report.backup_seq) == (until, len(events))
        state = MemoryState()
        for event in events[:until]:
            apply(state, event)
        kept = tables_of(data / JOURNAL)
        assert kept[Table.EVENTS][:until] == whole[Table.EVENTS][:until]
        assert len(kept[Table.EVENTS]) == until + 1
        named = {each.fact.payload_id for each in events[:until] if isinstance(each.fact, ev.RecordUpserted)}
        assert {row[0] for row in kept[Table.PAYLOADS]} == named
        assert {row[0] for row in kept[Table.RECORD_KEYS]} == set(state.records)
        assert all(row[5] <= until for row in kept[Table.ANSWERS])
        with DataDirectory.open(data, exclusive=True) as directory:
            current = directory.generations.current()
            assert current is not None
            with Index.open(current, readonly=True) as index, index.read() as view:
                assert dict(view.iter_records()) == state.records
                assert dict(view.iter_goldens()) == state.goldens
    with pytest.raises(InvalidInputError, match="to_seq"):
        restore(city / "backup", tmp_path / "beyond", len(events) + 1, quiet)


def test_a_record_number_that_was_lost_is_given_again_under_another_key(city: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Journal.open_read_only(city / "data" / JOURNAL) as journal:
        until = journal.last_seq // 2
        lost = {event.fact.golden_id for event in journal.events(until) if isinstance(event.fact, ev.RecordResolved)}
    restore(city / "backup", data, until, quiet)
    was = {row[0]: row[1] for row in tables_of(city / "data" / JOURNAL)[Table.RECORD_KEYS]}
    office = Office(data)
    minted = {each.golden_id for each in office.put_all(OTHERS)}
    office.close()
    now = {row[0]: row[1] for row in tables_of(data / JOURNAL)[Table.RECORD_KEYS]}
    given_again = [number for number, key in now.items() if number in was and key != was[number]]
    assert len(given_again) == len(OTHERS)
    assert not minted & lost
    assert verify(data).is_equal


def erased_city(path: Path) -> tuple[int, list[bytes]]:
    """Make a service from which a person was erased behind a position; returns it and the person's keys."""
    office = Office(path)
    office.put_all([*PERSON, *OTHERS])
    until = office.writer._journal.last_seq
    golden_id = office.id_of(PERSON[0])
    assert golden_id is not None
    with office.writer._index.read() as view:
        golden = view.golden(golden_id)
        assert golden is not None
        keys = [office.writer._journal.record_key(number) for number in golden.members]
    back_up(path / JOURNAL, path.with_name("backup"))
    (answer,) = office.execute(Erase(Request(office.cause), golden_id, None, "asked"))
    assert isinstance(answer, EraseAnswer)
    office.close()
    return until, [key for key in keys if key is not None]


def test_what_was_erased_later_is_erased_in_what_is_restored_to_before(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    until, keys = erased_city(tmp_path / "served" / "data")
    backup = tmp_path / "served" / "backup"
    control = tmp_path / "control"
    assert restored(backup, control).erased_again_count == 0
    assert holding(control), "the search finds the person in a restored service"
    assert search(control, keys)
    back_up(tmp_path / "served" / "data" / JOURNAL, backup)
    assert not search(tmp_path / "served", keys), "an incremental backup loses the keys"
    data = tmp_path / "data"
    assert restored(backup, data, until).erased_again_count == 1
    assert not holding(data)
    assert not search(data, keys)
    office = Office(data)
    with office.writer._index.read() as view:
        entries = [entry for number in range(1, 4) if (entry := view.record(number)) is not None]  # type: ignore[arg-type]
        assert all(entry.is_erased and entry.is_deleted for entry in entries)
        assert {golden.is_retired for _, golden in view.iter_goldens() if golden.is_erased} == {True}
    assert office.put(citizen("NEW", "Lâm Thị Mới", "1990-01-01")).golden_id
    office.close()
    assert verify(data).is_equal


def test_a_record_that_passed_on_later_is_erased_with_whom_it_belonged_to(tmp_path: Path) -> None:
    office = Office(tmp_path / "served")
    office.put_all([*PERSON, *OTHERS])
    until = office.writer._journal.last_seq
    golden_id = id_of(office)
    office.drop(PERSON[0].key)
    office.put(citizen(PERSON[0].key.record_id, "Hoàng Văn Khác", "1955-05-05", phone="0911222333", sex="M"))
    erased(office, golden_id)
    office.close()
    back_up(tmp_path / "served" / JOURNAL, tmp_path / "backup")
    assert restored(tmp_path / "backup", tmp_path / "data", until).erased_again_count == 1
    office = Office(tmp_path / "data")
    with office.writer._index.read() as view:
        entries = [entry for number in range(1, 4) if (entry := view.record(number)) is not None]  # type: ignore[arg-type]
        assert [(entry.is_erased, entry.golden_id) for entry in entries] == [(True, None)] * 3
        golden = view.golden(golden_id)
        assert golden is not None
        assert (golden.is_retired, golden.is_erased, golden.members) == (True, True, ())
    office.close()


def test_a_commit_without_its_plan_is_ended(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    office.put_all(OTHERS)
    journal = office.writer._journal
    batch = journal.begin(journal._last_at_us)
    batch.add(ev.Cause(), ev.RelinkCommitStarted("20261126T000000-abcdef", "digest", 9))
    batch.add(ev.Cause(), ev.RelinkProgressed("20261126T000000-abcdef", 4, 1))
    journal.commit(batch)
    office.kill()
    back_up(tmp_path / "data" / JOURNAL, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "again")
    with Journal.open_read_only(tmp_path / "again" / JOURNAL) as reader:
        (ended,) = [each.fact for each in reader.events() if isinstance(each.fact, ev.RelinkCommitFinished)]
    assert (ended.run_id, ended.dropped_count) == ("20261126T000000-abcdef", 1)
    office = Office(tmp_path / "again")
    assert office.put(citizen("NEW", "Lâm Thị Mới", "1990-01-01")).golden_id
    office.close()


def test_a_directory_that_holds_anything_is_never_touched(city: Path, tmp_path: Path) -> None:
    before = crosswalk_of(city / "data")
    with pytest.raises(DataDirectoryError, match="not empty"):
        restore(city / "backup", city / "data", None, quiet)
    assert crosswalk_of(city / "data") == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("dear")
    with pytest.raises(DataDirectoryError, match="not empty"):
        restore(city / "backup", tmp_path / "letters", None, quiet)
    assert [each.name for each in (tmp_path / "letters").iterdir()] == ["love.txt"]
    with pytest.raises(DataDirectoryError, match=r"Not a directory|File exists"):
        restore(city / "backup", tmp_path / "letters" / "love.txt", None, quiet)


def test_a_damaged_backup_restores_nothing_that_could_be_served(city: Path, tmp_path: Path) -> None:
    content = bytearray((city / "backup").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "backup").write_bytes(content)
    with pytest.raises(BackupFileError, match="damaged"):
        restore(tmp_path / "backup", tmp_path / "data", None, quiet)
    with pytest.raises(DataDirectoryError, match="restore"):
        DataDirectory.open(tmp_path / "data", create=True, exclusive=True)
    restored(city / "backup", tmp_path / "data")


RESTORING = """
import sys
from pathlib import Path
from mdm.resolve.restoring import restore
print("begun", flush=True)
restore(Path(sys.argv[1]), Path(sys.argv[2]), None, lambda *_: None)
print("done", flush=True)
"""


@pytest.mark.crash
def test_a_restore_that_was_killed_is_refused_and_begun_anew(city: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    dice = random.Random(4)
    whole_s = 1.0
    for attempt in range(4):
        started_s = time.monotonic()
        arguments = [sys.executable, "-c", RESTORING, str(city / "backup"), str(data)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            if attempt:
                time.sleep(dice.uniform(0, whole_s))
                child.kill()
            is_done = child.stdout.readline() == "done\n"
        if is_done:
            whole_s = time.monotonic() - started_s if attempt == 0 else whole_s
            assert verify(data).is_equal
            assert crosswalk_of(data) == crosswalk_of(city / "data")
            data = tmp_path / f"data-{attempt}"
        elif data.exists() and (data / "RESTORING").exists():
            with pytest.raises(DataDirectoryError, match="cut off"):
                DataDirectory.open(data, create=True, exclusive=True)
    restored(city / "backup", data)
    assert crosswalk_of(data) == crosswalk_of(city / "data")
