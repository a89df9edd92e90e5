from __future__ import annotations

import numpy as np
import pytest

from mdm.resolve.audit.estimates import Count, total

LINKED = [(58, 20), (3454, 128), (908, 34), (3931, 146), (12, 12), (34, 20), (311, 82), (663, 25), (215, 20)]
"""Pairs and items of the strata of links, as a city of 3,000 citizens with every error rate tripled gave them."""
APART = [(38, 20), (85, 20), (483, 105), (9, 9), (13, 13), (171, 20), (123, 24), (159, 35), (153, 33), (466, 101)]
DEEP = [(2000, 60), (5000, 80), (65_000, 250), (20_000, 100), (400, 20)]
"""As in a large city, where most pairs apart are hopeless."""


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([Count(1000, 1000, 3)], (3, 3, 3), id="a census is certain"),
        pytest.param([Count(0, 0, 0)], (0, 0, 0), id="an empty stratum holds nothing"),
        pytest.param([], (0, 0, 0), id="no stratum holds nothing"),
        # Poisson: 3.689 events at most behind none seen, 0.0253 to 5.572 behind one (Garwood 1936).
        pytest.param([Count(10**6, 1000, 0)], (0, 0, 3688.9), id="no error in 1,000"),
        pytest.param([Count(10**6, 1000, 1)], (1000, 25.3, 5572), id="one error in 1,000"),
        pytest.param([Count(10**6, 1000, 0)] * 4, (0, 0, 3688.9), id="none in four strata that weigh alike: as in one"),
        pytest.param(
            [Count(10**6, 1000, 0), Count(10**4, 1000, 0)], (0, 0, 3688.9), id="the dearest stratum sets the bound"
        ),
        pytest.param([Count(0, 0, 0, 0.05)], (0, 0, 73.78), id="none caught, each with a chance of one in twenty"),
        # Below, as many as were seen; above, the quantile of mean 12 and variance 32: one event more.
        pytest.param([Count(4, 4, 4, 0.5, 2.0)], (8, 4, 25.36), id="two caught together are one event"),
        pytest.param([Count(22, 20, 0)], (0, 0, 2), id="no more than what was not looked at"),
        pytest.param([Count(40, 20, 20)], (40, 37.34, 40), id="all have it: some unseen ones may not"),
    ],
)
def test_totals_have_the_bounds_of_the_books(counts: list[Count], expected: tuple[float, float, float]) -> None:
    assert tuple(total(counts)) == pytest.approx(expected, rel=0.01, abs=1e-9)


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        pytest.param(LINKED, [0.0] * 9, id="no error at all"),
        pytest.param(LINKED, [0.001] * 9, id="one in a thousand"),
        pytest.param(LINKED, [0.005] * 9, id="one in two hundred"),
        pytest.param(LINKED, [0.03] * 9, id="three in a hundred"),
        pytest.param(LINKED, [0, 0.01, 0, 0, 0, 0, 0, 0, 0], id="in the largest stratum alone"),
        pytest.param(LINKED, [0, 0, 0.05, 0, 0, 0, 0, 0, 0], id="in a middling stratum alone"),
        pytest.param(LINKED, [0.2, 0, 0.05, 0, 0, 0.3, 0.1, 0.02, 0.1], id="where they are expected"),
        pytest.param(APART, [0.9, 0.7, 0.8, 0.3, 0.9, 0.02, 0.1, 0.3, 0.6, 0.8], id="near misses as they come"),
        pytest.param(APART, [1, 0.98, 0.97, 0.3, 0.9, 0.0, 0.01, 0.05, 0.9, 0.99], id="near misses all or nothing"),
        pytest.param(APART, [0.97] * 10, id="nearly all near misses"),
        pytest.param(APART, [1.0] * 10, id="all near misses"),
        pytest.param(DEEP, [0.5, 0.1, 0.0005, 0.001, 0.9], id="rare among many"),
        pytest.param(DEEP, [0, 0, 0.0002, 0, 0], id="rare among most"),
    ],
)
def test_the_bounds_hold_the_true_total_in_95_of_100_samples(sizes: list[tuple[int, int]], shares: list[float]) -> None:
    dice, repetitions = np.random.default_rng(5), 400
    holders = [round(population * share) for (population, _), share in zip(sizes, shares, strict=True)]
    outside = 0
    for _ in range(repetitions):
        found = total(
            Count(population, items, int(dice.hypergeometric(held, population - held, items)))
            for (population, items), held in zip(sizes, holders, strict=True)
        )
        outside += not found.lower - 1e-9 <= sum(holders) <= found.upper + 1e-9
    # Truly 5 % outside would give more than 29 of 400 once in fifty runs.
    assert outside <= 29


def test_pairs_that_are_caught_together_keep_their_bounds() -> None:
    dice, held = np.random.default_rng(3), 0
    share, groups, clump = 0.06, 60, 3
    for _ in range(400):
        caught = clump * int(dice.binomial(groups, share))
        found = total([Count(caught, caught, caught, share, float(clump))])
        held += found.lower <= groups * clump <= found.upper
    assert held >= 380


def test_the_estimate_is_right_on_average() -> None:
    dice = np.random.default_rng(8)
    estimates = []
    for _ in range(2000):
        caught = int(dice.binomial(300, 0.1))
        true = int(dice.binomial(caught, 0.4))
        items = (caught + 1) // 2
        found = int(dice.hypergeometric(true, caught - true, items)) if items else 0
        estimates.append(total([Count(caught, items, found, 0.1)]).estimate)
    assert np.mean(estimates) == pytest.approx(120, rel=0.05)
