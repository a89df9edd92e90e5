from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from mdm.errors import DataDirectoryError
from mdm.store.data_directory import DataDirectory
from mdm.store.journal import Journal

HOLDER = """
import sys
from pathlib import Path
from mdm.store.data_directory import DataDirectory
directory = DataDirectory.open(Path(sys.argv[1]), create=True, exclusive=True)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("exists", [False, True])
def test_a_missing_or_empty_directory_becomes_a_private_data_directory(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001
    path = tmp_path / "deep" / "data"
    if exists:
        path.mkdir(parents=True, mode=0o755)

    with DataDirectory.open(path, create=True, exclusive=True) as directory:
        assert path.stat().st_mode & 0o777 == 0o700
        assert directory.generations.current() is None
        assert directory.relinks.is_dir()
        assert directory.journal.parent == path
    DataDirectory.open(path).close()


def test_a_missing_directory_is_not_created_unasked(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="does not exist"):
        DataDirectory.open(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_empty_directory_is_not_taken_unasked(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="is empty"):
        DataDirectory.open(tmp_path)


def test_a_directory_of_someone_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(DataDirectoryError, match="not a data directory of this service"):
        DataDirectory.open(tmp_path, create=True, exclusive=True)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DataDirectoryError, match="cannot be read"):
        DataDirectory.open(tmp_path / "file", create=True)


def test_a_start_killed_before_the_version_was_written_is_taken_up_again(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path, create=True) as directory, Journal.open(directory.journal) as journal:
        journal_id = journal.journal_id
    (tmp_path / "VERSION").rename(tmp_path / "VERSION.tmp")
    (tmp_path / "lock").touch()

    DataDirectory.open(tmp_path, create=True).close()

    with DataDirectory.open(tmp_path) as directory, Journal.open(directory.journal) as journal:
        assert journal.journal_id == journal_id


def test_an_sqlite_file_of_someone_else_is_not_taken_for_a_killed_creation(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "journal.sqlite"))
    connection.execute("CREATE TABLE diary (entry)")
    connection.close()

    with pytest.raises(DataDirectoryError, match="not a journal of this service"):
        DataDirectory.open(tmp_path, create=True)
    assert not (tmp_path / "VERSION").exists()


def test_a_lost_journal_is_never_replaced_by_an_empty_one(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path, create=True) as directory:
        directory.journal.unlink()

    with DataDirectory.open(tmp_path, create=True) as directory, pytest.raises(DataDirectoryError, match="missing"):
        Journal.open(directory.journal)


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    DataDirectory.open(tmp_path, create=True).close()
    (tmp_path / "VERSION").write_text("hcm-mdm data 2\n")

    with pytest.raises(DataDirectoryError, match="another version"):
        DataDirectory.open(tmp_path, create=True)


def test_a_second_server_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "data"
    arguments = [sys.executable, "-W", "error", "-c", HOLDER, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryError, match=rf"in use by another server \(process {child.pid}\)"):
            DataDirectory.open(path, exclusive=True)
        DataDirectory.open(path).close()
        child.kill()
        child.wait()
    with DataDirectory.open(path, exclusive=True), pytest.raises(DataDirectoryError, match="in use"):
        DataDirectory.open(path, exclusive=True)
    DataDirectory.open(path, exclusive=True).close()


def test_a_directory_is_received_only_while_it_is_empty_and_is_no_service_until_it_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with DataDirectory.receive(path) as directory:
        with pytest.raises(DataDirectoryError, match="in use"):
            DataDirectory.receive(path)
        directory.journal.write_bytes(b"half a journal")
    with pytest.raises(DataDirectoryError, match="was cut off: run `mdm restore` again"):
        DataDirectory.open(path, create=True)
    with DataDirectory.receive(path) as directory:
        assert not directory.journal.exists(), "what was cut off is gone"
        Journal.open(directory.journal, create=True).close()
        directory.restored()
    with pytest.raises(DataDirectoryError, match="not empty"):
        DataDirectory.receive(path)
    assert not (path / "RESTORING").exists()
    DataDirectory.open(path, exclusive=True).close()
