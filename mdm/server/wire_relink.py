"""Runs of re-linkage and their reports: domain → wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from google.protobuf import timestamp_pb2

from mdm import errors
from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
from mdm.linkage.gates import TrainingReport
from mdm.resolve.relink_runs import Change, Example, Phase, Report, Reversal, RunState
from mdm.server.wire_records import key_message, kind_number
from mdm.v1 import common_pb2 as common
from mdm.v1 import relink_service_pb2 as wire

_STATES = {
    Phase.STARTING: wire.RELINK_STATE_PLANNING,
    Phase.SNAPSHOT: wire.RELINK_STATE_PLANNING,
    Phase.TRAINING: wire.RELINK_STATE_PLANNING,
    Phase.COMPARING: wire.RELINK_STATE_PLANNING,
    Phase.CLUSTERING: wire.RELINK_STATE_PLANNING,
    Phase.PLANNING: wire.RELINK_STATE_PLANNING,
    Phase.PLANNED: wire.RELINK_STATE_PLANNED,
    Phase.COMMITTING: wire.RELINK_STATE_COMMITTING,
    Phase.COMMITTED: wire.RELINK_STATE_COMMITTED,
    Phase.CANCELLED: wire.RELINK_STATE_CANCELLED,
    Phase.FAILED: wire.RELINK_STATE_FAILED,
}

_CHANGES = {change: dict(wire.RelinkChange.items())[f"RELINK_CHANGE_{change.name}"] for change in Change}


def run_message(state: RunState, token_at: Callable[[int], common.JournalToken]) -> wire.RelinkRun:
    """Return a run as it stands; `token_at` gives the token of a position."""
    is_done = state.phase.is_final or not state.total_count
    run = wire.RelinkRun(
        run_id=state.run_id,
        state=_STATES[state.phase],
        stage=state.phase.value,
        progress_fraction=float(state.phase.is_final) if is_done else state.done_count / state.total_count,
        plan_digest=state.plan_digest,
        started_at=_timestamp(state.started_us),
        component_count=state.component_count,
        error_reason=_reason(state.error),
        reverts_run_id=state.reverts,
    )
    if state.ended_us and state.phase.is_final and state.phase is not Phase.PLANNED:
        run.ended_at.CopyFrom(_timestamp(state.ended_us))
    if state.read_seq:
        run.snapshot_token.CopyFrom(token_at(state.read_seq))
    if state.commit_seq:
        run.token.CopyFrom(token_at(state.commit_seq))
    dropped_count = state.report.dropped_component_count if state.report else 0
    run.dropped_component_count = dropped_count
    run.committed_component_count = max(_taken_count(state) - dropped_count, 0)
    return run


def report_message(
    state: RunState,
    run: wire.RelinkRun,
    examples: Sequence[Example],
    keys: Mapping[RecordNumber, SourceKey],
) -> wire.RelinkServiceGetReportResponse:
    """Return a run's report; of records without a key, which are erased, it says nothing."""
    message = wire.RelinkServiceGetReportResponse(
        run=run,
        impacts=[_impact(EntityKind(kind), report) for kind, report in sorted(state.impacts.items())],
        examples=[_example(example, keys) for example in examples],
        dropped=[
            wire.RelinkDroppedComponent(keys=[key_message(keys[number]) for number in numbers if number in keys])
            for numbers in state.dropped
        ],
        churn_percent=100 * state.report.churn_share if state.report else 0.0,
    )
    if state.reversal is not None:
        message.reversal.CopyFrom(_reversal(state.reversal))
    return message


def _taken_count(state: RunState) -> int:
    """Return the components that a commit has committed or dropped."""
    # A plan is whole when its commit begins: less than all is done only of one whose commit has begun.
    is_begun = state.phase in {Phase.COMMITTING, Phase.COMMITTED} or state.done_count < state.total_count
    # The plan's items hold the questions besides, behind all components.
    return min(state.done_count, state.component_count) if is_begun else 0


def _timestamp(time_us: int) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1000)


def _reason(error: str) -> str:
    if not error:
        return ""
    family = getattr(errors, error, errors.MdmError)
    return str(getattr(family, "reason", errors.MdmError.reason))


def _impact(kind: EntityKind, report: Report) -> wire.RelinkImpact:
    training = report.trainings.get(kind.value)
    return wire.RelinkImpact(
        entity_kind=kind_number(kind),
        record_count=report.record_count,
        pending_record_count=report.pending_record_count,
        golden_record_count_before=report.golden_before_count,
        golden_record_count_after=report.golden_after_count,
        created_golden_id_count=report.new_count,
        merged_golden_id_count=report.merged_count,
        split_golden_id_count=report.split_count,
        moved_record_count=report.moved_record_count,
        potential_match_count=report.question_opened_count,
        scored_pair_count=report.compared_pair_count,
        refused_link_count=report.refused_pair_count,
        restored_golden_id_count=report.restored_count,
        model_digest=report.model_digest,
        epoch_digest=report.epoch_digest,
        is_shipped_model_kept=report.is_shipped_model_kept,
        largest_member_count=report.largest_member_count,
        model_origin=report.models.get(kind.value, ""),
        comparisons=_comparisons(training) if training else (),
        sessions=_sessions(training) if training else (),
        unchanged_golden_id_count=report.unchanged_count,
        closed_potential_match_count=report.question_closed_count,
        registries=[
            wire.RelinkRegistryImpact(
                registry=each.registry,
                record_count=each.record_count,
                resolved_record_count=each.resolved_count,
                moved_record_count=each.moved_count,
            )
            for each in report.registries
        ],
        sizes=[
            wire.RelinkSizeCount(
                member_count_min=each.size,
                golden_record_count_before=each.before_count,
                golden_record_count_after=each.after_count,
            )
            for each in report.sizes
        ],
        largest=[
            wire.RelinkLargeGoldenRecord(
                golden_id=each.golden_id or "",
                member_count=each.member_count,
                registries=list(each.registries),
                registry_record_counts=list(each.registries.values()),
            )
            for each in report.largest
        ],
    )


def _example(example: Example, keys: Mapping[RecordNumber, SourceKey]) -> wire.RelinkExample:
    return wire.RelinkExample(
        entity_kind=kind_number(example.kind),
        change=_CHANGES[example.change],
        records=[
            wire.RelinkExampleRecord(
                key=key_message(keys[record.number]),
                golden_id_before=record.before or "",
                golden_id_after=record.after or "",
                is_deciding=record.is_deciding,
            )
            for record in example.records
            if record.number in keys
        ],
        record_count=example.record_count,
        match_weight_bits=example.match_weight_bits,
        steps=[
            wire.RelinkExampleStep(comparison=step.comparison, level=step.level, bits=step.bits)
            for step in example.steps
        ],
    )


def _reversal(reversal: Reversal) -> wire.RelinkReversal:
    return wire.RelinkReversal(
        restored_component_count=reversal.restored_count,
        kept_judged_component_count=reversal.kept_judged_count,
        kept_changed_component_count=reversal.kept_changed_count,
        restored_golden_id_count=reversal.restored_golden_count,
        withdrawn_golden_id_count=reversal.retired_golden_count,
        kept_pending_record_count=reversal.kept_pending_count,
        restored_settings=reversal.restored_settings,
    )


def _comparisons(training: TrainingReport) -> Iterator[wire.ComparisonTraining]:
    for comparison in training.learned:
        yield wire.ComparisonTraining(comparison=comparison, is_learned=True)
    for comparison, failure in sorted(training.kept.items()):
        yield wire.ComparisonTraining(comparison=comparison, gate=failure.gate.value, detail=failure.detail)


def _sessions(training: TrainingReport) -> Iterator[wire.TrainingSession]:
    for session in training.sessions:
        yield wire.TrainingSession(
            columns=session.columns,
            iteration_count=session.iteration_count,
            last_change=session.last_change,
            is_converged=session.is_converged,
        )
