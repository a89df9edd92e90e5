"""Match state of many records, described by several processes: normalising is most of a rebuild's time.

Run as a module it is one such process: frames of payloads come in on its standard input, in frames of the same length
their match state goes out.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Self

import msgspec

from mdm.domain.keys import RecordNumber
from mdm.errors import StoreError
from mdm.processes import die_with, spare_the_collector
from mdm.resolve.matcher import describe
from mdm.resolve.payloads import decode_payload

Payloads = list[tuple[RecordNumber, bytes]]
"""Records with their payloads."""

MatchStates = list[tuple[RecordNumber, bytes, tuple[bytes, ...]]]
"""Records with their features and posting keys."""

_PROCESS_FRAMES_MIN = 8
"""Frames that are worth starting processes for: that takes as long as describing some thousand records."""

_LENGTH_BYTES = 4
_encode = msgspec.msgpack.Encoder().encode
_decode_payloads = msgspec.msgpack.Decoder(Payloads).decode
_decode_states = msgspec.msgpack.Decoder(MatchStates).decode


def match_states(frames: Iterable[Payloads]) -> Iterator[MatchStates]:
    """Yield the match state of each frame's records, in order.

    Cost: about 0.1 ms a record, on every core that this process may use.

    Raises:
        StoreError: A process ended early.
    """
    source = iter(frames)
    first = list(itertools.islice(source, _PROCESS_FRAMES_MIN))
    if len(first) < _PROCESS_FRAMES_MIN:
        yield from map(_described, first)
        return
    with ExitStack() as stack:
        workers = collections.deque(stack.enter_context(_Worker()) for _ in os.sched_getaffinity(0))
        source = itertools.chain(first, source)
        busy: collections.deque[_Worker] = collections.deque()
        for worker, frame in zip(workers, source, strict=False):
            worker.send(frame)
            busy.append(worker)
        while busy:
            worker = busy.popleft()
            found = worker.receive()
            # It goes on while the caller writes. Never two frames at once: both ends would wait for each other.
            for following in itertools.islice(source, 1):
                worker.send(following)
                busy.append(worker)
            yield found


class _Worker:
    """One process; it dies with the thread that started it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603  (our own module, arguments of our own making)
            [sys.executable, "-m", __name__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C reaches a whole group: only who started this process is to act on it.
            process_group=0,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.kill()
        self._process.wait()

    def send(self, frame: Payloads) -> None:
        """Have the records of a frame described."""
        try:
            _write(self._process.stdin, _encode(frame))
        except OSError as error:
            raise StoreError("a process that describes records ended early") from error

    def receive(self) -> MatchStates:
        """Return what came of the last frame sent."""
        body = _read(self._process.stdout)
        if body is None:
            raise StoreError("a process that describes records ended early")
        return _decode_states(body)


def _described(frame: Payloads) -> MatchStates:
    states = []
    for number, payload in frame:
        description = describe(decode_payload(payload))
        states.append((number, description.encoded, description.keys))
    return states


def _write(pipe: IO[bytes] | None, body: bytes) -> None:
    if pipe is not None:
        pipe.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
        pipe.flush()


def _read(pipe: IO[bytes] | None) -> bytes | None:
    head = pipe.read(_LENGTH_BYTES) if pipe is not None else b""
    if pipe is None or len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    body = pipe.read(length)
    return body if len(body) == length else None


def main() -> None:
    """Describe until the frames end."""
    while (body := _read(sys.stdin.buffer)) is not None:
        _write(sys.stdout.buffer, _encode(_described(_decode_payloads(body))))


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    spare_the_collector()
    main()
