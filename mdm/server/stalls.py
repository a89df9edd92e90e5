"""Streams whose callers do not read on: each holds a place and a thread, and by itself gRPC lets it do so for ever.

Rests on a private part of grpcio, the call below a stream's context: only there can a message on its way be given up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeVar

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from mdm.limits import STREAM_STALLED_S_MAX
from mdm.server import metrics
from mdm.server.logs import logger

_Message = TypeVar("_Message")


class Stalls:
    """The messages that are on their way to callers, one of each stream at the most."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: dict[grpc.ServicerContext, tuple[str, float]] = {}

    def sent(self, messages: Iterator[_Message], name: str, context: grpc.ServicerContext) -> Iterator[_Message]:
        """Yield messages of the stream `Service/Method`, each once the one before was taken. Cost: 0.5 µs each."""
        try:
            for message in messages:
                self._waiting[context] = name, time.monotonic()
                yield message
                # While the next one is made, nobody waits for the caller.
                self._waiting.pop(context, None)
        finally:
            self._waiting.pop(context, None)

    def end(self, after_s: float = STREAM_STALLED_S_MAX) -> int:
        """End the streams whose message has waited for `after_s`, with UNAVAILABLE; returns how many. Once a second."""
        now_s = time.monotonic()
        stalled = [
            (context, name) for context, (name, since_s) in tuple(self._waiting.items()) if now_s - since_s > after_s
        ]
        for context, name in stalled:
            self._waiting.pop(context, None)
            metrics.calls.labels(name, grpc.StatusCode.UNAVAILABLE.name).inc()
            logger().warning("stream_stalled", method=name, waited_s=after_s)
            call: Any = context._rpc_event.call  # type: ignore[attr-defined]  # noqa: SLF001 – see above
            # Trailing metadata could not pass the messages that nobody reads; code and text do.
            call.cancel(
                cygrpc.StatusCode.unavailable,
                f"nothing was read for {after_s:g} s, so the place was given away; go on behind the last message",
            )
        return len(stalled)
