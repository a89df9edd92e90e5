"""What the match weights are worth: histogram, precision and recall by threshold, and calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.quality.datasets import Candidates, Mask, ScoredPairs, Truth
from benchmarks.quality.intervals import Estimate, wilson

CURVE_STEP_BITS = 0.5


class Bin(NamedTuple):
    """Pairs whose weight lies in [bits, bits + 1)."""

    bits: int
    matches: int
    strangers: int
    predicted: float
    """Mean match probability."""
    observed: Estimate
    """Share of matches."""


class Point(NamedTuple):
    """If the weight alone decided: every pair at or above a threshold is linked, without evidence rules or clusters."""

    bits: float
    precision: float
    recall: float


class WeightQuality(NamedTuple):
    """Weights against the truth."""

    bins: tuple[Bin, ...]
    curve: tuple[Point, ...]
    below: int | None
    """Compared pairs whose weight was too low to be kept."""


def weight_quality(truth: Truth, pairs: ScoredPairs, candidates: Candidates | None) -> WeightQuality:
    """Return bins of one bit, and the curve over thresholds half a bit apart."""
    is_match = truth.entities[pairs.left] == truth.entities[pairs.right]
    sizes = np.bincount(truth.entities)
    true_pairs = int((sizes * (sizes - 1) // 2).sum())
    below = None if candidates is None else len(candidates.left) - len(pairs.left)
    return WeightQuality(_bins(pairs, is_match), _curve(pairs, is_match, true_pairs), below)


def _bins(pairs: ScoredPairs, is_match: Mask) -> tuple[Bin, ...]:
    if not len(pairs.bits):
        return ()
    places = np.floor(pairs.bits).astype(np.int64)
    first = int(places.min())
    places -= first
    probability = 1.0 / (1.0 + np.exp2(-pairs.bits))
    counts = np.bincount(places)
    matches = np.bincount(places[is_match], minlength=len(counts))
    predicted = np.bincount(places, probability)
    return tuple(
        Bin(
            first + place,
            int(matches[place]),
            int(counts[place] - matches[place]),
            float(predicted[place] / counts[place]),
            wilson(int(matches[place]), int(counts[place])),
        )
        for place in np.flatnonzero(counts).tolist()
    )


def _curve(pairs: ScoredPairs, is_match: Mask, true_pairs: int) -> tuple[Point, ...]:
    if not len(pairs.bits) or not true_pairs:
        return ()
    order = np.argsort(pairs.bits)
    bits = pairs.bits[order]
    right_from = np.append(np.cumsum(is_match[order][::-1])[::-1], 0)
    points = []
    for step in np.arange(np.floor(bits[0]), bits[-1], CURVE_STEP_BITS).tolist():
        place = int(np.searchsorted(bits, step))
        points.append(
            Point(step, float(right_from[place] / (len(bits) - place)), float(right_from[place] / true_pairs))
        )
    return tuple(points)
