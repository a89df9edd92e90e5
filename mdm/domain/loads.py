"""Loads as things of their own: what each was, how far it came, and whether it was taken back. Folded into settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from mdm.domain import load_events as ev
from mdm.domain.load_events import LoadFact
from mdm.domain.restores import restores_of

if TYPE_CHECKING:
    from mdm.domain.events import Event
    from mdm.domain.state import IdentityState, IdentityView

LAST_LOAD = "load_last"
"""Setting: id of the load that began last; each names the one before it."""

_UNWRITTEN = frozenset({"unchanged", "stale", "absent", "rejected"})
"""Outcomes of operations that wrote nothing."""

REVERTING = "reverting"
"""Setting: ids of the loads that are being taken back, in the order in which that was asked for."""


class RevertEntry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A load being taken back, or that was."""

    seq: int
    """Of its first event."""
    at_us: int
    actor: str
    purpose: str
    reason: str
    payload_id: int
    """As in its first event."""
    behind_seq: int
    """What the load did from here on is taken back."""
    outcomes: dict[str, int] = {}
    """By `Effect` of the revert."""
    finished_seq: int = 0


class LoadEntry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One load. Open until it is finished or a revert of it begins."""

    load_id: str
    name: str
    feed: str
    seq: int
    """Of its first event."""
    at_us: int
    actor: str
    purpose: str
    is_full: bool
    is_deferred: bool
    allow_older: bool
    content_digest: str
    before: str
    """Id of the load that began before it; empty for the first."""
    last_seq: int
    """Of its last event so far: it wrote nothing behind it."""
    outcomes: dict[str, int] = {}
    """Operations by outcome."""
    finished_seq: int = 0
    finished_us: int = 0
    row_count: int = 0
    unchanged_count: int = 0
    rejected_count: int = 0
    revert: RevertEntry | None = None
    refused_delete_count: int = 0
    """Records that its file lacked and a gate of its caller's kept."""
    registry_digest: str = ""
    """Of the declaration by which its caller read the rows, if stated."""
    is_registry_changed: bool = False
    """Whether another declaration was in force at its end."""

    @property
    def is_open(self) -> bool:
        """Whether the same name goes on with it."""
        return not self.finished_seq and self.revert is None

    @property
    def has_written(self) -> bool:
        """Whether it may have changed a record."""
        return not _UNWRITTEN.issuperset(self.outcomes)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LoadEntry).decode


def load_of(state: IdentityView, load_id: str) -> LoadEntry | None:
    """Return a load by its id; None for one that never began, or began before loads were kept."""
    value = state.setting(f"loaded:{load_id}")
    return _decode(value) if value else None


def load_named(state: IdentityView, name: str) -> LoadEntry | None:
    """Return the last load of this name."""
    load_id = state.setting(f"load_of:{name}")
    return load_of(state, load_id) if load_id else None


def loads_since(state: IdentityView, entry: LoadEntry) -> Iterator[LoadEntry]:
    """Yield the loads that began after this one, the last first. Cost: 5 µs each."""
    later = load_of(state, state.setting(LAST_LOAD) or "")
    while later is not None and later.seq > entry.seq:
        yield later
        later = load_of(state, later.before)


def fresh_load_id(state: IdentityView, name: str) -> str:
    """Return an id for another load of this name: the name itself, or with a number behind it.

    After a restore the numbers begin at its epoch, because lower ones may have been given to loads that are lost. One
    that a release without `LoadStarted` left open keeps its id to itself: what it wrote could not be taken back.
    """
    restores = restores_of(state)
    load_id, count = name, restores[-1].epoch if restores else 1
    while load_of(state, load_id) is not None or int(state.setting(f"load:{load_id}") or 0):
        count += 1
        load_id = f"{name}.{count}"
    return load_id


def reverting(state: IdentityView) -> list[str]:
    """Return the ids of the loads that are being taken back."""
    return (state.setting(REVERTING) or "").split("\0") if state.setting(REVERTING) else []


def fold_load(state: IdentityState, event: Event, fact: LoadFact) -> None:
    """Fold what happens to a load. Of one that began before loads were kept only the resume point is."""
    match fact:
        case ev.LoadStarted():
            _start(state, event, fact)
        case ev.LoadProgressed():
            state.put_setting(f"load:{fact.load_id}", str(fact.ordinal))
            _change(state, fact.load_id, fact.outcomes, last_seq=event.seq)
        case ev.LoadFinished():
            state.put_setting(f"load:{fact.load_id}", "0")
            entry = load_of(state, fact.load_id)
            read_by = entry.registry_digest if entry is not None else ""
            _change(
                state,
                fact.load_id,
                fact.outcomes,
                last_seq=event.seq,
                finished_seq=event.seq,
                finished_us=event.at_us,
                row_count=fact.row_count,
                unchanged_count=fact.unchanged_count,
                rejected_count=fact.rejected_count,
                refused_delete_count=fact.refused_delete_count,
                is_registry_changed=bool(read_by and fact.registry_digest) and read_by != fact.registry_digest,
            )
        case ev.LoadRevertStarted():
            entry, cause = _known(state, fact.load_id), event.cause
            said = (event.seq, event.at_us, cause.actor, cause.purpose, fact.reason)
            revert = RevertEntry(*said, fact.payload_id, entry.last_seq + 1)
            _put(state, msgspec.structs.replace(entry, revert=revert))
            state.put_setting(REVERTING, "\0".join([*reverting(state), fact.load_id]))
        case ev.LoadRevertProgressed():
            _revert(state, fact.load_id, fact.outcomes, behind_seq=fact.seq)
        case ev.LoadRevertFinished():
            _revert(state, fact.load_id, (), finished_seq=event.seq)
            rest = [load_id for load_id in reverting(state) if load_id != fact.load_id]
            state.put_setting(REVERTING, "\0".join(rest))


def _start(state: IdentityState, event: Event, fact: ev.LoadStarted) -> None:
    cause = event.cause
    entry = LoadEntry(
        fact.load_id,
        fact.name,
        fact.feed,
        event.seq,
        event.at_us,
        cause.actor,
        cause.purpose,
        fact.is_full,
        fact.is_deferred,
        fact.allow_older,
        fact.content_digest,
        state.setting(LAST_LOAD) or "",
        event.seq,
        registry_digest=fact.registry_digest,
    )
    _put(state, entry)
    state.put_setting(f"load_of:{fact.name}", fact.load_id)
    state.put_setting(LAST_LOAD, fact.load_id)


def _change(state: IdentityState, load_id: str, outcomes: ev.Counts, **changes: object) -> None:
    entry = load_of(state, load_id)
    if entry is not None:
        _put(state, msgspec.structs.replace(entry, outcomes=_added(entry.outcomes, outcomes), **changes))


def _revert(state: IdentityState, load_id: str, outcomes: ev.Counts, **changes: object) -> None:
    entry = _known(state, load_id)
    if entry.revert is None:
        message = f"event goes on with a revert of {load_id} that never began"
        raise AssertionError(message)
    found = _added(entry.revert.outcomes, outcomes)
    _put(
        state,
        msgspec.structs.replace(entry, revert=msgspec.structs.replace(entry.revert, outcomes=found, **changes)),
    )


def _added(before: dict[str, int], more: ev.Counts) -> dict[str, int]:
    return dict(sorted((Counter(before) + Counter(dict(more))).items()))


def _known(state: IdentityState, load_id: str) -> LoadEntry:
    entry = load_of(state, load_id)
    if entry is None:
        message = f"event names load {load_id}, which never began"
        raise AssertionError(message)
    return entry


def _put(state: IdentityState, entry: LoadEntry) -> None:
    state.put_setting(f"loaded:{entry.load_id}", _encode(entry).decode())
