"""The examples for agencies, run as programs against a real service that is killed in the middle."""

from __future__ import annotations

import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from mdm_client import CitizenAttributes, EntityKind, SourceKey, SourceRecord
from mdm_client.testing import EphemeralServer, ephemeral_server

pytestmark = pytest.mark.crash

AWAY = 75
ROWS = 1500
COLUMNS = ("record_id", "full_name", "birth_date", "sex", "personal_id", "phone", "updated_at")


@pytest.fixture(scope="module")
def server() -> Iterator[EphemeralServer]:
    with ephemeral_server() as served:
        yield served


@pytest.fixture
def running(server: EphemeralServer) -> EphemeralServer:
    """The service, started again if the test before left it dead."""
    server.start()
    return server


@pytest.fixture
def examples(project_root: Path) -> Path:
    return project_root / "clients" / "python" / "examples"


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    command = [sys.executable, str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@contextmanager
def started(program: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start an example; it is killed at the end of the block."""
    command = [sys.executable, str(program), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], wanted: re.Pattern[str]) -> str:
    """Return the first line that fits."""
    assert process.stdout is not None
    for line in process.stdout:
        if wanted.search(line):
            return line
    raise AssertionError(f"the program ended before it said {wanted.pattern}")


def key(record_id: str) -> SourceKey:
    return SourceKey("hospital", EntityKind.CITIZEN, record_id)


def test_what_a_desk_queued_is_stored_once_whoever_is_killed(
    examples: Path, running: EphemeralServer, tmp_path: Path
) -> None:
    desk, queue = examples / "admission_desk.py", tmp_path / "desk.sqlite"
    server = ("--server", running.address)
    running.kill()
    assert run(desk, queue, "admit", "D0", "Trần Thị Bích", "02/03/1961").stdout == "1 queued\n"
    with sqlite3.connect(queue) as connection:
        # As `admit` does, without a process for each; the second state of a patient follows the first.
        rows = [
            (f"r{number}", json.dumps([f"D{number // 2}", f"Bệnh nhân {number}", "", ""])) for number in range(2, 300)
        ]
        connection.executemany("INSERT INTO admission (request_id, content) VALUES (?, ?)", rows)
    away = run(desk, *server, queue, "send")
    assert (away.returncode, away.stdout) == (AWAY, "")
    assert "299 stay queued" in away.stderr

    running.start()
    with started(desk, *server, queue, "send") as process:
        read_until(process, re.compile(r"^60 "))
        process.send_signal(signal.SIGKILL)
    with started(desk, *server, queue, "send") as process:
        read_until(process, re.compile(r"^120 "))
        running.kill()
        assert process.wait(60) == AWAY
    running.start()
    last = run(desk, *server, queue, "send")
    assert last.returncode == 0, last.stderr
    with sqlite3.connect(queue) as connection:
        found = Counter(connection.execute("SELECT state, detail FROM admission").fetchall())
        golden_ids = {number: row for number, *row in connection.execute("SELECT number, golden_id FROM admission")}
    # A record that was stored twice would have come back as unchanged.
    assert {state for state, _ in found} == {"sent"}
    assert not {"unchanged", "absent"} & {detail for _, detail in found}
    with running.client() as client:
        stored = client.get_record(key("D149")).record
        assert stored is not None
        assert stored.attributes == CitizenAttributes(full_name="Bệnh nhân 299")
        assert client.lookup("hospital", EntityKind.CITIZEN, "D0").golden_id == golden_ids[1][0]


def test_what_the_service_refuses_is_shown_and_holds_nothing_up(
    examples: Path, running: EphemeralServer, tmp_path: Path
) -> None:
    desk, queue = examples / "admission_desk.py", tmp_path / "desk.sqlite"
    with running.client() as client:
        person = CitizenAttributes(full_name="Đinh Văn Lâm")
        soon = datetime.now(UTC) + timedelta(hours=1)
        client.upsert(SourceRecord(key("E2"), person, updated_at=soon.isoformat()))
    run(desk, queue, "admit", "", "Trần Thị Bích", "1961")
    run(desk, queue, "admit", "E2", "Đinh Văn Lâm", "1971")
    run(desk, queue, "admit", "E3", "Ngô Thị Ba", "1963")
    sent = run(desk, "--server", running.address, queue, "send").stdout.splitlines()
    assert sent[0] == "1 conflict - INVALID_FIELD"
    assert re.fullmatch(r"2 conflict (C-\S+|-) stale", sent[1])
    assert re.fullmatch(r"3 sent C-\S+ created", sent[2])
    assert run(desk, queue, "show").stdout == "1 conflict INVALID_FIELD\n2 conflict stale\n"
    assert run(desk, queue, "requeue", "1", "E1", "Trần Thị Bích", "1961").stdout == "4 queued\n"
    gone = run(desk, queue, "settle", "1")
    assert (gone.returncode, gone.stderr) == (1, "no conflict has the number 1: see show\n")
    assert re.fullmatch(r"4 sent C-\S+ created\n", run(desk, "--server", running.address, queue, "send").stdout)


def test_what_something_in_between_answers_is_no_refusal(examples: Path, tmp_path: Path) -> None:
    # As a balancer that leads elsewhere: taken for the service's word, it would cost every admission in the queue.
    desk, queue = examples / "admission_desk.py", tmp_path / "desk.sqlite"
    elsewhere = grpc.server(ThreadPoolExecutor(1))
    port = elsewhere.add_insecure_port("127.0.0.1:0")
    elsewhere.start()
    run(desk, queue, "admit", "E4", "Ngô Thị Ba", "1963")
    sent = run(desk, "--server", f"127.0.0.1:{port}", queue, "send")
    elsewhere.stop(None).wait()
    assert sent.returncode == AWAY
    # gRPC says something of its own before.
    assert sent.stderr.splitlines()[-1] == "the service does not answer (UNIMPLEMENTED); 1 stay queued"
    assert run(desk, queue, "show").stdout == "1 queued\n"


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of many rows, each of somebody else."""
    path = tmp_path_factory.mktemp("nightly") / "patients.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for number in range(ROWS):
            writer.writerow({"record_id": f"N{number}", "full_name": f"Người {number}", "phone": f"0903{number:06}"})
    return path


def test_a_nightly_file_goes_on_after_either_end_was_killed(
    examples: Path, running: EphemeralServer, nightly: Path
) -> None:
    program = examples / "nightly_file.py"
    arguments = (nightly, "--server", running.address)
    with started(program, *arguments):
        wait_for(running, "N300")
    with started(program, *arguments) as process:
        wait_for(running, "N900")
        running.kill()
        running.start()
        assert process.wait(100) == 0
        assert process.stdout is not None
        summary = json.loads(process.stdout.read())
    assert summary["durable_before"] >= 301
    assert summary["durable_before"] + sum(summary["outcomes"].values()) == ROWS
    with running.client() as client:
        found = client.batch_lookup("hospital", EntityKind.CITIZEN, [f"N{number}" for number in range(ROWS)])
        assert all(found.golden_ids)
    again = run(program, *arguments)
    assert again.returncode == 0
    assert json.loads(again.stdout)["outcomes"] == {"unchanged": ROWS}


def wait_for(server: EphemeralServer, record_id: str) -> None:
    """Return once a record is stored."""
    with server.client() as client:
        until_s = time.monotonic() + 60
        while not client.lookup("hospital", EntityKind.CITIZEN, record_id).golden_id:
            assert time.monotonic() < until_s
            time.sleep(0.005)


def test_a_nightly_file_says_what_was_refused_and_when_the_service_stays_away(
    examples: Path, running: EphemeralServer, tmp_path: Path
) -> None:
    path = tmp_path / "patients.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows([{"record_id": "X1", "full_name": "Một"}, {"record_id": "x" * 200, "full_name": "Hai"}])
    program = examples / "nightly_file.py"
    refused = run(program, path, "--server", running.address)
    assert refused.returncode == 3
    assert refused.stderr.startswith("row 2 refused: ")
    away = run(program, path, "--server", "127.0.0.1:1", "--give-up-s", "1")
    assert away.returncode == AWAY
    path.write_text("record_id,full_name\nX3,Ba\n", encoding="utf-8")
    for given, said in ((path, "has no column birth_date, sex"), (tmp_path / "none.csv", "No such file or directory")):
        unusable = run(program, given)
        assert (unusable.returncode, said in unusable.stderr, unusable.stderr.count("\n")) == (1, True, 1)


def test_a_local_copy_outlives_its_service_itself_and_a_new_journal(examples: Path, tmp_path: Path) -> None:
    program, copy = examples / "local_crosswalk.py", tmp_path / "copy.sqlite"
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        server = EphemeralServer(Path(first))
        server.start()
        arguments = (copy, "--server", server.address, "follow")
        try:
            golden_ids = server.put([SourceRecord(key("L1"), CitizenAttributes(full_name="Một Mình"))])
            with started(program, *arguments) as process:
                read_until(process, re.compile("^1 rows, current"))
                server.kill()
                server.start()
                server.put([SourceRecord(key("L2"), CitizenAttributes(full_name="Hai Mình"))])
                read_until(process, re.compile("^2 rows"))
            assert run(program, copy, "lookup", "hospital", "citizen", "L1").stdout.strip() == golden_ids[key("L1")]
            server.put([SourceRecord(key("L3"), CitizenAttributes(full_name="Ba Mình"))])
            with started(program, *arguments) as process:
                read_until(process, re.compile("^3 rows"))
            server.kill()
            # Another journal at the same address, as after a restore: the copy's token is of no use there.
            restored = EphemeralServer(Path(second))
            restored.address = server.address
            restored.start()
            try:
                restored.put([SourceRecord(key("L9"), CitizenAttributes(full_name="Chín Mình"))])
                with started(program, *arguments) as process:
                    read_until(process, re.compile("^1 rows, current"))
            finally:
                restored.stop()
            assert run(program, copy, "lookup", "hospital", "citizen", "L9").returncode == 0
            unknown = run(program, copy, "lookup", "hospital", "citizen", "L1")
            assert (unknown.returncode, unknown.stdout) == (1, "unknown\n")
        finally:
            server.stop()


def test_the_examples_need_nothing_but_the_client(examples: Path) -> None:
    for program in sorted(examples.glob("*.py")):
        source = program.read_text(encoding="utf-8")
        modules = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
        assert modules <= {*sys.stdlib_module_names, "mdm_client"}, program.name
