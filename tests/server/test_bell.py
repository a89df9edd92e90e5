"""One look at the index wakes everyone who watches."""

from __future__ import annotations

import threading
import time

import pytest

from mdm.errors import UnavailableError
from mdm.server.bell import Bell

SOON_S = 5.0


class Applied:
    """A position that a test moves, and how often it was looked at."""

    def __init__(self) -> None:
        self.seq = 3
        self.looks = 0
        self.is_failing = False

    def __call__(self) -> int:
        self.looks += 1
        if self.is_failing:
            raise OSError("a look that fails")
        return self.seq


def wanted() -> bool:
    return True


def test_everyone_wakes_at_a_new_position_and_not_before() -> None:
    applied = Applied()
    bell = Bell(applied)
    woken: list[float] = []

    def wait() -> None:
        bell.wait_beyond(3, SOON_S, wanted)
        woken.append(time.monotonic())

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert woken == []
    moved_s = time.monotonic()
    applied.seq = 4
    for thread in threads:
        thread.join()
    assert len(woken) == 20
    assert max(woken) - moved_s < SOON_S / 2
    assert applied.looks < 200, "one look for all of them"
    bell.stop()


def test_nobody_looks_while_nobody_waits() -> None:
    applied = Applied()
    bell = Bell(applied)
    bell.wait_beyond(2, SOON_S, wanted)
    looks = applied.looks
    time.sleep(0.2)
    assert applied.looks - looks <= 2
    bell.stop()


def test_a_wait_ends_in_time_when_it_is_wanted_no_longer_and_when_the_server_stops() -> None:
    bell = Bell(Applied())
    started_s = time.monotonic()
    bell.wait_beyond(3, 0.05, wanted)
    bell.pause(0.05)
    assert 0.09 < time.monotonic() - started_s < SOON_S

    is_wanted = True

    def leave() -> None:
        nonlocal is_wanted
        is_wanted = False
        bell.ring()

    threading.Timer(0.05, leave).start()
    bell.wait_beyond(3, SOON_S, lambda: is_wanted)
    assert time.monotonic() - started_s < SOON_S

    threading.Timer(0.05, bell.stop).start()
    with pytest.raises(UnavailableError):
        bell.wait_beyond(3, SOON_S, wanted)
    with pytest.raises(UnavailableError):
        bell.wait_beyond(0, 0.0, wanted)  # as a stream that catches up does, which waits for nothing
    with pytest.raises(UnavailableError):
        bell.pause(SOON_S)
    assert time.monotonic() - started_s < SOON_S


def test_a_look_that_fails_is_repeated() -> None:
    applied = Applied()
    applied.is_failing = True
    bell = Bell(applied)

    def mend() -> None:
        applied.is_failing = False

    threading.Timer(0.1, mend).start()
    started_s = time.monotonic()
    bell.wait_beyond(2, SOON_S, wanted)
    assert time.monotonic() - started_s < SOON_S
    bell.stop()
