"""A writer that is killed between its two commits, or loses its index: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mdm.errors import DataDirectoryError, StoreError
from mdm.resolve.commands import Request, Upsert, WriteOutcome
from mdm.resolve.projection import rebuild, verify
from mdm.store.index import DATA_FILE, Index
from mdm.store.transaction import IndexTransaction
from tests.resolve.office import Office, citizen


def entries(index: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """All that an index holds, by database."""
    with Index.open(index, readonly=True) as opened, opened.read() as view:
        return {name: list(view.iter_entries(name)) for name in opened.sizes().entries}


def fill(office: Office) -> None:
    """Every kind of write once."""
    office.put_all([citizen("H1"), citizen("H2"), citizen("H3", "Lý Quốc Cường", "1950-01-02", phone="", address="")])
    office.put(citizen("P1"), later=True)
    office.put(citizen("H3", "Nguyễn Thị Thúy", phone="", address=""))
    office.put(citizen("H4", "Nguyễn Thị Thúy", phone="", address=""))
    office.put(citizen("H2", phone="0987654321"))
    office.drop(citizen("H1").key)
    office.put(citizen("H5"), request_id="r5", content=b"x")


@pytest.fixture
def killed(tmp_path: Path) -> Office:
    office = Office(tmp_path / "data")
    fill(office)
    return office


def test_a_killed_writer_has_everything_at_its_next_start(killed: Office, tmp_path: Path) -> None:
    crosswalk, seq = killed.crosswalk(), killed.seq
    killed.kill()
    killed.reopen()

    assert (killed.crosswalk(), killed.seq) == (crosswalk, seq)
    assert killed.put(citizen("H5"), request_id="r5", content=b"x").is_repeated
    assert killed.differences(tmp_path / "scratch") == []
    killed.close()


def test_an_index_behind_its_journal_catches_up(killed: Office, tmp_path: Path) -> None:
    # As after a kill between the journal's commit and the index's: the file is the one of some commits before.
    current = killed.directory.generations.current()
    assert current is not None
    killed.writer._index.copy(tmp_path / "before")
    killed.put_all([citizen("H6"), citizen("H7", "Lê Thị Ngọc Diễm Hằng")])
    killed.put(citizen("P2"), later=True)
    killed.drop(citizen("H2").key)
    crosswalk = killed.crosswalk()
    killed.kill()
    shutil.copyfile(tmp_path / "before" / DATA_FILE, current / DATA_FILE)
    killed.reopen()

    assert killed.crosswalk() == crosswalk
    assert killed.differences(tmp_path / "scratch") == []
    killed.close()


def test_an_index_commit_that_fails_behind_the_journal_ends_the_writer_and_loses_nothing(
    killed: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: IndexTransaction) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(IndexTransaction, "finish", fail)
        with pytest.raises(StoreError):
            killed.execute(Upsert(Request(killed.cause), citizen("H8")))
    seq = killed.seq
    killed.kill()
    killed.reopen()

    assert killed.seq == seq
    assert killed.id_of(citizen("H8")) is not None, "the journal holds it, so it happened"
    assert killed.differences(tmp_path / "scratch") == []
    killed.close()


def test_a_journal_commit_that_fails_leaves_no_trace_in_the_index(
    killed: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = killed.writer._journal

    def fail(_: object) -> None:
        raise StoreError("no space")

    crosswalk, seq = killed.crosswalk(), killed.seq
    with monkeypatch.context() as patched:
        patched.setattr(journal, "commit", fail)
        with pytest.raises(StoreError):
            killed.execute(Upsert(Request(killed.cause), citizen("H8")))
    assert (killed.crosswalk(), killed.seq) == (crosswalk, seq)
    killed.close()


def test_a_lost_index_is_rebuilt_entry_for_entry(killed: Office) -> None:
    killed.close()
    directory = killed.directory.generations
    before = entries(directory.current() or Path())
    assert verify(killed.path).is_equal
    report = rebuild(killed.path)
    assert report.event_count > 0
    first = directory.current() or Path()
    assert entries(first) == before
    content = (first / DATA_FILE).read_bytes()
    rebuild(killed.path)
    second = directory.current() or Path()
    assert second != first
    assert (second / DATA_FILE).read_bytes() == content
    shutil.rmtree(second)
    killed.reopen()
    killed.close()
    assert entries(directory.current() or Path()) == before


def test_a_lost_journal_is_never_replaced_by_an_empty_one(killed: Office) -> None:
    killed.close()
    killed.directory.journal.unlink()
    for suffix in ("-wal", "-shm"):
        killed.directory.journal.with_name(killed.directory.journal.name + suffix).unlink(missing_ok=True)
    with pytest.raises(DataDirectoryError):
        killed.reopen()
    assert os.listdir(killed.directory.relinks) == []  # noqa: PTH208


def test_the_same_writes_in_other_groups_give_the_same_partition(tmp_path: Path) -> None:
    records = [citizen(f"H{n}", name) for n, name in enumerate(["Lý Quốc Cường", "Huỳnh Ngọc Bảo Trâm"] * 6)]
    partitions = []
    for group in (1, 5, 12):
        office = Office(tmp_path / f"data{group}")
        answers = office.put_all(records, group=group)
        assert {answer.outcome for answer in answers} <= {WriteOutcome.CREATED, WriteOutcome.LINKED}
        partitions.append(office.partition())
        office.close()
    assert partitions[0] == partitions[1] == partitions[2]
