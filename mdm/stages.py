"""How long the parts of calls take. Whoever does a part notes it; the server takes what was noted and shows it.

A bound queue between them, so that noting costs half a microsecond and knows of no metric.
"""

from __future__ import annotations

import threading
import time
from collections import deque

QUEUE, TURN, MATCH = "queue", "turn", "match"
NORMALISE, CANDIDATES, SCORE, WRITE = "normalise", "candidates", "score", "write"
WRITER_QUEUE, DECIDE, JOURNAL, INDEX = "writer_queue", "decide", "journal", "index"

STAGES = (QUEUE, TURN, MATCH, NORMALISE, CANDIDATES, SCORE, WRITE, WRITER_QUEUE, DECIDE, JOURNAL, INDEX)
"""In the order in which a call passes them: waiting for a thread, then for other searches; matching as a whole; of a
write its values normalised, candidates found and pairs scored; waited for by the reader; waiting in the writer;
decided; written to the journal and synced; committed to the index. A load passes them by messages of some records."""

_NOTED_MAX = 100_000
_noted: deque[tuple[str, float]] = deque(maxlen=_NOTED_MAX)
_own = threading.local()


def note(stage: str, seconds: float) -> None:
    """Note how long a part took. Safe from any thread. Beyond 100,000 that nobody took, the oldest are lost."""
    _noted.append((stage, seconds))
    own = getattr(_own, "noted", None)
    if own is not None:
        own[stage] = own.get(stage, 0.0) + seconds


class Watch:
    """Notes parts that follow each other."""

    def __init__(self) -> None:
        """Begin the first part."""
        self._begun_s = time.perf_counter()

    def note(self, stage: str) -> None:
        """Note the part that ends here, and begin the next."""
        now_s = time.perf_counter()
        note(stage, now_s - self._begun_s)
        self._begun_s = now_s


def take() -> list[tuple[str, float]]:
    """Return what was noted since the last time."""
    return [_noted.popleft() for _ in range(len(_noted))]


def begin_call() -> None:
    """Gather from now on what this thread notes, for `end_call`."""
    _own.noted = {}


def end_call() -> dict[str, float]:
    """Return the seconds of each stage that this thread noted since `begin_call`."""
    found: dict[str, float] = getattr(_own, "noted", None) or {}
    _own.noted = None
    return found
