"""The demo's processes: none is left behind, whenever the demo is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from mdm.cli.demo_service import held_signals

# Starts a command that would take seconds, under the demo's own handlers.
INTERRUPTED = """
import sys
from mdm.cli.demo import _ended_by_signals
from mdm.cli.demo_service import run_command
print("ready", flush=True)
with _ended_by_signals():
    run_command("synth", sys.argv[1], "--citizens", "20000")
"""


class ToldToStopError(Exception):
    """Raised by the test's handler, as the demo's raises an interrupt."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise ToldToStopError

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def start_and_note(known: list[str]) -> None:
    with held_signals():
        signal.raise_signal(signal.SIGTERM)
        known.append("process")


def test_a_signal_waits_until_the_process_is_known() -> None:
    known: list[str] = []
    with pytest.raises(ToldToStopError):
        start_and_note(known)
    assert known == ["process"]
    with pytest.raises(ToldToStopError):
        signal.raise_signal(signal.SIGTERM)


def test_without_a_signal_nothing_is_raised() -> None:
    with held_signals():
        pass


def test_a_command_ends_with_the_demo_that_is_stopped_while_it_starts(tmp_path: Path) -> None:
    # Without the hold, every second try left the command behind.
    for attempt in range(3):
        city = tmp_path / str(attempt)
        with subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, city], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as demo:
            assert demo.stdout is not None
            demo.stdout.readline()
            children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children")
            while not (child := children.read_text(encoding="ascii").strip()):
                pass
            demo.send_signal(signal.SIGTERM)
        assert demo.returncode == -signal.SIGINT, "ended by the interrupt"
        assert not Path(f"/proc/{child}").exists()
