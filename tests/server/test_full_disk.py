"""A full disk is refused or named, and costs nothing that was acknowledged."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from mdm.errors import JournalFailedError, StorageNearlyFullError, StoreError, WriterUnavailableError
from mdm.limits import (
    FREE_DISK_BYTES_MIN,
    INDEX_MAP_SHARE_MAX,
    WRITE_FREE_DISK_BYTES_AGAIN,
    WRITE_FREE_DISK_BYTES_MIN,
)
from mdm.resolve.projection import rebuild, verify
from mdm.server import disk_space
from mdm.server.options import ServeOptions
from mdm.server.writer_link import WriterLink
from mdm.v1 import admin_service_pb2 as admin
from mdm.v1 import erasure_service_pb2 as erasure
from mdm.v1 import export_service_pb2 as export
from mdm.v1.erasure_service_pb2_grpc import ErasureServiceStub
from mdm.v1.export_service_pb2_grpc import ExportServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.resolve.cities import city_records
from tests.resolve.office import Office
from tests.server.claims import claimed, count_of, group
from tests.server.records import details_of, header, info_of, key, trailing_of
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
from tests.serving import running_server, start_server

DISK_BYTES = WRITE_FREE_DISK_BYTES_AGAIN + 64 * 1024 * 1024


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
def test_writes_are_refused_before_a_disk_is_full_and_come_back_with_the_space(data: Path) -> None:
    with running_server(data) as served, served.channel() as channel:
        golden_id = write(channel, "BEFORE")
        filler = _fill(data, WRITE_FREE_DISK_BYTES_MIN - (1 << 20))
        error = wait_for(lambda: refused(channel, "DURING"))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert info_of(error).reason == "STORAGE_NEARLY_FULL"
        assert trailing_of(error)["grpc-retry-pushback-ms"] == "30000"
        assert details_of(error).startswith("the service's disk is nearly full: 126 MiB are free, writes need 128 MiB")
        with pytest.raises(grpc.RpcError) as caught:
            list(RegistryServiceStub(channel).IngestRecords(iter([header("load-1")]), timeout=5))
        assert info_of(caught.value).reason == "STORAGE_NEARLY_FULL", "a load waits; none of its rows is rejected"
        wait_for(lambda: health_of(channel, WRITE_SERVICES) == {NOT_SERVING})
        assert health_of(channel, READ_SERVICES) == {SERVING}
        assert read(channel, "BEFORE") == golden_id
        found = status(channel)
        assert found.mode == admin.SERVICE_MODE_READ_ONLY
        assert "nearly full" in found.mode_reason
        os.truncate(filler, filler.stat().st_size - (2 << 20))
        time.sleep(0.5)
        assert refused(channel, "DURING") is not None, "a little more space would be gone at once"
        filler.unlink()
        wait_for(lambda: refused(channel, "DURING") is None)
        wait_for(lambda: health_of(channel, WRITE_SERVICES) == {SERVING})
        assert [len(served.logged(event)) for event in ("writes_refused", "writes_taken", "store_failed")] == [1, 1, 0]
        assert served.stop() == 0
    assert verify(data).is_equal


@pytest.mark.crash
def test_what_a_load_sent_behind_a_message_that_found_no_room_is_not_executed(data: Path) -> None:
    with running_server(data) as served, closing(WriterLink(served.data)) as link:
        claim, _ = claimed(link, "no-room")
        assert count_of(link.send(group("no-room", 1), claim)) == 4
        filler = _fill(data, WRITE_FREE_DISK_BYTES_MIN - (1 << 20))
        wait_for(lambda: served.logged("writes_refused"))
        with pytest.raises(StorageNearlyFullError):
            count_of(link.send(group("no-room", 5), claim))
        filler.unlink()
        wait_for(lambda: served.logged("writes_taken"))
        with pytest.raises(WriterUnavailableError, match="resume"):
            count_of(link.send(group("no-room", 9), claim))
        claim, ordinal = claimed(link, "no-room")
        assert ordinal == 4, "what found no room is sent again"
        assert count_of(link.send(group("no-room", 5), claim)) == 4


@pytest.mark.crash
def test_what_would_take_the_last_room_waits_or_is_refused_and_leaves_nothing(data: Path) -> None:
    with running_server(data) as served, served.channel() as channel:
        write(channel, "ERASED")
        filler = _fill(data, WRITE_FREE_DISK_BYTES_AGAIN - (1 << 20))
        generations = {path.name for path in (data / "index").iterdir()}
        with pytest.raises(grpc.RpcError) as caught:
            list(ExportServiceStub(channel).ExportCrosswalk(export.ExportCrosswalkRequest(), timeout=5))
        assert info_of(caught.value).reason == "STORAGE_NEARLY_FULL"
        assert not list(data.glob("export-*"))
        erasing = erasure.EraseSubjectRequest(key=key("ERASED"), reason="request 1")
        ErasureServiceStub(channel).EraseSubject(erasing, timeout=5)
        wait_for(lambda: served.logged("erasures_wait"))
        assert {path.name for path in (data / "index").iterdir()} == generations
        write(channel, "BESIDE")
        filler.unlink()
        wait_for(lambda: served.logged("erasures_finished"))
        # A reader follows the index that was written anew within a second.
        wait_for(lambda: list(ExportServiceStub(channel).ExportCrosswalk(export.ExportCrosswalkRequest(), timeout=5)))
        assert served.stop() == 0
    assert verify(data).is_equal


@pytest.mark.crash
def test_a_writer_that_cannot_start_for_want_of_space_leaves_reads_and_starts_with_the_space(data: Path) -> None:
    with running_server(data) as served, served.channel() as channel:
        golden_id = write(channel, "BEFORE")
        filler = _fill(data, 1 << 20)
        served.kill("writer_process")
        wait_for(lambda: served.logged("reads_only"))
        assert read(channel, "BEFORE") == golden_id
        found = wait_for(lambda: status(channel))
        assert found.mode == admin.SERVICE_MODE_READ_ONLY
        assert found.mode_reason == disk_space.advice_running(data)
        wait_for(lambda: reason_of(channel, "DURING") == "READ_ONLY")
        time.sleep(1.0)
        assert len(served.logged("start_failed")) == 1, "it is not started again before there is space"
        filler.unlink()
        wait_for(lambda: refused(channel, "DURING") is None)
        assert served.stop() == 0
    assert verify(data).is_equal


def test_an_index_for_which_there_is_no_room_is_said_to_have_none_and_leaves_the_old_one(data: Path) -> None:
    office = Office(data)
    office.put_all(city_records(60, 5))
    office.close()
    generations = {path.name for path in (data / "index").iterdir()}
    filler = _fill(data, 96 * 1024)
    with pytest.raises(StoreError, match="no room for a new index") as caught:
        rebuild(data)
    assert {path.name for path in (data / "index").iterdir()} == generations
    filler.unlink()
    assert disk_space.is_cause_of(caught.value, data), "it is known for what it was though there is room again"
    rebuild(data)


def test_a_service_does_not_start_on_a_disk_that_is_full(data: Path) -> None:
    log_path = data.with_name("log")
    _fill(data, FREE_DISK_BYTES_MIN - 4096)
    process = start_server(ServeOptions(data=data, listen="127.0.0.1:0", metrics="off"), log_path)
    assert process.wait(30) == 1
    assert _last_line(log_path) == f"mdm serve: {disk_space.advice(data)} (63 MiB are free, 64 MiB are needed)"
    assert [path.name for path in data.iterdir()] == ["filler"]


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


def test_an_index_that_nearly_fills_its_map_refuses_writes(tmp_path: Path) -> None:
    assert disk_space.WriteGuard(tmp_path, lambda: INDEX_MAP_SHARE_MAX).refusal() == ""
    refusal = disk_space.WriteGuard(tmp_path, lambda: INDEX_MAP_SHARE_MAX + 0.01).refusal()
    assert refusal == "the service's index is nearly full: 96% of the most that it can hold is in use"
