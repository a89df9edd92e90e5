"""`mdm watch`, `mdm translate` and an export that starts the feed."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mdm_client import Client, EntityKind, RecordStatus, SourceKey
from mdm_client.records import CitizenAttributes, Identifier, IdentifierType, SourceRecord
from tests.cli.conftest import Run
from tests.serving import RunningServer

CITIZEN = EntityKind.CITIZEN


def person(registry: str, record_id: str, personal_id: str, name: str = "Đoàn Thị Mây") -> SourceRecord:
    attributes = CitizenAttributes(
        full_name=name, birth_date="1979-12-01", identifiers=(Identifier(IdentifierType.PERSONAL_ID, personal_id),)
    )
    return SourceRecord(SourceKey(registry, CITIZEN, record_id), attributes)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_manifest_of_an_export_starts_the_feed_without_a_gap(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    address = ("--server", server.address)
    with Client(server.address) as client:
        client.upsert(person("hospital", "gap-1", "079179000001"))
        client.upsert(person("household", "gap-2", "079179000002", "Hồ Văn Sáu"))
        assert mdm("export", "crosswalk", "x.csv", *address).returncode == 0
        client.upsert(person("social_security", "gap-3", "079179000001"))
        client.upsert(person("household", "gap-2", "079179000001"))
        client.delete(SourceKey("hospital", CITIZEN, "gap-1"))
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as opened:
        copy = {tuple(row[:3]): row[3] for row in list(csv.reader(opened))[1:]}
    manifest = json.loads((tmp_path / "x.csv.manifest.json").read_text(encoding="utf-8"))
    told = lines(mdm("watch", "--since", manifest["token"], "--once", "--json", *address))
    for change in told:
        for move in change.get("moves", []):  # type: ignore[attr-defined]
            key = (move["registry"], move["entity_kind"], move["record_id"])
            assert copy.get(key, "") == move["old_golden_id"]
            copy[key] = move["new_golden_id"]
    assert mdm("export", "crosswalk", "y.csv", *address).returncode == 0
    with (tmp_path / "y.csv").open(encoding="utf-8", newline="") as opened:
        exported = {tuple(row[:3]): row[3] for row in list(csv.reader(opened))[1:]}
    assert {key: golden_id for key, golden_id in copy.items() if golden_id} == exported
    assert told[-1].keys() == {"token", "is_current"}


def test_a_token_file_resumes_behind_what_was_printed(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    arguments = ("watch", "--once", "--json", "--token-file", "feed.token", "--registry", "hospital")
    address = ("--server", server.address)
    with Client(server.address) as client:
        lines(mdm(*arguments, "--since", "now", *address))
        first = client.upsert(person("hospital", "file-1", "079179000011"))
        told = lines(mdm(*arguments, *address))
        assert [move["new_golden_id"] for each in told for move in each.get("moves", [])] == [first.golden_id]  # type: ignore[attr-defined]
        assert (tmp_path / "feed.token").read_text(encoding="ascii").strip() == told[-1]["token"]
        client.upsert(person("household", "file-2", "079179000012"))
        assert [line.keys() for line in lines(mdm(*arguments, *address))] == [{"token", "is_current"}]


def test_the_feed_is_readable_and_filtered(mdm: Run, server: RunningServer) -> None:
    address = ("--server", server.address)
    with Client(server.address) as client:
        written = client.upsert(person("hospital", "shown", "079179000021"))
        gone = client.delete(SourceKey("hospital", CITIZEN, "shown"))
        client.lookup("hospital", CITIZEN, "shown", fresh=gone.token)
    done = mdm("watch", "--since", written.token, "--once", *address)
    assert f"  {written.golden_id}  retired\n" in done.stdout
    assert f"  hospital citizen shown: {written.golden_id} → -\n" in done.stdout
    filtered = mdm("watch", "--since", written.token, "--once", "--type", "retired", *address)
    assert "retired" in filtered.stdout
    assert "left" not in filtered.stdout
    assert mdm("watch", "--since", written.token, "--once", "--kind", "business", *address).stdout == ""


def test_a_copy_is_kept_in_step(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    from mdm_client.crosswalk import CrosswalkCopy  # noqa: PLC0415 – of this test alone

    address = ("--server", server.address)
    key = SourceKey("hospital", CITIZEN, "copied")
    with Client(server.address) as client:
        client.upsert(person("hospital", "copied-before", "079179000031"))
        done = mdm("watch", "--copy", "copy.sqlite", "--once", *address)
        assert done.returncode == 0, done.stderr
        written = client.upsert(person("hospital", "copied", "079179000032"))
        done = mdm("watch", "--copy", "copy.sqlite", "--once", "--json", *address)
        assert '"event": "the copy is current"' in done.stderr
    with CrosswalkCopy(tmp_path / "copy.sqlite") as copy:
        assert copy.golden_id(key) == written.golden_id


def test_who_reads_may_stop_reading(server: RunningServer) -> None:
    with Client(server.address) as client:
        client.upsert(person("hospital", "piped", "079179000041"))
    command = [sys.executable, "-m", "mdm", "watch", "--since", "beginning", "--json", "--server", server.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        with Client(server.address) as client:
            client.upsert(person("hospital", "piped-again", "079179000042"))
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--since", "yesterday"], 1, "after: must be a token"),
        (["--type", "exploded"], 2, "--type must be one of created"),
        (["--kind", "ship"], 2, "citizen or business"),
        (["--registry", "hospitals"], 1, "must be of company"),
        (["--copy", "c.sqlite", "--since", "now"], 2, "--copy keeps its own position"),
        (["--token-file", "nowhere/t"], 2, "no directory"),
    ],
)
def test_wrong_usage_of_watch_is_one_clear_line(
    mdm: Run, server: RunningServer, arguments: list[str], code: int, said: str
) -> None:
    done = mdm("watch", *arguments, "--server", server.address)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert len(done.stderr.splitlines()) == 1 or code == 2


def test_keys_are_translated(mdm: Run, server: RunningServer) -> None:
    address = ("--server", server.address)
    with Client(server.address) as client:
        client.upsert(person("hospital", "patient", "079179000051"))
        last = client.upsert(person("social_security", "insured", "079179000051"))
        status = client.lookup("hospital", CITIZEN, "patient", fresh=last.token).status
    assert status is RecordStatus.FOUND
    done = mdm("translate", "hospital", "citizen", "patient", "nobody", "--to", "social_security", *address)
    assert (done.returncode, done.stdout) == (0, "patient  insured\nnobody   not_found\n")
    answered = mdm("translate", "hospital", "citizen", "patient", "--to", "household", "--json", *address)
    assert answered.returncode == 1, "nobody has a key there"
    assert json.loads(answered.stdout)["records"] == {"patient": {"status": "found", "keys": []}}
    assert mdm("translate", "hospital", "--to", "household", *address).returncode == 2


def test_lineage_is_exported_at_the_crosswalks_position(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    address = ("--server", server.address)
    with Client(server.address) as client:
        kept = client.upsert(person("hospital", "line-1", "079179000061")).golden_id
        gone = client.upsert(person("hospital", "line-2", "079179000062", "Hồ Văn Sáu")).golden_id
        client.delete(SourceKey("hospital", CITIZEN, "line-2"))
    done = mdm("export", "crosswalk", "x.csv", "--lineage", "ids.csv", "--json", *address)
    manifest = json.loads(done.stdout)["lineage"]
    assert manifest["sha256"] == hashlib.sha256((tmp_path / "ids.csv").read_bytes()).hexdigest()
    with (tmp_path / "ids.csv").open(encoding="utf-8", newline="") as opened:
        rows = {row["golden_id"]: row for row in csv.DictReader(opened)}
    assert len(rows) == manifest["rows"]
    assert (rows[kept]["status"], rows[kept]["surviving_golden_id"]) == ("active", kept)
    assert (rows[gone]["status"], rows[gone]["surviving_golden_id"]) == ("retired", "")
    assert rows[kept]["minted_at"].endswith("+00:00")
    assert mdm("export", "crosswalk", "x.csv", "--lineage", "ids.txt", *address).returncode == 2
