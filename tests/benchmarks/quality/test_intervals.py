"""Intervals against published values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.quality.intervals import exact_lower_bound, interval, lower_bound, resampled_sums, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_interval(hits: int, count: int, low: float, high: float) -> None:
    share = wilson(hits, count)
    assert share.value == hits / count
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_is_no_number() -> None:
    assert all(math.isnan(each) for each in wilson(0, 0))
    assert all(math.isnan(each) for each in interval(math.nan, np.array([1.0])))


def test_the_exact_bound_is_the_rule_of_three() -> None:
    assert exact_lower_bound(300) == pytest.approx(1 - 3 / 300, abs=1e-4)
    assert exact_lower_bound(0) == 0.0


def test_drawing_again_keeps_the_mean_and_the_spread() -> None:
    columns = np.stack([np.arange(100.0) % 2, np.ones(100)], axis=1)
    sums = resampled_sums(columns, seed=3)
    assert np.all(sums[:, 1] == 100)
    assert sums[:, 0].mean() == pytest.approx(50, abs=0.5)
    assert sums[:, 0].std() == pytest.approx(5, rel=0.06)
    assert np.array_equal(sums, resampled_sums(columns, seed=3))
    assert not np.array_equal(sums, resampled_sums(columns, seed=4))


def test_the_lower_bound_leaves_one_draw_in_twenty_below() -> None:
    assert lower_bound(np.arange(101.0)) == pytest.approx(5.0)
    assert math.isnan(lower_bound(np.array([math.nan])))
