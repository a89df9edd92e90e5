"""Index generations on disk, and which of them may be used after a start.

The index is committed unsynced. A crash of the process leaves it whole, only behind; a power cut may tear it, and a
torn LMDB file can end the process that reads it. So each generation has a mark beside the file, not inside: the boot
in which it is open, or "clean". A generation marked by another boot is never opened again.
"""

from __future__ import annotations

import enum
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdm.store.files import free_bytes, replace_file, sync_directory, sync_file
from mdm.store.index import DATA_FILE, Index, is_whole

CURRENT_FILE = "CURRENT"
MARK_FILE = "MARK"
CHECKPOINT_DIRECTORY = "checkpoint"

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_CLEAN = "clean"
_DAMAGED = "damaged"
_GENERATION_PATTERN = re.compile(r"gen-(\d{6,})")
_CHECKPOINT_PATTERN = re.compile(r"seq-(\d{20})")


class Start(enum.StrEnum):
    """What has to be done before the index can serve; catching up with the journal's tail comes after each."""

    USE = "use"
    """The current generation is whole."""
    RESTORE = "restore"
    """It may be torn or is missing, and there is a checkpoint."""
    REBUILD = "rebuild"
    """It may be torn or is missing, and there is none: fold the whole journal."""


def boot_id() -> str:
    """Return what names this boot of the machine: until the next one, the page cache keeps unsynced commits."""
    return _BOOT_ID_FILE.read_text(encoding="ascii").strip()


class Generations:
    """The directory `index/` of a data directory: `gen-NNNNNN/` each, `CURRENT` naming one, and `checkpoint/`."""

    def __init__(self, root: Path) -> None:
        """Manage `root`, which exists."""
        self._root = root
        self._checkpoints = root / CHECKPOINT_DIRECTORY

    def current(self) -> Path | None:
        """Return the generation in use, or None before the first."""
        try:
            name = (self._root / CURRENT_FILE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        path = self._root / name
        return path if _GENERATION_PATTERN.fullmatch(name) and path.is_dir() else None

    def new(self) -> Path:
        """Create the directory of the next generation; it is not in use before `swap`."""
        numbers = [
            int(match[1]) for each in self._root.iterdir() if (match := _GENERATION_PATTERN.fullmatch(each.name))
        ]
        path = self._root / f"gen-{max(numbers, default=0) + 1:06d}"
        path.mkdir(mode=0o700)
        return path

    @contextmanager
    def making(self) -> Iterator[Path]:
        """Yield the directory of the next generation; nothing is left of one that fails, nor of earlier ones.

        What is half made fills a disk, and with that would keep the service from starting again.
        """
        self.remove_others()
        path = self.new()
        try:
            yield path
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def swap(self, path: Path) -> None:
        """Put a generation in use, in one step; sync its index and mark it first."""
        replace_file(self._root / CURRENT_FILE, path.name + "\n")

    def remove_others(self) -> None:
        """Delete every generation but the current one: older ones, and what a killed rebuild left."""
        current = self.current()
        for each in self._root.iterdir():
            if _GENERATION_PATTERN.fullmatch(each.name) and each != current:
                shutil.rmtree(each)
        sync_directory(self._root)

    def usable(self, boot: str) -> Start:
        """Decide what a start in this boot has to do."""
        current = self.current()
        if current is not None and self._mark(current) in {_CLEAN, boot} and is_whole(current):
            return Start.USE
        return Start.REBUILD if self.latest_checkpoint() is None else Start.RESTORE

    def mark(self) -> str:
        """Return how the current generation was left: `clean`, `open` or `damaged`; empty without a mark."""
        current = self.current()
        mark = self._mark(current) if current is not None else None
        return "" if mark is None else mark if mark in {_CLEAN, _DAMAGED} else "open"

    def mark_open(self, path: Path, boot: str) -> None:
        """Note that the generation takes unsynced commits in this boot; call before the first one."""
        replace_file(path / MARK_FILE, boot + "\n")

    def mark_clean(self, path: Path) -> None:
        """Note that the generation is wholly on disk; call after `Index.sync` and the last commit."""
        replace_file(path / MARK_FILE, _CLEAN + "\n")

    def free_bytes(self) -> int:
        """Return the free space of the disk that the generations lie on."""
        return free_bytes(self._root)

    def distrust(self) -> None:
        """See to it that the next start builds the index from the journal: not even copies of it are used."""
        current = self.current()
        if current is not None:
            replace_file(current / MARK_FILE, _DAMAGED + "\n")
        self.drop_checkpoints()

    def checkpoint(self, index: Index) -> Path:
        """Write a synced copy of the index to restore from, then remove the older ones. Cost: 0.3 s a GiB.

        Raises:
            StoreError: The copy cannot be written; nothing of it is left.
        """
        self._checkpoints.mkdir(mode=0o700, exist_ok=True)
        temporary = self._checkpoints / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            index.copy(temporary)
        except BaseException:
            # On a full disk it would keep the service from starting again.
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        with Index.open(temporary, readonly=True) as copied, copied.read() as view:
            path = self._checkpoints / f"seq-{view.applied_seq:020d}"
        if not path.exists():
            temporary.rename(path)
            sync_directory(self._checkpoints)
        for each in self._checkpoints.iterdir():
            if each != path:
                shutil.rmtree(each)
        return path

    def latest_checkpoint(self) -> Path | None:
        """Return the newest whole checkpoint."""
        if not self._checkpoints.is_dir():
            return None
        return max(
            (each for each in self._checkpoints.iterdir() if _CHECKPOINT_PATTERN.fullmatch(each.name)), default=None
        )

    def drop_checkpoints(self) -> None:
        """Delete all checkpoints for good: they hold values that were erased, or were made with other versions."""
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        sync_directory(self._root)

    def restore_checkpoint(self) -> Path:
        """Put a copy of the newest checkpoint in use as a new generation and return it.

        Raises:
            FileNotFoundError: There is none; `usable` says so.
        """
        checkpoint = self.latest_checkpoint()
        if checkpoint is None:
            raise FileNotFoundError("no checkpoint to restore")
        with self.making() as path:
            shutil.copyfile(checkpoint / DATA_FILE, path / DATA_FILE)
            sync_file(path / DATA_FILE)
            self.mark_clean(path)
            self.swap(path)
        return path

    def _mark(self, path: Path) -> str | None:
        try:
            return (path / MARK_FILE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
