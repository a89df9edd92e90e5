"""What a serving process is told: by the command line, or by the supervisor that starts it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mdm.limits import READ_ONLY_RETRY_S

WORKERS_DEFAULT_MAX = 4
"""Beyond four readers the one writer is the bound on most machines."""


class TlsFiles(msgspec.Struct, frozen=True):
    """PEM files of an encrypted listener."""

    certificate: Path
    """The service's certificate, then those that lead to its authority."""
    key: Path
    """Private key of the first certificate."""
    client_ca: Path | None = None
    """Authorities of the callers' certificates; with it, a caller without one is refused."""


class ServeOptions(msgspec.Struct, frozen=True):
    """How to serve a data directory.

    `listen` and `metrics` are `HOST:PORT`; port 0 takes a free one, `metrics` may be `off`.
    """

    data: Path
    listen: str = "127.0.0.1:50051"
    workers: int = 0
    """Reader processes; 0 means one for each core, at most four."""
    metrics: str = "127.0.0.1:9464"
    is_reflecting: bool = True
    """Whether callers may ask for the interface (`buf curl` needs it)."""
    is_insecure: bool = False
    """Allows addresses beyond this machine although nothing is encrypted."""
    is_metrics_exposed: bool = False
    """Allows the metrics page beyond this machine; it is never encrypted."""
    tls: TlsFiles | None = None
    """None encrypts nothing."""
    registries: Path | None = None
    """Registries file to put in force, once; None leaves what is in force, at first the one that ships."""
    ready_file: Path | None = None
    """Written when all processes serve: `{"address": "HOST:PORT", "metrics": "HOST:PORT"}`."""
    grace_s: float = 10.0
    """How long calls under way may go on after SIGTERM."""
    silent_s_max: float = 0.0
    """How long a process may hang before it is ended; 0 takes the bounds of `limits` for readers and writer."""
    retry_s: float = READ_ONLY_RETRY_S
    """After how long a service that only reads first tries to write again."""

    @property
    def reader_count(self) -> int:
        """Reader processes to start."""
        return self.workers or min(WORKERS_DEFAULT_MAX, len(os.sched_getaffinity(0)))

    def encode(self) -> str:
        """Return the JSON text."""
        return msgspec.json.encode(self, enc_hook=str).decode()


class ChildOptions(msgspec.Struct, frozen=True):
    """What the supervisor tells a child process, as JSON in its one argument."""

    name: str
    """`writer`, `reader-0` and so on."""
    data: Path
    parent_pid: int
    ready_fd: int
    """The child writes one byte here once it serves."""
    address: str = ""
    is_reflecting: bool = False
    tls: TlsFiles | None = None
    registries: Path | None = None
    grace_s: float = 10.0

    def encode(self) -> str:
        """Return the JSON text."""
        return msgspec.json.encode(self, enc_hook=str).decode()


def decode_serve_options(text: str) -> ServeOptions:
    """Return what `ServeOptions.encode` wrote."""
    return msgspec.json.decode(text, type=ServeOptions, dec_hook=_path)


def decode_child_options(text: str) -> ChildOptions:
    """Return what `ChildOptions.encode` wrote."""
    return msgspec.json.decode(text, type=ChildOptions, dec_hook=_path)


def _path(target: type, value: object) -> Path:
    if not issubclass(target, Path):
        raise NotImplementedError(target.__name__)
    return Path(str(value))
