"""The call that asks for the state of the service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mdm.v1 import admin_service_pb2, common_pb2
from mdm_client import admin_results as results
from mdm_client import wire
from mdm_client.calls import Call
from mdm_client.wire_loads import LOAD_STATUS

_MODES = {
    admin_service_pb2.SERVICE_MODE_SERVING: results.ServiceMode.SERVING,
    admin_service_pb2.SERVICE_MODE_READ_ONLY: results.ServiceMode.READ_ONLY,
    admin_service_pb2.SERVICE_MODE_STARTING: results.ServiceMode.STARTING,
}
_STATES = {
    common_pb2.RECORD_STATUS_FOUND: "live",
    common_pb2.RECORD_STATUS_PENDING: "pending",
    common_pb2.RECORD_STATUS_DELETED: "deleted",
}


def get_status() -> Call[results.ServiceStatus]:
    """Ask for the state of the service."""
    return Call("AdminService", "GetStatus", admin_service_pb2.GetStatusRequest(), _status)


def _status(answer: admin_service_pb2.GetStatusResponse) -> results.ServiceStatus:
    progress, disk, versions = answer.progress, answer.disk, answer.versions
    return results.ServiceStatus(
        mode=_MODES[answer.mode],
        mode_reason=answer.mode_reason,
        started_at=_time(answer, "started_at"),
        warnings=tuple(answer.warnings),
        progress=results.StartProgress(progress.stage, progress.done_count, progress.total_count)
        if answer.HasField("progress")
        else None,
        journal=_journal(answer.journal) if answer.HasField("journal") else None,
        index=_index(answer.index) if answer.HasField("index") else None,
        disk=results.DiskStatus(disk.free_bytes, disk.total_bytes, disk.write_free_bytes_min),
        records=tuple(
            results.RecordCount(
                each.registry, wire.ENTITY_KIND.from_wire(each.entity_kind), _STATES[each.status], each.record_count
            )
            for each in answer.records
        ),
        golden_ids=tuple(
            results.GoldenIdCount(
                wire.ENTITY_KIND.from_wire(each.entity_kind),
                each.issued_count,
                each.active_count,
                each.redirected_count,
                each.retired_count,
            )
            for each in answer.golden_ids
        ),
        reviews=tuple(results.ReviewCount(each.review_kind, each.queue, each.review_count) for each in answer.reviews),
        oldest_review_opened_at=_time(answer, "oldest_review_opened_at"),
        judgement_count=answer.judgement_count,
        engines=tuple(_engine(each) for each in answer.engines),
        last_relink=_relink(answer.last_relink) if answer.HasField("last_relink") else None,
        last_loads=tuple(
            results.LastLoad(
                each.feed,
                each.load_id,
                each.durable_ordinal,
                each.is_finished,
                LOAD_STATUS.from_wire(each.status),
                each.refused_delete_count,
            )
            for each in answer.last_loads
        ),
        last_backup=_backup(answer.last_backup) if answer.HasField("last_backup") else None,
        restores=tuple(_restore(each) for each in answer.restores),
        writer=_writer(answer.writer),
        processes=tuple(_process(each) for each in answer.processes),
        versions=results.Versions(
            versions.release,
            versions.normaliser,
            versions.specification,
            versions.index_layout,
            versions.journal_layout,
        ),
    )


def _journal(item: admin_service_pb2.JournalStatus) -> results.JournalStatus:
    at = _time(item, "last_event_at")
    return results.JournalStatus(
        item.seq, item.token.value, item.journal_id, item.epoch, at, item.file_bytes, item.wal_bytes
    )


def _index(item: admin_service_pb2.IndexStatus) -> results.IndexStatus:
    return results.IndexStatus(
        item.applied_seq,
        item.lag_events_count,
        item.lag.ToTimedelta(),
        item.file_bytes,
        item.used_bytes,
        item.map_bytes,
        item.generation,
    )


def _engine(item: admin_service_pb2.EngineStatus) -> results.EngineStatus:
    return results.EngineStatus(
        wire.ENTITY_KIND.from_wire(item.entity_kind),
        item.model_digest,
        _time(item, "model_since"),
        item.epoch_digest,
        _time(item, "epoch_since"),
        item.population_count,
    )


def _relink(item: admin_service_pb2.LastRelink) -> results.LastRelink:
    started_at = item.started_at.ToDatetime(tzinfo=UTC)
    stages = {each.stage: each.spent.ToTimedelta() for each in item.stages}
    return results.LastRelink(item.run_id, item.phase, started_at, _time(item, "ended_at"), stages)


def _backup(item: admin_service_pb2.LastBackup) -> results.LastBackup:
    confirmed_at = item.confirmed_at.ToDatetime(tzinfo=UTC)
    return results.LastBackup(confirmed_at, item.seq, item.file_bytes, item.is_incremental)


def _restore(item: admin_service_pb2.Restore) -> results.Restore:
    restored_at = item.restored_at.ToDatetime(tzinfo=UTC)
    return results.Restore(restored_at, item.to_seq, _time(item, "last_event_at"), item.epoch)


def _writer(item: admin_service_pb2.WriterStatus) -> results.WriterStatus:
    return results.WriterStatus(
        item.is_alive,
        item.queue_count,
        item.busy.ToTimedelta(),
        _time(item, "checkpoint_at"),
        item.checkpoint_failure,
    )


def _process(item: admin_service_pb2.ProcessStatus) -> results.ProcessStatus:
    since = item.since.ToDatetime(tzinfo=UTC)
    return results.ProcessStatus(item.name, item.pid, since, item.restart_count, item.memory_bytes, item.is_serving)


def _time(message: Any, field: str) -> datetime | None:
    found: datetime | None = getattr(message, field).ToDatetime(tzinfo=UTC) if message.HasField(field) else None
    return found
