"""Checkpoints of the index, written beside the writer's work: a copy of gigabytes takes seconds."""

from __future__ import annotations

import threading
import time

from mdm.limits import CHECKPOINT_INTERVAL_S
from mdm.store.generations import Generations
from mdm.store.index import Index


class CheckpointKeeper:
    """Copies the index in a thread of its own when it is time. Everything else happens on the writer's thread.

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

    @property
    def is_writing(self) -> bool:
        """Whether a copy is being written, or its end was not noted by `step` yet."""
        return self._thread is not None

    def step(self, seq: int) -> None:
        """Note the end of a copy, or begin one if it is time and the journal went on.

        Args:
            seq: Of the journal.

        Raises:
            Exception: Whatever ended the copy.
        """
        if self._thread is not None:
            if not self._thread.is_alive():
                self.close()
        elif seq != self._seq and time.monotonic() >= self._due_s:
            self._seq = seq
            self._thread = threading.Thread(target=self._write, name="checkpoint")
            self._thread.start()

    def close(self) -> None:
        """Wait for a copy that is being written. Raises as `step`."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        self._due_s = time.monotonic() + CHECKPOINT_INTERVAL_S
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self) -> None:
        try:
            self._generations.checkpoint(self._index)
        except Exception as error:  # noqa: BLE001  (whatever it is, the writer has to learn of it)
            self._error = error
