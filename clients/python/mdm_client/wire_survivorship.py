"""Calls and messages of survivorship."""

from __future__ import annotations

from datetime import UTC

from mdm.v1 import common_pb2, survivorship_service_pb2
from mdm_client import survivorship_results as results
from mdm_client import wire
from mdm_client.calls import Call, fresh_request_id


def get() -> Call[results.RulesInForce]:
    """Ask for the rules in force."""

    def decode(answer: survivorship_service_pb2.GetSurvivorshipRulesResponse) -> results.RulesInForce:
        return results.RulesInForce(
            answer.digest,
            answer.content,
            answer.activated_at.ToDatetime(tzinfo=UTC),
            answer.actor,
            answer.reason,
        )

    request = survivorship_service_pb2.GetSurvivorshipRulesRequest()
    return Call("SurvivorshipService", "GetSurvivorshipRules", request, decode)


def compare(content: bytes, sample_golden_record_count: int) -> Call[results.RulesComparison]:
    """Ask what rules would change."""
    request = survivorship_service_pb2.CompareSurvivorshipRulesRequest(
        content=content, sample_golden_record_count=sample_golden_record_count
    )

    def decode(answer: survivorship_service_pb2.CompareSurvivorshipRulesResponse) -> results.RulesComparison:
        return results.RulesComparison(
            answer.base_digest, answer.candidate_digest, tuple(_comparison(item) for item in answer.comparisons)
        )

    return Call("SurvivorshipService", "CompareSurvivorshipRules", request, decode, is_batch=True)


def activate(
    content: bytes, reason: str, caller: common_pb2.Caller, *, is_dry_run: bool, request_id: str | None
) -> Call[results.RulesActivated]:
    """Put rules in force."""
    request = survivorship_service_pb2.ActivateSurvivorshipRulesRequest(
        content=content,
        reason=reason,
        is_dry_run=is_dry_run,
        request_id=fresh_request_id(request_id),
        caller=caller,
    )

    def decode(answer: survivorship_service_pb2.ActivateSurvivorshipRulesResponse) -> results.RulesActivated:
        return results.RulesActivated(answer.digest, answer.was_in_force, answer.token.value)

    return Call("SurvivorshipService", "ActivateSurvivorshipRules", request, decode)


def _comparison(message: survivorship_service_pb2.SurvivorshipComparison) -> results.KindComparison:
    return results.KindComparison(
        wire.ENTITY_KIND.from_wire(message.entity_kind),
        message.golden_record_count,
        message.sampled_golden_record_count,
        message.changed_golden_record_count,
        tuple(_field(item) for item in message.fields),
    )


def _field(message: survivorship_service_pb2.SurvivorshipFieldChange) -> results.FieldChange:
    examples = tuple(
        results.ValueExample(
            item.golden_id, wire.golden_value_from_wire(item.before), wire.golden_value_from_wire(item.after)
        )
        for item in message.examples
    )
    criteria = {wire.CRITERION.from_wire(item.criterion): item.golden_record_count for item in message.criteria}
    return results.FieldChange(message.field, message.golden_record_count, criteria, examples)
