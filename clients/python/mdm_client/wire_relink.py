"""Calls and messages of re-linkage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mdm.v1 import common_pb2, relink_service_pb2
from mdm_client import relink_results, wire
from mdm_client.calls import Call, fresh_request_id
from mdm_client.records import EntityKind


def plan(
    kind: EntityKind | None,
    caller: common_pb2.Caller,
    request_id: str | None,
    *,
    is_learning: bool,
    memory_limit_bytes: int,
    core_count_max: int,
) -> Call[relink_results.RelinkRun]:
    """Start a run that computes a plan."""
    request = relink_service_pb2.RelinkServicePlanRequest(
        entity_kind=wire.ENTITY_KIND.to_wire(kind or EntityKind.UNSPECIFIED),
        is_learning=is_learning,
        memory_limit_bytes=memory_limit_bytes,
        core_count_max=core_count_max,
        request_id=fresh_request_id(request_id),
        caller=caller,
    )
    return Call("RelinkService", "Plan", request, _run_of)


def revert(run_id: str, caller: common_pb2.Caller, request_id: str | None) -> Call[relink_results.RelinkRun]:
    """Start a run that takes another one back."""
    request = relink_service_pb2.RelinkServiceRevertRequest(
        run_id=run_id, request_id=fresh_request_id(request_id), caller=caller
    )
    return Call("RelinkService", "Revert", request, _run_of)


def commit(
    run_id: str,
    plan_digest: str,
    max_churn_percent: float | None,
    caller: common_pb2.Caller,
    request_id: str | None,
) -> Call[relink_results.RelinkRun]:
    """Start to commit a plan."""
    request = relink_service_pb2.RelinkServiceCommitRequest(
        run_id=run_id,
        plan_digest=plan_digest,
        max_churn_percent=max_churn_percent,
        request_id=fresh_request_id(request_id),
        caller=caller,
    )
    return Call("RelinkService", "Commit", request, _run_of)


def cancel(run_id: str, caller: common_pb2.Caller, request_id: str | None) -> Call[relink_results.RelinkRun]:
    """Stop a run."""
    request = relink_service_pb2.RelinkServiceCancelRequest(
        run_id=run_id, request_id=fresh_request_id(request_id), caller=caller
    )
    return Call("RelinkService", "Cancel", request, _run_of)


def get(run_id: str) -> Call[relink_results.RelinkRun]:
    """Read a run; an empty id means the latest."""
    return Call("RelinkService", "Get", relink_service_pb2.RelinkServiceGetRequest(run_id=run_id), _run_of)


def watch_request(run_id: str) -> relink_service_pb2.RelinkServiceWatchRequest:
    """Return the request of a progress stream."""
    return relink_service_pb2.RelinkServiceWatchRequest(run_id=run_id)


def report(run_id: str) -> Call[relink_results.RelinkReport]:
    """Read the impact report of a planned run."""
    request = relink_service_pb2.RelinkServiceGetReportRequest(run_id=run_id)

    def decode(answer: relink_service_pb2.RelinkServiceGetReportResponse) -> relink_results.RelinkReport:
        return relink_results.RelinkReport(
            run_from_wire(answer.run),
            tuple(_impact_from_wire(item) for item in answer.impacts),
            tuple(_example_from_wire(item) for item in answer.examples),
            tuple(tuple(wire.key_from_wire(key) for key in item.keys) for item in answer.dropped),
            answer.churn_percent,
            _reversal_from_wire(answer.reversal) if answer.HasField("reversal") else None,
        )

    return Call("RelinkService", "GetReport", request, decode)


def run_from_wire(message: relink_service_pb2.RelinkRun) -> relink_results.RelinkRun:
    """Return a run."""
    return relink_results.RelinkRun(
        run_id=message.run_id,
        state=wire.RELINK_STATE.from_wire(message.state),
        stage=message.stage,
        progress_fraction=message.progress_fraction,
        snapshot_token=message.snapshot_token.value,
        plan_digest=message.plan_digest,
        started_at=_time(message, "started_at"),
        ended_at=_time(message, "ended_at"),
        component_count=message.component_count,
        committed_component_count=message.committed_component_count,
        dropped_component_count=message.dropped_component_count,
        error_reason=message.error_reason,
        token=message.token.value,
        reverts_run_id=message.reverts_run_id,
    )


def _run_of(answer: Any) -> relink_results.RelinkRun:
    return run_from_wire(answer.run)


def _time(message: relink_service_pb2.RelinkRun, name: str) -> datetime | None:
    if not message.HasField(name):  # type: ignore[arg-type]  # the stubs want a literal; both names are fields
        return None
    moment: datetime = getattr(message, name).ToDatetime(tzinfo=UTC)
    return moment


def _impact_from_wire(message: relink_service_pb2.RelinkImpact) -> relink_results.RelinkImpact:
    return relink_results.RelinkImpact(
        kind=wire.ENTITY_KIND.from_wire(message.entity_kind),
        record_count=message.record_count,
        pending_record_count=message.pending_record_count,
        golden_record_count_before=message.golden_record_count_before,
        golden_record_count_after=message.golden_record_count_after,
        created_golden_id_count=message.created_golden_id_count,
        merged_golden_id_count=message.merged_golden_id_count,
        split_golden_id_count=message.split_golden_id_count,
        restored_golden_id_count=message.restored_golden_id_count,
        moved_record_count=message.moved_record_count,
        potential_match_count=message.potential_match_count,
        scored_pair_count=message.scored_pair_count,
        refused_link_count=message.refused_link_count,
        model_digest=message.model_digest,
        epoch_digest=message.epoch_digest,
        is_shipped_model_kept=message.is_shipped_model_kept,
        largest_member_count=message.largest_member_count,
        model_origin=message.model_origin,
        comparisons=tuple(
            relink_results.ComparisonTraining(item.comparison, item.is_learned, item.gate, item.detail)
            for item in message.comparisons
        ),
        sessions=tuple(
            relink_results.TrainingSession(
                tuple(item.columns), item.iteration_count, item.last_change, item.is_converged
            )
            for item in message.sessions
        ),
        unchanged_golden_id_count=message.unchanged_golden_id_count,
        closed_potential_match_count=message.closed_potential_match_count,
        registries=tuple(
            relink_results.RelinkRegistryImpact(
                item.registry, item.record_count, item.resolved_record_count, item.moved_record_count
            )
            for item in message.registries
        ),
        sizes=tuple(
            relink_results.RelinkSizeCount(
                item.member_count_min, item.golden_record_count_before, item.golden_record_count_after
            )
            for item in message.sizes
        ),
        largest=tuple(
            relink_results.RelinkLargeGoldenRecord(
                item.golden_id,
                item.member_count,
                dict(zip(item.registries, item.registry_record_counts, strict=True)),
            )
            for item in message.largest
        ),
    )


def _example_from_wire(message: relink_service_pb2.RelinkExample) -> relink_results.RelinkExample:
    return relink_results.RelinkExample(
        kind=wire.ENTITY_KIND.from_wire(message.entity_kind),
        change=wire.RELINK_CHANGE.from_wire(message.change),
        records=tuple(
            relink_results.RelinkExampleRecord(
                wire.key_from_wire(item.key), item.golden_id_before, item.golden_id_after, item.is_deciding
            )
            for item in message.records
        ),
        record_count=message.record_count,
        match_weight_bits=message.match_weight_bits if message.HasField("match_weight_bits") else None,
        steps=tuple(relink_results.RelinkExampleStep(item.comparison, item.level, item.bits) for item in message.steps),
    )


def _reversal_from_wire(message: relink_service_pb2.RelinkReversal) -> relink_results.RelinkReversal:
    return relink_results.RelinkReversal(
        restored_component_count=message.restored_component_count,
        kept_judged_component_count=message.kept_judged_component_count,
        kept_changed_component_count=message.kept_changed_component_count,
        restored_golden_id_count=message.restored_golden_id_count,
        withdrawn_golden_id_count=message.withdrawn_golden_id_count,
        kept_pending_record_count=message.kept_pending_record_count,
        restored_settings=tuple(message.restored_settings),
    )
