"""Which golden IDs a write affected and what happened to each, read off its facts."""

from __future__ import annotations

from collections.abc import Iterable

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId
from mdm.domain.state import IdentityView
from mdm.resolve.commands import ChangeKind, GoldenIdChange


def golden_id_changes(
    facts: Iterable[ev.Fact], state: IdentityView, left: GoldenId | None = None
) -> tuple[GoldenIdChange, ...]:
    """Return one change for each golden ID affected, in the order in which they were.

    Args:
        facts: Folded into `state` already.
        state: After the facts.
        left: The golden record that the written record left, if it left one.
    """
    changes: dict[GoldenId, GoldenIdChange] = {}
    if left is not None:
        changes[left] = GoldenIdChange(left, ChangeKind.LEFT)
    for fact in facts:
        match fact:
            case ev.RecordResolved():
                kind = ChangeKind.CREATED if fact.is_minted else ChangeKind.JOINED
                changes[fact.golden_id] = GoldenIdChange(fact.golden_id, kind)
            case ev.AnchorMoved():
                changes.setdefault(fact.golden_id, GoldenIdChange(fact.golden_id, ChangeKind.ANCHOR_MOVED))
            case ev.GoldenIdRetired():
                changes[fact.golden_id] = GoldenIdChange(fact.golden_id, ChangeKind.RETIRED)
            case ev.RecordsRegrouped():
                for group in fact.groups:
                    _regrouped(state, group, changes)
            case _:
                pass
    return tuple(changes.values())


def _regrouped(state: IdentityView, group: ev.Group, changes: dict[GoldenId, GoldenIdChange]) -> None:
    kind = ChangeKind.CREATED if group.is_minted else ChangeKind.JOINED
    changes.setdefault(group.golden_id, GoldenIdChange(group.golden_id, kind))
    golden = state.golden(group.golden_id)
    for absorbed in golden.absorbed if golden else ():
        redirect = state.golden(absorbed)
        if golden is None or redirect is None or redirect.changed_seq < golden.changed_seq:
            # It redirected here before.
            continue
        changes[absorbed] = GoldenIdChange(absorbed, ChangeKind.MERGED, group.golden_id)
        changes[group.golden_id] = GoldenIdChange(group.golden_id, ChangeKind.ABSORBED)
