"""Projections: along the trend, never below what was measured."""

from __future__ import annotations

import math

import pytest

from benchmarks.suites.scaling import PROJECTED_CITIZENS, projected


def test_the_cost_of_an_operation_grows_with_the_logarithm_of_the_city() -> None:
    points = [(10_000.0, 100.0), (100_000.0, 110.0), (1_000_000.0, 120.0)]
    expected = 120 + 10 * math.log10(PROJECTED_CITIZENS / 1_000_000)
    assert projected(points, is_growing=False) == pytest.approx(expected)


def test_the_cost_of_a_whole_city_grows_by_its_power() -> None:
    points = [(size, 1e-6 * size**1.2) for size in (20_000.0, 100_000.0, 450_000.0)]
    assert projected(points, is_growing=True) == pytest.approx(1e-6 * PROJECTED_CITIZENS**1.2)


@pytest.mark.parametrize("is_growing", [False, True])
def test_what_fell_by_chance_is_not_projected_to_fall(*, is_growing: bool) -> None:
    points = [(20_000.0, 120.0), (100_000.0, 100.0)]
    times = PROJECTED_CITIZENS / 100_000 if is_growing else 1
    assert projected(points, is_growing=is_growing) == pytest.approx(100 * times)


def test_one_size_is_taken_as_it_is() -> None:
    assert projected([(1_000_000.0, 5.0)], is_growing=False) == pytest.approx(5.0)
    assert projected([(1_000_000.0, 5.0)], is_growing=True) == pytest.approx(70.0)
