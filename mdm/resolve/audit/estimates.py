"""From counts in a sample to totals with 95 % bounds.

Errors of a good linkage are rare, often none in a stratum, where the usual normal bounds claim certainty. So each
stratum gets exact bounds, and these are put together by the distances that they keep from the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

TAIL = 0.025
"""On either side of a two-sided 95 % interval."""

_POISSON_EVENTS_MARGIN = 20.0
"""The upper limit of x events lies below 2x + 20: 3.7 at none, within 2 sqrt(x) + 4 of x beyond."""

_BISECTIONS = 60
"""Halvings of a Poisson limit's interval, until its width is beneath a float's precision."""


class Total(NamedTuple):
    """An estimated number of pairs with its 95 % bounds."""

    estimate: float
    lower: float
    upper: float


def stratum_total(population: int, items: int, found: int, *, caught_share: float = 1.0, clump: float = 1.0) -> Total:
    """Return how many pairs of a stratum have a property that `found` of `items` drawn ones have.

    Exact for pairs drawn without replacement (inverted hypergeometric tests); with all drawn, the bounds meet. In a
    stratum of which each pair was caught with a chance only, what was caught is besides a Poisson number (Garwood's
    bounds). The two uncertainties are stacked at their full width, which errs on the safe side.

    Args:
        population: Pairs, or pairs caught.
        items: Of these drawn, at least 1 unless the population is empty.
        found: Of the drawn.
        caught_share: Chance of a pair to be caught, in (0, 1].
        clump: How many pairs are caught together, at least 1: they count as one event.
    """
    if not population:
        held = Total(0.0, 0, 0)
    else:
        lower, upper = hypergeometric_limits(population, items, found)
        held = Total(population * found / items, lower, upper)
    if caught_share >= 1.0:
        return held
    lower_events, _ = poisson_limits(math.floor(held.lower / clump))
    _, upper_events = poisson_limits(math.ceil(held.upper / clump))
    return Total(held.estimate / caught_share, clump * lower_events / caught_share, clump * upper_events / caught_share)


def add(totals: Iterable[Total]) -> Total:
    """Return the sum of independent totals.

    The bounds keep the root of the summed squared distances that the parts' bounds keep (the "method of variance
    estimates recovery"). With one part it is that part's exact bound; with many rare ones it is wider than need be.

    Source:
        Zou and Donner (2008), Construction of confidence limits about effect measures, Statistics in Medicine 27.
    """
    parts = list(totals)
    estimate = math.fsum(part.estimate for part in parts)
    below = math.sqrt(math.fsum((part.estimate - part.lower) ** 2 for part in parts))
    above = math.sqrt(math.fsum((part.upper - part.estimate) ** 2 for part in parts))
    return Total(estimate, max(estimate - below, 0.0), estimate + above)


@lru_cache(4096)
def hypergeometric_limits(population: int, items: int, found: int) -> tuple[int, int]:
    """Return the 95 % bounds of how many in a population have a property, from a sample without replacement.

    Source:
        Clopper and Pearson's (1934) inversion, for finite populations as in Buonaccorsi (1987), The American
        Statistician 41; it tends to theirs as the population grows.
    """
    if 2 * found > items:
        # The rarer side takes fewer terms.
        lower, upper = hypergeometric_limits(population, items, items - found)
        return population - upper, population - lower
    least, most = found, population - (items - found)
    upper = _last(least, most, lambda holders: _at_most(found, population, holders, items) > TAIL)
    if not found:
        return 0, upper
    lower = 1 + _last(
        least - 1, most, lambda holders: holders < least or 1 - _at_most(found - 1, population, holders, items) <= TAIL
    )
    return min(lower, most), upper


def poisson_limits(events: int) -> tuple[float, float]:
    """Return the 95 % bounds of the mean of a Poisson number that came out as `events`.

    Source:
        Garwood (1936), Biometrika 28.
    """
    upper = _root(lambda mean: _poisson_at_most(events, mean) - TAIL, events)
    lower = _root(lambda mean: _poisson_at_most(events - 1, mean) - (1 - TAIL), events) if events else 0.0
    return lower, upper


def _last(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the last number of the range for which `holds`, which is true at `low` and changes once."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _root(falling: Callable[[float], float], events: int) -> float:
    low, high = 0.0, 2.0 * events + _POISSON_EVENTS_MARGIN
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high


def _at_most(found: int, population: int, holders: int, items: int) -> float:
    """Return the probability of at most `found` holders among `items` drawn."""
    first = max(0, items - (population - holders))
    log_term = (
        _log_binomial(holders, first)
        + _log_binomial(population - holders, items - first)
        - _log_binomial(population, items)
    )
    terms = []
    for count in range(first, min(found, holders, items) + 1):
        terms.append(math.exp(log_term))
        if count < min(holders, items):
            log_term += math.log((holders - count) / (count + 1)) + math.log(
                (items - count) / (population - holders - items + count + 1)
            )
    return min(math.fsum(terms), 1.0)


def _log_binomial(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)


def _poisson_at_most(events: int, mean: float) -> float:
    if mean <= 0:
        return 1.0
    return math.fsum(math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)) for count in range(events + 1))
