"""What processes of this machine use, read from /proc: CPU time and memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS = (3, 4)
"""Of the first line of /proc/stat: idle, waiting for a disk."""


class Usage(msgspec.Struct, frozen=True):
    """CPU used within a window, in cores: seconds of CPU in each second."""

    client_cores: float
    reader_cores: float | None
    """None: the service is not ours to look at."""
    writer_cores: float | None
    foreign_cores: float | None
    """By everything else on the machine: what disturbed the measurement. None: nobody looked."""


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a process, in bytes."""

    own_bytes: int
    """Its own pages: heap and stacks. What a leak would make grow."""
    file_bytes: int
    """Pages of mapped files, the index above all: shared, and the kernel's to take back."""


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, all its threads included, in steps of 10 ms."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # The name, in parentheses, may hold anything.
    fields = text.rpartition(") ")[2].split()
    return sum(int(field) for field in fields[11:13]) * _TICK_S


def cpu_of_s(pids: Iterable[int]) -> float:
    """Return the CPU time of several processes."""
    return sum(map(cpu_s, pids))


def machine_cpu_s() -> float:
    """Return the CPU time that all cores were busy since boot, time stolen by the host included."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return sum(value for place, value in enumerate(fields) if place not in _IDLE_FIELDS) * _TICK_S


def memory(pid: int) -> Memory:
    """Return the resident memory of a process."""
    kib = {"RssAnon": 0, "RssFile": 0, "RssShmem": 0}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name in kib:
            kib[name] = int(value.split()[0])
    return Memory(kib["RssAnon"] * 1024, (kib["RssFile"] + kib["RssShmem"]) * 1024)


def resident_bytes(pids: Iterable[int]) -> int:
    """Return what processes have resident together: the own pages of each, and those of files, which they share, once.

    One that has ended has none.
    """
    own, files = 0, 0
    for pid in pids:
        try:
            held = memory(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        own += held.own_bytes
        files = max(files, held.file_bytes)
    return own + files


def peak_bytes(pid: int) -> int:
    """Return the most that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that live."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
