"""A full disk is refused or named, and costs nothing that was acknowledged."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mdm.errors import JournalFailedError, StoreError
from mdm.limits import FREE_DISK_BYTES_MIN
from mdm.resolve.projection import verify
from mdm.server import disk_space
from mdm.server.options import ServeOptions
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen
from tests.serving import running_server, start_server

DISK_BYTES = FREE_DISK_BYTES_MIN + 32 * 1024 * 1024
WRITES_MAX = 2000
"""At about 4 KiB of journal each, more than the pages that the files own already."""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory that is a small disk of its own; the logs lie beside it."""
    path = tmp_path / "data"
    path.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounting.returncode != 0:
        pytest.skip("only root can mount a small disk, and not in every container")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _fill(data: Path, leaving_bytes: int = 0) -> Path:
    filler = data / "filler"
    free = os.statvfs(data)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leaving_bytes)
    return filler


def _last_line(log_path: Path) -> str:
    return log_path.read_text(encoding="utf-8").splitlines()[-1]


@pytest.mark.crash
def test_a_disk_that_fills_ends_the_service_by_name_and_loses_nothing_acknowledged(data: Path) -> None:
    acknowledged: dict[str, str] = {}
    with running_server(data) as served, served.channel() as channel:
        stub = RegistryServiceStub(channel)
        filler = None
        try:
            for count in range(WRITES_MAX):
                record = citizen(f"ROW-{count}", f"Lý Thị {count}", personal_id=f"0791{count:08}")
                request = registry.UpsertRecordRequest(record=record)
                acknowledged[f"ROW-{count}"] = stub.UpsertRecord(request, timeout=5).golden_id
                filler = filler or _fill(data)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE  # noqa: PT017 – the loop ends by it
        assert served.process.wait(30) == 1
        log = served.log()
    assert _last_line(served.log_path) == f"mdm serve: {disk_space.advice(data)}"
    assert '"cause": "disk full"' in log
    assert "store_failed" in log
    assert log.count('"child": "writer", "pid"') == 2, "started once, ended once"
    assert filler is not None
    filler.unlink()
    with running_server(data) as served:
        with served.channel() as channel:
            wanted = lookup.BatchLookupRequest(
                registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_ids=list(acknowledged)
            )
            answer = LookupServiceStub(channel).BatchLookup(wanted, timeout=10)
        assert served.stop() == 0
    assert dict(zip(acknowledged, answer.golden_ids, strict=True)) == acknowledged
    assert verify(data).is_equal


def test_a_service_does_not_start_on_a_disk_that_is_full(data: Path) -> None:
    log_path = data.with_name("log")
    _fill(data, FREE_DISK_BYTES_MIN - 4096)
    process = start_server(ServeOptions(data=data, listen="127.0.0.1:0", metrics="off"), log_path)
    assert process.wait(30) == 1
    assert _last_line(log_path) == f"mdm serve: {disk_space.advice(data)} (63 MiB are free, 64 MiB are needed)"
    assert [path.name for path in data.iterdir()] == ["filler"]


def test_a_writer_started_again_on_a_full_disk_is_not_started_a_third_time(data: Path) -> None:
    with running_server(data) as served:
        _fill(data, 1 << 20)
        served.kill("writer_process")
        assert served.process.wait(30) == 1
    assert _last_line(served.log_path) == f"mdm serve: {disk_space.advice(data)}"
    assert served.log().count("start_failed") == 1


def test_room_for_a_start_is_asked_of_the_disk_that_the_directory_will_lie_on(tmp_path: Path) -> None:
    disk_space.require(tmp_path / "not" / "yet")
    assert not disk_space.is_short(tmp_path)
    assert disk_space.free_bytes(tmp_path / "not" / "yet") > FREE_DISK_BYTES_MIN


class FullError(Exception):
    """Named as SQLite's."""


CAUSES = [
    (FullError("Nguyễn"), True, "StoreError < FullError"),
    (OSError(errno.ENOSPC, "Nguyễn"), True, "StoreError < OSError ENOSPC"),
    (OSError(errno.EDQUOT, "Nguyễn"), True, "StoreError < OSError EDQUOT"),
    (OSError(errno.EIO, "Nguyễn"), False, "StoreError < OSError EIO"),
    (JournalFailedError("Nguyễn"), False, "StoreError < JournalFailedError"),
]


@pytest.mark.parametrize(("cause", "is_full", "text"), CAUSES, ids=[case[2] for case in CAUSES])
def test_the_cause_of_a_failed_store_is_named_without_a_value(
    cause: Exception,
    is_full: bool,  # noqa: FBT001
    text: str,
    tmp_path: Path,
) -> None:
    error = StoreError("Nguyễn")
    error.__cause__ = cause
    assert disk_space.is_cause_of(error, tmp_path) is is_full
    assert disk_space.cause_of(error) == text
