"""Which golden IDs a write affected and what became of each, from what its events changed."""

from __future__ import annotations

from collections.abc import Iterable

from mdm.domain.changes import ChangeKind, Changes
from mdm.domain.keys import GoldenId
from mdm.resolve.commands import GoldenIdChange

_TOLD = (
    ChangeKind.RETIRED,
    ChangeKind.MERGED,
    ChangeKind.CREATED,
    ChangeKind.RESTORED,
    ChangeKind.SPLIT,
    ChangeKind.ABSORBED,
    ChangeKind.LEFT,
    ChangeKind.JOINED,
    ChangeKind.ANCHOR_MOVED,
)
"""Kinds that an answer tells, of several the first: who only reads it must learn what the golden ID answers now."""


def golden_id_changes(changes: Iterable[Changes]) -> tuple[GoldenIdChange, ...]:
    """Return one change for each golden ID whose members or answer changed, in the order in which they did."""
    told: dict[GoldenId, GoldenIdChange] = {}
    for each in (golden for event in changes for golden in event.goldens if golden.kind in _TOLD):
        before = told.get(each.golden_id)
        if before is None or _TOLD.index(each.kind) <= _TOLD.index(before.kind):
            successor = each.other if each.kind is ChangeKind.MERGED else None
            told[each.golden_id] = GoldenIdChange(each.golden_id, each.kind, successor)
    return tuple(told.values())
