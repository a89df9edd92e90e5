from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import pytest

from mdm.feeds.rejects import Reject, RejectsFile, is_gate_closed


def test_the_rejects_file_lists_line_field_reason_and_row(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "rejects.csv") as rejects:
        rejects.add(Reject(7, "record_id", "must not be empty", ("", 'a "b"')))
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["line", "field", "reason", "row"],
            ["7", "record_id", "must not be empty", ',"a ""b"""'],
        ]


def test_undecodable_bytes_are_written_back_as_they_were(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "rejects.csv") as rejects:
        rejects.add(Reject(2, "row", "bytes", (b"H\xf4".decode("utf-8", "surrogateescape"),)))
    assert b"H\xf4" in (tmp_path / "rejects.csv").read_bytes()


def test_without_rejects_no_file_is_made(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "rejects.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("earlier_mode", [None, 0o644])
def test_its_owner_alone_reads_the_file(tmp_path: Path, earlier_mode: int | None) -> None:
    path = tmp_path / "rejects.csv"
    if earlier_mode is not None:
        path.touch(earlier_mode)
    with RejectsFile(path) as rejects:
        rejects.add(Reject(2, "row", "bytes", ("1",)))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pipe_for_rejects_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    os.mkfifo(path)
    with RejectsFile(path) as rejects:
        assert not rejects.holds_earlier()


def test_a_rejects_file_of_somebody_else_stands_in_no_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **_named: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "rejects.csv"
    with monkeypatch.context() as patched, RejectsFile(path) as rejects:
        # Who runs as root may change every file's mode and read all of them.
        patched.setattr("os.fchmod", refuse)
        rejects.add(Reject(2, "row", "bytes", ("1",)))
    assert path.read_text(encoding="utf-8").splitlines()[1:] == ["2,row,bytes,1"]
    assert path.is_file()
    with monkeypatch.context() as patched, RejectsFile(path) as rejects:
        patched.setattr(Path, "open", refuse)
        assert not rejects.holds_earlier()


@pytest.mark.parametrize(
    ("content", "is_earlier"),
    [
        (None, False),
        ("line,field,reason,row\n7,record_id,must not be empty,\n", True),
        ("\ufeffline,field,reason,row\r\n", True),
        ("record_id,full_name\n1,Lan\n", False),  # not ours
    ],
)
def test_a_load_without_rejects_knows_an_earlier_ones_file_and_leaves_it(
    tmp_path: Path, content: str | None, *, is_earlier: bool
) -> None:
    path = tmp_path / "rejects.csv"
    if content is not None:
        path.write_bytes(content.encode())
    with RejectsFile(path) as rejects:
        assert rejects.holds_earlier() is is_earlier
    assert (path.read_bytes().decode() if path.exists() else None) == content
    with RejectsFile(path) as rejects:
        rejects.add(Reject(2, "row", "bytes", ("1",)))
        assert not rejects.holds_earlier()


@pytest.mark.parametrize(
    ("rows", "rejects", "share", "is_closed"),
    [
        (99, 99, 0.01, False),  # too few rows to judge by
        (60, 1, 0.01, False),  # a small file with one bad row is more than 1 %, and no poisoned load
        (100, 1, 0.01, False),  # exactly the share
        (100, 2, 0.01, True),
        (100, 0, 0.0, False),
        (0, 0, 0.01, False),
        (100, 100, 1.0, False),
    ],
)
def test_the_gate_closes_above_the_share(rows: int, rejects: int, share: float, is_closed: bool) -> None:  # noqa: FBT001 – a case table's column
    assert is_gate_closed(rows, rejects, share) is is_closed
