"""Processes of our own that work beside this one: what they are asked and what they answer goes through their pipes."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ParamSpec, Self

from mdm.errors import StoreError
from mdm.processes import command, die_with, spare_the_collector

_Asked = ParamSpec("_Asked")
_LENGTH_BYTES = 8
_END_S = 5.0
"""Given to a process that has closed its pipes."""


class WorkerEndedError(StoreError):
    """A process that worked beside this one ended early; says how."""

    def __init__(self, module: str, code: int = 1) -> None:
        """Take over which module it had loaded, and its exit code: of a signal the negative number."""
        self.was_killed = code < 0
        """As the kernel does for want of memory: it may go better next time."""
        how = f"by signal {-code}" if self.was_killed else f"with exit code {code}"
        super().__init__(f"a worker process of {module} ended early, {how}")


class _NoMoreError(EOFError):
    """The other side wrote no more."""


class Worker:
    """One such process. It dies with the thread that started it, and runs on the same cores.

    Ask it again only when it has answered: else both ends would wait for each other.
    """

    def __init__(self, module: str) -> None:
        """Say which module is to be loaded before anything is asked; its `main` calls `answer_all`."""
        self._module = module

    def __enter__(self) -> Self:
        """Start it. It loads its module while the caller goes on: 0.3 s."""
        self._process = subprocess.Popen(  # noqa: S603  (our own module, an argument of our own making)
            command(self._module, str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # There is one for each core already; numpy's library of matrices would start as many threads in each.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C reaches a whole group: only who started this process is to act on it.
            process_group=0,
        )
        return self

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was never sent is sent as it closes.
                with contextlib.suppress(OSError):
                    pipe.close()

    def ask(self, work: Callable[_Asked, object], *asked: _Asked.args, **named: _Asked.kwargs) -> None:
        """Have it do some work: a function of a module of ours, and what that is given.

        Raises:
            WorkerEndedError: It ended early.
        """
        try:
            _write(self._process.stdin, (work, asked, named))
        except OSError as error:
            raise self._ended_early() from error

    def answer(self) -> Any:
        """Return what came of what it was asked last.

        Raises:
            WorkerEndedError: It ended early.
        """
        try:
            return _read(self._process.stdout)
        except EOFError as error:
            raise self._ended_early() from error

    def _ended_early(self) -> WorkerEndedError:
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return WorkerEndedError(self._module, code)


def answer_all(parent: str) -> None:
    """Be a worker of the process with this number: do what it asks until it asks no more, or something fails."""
    die_with(int(parent))
    spare_the_collector()
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints would break into the answers, and may hold values.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        while True:
            _write(answers, _done(sys.stdin.buffer))
    except _NoMoreError:
        return
    except BaseException as error:  # noqa: BLE001  (what is printed of it must not be left to Python)
        # Neither text nor locals: both may hold values of records.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        sys.exit(f"a worker process failed: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}")


def _done(pipe: IO[bytes]) -> object:
    # In a function of its own: what was asked is let go before the answer is written and more is asked.
    work, asked, named = _read(pipe)
    return work(*asked, **named)


def _write(pipe: IO[bytes] | None, what: object) -> None:
    """Write how many parts there are and how long each is; then an object, and the arrays in it as they lie in memory.

    Raises:
        OSError: Nobody reads them.
    """
    if pipe is None:
        return
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(what, pickle.HIGHEST_PROTOCOL, buffer_callback=arrays.append)
    parts = [memoryview(body), *(array.raw() for array in arrays)]
    pipe.write(b"".join(number.to_bytes(_LENGTH_BYTES, "big") for number in (len(parts), *map(len, parts))))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def _read(pipe: IO[bytes] | None) -> Any:
    """Return what the other side wrote.

    Raises:
        EOFError: It wrote no more, or something cut short.
    """
    count = int.from_bytes(_exactly(pipe, _LENGTH_BYTES), "big")
    lengths = [int.from_bytes(_exactly(pipe, _LENGTH_BYTES), "big") for _ in range(count)]
    body, *arrays = (_exactly(pipe, length) for length in lengths)
    # Only what this very program wrote, into a pipe that nobody else holds.
    return pickle.loads(body, buffers=arrays)  # noqa: S301


def _exactly(pipe: IO[bytes] | None, length: int) -> bytearray:
    found = bytearray(length)
    if pipe is None or pipe.readinto(found) < length:  # type: ignore[attr-defined]  # all but text files have it
        raise _NoMoreError
    return found
