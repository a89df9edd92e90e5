"""Ending a child that does not end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from mdm.server.children import Child
from mdm.server.options import ChildOptions


def test_a_child_that_does_not_end_says_where_it_hangs_and_is_killed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child("tests.server.hanging_child", ChildOptions("hanging", tmp_path, os.getpid(), -1))
    assert child.start_if_due()
    time.sleep(0.3)
    is_ready_at_once = child.is_ready
    assert not is_ready_at_once, "held until released"
    child.release()
    until_s = time.monotonic() + 20
    while not child.is_ready and time.monotonic() < until_s:
        time.sleep(0.02)
    assert child.is_ready
    child.stop()
    assert child.wait(0.2) == -signal.SIGKILL
    assert "in hang_for_ever" in capfd.readouterr().err
