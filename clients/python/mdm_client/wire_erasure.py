"""Calls and messages of erasure."""

from __future__ import annotations

from datetime import UTC

from mdm.v1 import common_pb2, erasure_service_pb2
from mdm_client import erasure_results as results
from mdm_client import wire
from mdm_client.calls import Call, fresh_request_id
from mdm_client.records import SourceKey

ErasurePage = tuple[list[results.Erasure], str]
"""Erasures and the token of the next page."""


def erase(
    subject: str | SourceKey,
    reason: str,
    caller: common_pb2.Caller,
    *,
    is_dry_run: bool,
    expected_record_count: int | None,
    request_id: str | None,
) -> Call[results.SubjectErasure]:
    """Erase a person or firm."""
    request = erasure_service_pb2.EraseSubjectRequest(
        reason=reason,
        is_dry_run=is_dry_run,
        expected_record_count=expected_record_count,
        request_id=fresh_request_id(request_id),
        caller=caller,
    )
    if isinstance(subject, str):
        request.golden_id = subject
    else:
        request.key.CopyFrom(wire.key_to_wire(subject))

    def decode(answer: erasure_service_pb2.EraseSubjectResponse) -> results.SubjectErasure:
        return results.SubjectErasure(
            golden_ids=tuple(answer.golden_ids),
            keys=tuple(wire.key_from_wire(item) for item in answer.keys),
            record_count=answer.record_count,
            deleted_record_count=answer.deleted_record_count,
            passed_on_record_count=answer.passed_on_record_count,
            mention_count=answer.mention_count,
            exports=tuple(_export(item) for item in answer.exports),
            token=answer.token.value,
        )

    return Call("ErasureService", "EraseSubject", request, decode)


def list_erasures(page_size: int, page_token: str) -> Call[ErasurePage]:
    """Ask which erasures there were."""
    request = erasure_service_pb2.ListErasuresRequest(page_size=page_size, page_token=page_token)

    def decode(answer: erasure_service_pb2.ListErasuresResponse) -> ErasurePage:
        found = [
            results.Erasure(
                token=item.token.value,
                erased_at=item.erased_at.ToDatetime(tzinfo=UTC),
                is_finished=item.is_finished,
                golden_ids=tuple(item.golden_ids),
                record_count=item.record_count,
                actor=item.actor,
                reason=item.reason,
            )
            for item in answer.erasures
        ]
        return found, answer.next_page_token

    return Call("ErasureService", "ListErasures", request, decode)


def _export(message: erasure_service_pb2.ExportMade) -> results.ExportMade:
    return results.ExportMade(
        made_at=message.made_at.ToDatetime(tzinfo=UTC),
        token=message.token.value,
        kind=message.kind,
        registries=tuple(message.registries),
        row_count=message.row_count,
        actor=message.actor,
        purpose=message.purpose,
    )
