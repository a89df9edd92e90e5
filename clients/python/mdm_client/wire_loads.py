"""Calls and messages of loads."""

from __future__ import annotations

from datetime import UTC

from mdm.v1 import common_pb2, load_service_pb2
from mdm_client import load_results as results
from mdm_client import wire
from mdm_client.calls import Call, fresh_request_id
from mdm_client.wire import EnumWire

LoadPage = tuple[list[results.LoadRecord], str]
"""Loads and the token of the next page."""

LOAD_STATUS = EnumWire(results.LoadStatus, load_service_pb2.LoadStatus, "LOAD_STATUS")
_EFFECT = EnumWire(results.LoadRevertEffect, load_service_pb2.LoadRevertEffect, "LOAD_REVERT_EFFECT")


def list_loads(feed: str, page_size: int, page_token: str) -> Call[LoadPage]:
    """Ask which loads there were."""
    request = load_service_pb2.ListLoadsRequest(feed=feed, page_size=page_size, page_token=page_token)

    def decode(answer: load_service_pb2.ListLoadsResponse) -> LoadPage:
        return [_load(item) for item in answer.loads], answer.next_page_token

    return Call("LoadService", "ListLoads", request, decode)


def get_load(load_id: str) -> Call[results.LoadRecord]:
    """Ask for one load."""

    def decode(answer: load_service_pb2.GetLoadResponse) -> results.LoadRecord:
        return _load(answer.load)

    return Call("LoadService", "GetLoad", load_service_pb2.GetLoadRequest(load_id=load_id), decode)


def preview_revert(load_id: str) -> Call[results.LoadRevertPreview]:
    """Ask what taking a load back would do."""

    def decode(answer: load_service_pb2.PreviewRevertLoadResponse) -> results.LoadRevertPreview:
        examples = tuple(
            results.LoadRevertExample(
                effect=_EFFECT.from_wire(item.effect),
                key=wire.key_from_wire(item.key) if item.HasField("key") else None,
                golden_id=item.golden_id,
                former_golden_id=item.former_golden_id,
            )
            for item in answer.examples
        )
        return results.LoadRevertPreview(_load(answer.load), _effects(answer.effects), examples, answer.read_at.value)

    request = load_service_pb2.PreviewRevertLoadRequest(load_id=load_id)
    return Call("LoadService", "PreviewRevertLoad", request, decode, is_batch=True)


def revert(
    load_id: str, reason: str, caller: common_pb2.Caller, *, keep_later: bool, request_id: str | None
) -> Call[results.LoadRecord]:
    """Begin to take a load back."""

    def decode(answer: load_service_pb2.RevertLoadResponse) -> results.LoadRecord:
        return _load(answer.load)

    request = load_service_pb2.RevertLoadRequest(
        load_id=load_id,
        reason=reason,
        caller=caller,
        request_id=fresh_request_id(request_id),
        keep_later=keep_later,
    )
    return Call("LoadService", "RevertLoad", request, decode)


def _load(message: load_service_pb2.Load) -> results.LoadRecord:
    return results.LoadRecord(
        load_id=message.load_id,
        name=message.name,
        feed=message.feed,
        status=LOAD_STATUS.from_wire(message.status),
        started_at=message.started_at.ToDatetime(tzinfo=UTC),
        finished_at=message.finished_at.ToDatetime(tzinfo=UTC) if message.HasField("finished_at") else None,
        actor=message.actor,
        purpose=message.purpose,
        is_full=message.is_full,
        is_resolved_later=message.is_resolved_later,
        allow_older=message.allow_older,
        content_digest=message.content_digest,
        outcome_counts={
            wire.WRITE_OUTCOME.from_wire(item.outcome): item.operation_count for item in message.outcome_counts
        },
        row_count=message.row_count,
        unchanged_record_count=message.unchanged_record_count,
        rejected_row_count=message.rejected_row_count,
        revert=_revert(message.revert) if message.HasField("revert") else None,
        refused_delete_count=message.refused_delete_count,
        registry_digest=message.registry_digest,
        is_registry_changed=message.is_registry_changed,
    )


def _revert(message: load_service_pb2.LoadRevert) -> results.LoadRevert:
    return results.LoadRevert(
        started_at=message.started_at.ToDatetime(tzinfo=UTC),
        actor=message.actor,
        reason=message.reason,
        effects=_effects(message.effects),
        progress_share=message.progress_share,
        token=message.token.value,
    )


def _effects(message: load_service_pb2.LoadRevertEffects) -> results.LoadRevertEffects:
    return results.LoadRevertEffects(
        withdrawn_record_count=message.withdrawn_record_count,
        restored_record_count=message.restored_record_count,
        returned_record_count=message.returned_record_count,
        left_changed_record_count=message.left_changed_record_count,
        left_erased_record_count=message.left_erased_record_count,
        failed_record_count=message.failed_record_count,
        parted_count=message.parted_count,
        left_judged_count=message.left_judged_count,
        retired_golden_id_count=message.retired_golden_id_count,
        revived_golden_id_count=message.revived_golden_id_count,
    )
