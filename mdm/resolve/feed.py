"""The change feed: what each event changed, with source keys, as a subscriber asked for it."""

from __future__ import annotations

import msgspec

from mdm.domain.changes import ChangeKind, Changes, GoldenChange
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey, kind_of
from mdm.limits import FEED_EVENTS_MAX, FEED_RECORDS_MAX, FEED_SCANNED_MAX
from mdm.store.view import IndexView


class FeedFilter(msgspec.Struct, frozen=True):
    """Which events are told, and what of them."""

    registries: frozenset[str] = frozenset()
    """Only events that concern records of these registries, and of their records only these. Empty means all."""
    kind: EntityKind | None = None
    change_kinds: frozenset[ChangeKind] = frozenset()
    """Only events with a change of these kinds, and of their changes only these. Empty means all."""


class FeedMove(msgspec.Struct, frozen=True):
    """A record that changed its golden ID."""

    key: SourceKey | None
    """None once it is erased."""
    before: GoldenId | None
    after: GoldenId | None


class FeedEvent(msgspec.Struct, frozen=True):
    """What one event changed."""

    seq: int
    at_us: int
    goldens: tuple[GoldenChange, ...]
    moves: tuple[FeedMove, ...]


class FeedPage(msgspec.Struct, frozen=True):
    """The next stretch of the feed."""

    events: tuple[FeedEvent, ...]
    seq: int
    """Position up to which everything is told."""
    is_at_end: bool
    """Whether the index holds nothing behind it."""
    is_current: bool
    """Whether the page is at the end of an index that has reached the position asked for."""


def read_page(view: IndexView, after_seq: int, wanted: FeedFilter) -> FeedPage:
    """Return the events behind a position, in order.

    At most `FEED_EVENTS_MAX` of them, with `FEED_RECORDS_MAX` records unless the first alone has more, out of at most
    `FEED_SCANNED_MAX` that are looked at. Cost: about 10 µs an event and 3 µs a record.
    """
    events: list[FeedEvent] = []
    record_count = 0
    seq = after_seq
    for scanned, (change_seq, changes) in enumerate(view.iter_changes(after_seq)):
        is_full = len(events) == FEED_EVENTS_MAX or record_count + len(changes.records) > FEED_RECORDS_MAX
        if (events and is_full) or scanned == FEED_SCANNED_MAX:
            return FeedPage(tuple(events), seq, is_at_end=False, is_current=False)
        event = _event(view, change_seq, changes, wanted)
        if event is not None:
            events.append(event)
            record_count += len(event.moves)
        seq = change_seq
    # A subscriber may come from a server that is ahead: nothing is told again, and nothing is current before we follow.
    applied_seq = view.applied_seq
    return FeedPage(tuple(events), max(seq, applied_seq), is_at_end=True, is_current=applied_seq >= after_seq)


def _event(view: IndexView, seq: int, changes: Changes, wanted: FeedFilter) -> FeedEvent | None:
    if wanted.kind is not None and kind_of(changes.goldens[0].golden_id) is not wanted.kind:
        return None
    goldens = changes.goldens
    if wanted.change_kinds:
        goldens = tuple(golden for golden in goldens if golden.kind in wanted.change_kinds)
        if not goldens:
            return None
    records = changes.records
    if wanted.registries:
        records = tuple(record for record in records if _registry_of(view, record.number) in wanted.registries)
        if not records:
            return None
    moves = tuple(
        FeedMove(view.key_of(record.number), record.before, record.after)
        for record in records
        if record.before != record.after
    )
    return FeedEvent(seq, changes.at_us, goldens, moves)


def _registry_of(view: IndexView, number: RecordNumber) -> str:
    # Not from the source key: an erased record has none any more.
    entry = view.record(number)
    return entry.registry if entry is not None else ""
