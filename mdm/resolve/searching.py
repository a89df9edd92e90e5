"""Searches of one reader: what a record's write would see and do. One at a time, but for those that may not wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from mdm import stages
from mdm.domain.records import SourceRecord
from mdm.limits import SHORT_MATCH_RECORDS_MAX
from mdm.resolve.commands import Proposal
from mdm.resolve.matcher import candidates_of, describe, proposal_of, score
from mdm.resolve.opened import Opened
from mdm.resolve.previews import preview_write
from mdm.resolve.recall import ReadsExceededError, Recall
from mdm.resolve.views import Preview

_GIVE_WAY_S = 0.0015
"""For how long a search of a batch lets those at once go first: beside eight callers of these, all batches together
keep some 330 records a second."""

_STRETCH_S = 0.015
"""For how long one batch searches while others wait: to change threads at each record takes a third more."""


class Searches:
    """Answers searches. Safe to share between threads.

    Invariant: every answer rests on one index transaction and so on one seq.
    """

    def __init__(self, opened: Callable[[], Opened]) -> None:
        """Search what `opened` returns."""
        self._opened = opened
        # Each LMDB call lets the interpreter lock go: eight searches at a time cost 2.3 times what they do in turns.
        self._turn = threading.Lock()
        # One batch at a time asks for turns and gives way: with each for itself, one of many would always be searching.
        self._batches = _Rota(_STRETCH_S)
        self._idle = threading.Event()
        self._idle.set()

    def give_way_to(self, idle: threading.Event) -> None:
        """Let batches begin each search once `idle` is set, or after 1.5 ms: `find_at_once` then has the process."""
        self._idle = idle

    def propose(self, record: SourceRecord) -> Proposal:
        """Do all of a write's work that needs no decision. Cost: about 0.15 ms and 10 us a candidate."""
        opened = self._opened()
        engine = opened.engines[record.key.kind]
        with self._in_turn(), opened.index.read() as view:
            watch = stages.Watch()
            description = describe(record)
            watch.note(stages.NORMALISE)
            own = view.number_of(record.key)
            found = candidates_of(view, description.kind, description.keys, own)
            watch.note(stages.CANDIDATES)
            scored = score(Recall(view, description.kind), engine, description.features, found.numbers)
            proposal = proposal_of(engine, description, scored, view.applied_seq)
            watch.note(stages.SCORE)
            return proposal

    def preview(self, record: SourceRecord, limit: int = 10) -> Preview:
        """Return what a write of `record` would do, without writing."""
        opened = self._opened()
        with self._in_turn(), opened.index.read() as view:
            begun_s = time.perf_counter()
            preview = preview_write(view, opened.engines[record.key.kind], record, limit, view.number_of(record.key))
            stages.note(stages.MATCH, time.perf_counter() - begun_s)
            return preview

    def find(self, queries: Sequence[SourceRecord], limit: int = 10) -> Generator[Preview, None, None]:
        """Yield what a write of each query would find, all in one state; what several come near is read once.

        Of several, each gives way to searches at once, for 1.5 ms at most and before it takes its turn: neither
        writes nor previews wait for that, only other batches. The index transaction stays open meanwhile.
        Queries stand under no key, so that none can be stored already. Close what is not read to its end.
        """
        opened, is_batch = self._opened(), len(queries) > 1
        with opened.index.read() as view:
            seen = {kind: Recall(view, kind) for kind in opened.engines}
            with self._among_batches() if is_batch else nullcontext():
                for place, query in enumerate(queries):
                    kind = query.key.kind
                    if place:
                        self._batches.pass_on()
                    with self._in_turn(is_batch=is_batch):
                        begun_s = time.perf_counter()
                        preview = preview_write(view, opened.engines[kind], query, limit, None, seen[kind])
                        stages.note(stages.MATCH, time.perf_counter() - begun_s)
                    yield preview

    def find_at_once(self, query: SourceRecord, limit: int) -> Preview | None:
        """Return what a query finds if that takes few reads, 0.5 to 3 ms; None otherwise. Waits for no turn."""
        opened, kind, begun_s = self._opened(), query.key.kind, time.perf_counter()
        with opened.index.read() as view:
            seen = Recall(view, kind, SHORT_MATCH_RECORDS_MAX)
            try:
                preview = preview_write(view, opened.engines[kind], query, limit, None, seen)
            except ReadsExceededError:
                return None
        stages.note(stages.MATCH, time.perf_counter() - begun_s)
        return preview

    @contextmanager
    def _among_batches(self) -> Iterator[None]:
        begun_s = time.perf_counter()
        with self._batches:
            stages.note(stages.TURN, time.perf_counter() - begun_s)
            yield

    @contextmanager
    def _in_turn(self, *, is_batch: bool = False) -> Iterator[None]:
        begun_s = time.perf_counter()
        if is_batch:
            self._idle.wait(_GIVE_WAY_S)
        with self._turn:
            stages.note(stages.TURN, time.perf_counter() - begun_s)
            yield


class _Rota:
    """A lock that goes round among those who want it, in the order of their coming, for a stretch of time each.

    Of a `threading.Lock` whoever gives it back takes it again before those who wait have woken.
    """

    def __init__(self, stretch_s: float) -> None:
        self._stretch_s = stretch_s
        self._guard = threading.Lock()
        self._ends_s = 0.0
        self._gates: deque[threading.Lock] = deque()
        """Of the holder, then of those who wait; each opens when its turn has come."""

    def __enter__(self) -> None:
        # Made before the guard is taken: to make a lock may collect garbage, in which another holder may end.
        gate = threading.Lock()
        gate.acquire()
        with self._guard:
            self._gates.append(gate)
            if self._gates[0] is gate:
                gate.release()
        self._begin(gate)

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._gates.popleft()
            if self._gates:
                self._gates[0].release()

    def pass_on(self) -> None:
        """Let those who wait go first if the holder, who asks, has had its stretch."""
        if len(self._gates) > 1 and time.perf_counter() >= self._ends_s:
            # At once, or the next holder could be back in the queue before this one.
            with self._guard:
                gate = self._gates[0]
                self._gates.rotate(-1)
                self._gates[0].release()
            self._begin(gate)

    def _begin(self, gate: threading.Lock) -> None:
        gate.acquire()
        self._ends_s = time.perf_counter() + self._stretch_s
