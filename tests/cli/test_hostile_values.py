"""Values are data: whatever a registry wrote, an operator's terminal shows it and never obeys it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mdm.cli.output import visible
from mdm_client import Client, EntityKind
from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""A line feed apart, which ends the command's own lines: a value must begin none."""

HOSTILE = "\x1b[2J\x07\x9b\x7f\u202e\u2066\nC-0000-0000-0000-0  active"
IN_A_KEY = "\u202e\u2066"
"""What a terminal obeys and a record's key may hold."""
FIELDS = ("record_id", "full_name", "birth_date", "sex", "personal_id", "phone", "address", "guardian_name")
KNOWN = ("Lê Thị Hoa" + HOSTILE, "1987-03-02", "F", "079187000123", "0903111222", "1 Lê Lợi" + HOSTILE, "Ba" + HOSTILE)
NAMESAKE = ("Nguyễn Thị Thúy" + HOSTILE, "1987-03-04", "F", "", "", "", "")


@pytest.fixture(scope="module")
def ids(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the golden ID of two records all of whose texts are hostile, and the review of two more."""
    folder = tmp_path_factory.mktemp("feeds")
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(FIELDS)
        rows.writerows((f"H{number}{IN_A_KEY}", *row) for number, row in enumerate((KNOWN, KNOWN, NAMESAKE, NAMESAKE)))
    command = [sys.executable, "-m", "mdm", "load", "hospital.patients", "rows.csv", "--server", server.address]
    subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=True)
    with Client(server.address) as client:
        found = client.lookup("hospital", EntityKind.CITIZEN, f"H0{IN_A_KEY}")
        return {"GOLDEN_ID": found.golden_id, "REVIEW_ID": next(client.stewardship.reviews()).review_id}


@pytest.mark.parametrize(
    "command",
    [
        "lookup GOLDEN_ID",
        "lookup hospital citizen H0",
        "translate hospital citizen H0 --to hospital",
        "get GOLDEN_ID",
        "history GOLDEN_ID",
        "how GOLDEN_ID",
        "why hospital citizen H0 hospital citizen H1",
        "why-not hospital citizen H2 hospital citizen H3",
        "relations GOLDEN_ID",
        "review list",
        "review show REVIEW_ID",
        "judge hospital/citizen/H2 hospital/citizen/H3 same --reason seen --dry-run",
        "watch --since beginning --once",
    ],
)
def test_no_command_hands_a_terminal_what_it_would_obey(
    mdm: Run, server: RunningServer, ids: dict[str, str], command: str
) -> None:
    words = [ids.get(word, word) for word in command.split()]
    done = mdm(*(re.sub(r"(H\d)$", rf"\1{IN_A_KEY}", word) for word in words), "--server", server.address)
    assert done.returncode == 0, done.stderr
    assert r"\u202e\u2066" in done.stdout
    if command.startswith(("get", "lookup GOLDEN", "review show")):
        assert r"\x1b[2J\x07\x9b\x7f\u202e\u2066\nC-0000" in done.stdout
    assert OBEYED.search(done.stdout + done.stderr) is None
    assert not re.search(r"^ *C-0000", done.stdout, re.MULTILINE)


def test_json_holds_the_values_as_they_are(mdm: Run, server: RunningServer, ids: dict[str, str]) -> None:
    done = mdm("lookup", ids["GOLDEN_ID"], "--json", "--server", server.address)
    assert json.loads(done.stdout)["values"]["full_name"].startswith(f"Lê Thị Hoa{HOSTILE}")


def test_an_error_that_quotes_an_argument_is_one_line(mdm: Run) -> None:
    done = mdm("load", "hospital.patients", "no\x1b[2J\nfile.csv")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(r"mdm: no\x1b[2J\nfile.csv: cannot be read")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["lookup", "hospital", "citizen", "BV\udcff"], 4),
        (["why", "C\udcff", "C-7K3M-9XQ2-4TAB-1"], 2),
        (["match", "--full-name", "Ng\udcffu"], 3),
        (["status", "--actor", "\udcff"], 3),
    ],
)
def test_an_argument_that_is_not_utf8_is_wrong_usage(
    mdm: Run, server: RunningServer, arguments: list[str], place: int
) -> None:
    done = mdm(*arguments, "--server", server.address)
    assert (done.returncode, done.stderr) == (2, f"mdm: argument {place} is not UTF-8\n")


def test_a_file_whose_name_is_not_utf8_loads(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "feed\udcff.csv").write_text("record_id,full_name\nU1,Lê Thị Hoa\n", encoding="utf-8")
    done = mdm("load", "hospital.patients", tmp_path / "feed\udcff.csv", "--json", "--server", server.address)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == "feed\udcff.csv"


@pytest.mark.parametrize("text", ["Nguyễn Thị Thu Hà", "12/3 Lê Lợi, P.Bến Nghé", "日本 · “A” – ≠", "C:\\n", ""])
def test_what_a_terminal_shows_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_bytes_that_are_no_character_are_shown() -> None:
    assert visible("a\udcff") == r"a\udcff"
