"""How sure a share is: the bootstrap over entities, Wilson's interval and the exact bound where nothing failed.

Pairs of one entity stand and fall together, so entities are what is drawn again, never pairs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_DRAWS = 2_000
"""The 2.5 % quantile then rests on 50 draws: its own error is a tenth of the interval's width."""

CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.959964

Columns = NDArray[np.float64]
"""Shape (entities, columns): what each entity adds to each sum."""


class Estimate(NamedTuple):
    """A measured figure with its interval of 95 %, `low` ≤ `value` ≤ `high`; NaN where there was nothing to count."""

    value: float
    low: float
    high: float


def resampled_sums(columns: Columns, seed: int) -> Columns:
    """Return the columns' sums over entities drawn again with replacement, shape (draws, columns).

    Entities that add the same are drawn together: a multinomial over the few distinct rows is the same bootstrap.
    """
    distinct, counts = np.unique(columns, axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(columns), counts / len(columns), BOOTSTRAP_DRAWS)
    return draws.astype(np.float64) @ distinct


def interval(value: float, draws: NDArray[np.float64]) -> Estimate:
    """Return the percentile interval of a figure's draws, widened to hold the figure itself."""
    draws = draws[np.isfinite(draws)]
    if not math.isfinite(value) or not len(draws):
        return Estimate(math.nan, math.nan, math.nan)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, (tail, 1 - tail))
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return over / under, NaN where there is nothing under."""
    shares: NDArray[np.float64] = np.full(np.shape(under), np.nan)
    return np.divide(over, under, out=shares, where=under > 0)


def wilson(hits: int, count: int) -> Estimate:
    """Return a share with Wilson's score interval."""
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan)
    share, square = hits / count, _NORMAL_QUANTILE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _NORMAL_QUANTILE / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return Estimate(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def exact_lower_bound(count: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact (Clopper and Pearson) one-sided lower bound of a share of which `count` of `count` held.

    What it counts must be independent: entities, not their pairs.
    """
    return float((1 - confidence) ** (1 / count)) if count else 0.0


def lower_bound(draws: NDArray[np.float64]) -> float:
    """Return the one-sided lower bound of 95 % among a figure's draws."""
    draws = draws[np.isfinite(draws)]
    return float(np.quantile(draws, 1 - CONFIDENCE)) if len(draws) else math.nan
