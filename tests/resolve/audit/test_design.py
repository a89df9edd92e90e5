from __future__ import annotations

import numpy as np
import pytest

from mdm.resolve.audit.design import Stratum, Way, allocate, draw, random_numbers


def stratum(population: int, predicted_error: float = 0.0, *, caught_share: float = 1.0) -> Stratum:
    return Stratum(Way.APART, False, 0.0, 3.0, population, caught_share, predicted_error, {})


@pytest.mark.parametrize(
    ("strata", "size", "expected"),
    [
        pytest.param([stratum(500), stratum(300)], 1000, [500, 300], id="fewer pairs than items: all of them"),
        pytest.param([stratum(0), stratum(300)], 100, [0, 100], id="nothing is drawn from an empty stratum"),
        pytest.param([stratum(100_000), stratum(50)], 220, [200, 20], id="a small stratum gets the least"),
        pytest.param([stratum(100_000), stratum(7)], 207, [200, 7], id="and never more than it has"),
        pytest.param([stratum(60_000), stratum(30_000)], 300, [200, 100], id="equal errors: in proportion"),
        pytest.param(
            # sqrt(0.01 × 0.99) : sqrt(0.5 × 0.5) = 0.0995 : 0.5
            [stratum(60_000, 1e-9), stratum(60_000, 0.999)],
            600,
            [100, 500],
            id="Neyman's proportions within the bounds of the predicted error",
        ),
        pytest.param(
            [stratum(1_000), stratum(1_000, caught_share=0.1)], 440, [40, 400], id="a caught pair stands for ten"
        ),
        pytest.param([stratum(1_000)] * 5, 7, [2, 2, 1, 1, 1], id="rounding is settled in the order of the strata"),
    ],
)
def test_items_go_where_they_narrow_the_bound(strata: list[Stratum], size: int, expected: list[int]) -> None:
    assert allocate(strata, size) == expected


def test_the_draw_is_the_same_in_any_order_and_another_with_another_seed() -> None:
    lefts = np.arange(1, 1001)
    rights = lefts + 1000
    shuffled = np.random.default_rng(1).permutation(1000)
    drawn = lefts[draw(lefts, rights, 50, seed=7)]
    assert list(drawn) == list(lefts[shuffled][draw(lefts[shuffled], rights[shuffled], 50, seed=7)])
    assert len(set(drawn)) == 50
    assert set(drawn) != set(lefts[draw(lefts, rights, 50, seed=8)])


def test_a_larger_draw_holds_the_smaller_one() -> None:
    lefts = np.arange(1, 1001)
    small, large = (draw(lefts, lefts + 1, count, seed=3) for count in (10, 40))
    assert list(large[:10]) == list(small)


def test_every_pair_has_the_same_chance() -> None:
    lefts = np.arange(1, 201)
    counts = np.zeros(200)
    for seed in range(1000):
        counts[draw(lefts, lefts + 500, 20, seed)] += 1
    # Each is drawn with chance 0.1: the sum of squared deviations is chi-squared with 199 degrees of freedom.
    statistic = ((counts - 100) ** 2 / 90).sum()
    assert 140 < statistic < 270


def test_the_random_numbers_of_two_seeds_have_nothing_in_common() -> None:
    lefts = np.arange(1, 10_001)
    one, other = (random_numbers(lefts, lefts + 1, seed) / 2.0**64 for seed in (1, 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.04
    assert abs(one.mean() - 0.5) < 0.01


@pytest.mark.parametrize(
    ("stratum", "title"),
    [
        (Stratum(Way.LINKED_DIRECTLY, True, 15.0, None, 1, 1.0, 0.0, {}), "linked, with number, 15 bits or more"),
        (
            Stratum(Way.LINKED_THROUGH_OTHERS, False, None, 0.0, 1, 1.0, 0.0, {}),
            "linked through others, without number, below 0 bits",
        ),
        (Stratum(Way.ASKED, False, 3.0, 7.0, 1, 1.0, 0.0, {}), "asked, without number, 3 to 7 bits"),
        (Stratum(Way.UNBLOCKED, False, None, None, 1, 0.1, 0.0, {}), "unblocked"),
    ],
)
def test_a_stratum_says_what_it_holds(stratum: Stratum, title: str) -> None:
    assert stratum.title == title
