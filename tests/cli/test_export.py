"""Exports over the command line: files, manifests, filters, and an export that a restart of the service cuts."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mdm.cli.export_files import TableFile
from mdm_client import CitizenAttributes, Client, EntityKind, SourceKey, SourceRecord
from tests.cli.conftest import Run
from tests.serving import RunningServer

PEOPLE = 30


@pytest.fixture(scope="module", autouse=True)
def people(server: RunningServer) -> None:
    with Client(server.address, actor="tests") as client:
        for number in range(PEOPLE):
            for registry in ("hospital", "household") if number % 3 == 0 else ("hospital",):
                key = SourceKey(registry, EntityKind.CITIZEN, f"P{number}")
                attributes = CitizenAttributes(full_name=f'Hồ, {chr(65 + number)} "Lan"', birth_date=f"{1950 + number}")
                client.upsert(SourceRecord(key, attributes, "2026-01-01"))


def at(server: RunningServer) -> tuple[str, str]:
    return "--server", server.address


def rows(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".parquet":
        found: list[dict[str, str]] = pq.read_table(path).to_pylist()
        return found
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("what", ["crosswalk", "golden-records", "lineage"])
def test_a_file_holds_what_its_manifest_says(
    mdm: Run, server: RunningServer, tmp_path: Path, what: str, suffix: str
) -> None:
    file = tmp_path / f"{what}{suffix}"
    done = mdm("export", what, file, "--json", *at(server))
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert json.loads((tmp_path / f"{file.name}.manifest.json").read_text(encoding="utf-8")) == manifest
    assert manifest["rows"] == len(rows(file)) >= PEOPLE
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["token"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, f"{file.name}.manifest.json"]


def test_csv_and_parquet_hold_the_same(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        assert mdm("export", "golden-records", tmp_path / f"g.{suffix}", *at(server)).returncode == 0
    assert rows(tmp_path / "g.csv") == rows(tmp_path / "g.parquet")


def test_the_same_state_gives_the_same_bytes(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        mdm("export", "crosswalk", tmp_path / name, *at(server))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_a_value_stands_with_the_record_that_states_it_and_why(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "golden.csv"
    done = mdm(
        *("export", "golden-records", file, "--registry", "household", "--fields", "full_name,birth_date", "--json"),
        *("--purpose", "decree 12", *at(server)),
    )
    manifest = json.loads(done.stdout)
    assert manifest["filters"] == {"registries": ["household"], "fields": ["full_name", "birth_date"]}
    found = rows(file)
    assert {row["field"] for row in found} == {"full_name", "birth_date"}
    assert manifest["golden_records"] == len({row["golden_id"] for row in found}) == PEOPLE // 3
    first = next(row for row in found if row["record_id"] == "P0" and row["field"] == "full_name")
    assert first["value"] == 'Hồ, A "Lan"'
    assert (first["registry"], first["entity_kind"], first["assurance"]) == ("household", "citizen", "")
    assert first["updated_at"] == "2026-01-01"


def test_a_crosswalk_of_one_registry_leaves_others_out(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    done = mdm("export", "crosswalk", file, "--registry", "household", "--kind", "citizen", *at(server))
    assert done.returncode == 0, done.stderr
    assert {row["registry"] for row in rows(file)} == {"household"}
    assert len(rows(file)) == PEOPLE // 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("crosswalk", "c.txt"),
        ("lineage", "nowhere/c.csv"),
        ("crosswalk", "c.csv", "--lineage", "c.csv"),
        ("golden-records", "g.csv", "--kind", "person"),
    ],
)
def test_wrong_usage_writes_nothing(
    mdm: Run, server: RunningServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert mdm("export", *arguments, *at(server)).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("golden-records", "g.csv", "--fields", "names"), ("crosswalk", "c.csv", "--registry", "nowhere")]
)
def test_what_there_is_none_of_fails_and_leaves_nothing(
    mdm: Run, server: RunningServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    failed = mdm("export", *arguments, *at(server))
    assert failed.returncode == 1
    assert failed.stderr.startswith("mdm: ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with TableFile(path, ("a", "b")) as table:
        table.write([["1"], ["2"]])

    def break_off() -> None:
        with TableFile(path, ("a", "b")) as table:
            table.write([["3"], ["4"]])
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert path.read_text(encoding="utf-8") == "a,b\n1,2\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_without_rows_has_its_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    with TableFile(path, ("a", "b")):
        pass
    assert rows(path) == []
    if suffix == ".parquet":
        assert pq.read_schema(path).names == ["a", "b"]


def test_a_manifest_goes_before_the_file_that_it_describes_is_replaced(tmp_path: Path) -> None:
    file, manifest = tmp_path / "c.csv", tmp_path / "c.csv.manifest.json"
    file.write_text("of yesterday", encoding="utf-8")
    manifest.write_text("{}", encoding="utf-8")
    with pytest.raises(ConnectionError), TableFile(file, ("record_id",)):
        raise ConnectionError
    assert manifest.exists(), "nothing came, so both stay"
    with TableFile(file, ("record_id",)):
        assert manifest.exists()
    assert not manifest.exists(), "a kill before the new manifest leaves a file without one"
