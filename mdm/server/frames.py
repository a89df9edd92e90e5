"""Messages of the private socket between readers and writer: a length of four bytes, then msgpack.

The socket lies in the data directory with mode 0600: who can open it may read the data anyway.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mdm.limits import FRAME_BYTES_MAX
from mdm.resolve.commands import Answer, BeginLoad, Command

RUN_DIRECTORY = "run"
SOCKET_NAME = "writer.sock"

_LENGTH = struct.Struct(">I")


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """A stream's right to write for a load: until another stream asks for it, or the writer or connection ends."""

    name: str
    """Of the load."""
    call_id: int
    """Of the `ClaimLoad` that it was taken by."""


class Write(msgspec.Struct, frozen=True, array_like=True, tag="Write"):
    """Commands to execute in order. They may share their commit with those of others."""

    call_id: int
    commands: tuple[Command, ...]
    claim: Claim | None = None
    """For commands of a load."""


class ClaimLoad(msgspec.Struct, frozen=True, array_like=True, tag="ClaimLoad"):
    """Claims a load and begins it, or goes on with it."""

    call_id: int
    begin: BeginLoad


class ReleaseLoad(msgspec.Struct, frozen=True, array_like=True, tag="ReleaseLoad"):
    """Lets a claim go; there is no reply."""

    call_id: int
    claim: Claim


class StateQuery(msgspec.Struct, frozen=True, array_like=True, tag="StateQuery"):
    """Asks how the writer stands; answered at once, whatever it is at."""

    call_id: int


Task = Write | ClaimLoad | ReleaseLoad
"""What waits for the writer's turn."""

Question = Task | StateQuery


class Written(msgspec.Struct, frozen=True, array_like=True, tag="Written"):
    """One answer for each command, in order; all are durable."""

    call_id: int
    answers: tuple[Answer, ...]


class LoadClaimed(msgspec.Struct, frozen=True, array_like=True, tag="LoadClaimed"):
    """The id of the load and its last durable ordinal, 0 if none."""

    call_id: int
    load_id: str
    ordinal: int


class Superseded(msgspec.Struct, frozen=True, array_like=True, tag="Superseded"):
    """Nothing was executed: the claim does not hold, so the writer may never have seen what the load sent before."""

    call_id: int


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="Failed"):
    """The writer failed on this question alone; `error_id` stands in its log."""

    call_id: int
    error_id: str


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="Refused"):
    """Nothing was executed: there is too little room left to write to."""

    call_id: int
    reason: str


class WriterState(msgspec.Struct, frozen=True, array_like=True, tag="WriterState"):
    """How the writer stands."""

    call_id: int
    queue_count: int
    busy_s: float
    """How long it has been at what it does now."""
    refusal: str
    """Why it refuses writes, empty while it takes them."""
    checkpoint_us: int
    """When it last wrote a checkpoint, 0 if it has written none."""
    checkpoint_failure: str
    """Why the last one was skipped or failed, empty if it was not."""


Reply = Written | LoadClaimed | Superseded | Failed | Refused | WriterState

_encoder = msgspec.msgpack.Encoder()
decode_question = msgspec.msgpack.Decoder(Question).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


class ConnectionEndedError(ConnectionError):
    """The other end is gone."""


def encode(message: Question | Reply) -> bytes:
    """Return the frame of a message."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def frames(connection: socket.socket) -> Iterator[bytes]:
    """Yield the bodies that arrive until the other end closes.

    Raises:
        ConnectionEndedError: It ended inside a frame, or announced an impossible length.
    """
    reader = connection.makefile("rb", buffering=1 << 18)
    with reader:
        while head := reader.read(_LENGTH.size):
            if len(head) < _LENGTH.size:
                raise ConnectionEndedError
            (length,) = _LENGTH.unpack(head)
            if length > FRAME_BYTES_MAX:
                raise ConnectionEndedError
            body = reader.read(length)
            if len(body) < length:
                raise ConnectionEndedError
            yield body


@contextmanager
def socket_path(data: Path) -> Iterator[str]:
    """Yield a short path of the writer's socket.

    A socket path ends at 107 bytes and data directories may lie deeper, so it goes through the directory's descriptor.
    """
    directory = os.open(data / RUN_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET_NAME}"
    finally:
        os.close(directory)
