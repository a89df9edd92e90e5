"""A server of bare HTTP/2 frames, for what no gRPC server does on request: it ends every stream but the first."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PREFACE_BYTES = 24
_DATA, _HEADERS, _RESET, _SETTINGS = 0, 1, 3, 4
_ACKNOWLEDGED = _END_STREAM = 1
_END_HEADERS = 4


@contextmanager
def resetting(code: int) -> Iterator[str]:
    """Serve at an address: the first call of a connection is answered, all others are reset with this code."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    taken, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve, args=(taken, code), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        # Wakes the thread that accepts.
        listener.shutdown(socket.SHUT_RDWR)


def _serve(taken: socket.socket, code: int) -> None:
    with taken, taken.makefile("rb") as stream:
        stream.read(_PREFACE_BYTES)
        taken.sendall(_frame(_SETTINGS, 0, 0))
        while len(head := stream.read(9)) == 9:
            kind, flags = head[3], head[4]
            number = int.from_bytes(head[5:], "big")
            stream.read(int.from_bytes(head[:3], "big"))
            if kind == _SETTINGS and not flags & _ACKNOWLEDGED:
                taken.sendall(_frame(_SETTINGS, _ACKNOWLEDGED, 0))
            elif kind == _DATA and flags & _END_STREAM and number == 1:
                taken.sendall(_frame(_HEADERS, _END_HEADERS | _END_STREAM, number, _UNIMPLEMENTED))
            elif kind == _DATA and flags & _END_STREAM:
                taken.sendall(_frame(_RESET, 0, number, struct.pack(">I", code)))


def _frame(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", number) + payload


def _header(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


_UNIMPLEMENTED = b"\x88" + _header(b"content-type", b"application/grpc") + _header(b"grpc-status", b"12")
