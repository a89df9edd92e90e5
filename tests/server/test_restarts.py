"""Killed processes come back, and nothing that was acknowledged is lost."""

from __future__ import annotations

import queue
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mdm.resolve.projection import verify
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, end, header, info_of, key, operations, trailing_of
from tests.serving import RunningServer, running_server

KILLS = ("writer_process", "reader_process") * 3


class Load:
    """Threads that write until stopped and remember what was acknowledged; every write is retried under its id."""

    def __init__(self, served: RunningServer, threads: int = 3) -> None:
        self.acknowledged: dict[str, str] = {}
        self.codes: set[grpc.StatusCode] = set()
        self._served = served
        self._is_stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_stopping.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _write(self, writer: int) -> None:
        count = 0
        with self._served.channel() as channel:
            stub = RegistryServiceStub(channel)
            while not self._is_stopping.is_set():
                count += 1
                record_id = f"KILL-{writer}-{count}"
                record = citizen(record_id, f"Đỗ Văn {writer} {count}", personal_id=f"07909{writer}{count:06}")
                request = registry.UpsertRecordRequest(record=record, request_id=f"id-{record_id}")
                while not self._is_stopping.is_set():
                    try:
                        answer = stub.UpsertRecord(request, timeout=5)
                    except grpc.RpcError as error:
                        self.codes.add(error.code())
                        time.sleep(0.02)
                    else:
                        self.acknowledged[record_id] = answer.golden_id
                        break


@pytest.mark.crash
def test_six_kills_under_load_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", workers=2) as served:
        load = Load(served)
        for module in KILLS:
            before = len(load.acknowledged)
            time.sleep(0.4)
            killed = served.kill(module)
            _wait_until(lambda pid=killed, name=module: _is_replaced(served, name, pid))
            _wait_until(lambda count=before: len(load.acknowledged) > count)
        load.stop()
        record_ids = list(load.acknowledged)
        with served.channel() as channel:
            request = lookup.BatchLookupRequest(
                registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_ids=record_ids
            )
            answer = LookupServiceStub(channel).BatchLookup(request, timeout=10)
        assert len(record_ids) > len(KILLS)
        assert load.codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        assert dict(zip(record_ids, answer.golden_ids, strict=True)) == load.acknowledged
        assert served.stop() == 0
    assert verify(tmp_path / "data").is_equal


@pytest.mark.crash
def test_lookups_go_on_while_the_writer_is_away(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served, served.channel() as channel:
        stub = RegistryServiceStub(channel)
        stub.UpsertRecord(registry.UpsertRecordRequest(record=citizen("THERE")), timeout=5)
        # A stopped supervisor does not restart it, so the gap lasts as long as the test needs.
        served.process.send_signal(signal.SIGSTOP)
        served.kill("writer_process")
        try:
            answer = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key("THERE")), timeout=5)
            with pytest.raises(grpc.RpcError) as caught:
                stub.UpsertRecord(registry.UpsertRecordRequest(record=citizen("NOT-YET")), timeout=5)
        finally:
            served.process.send_signal(signal.SIGCONT)
        assert answer.status == common.RECORD_STATUS_FOUND
        assert info_of(caught.value).reason == "WRITER_UNAVAILABLE"
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        trailing = trailing_of(caught.value)
        assert int(trailing["grpc-retry-pushback-ms"]) > 0


@pytest.mark.crash
def test_a_disk_that_takes_no_more_ends_the_writer_without_a_false_acknowledgement(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served, served.channel() as channel:
        stub = RegistryServiceStub(channel)
        stub.UpsertRecord(registry.UpsertRecordRequest(record=citizen("BEFORE")), timeout=5)
        (writer,) = served.child_pids("writer_process")
        # As a full disk: every write that would make a file longer fails.
        resource.prlimit(writer, resource.RLIMIT_FSIZE, (4096, 4096))
        request = registry.UpsertRecordRequest(record=citizen("FULL", "Lý Thị Sương"), request_id="full")
        with pytest.raises(grpc.RpcError) as caught:
            stub.UpsertRecord(request, timeout=5)
        assert info_of(caught.value).reason == "WRITER_UNAVAILABLE"
        # The next writer has no such limit, and the repetition is the first time that it is stored.
        _wait_until(lambda: served.child_pids("writer_process") not in ([], [writer]))
        answer = _retried(stub, request)
        assert answer.outcome != common.WRITE_OUTCOME_UNCHANGED
        assert "store_failed" in served.log()
        assert served.stop() == 0
    assert verify(tmp_path / "data").is_equal


def _retried(stub: RegistryServiceStub, request: registry.UpsertRecordRequest) -> registry.UpsertRecordResponse:
    until_s = time.monotonic() + 30
    while True:
        try:
            return stub.UpsertRecord(request, timeout=5)
        except grpc.RpcError:
            assert time.monotonic() < until_s
            time.sleep(0.05)


def _is_replaced(served: RunningServer, module: str, killed: int) -> bool:
    pids = served.child_pids(module)
    return killed not in pids and len(pids) == (1 if module == "writer_process" else 2)


def _wait_until(condition: object, timeout_s: float = 30.0) -> None:
    assert callable(condition)
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


@pytest.mark.crash
def test_a_load_resumes_after_the_writer_was_killed_in_its_midst_without_gap_or_double(tmp_path: Path) -> None:
    rows = {
        ordinal: citizen(f"ROW-{ordinal}", f"Đào Thị {ordinal}", personal_id=f"0791{ordinal:08}")
        for ordinal in range(1, 1501)
    }
    outcomes: dict[int, int] = {}
    attempts = 0
    reasons: set[str] = set()
    with running_server(tmp_path / "data") as served, served.channel() as channel:
        stub = RegistryServiceStub(channel)
        until_s = time.monotonic() + 60.0
        while max(outcomes, default=0) < len(rows):
            attempts += 1
            assert time.monotonic() < until_s
            try:
                _attempt(stub, rows, outcomes, kill=served if attempts == 1 else None)
            except grpc.RpcError as error:
                reasons.add(info_of(error).reason)
                time.sleep(0.1)
        lookups = LookupServiceStub(channel)
        stored = [lookups.Lookup(lookup.LookupRequest(key=row.key), timeout=5) for row in rows.values()]
        assert served.stop() == 0
    assert attempts > 1
    assert reasons == {"WRITER_UNAVAILABLE"}
    assert sorted(outcomes) == list(rows)
    assert common.WRITE_OUTCOME_REJECTED not in outcomes.values()
    assert {found.golden_id != "" for found in stored} == {True}
    assert verify(tmp_path / "data").is_equal


def _attempt(
    stub: RegistryServiceStub,
    rows: dict[int, common.SourceRecord],
    outcomes: dict[int, int],
    kill: RunningServer | None,
) -> None:
    """Send what is not durable yet, within the credit; kill the writer when a third is acknowledged."""
    credit: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    start: queue.SimpleQueue[int] = queue.SimpleQueue()

    def requests() -> Iterator[registry.IngestRecordsRequest]:
        yield header("killed-load")
        ordinal = start.get()
        while ordinal < len(rows):
            granted = credit.get()
            if granted is None:
                return
            for _ in range(min(granted, len(rows) - ordinal)):
                ordinal += 1
                yield operations(registry.IngestOperation(ordinal=ordinal, upsert=rows[ordinal]))
        yield end()

    try:
        for response in stub.IngestRecords(requests(), timeout=60):
            if response.WhichOneof("part") == "accepted":
                start.put(response.accepted.durable_ordinal)
                # Committed, but the writer was killed before it could say so.
                for ordinal in range(1, response.accepted.durable_ordinal + 1):
                    outcomes.setdefault(ordinal, common.WRITE_OUTCOME_UNSPECIFIED)
                credit.put(response.accepted.credit_operation_count)
            for outcome in response.acknowledgements.outcomes:
                outcomes[outcome.ordinal] = outcome.outcome
            if response.WhichOneof("part") == "acknowledgements":
                credit.put(response.acknowledgements.credit_operation_count)
            if kill is not None and len(outcomes) > len(rows) // 3:
                kill.kill("writer_process")
                kill = None
    finally:
        credit.put(None)
