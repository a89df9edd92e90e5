"""SurvivorshipService: by which criteria golden records choose their values, and what other criteria would change."""

# ruff: noqa: ARG002, N802 – the generated base class names the calls and their arguments.

from __future__ import annotations

import grpc

from mdm.limits import SURVIVORSHIP_SAMPLE_GOLDEN_RECORDS
from mdm.resolve.commands import SwitchAnswer, SwitchRules
from mdm.resolve.reader import Reader
from mdm.resolve.survivorship import FieldChanges, RulesComparison
from mdm.server.calls import cause_of, request_of, token_at, write
from mdm.server.wire_answers import timestamp
from mdm.server.wire_records import kind_number
from mdm.server.wire_values import CRITERIA, value_message
from mdm.server.writer_link import WriterLink
from mdm.v1 import survivorship_service_pb2 as wire
from mdm.v1.survivorship_service_pb2_grpc import SurvivorshipServiceServicer


class SurvivorshipService(SurvivorshipServiceServicer):
    """Steers which values golden records show."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Compare here, have the writer act; each call refreshes the reader first, as in `ModelService`."""
        self._reader = reader
        self._link = link

    def GetSurvivorshipRules(
        self, request: wire.GetSurvivorshipRulesRequest, context: grpc.ServicerContext
    ) -> wire.GetSurvivorshipRulesResponse:
        """Return the file in force."""
        self._reader.refresh()
        found = self._reader.rules_activation()
        return wire.GetSurvivorshipRulesResponse(
            digest=found.digest,
            content=found.body,
            activated_at=timestamp(found.at_us),
            actor=found.cause.actor,
            reason=found.reason,
        )

    def CompareSurvivorshipRules(
        self, request: wire.CompareSurvivorshipRulesRequest, context: grpc.ServicerContext
    ) -> wire.CompareSurvivorshipRulesResponse:
        """Say what a file would change."""
        self._reader.refresh()
        candidate = self._reader.checked_rules(request.content)
        sample_count = request.sample_golden_record_count or SURVIVORSHIP_SAMPLE_GOLDEN_RECORDS
        found = self._reader.compare_rules(candidate, sample_count)
        return wire.CompareSurvivorshipRulesResponse(
            base_digest=self._reader.rules_activation().digest,
            candidate_digest=candidate.digest,
            comparisons=[_comparison(each) for each in found],
        )

    def ActivateSurvivorshipRules(
        self, request: wire.ActivateSurvivorshipRulesRequest, context: grpc.ServicerContext
    ) -> wire.ActivateSurvivorshipRulesResponse:
        """Put a file in force."""
        self._reader.refresh()
        candidate = self._reader.checked_rules(request.content)
        response = wire.ActivateSurvivorshipRulesResponse(
            digest=candidate.digest, was_in_force=candidate.digest == self._reader.rules_activation().digest
        )
        if not request.is_dry_run:
            cause = cause_of(context, request.caller, "ActivateSurvivorshipRules")
            guard = request_of(cause, request.request_id, request)
            answer = write(self._link, SwitchRules(guard, request.content, request.reason), context)
            if not isinstance(answer, SwitchAnswer):
                raise TypeError(type(answer).__name__)
            response.token.CopyFrom(token_at(self._reader, answer.seq))
        return response


def _comparison(found: RulesComparison) -> wire.SurvivorshipComparison:
    return wire.SurvivorshipComparison(
        entity_kind=kind_number(found.kind),
        golden_record_count=found.golden_record_count,
        sampled_golden_record_count=found.sampled_count,
        changed_golden_record_count=found.changed_count,
        fields=[_field(each) for each in found.fields],
    )


def _field(changes: FieldChanges) -> wire.SurvivorshipFieldChange:
    return wire.SurvivorshipFieldChange(
        field=changes.field,
        golden_record_count=changes.golden_record_count,
        criteria=[
            wire.CriterionCount(criterion=CRITERIA[criterion], golden_record_count=count)
            for criterion, count in sorted(changes.criteria.items(), key=lambda item: (-item[1], item[0]))
        ],
        examples=[
            wire.SurvivorshipExample(
                golden_id=each.golden_id, before=value_message(each.before), after=value_message(each.after)
            )
            for each in changes.examples
        ],
    )
