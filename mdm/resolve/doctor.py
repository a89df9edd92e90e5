"""What the service needs of a machine, an installation and a data directory, and what to do where it is missing.

Nothing here changes a thing, but for a file that measures the disk and is removed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from mdm.errors import DataDirectoryError, IndexMismatchError, JournalFailedError
from mdm.limits import (
    FREE_DISK_BYTES_MIN,
    INDEX_MAP_BYTES,
    MEMORY_BYTES_MIN,
    OPEN_FILES_MIN,
    SYNC_S_MAX,
    WRITE_FREE_DISK_BYTES_AGAIN,
)
from mdm.machine import memory_bytes
from mdm.resolve.projection import index_versions
from mdm.store import journal_file
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index, is_whole
from mdm.store.journal import Journal

Verdict = Literal["ok", "warn", "fail"]

_DISTRIBUTION = "hcm-mdm"
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?P<bounds>[^;]*)(?:;.*extra == ['\"](?P<extra>\w+)['\"])?")
_BOUND = re.compile(r"(>=|<|==)\s*([0-9][0-9.]*)")
_MIB = 1 << 20
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs"})
_UNSYNCHRONISED = 5
_TIMEX_BYTES = 256
_SYNCS = 20
_CORES_MIN = 2
_SYNC_BYTES = 4096
_CLOCK_BEHIND_S = 1.0
_CHECKPOINT_AGE_S = 86_400.0


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    found: str
    todo: str = ""
    """What to do; empty where all is well."""


def examine_machine() -> list[Finding]:
    """Return what was found of the installation, the processor, the limits and the clock."""
    soft_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [
        *_packages(),
        _sqlite(),
        _processor(),
        _memory(memory_bytes()),
        of_open_files(soft_files),
        of_address_space(address_space),
        _clock(),
    ]


def examine_directory(data: Path, free_bytes: int) -> list[Finding]:
    """Return what was found of a data directory and its disk, whether a service uses it or not.

    Args:
        data: It need not exist yet.
        free_bytes: Of its disk.
    """
    findings = [of_file_system(_file_system_of(data)), of_free_space(free_bytes)]
    if not data.is_dir() or not any(data.iterdir()):
        return [*findings, Finding("directory", "ok", "holds nothing yet; mdm serve makes it one")]
    findings.append(_sync_speed(data))
    try:
        directory = DataDirectory.open(data)
    except DataDirectoryError as error:
        return [
            *findings,
            Finding("directory", "fail", str(error), "name another directory, or the release that it is of"),
        ]
    findings.append(_lock(data))
    return [*findings, *_journal_and_index(directory)]


def of_package(name: str, bounds: str, installed: str | None) -> Finding:
    """Return whether an installed version is within the bounds that this release states."""
    what = f"package {name}"
    wanted = f"pip install '{name}{bounds}'"
    if installed is None:
        return Finding(what, "fail", "is not installed", wanted)
    have = _numbers(installed)
    for operator, version in _BOUND.findall(bounds):
        limit = _numbers(version)
        is_within = have >= limit if operator == ">=" else have < limit if operator == "<" else have == limit
        if not is_within:
            return Finding(what, "fail", f"is {installed}, this release needs {bounds}", wanted)
    return Finding(what, "ok", installed)


def of_open_files(count: int) -> Finding:
    """Return whether a process may open enough files."""
    if count == resource.RLIM_INFINITY or count >= OPEN_FILES_MIN:
        return Finding("open files", "ok", f"{count} for each process")
    return Finding(
        "open files", "warn", f"only {count} for each process", f"ulimit -n {OPEN_FILES_MIN}, or LimitNOFILE="
    )


def of_address_space(limit: int) -> Finding:
    """Return whether a process may map the index."""
    if limit == resource.RLIM_INFINITY or limit > 2 * INDEX_MAP_BYTES:
        return Finding("address space", "ok", "enough for the index's map")
    return Finding(
        "address space", "fail", f"limited to {limit // _MIB} MiB", "ulimit -v unlimited: the map is 256 GiB"
    )


def of_file_system(name: str) -> Finding:
    """Return whether a file system maps and locks files as both engines need it."""
    if name in _NETWORK_FILE_SYSTEMS:
        return Finding("file system", "fail", f"{name} is a network file system", "use a local disk")
    if name == "tmpfs":
        return Finding("file system", "warn", "tmpfs loses everything at a restart", "use a disk, except for trials")
    return Finding("file system", "ok", name or "unknown")


def of_free_space(free_bytes: int) -> Finding:
    """Return whether a service would start and take writes."""
    found = f"{free_bytes // _MIB} MiB are free"
    if free_bytes < FREE_DISK_BYTES_MIN:
        return Finding("free space", "fail", found, f"a start needs {FREE_DISK_BYTES_MIN // _MIB} MiB")
    if free_bytes < WRITE_FREE_DISK_BYTES_AGAIN:
        return Finding("free space", "warn", found, f"writes need {WRITE_FREE_DISK_BYTES_AGAIN // _MIB} MiB")
    return Finding("free space", "ok", found)


def of_sync_speed(seconds: float) -> Finding:
    """Return whether the disk syncs fast enough: each group of writes waits for one sync."""
    found = f"a sync of 4 KiB takes {seconds * 1000:.1f} ms"
    if seconds <= SYNC_S_MAX:
        return Finding("disk speed", "ok", found)
    return Finding(
        "disk speed", "warn", found, "single writes will take that long; use a disk with a write cache that is safe"
    )


def of_clock(last_event_us: int, now_us: int) -> Finding:
    """Return whether the clock is where the newest event left it: times of events never decrease."""
    behind_s = (last_event_us - now_us) / 1e6
    if behind_s <= _CLOCK_BEHIND_S:
        return Finding("clock and journal", "ok", "not behind the newest event")
    todo = "set the clock; until it has caught up all events get the time of the newest one"
    return Finding("clock and journal", "fail", f"{behind_s:.0f} s behind the newest event", todo)


def _packages() -> list[Finding]:
    findings = []
    for text in metadata.requires(_DISTRIBUTION) or ():
        match = _REQUIREMENT.match(text)
        if match is None or match["extra"] not in {None, "server"}:
            continue
        try:
            installed = metadata.version(match["name"])
        except metadata.PackageNotFoundError:
            installed = None
        findings.append(of_package(match["name"], match["bounds"].strip(), installed))
    wrong = [each for each in findings if each.verdict != "ok"]
    python = Finding("python", "ok", platform.python_version())
    return [python, *(wrong or [Finding("packages", "ok", f"{len(findings)} within the bounds of this release")])]


def _sqlite() -> Finding:
    version = journal_file.sqlite_version()
    try:
        journal_file.check_sqlite_version(version)
    except DataDirectoryError as error:
        return Finding("sqlite", "fail", str(error), "pip install --upgrade apsw")
    return Finding("sqlite", "ok", version)


def _processor() -> Finding:
    cores = len(os.sched_getaffinity(0))
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    is_fast = platform.machine() != "x86_64" or " avx2 " in flags
    if cores < _CORES_MIN or not is_fast:
        todo = "re-linkage takes longer" if cores >= _CORES_MIN else "a reader beside the writer needs a second one"
        return Finding("processor", "warn", f"{cores} cores{'' if is_fast else ', no AVX2'}", todo)
    return Finding("processor", "ok", f"{cores} cores, {platform.machine()}")


def _memory(count: int) -> Finding:
    if count < MEMORY_BYTES_MIN:
        return Finding(
            "memory", "warn", f"{count // _MIB} MiB", f"{MEMORY_BYTES_MIN // _MIB} MiB are the least for re-linkage"
        )
    return Finding("memory", "ok", f"{count // _MIB} MiB")


def _clock() -> Finding:
    # Its state is its result; what it fills in is not looked at.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == _UNSYNCHRONISED:
        return Finding(
            "clock", "warn", "the kernel does not know it to be synchronised", "run chrony or systemd-timesyncd"
        )
    return Finding("clock", "ok", "synchronised" if state >= 0 else "its state cannot be read here")


def _file_system_of(path: Path) -> str:
    found = path.absolute()
    while not found.exists():
        found = found.parent
    best = ("", "")
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, mounted, kind, *_ = line.split()
        is_above = found == Path(mounted) or Path(mounted) in found.parents
        if is_above and len(mounted) >= len(best[0]):
            best = (mounted, kind)
    return best[1]


def _sync_speed(data: Path) -> Finding:
    took = []
    try:
        with tempfile.NamedTemporaryFile(dir=data, prefix="doctor-") as file:
            for _ in range(_SYNCS):
                file.write(b"\0" * _SYNC_BYTES)
                file.flush()
                begun_s = time.perf_counter()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - begun_s)
    except OSError as error:
        return Finding(
            "disk speed", "fail", f"a file cannot be written: {error.strerror}", "repair the disk, or the rights"
        )
    return of_sync_speed(statistics.median(took))


def _lock(data: Path) -> Finding:
    try:
        DataDirectory.open(data, exclusive=True).close()
    except DataDirectoryError as error:
        return Finding("lock", "ok", str(error).partition(" is ")[2].partition(";")[0])
    return Finding("lock", "ok", "no service uses the directory")


def _journal_and_index(directory: DataDirectory) -> list[Finding]:
    try:
        with Journal.open_read_only(directory.journal) as journal:
            seq, versions = journal.last_seq, index_versions(journal)
            last_us = next((event.at_us for event in journal.events(seq - 1, seq)), 0) if seq else 0
    except (DataDirectoryError, JournalFailedError) as error:
        return [Finding("journal", "fail", str(error), "restore a backup, or use the release that wrote it")]
    findings = [Finding("journal", "ok", f"seq {seq}"), of_clock(last_us, time.time_ns() // 1000)]
    generations = directory.generations
    current = generations.current()
    if current is None or not is_whole(current):
        return [
            *findings,
            Finding("index", "warn", "is missing or cut off", "the next start builds it; or: mdm upgrade"),
        ]
    try:
        with Index.open(current, readonly=True) as index:
            is_current = index.versions == versions
            findings.append(
                Finding("index", "ok", f"{current.name}, {generations.mark() or 'without a mark'}")
                if is_current
                else Finding(
                    "index", "warn", "was made by another release", "the next start builds it anew; or: mdm upgrade"
                )
            )
    except IndexMismatchError as error:
        findings.append(Finding("index", "warn", str(error), "the next start builds it anew; or: mdm upgrade"))
    checkpoint = generations.latest_checkpoint()
    if checkpoint is not None:
        age_s = time.time() - checkpoint.stat().st_mtime
        is_old = age_s > _CHECKPOINT_AGE_S
        found = f"{age_s / 3600:.1f} hours old"
        todo = "only a start after a power cut takes longer for it" if is_old else ""
        findings.append(Finding("checkpoint", "warn" if is_old else "ok", found, todo))
    return findings


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version.partition("+")[0])[:4])
