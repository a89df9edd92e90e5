"""AdminService: how the service stands, put together from the index, the writer, the supervisor and the disk."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from mdm.limits import INDEX_MAP_SHARE_MAX, WRITE_FREE_DISK_BYTES_AGAIN, WRITE_FREE_DISK_BYTES_MIN
from mdm.resolve.reader import Reader
from mdm.resolve.status import VERSIONS, StoreStatus
from mdm.server import disk_space, service_state
from mdm.server.availability import why_not_written
from mdm.server.frames import WriterState
from mdm.server.service_state import Mode, ServiceState, memory_bytes
from mdm.server.wire_answers import timestamp
from mdm.server.wire_loads import load_status
from mdm.server.wire_records import kind_number
from mdm.server.writer_link import WriterLink
from mdm.v1 import admin_service_pb2 as wire
from mdm.v1 import common_pb2 as common
from mdm.v1.admin_service_pb2_grpc import AdminServiceServicer

_WRITER_ANSWER_S_MAX = 1.0
_LAG_WARNED_US = 5_000_000
_RECORD_STATUSES = {
    "live": common.RECORD_STATUS_FOUND,
    "pending": common.RECORD_STATUS_PENDING,
    "deleted": common.RECORD_STATUS_DELETED,
}


class AdminService(AdminServiceServicer):
    """Tells how the service stands."""

    def __init__(self, data: Path, reader: Reader | None, link: WriterLink) -> None:
        """Look at the state through a reader; without one, as while the index is being built, at the rest."""
        self._data = data
        self._reader = reader
        self._link = link

    def GetStatus(self, request: wire.GetStatusRequest, context: grpc.ServicerContext) -> wire.GetStatusResponse:
        """Return the state of the service."""
        del request, context
        service = service_state.read_state(self._data)
        writer = self._link.state(_WRITER_ANSWER_S_MAX)
        response = wire.GetStatusResponse(
            disk=wire.DiskStatus(
                free_bytes=disk_space.free_bytes(self._data),
                total_bytes=disk_space.total_bytes(self._data),
                write_free_bytes_min=WRITE_FREE_DISK_BYTES_MIN,
            ),
            writer=_writer(writer),
            versions=wire.Versions(
                release=version("hcm-mdm"),
                normaliser=VERSIONS.normaliser,
                specification=VERSIONS.specification,
                index_layout=VERSIONS.index_layout,
                journal_layout=VERSIONS.journal_layout,
            ),
        )
        if service is not None:
            response.started_at.CopyFrom(timestamp(service.started_us))
            response.processes.extend(_processes(service))
        if self._reader is not None:
            store = self._reader.status()
            _put_store(response, store)
            response.warnings.extend(_warnings(store, writer, response.disk.free_bytes))
        _put_mode(response, service, writer, is_starting=self._reader is None)
        if response.mode == wire.SERVICE_MODE_STARTING:
            progress = service_state.read_progress(self._data)
            response.progress.SetInParent()
            if progress is not None:
                response.progress.stage = progress.stage
                response.progress.done_count = progress.done_count
                response.progress.total_count = progress.total_count
        return response


def _put_mode(
    response: wire.GetStatusResponse, service: ServiceState | None, writer: WriterState | None, *, is_starting: bool
) -> None:
    reason = why_not_written(writer)
    if is_starting:
        response.mode, response.mode_reason = wire.SERVICE_MODE_STARTING, "the index is being made ready"
    elif not reason:
        response.mode = wire.SERVICE_MODE_SERVING
    else:
        is_given_up = service is not None and service.mode is Mode.READ_ONLY
        response.mode = wire.SERVICE_MODE_READ_ONLY
        response.mode_reason = service.reason if is_given_up and service is not None else reason


def _writer(state: WriterState | None) -> wire.WriterStatus:
    if state is None:
        return wire.WriterStatus()
    status = wire.WriterStatus(
        is_alive=True,
        queue_count=state.queue_count,
        busy=_duration(round(state.busy_s * 1e6)),
        checkpoint_failure=state.checkpoint_failure,
    )
    if state.checkpoint_us:
        status.checkpoint_at.CopyFrom(timestamp(state.checkpoint_us))
    return status


def _processes(service: ServiceState) -> list[wire.ProcessStatus]:
    return [
        wire.ProcessStatus(
            name=each.name,
            pid=each.pid,
            since=timestamp(each.since_us),
            restart_count=each.restart_count,
            memory_bytes=memory_bytes(each.pid) if each.pid else 0,
            is_serving=each.is_serving,
        )
        for each in service.processes
    ]


def _put_store(response: wire.GetStatusResponse, store: StoreStatus) -> None:
    journal, sizes = store.journal, store.sizes
    response.journal.CopyFrom(
        wire.JournalStatus(
            seq=journal.seq,
            token=common.JournalToken(value=journal.token),
            journal_id=journal.journal_id,
            epoch=journal.epoch,
            last_event_at=timestamp(journal.last_event_us) if journal.last_event_us else None,
            file_bytes=journal.file_bytes,
            wal_bytes=journal.wal_bytes,
        )
    )
    response.index.CopyFrom(
        wire.IndexStatus(
            applied_seq=store.applied_seq,
            lag_events_count=store.lag_events_count,
            lag=_duration(store.lag_us),
            file_bytes=sizes.file_bytes,
            used_bytes=sizes.used_bytes,
            map_bytes=sizes.map_bytes,
            generation=store.generation,
        )
    )
    response.records.extend(
        wire.RecordCount(
            registry=each.registry,
            entity_kind=kind_number(each.kind),
            status=_RECORD_STATUSES[each.state],
            record_count=each.count,
        )
        for each in store.records
    )
    response.golden_ids.extend(
        wire.GoldenIdCount(
            entity_kind=kind_number(each.kind),
            issued_count=each.active_count + each.redirected_count + each.retired_count,
            active_count=each.active_count,
            redirected_count=each.redirected_count,
            retired_count=each.retired_count,
        )
        for each in store.goldens
    )
    response.reviews.extend(
        wire.ReviewCount(review_kind=each.kind, queue=each.queue, review_count=each.count) for each in store.reviews
    )
    if store.oldest_review_us:
        response.oldest_review_opened_at.CopyFrom(timestamp(store.oldest_review_us))
    response.judgement_count = store.judgement_count
    response.engines.extend(
        wire.EngineStatus(
            entity_kind=kind_number(each.kind),
            model_digest=each.model_digest,
            model_since=timestamp(each.model_since_us) if each.model_since_us else None,
            epoch_digest=each.epoch_digest,
            epoch_since=timestamp(each.epoch_since_us) if each.epoch_since_us else None,
            population_count=each.population,
        )
        for each in store.engines
    )
    _put_runs(response, store)


def _put_runs(response: wire.GetStatusResponse, store: StoreStatus) -> None:
    run = store.last_relink
    if run is not None:
        response.last_relink.CopyFrom(
            wire.LastRelink(
                run_id=run.run_id,
                phase=run.phase.value,
                started_at=timestamp(run.started_us),
                ended_at=timestamp(run.ended_us) if run.ended_us else None,
                stages=[
                    wire.RelinkStage(stage=stage, spent=_duration(spent_us)) for stage, spent_us in run.spent_us.items()
                ],
            )
        )
    backup = store.last_backup
    if backup is not None:
        response.last_backup.CopyFrom(
            wire.LastBackup(
                confirmed_at=timestamp(backup.at_us),
                seq=backup.seq,
                file_bytes=backup.file_bytes,
                is_incremental=backup.is_incremental,
            )
        )
    response.restores.extend(
        wire.Restore(
            restored_at=timestamp(each.at_us),
            to_seq=each.seq - 1,
            last_event_at=timestamp(each.restored_to_us) if each.restored_to_us else None,
            epoch=each.epoch,
        )
        for each in store.restores
    )
    response.last_loads.extend(
        wire.LastLoad(
            feed=each.entry.feed,
            load_id=each.entry.load_id,
            durable_ordinal=each.durable_ordinal,
            is_finished=not each.entry.is_open,
            status=load_status(each.entry),
            refused_delete_count=each.entry.refused_delete_count,
        )
        for each in store.last_loads
    )


def _warnings(store: StoreStatus, writer: WriterState | None, free_bytes: int) -> list[str]:
    """Return what needs attention although reads, and perhaps writes, are served."""
    found = []
    if store.lag_us > _LAG_WARNED_US:
        found.append(f"the index is {store.lag_us / 1e6:.0f} s behind the journal")
    share = store.sizes.used_bytes / store.sizes.map_bytes
    if share > INDEX_MAP_SHARE_MAX / 2:
        found.append(f"the index uses {share:.0%} of the most that it can grow to")
    if free_bytes < WRITE_FREE_DISK_BYTES_AGAIN + store.sizes.file_bytes:
        found.append(f"{free_bytes >> 20} MiB of disk are free: too little for a checkpoint of the index")
    if writer is not None and writer.checkpoint_failure:
        found.append(f"the last checkpoint of the index was skipped: {writer.checkpoint_failure}")
    pending = sum(each.count for each in store.records if each.state == "pending")
    if pending:
        found.append(f"{pending} records are pending until the next mdm relink")
    return found


def _duration(microseconds: int) -> Duration:
    found = Duration()
    found.FromMicroseconds(microseconds)
    return found
