"""`mdm load --full`: the file is the whole feed, and what it lacks goes; every doubt keeps it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mdm_client import Client, EntityKind
from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]

HEADER = ("record_id", "full_name", "birth_date", "operation")


class Feed:
    """A feed whose registry the module's service shares with no other test: each test begins with it empty."""

    def __init__(self, mdm: Run, address: str, folder: Path, name: str = "household.residents") -> None:
        self.name = name
        self.address = address
        self._mdm = mdm
        self._path = folder / f"{name}.csv"

    def write(self, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
        """Write the file."""
        with self._path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return self._path

    def load(self, *options: object) -> tuple[int, dict[str, object], str]:
        """Load the file; returns the exit code, the summary and what was said."""
        done = self._mdm("load", self.name, self._path, "--server", self.address, "--json", *options)
        return done.returncode, json.loads(done.stdout), done.stderr

    def live(self) -> set[tuple[str, str]]:
        """Return kind and record id of each live record."""
        with Client(self.address) as client:
            chunks = client.export_crosswalk([self.name.partition(".")[0]], include_pending=True)
            return {(str(chunk.kind), record_id) for chunk in chunks for record_id in chunk.record_ids}


def people(*numbers: int) -> list[tuple[str, ...]]:
    return [
        (f"P{number}", f"Lê Văn {'BCDGHKLMNP'[number % 10]}ang {number}", f"19{10 + number % 80}", "")
        for number in numbers
    ]


@pytest.fixture
def feed(mdm: Run, server: RunningServer, tmp_path: Path) -> Feed:
    found = Feed(mdm, server.address, tmp_path)
    found.write(people(0))
    found.load("--full", "--max-deletes", "100")
    return found


def test_what_the_file_lacks_is_deleted_and_a_second_run_deletes_nothing(feed: Feed) -> None:
    feed.write(people(*range(10)))
    assert feed.load("--resolve", "later")[0] == 0
    feed.write(people(*range(8)))
    code, summary, _ = feed.load("--full", "--max-deletes", "20")
    assert (code, summary["deleted"], summary["is_stopped"]) == (0, 2, False)
    assert feed.live() == {("citizen", f"P{number}") for number in range(8)}
    code, summary, _ = feed.load("--full")
    assert (code, summary["deleted"], summary["records"]) == (0, 0, {"unchanged": 8})


def test_too_many_deletes_are_held_back_until_they_are_allowed(feed: Feed) -> None:
    feed.write(people(*range(10)))
    feed.load()
    feed.write(people(1, 2))
    code, summary, said = feed.load("--full", "--dry-run")
    assert (code, summary["would_delete"], summary["live_records"]) == (4, 8, 10)
    code, summary, said = feed.load("--full")
    assert (code, summary["deleted"], len(feed.live())) == (4, 0, 10)
    assert "lacks 8 of 10 records, more than --max-deletes 0.5 %" in said
    assert "--max-deletes 80" in said
    code, summary, _ = feed.load("--full", "--max-deletes", "80")
    assert (code, summary["deleted"]) == (0, 8)
    assert feed.live() == {("citizen", "P1"), ("citizen", "P2")}


@pytest.mark.parametrize(
    ("row", "code", "deleted"),
    [
        (("P3", "Lê Văn Ba", "1950", "replace"), 3, 1),  # its record id can be read: that record stays, the other goes
        (("", "Lê Văn Ba", "1950", ""), 4, 0),  # it may be about either
        (("P3", "Lê Văn Ba"), 4, 0),  # columns may have moved
    ],
)
def test_the_record_of_a_row_that_was_set_aside_is_not_deleted(
    feed: Feed, row: tuple[str, ...], code: int, deleted: int
) -> None:
    feed.write(people(*range(5)))
    feed.load()
    feed.write([*people(0, 1, 2), row])
    assert feed.load("--full", "--max-deletes", "100")[0] == code
    expected = {("citizen", f"P{number}") for number in (range(4) if deleted else range(5))}
    assert feed.live() == expected


def test_an_empty_file_deletes_nothing(feed: Feed) -> None:
    feed.write(())
    code, summary, said = feed.load("--full", "--max-deletes", "100")
    assert (code, summary["deleted"]) == (4, 0)
    assert "the file has no rows" in said
    assert feed.live() == {("citizen", "P0")}


def test_a_load_that_too_many_bad_rows_stop_deletes_nothing(feed: Feed) -> None:
    feed.write([*people(1), *([("P2", "Lê Văn Hai", "1950", "replace")] * 120)])
    code, summary, said = feed.load("--full", "--max-deletes", "100")
    assert (code, summary["is_stopped"], summary["deleted"]) == (4, True, 0)
    assert "more than --max-rejects 1 %" in said
    assert ("citizen", "P0") in feed.live()


def test_a_row_of_a_company_stands_for_its_representative_too(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    companies = Feed(mdm, server.address, tmp_path, "company.businesses")
    header = ("record_id", "legal_name", "representative_name")
    rows = [("DN1", "Công ty Minh Anh", "Lê Thị Ba"), ("DN2", "Công ty Sao Mai", "Trần Văn Tư")]
    companies.write(rows, header)
    companies.load()
    companies.write(rows[:1], header)
    assert companies.load("--full", "--max-deletes", "50")[1]["deleted"] == 2
    assert companies.live() == {("business", "DN1"), ("citizen", "DN1")}


def test_a_feed_that_shares_a_kind_with_another_cannot_be_whole(mdm: Run, tmp_path: Path) -> None:
    (tmp_path / "registries.toml").write_text(
        '[registries.land]\ntitle = "Land"\ntrust_rank = 1\n'
        + "".join(
            f'[[registries.land.feeds.{name}.records]]\nkind = "citizen"\nfields = {{ full_name = "name" }}\n'
            for name in ("owners", "tenants")
        ),
        encoding="utf-8",
    )
    (tmp_path / "owners.csv").write_text("record_id,name\n1,Lan\n", encoding="utf-8")
    done = mdm("load", "land.owners", "owners.csv", "--full", "--registries", "registries.toml")
    assert done.returncode == 2
    assert "land.tenants yields citizen records too" in done.stderr


def test_interrupted_and_run_again_it_ends_the_same(feed: Feed, tmp_path: Path) -> None:
    feed.write(people(*range(3000)))
    assert feed.load("--resolve", "later")[0] == 0
    kept = people(*range(1500))
    file = feed.write([*kept, *people(*range(3000, 4500))])
    command = [sys.executable, "-m", "mdm", "load", feed.name, str(file), "--server", feed.address, "--full"]
    command += ["--max-deletes", "100", "--resolve", "later"]
    with (
        Client(feed.address) as client,
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process,
    ):
        until_s = time.monotonic() + 30
        # Record ids are listed in order, so the first to go is the smallest: once it is gone, others are under way.
        while process.poll() is None and time.monotonic() < until_s:
            if client.lookup("household", EntityKind.CITIZEN, "P1500").status.value == "deleted":
                os.kill(process.pid, signal.SIGINT)
                break
        process.communicate(timeout=30)
    assert process.returncode == 130
    code, summary, _ = feed.load("--full", "--max-deletes", "100", "--resolve", "later")
    assert code == 0
    assert summary["records"] == {"already_loaded": 3000}
    assert 0 < summary["deleted"] < 1500  # type: ignore[operator]
    assert feed.live() == {("citizen", f"P{number}") for number in (*range(1500), *range(3000, 4500))}
