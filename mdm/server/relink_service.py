"""RelinkService: starts, watches and stops runs. A run's state is a file that its process and the writer keep."""

# ruff: noqa: ARG002, N802 – the generated base class names the calls and their arguments.

from __future__ import annotations

from collections.abc import Iterator

import grpc

from mdm.errors import PlanOutdatedError, UnknownRunError
from mdm.resolve.commands import Accepted, CancelRelink, CommitRelink, RunAnswer, StartRelink
from mdm.resolve.reader import Reader
from mdm.resolve.relink_runs import Phase, RunState, read_examples, read_state, run_ids
from mdm.server.bell import Bell
from mdm.server.calls import cause_of, request_of, token_at, write
from mdm.server.wire_records import KINDS
from mdm.server.wire_relink import report_message, run_message
from mdm.server.writer_link import WriterLink
from mdm.v1 import relink_service_pb2 as wire
from mdm.v1.relink_service_pb2_grpc import RelinkServiceServicer

WATCH_INTERVAL_S = 0.5


class RelinkService(RelinkServiceServicer):
    """Links all records anew."""

    def __init__(self, reader: Reader, link: WriterLink, bell: Bell) -> None:
        """Read the runs' files here, have the writer act."""
        self._reader = reader
        self._link = link
        self._bell = bell

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
                    request.memory_limit_bytes,
                    KINDS.get(request.entity_kind),
                    is_learning=request.is_learning,
                    core_count_max=request.core_count_max,
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
        churn_share_max = request.max_churn_percent / 100 if request.HasField("max_churn_percent") else 1.0
        command = CommitRelink(request_of(cause, request.request_id, request), request.run_id, churn_share_max)
        answer = _ran(write(self._link, command, context))
        return wire.RelinkServiceCommitResponse(run=self._run(request.run_id), token=token_at(self._reader, answer.seq))

    def Get(
        self, request: wire.RelinkServiceGetRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServiceGetResponse:
        """Return a run as it stands; without an id the latest."""
        run_id = request.run_id
        if not run_id:
            found = run_ids(self._reader.directory.relinks)
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
            self._bell.pause(WATCH_INTERVAL_S)

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
        examples = read_examples(self._reader.directory.relinks, request.run_id)
        numbers = {record.number for example in examples for record in example.records}
        keys = self._reader.source_keys(numbers.union(*state.dropped))
        return report_message(state, self._message(state), examples, keys)

    def Revert(
        self, request: wire.RelinkServiceRevertRequest, context: grpc.ServicerContext
    ) -> wire.RelinkServiceRevertResponse:
        """Start a run that takes another one back once it is committed."""
        cause = cause_of(context, request.caller, "Revert")
        command = StartRelink(request_of(cause, request.request_id, request), reverts=request.run_id)
        answer = _ran(write(self._link, command, context))
        return wire.RelinkServiceRevertResponse(run=self._run(answer.run_id))

    def _state(self, run_id: str) -> RunState:
        return read_state(self._reader.directory.relinks, run_id)

    def _run(self, run_id: str) -> wire.RelinkRun:
        return self._message(self._state(run_id))

    def _message(self, state: RunState) -> wire.RelinkRun:
        return run_message(state, lambda seq: token_at(self._reader, seq))


def _ran(answer: Accepted) -> RunAnswer:
    if not isinstance(answer, RunAnswer):
        raise TypeError(type(answer).__name__)
    return answer
