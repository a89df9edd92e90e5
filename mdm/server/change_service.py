"""ChangeService: the change feed. A stream holds one page in memory and no transaction while it waits or sends."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc

from mdm.domain.changes import ChangeKind
from mdm.limits import FEED_CHECKPOINT_S, FEED_RECORDS_MAX
from mdm.resolve.feed import FeedEvent, FeedFilter, FeedMove, FeedPage
from mdm.resolve.reader import Reader
from mdm.server.bell import Bell
from mdm.server.calls import check_registries, token_at
from mdm.server.wire_answers import CHANGES, timestamp
from mdm.server.wire_records import KINDS, key_message
from mdm.v1 import change_service_pb2 as wire
from mdm.v1.change_service_pb2_grpc import ChangeServiceServicer

_CHANGE_KINDS: dict[int, ChangeKind] = {number: kind for kind, number in CHANGES.items()}


class ChangeService(ChangeServiceServicer):
    """Tells subscribers what changed."""

    def __init__(self, reader: Reader, bell: Bell) -> None:
        """Read from this process's index."""
        self._reader = reader
        self._bell = bell

    def Watch(
        self, request: wire.ChangeServiceWatchRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ChangeServiceWatchResponse]:
        """Stream what changed behind a position, and now and then where the stream stands, until the caller leaves."""
        check_registries(self._reader, request.registries)
        wanted = FeedFilter(
            frozenset(request.registries),
            KINDS.get(request.entity_kind),
            frozenset(_CHANGE_KINDS[number] for number in request.change_types),
        )
        interval_s = request.checkpoint_interval_s or FEED_CHECKPOINT_S
        seq = self._start(request)
        context.add_callback(self._bell.ring)
        due_s = 0.0
        is_told_current = False
        while context.is_active():
            page = self._reader.feed_page(seq, wanted)
            seq = page.seq
            if page.events or (page.is_current and not is_told_current) or time.monotonic() >= due_s:
                yield from self._messages(page)
                is_told_current = page.is_current
                due_s = time.monotonic() + interval_s
            # Without a wait while there is more: a stream that catches up hears of a stop, too.
            wait_s = max(0.0, due_s - time.monotonic()) if page.is_at_end else 0.0
            self._bell.wait_beyond(seq, wait_s, context.is_active)

    def _start(self, request: wire.ChangeServiceWatchRequest) -> int:
        if request.after.value:
            return self._reader.feed_position(request.after.value)
        return 0 if request.start == wire.WATCH_START_BEGINNING else self._reader.applied_seq()

    def _messages(self, page: FeedPage) -> Iterator[wire.ChangeServiceWatchResponse]:
        """Yield a page as one message, or as several if its one event has more records than fit."""
        response = wire.ChangeServiceWatchResponse(is_current=page.is_current, token=token_at(self._reader, page.seq))
        for event in page.events:
            moves = event.moves
            while len(moves) > FEED_RECORDS_MAX:
                part = _event_message(event, moves[:FEED_RECORDS_MAX], is_continued=True)
                yield wire.ChangeServiceWatchResponse(events=[part])
                moves = moves[FEED_RECORDS_MAX:]
            response.events.append(_event_message(event, moves, is_continued=False))
        yield response


def _event_message(event: FeedEvent, moves: tuple[FeedMove, ...], *, is_continued: bool) -> wire.ChangeEvent:
    goldens = () if is_continued else event.goldens
    effects = [
        wire.GoldenIdEffect(golden_id=golden.golden_id, type=CHANGES[golden.kind], other_golden_id=golden.other or "")
        for golden in goldens
    ]
    return wire.ChangeEvent(
        happened_at=timestamp(event.at_us),
        effects=effects,
        moves=[_move(each) for each in moves],
        is_continued=is_continued,
    )


def _move(move: FeedMove) -> wire.RecordMove:
    return wire.RecordMove(
        key=key_message(move.key) if move.key is not None else None,
        old_golden_id=move.before or "",
        new_golden_id=move.after or "",
    )
