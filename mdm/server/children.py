"""Starting and ending child processes: exec'd, never forked with gRPC or LMDB loaded; none outlives its supervisor."""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import structlog

from mdm.limits import RESTARTS_MAX, RESTARTS_WINDOW_S, START_S_MAX
from mdm.processes import command, die_with
from mdm.server.options import ChildOptions

BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 5.0
EXIT_HOPELESS = 78
"""A child's exit status when another start cannot help (as EX_CONFIG of sysexits.h)."""
EXIT_DISK_FULL = 74
"""A child's exit status when the disk that holds the data is full (as EX_IOERR of sysexits.h)."""
EXIT_INDEX_DAMAGED = 65
"""A child's exit status when the index has to be built anew (as EX_DATAERR of sysexits.h)."""
BEAT_S = 1.0
"""How often a child that serves says so."""
_GO_ON = b"1"
_WAIT_OPENLY = b"w"
_PROGRESS = b"p"
_TESTIMONY_S = 0.2
_KILL_S = 1.0
_SAID_BYTES_MAX = 256
_KILLED = frozenset({-signal.SIGKILL, -signal.SIGTERM})


class Child:
    """One process of the service under the supervisor's eyes: at most one is alive at a time under this name.

    All methods are called from the supervisor's main thread, because a child dies with the thread that started it.
    """

    def __init__(self, module: str, options: ChildOptions) -> None:
        """Describe a child; nothing is started yet."""
        self.name = options.name
        self.restart_count = -1
        self.since_us = 0
        """When it was started, or ended."""
        self.silent_s = 0.0
        """Time since it last said that it turns round, without what its supervisor missed itself."""
        self._module = module
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._ready_fd = -1
        self._started_s = self._heard_s = 0.0
        self._not_before_s = 0.0
        self._failures: collections.deque[float] = collections.deque(maxlen=RESTARTS_MAX)
        self._is_ready = False
        self._is_held = False
        self._is_waiting_openly = False
        self._is_hopeless = False
        self._is_ended = False
        self.was_killed = False
        """Whether its last end was somebody else's signal, while it served."""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether it runs and has said that it serves."""
        if self._process is not None and not self._is_ready:
            self.listen(0.0)
        return self._process is not None and self._is_ready

    def listen(self, elapsed_s: float) -> None:
        """Take what it said since the last time, `elapsed_s` ago."""
        said = b""
        if self._process is not None:
            with contextlib.suppress(BlockingIOError):
                said = os.read(self._ready_fd, _SAID_BYTES_MAX)
        if said:
            self._heard_s = time.monotonic()
        self._is_ready = self._is_ready or bool(said.strip(_PROGRESS))
        self.silent_s = 0.0 if said or not self._is_ready else self.silent_s + elapsed_s

    @property
    def is_hopeless(self) -> bool:
        """Whether another start would not help: it said so, or it failed too often in too short a time."""
        failures = self._failures
        is_often = len(failures) == RESTARTS_MAX and failures[-1] - failures[0] < RESTARTS_WINDOW_S
        return self._is_hopeless or is_often

    @property
    def is_stuck(self) -> bool:
        """Whether it runs without serving or coming any further for longer than any step of a start takes."""
        is_starting = self._process is not None and not self._is_held and not self.is_ready
        return is_starting and time.monotonic() - max(self._started_s, self._heard_s) > START_S_MAX

    def start_if_due(self) -> bool:
        """Start it unless it runs or its backoff has not passed; returns whether it was started.

        It loads its modules and then is held until `release`.
        """
        now_s = time.monotonic()
        if self._process is not None or now_s < self._not_before_s:
            return False
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        options = msgspec.structs.replace(self._options, ready_fd=writing)
        self._process = subprocess.Popen(  # noqa: S603 – our own interpreter and module
            command(self._module, options.encode()), pass_fds=(writing,), stdin=subprocess.PIPE
        )
        os.close(writing)
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
        self._ready_fd, self._is_ready, self._started_s = reading, False, now_s
        self.silent_s, self.since_us = 0.0, time.time_ns() // 1000
        self._is_held, self._is_waiting_openly = True, False
        self._is_ended = False
        self.restart_count += 1
        return True

    def release(self) -> None:
        """Let it go on to serve, if it is held."""
        if self._process is not None and self._process.stdin is not None and self._is_held:
            self._is_held, self._started_s = False, time.monotonic()
            self._say(_GO_ON)
            self._process.stdin.close()

    def wait_openly(self, after_s: float = 0.0) -> None:
        """Have it say on the port that nothing is served yet, if it has been held for longer than `after_s`."""
        is_long = time.monotonic() - self._started_s > after_s
        if self._process is not None and self._is_held and not self._is_waiting_openly and is_long:
            self._is_waiting_openly = True
            self._say(_WAIT_OPENLY)

    def _say(self, word: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(word)
                self._process.stdin.flush()

    def poll(self) -> int | None:
        """Return the exit status if it has ended since the last call, and set the time of its next start.

        Negative numbers are the signal that ended it.
        """
        if self._process is None or (status := self._process.poll()) is None:
            return None
        now_s = time.monotonic()
        was_serving = self.is_ready
        self._process, self._is_ready, self._not_before_s = None, False, now_s
        self.silent_s, self.since_us = 0.0, time.time_ns() // 1000
        self.was_killed = was_serving and status in _KILLED and not self._is_ended
        if was_serving and status in _KILLED:
            # Somebody ended a healthy process: it is started again at once, however often that happens.
            return status
        self._is_hopeless = status == EXIT_HOPELESS
        self._failures.append(now_s)
        recent = sum(now_s - failure_s < RESTARTS_WINDOW_S for failure_s in self._failures)
        self._not_before_s = now_s + min(BACKOFF_S_MAX, BACKOFF_S_MIN * 4 ** (recent - 1))
        return status

    def rest(self, for_s: float) -> None:
        """Forget its failures, and start it no sooner than in `for_s`."""
        self._failures.clear()
        self._is_hopeless = False
        self._not_before_s = time.monotonic() + for_s

    def testify(self) -> None:
        """Have it write its stacks to the log, as files and lines: the only witness of what it hangs in."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(_TESTIMONY_S)

    def kill(self) -> None:
        """End it at once; one that the kernel holds, as in a read of a dying disk, ends when that lets it go."""
        if self._process is not None:
            self._is_ended = True
            self._process.kill()
            self.silent_s = 0.0
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_S)

    def stop(self) -> None:
        """Ask it to drain and end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end and return its exit status; after `timeout_s` it is killed."""
        if self._process is None:
            return None
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            structlog.get_logger().warning("child_killed", child=self.name, waited_s=timeout_s)
            self.testify()
            self.kill()
            status = self._process.wait()
        self._process = None
        return status


def live_as_child(options: ChildOptions, wait_openly: Callable[[], None] = lambda: None) -> None:
    """Tie this process's life to its supervisor's, and wait until that releases it; called first in a child.

    Ctrl-C reaches the whole process group: only the supervisor acts on it, so that it can end its children in order.

    Args:
        options: What the supervisor said.
        wait_openly: Called when the wait is a long one, once.
    """
    die_with(options.parent_pid)
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1) == _WAIT_OPENLY:
        wait_openly()


def tell_progress(options: ChildOptions) -> None:
    """Tell the supervisor that the start of this process came further; an index of tens of millions takes hours."""
    _say(options, _PROGRESS)


def tell_ready(options: ChildOptions) -> None:
    """Tell the supervisor that this process serves."""
    os.set_blocking(options.ready_fd, False)
    os.write(options.ready_fd, b"1")


def beat(options: ChildOptions) -> None:
    """Tell the supervisor that this process still turns round; called about every `BEAT_S` once it serves."""
    _say(options, b".")


def _say(options: ChildOptions, word: bytes) -> None:
    os.set_blocking(options.ready_fd, False)
    # Full when the supervisor is stopped: it then has enough to read.
    with contextlib.suppress(BlockingIOError):
        os.write(options.ready_fd, word)
