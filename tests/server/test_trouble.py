"""A service in trouble answers what it can, says what it cannot, and comes back by itself.

Nothing is feigned: processes are stopped and killed by signals, files are cut and changed, writes fail because the
kernel lets no file grow.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mdm.limits import SLOW_CALL_S
from mdm.resolve.projection import verify
from mdm.store.index import DATA_FILE
from mdm.v1 import admin_service_pb2 as admin
from mdm_client import AsyncClient, ServingStatus
from tests.server.records import info_of, trailing_of
from tests.server.trouble import (
    NOT_SERVING,
    READ_SERVICES,
    SERVING,
    WRITE_SERVICES,
    health_of,
    read,
    reason_of,
    refused,
    status,
    wait_for,
    write,
)
from tests.serving import RunningServer, running_server

pytestmark = pytest.mark.crash

SILENT_S = 4.0
RETRY_S = 1.0
WRITES_MAX = 2000
FILE_BYTES_MAX = 3 << 19
"""Above what the figures of a process map, below what some hundred writes make of the journal's log."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("trouble") / "data"
    with running_server(data, silent_s_max=SILENT_S, retry_s=RETRY_S, metrics="127.0.0.1:0") as running:
        yield running
        assert running.stop() == 0
    assert verify(data).is_equal


@pytest.fixture
def channel(served: RunningServer) -> Iterator[grpc.Channel]:
    with served.channel() as opened:
        wait_for(lambda: status(opened).mode == admin.SERVICE_MODE_SERVING)
        yield opened


def test_while_the_writer_hangs_reads_go_on_health_says_so_and_it_is_replaced(
    served: RunningServer, channel: grpc.Channel
) -> None:
    golden_id = write(channel, "HUNG-1")
    (writer,) = served.child_pids("writer_process")
    os.kill(writer, signal.SIGSTOP)
    wait_for(lambda: health_of(channel, WRITE_SERVICES) == {NOT_SERVING})
    assert health_of(channel, READ_SERVICES) == {SERVING}
    assert read(channel, "HUNG-1") == golden_id
    assert status(channel).mode == admin.SERVICE_MODE_READ_ONLY
    assert status(channel).mode_reason == "the writer does not answer"
    wait_for(lambda: served.child_pids("writer_process") not in ([], [writer]))
    wait_for(lambda: health_of(channel, WRITE_SERVICES) == {SERVING})
    write(channel, "HUNG-2")
    hung = served.logged("child_hung")[-1]
    assert (hung["child"], hung["pid"]) == ("writer", writer)


def test_a_writer_that_is_gone_refuses_writes_with_a_time_to_retry(
    served: RunningServer, channel: grpc.Channel
) -> None:
    write(channel, "GONE-1")
    # A stopped supervisor restarts nobody, so the gap lasts as long as the test needs.
    served.process.send_signal(signal.SIGSTOP)
    try:
        served.kill("writer_process")
        wait_for(lambda: health_of(channel, WRITE_SERVICES) == {NOT_SERVING})
        assert health_of(channel, READ_SERVICES) == {SERVING}
        read(channel, "GONE-1")
        error = refused(channel, "GONE-2")
    finally:
        served.process.send_signal(signal.SIGCONT)
    assert error is not None
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert info_of(error).reason == "WRITER_UNAVAILABLE"
    assert trailing_of(error)["grpc-retry-pushback-ms"] == "500"
    wait_for(lambda: health_of(channel, WRITE_SERVICES) == {SERVING})
    write(channel, "GONE-2")


def test_a_call_that_took_long_is_logged_with_its_stages(served: RunningServer, channel: grpc.Channel) -> None:
    (writer,) = served.child_pids("writer_process")
    waking = threading.Timer(SLOW_CALL_S + 0.2, os.kill, (writer, signal.SIGCONT))
    os.kill(writer, signal.SIGSTOP)
    waking.start()
    write(channel, "SLOW-1")
    # A status is slow, too, while the writer does not answer.
    slow = wait_for(lambda: [each for each in served.logged("slow_call") if "Upsert" in str(each["method"])])[-1]
    assert (slow["method"], slow["code"]) == ("RegistryService/UpsertRecord", "OK")
    assert isinstance(slow["stages"], dict)
    assert slow["stages"]["write"] > 1
    assert {"queue", "normalise", "candidates", "score"} <= slow["stages"].keys()


def test_a_hung_reader_is_replaced(served: RunningServer, channel: grpc.Channel) -> None:
    write(channel, "READER-1")
    (reader,) = served.child_pids("reader_process")
    os.kill(reader, signal.SIGSTOP)
    wait_for(lambda: served.child_pids("reader_process") not in ([], [reader]))
    wait_for(lambda: read(channel, "READER-1"))
    hung = served.logged("child_hung")[-1]
    assert (hung["child"], hung["pid"]) == ("reader-0", reader)
    (process,) = (each for each in status(channel).processes if each.name == "reader-0")
    assert process.restart_count > 0


def test_a_supervisor_that_did_not_run_itself_holds_nobodys_silence_against_them(
    served: RunningServer, channel: grpc.Channel
) -> None:
    pids = served.child_pids("writer_process") + served.child_pids("reader_process")
    processes = [served.process.pid, *pids]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(AssertionError):
            wait_for(lambda: False, SILENT_S + 2)
    finally:
        for pid in reversed(processes):
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: read(channel, "READER-1"))
    assert served.child_pids("writer_process") + served.child_pids("reader_process") == pids


def test_a_journal_that_takes_no_write_leaves_a_service_that_reads_and_says_so(
    served: RunningServer, channel: grpc.Channel
) -> None:
    acknowledged = {"JOURNAL-0": write(channel, "JOURNAL-0")}
    # No file of the writer grows beyond this, so that the journal's log cannot; for the supervisor and what it starts
    # from now on the bound is lower, so that no smaller write finds room either.
    (writer,) = served.child_pids("writer_process")
    unlimited = resource.prlimit(writer, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    started_with = (FILE_BYTES_MAX - (1 << 18), unlimited[1])
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, started_with)
    error = None
    for count in range(1, WRITES_MAX):
        record_id = f"JOURNAL-{count}"
        error = refused(channel, record_id)
        if error is not None:
            break
        acknowledged[record_id] = read(channel, record_id)
    assert error is not None
    assert info_of(error).reason == "WRITER_UNAVAILABLE"
    wait_for(lambda: served.logged("reads_only"), 90)
    found = wait_for(lambda: status(channel))
    assert found.mode == admin.SERVICE_MODE_READ_ONLY
    assert "IOError" in found.mode_reason
    assert {name: read(channel, name) for name in acknowledged} == acknowledged
    wait_for(lambda: health_of(channel, WRITE_SERVICES) == {NOT_SERVING})
    assert health_of(channel, READ_SERVICES) == {SERVING}
    wait_for(lambda: reason_of(channel, "JOURNAL-LATER") == "READ_ONLY")
    refusal = refused(channel, "JOURNAL-LATER")
    assert refusal is not None
    assert refusal.code() == grpc.StatusCode.UNAVAILABLE
    assert trailing_of(refusal)["grpc-retry-pushback-ms"] == "30000"
    started = len(served.logged("child_started"))
    wait_for(lambda: len(served.logged("reads_only")) >= 3, 60)
    tries = [line["next_try_s"] for line in served.logged("reads_only")]
    assert tries[:3] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S], "each failure doubles the time to the next try"
    assert len(served.logged("child_started")) - started <= 3, "it does not flap"
    assert {name: read(channel, name) for name in acknowledged} == acknowledged
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, unlimited)
    wait_for(lambda: refused(channel, "JOURNAL-AGAIN") is None, 60)
    wait_for(lambda: status(channel).mode == admin.SERVICE_MODE_SERVING)
    wait_for(lambda: served.logged("writes_served_again"))
    given_up = len(served.logged("reads_only"))
    served.kill("writer_process")
    wait_for(lambda: refused(channel, "JOURNAL-KILLED") is None)
    assert len(served.logged("reads_only")) == given_up, "a kill is no failure of a writer on trial"


def test_a_reader_that_meets_a_damaged_index_has_it_built_anew(served: RunningServer, channel: grpc.Channel) -> None:
    golden_id = write(channel, "DAMAGE-1")
    file = _index_file(served.data)
    _damage_pages(file)
    # The page of this key was read before; others were not.
    wait_for(lambda: refused(channel, "DAMAGE-2") or served.logged("index_lost"), 30)
    wait_for(lambda: served.logged("index_lost"), 30)
    wait_for(lambda: read(channel, "DAMAGE-1") == golden_id, 60)
    assert _index_file(served.data) != file
    write(channel, "DAMAGE-3")


def test_an_index_that_is_cut_off_under_its_readers_is_built_anew(served: RunningServer, channel: grpc.Channel) -> None:
    golden_id = write(channel, "CUT-1")
    file = _index_file(served.data)
    os.truncate(file, 2 * 4096)
    lost = len(served.logged("index_lost"))
    wait_for(lambda: read(channel, "CUT-1") and len(served.logged("index_lost")) > lost, 60)
    wait_for(lambda: read(channel, "CUT-1") == golden_id, 60)
    assert _index_file(served.data) != file


def test_while_the_index_is_built_health_says_so_and_the_status_how_far_it_is(
    served: RunningServer, channel: grpc.Channel
) -> None:
    golden_id = write(channel, "BUILD-1")
    for number in range(2, 200):
        write(channel, f"BUILD-{number}")
    (reader,) = served.child_pids("reader_process")
    shutil.rmtree(served.data / "index" / _index_file(served.data).parent.name)
    # A reader that is started again finds no index.
    os.kill(reader, signal.SIGKILL)
    wait_for(lambda: served.child_pids("writer_process") and served.logged("index_lost"), 60)
    # The new writer builds for as long as it is stopped.
    writer = _stopped_while_it_builds(served)
    try:
        found = wait_for(lambda: status(channel), 60)
        assert found.mode == admin.SERVICE_MODE_STARTING
        assert {each.name: each.is_serving for each in found.processes} == {
            "supervisor": True,
            "writer": False,
            "reader-0": False,
        }
        assert health_of(channel, (*READ_SERVICES, *WRITE_SERVICES)) == {NOT_SERVING}
        assert reason_of(channel, "BUILD-0") == "UNAVAILABLE"
        _check_commands_say_so(served.address)
    finally:
        os.kill(writer, signal.SIGCONT)
    wait_for(lambda: read(channel, "BUILD-1") == golden_id, 60)
    wait_for(lambda: health_of(channel, (*READ_SERVICES, *WRITE_SERVICES)) == {SERVING})


def _check_commands_say_so(address: str) -> None:
    said = {}
    for command in (["health"], ["status"], ["lookup", "hospital", "citizen", "BUILD-1"]):
        line = [sys.executable, "-m", "mdm", *command, "--server", address]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        said[command[0]] = done.stdout + done.stderr
    assert said["health"] == "status  NOT_SERVING\n"
    assert said["status"].startswith("service    starting")
    assert said["lookup"].endswith(f"this says how far it is: mdm status --server {address}\n")
    asked = asyncio.run(_health_as_asyncio(address))
    assert asked is ServingStatus.NOT_SERVING


async def _health_as_asyncio(address: str) -> ServingStatus:
    async with AsyncClient(address, heeds_health=False) as client:
        return await client.health.check()


def _stopped_while_it_builds(served: RunningServer) -> int:
    """Stop a writer that has begun to build the index and return its process id."""
    progress, until_s = served.data / "run" / "progress.json", time.monotonic() + 60
    # Two hundred records are built within a tenth of a second.
    while not progress.exists():
        assert time.monotonic() < until_s, "nothing was built"
        time.sleep(0.0005)
    (writer,) = served.child_pids("writer_process")
    os.kill(writer, signal.SIGSTOP)
    return writer


def _index_file(data: Path) -> Path:
    return data / "index" / (data / "index" / "CURRENT").read_text(encoding="utf-8").strip() / DATA_FILE


def _damage_pages(file: Path) -> None:
    """Overwrite every page but the two that say where the newest state begins."""
    size = file.stat().st_size
    with file.open("r+b") as pages:
        for offset in range(2 * 4096, size, 4096):
            pages.seek(offset)
            pages.write(b"\xff" * 4096)
