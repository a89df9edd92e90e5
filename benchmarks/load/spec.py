"""What a client process is told, and what it tells, as JSON."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.load.histogram import Histogram

_LENGTH = struct.Struct(">I")


class Encryption(msgspec.Struct, frozen=True):
    """PEM files of a service that speaks TLS, by their paths, as `mdm` takes them; empty where there is none."""

    ca: str
    """Authorities whose services are trusted."""
    certificate: str = ""
    """The caller's own, where the service asks for one."""
    key: str = ""
    server_name: str = ""
    """The name in the service's certificate, where it is reached under another."""


class Call(msgspec.Struct, frozen=True):
    """One kind of call in a profile."""

    name: str
    method: str
    """Full name, as `/mdm.v1.LookupService/Lookup`."""
    requests: str
    """Path of a file of `write_requests`: serialised before the run, so that the client has no work with them."""
    share: float = 1.0
    """Of all calls."""
    is_consumed: bool = False
    """Whether each request is sent once, in order, as writes are; else requests are drawn."""
    skew: float = 0.0
    """Of drawn requests: 0 draws evenly, s > 0 the n-th request in proportion to 1 / n^s (Zipf)."""
    timeout_s: float = 5.0


class LoadSpec(msgspec.Struct, frozen=True):
    """One client process's part of a load."""

    address: str
    calls: tuple[Call, ...]
    seed: int
    warm_up_s: float
    measure_s: float
    rate_per_s: float = 0.0
    """Calls due in each second, whatever is answered (open loop); 0 keeps `outstanding` calls going (closed loop)."""
    arrivals: Literal["poisson", "even"] = "poisson"
    outstanding: int = 1
    outstanding_max: int = 20_000
    """Calls due while so many are unanswered are counted as unsent, so that memory stays bounded."""
    channels: int = 1
    """Connections, used in turn."""
    encryption: Encryption | None = None


class CallCounts(msgspec.Struct):
    """What became of the calls of one kind that were due within the measured window."""

    latency: Histogram
    """Of calls answered with OK, from the intended start to the answer."""
    statuses: dict[str, int]
    """Status code from the trailers → calls."""
    completed_count: int
    """Answered with OK within the window, whenever they were due."""


class ClientReport(msgspec.Struct):
    """What one client process measured."""

    calls: dict[str, CallCounts]
    lateness: Histogram
    """From the intended start to the moment of sending."""
    cpu_s: float
    """Of this process, within the window."""
    unsent_count: int
    """Calls due within the window that were not sent: `outstanding_max` were unanswered, or no request was left."""
    window_s: float
    """How long the window was."""


def write_requests(path: Path, bodies: Iterable[bytes]) -> int:
    """Write serialised requests, each behind its length, and return how many."""
    count = 0
    with path.open("wb") as file:
        for body in bodies:
            file.write(_LENGTH.pack(len(body)) + body)
            count += 1
    return count


def read_requests(path: Path) -> list[bytes]:
    """Return the requests that a file holds, in order."""
    data = path.read_bytes()
    bodies = []
    offset = 0
    while offset < len(data):
        (size,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        bodies.append(data[offset : offset + size])
        offset += size
    return bodies
