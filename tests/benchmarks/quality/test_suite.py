"""The command: its options, its result and what it refuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.command import main
from benchmarks.quality import sets, suite
from benchmarks.quality.datasets import SkippedError, Workshop
from tests.benchmarks.quality.conftest import Run, options


def test_the_result_holds_every_way_of_every_subject(small_run: Run) -> None:
    subjects = small_run.result["sets"]["city:400:3:hard"]
    assert set(subjects) == {"citizen", "business"}
    for ways in subjects.values():
        assert list(ways) == ["batch", "online_loaded", "online_relinked"]
    assert small_run.is_kept
    assert json.loads((small_run.out / "quality.json").read_text(encoding="utf-8")) == small_run.result


def test_both_engines_agree_on_every_pair_kept(small_run: Run) -> None:
    for ways in small_run.result["sets"]["city:400:3:hard"].values():
        parity, facts = ways["batch"]["parity"], ways["batch"]["facts"]
        assert (parity["level_mismatches"], parity["weight_mismatches"]) == (0, 0)
        assert parity["pairs"] > 10
        assert facts["candidate_pairs"] == ways["batch"]["blocking"]["pairs"]


def test_a_mismatch_is_a_broken_promise() -> None:
    sound = {"pairs": 9, "level_mismatches": 0, "weight_mismatches": 0}
    for parity, is_kept in ((sound, True), (sound | {"level_mismatches": 1}, False), (None, True)):
        figures = {} if parity is None else {"parity": parity}
        assert suite.is_kept({"sets": {"a": {"citizen": {"batch": figures}}}}) is is_kept


def test_relinking_what_was_loaded_in_any_order_ends_where_batch_does(small_run: Run) -> None:
    for ways in small_run.result["sets"]["city:400:3:hard"].values():
        assert ways["online_relinked"]["facts"]["pairs_other_than_batch"] == 0
        assert ways["online_relinked"]["pairs"] == ways["batch"]["pairs"]
        assert ways["online_relinked"]["review"] == ways["batch"]["review"]
    loaded = small_run.result["sets"]["city:400:3:hard"]["citizen"]["online_loaded"]
    assert loaded["seconds"]["load"] > 0
    assert loaded["pairs"]["recall"]["value"] > 0.5


def test_missed_pairs_are_the_true_pairs_that_were_not_found(small_run: Run) -> None:
    for ways in small_run.result["sets"]["city:400:3:hard"].values():
        pairs, missed = ways["batch"]["pairs"], ways["batch"]["missed"]
        right = pairs["found_pairs"] - pairs["false_pairs"]
        assert sum(stage["pairs"] for stage in missed.values()) == pairs["true_pairs"] - right


def test_registry_pairs_add_up_to_all_pairs(small_run: Run) -> None:
    figures = small_run.result["sets"]["city:400:3:hard"]["citizen"]["batch"]
    for count in ("found_pairs", "false_pairs", "true_pairs"):
        assert sum(each[count] for each in figures["registry_pairs"].values()) == figures["pairs"][count]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("town:5:5", "no data set town; there are "),
        ("city:many", "a city is named city:CITIZENS:SEED:DIFFICULTY"),
        ("city:100:7:easy", "a city is named city:CITIZENS:SEED:DIFFICULTY"),
        ("city:100:7:hard:x", "a city is named city:CITIZENS:SEED:DIFFICULTY"),
    ],
)
def test_a_set_of_an_unknown_name_is_refused_before_any_work(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        suite.run(options("--sets", "city:400:3:hard", name))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_size_is_of_the_default_sets() -> None:
    assert options().sets == ["city:5000:7:default", "city:5000:7:hard"]
    assert options("--size", "300", "--seed", "3").sets == ["city:300:7:default", "city:300:7:hard"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "300", "--sets", "historical"], "--sets: not allowed with argument --size"),
        (["--size", "49"], "must be a number of citizens from 50 on"),
        (["--size", "many"], "must be a number of citizens from 50 on"),
    ],
)
def test_a_size_is_a_number_and_of_no_other_sets(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "quality", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_result_that_cannot_be_compared_with_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    for file, message in (("none.json", "cannot be read"), ("other.json", "is no result of this suite")):
        with pytest.raises(SystemExit) as ended:
            suite.run(options("--compare", str(tmp_path / file)))
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_a_set_that_is_not_here_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_argument: str, _workshop: Workshop) -> Any:
        raise SkippedError("lies in no folder named by MDM_SHARED_DATA")

    monkeypatch.setitem(sets.PIPELINES, "absent", sets.DataSet(absent, "a set that is nowhere"))
    result, is_kept = suite.run(options("--sets", "absent"))
    assert result["skipped"] == {"absent": "lies in no folder named by MDM_SHARED_DATA"}
    assert (result["sets"], is_kept) == ({}, True)


def test_a_result_says_on_what_it_was_measured(small_run: Run) -> None:
    environment = small_run.result["environment"]
    assert len(environment["commit"]) == 40
    assert environment["libraries"].keys() >= {"splink", "duckdb", "numpy"}
    assert environment["memory_gib"] > 0
    assert str(Path(__file__).parents[3]) not in json.dumps(small_run.result), "no path of this machine"


def test_the_help_names_every_data_set() -> None:
    parser = argparse.ArgumentParser(prog="quality")
    suite.add_options(parser)
    text = parser.format_help()
    for data_set in sets.PIPELINES.values():
        assert data_set.help in text
    assert "python -m benchmarks quality --size 20000" in text
