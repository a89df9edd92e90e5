"""One client process: `python -m benchmarks.load.client SPEC`, a `LoadSpec` as JSON.

It says `ready` when its connections are up, reads the start of the warm-up from its standard input, in seconds of the
monotonic clock that all processes of the machine share, and ends by printing a `ClientReport`. A second line on its
standard input ends the window before its time.
"""

from __future__ import annotations

import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import msgspec
import pycurl

from benchmarks.load.arrivals import draws, due_times
from benchmarks.load.connection import Connection, Sent
from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import CallCounts, ClientReport, LoadSpec, read_requests

READY = "ready"
_OK = "OK"
_POLL_S = 0.02
_NEVER_S = float("inf")


class Client:
    """Sends the calls of one spec and remembers each of them. One thread sends and receives."""

    def __init__(self, spec: LoadSpec) -> None:
        """Read the requests and connect.

        Raises:
            ConnectionError: Nothing answers at the address.
        """
        self._spec = spec
        self._draws = draws(spec, [read_requests(Path(call.requests)) for call in spec.calls])
        self._reading: dict[int, Connection] = {}
        self._writing: dict[int, Connection] = {}
        self._connections = [
            Connection(spec.address, spec.calls, self._reading, self._writing, encryption=spec.encryption)
            for _ in range(spec.channels)
        ]
        self._turns = cycle(self._connections)
        self._sent: list[Sent] = []
        self._unsent: list[float] = []
        self._open_count = 0

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    def run(self, start_s: float) -> ClientReport:
        """Send until the window ends, wait for every answer, and return what was measured."""
        self._begin_s = start_s + self._spec.warm_up_s
        self._end_s = self._begin_s + self._spec.measure_s
        is_open = self._spec.rate_per_s > 0
        self._dues = iter((start_s + due_times(self._spec)).tolist() if is_open else [])
        self._due_s = next(self._dues, _NEVER_S)
        threading.Thread(target=self._listen, daemon=True).start()
        time.sleep(max(start_s - time.monotonic(), 0))
        for _ in range(0 if is_open else self._spec.outstanding):
            self._send(time.monotonic())
        self._send_until(lambda: self._begin_s)
        before_s = time.process_time()
        self._send_until(lambda: self._end_s)
        cpu_s = time.process_time() - before_s
        # Each call has a deadline, so this ends.
        while self._open_count:
            self._receive(_NEVER_S)
        return self._report(cpu_s)

    def _send_until(self, moment: Callable[[], float]) -> None:
        while (now_s := time.monotonic()) < (until_s := moment()):
            while self._due_s <= now_s:
                self._send(self._due_s)
                self._due_s = next(self._dues, _NEVER_S)
            self._receive(min(until_s, self._due_s))
        # What was due and is late is sent all the same, and counts as late.
        while self._due_s < until_s:
            self._send(self._due_s)
            self._due_s = next(self._dues, _NEVER_S)

    def _send(self, due_s: float) -> None:
        draw = next(self._draws, None) if self._open_count < self._spec.outstanding_max else None
        if draw is None:
            self._unsent.append(due_s)
        else:
            self._open_count += 1
            next(self._turns).begin(draw.call, draw.body, due_s)

    def _receive(self, until_s: float) -> None:
        """Let connections do what they are ready for, and take note of what has ended; wait for it until a moment."""
        now_s = time.monotonic()
        for connection in self._connections:
            if connection.timer_s <= now_s:
                connection.act()
                self._take(connection)
        # A closed loop may have begun a call on any of them.
        wake_s = min(until_s, *(connection.timer_s for connection in self._connections))
        wait_s = min(max(wake_s - time.monotonic(), 0.0), _POLL_S)
        readable, writable, _ = select.select(self._reading, self._writing, (), wait_s)
        for sockets, ready, event in (
            (self._reading, readable, pycurl.CSELECT_IN),
            (self._writing, writable, pycurl.CSELECT_OUT),
        ):
            for descriptor in ready:
                # What a connection did for another event may have closed the socket.
                if (owner := sockets.get(descriptor)) is not None:
                    owner.act(descriptor, event)
                    self._take(owner)

    def _take(self, connection: Connection) -> None:
        is_closed_loop = not self._spec.rate_per_s
        for each in connection.ended():
            self._open_count -= 1
            self._sent.append(each)
            if is_closed_loop and each.ended_s < self._end_s:
                self._send(each.ended_s)

    def _listen(self) -> None:
        if sys.stdin.readline():
            self._end_s = min(self._end_s, time.monotonic())

    def _report(self, cpu_s: float) -> ClientReport:
        begin_s, end_s = self._begin_s, self._end_s
        due = [each for each in self._sent if begin_s <= each.due_s < end_s]
        calls = {}
        for kind, call in enumerate(self._spec.calls):
            mine = [each for each in due if each.kind == kind]
            calls[call.name] = CallCounts(
                Histogram.of([each.ended_s - each.due_s for each in mine if each.status == _OK]),
                dict(Counter(each.status for each in mine)),
                sum(
                    each.kind == kind and each.status == _OK and begin_s <= each.ended_s < end_s for each in self._sent
                ),
            )
        lateness = Histogram.of([each.sent_s - each.due_s for each in due])
        unsent_count = sum(begin_s <= each < end_s for each in self._unsent)
        return ClientReport(calls, lateness, cpu_s, unsent_count, end_s - begin_s)


def main(text: str) -> None:
    """Do as a spec says."""
    client = Client(msgspec.json.decode(text, type=LoadSpec, strict=False))
    print(READY, flush=True)
    report = client.run(float(sys.stdin.readline()))
    client.close()
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
