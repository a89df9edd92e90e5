"""Starting, refusing to start, and ending."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import grpc
import pytest

from mdm.server.options import ServeOptions
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, key
from tests.serving import RunningServer, running_server, start_server


def refusal(options: ServeOptions, log_path: Path) -> str:
    """Return the last line of a service that refuses to start."""
    process = start_server(options, log_path)
    assert process.wait(30) == 1
    return log_path.read_text(encoding="utf-8").splitlines()[-1]


def test_a_port_in_use_is_refused_and_names_the_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refusal(
            ServeOptions(data=tmp_path / "data", listen=f"127.0.0.1:{port}", metrics="off"), tmp_path / "log"
        )
    assert line == (
        f"mdm serve: --listen: 127.0.0.1:{port} cannot be used: Address already in use; name another HOST:PORT"
    )


def test_two_services_never_share_a_port(server: RunningServer, tmp_path: Path) -> None:
    line = refusal(ServeOptions(data=tmp_path / "data", listen=server.address, metrics="off"), tmp_path / "log")
    assert "Address already in use" in line


def test_a_data_directory_in_use_is_refused(server: RunningServer, tmp_path: Path) -> None:
    line = refusal(ServeOptions(data=server.data, listen="127.0.0.1:0", metrics="off"), tmp_path / "log")
    assert "is in use by another server" in line


def test_a_data_directory_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "VERSION").write_text("hcm-mdm data 99\n", encoding="utf-8")
    line = refusal(ServeOptions(data=tmp_path / "data", listen="127.0.0.1:0", metrics="off"), tmp_path / "log")
    assert "another version" in line


def test_a_directory_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1", encoding="utf-8")
    line = refusal(ServeOptions(data=tmp_path, listen="127.0.0.1:0", metrics="off"), tmp_path.with_suffix(".log"))
    assert "not a data directory of this service" in line
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_journal_that_is_none_ends_the_service_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as served:
        assert served.stop() == 0
    (data / "journal.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 100)
    last = refusal(ServeOptions(data=data, listen="127.0.0.1:0", metrics="off"), tmp_path / "log")
    assert last == "mdm serve: writer cannot be kept running; its log lines above say why"
    assert "start_failed" in (tmp_path / "log").read_text(encoding="utf-8")
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_registries_file_that_breaks_its_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registries.toml").write_text("[registries.hospital]\ncolour = 1\n", encoding="utf-8")
    options = ServeOptions(
        data=tmp_path / "data", listen="127.0.0.1:0", metrics="off", registries=tmp_path / "registries.toml"
    )
    assert "registries.hospital" in refusal(options, tmp_path / "log")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("0.0.0.0:0", "--insecure"),
        ("[::]:0", "--insecure"),
        ("127.0.0.1", "must be HOST:PORT"),
        ("127.0.0.1:70000", "must be HOST:PORT"),
    ],
)
def test_a_listener_that_cannot_be_meant_is_refused(listen: str, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(ServeOptions(data=tmp_path / "data", listen=listen, metrics="off"), tmp_path / "log")


def test_a_metrics_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refusal(ServeOptions(data=tmp_path / "data", listen="127.0.0.1:0", metrics=metrics), tmp_path / "log")
    assert line.startswith(f"mdm serve: --metrics: {metrics} cannot be used")


def test_metrics_count_calls_of_all_processes(server: RunningServer, channel: grpc.Channel) -> None:
    LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("NONE")), timeout=5)
    wanted = ('mdm_calls_total{code="OK",method="LookupService/Lookup"}', "mdm_applied_seq")
    figures, until_s = "", time.monotonic() + 20
    # Each process publishes its figures once a second.
    while not all(each in figures for each in wanted) and time.monotonic() < until_s:
        time.sleep(0.1)
        with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=5) as answer:
            figures = answer.read().decode()
    assert all(each in figures for each in wanted)


def test_what_was_stored_is_there_after_a_clean_end(tmp_path: Path) -> None:
    request = registry.UpsertRecordRequest(record=citizen("KEPT"))
    with running_server(tmp_path / "data") as served:
        with served.channel() as channel:
            before = RegistryServiceStub(channel).UpsertRecord(request, timeout=5).golden_id
        assert served.stop() == 0
        assert "writer_closed" in served.log()
    with running_server(tmp_path / "data") as served, served.channel() as channel:
        after = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("KEPT")), timeout=5).golden_id
    assert after == before


def test_a_call_under_way_is_answered_before_the_service_ends(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", grace_s=10) as served, served.channel() as channel:
        stub = RegistryServiceStub(channel)
        stub.UpsertRecord(registry.UpsertRecordRequest(record=citizen("FIRST")), timeout=5)
        calls = [
            stub.UpsertRecord.future(registry.UpsertRecordRequest(record=citizen(f"DRAIN-{n}")), timeout=10)
            for n in range(20)
        ]
        # The calls are on the wire once one of them is answered.
        calls[0].result()
        served.process.send_signal(signal.SIGTERM)
        codes = {call.code() for call in calls}
        assert served.stop() == 0
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert grpc.StatusCode.OK in codes


def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", workers=2) as served:
        children = served.child_pids("writer_process") + served.child_pids("reader_process")
        assert len(children) == 3
        served.process.kill()
        served.process.wait()
        until_s = time.monotonic() + 10
        while any(_is_alive(pid) for pid in children) and time.monotonic() < until_s:
            time.sleep(0.02)
        assert not any(_is_alive(pid) for pid in children)
    with running_server(tmp_path / "data") as again:
        assert again.stop() == 0


def test_the_private_socket_and_the_directory_are_the_owners_alone(server: RunningServer) -> None:
    assert server.data.stat().st_mode & 0o077 == 0
    assert (server.data / "run" / "writer.sock").stat().st_mode & 0o077 == 0


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and os.getpid() != pid
