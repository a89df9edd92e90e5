"""What is missing is found, and what to do about it is said."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from mdm.limits import FREE_DISK_BYTES_MIN, INDEX_MAP_BYTES, OPEN_FILES_MIN, SYNC_S_MAX, WRITE_FREE_DISK_BYTES_AGAIN
from mdm.resolve import doctor
from mdm.store.index import DATA_FILE
from tests.resolve.office import Office, citizen

ROOM = WRITE_FREE_DISK_BYTES_AGAIN
NOW_US = 1_800_000_000_000_000

CASES: list[tuple[str, Callable[[], doctor.Finding], str]] = [
    ("a package that is missing", lambda: doctor.of_package("lmdb", ">=3.0.0", None), "fail"),
    ("one that is too old", lambda: doctor.of_package("lmdb", ">=3.0.0", "2.9.9"), "fail"),
    ("one that is too new", lambda: doctor.of_package("grpcio", ">=1.85.1,<1.86", "1.86.0"), "fail"),
    ("one within bounds", lambda: doctor.of_package("grpcio", ">=1.85.1,<1.86", "1.85.2"), "ok"),
    ("one of the least version", lambda: doctor.of_package("apsw", ">=3.54.1.0", "3.54.1.0"), "ok"),
    ("few open files", lambda: doctor.of_open_files(OPEN_FILES_MIN - 1), "warn"),
    ("enough open files", lambda: doctor.of_open_files(OPEN_FILES_MIN), "ok"),
    ("any number of open files", lambda: doctor.of_open_files(resource.RLIM_INFINITY), "ok"),
    ("a map that finds no address", lambda: doctor.of_address_space(INDEX_MAP_BYTES), "fail"),
    ("any address", lambda: doctor.of_address_space(resource.RLIM_INFINITY), "ok"),
    ("a network disk", lambda: doctor.of_file_system("nfs4"), "fail"),
    ("a disk in memory", lambda: doctor.of_file_system("tmpfs"), "warn"),
    ("a local disk", lambda: doctor.of_file_system("ext4"), "ok"),
    ("no room to start", lambda: doctor.of_free_space(FREE_DISK_BYTES_MIN - 1), "fail"),
    ("no room to write", lambda: doctor.of_free_space(ROOM - 1), "warn"),
    ("room", lambda: doctor.of_free_space(ROOM), "ok"),
    ("a slow disk", lambda: doctor.of_sync_speed(SYNC_S_MAX + 0.001), "warn"),
    ("a fast disk", lambda: doctor.of_sync_speed(SYNC_S_MAX), "ok"),
    ("a clock that was set back", lambda: doctor.of_clock(NOW_US + 5_000_000, NOW_US), "fail"),
    ("a clock that goes", lambda: doctor.of_clock(NOW_US, NOW_US), "ok"),
]


@pytest.mark.parametrize(("find", "verdict"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_want_has_its_verdict_and_its_remedy(find: Callable[[], doctor.Finding], verdict: str) -> None:
    found = find()
    assert found.verdict == verdict
    assert bool(found.todo) == (verdict != "ok")


def _verdicts(data: Path) -> dict[str, str]:
    return {each.what: each.verdict for each in doctor.examine_directory(data, ROOM)}


def test_a_directory_in_use_or_not_is_looked_at(office: Office) -> None:
    office.put(citizen("H1"))
    office.writer.close()
    office.directory.close()
    found = _verdicts(office.path)
    assert {found[what] for what in ("free space", "lock", "journal", "clock and journal", "index")} == {"ok"}
    assert not list(office.path.glob("doctor-*"))
    office.reopen()


def test_a_lost_index_is_no_failure_but_a_lost_journal_is(office: Office) -> None:
    office.put(citizen("H1"))
    office.writer.close()
    office.directory.close()
    (index,) = (office.path / "index").rglob(DATA_FILE)
    os.truncate(index, 100)
    assert _verdicts(office.path)["index"] == "warn"
    journal = office.path / "journal.sqlite"
    kept = journal.read_bytes()
    journal.write_bytes(b"another file of somebody")
    assert _verdicts(office.path)["journal"] == "fail"
    journal.write_bytes(kept)
    office.reopen()


def test_a_directory_of_another_version_fails_and_one_that_does_not_exist_is_none_yet(tmp_path: Path) -> None:
    assert _verdicts(tmp_path / "none")["directory"] == "ok"
    assert _verdicts(tmp_path)["directory"] == "ok"
    (tmp_path / "VERSION").write_text("hcm-mdm data 9\n", encoding="utf-8")
    assert _verdicts(tmp_path)["directory"] == "fail"


def test_this_machine_can_run_the_service() -> None:
    assert [each for each in doctor.examine_machine() if each.verdict == "fail"] == []
