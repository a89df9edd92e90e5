"""One client process: `python -m benchmarks.load.client SPEC`, a `LoadSpec` as JSON.

It says `ready` when its channels are up, reads the start of the warm-up from its standard input, in seconds of the
monotonic clock that all processes of the machine share, and ends by printing a `ClientReport`. A second line on its
standard input ends the window before its time.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import msgspec

from benchmarks.load.arrivals import Draw, draws, due_times
from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import CallCounts, ClientReport, LoadSpec, read_requests

READY = "ready"
_CONNECT_S_MAX = 10.0
_SWITCH_S = 0.0005
"""A thread that has an answer in hand may wait so long for the one that sends: the default, 5 ms, would be measured."""
_POLL_S = 0.02

_Sent = tuple[int, float, float, float, grpc.StatusCode]
"""Kind, intended start, sent, ended, status."""


class Client:
    """Sends the calls of one spec and remembers each of them."""

    def __init__(self, spec: LoadSpec) -> None:
        """Read the requests and connect.

        Raises:
            grpc.FutureTimeoutError: Nothing answers at the address.
        """
        self._spec = spec
        self._draws = draws(spec, [read_requests(Path(call.requests)) for call in spec.calls])
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channels = [grpc.insecure_channel(spec.address, options) for _ in range(spec.channels)]
        for channel in self._channels:
            grpc.channel_ready_future(channel).result(_CONNECT_S_MAX)
        # Without serialisers: bodies go out as they were read and come in as they were sent.
        methods: list[list[Any]] = [
            [channel.unary_unary(call.method) for call in spec.calls] for channel in self._channels
        ]
        self._methods = cycle(methods)
        self._sent: list[_Sent] = []
        self._unsent: list[float] = []
        self._open_count = 0
        self._cpu_s = 0.0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            channel.close()

    def run(self, start_s: float) -> ClientReport:
        """Send until the window ends, wait for every answer, and return what was measured."""
        self._begin_s = start_s + self._spec.warm_up_s
        self._end_s = self._begin_s + self._spec.measure_s
        clock = threading.Thread(target=self._watch)
        clock.start()
        threading.Thread(target=self._listen, daemon=True).start()
        _sleep_until(start_s)
        if self._spec.rate_per_s:
            self._open_loop(start_s)
        else:
            self._closed_loop()
        # Each call has a deadline, so this ends.
        while self._open_count:
            time.sleep(_POLL_S)
        clock.join()
        return self._report()

    def _open_loop(self, start_s: float) -> None:
        for offset_s in due_times(self._spec).tolist():
            due_s = start_s + offset_s
            _sleep_until(due_s)
            if due_s >= self._end_s:
                return
            draw = next(self._draws, None) if self._open_count < self._spec.outstanding_max else None
            if draw is None:
                self._unsent.append(due_s)
            else:
                self._send(draw, due_s, self._ended)

    def _closed_loop(self) -> None:
        for _ in range(self._spec.outstanding):
            self._next()
        while time.monotonic() < self._end_s:
            time.sleep(_POLL_S)

    def _next(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            draw = next(self._draws, None) if now_s < self._end_s else None
        if draw is not None:
            self._send(draw, now_s, self._ended_closed)
        elif now_s < self._end_s:
            self._unsent.append(now_s)

    def _send(self, draw: Draw, due_s: float, ended: Callable[..., None]) -> None:
        with self._lock:
            self._open_count += 1
            method = next(self._methods)[draw.call]
        sent_s = time.monotonic()
        future = method.future(draw.body, timeout=self._spec.calls[draw.call].timeout_s)
        future.add_done_callback(partial(ended, draw.call, due_s, sent_s))

    def _ended(self, call: int, due_s: float, sent_s: float, future: Any) -> None:
        self._sent.append((call, due_s, sent_s, time.monotonic(), future.code()))
        with self._lock:
            self._open_count -= 1

    def _ended_closed(self, call: int, due_s: float, sent_s: float, future: Any) -> None:
        self._ended(call, due_s, sent_s, future)
        self._next()

    def _watch(self) -> None:
        """Read this process's CPU time at both ends of the window."""
        _sleep_until(self._begin_s)
        before_s = time.process_time()
        while time.monotonic() < self._end_s:
            time.sleep(min(_POLL_S, max(self._end_s - time.monotonic(), 0)))
        self._cpu_s = time.process_time() - before_s

    def _listen(self) -> None:
        if sys.stdin.readline():
            self._end_s = min(self._end_s, time.monotonic())

    def _report(self) -> ClientReport:
        begin_s, end_s = self._begin_s, self._end_s
        due = [each for each in self._sent if begin_s <= each[1] < end_s]
        calls = {}
        for number, call in enumerate(self._spec.calls):
            mine = [each for each in due if each[0] == number]
            calls[call.name] = CallCounts(
                Histogram.of([ended - meant for _, meant, _, ended, code in mine if code is grpc.StatusCode.OK]),
                dict(Counter(code.name for *_, code in mine)),
                sum(
                    each[0] == number and each[4] is grpc.StatusCode.OK and begin_s <= each[3] < end_s
                    for each in self._sent
                ),
            )
        lateness = Histogram.of([sent - meant for _, meant, sent, _, _ in due])
        unsent_count = sum(begin_s <= each < end_s for each in self._unsent)
        return ClientReport(calls, lateness, self._cpu_s, unsent_count, end_s - begin_s)


def _sleep_until(moment_s: float) -> None:
    while (left_s := moment_s - time.monotonic()) > 0:
        time.sleep(left_s)


def main(text: str) -> None:
    """Do as a spec says."""
    sys.setswitchinterval(_SWITCH_S)
    client = Client(msgspec.json.decode(text, type=LoadSpec, strict=False))
    print(READY, flush=True)
    report = client.run(float(sys.stdin.readline()))
    client.close()
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
