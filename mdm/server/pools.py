"""Thread pools that know how many calls they hold, so that calls beyond a bound are refused instead of queued."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class CountingPool(ThreadPoolExecutor):
    """A pool that counts what is waiting or running in it. gRPC calls `submit` once for each call."""

    def __init__(self, name: str, workers: int, calls_max: int) -> None:
        """Start with no calls.

        Args:
            name: Of the threads.
            workers: Threads.
            calls_max: Calls waiting or running from which on `is_full`.
        """
        super().__init__(workers, thread_name_prefix=name)
        self._calls_max = calls_max
        self._count = 0
        self._count_lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether one call more would exceed the bound."""
        return self._count >= self._calls_max

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Queue a call and count it until it ends, however it ends."""
        with self._count_lock:
            self._count += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self._release()
            raise
        future.add_done_callback(lambda _: self._release())
        return future

    def _release(self) -> None:
        with self._count_lock:
            self._count -= 1
