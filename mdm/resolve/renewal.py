"""Writing the index anew in a process of its own, so that writes go on meanwhile: a large one takes half a minute.

The process reads one state of the index and writes its entries into a new generation. What was written since is folded
into that from the journal when the writer takes it over.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from mdm.resolve.projection import project
from mdm.store.data_directory import DataDirectory
from mdm.store.generations import boot_id
from mdm.store.index import Index
from mdm.store.journal import JournalReader


class Renewal:
    """One new generation in the making; it holds nothing that was deleted before it was started."""

    def __init__(self, directory: DataDirectory, path: Path, process: subprocess.Popen[bytes]) -> None:
        """Take over a started process; see `start`."""
        self._directory = directory
        self._path = path
        self._process = process

    @classmethod
    def start(cls, directory: DataDirectory) -> Self:
        """Start the process on the generation in use."""
        path = directory.generations.new()
        source = directory.generations.current()
        arguments = [str(os.getpid()), str(source), str(path)]
        process = subprocess.Popen(  # noqa: S603  (our own module, arguments of our own making)
            [sys.executable, "-m", "mdm.store.rewrite_process", *arguments], stdin=subprocess.DEVNULL
        )
        return cls(directory, path, process)

    @property
    def is_running(self) -> bool:
        """Whether the process is still at work."""
        return self._process.poll() is None

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a new generation."""
        return self._process.poll() not in {None, 0}

    def take_over(self, index: Index, journal: JournalReader) -> None:
        """Go on with the new generation; readers follow within a second, until then the old file is theirs.

        Cost: 0.2 ms for each record written since the start.
        """
        generations = self._directory.generations
        generations.mark_open(self._path, boot_id())
        with Index.open(self._path) as fresh:
            project(fresh, journal)
        generations.swap(self._path)
        index.move_to(self._path)
        generations.remove_others()

    def close(self) -> None:
        """End the process and remove what it leaves: half an index may be all that fills the disk."""
        if self.is_running:
            self._process.kill()
        self._process.wait()
        shutil.rmtree(self._path, ignore_errors=True)
