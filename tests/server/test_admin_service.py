"""What the service says of its own state, against what was done to it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from mdm.limits import INDEX_MAP_BYTES, WRITE_FREE_DISK_BYTES_MIN
from mdm.resolve.status import VERSIONS
from mdm.v1 import admin_service_pb2 as admin
from mdm.v1 import common_pb2 as common
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, key
from tests.server.trouble import status, wait_for
from tests.serving import RunningServer, running_server

PEOPLE = (("S1", "Lý Thị Sương", "079187000123"), ("S2", "Đặng Hữu Tài", "079187000456"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("status") / "data", workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def channel(served: RunningServer) -> Iterator[grpc.Channel]:
    with served.channel() as opened:
        yield opened


@pytest.fixture(scope="module")
def last_seq(channel: grpc.Channel) -> int:
    """Two patients, of whom one is deleted, and a resident who waits for a re-linkage."""
    stub = RegistryServiceStub(channel)
    for record_id, name, personal_id in PEOPLE:
        stub.UpsertRecord(
            registry.UpsertRecordRequest(record=citizen(record_id, name, personal_id=personal_id)), timeout=5
        )
    stub.DeleteRecord(registry.DeleteRecordRequest(key=key("S2")), timeout=5)
    waiting = citizen("S3", "Vũ Ngọc Lan", personal_id="079187000789", registry_name="household")
    request = registry.UpsertRecordRequest(record=waiting, resolve=common.RESOLVE_TIME_LATER)
    stub.UpsertRecord(request, timeout=5)
    found = wait_for(lambda: _caught_up(channel))
    return found.journal.seq


def _caught_up(channel: grpc.Channel) -> admin.GetStatusResponse | None:
    found = status(channel)
    return found if found.index.lag_events_count == 0 else None


def test_records_and_golden_ids_are_counted_by_what_they_are(channel: grpc.Channel, last_seq: int) -> None:
    found = status(channel)
    assert found.journal.seq == found.index.applied_seq == last_seq
    assert {(each.registry, each.entity_kind, each.status): each.record_count for each in found.records} == {
        ("hospital", common.ENTITY_KIND_CITIZEN, common.RECORD_STATUS_FOUND): 1,
        ("hospital", common.ENTITY_KIND_CITIZEN, common.RECORD_STATUS_DELETED): 1,
        ("household", common.ENTITY_KIND_CITIZEN, common.RECORD_STATUS_PENDING): 1,
    }
    citizens, businesses = found.golden_ids
    counts = (citizens.issued_count, citizens.active_count, citizens.redirected_count, citizens.retired_count)
    assert counts == (2, 1, 0, 1)
    assert businesses.issued_count == 0
    assert list(found.warnings) == ["1 records are pending until the next mdm relink"]


@pytest.mark.usefixtures("last_seq")
def test_positions_sizes_and_bounds_are_those_of_the_directory(served: RunningServer, channel: grpc.Channel) -> None:
    found = status(channel)
    assert found.mode == admin.SERVICE_MODE_SERVING
    assert found.mode_reason == ""
    journal, index, disk = found.journal, found.index, found.disk
    assert journal.file_bytes == (served.data / "journal.sqlite").stat().st_size
    assert journal.wal_bytes == (served.data / "journal.sqlite-wal").stat().st_size
    assert journal.epoch == 1
    assert 0 < journal.last_event_at.seconds - found.started_at.seconds < 600
    assert index.generation == (served.data / "index" / "CURRENT").read_text(encoding="utf-8").strip()
    assert 0 < index.used_bytes < index.file_bytes < index.map_bytes == INDEX_MAP_BYTES
    assert 0 < disk.write_free_bytes_min == WRITE_FREE_DISK_BYTES_MIN < disk.free_bytes < disk.total_bytes
    for engine in found.engines:
        assert len(engine.model_digest) == len(engine.epoch_digest) == 32
        assert engine.model_since.seconds == engine.epoch_since.seconds > 0
        assert engine.population_count > 0
    assert not found.HasField("last_relink")
    assert not found.HasField("progress")
    assert found.versions.index_layout == VERSIONS.index_layout


@pytest.mark.usefixtures("last_seq")
def test_every_process_is_named_with_its_id_and_memory(served: RunningServer, channel: grpc.Channel) -> None:
    found = status(channel)
    pids = {each.name: each.pid for each in found.processes}
    (writer,) = served.child_pids("writer_process")
    readers = served.child_pids("reader_process")
    assert pids == {
        "supervisor": served.process.pid,
        "writer": writer,
        "reader-0": readers[0],
        "reader-1": readers[1],
    }
    assert all(each.is_serving and each.memory_bytes > 1 << 20 for each in found.processes)
    assert found.writer.is_alive
    assert found.writer.busy.ToMilliseconds() < 5000


def test_no_personal_value_stands_in_the_status(channel: grpc.Channel, last_seq: int) -> None:
    assert last_seq > 0
    text = str(status(channel))
    for record_id, name, personal_id in PEOPLE:
        assert not any(value in text for value in (f'"{record_id}"', name, personal_id))
