"""Histogram, curve and calibration on pairs whose truth is plain."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.datasets import Candidates, ScoredPairs, Truth
from benchmarks.quality.weights import weight_quality

TRUTH = Truth(np.array([0, 0, 0, 1, 1, 2]), np.zeros(6, np.int64), ("a",))


def scored(rows: list[tuple[int, int, float]]) -> ScoredPairs:
    left, right, bits = (np.array([row[place] for row in rows]) for place in range(3))
    count = len(rows)
    return ScoredPairs(
        left.astype(np.int64), right.astype(np.int64), bits, np.zeros(count, np.int8), np.zeros((count, 1), np.int8)
    )


PAIRS = scored([(0, 1, 8.2), (0, 2, 3.0), (3, 4, 3.9), (2, 3, 3.5), (4, 5, -2.5)])


def test_bins_hold_matches_and_strangers_of_one_bit() -> None:
    bins = {each.bits: each for each in weight_quality(TRUTH, PAIRS, None).bins}
    assert {bits: (each.matches, each.strangers) for bits, each in bins.items()} == {-3: (0, 1), 3: (2, 1), 8: (1, 0)}
    assert bins[3].observed.value == pytest.approx(2 / 3)
    assert bins[3].predicted == pytest.approx(np.mean([1 / (1 + 2**-bits) for bits in (3.0, 3.9, 3.5)]))


def test_the_curve_is_precision_and_recall_from_each_threshold_up() -> None:
    curve = {point.bits: (point.precision, point.recall) for point in weight_quality(TRUTH, PAIRS, None).curve}
    assert curve[-3.0] == (3 / 5, 3 / 4)
    assert curve[3.0] == (3 / 4, 3 / 4)
    assert curve[3.5] == (2 / 3, 2 / 4)
    assert curve[8.0] == (1.0, 1 / 4)
    assert max(curve) < 8.2


def test_compared_pairs_that_were_not_kept_are_counted() -> None:
    compared = Candidates(np.zeros(9, np.int64), np.arange(1, 10), np.ones(9, np.int64), ("rule",))
    assert weight_quality(TRUTH, PAIRS, compared).below == 4
    assert weight_quality(TRUTH, scored([]), None) == ((), (), None)
