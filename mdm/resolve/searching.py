"""Searches of one reader: what a record's write would see and do. One at a time, but for those that may not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mdm import stages
from mdm.domain.records import SourceRecord
from mdm.limits import SHORT_MATCH_RECORDS_MAX
from mdm.resolve.commands import Proposal
from mdm.resolve.matcher import candidates_of, describe, proposal_of, score
from mdm.resolve.opened import Opened
from mdm.resolve.previews import preview_write
from mdm.resolve.recall import ReadsExceededError, Recall
from mdm.resolve.views import Preview

_GIVE_WAY_S = 0.0025
"""For how long a search of a batch lets those at once go first: beside eight callers of these, all batches together
keep some 300 records a second."""


class Searches:
    """Answers searches. Safe to share between threads.

    Invariant: every answer rests on one index transaction and so on one seq.
    """

    def __init__(self, opened: Callable[[], Opened]) -> None:
        """Search what `opened` returns."""
        self._opened = opened
        # Each LMDB call lets the interpreter lock go: eight searches at a time cost 2.3 times what they do in turns.
        self._turn = threading.Lock()
        # One batch at a time gives way: with each for itself, one of many would always be searching.
        self._giving_way = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def give_way_to(self, idle: threading.Event) -> None:
        """Let batches begin each search once `idle` is set, or after 2.5 ms: `find_at_once` then has the process."""
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

    def find(self, queries: Sequence[SourceRecord], limit: int = 10) -> Iterator[Preview]:
        """Yield what a write of each query would find, all in one state; what several come near is read once.

        Of several, each gives way to searches at once, for 2.5 ms at most and before it takes its turn: neither
        writes nor previews wait for that. The index transaction stays open meanwhile.
        Queries stand under no key, so that none can be stored already.
        """
        opened = self._opened()
        with opened.index.read() as view:
            seen = {kind: Recall(view, kind) for kind in opened.engines}
            for query in queries:
                kind = query.key.kind
                with self._in_turn(gives_way=len(queries) > 1):
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
    def _in_turn(self, *, gives_way: bool = False) -> Iterator[None]:
        begun_s = time.perf_counter()
        if gives_way:
            with self._giving_way:
                self._idle.wait(_GIVE_WAY_S)
        with self._turn:
            stages.note(stages.TURN, time.perf_counter() - begun_s)
            yield
