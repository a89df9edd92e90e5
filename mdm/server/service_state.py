"""What the supervisor and a starting writer tell the others, as small files in the run directory.

Each is replaced in one step and read whole. They are for being looked at: nothing decides by them but what a caller is
told, and a start begins with new ones.
"""

from __future__ import annotations

import contextlib
import enum
import os
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from mdm.server.frames import RUN_DIRECTORY

_Stored = TypeVar("_Stored", bound=msgspec.Struct)

_STATE_FILE = "service.json"
_PROGRESS_FILE = "progress.json"
_FAILURE_FILE = "failure.json"


class Mode(enum.StrEnum):
    """What the service can do."""

    STARTING = "starting"
    SERVING = "serving"
    READ_ONLY = "read_only"


class ProcessState(msgspec.Struct, frozen=True):
    """One process as its supervisor sees it."""

    name: str
    pid: int
    """0 while it does not run."""
    since_us: int
    restart_count: int
    is_serving: bool


class ServiceState(msgspec.Struct, frozen=True):
    """The service as its supervisor sees it."""

    started_us: int
    mode: Mode
    reason: str
    """Why writes are not served, for an operator; empty while they are."""
    processes: tuple[ProcessState, ...]


class Progress(msgspec.Struct, frozen=True):
    """How far a writer's start has come."""

    stage: str
    done_count: int
    total_count: int


def write_state(data: Path, state: ServiceState) -> bool:
    """Publish the state; returns whether the disk took it."""
    return _replace(data / RUN_DIRECTORY / _STATE_FILE, msgspec.json.encode(state))


def read_state(data: Path) -> ServiceState | None:
    """Return the state, None where none was published."""
    return _read(data / RUN_DIRECTORY / _STATE_FILE, ServiceState)


def write_progress(data: Path, progress: Progress | None) -> None:
    """Publish how far a start has come, None when it is over."""
    path = data / RUN_DIRECTORY / _PROGRESS_FILE
    if progress is None:
        path.unlink(missing_ok=True)
    else:
        _replace(path, msgspec.json.encode(progress))


def read_progress(data: Path) -> Progress | None:
    """Return how far a start has come, None if none says so."""
    return _read(data / RUN_DIRECTORY / _PROGRESS_FILE, Progress)


def write_failure(data: Path, text: str) -> None:
    """Leave what a writer ended of: names of errors, never a text of theirs."""
    _replace(data / RUN_DIRECTORY / _FAILURE_FILE, msgspec.json.encode(text))


def read_failure(data: Path) -> str:
    """Return and remove what the last writer ended of; empty where it could not say."""
    path = data / RUN_DIRECTORY / _FAILURE_FILE
    text = ""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        text = msgspec.json.decode(path.read_bytes(), type=str)
        path.unlink()
    return text


def memory_bytes(pid: int) -> int:
    """Return the memory that a process holds, mapped files included; 0 if it is gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def _replace(path: Path, body: bytes) -> bool:
    temporary = path.with_name(f"{path.name}.part")
    try:
        temporary.write_bytes(body)
        temporary.replace(path)
    except OSError:
        return False
    return True


def _read(path: Path, kind: type[_Stored]) -> _Stored | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
