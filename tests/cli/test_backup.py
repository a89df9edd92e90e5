"""Backup and restore over the command line, against running services: under load, through kills, as callers see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from mdm.domain import keys as domain_keys
from mdm.domain.events import Cause
from mdm.domain.load_events import LoadFinished
from mdm.resolve.projection import verify
from mdm.store.backup_check import check_backup
from mdm.store.journal import Draft, Journal
from mdm_client import (
    AsyncClient,
    CitizenAttributes,
    Client,
    DataRestoredError,
    EntityKind,
    FailedPreconditionError,
    InvalidArgumentError,
    Load,
    NotFoundError,
    ResourceExhaustedError,
    SourceKey,
    SourceRecord,
    Verdict,
    calls,
)
from mdm_client.backups import JournalBase, JournalHeader, JournalPart, JournalRows, JournalTrailer
from mdm_client.crosswalk import CrosswalkCopy, follow
from tests.cli.conftest import Run
from tests.clients.test_changes import exported_rows, until_current
from tests.resolve.erasing import search
from tests.serving import RunningServer, running_server
from tests.store.backups import back_up, quiet, tables_of

CITIZEN = EntityKind.CITIZEN
GIVEN_NAMES = ("An", "Bình", "Châu", "Dung", "Giang", "Hạnh", "Khoa", "Linh", "Minh", "Ngọc", "Phúc", "Quân")


def put(client: Client, record_id: str, name: str = "", birth_date: str = "1979-09-19", request_id: str = "") -> str:
    place = zlib.crc32(record_id.encode())
    name = name or f"Lê {GIVEN_NAMES[place // 12 % 12]} {GIVEN_NAMES[place % 12]} {record_id}"
    attributes = CitizenAttributes(full_name=name, birth_date=birth_date)
    record = SourceRecord(SourceKey("hospital", CITIZEN, record_id), attributes)
    return client.upsert(record, request_id=request_id or None).golden_id


def at(server: RunningServer) -> tuple[str, str]:
    return "--server", server.address


def report(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def writing(address: str) -> Iterator[dict[str, str]]:
    """Write records from two threads for the length of the block; yields what was acknowledged."""
    acknowledged: dict[str, str] = {}
    is_over = threading.Event()

    def write(name: str) -> None:
        with Client(address) as client:
            count = 0
            while not is_over.is_set():
                count += 1
                with contextlib.suppress(Exception):
                    acknowledged[f"{name}-{count}"] = put(client, f"{name}-{count}")

    threads = [threading.Thread(target=write, args=(f"W{time.monotonic_ns()}{each}",)) for each in "ab"]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_a_backup_under_load_is_whole_and_the_next_one_takes_only_what_came(
    mdm: Run, server: RunningServer, tmp_path: Path
) -> None:
    file = tmp_path / "mdm.backup"
    with Client(server.address, actor="tests") as client:
        for number in range(40):
            put(client, f"BEFORE-{number}")
        with writing(server.address) as written:
            first = report(mdm("backup", file, "--json", *at(server)))
            known = dict(written)
            second = report(mdm("backup", file, "--json", *at(server)))
        last = report(mdm("backup", file, "--json", *at(server)))
        kept = client.admin.status().last_backup
        with pytest.raises(InvalidArgumentError, match="backup_id"):
            client.backups.confirm("0" * 32, 1)
    assert kept is not None
    assert (kept.seq, kept.file_bytes, kept.is_incremental) == (last["seq"], last["bytes"], True)
    assert [each["is_incremental"] for each in (first, second, last)] == [False, True, True]
    assert known
    assert second["new_events"] == int(str(second["seq"])) - int(str(first["seq"]))
    assert file.stat().st_mode & 0o777 == 0o600
    assert last["bytes"] == file.stat().st_size
    assert last["sha256"] == subprocess.run(["sha256sum", file], capture_output=True, text=True).stdout.split()[0]  # noqa: PLW1510
    backup, journal = tables_of(file), tables_of(server.data / "journal.sqlite")
    assert backup == journal
    checked = report(mdm("restore", "--check", file, "--json"))
    assert (checked["is_whole"], checked["token"]) == (True, last["token"])
    ledger = [each for each in (server.data / "exports.jsonl").read_text().splitlines() if '"backup"' in each]
    assert len(ledger) == 9, "each backup is noted as handed out when it begins and when it ends, and as kept"


@pytest.mark.timeout(300)
def test_what_a_restored_service_answers_and_refuses(mdm: Run, tmp_path: Path) -> None:
    data, again, file = tmp_path / "data", tmp_path / "again", tmp_path / "mdm.backup"
    with running_server(data) as served, Client(served.address) as client, CrosswalkCopy(tmp_path / "copy") as copy:
        kept = put(client, "KEPT")
        pair = [put(client, f"TWIN-{each}", "Phan Thị Sen", "1990-02-03") for each in range(2)]
        assert pair[0] == pair[1]
        for _ in range(2):
            report(mdm("backup", file, "--json", *at(served)))
        lost = put(client, "LOST", "Tạ Văn Mất", "1966-06-06", "request-1")
        keys = SourceKey("hospital", CITIZEN, "KEPT"), SourceKey("hospital", CITIZEN, "LOST")
        judged = client.stewardship.judge(*keys, Verdict.DIFFERENT, "lost, too")
        token = client.lookup("hospital", CITIZEN, "LOST").read_at
        page = client.send(calls.list_members(pair[0], 1, "", ""))[1]
        twins = SourceKey("hospital", CITIZEN, "TWIN-0"), SourceKey("hospital", CITIZEN, "TWIN-1")
        etag = client.stewardship.judge(*twins, Verdict.DIFFERENT, "look", is_dry_run=True).etag
        until_current(follow(client, copy), token)
        rows = list(copy.rows())
    done = report(mdm("restore", file, "--data", again, "--json"))
    with running_server(again) as served, Client(served.address) as client:
        (restored,) = client.admin.status().restores
        assert (restored.to_seq, restored.epoch) == (done["restored_to_seq"], done["epoch"])
        shown = mdm("status", *at(served)).stdout
        assert f"to seq {restored.to_seq:,} of 20" in shown
        assert re.search(r"^backup     whole, .*, seq \d+ of before the restore, ", shown, re.MULTILINE)
    with running_server(again) as served, Client(served.address) as client, CrosswalkCopy(tmp_path / "copy") as copy:
        # Reads.
        assert put(client, "KEPT") == kept
        with pytest.raises(DataRestoredError, match=r"at_least_as_fresh was given out before the data was restored"):
            client.lookup("hospital", CITIZEN, "KEPT", fresh=token)
        with pytest.raises(NotFoundError, match=r"never issued; the data was restored at 20.*lost: look the record up"):
            client.golden_record(lost)
        assert client.lookup("hospital", CITIZEN, "LOST").golden_id == ""
        assert page
        with pytest.raises(DataRestoredError, match="page_token"):
            client.send(calls.list_members(pair[0], 1, page, ""))
        with pytest.raises(DataRestoredError, match="as_of_position"):
            client.history.golden_record(pair[0], token)
        with pytest.raises(DataRestoredError, match="etag"):
            client.stewardship.judge(*twins, Verdict.DIFFERENT, "as looked at", etag=etag, is_dry_run=True)
        # Ids of stewards.
        with pytest.raises(DataRestoredError, match="judgement_id"):
            client.stewardship.withdraw_judgement(judged.judgement_id, "of before")
        # A repeated write is carried out anew.
        found = put(client, "LOST", "Tạ Văn Mất", "1966-06-06", "request-1")
        assert found not in {"", lost}
        again_judged = client.stewardship.judge(*keys, Verdict.DIFFERENT, "once more")
        assert again_judged.judgement_id != judged.judgement_id
        client.stewardship.withdraw_judgement(again_judged.judgement_id, "of now")
        # Copies begin anew by themselves.
        assert [row[3] for row in rows if row[2] == "LOST"] == [lost]
        until_current(follow(client, copy))
        assert list(copy.rows()) == exported_rows(client)
        # The earlier backup is no base any more, and stays.
        held = file.read_bytes()
        refused = mdm("backup", file, *at(served))
        assert (refused.returncode, "BACKUP_MISMATCH" in refused.stderr) == (1, True)
        assert file.read_bytes() == held
        report(mdm("backup", tmp_path / "second.backup", "--json", *at(served)))
    assert verify(again).is_equal
    assert str(done["restored_to"]).startswith("20")
    halved = mdm("restore", file, "--data", tmp_path / "before", "--to-seq", 7, "--json")
    assert "event 7 stands inside a transaction" in halved.stderr, "a record that is stored and not resolved"
    assert (report(halved)["restored_to_seq"], report(halved)["backup_seq"]) == (6, done["restored_to_seq"])
    beyond = mdm("restore", file, "--data", tmp_path / "beyond", "--to-seq", 1_000_000)
    assert (beyond.returncode, "to_seq: must be at most" in beyond.stderr) == (1, True)
    assert int(str(done["epoch"])) > 1


def test_a_load_that_a_restore_came_into_says_so_and_begins_anew(mdm: Run, tmp_path: Path) -> None:
    file, load = tmp_path / "mdm.backup", Load("night", "hospital.patients")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    given = [
        SourceRecord(
            SourceKey("hospital", CITIZEN, f"N{each}"), CitizenAttributes(full_name=f"Lê Văn Số {each * 7919}")
        )
        for each in range(300)
    ]
    ids = [each.key.record_id for each in given]
    with Client(address) as client:
        with running_server(tmp_path / "data", listen=address):
            report(mdm("backup", file, "--json", "--server", address))
            outcomes = iter(client.ingest(given, load))
            assert [next(outcomes).ordinal for _ in range(3)] == [1, 2, 3]
        report(mdm("restore", file, "--data", tmp_path / "again", "--json"))
        with running_server(tmp_path / "again", listen=address):
            # What was acknowledged is lost, and nobody would send it again.
            with pytest.raises(DataRestoredError):
                list(outcomes)
            assert client.batch_lookup("hospital", CITIZEN, ids[:1]).golden_ids == [""]
            list(client.ingest(given, load))
            assert "" not in client.batch_lookup("hospital", CITIZEN, ids).golden_ids


def test_an_erased_person_leaves_the_next_backup(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "mdm.backup"
    with Client(server.address) as client:
        golden = put(client, "ERASED-B1", "Vương Thị Xuyến")
        for _ in range(2):
            mdm("backup", file, *at(server))
        assert re.search(
            r"earlier backups: [\d,]+, the first at 20", mdm("erase", golden, "--dry-run", *at(server)).stdout
        )
        shown = report(mdm("erase", golden, "--dry-run", "--json", *at(server)))
        exports = shown["exports"]
        assert isinstance(exports, list)
        assert "backup" in {each["kind"] for each in exports}, "an erasure names the backups"
        rows = tables_of(file)
        last = rows["payloads"][-1]
        key = dict(rows["record_keys"])[last[1]]
        assert search(tmp_path, [key, last[2]])
        client.erasures.erase(golden, "asked")
    mdm("backup", file, *at(server))
    assert not search(tmp_path, [key, last[2]])
    check_backup(file, quiet)


def test_a_backup_goes_on_when_the_reader_that_serves_it_dies(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "mdm.backup"
    with running_server(data) as served:
        with Client(served.address) as client:
            for number in range(30):
                put(client, f"R-{number}")
        arguments = [sys.executable, "-m", "mdm", "backup", str(file), "--json", *at(served)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            until_s = time.monotonic() + 30
            while not backup_processes(served) and time.monotonic() < until_s:
                time.sleep(0.01)
            # It takes the process that reads the journal along, before that has begun.
            served.kill("reader_process")
            out, error = child.communicate(timeout=60)
        assert child.returncode == 0, error
        assert '"event": "waiting"' in error
        assert json.loads(out)["seq"] > 0
        assert not backup_processes(served)
    check_backup(file, quiet)


def backup_processes(server: RunningServer) -> list[int]:
    """Return the processes that read a journal for a reader of this server."""
    found = []
    for reader in server.child_pids("reader_process"):
        for task in Path(f"/proc/{reader}/task").iterdir():
            found += [int(each) for each in (task / "children").read_text().split()]
    return found


@pytest.mark.crash
@pytest.mark.long
def test_a_command_that_is_killed_leaves_the_earlier_backup(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "mdm.backup"
    report(mdm("backup", file, "--json", *at(server)))
    held = file.read_bytes()
    dice = random.Random(6)
    with Client(server.address) as client:
        for attempt in range(20):
            put(client, f"K-{attempt}")
            arguments = [sys.executable, "-m", "mdm", "backup", str(file), *at(server)]
            with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
                time.sleep(dice.uniform(0.3, 1.2))
                os.kill(child.pid, signal.SIGKILL)
            check_backup(file, quiet)
    last = report(mdm("backup", file, "--json", *at(server)))
    assert file.read_bytes() != held
    assert last["seq"] == check_backup(file, quiet).token.seq
    assert [each.name for each in tmp_path.iterdir() if "backup" in each.name] == ["mdm.backup"]


def test_a_slow_taker_holds_nobody_up_and_takes_one_place_of_its_own(server: RunningServer, tmp_path: Path) -> None:
    from mdm.v1 import backup_service_pb2 as wire  # noqa: PLC0415 – used by one test
    from mdm.v1.backup_service_pb2_grpc import BackupServiceStub  # noqa: PLC0415

    with server.channel() as channel, Client(server.address) as client:
        call = BackupServiceStub(channel).ReadJournal(wire.ReadJournalRequest())
        assert next(call).HasField("header")
        # Nobody reads on: the process waits behind its pipe, and holds no transaction open.
        with pytest.raises(grpc.RpcError) as caught:
            list(BackupServiceStub(channel).ReadJournal(wire.ReadJournalRequest()))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for number in range(20):
            assert put(client, f"S-{number}")
        list(client.export_crosswalk())
        # An erasure ends only once the WAL is empty, for which no transaction may be open.
        client.erasures.erase(put(client, "S-ERASED", "Vương Thị Xuyến"), "asked")
        until_s = time.monotonic() + 30
        while not all(each.is_finished for each in client.erasures.list()):
            assert time.monotonic() < until_s
            time.sleep(0.1)
        call.cancel()
        until_s = time.monotonic() + 10
        while backup_processes(server) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert not backup_processes(server), "it ends with its caller"
        assert len(list(BackupServiceStub(channel).ReadJournal(wire.ReadJournalRequest()))) > 3


def when_free(read: Callable[[], list[JournalPart]]) -> list[JournalPart]:
    """Read once there is a place: the server takes it back a moment after the caller before has its last part."""
    until_s = time.monotonic() + 30
    while True:
        try:
            return read()
        except ResourceExhaustedError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)


def test_the_asyncio_client_reads_the_same_parts(server: RunningServer) -> None:
    async def read() -> list[JournalPart]:
        async with AsyncClient(server.address) as client:
            found = [part async for part in client.backups.read_journal()]
            assert isinstance(found[-1], JournalTrailer)
            await client.backups.confirm(found[-1].backup_id, 77)
            return found

    parts = when_free(lambda: asyncio.run(read()))
    assert isinstance(parts[-1], JournalTrailer)
    with Client(server.address) as client:
        again = when_free(lambda: list(client.backups.read_journal()))
        kept = client.admin.status().last_backup
        client.backups.confirm(parts[-1].backup_id, 78)
        assert client.admin.status().last_backup == kept, "said twice it is no younger"
    assert (kept and kept.file_bytes) == 77, "the second was handed out, and nobody said that it is kept"
    assert [type(each) for each in parts[:1] + parts[-1:]] == [JournalHeader, JournalTrailer]
    assert [each for each in parts if isinstance(each, JournalRows)] == [
        each for each in again if isinstance(each, JournalRows)
    ]


def test_another_services_backup_is_refused_over_the_wire(mdm: Run, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "mdm.backup"
    with Journal.open(tmp_path / "journal.sqlite", create=True) as other:
        other.append(0, [Draft(Cause(), LoadFinished("a load"))], at_us=1)
        back_up(tmp_path / "journal.sqlite", file)
    refused = mdm("backup", file, *at(server))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "BACKUP_MISMATCH: the earlier backup is of another journal; back up to another file" in refused.stderr
    with Client(server.address) as client:
        base = JournalBase(client.lookup("hospital", CITIZEN, "NONE").read_at, b"\0" * 32, 0, 0, 0, 0)
        with pytest.raises(FailedPreconditionError, match="does not begin with the events"):
            list(client.backups.read_journal(base))


USAGE = [
    (("backup", "no/such/directory/file"), 2, "no directory"),
    (("restore", "missing.backup", "--check"), 2, "does not exist"),
    (("restore", "text", "--check", "--data", "d"), 2, "either --data DIR or --check"),
    (("restore", "text", "--check", "--to-seq", "3"), 2, "--to-seq is for a restore"),
    (("restore", "text", "--check"), 1, "no backup"),
    (("restore", "text", "--data", "d"), 1, "no backup"),
    (("backup", "text"), 1, "no backup"),
    (("backup", "file", "--server", "127.0.0.1:1"), 1, "no service answers at 127.0.0.1:1"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), USAGE)
def test_what_cannot_be_is_one_line_that_says_why(
    mdm: Run, server: RunningServer, tmp_path: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    (tmp_path / "text").write_text("not a backup, but a text of some length, longer than any seal is")
    more = () if arguments[0] == "restore" or "--server" in arguments else at(server)
    done = mdm(*arguments, *more)
    assert done.returncode == code, done.stderr
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not [each.name for each in tmp_path.iterdir() if "partial" in each.name]


def test_a_backup_holds_no_golden_id_that_was_never_issued(server: RunningServer) -> None:
    with Client(server.address) as client, pytest.raises(NotFoundError) as caught:
        client.golden_record(domain_keys.golden_id(domain_keys.EntityKind.CITIZEN, 12345))
    assert str(caught.value).endswith("this golden ID was never issued")
