"""`mdm load list`, `show` and `revert`: what came in, and a file taken back that should never have come."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from mdm.cli.loads import end
from mdm.cli.status import _lines
from mdm_client import Client, EntityKind, HistoryGround, RecordStatus
from tests.serving import RunningServer

Run = Callable[..., subprocess.CompletedProcess[str]]

HEADER = ("record_id", "full_name", "birth_date", "sex", "phone")
FEED = "hospital.patients"


def row(number: int, name: str, phone: str = "") -> tuple[str, ...]:
    return (f"P{number}", name, f"19{10 + number}-03-05", "F", phone or f"09031234{number:02}")


class Ward:
    """The hospital's file, and the service that it is loaded into."""

    def __init__(self, mdm: Run, server: RunningServer, folder: Path) -> None:
        self.server = server
        self.path = folder / "patients.csv"
        self._mdm = mdm

    def run(self, *arguments: object, code: int = 0) -> Any:
        done = self._mdm("load", *arguments, "--server", self.server.address, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    def load(self, rows: list[tuple[str, ...]], *options: object, code: int = 0) -> Any:
        with self.path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
        return self.run(FEED, self.path, *options, code=code)

    def ids(self) -> dict[str, str]:
        with Client(self.server.address) as client:
            chunks = client.export_crosswalk(["hospital"])
            return {
                record_id: golden_id
                for chunk in chunks
                for record_id, golden_id in zip(chunk.record_ids, chunk.golden_ids, strict=True)
            }


NAMES = ("Lý Thị Bưởi", "Tô Ngọc Hạnh", "Đỗ Thu Cúc", "Hà Bích Đào", "Vũ Mai Sen", "Ngô Lan Huệ")


def test_a_poisoned_file_is_shown_taken_back_and_loaded_again(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    ward = Ward(mdm, server, tmp_path)
    good = [row(number, name) for number, name in enumerate(NAMES)]
    first = ward.load(good)
    before = ward.ids()
    shifted = [(one[0], *other[1:]) for one, other in zip(good[:4], [*good[1:4], good[0]], strict=True)]
    poisoned = ward.load([*shifted, row(9, "Trần Bảo Ngân")], "--full", "--max-deletes", "50")
    assert (poisoned["deleted"], ward.ids() != before) == (2, True)
    load_id = poisoned["load_id"]

    seen = ward.run("list", "--feed", FEED)["loads"]
    assert [each["load_id"] for each in seen] == [load_id, first["load_id"]]
    assert (seen[0]["status"], seen[0]["is_full"], seen[0]["row_count"]) == ("finished", True, 5)
    assert seen[0]["outcome_counts"]["deleted"] == 2
    preview = ward.run("revert", load_id, "--dry-run")
    counts = {name: count for name, count in preview["effects"].items() if count}
    kinds = ("withdrawn", "restored", "returned")
    assert [counts[f"{kind}_record_count"] for kind in kinds] == [1, 4, 2]
    assert {each["effect"] for each in preview["examples"]} == {"withdrawn", "restored", "returned"}
    assert "hospital citizen P9" in {each["key"] for each in preview["examples"]}
    assert ward.run("show", load_id)["status"] == "finished", "a dry run changed something"

    done = ward.run("revert", load_id, "--reason", "rows shifted", "--yes")
    assert (done["status"], done["revert"]["effects"]) == ("reverted", preview["effects"])
    assert ward.ids() == before
    with Client(server.address) as client:
        status = client.admin.status()
        assert [(each.status.value, each.is_finished) for each in status.last_loads] == [("reverted", True)]
        assert f"load       {FEED} reverted" in list(_lines(status))
        assert client.lookup("hospital", EntityKind.CITIZEN, "P9").status is RecordStatus.DELETED
        history = list(client.history.entries(before["P4"]))
    told = [each for each in history if each.method == "RevertLoad"]
    assert {each.ground for each in told} == {HistoryGround.LOAD_REVERT}
    assert {(each.load_id, each.actor, each.reason) for each in told} == {(load_id, "mdm-cli", "rows shifted")}
    assert "a load taken back" in told[0].sentence.en
    assert "huỷ một lần nạp" in told[0].sentence.vi

    # Taking it back once more changes nothing, and the file can be loaded again, under another id.
    assert ward.run("revert", load_id, "--reason", "again", "--yes")["revert"] == done["revert"]
    again = ward.load([*shifted, row(9, "Trần Bảo Ngân")])
    assert again["load_id"] == f"{load_id}.2"
    assert again["records"].get("already_loaded", 0) == 0
    assert ward.run("revert", again["load_id"], "--reason", "rows shifted", "--yes")["status"] == "reverted"
    assert ward.ids() == before
    assert ward.load(good)["records"] == {"unchanged": len(good)}


def test_a_load_that_a_gate_stops_half_way_says_what_it_wrote_and_how_to_take_it_back(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    ward = Ward(mdm, server, tmp_path)
    before = ward.ids()
    rows = [(f"G{number}", f"Lê Thị {number}", f"{1900 + number % 120}", "F", "") for number in range(1100)]
    bad = [("", "no id", "", "", "")] * 30
    stopped = ward.load([*rows[:200], *bad], "--resolve", "later", "--max-rejects", "2", code=4)
    assert (stopped["records"], stopped["is_stopped"]) == ({}, True), "a small file is judged before any of it is sent"
    assert "mdm load revert" not in stopped["stopped"]

    stopped = ward.load([*rows, *bad], "--resolve", "later", "--max-rejects", "2", code=4)
    load_id = stopped["load_id"]
    written = stopped["records"]["pending"]
    assert f"{written:,} records or more were written before" in stopped["stopped"]
    assert f"take them back with: mdm load revert {load_id}" in stopped["stopped"]
    assert ward.run("show", load_id)["status"] == "open"
    assert (
        ward.run("revert", load_id, "--reason", "rejects", "--yes")["revert"]["effects"]["withdrawn_record_count"] > 0
    )
    with Client(server.address) as client:
        chunks = client.export_crosswalk(["hospital"], include_pending=True)
        assert not any(record_id.startswith("G") for chunk in chunks for record_id in chunk.record_ids)
    assert ward.ids() == before


def test_what_cannot_be_taken_back_is_said_in_one_line(mdm: Run, server: RunningServer) -> None:
    address = ("--server", server.address)
    unknown = mdm("load", "revert", "never-loaded", "--reason", "x", "--yes", *address)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
    assert "no load has this id" in unknown.stderr
    without = mdm("load", "revert", "never-loaded", *address)
    assert (without.returncode, "--reason" in without.stderr) == (2, True)
    assert mdm("load", "show", "never-loaded", *address).returncode == 1


def test_a_revert_that_left_something_ends_with_3(server: RunningServer) -> None:
    with Client(server.address) as client:
        done = next(each for each in client.loads.list() if each.revert is not None)
    assert done.revert is not None
    end(done)
    effects = dataclasses.replace(done.revert.effects, failed_record_count=2)
    with pytest.raises(typer.Exit) as ended:
        end(dataclasses.replace(done, revert=dataclasses.replace(done.revert, effects=effects)))
    assert ended.value.exit_code == 3


def test_a_dry_run_says_what_loading_would_do_and_does_nothing(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    ward = Ward(mdm, server, tmp_path)
    stored = [row(number, f"Cao Thị {name}") for number, name in enumerate(("Nhàn", "Thắm", "Đoan", "Gấm"), start=20)]
    refused = ward.load(stored, "--full", code=4)
    with Client(server.address) as client:
        kept, load = len(ward.ids()) - len(stored), client.loads.get(refused["load_id"])
        assert (load.status.value, load.refused_delete_count) == ("finished", kept)
        assert f"load       {FEED} finished without its {kept} deletes" in list(_lines(client.admin.status()))
    ward.load(stored, "--full", "--max-deletes", "100")
    before = ward.ids()
    twin = ("P99", *stored[0][1:])
    file = [stored[0], (stored[1][0], *row(31, "Mạc Văn Tư")[1:]), stored[2], row(40, "Ông Thị Yến"), twin]
    found = ward.load([*file, stored[2], ("", "nobody", "", "", "")], "--full", "--dry-run", code=4)
    assert found["would_load"] == {"new": 2, "changed": 1, "unchanged": 2, "deleted": 0, "stale": 0, "absent": 0}
    assert found["would_become"]["is_exact"]
    assert {name: each["count"] for name, each in found["would_become"]["records"].items()} == {
        "created": 2,
        "linked": 1,
    }
    assert (found["would_delete"], found["live_records"]) == (1, 4)
    assert found["rejected_by_rule"] == {
        "record_id: must not be empty": 1,
        "record_id: stands in an earlier row of this file too": 1,
    }
    assert found["columns"]["phone"]["shapes"] == {"9(10)": 1.0}
    assert "personal_id" in found["missing_columns"]
    assert not any(name in json.dumps(found, ensure_ascii=False) for name in ("Nhàn", "0903123420", "P21"))
    assert ward.load(file, "--dry-run", "--exact")["would_become"]["records"] == found["would_become"]["records"]
    assert ward.ids() == before
    said = mdm("load", FEED, ward.path, "--dry-run", "--server", server.address)
    assert "of 3 new or changed, by all of them" in said.stdout
