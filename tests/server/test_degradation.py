"""When a service reads only, and when it tries to write again."""

from __future__ import annotations

from mdm.limits import READ_ONLY_RETRY_S_MAX, RESTARTS_MAX, RESTARTS_WINDOW_S
from mdm.server.degradation import Degradation


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_each_probe_that_fails_doubles_the_time_to_the_next_up_to_a_bound() -> None:
    degradation = Degradation(30.0, Clock())
    delays = [degradation.begin("the disk fails") for _ in range(7)]
    assert delays == [30.0, 60.0, 120.0, 240.0, 480.0, READ_ONLY_RETRY_S_MAX, READ_ONLY_RETRY_S_MAX]
    assert degradation.reason == "the disk fails"


def test_a_writer_that_fails_soon_after_it_came_back_does_not_begin_anew() -> None:
    clock = Clock()
    degradation = Degradation(30.0, clock)
    assert not degradation.is_on_trial()
    degradation.begin("the disk fails")
    degradation.end()
    assert degradation.reason == ""
    clock.now_s += READ_ONLY_RETRY_S_MAX - 1
    assert degradation.is_on_trial()
    assert degradation.begin("it fails again") == 60.0


def test_a_kill_on_trial_is_no_failure_until_it_happens_again_and_again() -> None:
    clock = Clock()
    degradation = Degradation(30.0, clock)
    assert not degradation.fails_trial(is_killed=False), "nothing is on trial"
    degradation.begin("the disk fails")
    degradation.end()
    for _ in range(2 * RESTARTS_MAX):
        clock.now_s += RESTARTS_WINDOW_S / (RESTARTS_MAX - 1)
        assert not degradation.fails_trial(is_killed=True)
    assert degradation.fails_trial(is_killed=False)
    clock.now_s += RESTARTS_WINDOW_S
    kills = [degradation.fails_trial(is_killed=True) for _ in range(RESTARTS_MAX)]
    assert kills == [False] * (RESTARTS_MAX - 1) + [True]
    assert degradation.begin("killed again and again") == 60.0


def test_a_failure_long_after_is_the_first_one() -> None:
    clock = Clock()
    degradation = Degradation(30.0, clock)
    for _ in range(3):
        degradation.begin("the disk fails")
    degradation.end()
    clock.now_s += READ_ONLY_RETRY_S_MAX
    assert not degradation.is_on_trial()
    assert degradation.begin("another disk fails") == 30.0
