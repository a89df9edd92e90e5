"""A checkpoint is copied beside the writer's work, and one that cannot be written is left out, loudly."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from mdm.domain.events import Cause, ConfigurationChanged, Event
from mdm.resolve import checkpoints
from mdm.resolve.checkpoints import CheckpointKeeper, CheckpointOutcome
from mdm.store.generations import CHECKPOINT_DIRECTORY, Generations, Start
from mdm.store.index import Index, IndexVersions
from tests.resolve.office import Office, citizen


class Gated(Generations):
    """Generations whose copies begin when the test lets them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate = threading.Event()

    def checkpoint(self, index: Index) -> Path:
        self.gate.wait(30.0)
        return super().checkpoint(index)


@pytest.fixture
def generations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gated:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_INTERVAL_S", 0.0)
    return Gated(tmp_path)


@pytest.fixture
def index(generations: Gated) -> Index:
    return Index.open(generations.new(), versions=IndexVersions("normaliser 1", "specification 1"))


def fold(index: Index) -> int:
    with index.write() as txn:
        txn.fold(Event(txn.applied_seq + 1, 1, 1, Cause(), ConfigurationChanged("digest")))
        return txn.applied_seq


def test_the_index_goes_on_while_it_is_copied(generations: Gated, index: Index) -> None:
    keeper = CheckpointKeeper(generations, index, seq=0)
    keeper.step(fold(index))
    assert keeper.is_writing
    last = [fold(index) for _ in range(10)][-1]
    keeper.step(last)
    assert keeper.is_writing, "one copy at a time"
    assert generations.latest_checkpoint() is None
    generations.gate.set()
    keeper.close()
    with Index.open(generations.latest_checkpoint() or Path(), readonly=True) as copied, copied.read() as view:
        assert view.applied_seq == last
    index.close()


def test_nothing_is_copied_before_its_time_or_without_a_change(
    generations: Gated, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    seq = fold(index)
    unchanged = CheckpointKeeper(generations, index, seq)
    unchanged.step(seq)
    assert not unchanged.is_writing
    monkeypatch.setattr(checkpoints, "CHECKPOINT_INTERVAL_S", 600.0)
    early = CheckpointKeeper(generations, index, seq=0)
    early.step(seq)
    assert not early.is_writing
    index.close()


def test_a_copy_that_fails_is_left_out_and_said(generations: Gated, index: Index, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_DIRECTORY).write_bytes(b"in the way")
    generations.gate.set()
    keeper = CheckpointKeeper(generations, index, seq=0)
    keeper.step(fold(index))
    keeper.close()
    assert keeper.outcome == CheckpointOutcome(0, "FileExistsError")
    (tmp_path / CHECKPOINT_DIRECTORY).unlink()
    keeper.step(fold(index))
    keeper.close()
    assert keeper.outcome.failure == ""
    assert keeper.outcome.written_us > 0
    index.close()


def test_a_copy_that_finds_no_room_is_not_begun(
    generations: Gated, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than the disk has, so that any copy would fill it.
    needed = 1 << 60
    monkeypatch.setattr(checkpoints, "WRITE_FREE_DISK_BYTES_MIN", needed)
    keeper = CheckpointKeeper(generations, index, seq=0)
    keeper.step(fold(index))
    assert not keeper.is_writing
    assert keeper.outcome.failure.startswith("no room: ")
    monkeypatch.undo()
    monkeypatch.setattr(checkpoints, "CHECKPOINT_INTERVAL_S", 0.0)
    keeper._due_s = 0.0
    generations.gate.set()
    keeper.step(fold(index))
    keeper.close()
    assert keeper.outcome.failure == ""
    index.close()


def test_a_writer_that_is_killed_while_it_waits_for_a_copy_has_left_the_index_clean(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_INTERVAL_S", 0.0)
    generations = Gated(office.path / "index")
    office.writer._checkpoints = CheckpointKeeper(generations, office.writer._index, seq=0)
    office.put(citizen("H1"))
    office.writer.background_step()
    assert generations.usable("another boot") is not Start.USE
    closing = threading.Thread(target=office.writer.close)
    closing.start()
    until_s = time.monotonic() + 20
    while generations.usable("another boot") is not Start.USE and time.monotonic() < until_s:
        time.sleep(0.01)
    assert generations.usable("another boot") is Start.USE
    assert closing.is_alive(), "the copy has not begun"
    generations.gate.set()
    closing.join()
    office.directory.close()
    office.reopen()


def test_a_copy_that_fails_while_the_writer_closes_leaves_the_index_clean(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_INTERVAL_S", 0.0)
    generations = office.directory.generations
    (office.path / "index" / CHECKPOINT_DIRECTORY).write_bytes(b"in the way")
    office.writer._checkpoints = CheckpointKeeper(generations, office.writer._index, seq=0)
    office.put(citizen("H1"))
    office.writer.background_step()
    office.writer.close()
    assert generations.usable("another boot") is Start.USE
    office.directory.close()
    office.reopen()
