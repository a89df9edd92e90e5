from __future__ import annotations

import csv
import hashlib
import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.model import Model
from tests.serving import RunningServer, running_server

Run = Callable[..., subprocess.CompletedProcess[str]]

HEADER = "record_id,full_name,birth_date,sex,personal_id,updated_at\n"


def patients(tmp_path: Path, prefix: str, count: int, extra: str = "") -> Path:
    """Write a feed of people who have nothing in common."""
    path = tmp_path / f"{prefix}.csv"
    letters = "BCDGHKLMNPQRSTVX"
    names = [
        f"{letters[number % 16]}{'aeiou'[number % 5] * 2} {letters[number // 16 % 16]}an {prefix} {number * 7919}"
        for number in range(count)
    ]
    rows = [f"{prefix}{number},{name},{1930 + number % 90}-01-1{number % 10},,,\n" for number, name in enumerate(names)]
    path.write_text(HEADER + "".join(rows) + extra, encoding="utf-8")
    return path


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_help_is_quick_and_teaches(mdm: Run) -> None:
    started_s = time.monotonic()
    done = mdm("--help")
    # 0.15 s alone; a loaded machine gets ten times that.
    assert time.monotonic() - started_s < 1.5
    assert done.returncode == 0
    assert "mdm load hospital.patients" in done.stdout
    for command in (
        "serve",
        "load",
        "relink",
        "export",
        "synth",
        "train",
        "model",
        "rebuild",
        "verify",
        "lookup",
        "match",
        "household",
        "relations",
        "translate",
        "watch",
    ):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize(
    "command",
    ["serve", "load", "relink", "export", "synth", "train", "verify", "lookup", "match", "household", "relations"],
)
def test_every_command_shows_an_example(mdm: Run, command: str) -> None:
    arguments = ("export", "crosswalk") if command == "export" else (command,)
    shown = mdm(*arguments, "--help").stdout
    assert f"  mdm {' '.join(arguments)}" in shown.split("Example")[1]


def test_a_feed_loads_and_a_second_run_changes_nothing(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "twice", 300)
    first = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert (first.returncode, summary(first)["rows"]) == (0, 300)
    assert sum(summary(first)["records"].values()) == 300  # type: ignore[attr-defined]
    second = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert (second.returncode, summary(second)["records"]) == (0, {"unchanged": 300})
    assert not (tmp_path / "hospital.patients.rejects.csv").exists()
    events = [json.loads(line)["event"] for line in first.stderr.splitlines()]
    assert set(events) == {"progress"}
    assert len(events) < 10


def test_bad_rows_are_listed_and_the_rest_loads(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "bad", 400, extra=",no id,,,,\nbad1,again,,,,\n")
    done = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert done.returncode == 3
    assert (summary(done)["rows"], summary(done)["rejected"]) == (402, 2)
    with (tmp_path / "hospital.patients.rejects.csv").open(encoding="utf-8", newline="") as listed:
        rows = list(csv.DictReader(listed))
    assert [(row["line"], row["field"]) for row in rows] == [("402", "record_id"), ("403", "record_id")]
    assert rows[1]["row"] == "bad1,again,,,,"
    listed_before = (tmp_path / "hospital.patients.rejects.csv").read_bytes()
    file = patients(tmp_path, "good", 3)
    done = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert (done.returncode, summary(done)["rejects_file"]) == (0, "")
    assert "the rejects file that is there is an earlier load's" in done.stderr
    assert (tmp_path / "hospital.patients.rejects.csv").read_bytes() == listed_before


def test_bad_values_are_counted_and_cost_no_record(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "values", 0, extra=f"values0,Hồ Lan,31/02/1990,,12345,\nvalues1,{'x' * 5000},,,,\n")
    done = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert (done.returncode, summary(done)["rejected"]) == (0, 0)
    invalid = summary(done)["invalid_values"]
    assert isinstance(invalid, dict)
    assert {"birth_date", "full_name"} <= set(invalid)
    said = mdm("load", "hospital.patients", file, "--server", server.address).stdout
    assert "  unchanged: 2\n" in said
    assert not re.search(r"[{}]|token|is stopped", said)


def test_a_poisoned_load_stops(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "poison", 200, extra=",,,,,\n" * 50)
    done = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert (done.returncode, summary(done)["is_stopped"]) == (4, True)
    assert "rows were set aside, more than --max-rejects 1 %; hospital.patients.rejects.csv lists them" in done.stderr
    assert mdm("load", "hospital.patients", file, "--server", server.address, "--max-rejects", "30").returncode == 3


def test_a_small_file_with_one_bad_row_is_loaded_whole(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "small", 59, extra=",,,,,\n")
    done = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert (done.returncode, summary(done)["rejected"], summary(done)["is_stopped"]) == (3, 1, False)


def test_a_dry_run_sends_nothing(mdm: Run, tmp_path: Path) -> None:
    file = patients(tmp_path, "dry", 200, extra=",,,,,\n")
    done = mdm("load", "hospital.patients", file, "--dry-run", "--server", "127.0.0.1:1", "--json")
    assert done.returncode == 3
    assert (summary(done)["row_count"], summary(done)["rejected_count"]) == (201, 1)


def test_a_file_with_other_names_loads_through_a_mapping(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "his.csv"
    file.write_text("MA_BN,HO_TEN,MAU\nM1,Hồ Lan,đỏ\n", encoding="utf-8")
    refused = mdm("load", "hospital.patients", file, "--server", server.address)
    assert refused.returncode == 1
    assert "found MA_BN, HO_TEN, MAU" in refused.stderr
    assert "--mapping" in refused.stderr
    (tmp_path / "his.toml").write_text('record_id = "MA_BN"\nfull_name = "HO_TEN"\n', encoding="utf-8")
    done = mdm("load", "hospital.patients", file, "--mapping", "his.toml", "--server", server.address, "--json")
    assert (done.returncode, summary(done)["unknown_columns"]) == (0, ["MAU"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["load", "hospital.visits", __file__, "--dry-run", "--server", "127.0.0.1:1"], 2, "must be one of"),
        (["load", "hospital.patients", "nowhere.csv"], 1, "nowhere.csv: cannot be read"),
        (["load", "hospital.patients"], 2, "Missing argument"),
        (["load", "hospital.patients", "x.csv", "--resolve", "never"], 2, "never"),
        (
            ["load", "hospital.patients", __file__, "--mapping", "no.toml", "--dry-run", "--server", "127.0.0.1:1"],
            2,
            "no.toml",
        ),
        (["load", "hospital.patients", __file__, "--server", "127.0.0.1:1"], 1, "no service answers"),
        (["load", "hospital.patients", __file__, "--server", ""], 2, "must be HOST:PORT"),
        (["status", "--server", "mdm.example"], 2, "must be HOST:PORT"),
        (["lookup", "hospital", "citizen"], 2, "give a golden ID"),
        (["lookup", "hospital", "ship", "1"], 2, "citizen or business"),
        (["match", "--full-name", "A", "--tax-code", "1"], 2, "not both"),
        (["match"], 2, "say whom to search for: --full-name, --birth-date"),
        (["export", "crosswalk", "x.xlsx"], 2, "must end in .csv or .parquet"),
        (["train", "model.json"], 2, "--feeds or --data"),
        (["train", "model.json", "--feeds", ".", "--judgements"], 2, "--judgements belongs to --data"),
        (["train", "model.json", "--data", ".", "--truth", "t.csv"], 2, "--truth belongs to --feeds"),
        (["train", "model.json", "--feeds", ".", "--truth", "t", "--labels", "l"], 2, "give one of --truth"),
        (["model", "activate", "x.json", "--force"], 2, "--force needs --reason"),
        (["model", "rollback"], 2, "--reason"),
        (["synth", "city", "--citizens", "-3"], 1, "citizens"),
        (["verify", "--data", "nowhere"], 1, "nowhere"),
        # Told before a service is asked for.
        (["relink", "--memory-limit", "8GiBs", "--server", "127.0.0.1:1"], 2, "'--memory-limit': is no size"),
        (["relink", "plan", "--memory-limit", "much", "--server", "127.0.0.1:1"], 2, "is no size"),
        (["dance"], 2, "dance"),
    ],
)
def test_wrong_usage_is_one_clear_line(mdm: Run, arguments: list[str], code: int, said: str) -> None:
    done = mdm(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [[], ["--rejects", "./hospital.patients.rejects.csv"]])
def test_set_aside_rows_never_go_where_the_feed_comes_from(mdm: Run, tmp_path: Path, options: list[str]) -> None:
    # What a clerk mends in place is loaded under its name.
    file, text = tmp_path / "hospital.patients.rejects.csv", "record_id,full_name\n,x\nA,y\n"
    file.write_text(text, encoding="utf-8")
    done = mdm("load", "hospital.patients", file.name, *options, "--dry-run")
    assert done.returncode == 2
    assert "--rejects: is a file that the load reads" in done.stderr
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("place", [".", "nowhere/rejects.csv"])
def test_a_place_where_no_row_could_be_set_aside_is_refused_first(mdm: Run, tmp_path: Path, place: str) -> None:
    file = patients(tmp_path, "aside", 3)
    done = mdm("load", "hospital.patients", file, "--rejects", place, "--dry-run")
    assert (done.returncode, "--rejects: is no place for a file" in done.stderr) == (2, True)


def test_without_a_service_it_says_how_to_start_one(mdm: Run) -> None:
    done = mdm("lookup", "hospital", "citizen", "1", "--server", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == (
        "mdm: no service answers at 127.0.0.1:1; start one with: mdm serve --data DIR --listen 127.0.0.1:1\n"
    )


def test_lookup_and_match_find_what_was_loaded(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "found", 0, extra="found1,Bùi Thị Quỳnh Diễm,1988-11-23,F,079188004321,\n")
    assert mdm("load", "hospital.patients", file, "--server", server.address).returncode == 0
    looked = mdm("lookup", "hospital", "citizen", "found1", "none", "--server", server.address, "--json")
    records = summary(looked)["records"]
    assert isinstance(records, dict)
    assert (looked.returncode, records["none"]) == (0, "not_found")
    assert mdm("lookup", "hospital", "citizen", "none", "--server", server.address).returncode == 1
    golden_id = records["found1"]
    shown = mdm("lookup", golden_id, "--server", server.address, "--json")
    assert summary(shown)["members"] == ["hospital citizen found1"]
    matched = mdm(
        *(
            "match",
            "--full-name",
            "Bùi Thị Quỳnh Diễm",
            "--birth-date",
            "23/11/1988",
            "--server",
            server.address,
            "--json",
        )
    )
    candidates = summary(matched)["candidates"]
    assert isinstance(candidates, list)
    assert candidates[0]["golden_id"] == golden_id
    alone = mdm("match", "--full-name", "Bùi Thị Quỳnh Diễm", "--server", server.address)
    assert "a name counts beside a birth date" in alone.stdout, "nobody is compared for a name alone"
    wrong = mdm("lookup", "C-7K3M-9XQ2-4TAB-1", "--server", server.address)
    assert wrong.returncode == 1
    assert "check character" in wrong.stderr


def test_the_crosswalk_is_sorted_whole_and_described(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = patients(tmp_path, "cross", 50)
    assert mdm("load", "hospital.patients", file, "--server", server.address).returncode == 0
    assert mdm("export", "crosswalk", "x.csv", "--server", server.address).returncode == 0
    assert mdm("export", "crosswalk", "x.parquet", "--server", server.address).returncode == 0
    manifest = json.loads((tmp_path / "x.csv.manifest.json").read_text(encoding="utf-8"))
    assert hashlib.sha256((tmp_path / "x.csv").read_bytes()).hexdigest() == manifest["sha256"]
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as opened:
        header, *rows = csv.reader(opened)
    assert header == ["registry", "entity_kind", "record_id", "golden_id"]
    assert rows == sorted(rows)
    assert manifest["rows"] == len(rows) >= 50
    assert [list(row.values()) for row in pq.read_table(tmp_path / "x.parquet").to_pylist()] == rows
    files = [tmp_path / "x.csv", tmp_path / "x.parquet"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600], "others may not read them"
    files[0].chmod(0o640)
    assert mdm("export", "crosswalk", "x.csv", "--server", server.address).returncode == 0
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o640, "who may read it was decided"
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_an_interrupted_load_says_so_and_goes_on_when_run_again(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    file = patients(tmp_path, "interrupted", 4000)
    command = [sys.executable, "-m", "mdm", "load", "hospital.patients", str(file), "--server", server.address]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "progress" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said
    resumed = mdm("load", "hospital.patients", file, "--server", server.address, "--json")
    assert resumed.returncode == 0
    records = summary(resumed)["records"]
    assert isinstance(records, dict)
    assert records["already_loaded"] > 0
    assert sum(records.values()) == 4000


def test_a_load_says_that_the_service_is_away(tmp_path: Path) -> None:
    # Killed at once, not drained: so many rows cannot have passed before.
    file = patients(tmp_path, "away", 20_000)
    with running_server(tmp_path / "data") as served:
        command = [sys.executable, "-m", "mdm", "load", "hospital.patients", str(file), "--server", served.address]
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            assert "progress" in process.stderr.readline()
            served.process.kill()
            said = next(line for line in process.stderr if "away" in line)
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=30)
    assert re.search(r"service away, retrying for up to 1[01]\d s", said)
    assert "away" not in rest


def test_the_index_is_verified_and_rebuilt_once_the_service_has_stopped(mdm: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as served:
        file = patients(tmp_path, "kept", 60)
        later = mdm("load", "hospital.patients", file, "--server", served.address, "--resolve", "later", "--json")
        assert summary(later)["records"] == {"pending": 60}
        in_use = mdm("verify", "--data", data)
        assert in_use.returncode == 1
        assert "use" in in_use.stderr
        linked = mdm("relink", "--server", served.address, "--json")
        assert (linked.returncode, summary(linked)["state"]) == (0, "committed")
        planned = mdm("relink", "plan", "--server", served.address, "--json")
        assert (planned.returncode, summary(planned)["components"]) == (0, 0)
        assert "  changes: none\n" in mdm("relink", "plan", "--server", served.address).stdout
    assert mdm("verify", "--data", data).returncode == 0
    assert mdm("rebuild", "--data", data).returncode == 0
    verified = mdm("verify", "--data", data, "--json")
    assert (verified.returncode, summary(verified)["is_equal"]) == (0, True)


def test_a_plan_that_would_change_too_much_is_held_back_until_it_is_named(mdm: Run, tmp_path: Path) -> None:
    mdm("synth", "--citizens", 400, "--seed", 27, "--difficulty", "hard", "city")
    with running_server(tmp_path / "data") as served:
        for feed in ("hospital.patients", "household.residents", "social_security.insured"):
            assert mdm("load", feed, f"city/{feed}.csv", "--server", served.address).returncode == 0
        held = mdm("relink", "--max-churn", 0, "--server", served.address, "--json")
        merged_count = summary(held)["citizen"]["merged_golden_id_count"]  # type: ignore[index]
        assert merged_count > 0, "the city must give the gate something to hold"
        assert (held.returncode, summary(held)["state"]) == (4, "planned")
        named = mdm("relink", "commit", summary(held)["run"], "--server", served.address)
        assert (named.returncode, named.stderr.count("committed already")) == (0, 0)
        assert "citizen, as planned\n" in named.stdout
        assert f"  golden IDs merged into another: {merged_count:,}\n" in named.stdout
        assert not re.search(r"_|: 0$", named.stdout, re.MULTILINE)
        look = summary(held)
        assert len(look["examples"]) > 0  # type: ignore[arg-type]
        assert look["churn_percent"] > 0  # type: ignore[operator]
        again = mdm("relink", "commit", summary(held)["run"], "--server", served.address, "--json")
        assert (again.returncode, summary(again)["state"]) == (0, "committed")
        assert json.loads(again.stderr)["event"] == f"{summary(held)['run']} was committed already"


def test_a_relinkage_is_shown_with_examples_and_taken_back(mdm: Run, tmp_path: Path) -> None:
    mdm("synth", "--citizens", 400, "--seed", 27, "--difficulty", "hard", "city")
    with running_server(tmp_path / "data") as served:
        server = ("--server", served.address)
        for feed in ("hospital.patients", "household.residents", "social_security.insured"):
            assert mdm("load", feed, f"city/{feed}.csv", *server).returncode == 0

        def crosswalk() -> list[str]:
            assert mdm("export", "crosswalk", "crosswalk.csv", *server).returncode == 0
            return sorted((tmp_path / "crosswalk.csv").read_text(encoding="utf-8").splitlines())

        before = crosswalk()
        command = [sys.executable, "-m", "mdm", "relink", "plan", *server]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert "progress" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert re.search(r"mdm: interrupted; re-linkage \S+ goes on in the service", said)
        planned = mdm("relink", "plan", *server)
        assert planned.returncode == 0
        for heading in ("citizen by registry", "citizen by size", "citizen, the largest after"):
            assert f"\n{heading}\n" in planned.stdout
        assert re.search(r"^example 1: citizen (merged|split|moved|new|joined)$", planned.stdout, re.MULTILINE)
        assert re.search(r"^  weight of the pair \*: [+-][0-9.]+ bits$", planned.stdout, re.MULTILINE)
        assert re.search(r"^  made of: prior population -[0-9.]+, name ", planned.stdout, re.MULTILINE)
        assert crosswalk() == before
        dropped = re.findall(r"^run +(\S+)$", planned.stdout, re.MULTILINE)[0]
        cancelled = mdm("relink", "cancel", dropped, *server, "--json")
        assert (cancelled.returncode, summary(cancelled)["state"]) == (0, "cancelled")
        run = summary(mdm("relink", *server, "--json"))["run"]
        late = mdm("relink", "cancel", run, *server)
        assert late.returncode == 1
        assert f"{run} is committed already; take it back with: mdm relink revert {run} --server" in late.stderr
        assert crosswalk() != before
        tried = mdm("relink", "revert", run, "--dry-run", *server)
        assert "components that come back as they were" in tried.stdout
        assert crosswalk() != before
        reverted = mdm("relink", "revert", run, *server, "--json")
        assert (reverted.returncode, summary(reverted)["takes_back"]) == (0, run)
        assert crosswalk() == before
        for act in ("revert", "cancel"):
            unknown = mdm("relink", act, "20250101T000000-abcdef", *server)
            assert (unknown.returncode, "RELINK_RUN_NOT_FOUND" in unknown.stderr) == (1, True)
        refused = mdm("relink", "plan", "--memory-limit", "1MiB", *server)
        assert (refused.returncode, "memory" in refused.stderr) == (1, True)
    assert mdm("verify", "--data", "data").returncode == 0


def test_a_service_serves_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = ["serve", "--data", "data", "--listen", "127.0.0.1:0", "--metrics", "off", "--ready-file", str(ready)]
    with subprocess.Popen([sys.executable, "-m", "mdm", *command], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        until_s = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < until_s:
            time.sleep(0.05)
        assert json.loads(ready.read_text(encoding="utf-8"))["address"].startswith("127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_training_on_too_few_records_keeps_the_shipped_model_and_says_so(mdm: Run, tmp_path: Path) -> None:
    assert mdm("synth", "city", "--citizens", "500", "--seed", "1").returncode == 0
    done = mdm("train", "business.json", "--feeds", "city", "--kind", "business", "--json")
    assert done.returncode == 0, done.stderr
    model = Model.load(tmp_path / "business.json")
    assert model.digest == summary(done)["digest"] == Model.default(EntityKind.BUSINESS).digest
    gates = {failure["gate"] for failure in summary(done)["kept"].values()}  # type: ignore[attr-defined]
    assert gates == {"too_few_records"}
    assert summary(done)["thresholds"]["basis"] == "kept"  # type: ignore[index]
