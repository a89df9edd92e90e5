"""Checkpoints of the index, written beside the writer's work: a copy of gigabytes takes seconds."""

from __future__ import annotations

import threading
import time

import msgspec
import structlog

from mdm.limits import CHECKPOINT_INTERVAL_S, WRITE_FREE_DISK_BYTES_MIN
from mdm.store.generations import Generations
from mdm.store.index import Index

_log = structlog.get_logger()


class CheckpointOutcome(msgspec.Struct, frozen=True):
    """How the last checkpoint of this writer went."""

    written_us: int = 0
    """When the last one was written, 0 if none was."""
    failure: str = ""
    """Why the one that was due since was skipped or failed: names of errors; empty if it was not."""


class CheckpointKeeper:
    """Copies the index in a thread of its own when it is time. Everything else happens on the writer's thread.

    A checkpoint only spares a start after a power cut a replay from further back, so one that cannot be written, or for
    which there is no room, is left out, said loudly, and tried again when the next is due.

    Invariant: while a copy is being written, nobody takes the index away or drops checkpoints; ask `is_writing` first.
    """

    def __init__(self, generations: Generations, index: Index, seq: int) -> None:
        """Begin with an index that a checkpoint at `seq`, or the journal before it, can bring back."""
        self._generations = generations
        self._index = index
        self._seq = seq
        self._due_s = time.monotonic() + CHECKPOINT_INTERVAL_S
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self.outcome = CheckpointOutcome()

    @property
    def is_writing(self) -> bool:
        """Whether a copy is being written, or its end was not noted by `step` yet."""
        return self._thread is not None

    def step(self, seq: int) -> None:
        """Note the end of a copy, or begin one if it is time and the journal went on.

        Args:
            seq: Of the journal.
        """
        if self._thread is not None:
            if not self._thread.is_alive():
                self.close()
        elif seq != self._seq and time.monotonic() >= self._due_s:
            self._begin(seq)

    def close(self) -> None:
        """Wait for a copy that is being written."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        self._due_s = time.monotonic() + CHECKPOINT_INTERVAL_S
        error, self._error = self._error, None
        if error is None:
            self.outcome = CheckpointOutcome(time.time_ns() // 1000)
        else:
            self._fail(type(error).__name__)

    def _begin(self, seq: int) -> None:
        # Both lie on the disk until the new one is whole, and what is written meanwhile must still find room.
        needed = self._index.sizes().file_bytes + WRITE_FREE_DISK_BYTES_MIN
        if self._generations.free_bytes() < needed:
            self._due_s = time.monotonic() + CHECKPOINT_INTERVAL_S
            self._fail(f"no room: {needed >> 20} MiB are needed")
            return
        self._seq = seq
        self._thread = threading.Thread(target=self._write, name="checkpoint")
        self._thread.start()

    def _fail(self, failure: str) -> None:
        self.outcome = msgspec.structs.replace(self.outcome, failure=failure)
        _log.error("checkpoint_skipped", cause=failure, next_try_s=CHECKPOINT_INTERVAL_S)

    def _write(self) -> None:
        try:
            self._generations.checkpoint(self._index)
        except Exception as error:  # noqa: BLE001  (whatever it is, the writer goes on without a checkpoint)
            self._error = error
