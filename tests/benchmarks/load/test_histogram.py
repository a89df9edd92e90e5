"""Durations in buckets: as exact as promised, and the same however they were gathered."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from benchmarks.load.histogram import Histogram


def test_a_quantile_is_within_a_hundredth_of_the_exact_one() -> None:
    seconds = np.random.default_rng(3).lognormal(-7, 2, 20_000)
    found = Histogram.of(seconds.tolist())
    for share in (0.001, 0.5, 0.95, 0.99, 0.999, 1.0):
        exact_ms = np.quantile(seconds, share, method="inverted_cdf") * 1000
        assert found.quantile_ms(share) == pytest.approx(exact_ms, rel=0.01)


def test_merged_parts_are_the_histogram_of_the_whole() -> None:
    seconds = np.random.default_rng(4).exponential(0.002, 1000).tolist()
    parts = [Histogram.of(seconds[:300]), Histogram.of(seconds[300:]), Histogram()]
    assert Histogram.merged(parts) == Histogram.of(seconds)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 2.55e-7, 2.56e-7, 1.0, 3600.0])
def test_one_duration_comes_back(seconds: float) -> None:
    found = Histogram.of([seconds])
    assert found.count == 1
    assert found.quantile_ms(0.5) == pytest.approx(seconds * 1000, rel=1e-9)


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(Histogram().quantile_ms(0.5))
    assert Histogram().quantiles_ms() == {}


def test_a_histogram_survives_json() -> None:
    found = Histogram.of([0.001, 0.002, 5.0])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Histogram, strict=False) == found
