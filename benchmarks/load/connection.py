"""gRPC's unary calls over one connection, by libcurl: about half of the processor time that gRPC's own client takes.

On a machine that client and service share, what the client takes is missing in every figure. libcurl speaks HTTP/2 as
gRPC does on the wire: a length before each message, the status in the trailers. It differs in one thing: a call on a
connection that breaks before anything of an answer has arrived is sent again, over another one.
"""

from __future__ import annotations

import re
import struct
import time
from collections import deque
from collections.abc import Iterator, MutableMapping, Sequence
from typing import NamedTuple, cast

import grpc
import pycurl

from benchmarks.load.spec import Call, Encryption
from mdm.limits import STREAMS_PER_CONNECTION_MAX

_ANSWER_S_MAX = 10.0
_MESSAGE_HEAD = struct.Struct(">?I")
_STATUS = b"grpc-status:"
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED.name
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.name
_INTERNAL = grpc.StatusCode.INTERNAL.name
_UNKNOWN = grpc.StatusCode.UNKNOWN.name

_RESET = re.compile(r"\(error 0x([0-9a-f]+)")
_RESETS = {0x7: _UNAVAILABLE, 0x8: grpc.StatusCode.CANCELLED.name, 0xB: grpc.StatusCode.RESOURCE_EXHAUSTED.name}
"""HTTP/2's reasons for ending a stream that gRPC's clients tell apart; all others are INTERNAL."""

_STREAM_BROKEN = 92
"""libcurl's CURLE_HTTP2_STREAM: the answer did not end as HTTP/2 says it must."""

Watched = MutableMapping[int, "Connection"]
"""Sockets that connections want to be told of."""


class Sent(NamedTuple):
    """A call that has ended; moments of the monotonic clock."""

    kind: int
    due_s: float
    sent_s: float
    """When it was begun, whether or not it could go out at once."""
    ended_s: float
    status: str
    """Name of gRPC's status."""


class _Waiting(NamedTuple):
    """A call that has begun."""

    kind: int
    body: bytes
    due_s: float
    sent_s: float


class _Exchange(pycurl.Curl):
    """What libcurl keeps of one call. Used again for the next of its kind on its connection."""

    call: _Waiting
    timeout_ms: int
    status: str
    """Empty until it has arrived."""

    def take_line(self, line: bytes) -> None:
        """Look for the status among the lines of head and trailers."""
        if line.startswith(_STATUS):
            self.status = _NAMES.get(int(line[len(_STATUS) :]), _UNKNOWN)

    def allow(self, timeout_ms: int) -> None:
        """Set the deadline."""
        self.timeout_ms = timeout_ms
        self.setopt(pycurl.TIMEOUT_MS, timeout_ms)
        headers = ["content-type: application/grpc", "te: trailers", "accept:", "expect:"]
        self.setopt(pycurl.HTTPHEADER, [*headers, f"grpc-timeout: {timeout_ms}m"])


class Connection:
    """One connection and its calls. Whoever holds it waits for its sockets and its timer, and tells it of both."""

    def __init__(
        self,
        address: str,
        calls: Sequence[Call],
        reading: Watched,
        writing: Watched,
        streams_max: int = STREAMS_PER_CONNECTION_MAX,
        encryption: Encryption | None = None,
    ) -> None:
        """Connect.

        Args:
            address: `HOST:PORT`.
            calls: Kinds of calls.
            reading: Gets the sockets that are to be read.
            writing: Gets those that are to be written.
            streams_max: Calls that the server takes at a time. Further ones wait here in the order of their coming, as
                in gRPC's clients; libcurl would send them in another.
            encryption: With TLS.

        Raises:
            ConnectionError: Nothing that speaks HTTP/2 answers there.
        """
        self._address = address
        self._encryption = encryption
        self._calls = calls
        self._watched = (reading, writing)
        self._streams_max = streams_max
        self.timer_s = float("inf")
        """When it wants to act next, by the monotonic clock."""
        self._idle: list[list[_Exchange]] = [[] for _ in calls]
        self._under_way_count = 0
        self._waiting: deque[_Waiting] = deque()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, streams_max)
        # The other is for new calls while one that the server wants to end still has old ones.
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 2)
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
        call = _Waiting(kind, body, due_s, time.monotonic())
        if self._under_way_count < self._streams_max:
            self._send(call, self._timeout_ms(call))
        else:
            self._waiting.append(call)

    def act(self, descriptor: int = pycurl.SOCKET_TIMEOUT, events: int = 0) -> None:
        """Read or write what a socket is ready for, or do what the timer is due for."""
        if descriptor == pycurl.SOCKET_TIMEOUT:
            self.timer_s = float("inf")
        self._multi.socket_action(descriptor, events)

    def ended(self) -> Iterator[Sent]:
        """Yield the calls that have ended since. One that waited too long for a stream ends when it would get one."""
        more = 1
        while more:
            more, answered, failed = self._multi.info_read()
            for handle, number, text in failed:
                cast("_Exchange", handle).status = _status_of(number, text)
            for handle in (*answered, *(each for each, *_ in failed)):
                exchange = cast("_Exchange", handle)
                self._multi.remove_handle(exchange)
                self._under_way_count -= 1
                self._idle[exchange.call.kind].append(exchange)
                # What waits goes first, before whoever takes this call may begin another.
                yield from (_ended(exchange.call, exchange.status or _UNKNOWN), *self._let_follow())

    def close(self) -> None:
        """Give up what is under way and close the connection."""
        self._multi.close()

    def _let_follow(self) -> Iterator[Sent]:
        """Send what has waited longest; yield calls whose deadline is over."""
        while self._waiting and self._under_way_count < self._streams_max:
            call = self._waiting.popleft()
            left_ms = self._timeout_ms(call) - round((time.monotonic() - call.sent_s) * 1000)
            if left_ms > 0:
                self._send(call, left_ms)
            else:
                yield _ended(call, _DEADLINE_EXCEEDED)

    def _timeout_ms(self, call: _Waiting) -> int:
        # To libcurl 0 is no deadline.
        return max(round(self._calls[call.kind].timeout_s * 1000), 1)

    def _send(self, call: _Waiting, timeout_ms: int) -> None:
        idle = self._idle[call.kind]
        exchange = idle.pop() if idle else self._exchange(self._calls[call.kind].method, timeout_ms)
        if exchange.timeout_ms != timeout_ms:
            exchange.allow(timeout_ms)
        exchange.call = call
        exchange.status = ""
        exchange.setopt(pycurl.POSTFIELDS, _message(call.body))
        self._multi.add_handle(exchange)
        self._under_way_count += 1

    def _connect(self) -> None:
        """Ask what no server offers: the connection is then there, and its bounds are known."""
        exchange = self._exchange("/benchmarks.Connection/Open", round(_ANSWER_S_MAX * 1000))
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

    def _exchange(self, method: str, timeout_ms: int) -> _Exchange:
        exchange = _Exchange()
        if self._encryption is None:
            exchange.setopt(pycurl.URL, f"http://{self._address}{method}")
            exchange.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
        else:
            _encrypt(exchange, self._address, method, self._encryption)
        exchange.setopt(pycurl.PIPEWAIT, 1)
        exchange.setopt(pycurl.NOSIGNAL, 1)
        exchange.setopt(pycurl.NOPROXY, "*")
        exchange.setopt(pycurl.POST, 1)
        exchange.setopt(pycurl.HEADERFUNCTION, exchange.take_line)
        exchange.setopt(pycurl.WRITEFUNCTION, len)
        exchange.allow(timeout_ms)
        return exchange

    def _watch(self, wanted: int, descriptor: int, *_: object) -> None:
        for sockets, event in zip(self._watched, (pycurl.POLL_IN, pycurl.POLL_OUT), strict=True):
            if wanted & event:
                sockets[descriptor] = self
            else:
                sockets.pop(descriptor, None)

    def _set_timer(self, milliseconds: int) -> None:
        self.timer_s = float("inf") if milliseconds < 0 else time.monotonic() + milliseconds / 1000


def _encrypt(exchange: pycurl.Curl, address: str, method: str, encryption: Encryption) -> None:
    host, _, port = address.rpartition(":")
    name = encryption.server_name or host
    exchange.setopt(pycurl.URL, f"https://{name}:{port}{method}")
    exchange.setopt(pycurl.CONNECT_TO, [f"{name}:{port}:{address}"])
    exchange.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    exchange.setopt(pycurl.CAINFO, encryption.ca)
    if encryption.certificate:
        exchange.setopt(pycurl.SSLCERT, encryption.certificate)
        exchange.setopt(pycurl.SSLKEY, encryption.key)


def _message(body: bytes) -> bytes:
    is_compressed = False
    return _MESSAGE_HEAD.pack(is_compressed, len(body)) + body


def _ended(call: _Waiting, status: str) -> Sent:
    return Sent(call.kind, call.due_s, call.sent_s, time.monotonic(), status)


def _status_of(number: int, text: str) -> str:
    """Return what gRPC's clients would say of an error of libcurl, by its number and text."""
    if number == pycurl.E_OPERATION_TIMEDOUT:
        return _DEADLINE_EXCEEDED
    reset = _RESET.search(text)
    if reset is not None:
        return _RESETS.get(int(reset[1], 16), _INTERNAL)
    return _INTERNAL if number == _STREAM_BROKEN else _UNAVAILABLE
