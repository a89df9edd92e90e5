"""What a run says of the machine it was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.environment import environment
from benchmarks.processes import children


def test_a_run_says_how_far_cores_slow_each_other_down_and_leaves_nothing_busy(tmp_path: Path) -> None:
    before = children(os.getpid())
    told = environment(tmp_path)
    # Other work may slow either of the two loops, by a factor, not by ten.
    assert 0.1 < told["speed_beside_busy_cores"] < 10
    assert children(os.getpid()) == before


def test_a_run_says_which_build_of_the_interpreter_it_ran_on() -> None:
    assert environment()["python"].startswith(f"{platform.python_version()} ({platform.python_compiler()}, built ")


def test_without_a_directory_nothing_is_measured() -> None:
    assert {"disk", "speed_beside_busy_cores"}.isdisjoint(environment())
