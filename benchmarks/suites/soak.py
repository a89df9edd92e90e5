"""Memory of readers and writer under the admission desk's load: does it grow for as long as it is used?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.figures import Curve, Figure
from benchmarks.load.generator import run_load
from benchmarks.processes import memory
from benchmarks.session import Session
from benchmarks.suites.profiles import ADMISSION_DESK, Mixed

RATE_PER_S = 200.0
"""Ten admissions a second, all day: 36,000 an hour."""
SETTLE_SHARE = 1 / 3
"""Of the time, left out of the slope: caches fill at first."""
SAMPLES = 120
BLOCKS = 6
"""Slopes are also taken block by block: their scatter says what a trend must exceed."""
JUDGED_MINUTES = 30
HOUR_S = 3600.0
MIB = 2**20


def measure(session: Session) -> None:
    """Run the suite."""
    seconds = session.options.soak_minutes * 60
    mixed = Mixed(session, ADMISSION_DESK)
    with session.deployment(is_writing=True) as service:
        session.say(f"{seconds:,.0f} s at {RATE_PER_S:,.0f} calls a second")
        watch = _MemoryWatch({"reader": service.reader_pids, "writer": service.writer_pids}, seconds)
        calls = tuple(mixed.calls(RATE_PER_S, seconds + session.options.warm_up_seconds))
        spec = session.spec(calls, 0, seconds=seconds, rate_per_s=RATE_PER_S)
        found = run_load(spec, service.server, meanwhile=watch.run)
    for side, samples in watch.samples.items():
        _grown(session, side, samples)
    session.add_latency("soak.p99", "Admission desk while soaking, p99", [found], 0.99)
    session.add_distribution("Admission desk while soaking", [found])


class _MemoryWatch:
    """Samples the largest own memory of each side's processes."""

    def __init__(self, sides: dict[str, Callable[[], Sequence[int]]], seconds: float) -> None:
        self.samples: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        """Side → second, MiB."""
        self._sides = sides
        self._seconds = seconds

    def run(self) -> None:
        """Watch for so many seconds."""
        pause = threading.Event()
        step_s = self._seconds / SAMPLES
        for number in range(SAMPLES):
            pause.wait(step_s)
            for side, pids in self._sides.items():
                used = max((memory(pid).own_bytes for pid in pids()), default=0)
                self.samples[side].append((number * step_s, used / MIB))


def _grown(session: Session, side: str, samples: Sequence[tuple[float, float]]) -> None:
    settled = np.array(samples[round(len(samples) * SETTLE_SHARE) :])
    blocks = [_slope(block) for block in np.array_split(settled, BLOCKS)]
    whole = _slope(settled)
    half_hour = HOUR_S / 2
    figure = Figure(
        name=f"soak.{side}_growth",
        title=f"Own memory of the {side}: trend over half an hour, of its size",
        unit="%",
        values=[100 * whole * half_hour / float(settled[:, 1].mean())],
        is_better_higher=False,
        note=f"{settled[0, 1]:.1f} MiB at first, {settled[-1, 1]:.1f} at last, over {settled[-1, 0]:,.0f} s; "
        f"slopes of {BLOCKS} parts scatter by {np.std(blocks) * half_hour:.1f} MiB in half an hour",
    )
    session.add(figure)
    if session.options.soak_minutes < JUDGED_MINUTES:
        # A minute's noise, drawn out to half an hour, says nothing.
        figure.target = None
        session.note(f"a trend of memory is judged from {JUDGED_MINUTES} minutes on: --soak-minutes {JUDGED_MINUTES}")
    session.result.curves.append(
        Curve(title=f"Own memory of the {side}", x_title="seconds", y_title="MiB", points=list(samples))
    )


def _slope(samples: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Return MiB a second by least squares."""
    return float(np.polyfit(samples[:, 0], samples[:, 1], 1)[0]) if len(samples) > 1 else 0.0
