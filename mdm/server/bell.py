"""Wakes calls that watch: one look at the index for all of them, and one place that ends them when the server stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mdm.errors import UnavailableError
from mdm.limits import FEED_POLL_S
from mdm.server.logs import log_failure


class Bell:
    """Rings for each new position of the index while somebody waits for one. Costs nothing while nobody does."""

    def __init__(self, applied_seq: Callable[[], int]) -> None:
        """Listen to an index; its thread ends with the process."""
        self._applied_seq = applied_seq
        self._condition = threading.Condition()
        self._waiting_count = 0
        self._seq = 0
        self._is_stopped = False
        threading.Thread(target=self._listen, name="bell", daemon=True).start()

    def wait_beyond(self, seq: int, timeout_s: float, is_wanted: Callable[[], bool]) -> None:
        """Return when the index is beyond `seq`, after `timeout_s`, or when it is wanted no longer and someone rings.

        Raises:
            UnavailableError: The server stops.
        """
        self._wait(lambda: self._seq > seq or not is_wanted(), timeout_s)

    def pause(self, duration_s: float) -> None:
        """Return after a while; raises UnavailableError when the server stops."""
        self._wait(lambda: False, duration_s)

    def ring(self) -> None:
        """Have everyone who waits look up."""
        with self._condition:
            self._condition.notify_all()

    def stop(self) -> None:
        """End every wait, now and later."""
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()

    def _wait(self, is_over: Callable[[], bool], timeout_s: float) -> None:
        with self._condition:
            self._waiting_count += 1
            self._condition.notify_all()
            try:
                self._condition.wait_for(lambda: self._is_stopped or is_over(), timeout_s)
            finally:
                self._waiting_count -= 1
            if self._is_stopped:
                raise UnavailableError("this server is stopping; resume at another one")

    def _listen(self) -> None:
        while not self._is_stopped:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting_count or self._is_stopped)
            try:
                seq = self._applied_seq()
            except Exception as error:  # noqa: BLE001 – the next look may succeed; until then nobody is woken for nothing
                log_failure("bell_failed", error)
                seq = self._seq
            with self._condition:
                if seq != self._seq:
                    self._seq = seq
                    self._condition.notify_all()
            time.sleep(FEED_POLL_S)
