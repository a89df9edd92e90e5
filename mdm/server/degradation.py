"""Whether the service only reads, why, and when the writer is tried again.

A start of the writer is the probe: it writes to the journal and syncs before it serves. So that the service does not go
to and fro, each failure of a probe, and of a writer that came back a moment ago, doubles the time until the next.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

from mdm.limits import READ_ONLY_RETRY_S_MAX, RESTARTS_MAX, RESTARTS_WINDOW_S

_TRIAL_S = READ_ONLY_RETRY_S_MAX


class Degradation:
    """Read-only or not. Invariant: `reason` is empty if and only if writes are served as far as this knows."""

    def __init__(self, retry_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        """Begin with a service that writes.

        Args:
            retry_s: Time until the first probe.
            now_s: The clock.
        """
        self.reason = ""
        self._first_s = retry_s
        self._delay_s = retry_s
        self._now_s = now_s
        self._ended_s = float("-inf")
        self._killed_s: collections.deque[float] = collections.deque(maxlen=RESTARTS_MAX)

    def is_on_trial(self) -> bool:
        """Whether writes came back so lately that a failure of the writer takes them away at once."""
        return not self.reason and self._now_s() - self._ended_s < _TRIAL_S

    def fails_trial(self, *, is_killed: bool) -> bool:
        """Return whether the end of the writer takes writes away at once.

        Args:
            is_killed: Whether somebody ended a writer that served: that is no failure of its own, unless it happens
                five times within a minute, as where the kernel wants its memory again and again.
        """
        if not self.is_on_trial() or not is_killed:
            return self.is_on_trial()
        self._killed_s.append(self._now_s())
        return len(self._killed_s) == RESTARTS_MAX and self._killed_s[-1] - self._killed_s[0] < RESTARTS_WINDOW_S

    def begin(self, reason: str) -> float:
        """Serve reads only, or go on doing so after a probe that failed; returns the time until the next probe."""
        if not self.reason and not self.is_on_trial():
            self._delay_s = self._first_s
        delay_s, self.reason = self._delay_s, reason
        self._delay_s = min(READ_ONLY_RETRY_S_MAX, 2 * self._delay_s)
        return delay_s

    def end(self) -> None:
        """Serve writes again."""
        self.reason = ""
        self._ended_s = self._now_s()
