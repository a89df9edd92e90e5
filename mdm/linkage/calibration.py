"""What labels say of a model: how often pairs of a given match probability really are matches, and how sure that is."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
from numpy.typing import NDArray

BANDS_BITS = (-math.inf, 0.0, 3.0, 5.0, 7.0, 9.0, 11.0, 14.0, 20.0, math.inf)
"""Rows of a reliability table: narrow around the thresholds, where a pair's fate turns."""

CALIBRATION_LABELS_MIN = 100
"""Below it, and below a tenth of them of either kind, a fitted line says more of chance than of the model."""

NEWTON_STEPS_MAX = 50
"""Two parameters on a concave likelihood: ten steps are the rule."""

BISECTION_STEPS = 60
"""Halves the interval from 0 to 1 down to the precision of a double."""


class ReliabilityRow(msgspec.Struct, frozen=True):
    """Labelled pairs of one band of match weight."""

    bits_min: float
    bits_max: float
    label_count: int
    match_count: int
    predicted_share: float
    """Mean match probability that the model gave them."""
    observed_share: float
    """Share of them that are matches, each counted by its weight."""
    observed_min: float
    """One-sided 95 % bounds of it."""
    observed_max: float


class Calibration(msgspec.Struct, frozen=True):
    """A correction of match weights: what the model says, scaled and shifted, as the labels show (Platt)."""

    slope: float = 1.0
    """Below 1 the model is too sure of itself: evidence that it adds up is not independent."""
    shift_bits: float = 0.0
    bits_min: float = -math.inf
    """Range of the labels; outside of it only the correction at its end is known, and stays."""
    bits_max: float = math.inf
    label_count: int = 0
    """Labels that it was fitted on; 0 if too few, and nothing is corrected."""
    rows: tuple[ReliabilityRow, ...] = ()

    def corrected(self, bits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the match weights that the labels speak for, in bits, of the same shape."""
        if self.label_count == 0:
            return bits
        inside = np.clip(bits, self.bits_min, self.bits_max)
        return self.slope * inside + self.shift_bits + (bits - inside)


def probability(bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the match probability of each match weight, of the same shape, in [0, 1]."""
    return np.asarray(1.0 / (1.0 + np.exp2(-np.clip(bits, -500.0, 500.0))))


def calibrate(
    bits: NDArray[np.float64], is_match: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> Calibration:
    """Fit the correction and tabulate predicted against observed.

    Args:
        bits: Match weights of the labelled pairs, shape (labels,).
        is_match: What the labels say, shape (labels,).
        weights: How many pairs of the city each label stands for, shape (labels,), above 0; None if one each.

    Returns:
        Without a correction where there are fewer than `CALIBRATION_LABELS_MIN` labels or nearly all say the same.

    Source:
        Platt (1999), targets smoothed as there, so that labels which a threshold separates give a finite slope.
    """
    shares = np.ones(len(bits)) if weights is None or not len(bits) else weights / weights.mean()
    rows = _reliability(bits, is_match, shares)
    rarer = min(int(is_match.sum()), int((~is_match).sum()))
    if len(bits) < CALIBRATION_LABELS_MIN or rarer < CALIBRATION_LABELS_MIN // 10:
        return Calibration(rows=rows)
    slope, shift = _platt(bits, is_match, shares)
    return Calibration(slope, shift, float(bits.min()), float(bits.max()), len(bits), rows)


def _platt(bits: NDArray[np.float64], is_match: NDArray[np.bool_], shares: NDArray[np.float64]) -> tuple[float, float]:
    positives, negatives = float(shares[is_match].sum()), float(shares[~is_match].sum())
    targets = np.where(is_match, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    design = np.column_stack([bits, np.ones(len(bits))]) * math.log(2.0)
    parameters = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS_MAX):
        predicted = 1.0 / (1.0 + np.exp(-np.clip(design @ parameters, -500.0, 500.0)))
        gradient = design.T @ (shares * (targets - predicted))
        curvature = (design.T * (shares * np.maximum(predicted * (1.0 - predicted), 1e-9))) @ design
        # The ridge keeps a step finite where all weights are the same.
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        parameters = parameters + np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-9:  # noqa: PLR2004 – far below what two decimals of a report show.
            break
    return max(float(parameters[0]), 0.0), float(parameters[1])


def _reliability(
    bits: NDArray[np.float64], is_match: NDArray[np.bool_], shares: NDArray[np.float64]
) -> tuple[ReliabilityRow, ...]:
    rows = []
    for low, high in itertools.pairwise(BANDS_BITS):
        inside = (bits >= low) & (bits < high)
        count = int(inside.sum())
        if count == 0:
            continue
        weight = shares[inside]
        observed = float(weight @ is_match[inside] / weight.sum())
        # As many equally weighted labels as are as informative as these (Kish).
        effective = float(weight.sum() ** 2 / (weight @ weight))
        rows.append(
            ReliabilityRow(
                low,
                high,
                count,
                int(is_match[inside].sum()),
                float(weight @ probability(bits[inside]) / weight.sum()),
                observed,
                lower_bound((1.0 - observed) * effective, effective),
                1.0 - lower_bound(observed * effective, effective),
            )
        )
    return tuple(rows)


def lower_bound(error_count: float, count: float, confidence: float = 0.95) -> float:
    """Return the exact one-sided lower bound of a share of right ones (Clopper and Pearson), in [0, 1].

    Args:
        error_count: Wrong ones, 0 to `count`; a fraction counts as a whole one.
        count: All; a fraction is not counted.
        confidence: Of the bound.

    Returns:
        0 where nothing is known. 3 in `count` is missing to 1 where all are right. Cost: O(errors).
    """
    whole, errors = math.floor(count + 1e-9), math.ceil(error_count - 1e-9)
    if whole <= errors:
        return 0.0
    steps = np.arange(errors)
    log_choices = np.concatenate([[0.0], np.cumsum(np.log((whole - steps) / (steps + 1.0)))])
    wrong = np.arange(errors + 1)
    low, high = errors / whole, 1.0
    for _ in range(BISECTION_STEPS):
        share = (low + high) / 2.0
        terms = log_choices + wrong * math.log(share) + (whole - wrong) * math.log1p(-share) if share < 1.0 else [-1e9]
        # The share of wrong ones at which so few errors become as improbable as the confidence allows.
        if float(np.exp(terms).sum()) > 1.0 - confidence:
            low = share
        else:
            high = share
    return 1.0 - high


def fewest(count: int, confidence: float = 0.95) -> float:
    """Return the least number that is to be expected where so many were seen by chance (Poisson), one-sided.

    0 for none, 0.05 for one, 0.82 for three. Cost: O(count).
    """
    if count == 0:
        return 0.0
    steps = np.arange(count)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(steps[1:]))])
    low, high = 0.0, float(count)
    for _ in range(BISECTION_STEPS):
        mean = (low + high) / 2.0
        as_many = 1.0 - float(np.exp(steps * math.log(mean) - mean - log_factorials).sum())
        if as_many < 1.0 - confidence:
            low = mean
        else:
            high = mean
    return low
