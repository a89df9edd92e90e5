from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from mdm.domain.events import Cause, ConfigurationChanged, Event
from mdm.errors import StoreError
from mdm.store.generations import MARK_FILE, Generations, Start, boot_id
from mdm.store.index import DATA_FILE, Index, IndexVersions, is_whole

VERSIONS = IndexVersions("normaliser 1", "specification 1")
BOOT, NEXT_BOOT = "boot-1", "boot-2"


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path)


def put_in_use(generations: Generations) -> Path:
    path = generations.new()
    Index.open(path, versions=VERSIONS).close()
    generations.mark_open(path, BOOT)
    generations.swap(path)
    return path


def fold(path: Path, count: int) -> None:
    with Index.open(path) as index, index.write() as txn:
        for _ in range(count):
            txn.fold(Event(txn.applied_seq + 1, 1, 1, Cause(), ConfigurationChanged("digest")))


def applied_seq(path: Path | None) -> int:
    assert path is not None
    with Index.open(path, readonly=True) as index, index.read() as view:
        return view.applied_seq


def test_without_a_generation_the_index_is_rebuilt(generations: Generations) -> None:
    assert generations.current() is None
    assert generations.usable(BOOT) is Start.REBUILD


def test_an_unfinished_generation_is_not_in_use_and_is_removed(generations: Generations) -> None:
    first = put_in_use(generations)
    unfinished = generations.new()

    assert generations.current() == first
    generations.remove_others()
    assert not unfinished.exists()
    assert first.exists()


def test_a_swap_puts_the_new_generation_in_use(generations: Generations) -> None:
    first, second = put_in_use(generations), put_in_use(generations)

    assert generations.current() == second
    assert (first.name, second.name) == ("gen-000001", "gen-000002")
    generations.remove_others()
    assert not first.exists()


def test_a_process_that_died_leaves_a_usable_index_in_the_same_boot_only(generations: Generations) -> None:
    put_in_use(generations)

    assert generations.usable(BOOT) is Start.USE
    assert generations.usable(NEXT_BOOT) is Start.REBUILD


def test_a_clean_shutdown_leaves_a_usable_index_for_every_boot(generations: Generations) -> None:
    path = put_in_use(generations)
    generations.mark_clean(path)

    assert generations.usable(NEXT_BOOT) is Start.USE
    generations.mark_open(path, NEXT_BOOT)
    assert generations.usable(BOOT) is Start.REBUILD


@pytest.mark.parametrize("lost", [MARK_FILE, DATA_FILE])
def test_an_index_without_its_mark_or_data_is_not_used(generations: Generations, lost: str) -> None:
    (put_in_use(generations) / lost).unlink()

    assert generations.usable(BOOT) is Start.REBUILD


def test_after_a_power_cut_the_checkpoint_is_restored_as_a_new_generation(generations: Generations) -> None:
    torn = put_in_use(generations)
    fold(torn, 10)
    with Index.open(torn) as index:
        generations.checkpoint(index)
    fold(torn, 5)
    (torn / DATA_FILE).write_bytes(b"torn by the power cut")

    assert generations.usable(NEXT_BOOT) is Start.RESTORE
    restored = generations.restore_checkpoint()

    assert generations.current() == restored != torn
    assert applied_seq(restored) == 10
    assert generations.usable(NEXT_BOOT) is Start.USE
    # Restoring used a copy: the next power cut finds the checkpoint again.
    fold(restored, 3)
    assert applied_seq(generations.latest_checkpoint()) == 10


def test_a_newer_checkpoint_replaces_the_older_one(generations: Generations) -> None:
    path = put_in_use(generations)
    for _ in range(2):
        fold(path, 10)
        with Index.open(path) as index:
            generations.checkpoint(index)

    assert applied_seq(generations.latest_checkpoint()) == 20
    assert len(list((path.parent / "checkpoint").iterdir())) == 1


def test_a_checkpoint_at_the_same_position_is_kept(generations: Generations) -> None:
    path = put_in_use(generations)
    with Index.open(path) as index:
        assert generations.checkpoint(index) == generations.checkpoint(index)

    assert applied_seq(generations.latest_checkpoint()) == 0


def test_an_unfinished_checkpoint_is_never_restored(generations: Generations, tmp_path: Path) -> None:
    put_in_use(generations)
    (tmp_path / "checkpoint" / "tmp").mkdir(parents=True)

    assert generations.latest_checkpoint() is None
    assert generations.usable(NEXT_BOOT) is Start.REBUILD
    with pytest.raises(FileNotFoundError):
        generations.restore_checkpoint()


def test_a_checkpoint_that_does_not_fit_leaves_the_older_one_and_gives_its_room_back(generations: Generations) -> None:
    path = put_in_use(generations)
    fold(path, 10)
    with Index.open(path) as index:
        kept = generations.checkpoint(index)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        try:
            with pytest.raises(StoreError, match="cannot be copied"):
                generations.checkpoint(index)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert list(kept.parent.iterdir()) == [kept]


def test_dropped_checkpoints_are_gone(generations: Generations) -> None:
    path = put_in_use(generations)
    with Index.open(path) as index:
        generations.checkpoint(index)
    generations.drop_checkpoints()

    assert generations.latest_checkpoint() is None
    generations.drop_checkpoints()


def test_current_that_names_no_generation_counts_as_none(generations: Generations, tmp_path: Path) -> None:
    put_in_use(generations)
    for name in ("", "gen-000009", "../elsewhere", "checkpoint"):
        (tmp_path / "CURRENT").write_text(name)
        assert generations.current() is None


def test_the_boot_id_is_the_same_all_boot_long() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36


def test_a_generation_that_is_distrusted_is_built_anew_whatever_copies_there_are(generations: Generations) -> None:
    path = put_in_use(generations)
    with Index.open(path) as index:
        generations.checkpoint(index)
    generations.mark_clean(path)
    assert generations.usable(BOOT) is Start.USE
    generations.distrust()
    assert generations.usable(BOOT) is Start.REBUILD


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5], ids=["empty", "no second page", "cut in halves"])
def test_a_generation_whose_file_was_cut_off_is_built_anew(generations: Generations, share: float) -> None:
    path = put_in_use(generations)
    fold(path, 300)
    file = path / DATA_FILE
    assert is_whole(path)
    os.truncate(file, int(file.stat().st_size * share))
    assert not is_whole(path)
    assert generations.usable(BOOT) is Start.REBUILD


@pytest.mark.parametrize("page", [0, 1])
def test_a_page_that_says_where_the_state_begins_must_be_one(generations: Generations, page: int) -> None:
    path = put_in_use(generations)
    with (path / DATA_FILE).open("r+b") as file:
        file.seek(page * 4096 + 16)
        file.write(b"\0")
    assert not is_whole(path)


def test_nothing_is_left_of_a_generation_that_could_not_be_made_nor_of_earlier_ones(
    generations: Generations, tmp_path: Path
) -> None:
    path = put_in_use(generations)
    (generations.new() / DATA_FILE).touch()

    def fail() -> None:
        with generations.making() as making:
            assert list(making.iterdir()) == []
            raise OSError(making.name)

    with pytest.raises(OSError, match="gen-000002"):
        fail()
    assert [each for each in tmp_path.iterdir() if each.is_dir()] == [path]
    assert generations.current() == path
