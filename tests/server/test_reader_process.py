"""How a reader comes to its index."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mdm.config import Configuration
from mdm.errors import IndexMismatchError
from mdm.resolve.reader import Reader
from mdm.resolve.writer import Writer
from mdm.server import reader_process
from mdm.store.data_directory import DataDirectory
from mdm.store.index import DATA_FILE


@pytest.fixture
def taken_away(tmp_path: Path) -> Path:
    """The file of an index that is whole, under another name."""
    directory = DataDirectory.open(tmp_path, create=True, exclusive=True)
    Writer.open(directory, Configuration.load(None)).close()
    generation = directory.generations.current()
    directory.close()
    assert generation is not None
    return (generation / DATA_FILE).rename(generation / "away")


def test_an_index_that_is_replaced_while_a_reader_opens_it_is_opened_all_the_same(
    tmp_path: Path, taken_away: Path
) -> None:
    threading.Timer(0.5, taken_away.rename, (taken_away.with_name(DATA_FILE),)).start()
    reader_process._patiently(lambda: Reader.open(tmp_path)).close()


def test_one_that_stays_away_is_given_up(tmp_path: Path, taken_away: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_process, "_OPEN_WAIT_S", 0.3)
    with pytest.raises(IndexMismatchError):
        reader_process._patiently(lambda: Reader.open(tmp_path))
    assert taken_away.is_file()
