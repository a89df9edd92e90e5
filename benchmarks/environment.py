"""On what a result was measured: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("hcm-mdm", "splink", "duckdb", "rapidfuzz", "numpy", "pyarrow", "recordlinkage", "goldenmatch"),
    *("grpcio", "protobuf", "lmdb", "apsw", "msgspec", "protovalidate", "pycurl"),
)


_LOOP_STEPS = 300_000
"""Some 30 ms: long enough to measure, short enough to be run ten times."""
_LOOPS = 5
_BUSY_START_S = 0.2
_BUSY = "import time\nend_s = time.monotonic() + 30\nwhile time.monotonic() < end_s: pass"
"""Ends by itself, should the run that started it be killed: else a core would be busy beside all later runs."""


def environment(directory: Path | None = None) -> dict[str, Any]:
    """Return what a figure may depend on besides data and seed.

    Args:
        directory: Where what is measured keeps its files; None measures nothing on a disk.
    """
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "is_clean": _git("status", "--porcelain") == "",
        "python": _python(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        **(
            {}
            if directory is None
            else {"disk": _disk(directory), "speed_beside_busy_cores": _speed_beside_busy_cores()}
        ),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def _python() -> str:
    """Return version and build of the interpreter: one built without profiles is a sixth slower."""
    try:
        is_shared = "/libpython" in Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        is_shared = False
    kind = "a shared library" if is_shared else "one piece"
    return f"{platform.python_version()} ({platform.python_compiler()}, built {platform.python_build()[1]}, {kind})"


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Return what git says of the tree that this file lies in; None outside a repository, or without git."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _speed_beside_busy_cores() -> float:
    """Return what share of its speed a core keeps while all others work.

    Below 1 where a "core" is a thread of one that it shares: client and service then slow each other down, and
    processor time per operation grows beside load. Takes about a second.
    """
    alone_s = _loop_s()
    with ExitStack() as stack:
        for _ in range((os.cpu_count() or 1) - 1):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY]))
            stack.callback(busy.kill)
        time.sleep(_BUSY_START_S)
        return round(alone_s / _loop_s(), 2)


def _loop_s() -> float:
    """Return the processor time of a loop through a dictionary, the least of several."""
    words = {number: number for number in range(1024)}
    took_s = []
    for _ in range(_LOOPS):
        began_s = time.thread_time()
        for step in range(_LOOP_STEPS):
            words[step & 1023] += 1
        took_s.append(time.thread_time() - began_s)
    return min(took_s)


def _disk(directory: Path) -> dict[str, Any]:
    """Return what the directory lies on: file system, device, size and what is free of it."""
    whole = shutil.disk_usage(directory)
    known = {"size_gib": round(whole.total / 2**30, 1), "free_gib": round(whole.free / 2**30, 1)}
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return known
    place = directory.resolve().as_posix()
    held = [fields for line in mounts if _is_within(place, (fields := line.split())[1])]
    device, _, system, *_ = max(held, key=lambda fields: len(fields[1]))
    return {"file_system": system, "device": device} | known


def _is_within(place: str, mount: str) -> bool:
    return place == mount or place.startswith(mount.rstrip("/") + "/")
