"""RelinkService: starts, watches and stops runs. A run's state is a file that its process and the writer keep."""

# ruff: noqa: ARG002, N802 – the generated base class names the calls and their arguments.

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
from google.protobuf import timestamp_pb2

from mdm import errors
from mdm.domain.keys import EntityKind
from mdm.errors import PlanOutdatedError, UnknownRunError
from mdm.linkage.gates import TrainingReport
from mdm.resolve.commands import Accepted, CancelRelink, CommitRelink, RunAnswer, StartRelink
from mdm.resolve.reader import Reader
from mdm.resolve.relink_runs import Phase, Report, RunState, read_state, run_ids
from mdm.server.calls import cause_of, request_of, token_at, write
from mdm.server.wire_records import KINDS, kind_number
from mdm.server.writer_link import WriterLink
from mdm.v1 import relink_service_pb2 as wire
from mdm.v1.relink_service_pb2_grpc import RelinkServiceServicer

WATCH_INTERVAL_S = 0.5

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


class RelinkService(RelinkServiceServicer):
    """Links all records anew."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Read the runs' files here, have the writer act."""
        self._reader = reader
        self._link = link

    def Plan(
        self, request: wire.RelinkServicePlanRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServicePlanResponse:
        """Start a run that changes nothing."""
        cause = cause_of(context, request.caller, "Plan")
        answer = _ran(
            write(
                self._link,
                StartRelink(
                    request_of(cause, request.request_id, request),
                    kind=KINDS.get(request.entity_kind),
                    is_learning=request.is_learning,
                ),
                context,
            )
        )
        return wire.RelinkServicePlanResponse(run=self._run(answer.run_id))

    def Commit(
        self, request: wire.RelinkServiceCommitRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServiceCommitResponse:
        """Begin to commit a stored plan."""
        state = self._state(request.run_id)
        if request.plan_digest and request.plan_digest != state.plan_digest:
            raise PlanOutdatedError("the plan is not the one that plan_digest names; look at its report again")
        cause = cause_of(context, request.caller, "Commit")
        command = CommitRelink(request_of(cause, request.request_id, request), request.run_id)
        answer = _ran(write(self._link, command, context))
        return wire.RelinkServiceCommitResponse(run=self._run(request.run_id), token=token_at(self._reader, answer.seq))

    def Get(
        self, request: wire.RelinkServiceGetRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServiceGetResponse:
        """Return a run as it stands; without an id the latest."""
        run_id = request.run_id
        if not run_id:
            found = run_ids(self._reader.relinks_path)
            if not found:
                raise UnknownRunError("no re-linkage was ever run")
            run_id = found[-1]
        return wire.RelinkServiceGetResponse(run=self._run(run_id))

    def Watch(
        self, request: wire.RelinkServiceWatchRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.RelinkServiceWatchResponse]:
        """Stream a run's progress until it waits or ends."""
        shown: RunState | None = None
        while context.is_active():
            state = self._state(request.run_id)
            if state != shown:
                shown = state
                yield wire.RelinkServiceWatchResponse(run=self._message(state))
            if state.phase.is_final:
                return
            time.sleep(WATCH_INTERVAL_S)

    def Cancel(
        self, request: wire.RelinkServiceCancelRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServiceCancelResponse:
        """Stop a run; what is committed stays."""
        state = self._state(request.run_id)
        if state.phase.is_final and state.phase is not Phase.PLANNED:
            return wire.RelinkServiceCancelResponse(run=self._message(state))
        cause = cause_of(context, request.caller, "Cancel")
        command = CancelRelink(request_of(cause, request.request_id, request), request.run_id)
        answer = _ran(write(self._link, command, context))
        return wire.RelinkServiceCancelResponse(run=self._run(request.run_id), token=token_at(self._reader, answer.seq))

    def GetReport(
        self, request: wire.RelinkServiceGetReportRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServiceGetReportResponse:
        """Return what a plan would change."""
        state = self._state(request.run_id)
        impacts = [_impact(EntityKind(kind), report) for kind, report in sorted(state.impacts.items())]
        return wire.RelinkServiceGetReportResponse(run=self._message(state), impacts=impacts)

    def _state(self, run_id: str) -> RunState:
        return read_state(self._reader.relinks_path, run_id)

    def _run(self, run_id: str) -> wire.RelinkRun:
        return self._message(self._state(run_id))

    def _message(self, state: RunState) -> wire.RelinkRun:
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
        )
        if state.ended_us and state.phase.is_final and state.phase is not Phase.PLANNED:
            run.ended_at.CopyFrom(_timestamp(state.ended_us))
        if state.read_seq:
            run.snapshot_token.CopyFrom(token_at(self._reader, state.read_seq))
        if state.commit_seq:
            run.token.CopyFrom(token_at(self._reader, state.commit_seq))
        dropped_count = state.report.dropped_component_count if state.report else 0
        run.dropped_component_count = dropped_count
        run.committed_component_count = max(_taken_count(state) - dropped_count, 0)
        return run


def _ran(answer: Accepted) -> RunAnswer:
    if not isinstance(answer, RunAnswer):
        raise TypeError(type(answer).__name__)
    return answer


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
