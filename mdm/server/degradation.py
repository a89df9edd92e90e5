"""Whether the service only reads, why, and when the writer is tried again.

A start of the writer is the probe: it writes to the journal and syncs before it serves. So that the service does not go
to and fro, each failure of a probe, and of a writer that came back a moment ago, doubles the time until the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mdm.limits import READ_ONLY_RETRY_S_MAX

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

    def is_on_trial(self) -> bool:
        """Whether writes came back so lately that the next failure of the writer takes them away at once."""
        return not self.reason and self._now_s() - self._ended_s < _TRIAL_S

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
