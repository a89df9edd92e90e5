"""Loads as wire messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mdm.domain.loads import LoadEntry, RevertEntry
from mdm.resolve.commands import WriteOutcome
from mdm.resolve.load_outline import LoadExample
from mdm.resolve.load_revert import Effect
from mdm.server.wire_answers import OUTCOMES, timestamp
from mdm.server.wire_records import key_message
from mdm.v1 import common_pb2 as common
from mdm.v1 import load_service_pb2 as wire
from mdm.v1 import registry_service_pb2 as registry

Token = Callable[[int], common.JournalToken]
"""Gives the wire form of a position."""

_EFFECT_FIELDS = {
    Effect.WITHDRAWN: "withdrawn_record_count",
    Effect.RESTORED: "restored_record_count",
    Effect.RETURNED: "returned_record_count",
    Effect.LEFT_CHANGED: "left_changed_record_count",
    Effect.LEFT_ERASED: "left_erased_record_count",
    Effect.FAILED: "failed_record_count",
    Effect.PARTED: "parted_count",
    Effect.LEFT_JUDGED: "left_judged_count",
    Effect.RETIRED: "retired_golden_id_count",
    Effect.REVIVED: "revived_golden_id_count",
    Effect.ASKED: "asked_count",
}
_REJECTED = "rejected"


def load_message(entry: LoadEntry, token: Token) -> wire.Load:
    """Return a load."""
    return wire.Load(
        load_id=entry.load_id,
        name=entry.name,
        feed=entry.feed,
        status=load_status(entry),
        started_at=timestamp(entry.at_us),
        finished_at=timestamp(entry.finished_us) if entry.finished_seq else None,
        actor=entry.actor,
        purpose=entry.purpose,
        is_full=entry.is_full,
        is_resolved_later=entry.is_deferred,
        allow_older=entry.allow_older,
        content_digest=entry.content_digest,
        outcome_counts=[
            registry.OutcomeCount(outcome=_outcome(name), operation_count=count)
            for name, count in entry.outcomes.items()
        ],
        row_count=entry.row_count,
        unchanged_record_count=entry.unchanged_count,
        rejected_row_count=entry.rejected_count,
        revert=_revert_message(entry, entry.revert, token) if entry.revert is not None else None,
        refused_delete_count=entry.refused_delete_count,
        registry_digest=entry.registry_digest,
        is_registry_changed=entry.is_registry_changed,
    )


def effects_message(outcomes: Mapping[Effect, int] | Mapping[str, int]) -> wire.LoadRevertEffects:
    """Return counts by effect."""
    message = wire.LoadRevertEffects()
    for name, count in outcomes.items():
        setattr(message, _EFFECT_FIELDS[Effect(name)], count)
    return message


def example_message(example: LoadExample) -> wire.LoadRevertExample:
    """Return one record of a dry run."""
    return wire.LoadRevertExample(
        effect=wire.LoadRevertEffect.Value(f"LOAD_REVERT_EFFECT_{example.effect.name}"),
        key=key_message(example.key) if example.key is not None else None,
        golden_id=example.golden_id or "",
        former_golden_id=example.former_golden_id or "",
    )


def load_status(entry: LoadEntry) -> wire.LoadStatus.ValueType:
    """Return where a load stands."""
    if entry.revert is not None:
        return wire.LOAD_STATUS_REVERTED if entry.revert.finished_seq else wire.LOAD_STATUS_REVERTING
    return wire.LOAD_STATUS_FINISHED if entry.finished_seq else wire.LOAD_STATUS_OPEN


def _outcome(name: str) -> common.WriteOutcome.ValueType:
    return common.WRITE_OUTCOME_REJECTED if name == _REJECTED else OUTCOMES[WriteOutcome(name)]


def _revert_message(entry: LoadEntry, revert: RevertEntry, token: Token) -> wire.LoadRevert:
    whole = entry.last_seq + 1 - entry.seq
    share = 1.0 if revert.finished_seq else (entry.last_seq + 1 - revert.behind_seq) / whole
    return wire.LoadRevert(
        started_at=timestamp(revert.at_us),
        actor=revert.actor,
        reason=revert.reason,
        effects=effects_message(revert.outcomes),
        progress_share=share,
        token=token(revert.finished_seq) if revert.finished_seq else None,
    )
