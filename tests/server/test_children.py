"""Ending a child that does not end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from mdm.server import children
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


def test_a_start_that_comes_further_may_take_longer_than_one_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "START_S_MAX", 5.0)
    child = Child("tests.server.hanging_child", ChildOptions("starting", tmp_path, os.getpid(), -1))
    assert child.start_if_due()
    child.release()
    until_s = time.monotonic() + 7
    try:
        while time.monotonic() < until_s:
            assert not child.is_stuck
            time.sleep(0.1)
        assert not child.is_ready
        pid = child.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        until_s = time.monotonic() + 10
        while not child.is_stuck:
            assert time.monotonic() < until_s
            time.sleep(0.1)
    finally:
        child.kill()
