"""The demo's own service and the commands it runs: real processes, started the way a newcomer would start them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mdm.cli.output import ExitCode, fail

START_S_MAX = 60.0
"""A start takes about a second; a busy machine may take many."""

STOP_S_MAX = 60.0
"""A clean end waits for calls under way and writes the clean mark."""

_POLL_S = 0.02
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FINE = frozenset({ExitCode.DONE, ExitCode.DONE_WITH_REJECTS})


def command_line(arguments: Sequence[str | Path]) -> str:
    """Return a command as it would be typed."""
    return "mdm " + shlex.join(map(str, arguments))


def run_command(*arguments: str | Path) -> dict[str, Any]:
    """Run `mdm …` with `--json` in a process of its own and return its summary.

    On a terminal the command draws its own progress; otherwise its progress lines are left out. If it fails, the demo
    ends with what it said last.
    """
    is_terminal = sys.stderr.isatty()
    process: subprocess.Popen[str] | None = None
    try:
        with held_signals():
            process = subprocess.Popen(  # noqa: S603 – our own commands, arguments of our own making
                [sys.executable, "-m", "mdm", *map(str, arguments), "--json"],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if is_terminal else subprocess.PIPE,
                text=True,
            )
        result, errors = process.communicate()
    except BaseException:
        if process is not None:
            process.kill()
            process.wait()
        raise
    if process.returncode not in _FINE:
        said = (errors or "").strip().splitlines()
        why = said[-1].removeprefix("mdm: ") if said else f"it ended with exit code {process.returncode}"
        fail(f"{command_line(arguments)}: {why}")
    summary: dict[str, Any] = json.loads(result)
    return summary


@contextmanager
def held_signals() -> Iterator[None]:
    """Let signals that end the demo wait for the end of the block: there it knows of the process that it started.

    An interrupt between the start and the note of it would leave the process behind.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for each in came:
        signal.raise_signal(each)


class DemoService:
    """`mdm serve` on one data directory, in a process group of its own so that one signal ends all of it.

    Keeps its port from start to start; `address` is empty before the first.
    """

    def __init__(self, data: Path, log: Path) -> None:
        """Say where the service keeps its state and its log; nothing starts yet."""
        self.data = data
        self.log = log
        self.address = ""
        self._process: subprocess.Popen[bytes] | None = None

    def arguments(self) -> list[str]:
        """Return the command that starts it."""
        listen = self.address or "127.0.0.1:0"
        return ["serve", "--data", str(self.data), "--listen", listen, "--workers", "2", "--metrics", "off"]

    def start(self) -> float:
        """Start it and return how many seconds passed until it answered; if it does not, the demo ends."""
        started_s = time.monotonic()
        ready = self.data.with_name(f"{self.data.name}.ready.json")
        ready.unlink(missing_ok=True)
        with self.log.open("ab") as log, held_signals():
            self._process = subprocess.Popen(  # noqa: S603 – our own command
                [sys.executable, "-m", "mdm", *self.arguments(), "--ready-file", str(ready)],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() - started_s > START_S_MAX:
                fail(f"the service did not start; the last line of its log: {_last_line(self.log)}")
            time.sleep(_POLL_S)
        self.address = json.loads(ready.read_text(encoding="utf-8"))["address"]
        return time.monotonic() - started_s

    def kill(self) -> int:
        """End every process of it at once, with no chance to tidy up; return how many there were."""
        if self._process is None:
            return 0
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        os.killpg(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        # The kernel ends them one after the other; the port and the lock are free when all are gone.
        until_s = time.monotonic() + STOP_S_MAX
        while any(_is_alive(int(child)) for child in children) and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        return 1 + len(children)

    def is_running(self) -> bool:
        """Return whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> bool:
        """Let calls under way finish and end it; return whether it ended cleanly. Nothing to do is clean too."""
        if self._process is None:
            return True
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._process = None
        return status == 0


def _environment() -> dict[str, str]:
    """Return the environment without settings for another service than the demo's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MDM_")}


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else "(empty)"


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
