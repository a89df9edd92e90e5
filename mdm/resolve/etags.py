"""Etags: what a steward looked at, as the positions at which its parts last changed. Opaque to callers."""

from __future__ import annotations

from collections.abc import Sequence

from mdm.domain import events as ev
from mdm.domain.judgements import members_of
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.restores import lost, restores_of
from mdm.domain.reviews import Review
from mdm.domain.state import GoldenEntry, IdentityView
from mdm.errors import StaleDecisionError
from mdm.resolve import commands as asked

Subject = ev.Joining | asked.Split | asked.Unmerge | asked.Pin | asked.Unpin
"""An act by what it names; taking a judgement back is decided on what that judgement is about."""

Part = tuple[str, int]
"""What it is, for a message, and the position at which it last changed."""


def parts_of_act(state: IdentityView, act: Subject) -> list[Part]:
    """Return what an act is decided on: each golden record that it names. Cost: a read for each member."""
    match act:
        case ev.Judge() | ev.Merge():
            return [("left", _changed(state, act.left)), ("right", _changed(state, act.right))]
        case ev.Move():
            return [("record", _changed(state, act.number)), ("target", _changed(state, act.target))]
        case asked.Split() | asked.Unmerge():
            return [("golden_id", _changed(state, act.golden_id))]
        case asked.Pin() | asked.Unpin():
            # Fixing a value changes no position: which value is fixed tells of another steward's.
            return [("golden_id", _changed(state, act.golden_id)), ("fixed_value", _fixed(state, act))]


def parts_of_review(state: IdentityView, review: Review) -> list[Part]:
    """Return what a review is decided on: its evidence, and the golden records on both sides."""
    sides = [("left", _changed(state, review.golden_id or review.left))]
    sides += [("right", _changed(state, review.right))] if review.right is not None else []
    return [("evidence", review.changed_seq), *sides]


def etag_of(state: IdentityView, parts: Sequence[Part]) -> str:
    """Return the etag; after a restore it names the epoch, because positions that are lost are given again."""
    restores = restores_of(state)
    epoch = f"@{restores[-1].epoch}" if restores else ""
    return ".".join(str(seq) for _, seq in parts) + epoch


def require_unchanged(state: IdentityView, etag: str, parts: Sequence[Part]) -> None:
    """Return if nothing changed since the etag was read, or none was given.

    Raises:
        StaleDecisionError: Names what changed.
        DataRestoredError: The etag is of an epoch that a restore ended.
    """
    now = etag_of(state, parts)
    if not etag or etag == now:
        return
    positions, _, epoch = etag.partition("@")
    if epoch != now.partition("@")[2]:
        raise lost(restores_of(state), "etag")
    seen = positions.split(".")
    seen += [""] * (len(parts) - len(seen))
    changed = [name for (name, seq), was in zip(parts, seen, strict=False) if str(seq) != was]
    raise StaleDecisionError(f"changed since it was looked at: {', '.join(changed) or 'etag'}")


def _changed(state: IdentityView, subject: RecordNumber | GoldenId) -> int:
    """Return the last position at which a golden record, or that of a record, or one of its members changed."""
    if isinstance(subject, int):
        entry = state.record(subject)
        if entry is None or entry.golden_id is None:
            return entry.changed_seq if entry is not None else 0
        golden_id = entry.golden_id
    else:
        golden_id = subject
    golden = _answering(state, golden_id)
    entries = [state.record(number) for number in members_of(golden)]
    changed = [entry.changed_seq for entry in entries if entry is not None]
    return max([golden.changed_seq if golden is not None else 0, *changed])


def _fixed(state: IdentityView, act: asked.Pin | asked.Unpin) -> int:
    """Return the payload of the value that is fixed for the act's field, 0 if none is."""
    entries = [state.record(number) for number in members_of(_answering(state, act.golden_id))]
    pins = [pin for entry in entries if entry is not None for pin in entry.pins]
    return max((payload_id for field, payload_id in pins if field == act.field), default=0)


def _answering(state: IdentityView, golden_id: GoldenId) -> GoldenEntry | None:
    golden = state.golden(golden_id)
    return state.golden(golden.survivor) if golden is not None and golden.survivor is not None else golden
