"""An update changes what it says, newer than the city, and the truth follows the new bearers."""

from __future__ import annotations

import csv
import filecmp
from pathlib import Path

import pytest

from mdm.errors import InvalidInputError
from mdm.synth.city import write_city
from mdm.synth.feeds import COLUMNS, FeedFormat
from mdm.synth.updates import UpdateReport, read_rows, write_updates

SHARE = 0.1


def read_truth(directory: Path) -> dict[tuple[str, ...], str]:
    with (directory / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }


@pytest.fixture(scope="module", params=["csv", "parquet"])
def update(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, UpdateReport]:
    root = tmp_path_factory.mktemp("update")
    feed_format: FeedFormat = request.param
    write_city(root / "city", 3000, seed=3, format=feed_format)
    return root / "city", root / "update", write_updates(root / "update", root / "city", seed=4, share=SHARE)


def test_every_kind_of_change_happens(update: tuple[Path, Path, UpdateReport]) -> None:
    report = update[2]
    assert report.moved > 300
    assert report.personal_ids_corrected > 100
    assert report.newborns_named > 10
    assert report.new_representatives > 3
    assert report.patient_numbers_recycled > 10
    assert report.marriages > 5
    assert report.deaths > 10


def test_changed_rows_are_newer_rows_of_the_city(update: tuple[Path, Path, UpdateReport]) -> None:
    city, changes, report = update
    rows = 0
    for feed in COLUMNS:
        before = {row["record_id"]: row for row in read_rows(city, feed)}
        for row in read_rows(changes, feed):
            rows += 1
            assert row["updated_at"] > before[row["record_id"]]["updated_at"]
            assert {column for column in row if row[column] != before[row["record_id"]][column]} > {"updated_at"}
    assert rows == report.rows


def test_the_truth_differs_exactly_for_new_bearers(update: tuple[Path, Path, UpdateReport]) -> None:
    city, changes, report = update
    before, after = read_truth(city), read_truth(changes)
    assert before.keys() == after.keys()
    moved = [key for key in before if before[key] != after[key]]
    assert {key[1] for key in moved} == {"citizen"}
    assert sum(key[0] == "company" for key in moved) == report.new_representatives
    assert sum(key[0] == "hospital" for key in moved) == report.patient_numbers_recycled
    assert len(moved) == report.new_representatives + report.patient_numbers_recycled


def test_who_marries_lives_with_the_other_and_both_say_so(update: tuple[Path, Path, UpdateReport]) -> None:
    city, changes, report = update
    before = {row["record_id"]: row for row in read_rows(city, "household.residents")}
    after = before | {row["record_id"]: row for row in read_rows(changes, "household.residents")}
    married = [each for each, row in after.items() if row["spouse_name"] and not before[each]["spouse_name"]]
    assert len(married) == 2 * report.marriages
    movers = [each for each in married if after[each]["household_id"] != before[each]["household_id"]]
    assert len(movers) == report.marriages
    for mover in movers:
        (host,) = (
            each
            for each in married
            if each not in movers
            and after[each]["household_id"] == after[mover]["household_id"]
            and after[each]["full_name"] == after[mover]["spouse_name"]
        )
        assert after[host]["spouse_name"] == after[mover]["full_name"]
        assert {after[host]["sex"], after[mover]["sex"]} == {"F", "M"}
        assert after[host]["current_address"] == after[mover]["current_address"]


def test_the_dead_were_alive_before(update: tuple[Path, Path, UpdateReport]) -> None:
    city, changes, report = update
    before = {row["record_id"]: row for row in read_rows(city, "household.residents")}
    rows = list(read_rows(changes, "household.residents"))
    died = [row for row in rows if row["died_on"] and not before[row["record_id"]]["died_on"]]
    assert len(died) == report.deaths
    assert all(row["died_on"] < row["updated_at"] for row in died)
    insured = list(read_rows(changes, "social_security.insured"))
    known = {row["record_id"]: row["status"] for row in read_rows(city, "social_security.insured")}
    assert any(row["status"] == "đã chết" != known[row["record_id"]] for row in insured)


def test_a_named_newborn_keeps_record_and_bearer(update: tuple[Path, Path, UpdateReport]) -> None:
    city, changes, _ = update
    before, after = read_truth(city), read_truth(changes)
    old = {row["record_id"]: row for row in read_rows(city, "hospital.patients")}
    named = [
        row
        for row in read_rows(changes, "hospital.patients")
        if old[row["record_id"]]["full_name"].startswith(("CON ", "CB "))
        and not row["full_name"].startswith(("CON ", "CB "))
    ]
    assert named
    kept = [
        row
        for row in named
        if before["hospital", "citizen", row["record_id"]] == after["hospital", "citizen", row["record_id"]]
    ]
    assert len(kept) >= 0.8 * len(named)


def test_the_same_seed_gives_the_same_update(tmp_path: Path) -> None:
    write_city(tmp_path / "city", 500, seed=3)
    for name in ("first", "second"):
        write_updates(tmp_path / name, tmp_path / "city", seed=4, share=SHARE)
    files = [f"{feed}.csv" for feed in COLUMNS] + ["truth.csv"]
    assert filecmp.cmpfiles(tmp_path / "first", tmp_path / "second", files, shallow=False) == (files, [], [])


def test_a_city_is_never_overwritten_by_its_update(tmp_path: Path) -> None:
    write_city(tmp_path / "city", 100, seed=3)
    with pytest.raises(InvalidInputError, match="must not be the city's own"):
        write_updates(tmp_path / "city", tmp_path / "city", seed=4)
    with pytest.raises(InvalidInputError, match=r"truth\.csv is missing"):
        write_updates(tmp_path / "update", tmp_path / "elsewhere", seed=4)
    with pytest.raises(InvalidInputError, match="share"):
        write_updates(tmp_path / "update", tmp_path / "city", seed=4, share=0)
