"""An audit as an operator and two reviewers run it: beside a running service, on a terminal, through to the report."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mdm.cli.audit_label import difference
from tests.serving import RunningServer, running_server

Run = Callable[..., subprocess.CompletedProcess[str]]

PROMPT = b"q quit"
TYPING_S_MAX = 60.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A service with a small city in it, in which there are near misses."""
    folder = tmp_path_factory.mktemp("served")

    def mdm(*arguments: object) -> None:
        subprocess.run([sys.executable, "-m", "mdm", *map(str, arguments)], cwd=folder, check=True, capture_output=True)

    mdm("synth", "--citizens", 120, "--seed", 4, "--difficulty", "hard", "city")
    with running_server(folder / "data") as server:
        for feed in ("household.residents", "social_security.insured", "hospital.patients"):
            mdm("load", feed, f"city/{feed}.csv", "--server", server.address)
        yield server


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def fill(path: Path, label: Callable[[str], str]) -> None:
    """Fill in the labels as a spreadsheet would: other separator, no byte order mark."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows([head, *([row[0], label(row[0]), *row[2:]] for row in rows)])


def linked_items(folder: Path) -> dict[str, bool]:
    key = json.loads((folder / "audit.key.json").read_text(encoding="utf-8"))
    return {item["id"]: "linked" in key["strata"][item["stratum"]]["way"] for item in key["items"]}


def test_an_audit_runs_from_the_draw_to_the_report(mdm: Run, served: RunningServer, tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    drawn = summary(mdm("audit", "sample", "--data", served.data, "--size", 120, "--search", 30, "--json", audit))
    assert drawn["items"] == 120
    assert {stat.S_IMODE((audit / Path(file).name).stat().st_mode) for file in drawn["files"]} == {0o600}
    assert not list(served.data.glob("audit-*"))
    assert served.process.poll() is None

    key, first, second, third = (audit / f"audit.{name}" for name in ("key.json", "A.csv", "B.csv", "C.csv"))
    unlabelled = mdm("audit", "report", key, first, second)
    assert unlabelled.returncode == 1
    assert re.search(r"audit\.A\.csv: has items without a label.* and 115 more", unlabelled.stderr)

    linked = linked_items(audit)
    doubted = sorted(item for item, is_linked in linked.items() if is_linked)[:2]
    fill(first, lambda item: "same" if linked[item] else "different")
    fill(second, lambda item: "unsure" if item in doubted else "same" if linked[item] else "different")
    open_ = summary(mdm("audit", "report", key, first, second, "--disagreements", third, "--json"))
    assert (open_["disagreements"], open_["unsettled_count"]) == (doubted, 2)
    assert open_["precision"]["estimate_min"] < open_["precision"]["estimate_max"] == 1.0
    assert open_["agreement"]["kappa"] > 0.9
    assert stat.S_IMODE(third.stat().st_mode) == 0o600

    fill(third, lambda _: "same")
    settled = summary(mdm("audit", "report", key, first, second, "--adjudicated", third, "--json"))
    assert settled["unsettled_count"] == 0
    assert settled["precision"]["estimate_min"] == settled["recall"]["estimate_max"] == 1.0
    assert 0.8 < settled["precision"]["lower"] < 1.0
    shown = mdm("audit", "report", key, first, second, "--adjudicated", third).stdout
    assert re.search(r"^precision +1\.0000 \(95 %: 0\.[89]\d+ to 1\.0000\)$", shown, re.MULTILINE)
    assert re.search(r"^agreement +98\.3 %, kappa 0\.9\d+ \(95 %: 0\.\d+ to \d\.\d+\)$", shown, re.MULTILINE)
    assert "  linked, with number, 15 bits or more: " in shown
    for name in ("nguyễn", "trần"):
        assert name not in shown.casefold()


def test_labels_are_never_overwritten(mdm: Run, served: RunningServer, tmp_path: Path) -> None:
    arguments = ("audit", "sample", "--data", served.data, "--size", 60, "--search", 0, tmp_path / "audit")
    assert mdm(*arguments).returncode == 0
    again = mdm(*arguments)
    assert again.returncode == 2
    assert "audit.A.csv is there already, and may hold labels" in again.stderr
    sheets = [tmp_path / "audit" / f"audit.{name}.csv" for name in "AB"]
    for sheet in sheets:
        fill(sheet, lambda _: "same")
    refused = mdm("audit", "report", tmp_path / "audit/audit.key.json", *sheets, "--disagreements", sheets[0])
    assert refused.returncode == 2
    shown = mdm("audit", "report", tmp_path / "audit/audit.key.json", *sheets).stdout
    assert "kappa not defined: one label throughout" in shown
    assert re.search("^missed by blocking +not searched for", shown, re.MULTILINE)


def typed(arguments: list[object], keys: Sequence[str], folder: Path) -> str:
    """Run `mdm` on a terminal of its own, press the keys, each at its prompt, and return what was shown."""
    terminal, process_side = pty.openpty()
    command = [sys.executable, "-m", "mdm", *map(str, arguments)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200", "LINES": "60"}
    with subprocess.Popen(
        command, cwd=folder, stdin=process_side, stdout=process_side, stderr=process_side, env=environment
    ) as process:
        os.close(process_side)
        shown, prompts = b"", 0
        until_s = time.monotonic() + TYPING_S_MAX
        while time.monotonic() < until_s:
            if not select.select([terminal], [], [], 1.0)[0]:
                continue
            try:
                part = os.read(terminal, 65_536)
            except OSError:  # what Linux says at the end of a terminal
                break
            if not part:
                break
            shown += part
            while keys and shown.count(PROMPT) > prompts:
                prompts += 1
                os.write(terminal, keys[0].encode())
                keys = keys[1:]
        process.kill()
    os.close(terminal)
    assert not keys, "every key found its prompt"
    return shown.decode()


def test_a_reviewer_labels_on_a_terminal_stops_and_goes_on(mdm: Run, served: RunningServer, tmp_path: Path) -> None:
    assert mdm("audit", "sample", "--data", served.data, "--size", 60, "--search", 0, ".").returncode == 0
    sheet = tmp_path / "audit.A.csv"

    def labels() -> list[str]:
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            return [row["label"] for row in csv.DictReader(file)]

    # An unknown key changes nothing, nor does an arrow, though D is part of it; back takes the last answer up again.
    shown = typed(["audit", "label", sheet], ["s", "d", "x", "\x1b[D", "u", "b", "S", "q"], tmp_path)
    assert labels()[:4] == ["same", "different", "same", ""]
    assert "4 of 60" in shown
    assert "3 of 60 labelled; mdm audit label" in shown
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("audit.A*")] == ["audit.A.csv"]

    shown = typed(["audit", "label", sheet], "u" * 57, tmp_path)
    assert labels() == ["same", "different", "same"] + ["unsure"] * 57
    assert "60 of 60 labelled\r\n" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["label", "no.csv"], 1, "No such file or directory: no.csv"),
        (["report", "no.json", "a.csv", "b.csv"], 1, "No such file or directory: no.json"),
        (["report", "no.json", "a.csv"], 2, "Missing argument"),
        (["sample", "--data", "nowhere", "x"], 1, "nowhere does not exist"),
        (["sample", "--data", "nowhere", "--kind", "ship", "x"], 2, "ship"),
        (["sample", "--data", "nowhere", "--search", "-1", "x"], 2, "--search"),
        (["sample", "x"], 2, "--data"),
    ],
)
def test_wrong_usage_is_one_clear_line(mdm: Run, arguments: list[str], code: int, said: str) -> None:
    done = mdm("audit", *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_labelling_without_a_terminal_says_what_else_there_is(mdm: Run, served: RunningServer, tmp_path: Path) -> None:
    assert mdm("audit", "sample", "--data", served.data, "--size", 60, "--search", 0, ".").returncode == 0
    done = mdm("audit", "label", "audit.A.csv")
    assert done.returncode == 2
    assert "a spreadsheet can fill in the column label" in done.stderr


@pytest.mark.parametrize("command", ["sample", "label", "report"])
def test_every_command_shows_an_example(mdm: Run, command: str) -> None:
    assert f"  mdm audit {command} " in mdm("audit", command, "--help").stdout.split("Example")[1]


@pytest.mark.parametrize(
    ("field", "left", "right", "said"),
    [
        ("full_name", "Nguyễn Thị Hoa", "NGUYỄN THỊ HOA", ""),
        ("full_name", "Nguyễn Hoa", "Nguyễn Thị Hoa", "a middle name dropped"),
        ("full_name", "NGUYEN HOA", "Nguyễn Hoa", "no diacritics"),
        ("full_name", "CON BÀ NGUYỄN THỊ HOA", "Lê An", "newborn, under the mother's name"),
        ("birth_date", "1987-03-05", "05/03/1987", ""),
        ("birth_date", "1987-03-05", "03/05/1987", "day and month swapped"),
        ("personal_id", "079187000123", "79187000123", "leading zero lost"),
        ("personal_id", "079187000123", "079187000124", "one character off"),
        ("phones", "0903123456 ; 0911222333", "0911222333", "one in common"),
        ("sex", "M", "F", "differs"),
        ("sex", "M", "", ""),
        ("registry", "hospital", "household", ""),
    ],
)
def test_a_difference_is_told_alike_from_either_side(field: str, left: str, right: str, said: str) -> None:
    assert difference(field, left, right) == difference(field, right, left) == said
