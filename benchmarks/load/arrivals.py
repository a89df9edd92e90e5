"""When each call is due, and which request it carries: drawn before the run, so that drawing costs no time in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.spec import Call, LoadSpec

_CLOSED_DRAWS = 1 << 16
"""Draws of a closed loop, used again from the start: enough that their order repeats only after seconds."""


class Draw(NamedTuple):
    """One call to make."""

    call: int
    """Index into the spec's calls."""
    body: bytes


def due_times(spec: LoadSpec) -> NDArray[np.float64]:
    """Return when calls are due, in seconds from the start of the warm-up, in order."""
    whole_s = spec.warm_up_s + spec.measure_s
    if spec.arrivals == "even":
        return np.arange(0.0, whole_s, 1.0 / spec.rate_per_s)
    dice = np.random.default_rng((spec.seed, 1))
    # Four standard deviations more than expected, so that the window is covered.
    expected = whole_s * spec.rate_per_s
    count = int(expected + 4 * expected**0.5 + 16)
    times = np.cumsum(dice.exponential(1.0 / spec.rate_per_s, count))
    return times[times < whole_s]


def draws(spec: LoadSpec, requests: Sequence[Sequence[bytes]]) -> Iterator[Draw]:
    """Yield the calls to make, one after another; ends when a kind whose requests are sent once has none left.

    Args:
        spec: Names the kinds and their shares.
        requests: Of each kind, in the spec's order.
    """
    dice = np.random.default_rng((spec.seed, 2))
    shares = np.array([each.share for each in spec.calls], np.float64)
    kinds = dice.choice(len(spec.calls), _CLOSED_DRAWS, p=shares / shares.sum()).tolist()
    chosen = [_chosen(call, len(bodies), dice) for call, bodies in zip(spec.calls, requests, strict=True)]
    places = [0] * len(spec.calls)
    while True:
        for kind in kinds:
            place = places[kind]
            places[kind] = place + 1
            if spec.calls[kind].is_consumed:
                if place == len(requests[kind]):
                    return
                yield Draw(kind, requests[kind][place])
            else:
                yield Draw(kind, requests[kind][chosen[kind][place % _CLOSED_DRAWS]])


def _chosen(call: Call, count: int, dice: np.random.Generator) -> list[int]:
    if call.is_consumed:
        return []
    if not call.skew:
        return [int(place) for place in dice.integers(0, count, _CLOSED_DRAWS)]
    weights = np.arange(1, count + 1, dtype=np.float64) ** -call.skew
    ranks = dice.choice(count, _CLOSED_DRAWS, p=weights / weights.sum())
    # Which requests are popular must not follow the order of the file.
    return [int(place) for place in dice.permutation(count)[ranks]]
