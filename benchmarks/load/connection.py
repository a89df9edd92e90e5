"""gRPC's unary calls over one connection, by libcurl: a third of the processor time that gRPC's own client takes.

On a machine that client and service share, what the client takes is missing in every figure. libcurl speaks HTTP/2 as
gRPC does on the wire: a length before each message, the status in the trailers.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator, MutableMapping, Sequence
from typing import cast

import grpc
import pycurl

from benchmarks.load.spec import Call

CONNECT_S_MAX = 10.0
STREAMS_MAX = 1_000
"""Calls on one connection at a time, as far as the server allows; further ones wait in libcurl."""

_MESSAGE_HEAD = struct.Struct(">?I")
_STATUS = b"grpc-status:"
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_UNKNOWN = "UNKNOWN"
_RESET = re.compile(r"\(err (\d+)\)")
_RESETS = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED"}
"""HTTP/2's reasons for ending a stream that mean a status to gRPC's clients."""

Watched = MutableMapping[int, "Connection"]
"""Sockets that connections want to be told of."""


class Exchange(pycurl.Curl):
    """One call under way, and its result. Used again for the next call of its kind on its connection."""

    kind: int
    due_s: float
    sent_s: float
    status: str
    """Name of gRPC's status; empty until it has arrived."""

    def take_line(self, line: bytes) -> None:
        """Look for the status among the lines of head and trailers."""
        if line.startswith(_STATUS):
            self.status = _NAMES.get(int(line[len(_STATUS) :]), _UNKNOWN)


class Connection:
    """One connection and its calls. Whoever holds it waits for its sockets and its timer, and tells it of both."""

    def __init__(self, address: str, calls: Sequence[Call], reading: Watched, writing: Watched) -> None:
        """Connect.

        Args:
            address: `HOST:PORT`, without TLS.
            calls: Kinds of calls.
            reading: Gets the sockets that are to be read.
            writing: Gets those that are to be written.

        Raises:
            ConnectionError: Nothing that speaks HTTP/2 answers there.
        """
        self._address = address
        self._calls = calls
        self._watched = (reading, writing)
        self.timer_s = float("inf")
        """When it wants to act next, by the monotonic clock."""
        self._idle: list[list[Exchange]] = [[] for _ in calls]
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, STREAMS_MAX)
        self._connect()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def begin(self, kind: int, body: bytes, due_s: float) -> None:
        """Begin a call.

        Args:
            kind: Index into the calls.
            body: Its serialised request.
            due_s: When it was meant to begin.
        """
        idle = self._idle[kind]
        exchange = idle.pop() if idle else self._exchange(kind)
        exchange.due_s = due_s
        exchange.sent_s = time.monotonic()
        exchange.status = ""
        exchange.setopt(pycurl.POSTFIELDS, _message(body))
        self._multi.add_handle(exchange)

    def act(self, descriptor: int = pycurl.SOCKET_TIMEOUT, events: int = 0) -> None:
        """Read or write what a socket is ready for, or do what the timer is due for."""
        if descriptor == pycurl.SOCKET_TIMEOUT:
            self.timer_s = float("inf")
        self._multi.socket_action(descriptor, events)

    def ended(self) -> Iterator[Exchange]:
        """Yield the calls that have ended since; each may be used again once the next is asked for."""
        more = 1
        while more:
            more, answered, failed = self._multi.info_read()
            for handle, number, text in failed:
                cast("Exchange", handle).status = _status_of(number, text)
            for handle in (*answered, *(each for each, *_ in failed)):
                exchange = cast("Exchange", handle)
                self._multi.remove_handle(exchange)
                exchange.status = exchange.status or _UNKNOWN
                yield exchange
                self._idle[exchange.kind].append(exchange)

    def close(self) -> None:
        """Give up what is under way and close the connection."""
        self._multi.close()

    def _exchange(self, kind: int) -> Exchange:
        call = self._calls[kind]
        exchange = _post(self._address, call.method, call.timeout_s)
        exchange.kind = kind
        return exchange

    def _connect(self) -> None:
        """Ask what no server offers: the connection is then there, and its bounds are known."""
        exchange = _post(self._address, "/benchmarks.Connection/Open", CONNECT_S_MAX)
        exchange.status = ""
        exchange.setopt(pycurl.POSTFIELDS, _message(b""))
        self._multi.add_handle(exchange)
        under_way = 1
        while under_way:
            _, under_way = self._multi.perform()
            self._multi.select(1.0)
        _, _, failed = self._multi.info_read()
        self._multi.remove_handle(exchange)
        if failed or not exchange.status:
            raise ConnectionError(f"{self._address}: {failed[0][2] if failed else 'answers without a status'}")

    def _watch(self, wanted: int, descriptor: int, *_: object) -> None:
        for sockets, event in zip(self._watched, (pycurl.POLL_IN, pycurl.POLL_OUT), strict=True):
            if wanted != pycurl.POLL_REMOVE and wanted & event:
                sockets[descriptor] = self
            else:
                sockets.pop(descriptor, None)

    def _set_timer(self, milliseconds: int) -> None:
        self.timer_s = float("inf") if milliseconds < 0 else time.monotonic() + milliseconds / 1000


def _message(body: bytes) -> bytes:
    is_compressed = False
    return _MESSAGE_HEAD.pack(is_compressed, len(body)) + body


def _post(address: str, method: str, timeout_s: float) -> Exchange:
    exchange = Exchange()
    timeout_ms = round(timeout_s * 1000)
    exchange.setopt(pycurl.URL, f"http://{address}{method}")
    exchange.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    exchange.setopt(pycurl.PIPEWAIT, 1)
    exchange.setopt(pycurl.NOSIGNAL, 1)
    exchange.setopt(pycurl.NOPROXY, "*")
    exchange.setopt(pycurl.POST, 1)
    headers = ["content-type: application/grpc", "te: trailers", f"grpc-timeout: {timeout_ms}m", "accept:", "expect:"]
    exchange.setopt(pycurl.HTTPHEADER, headers)
    exchange.setopt(pycurl.TIMEOUT_MS, timeout_ms)
    exchange.setopt(pycurl.HEADERFUNCTION, exchange.take_line)
    exchange.setopt(pycurl.WRITEFUNCTION, len)
    return exchange


def _status_of(number: int, text: str) -> str:
    if number == pycurl.E_OPERATION_TIMEDOUT:
        return "DEADLINE_EXCEEDED"
    reset = _RESET.search(text)
    return _RESETS.get(int(reset[1]), _UNKNOWN) if reset else "UNAVAILABLE"
