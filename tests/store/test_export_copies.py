"""Copies of the index that exports read: shared, found again, and gone in time."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mdm.errors import ExportExpiredError, StorageNearlyFullError, UnavailableError
from mdm.limits import EXPORT_COPIES_IDLE_MAX, EXPORT_DONE_KEPT_S, EXPORT_KEPT_S
from mdm.store.export_copies import ExportCopies
from mdm.store.index import DATA_FILE, Index


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def names(data: Path) -> list[str]:
    return sorted(path.name for path in data.iterdir())


def cut(copies: ExportCopies, index: Index, name: str = "") -> str:
    """Read a copy until the connection breaks."""
    found: list[str] = []
    with contextlib.suppress(ConnectionError), copies.reading(index, name) as (read, _):
        found.append(read)
        raise ConnectionError
    return found[0]


def aged(data: Path, name: str, seconds: float) -> None:
    moment = time.time() - seconds
    for mark in (data / name).iterdir():
        if mark.is_file():
            os.utime(mark, (moment, moment))


def test_an_export_that_was_cut_finds_its_copy_again(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    name = cut(copies, index)
    aged(data, name, EXPORT_KEPT_S - 30)
    copies.sweep()
    # Another process of the service holds none of this in memory.
    with ExportCopies(data).reading(index, name) as (again, view):
        assert (again, view.applied_seq) == (name, 0)


def test_a_copy_that_nobody_came_back_to_goes(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    name = cut(copies, index)
    aged(data, name, EXPORT_KEPT_S + 1)
    copies.sweep()
    assert names(data) == []
    with pytest.raises(ExportExpiredError), copies.reading(index, name):
        pass


def test_a_copy_that_was_read_to_its_end_goes_sooner(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    with copies.reading(index) as (name, _):
        pass
    (lease,) = data.glob("*/lease")
    idle_s = time.time() - lease.stat().st_mtime
    assert abs(EXPORT_KEPT_S - idle_s - EXPORT_DONE_KEPT_S) < 5
    assert names(data) == [name]


def test_a_copy_stays_for_a_stream_that_was_cut_while_another_ended(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    with copies.reading(index) as (name, _):
        assert cut(copies, index) == name
    aged(data, name, EXPORT_KEPT_S - EXPORT_DONE_KEPT_S + 1)
    copies.sweep()
    assert names(data) == [name]


def test_a_copy_that_is_read_stays_whatever_its_age(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    with copies.reading(index) as (name, view):
        aged(data, name, 10 * EXPORT_KEPT_S)
        ExportCopies(data).sweep(0)
        assert names(data) == [name]
        assert view.applied_seq == 0


def test_a_copy_whose_reader_is_killed_late_is_still_young(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    with copies.reading(index) as (name, _):
        aged(data, name, 10 * EXPORT_KEPT_S)
        copies.sweep()
        # Another process looks when the lock is gone; here it only reads the mark.
        assert time.time() - (data / name / "lease").stat().st_mtime < 60


def test_exports_of_one_state_share_a_copy(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    with copies.reading(index) as (name, _), copies.reading(index) as (other, view):
        assert other == name
        assert view.applied_seq == 0
    with ExportCopies(data).reading(index) as (other, _):
        assert other == name


def test_only_the_latest_copies_that_nobody_reads_are_kept(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    for number in range(EXPORT_COPIES_IDLE_MAX + 2):
        name = cut(copies, index)
        # As if it were of another position.
        (data / name).rename(data / f"export-{number:020d}-{number:016x}")
        aged(data, f"export-{number:020d}-{number:016x}", 100 - number)
        if number == 0:
            (data / f"export-{0:020d}-{0:016x}").rename(data / f"export-{9:020d}-{0:016x}")
    copies.sweep()
    assert len(names(data)) == EXPORT_COPIES_IDLE_MAX
    assert f"export-{0:020d}-{0:016x}" not in names(data)


@pytest.mark.parametrize("name", ["../data", "export-1", "index", "export-00000000000000000000-0000000000000000"])
def test_a_name_that_is_no_copy_is_refused(data: Path, index: Index, name: str) -> None:
    with pytest.raises(ExportExpiredError), ExportCopies(data).reading(index, name):
        pass


def test_what_a_killed_process_left_goes(data: Path) -> None:
    left = data / "export-making-00"
    left.mkdir()
    os.utime(left, (0, 0))
    ExportCopies(data).sweep()
    assert names(data) == []


def test_an_export_learns_that_an_erasure_took_its_copy_away_and_cannot_come_back(data: Path, index: Index) -> None:
    copies = ExportCopies(data)
    with copies.reading(index) as (name, view):
        assert copies.is_kept(name)
        shutil.rmtree(data / name)
        assert not copies.is_kept(name)
        assert view.applied_seq == 0
    with pytest.raises(ExportExpiredError), copies.reading(index, name):
        pass


def test_an_export_that_comes_back_while_its_copy_is_removed_waits_and_finds_none(
    data: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = ExportCopies(data)
    name = cut(copies, index)
    aged(data, name, EXPORT_KEPT_S + 1)
    comes_back = ThreadPoolExecutor(1)
    answers: list[Future[None]] = []
    removed = shutil.rmtree

    def resumed() -> None:
        with ExportCopies(data).reading(index, name):
            pass

    def slowly(path: Path, *, ignore_errors: bool) -> None:
        answers.append(comes_back.submit(resumed))
        with pytest.raises(TimeoutError):
            answers[0].result(0.2)
        removed(path, ignore_errors=ignore_errors)

    monkeypatch.setattr("mdm.store.export_copies.shutil.rmtree", slowly)
    copies.sweep()
    with pytest.raises(ExportExpiredError):
        answers[0].result(10)
    comes_back.shutdown()


def test_a_copy_of_an_index_that_an_erasure_replaced_meanwhile_is_not_kept(data: Path, index: Index) -> None:
    (Path(index._environment.path()) / DATA_FILE).unlink()
    with pytest.raises(UnavailableError), ExportCopies(data).reading(index):
        pass
    assert names(data) == []


def test_a_copy_that_an_erasure_takes_away_in_the_making_can_be_made_again(
    data: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Index.copy

    def copied(self: Index, path: Path) -> None:
        copy(self, path)
        shutil.rmtree(path.parent)

    monkeypatch.setattr(Index, "copy", copied)
    with pytest.raises(UnavailableError), ExportCopies(data).reading(index):
        pass
    monkeypatch.undo()
    with ExportCopies(data).reading(index) as (_, view):
        assert view.applied_seq == 0


def test_a_copy_of_another_layout_is_passed_over(data: Path, index: Index) -> None:
    name = cut(ExportCopies(data), index)
    with Index.open(data / name / "index") as copy, copy._environment.begin(write=True) as txn:
        txn.put(b"layout", b"\0\0\0\1", db=copy._databases.meta)
    with pytest.raises(ExportExpiredError), ExportCopies(data).reading(index, name):
        pass
    with ExportCopies(data).reading(index) as (other, _):
        assert other != name


def test_no_copy_is_made_that_would_fill_the_disk(data: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    room = os.statvfs(data)
    free = room.f_bavail * room.f_frsize
    monkeypatch.setattr("mdm.store.export_copies.WRITE_FREE_DISK_BYTES_AGAIN", 2 * free)
    with pytest.raises(StorageNearlyFullError), ExportCopies(data).reading(index):
        pass
    assert names(data) == []
