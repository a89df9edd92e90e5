"""Figures on cases small enough to count by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.datasets import Stratum, Truth
from benchmarks.quality.intervals import Estimate
from benchmarks.quality.metrics import Agreement, PairCounts, differing_pairs, pair_quality

SEED = 1


def truth(entities: list[int], registries: list[int] | None = None) -> Truth:
    return Truth(np.array(entities), np.array(registries or [0] * len(entities)), ("a", "b"))


def totals(counts: PairCounts) -> tuple[float, float, float]:
    right, found, true = (float(each.sum()) for each in counts)
    return right, found, true


#                      A  A  A  B  B  C
ENTITIES = truth([0, 0, 0, 1, 1, 2], [0, 1, 1, 0, 1, 0])
#                      A  A | A  B | B | C
CLUSTERS = np.array([7, 7, 4, 4, 9, 2])


def test_pairs_are_counted_right_found_and_true() -> None:
    assert totals(Agreement(ENTITIES, CLUSTERS).all()) == (1, 2, 4)


def test_a_false_pair_counts_half_to_each_of_its_entities() -> None:
    counts = Agreement(ENTITIES, CLUSTERS).all()
    assert counts.found.tolist() == [1.5, 0.5, 0.0]
    assert counts.true.tolist() == [3.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("records", "takes_both", "expected", "reason"),
    [
        ([1, 1, 0, 0, 0, 0], True, (1, 1, 1), "both records in the stratum"),
        ([1, 0, 0, 0, 0, 0], True, (0, 0, 0), "one record makes no pair"),
        ([1, 0, 0, 0, 0, 0], False, (1, 1, 2), "the pairs of one record"),
        ([0, 0, 0, 1, 1, 0], False, (0, 1, 1), "a false pair touches the stratum"),
        ([1, 1, 1, 1, 1, 1], False, (1, 2, 4), "everyone"),
    ],
)
def test_a_stratum_holds_its_pairs(
    records: list[int],
    takes_both: bool,  # noqa: FBT001 - a case table's column
    expected: tuple[float, ...],
    reason: str,
) -> None:
    stratum = Stratum("some", np.array(records, dtype=bool), takes_both)
    assert totals(Agreement(ENTITIES, CLUSTERS).stratum(stratum)) == expected, reason


def test_pairs_between_two_registries_are_counted_apart() -> None:
    agreement = Agreement(ENTITIES, CLUSTERS)
    first, second = ENTITIES.registries == 0, ENTITIES.registries == 1
    assert totals(agreement.between(first, second)) == (1, 2, 3)
    assert totals(agreement.within(second)) == (0, 0, 1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=25))
def test_counts_without_listing_equal_counts_by_listing(rows: list[tuple[int, int, bool]]) -> None:
    entities, clusters, chosen = ([row[place] for row in rows] for place in range(3))
    agreement, mask = Agreement(truth(entities), np.array(clusters)), np.array(chosen, dtype=bool)
    expected = {"within": [0, 0, 0], "touching": [0, 0, 0], "between": [0, 0, 0]}
    for one, other in itertools.combinations(range(len(rows)), 2):
        is_true, is_found = entities[one] == entities[other], clusters[one] == clusters[other]
        kinds = {"within": chosen[one] and chosen[other], "touching": chosen[one] or chosen[other]}
        kinds["between"] = chosen[one] != chosen[other]
        for kind, holds in kinds.items():
            for place, counted in enumerate((is_true and is_found, is_found, is_true)):
                expected[kind][place] += holds and counted
    assert list(totals(agreement.within(mask))) == expected["within"]
    assert list(totals(agreement.touching(mask))) == expected["touching"]
    assert list(totals(agreement.between(mask, ~mask))) == expected["between"]


def test_pair_quality_of_a_known_case() -> None:
    quality = pair_quality(Agreement(ENTITIES, CLUSTERS).all(), SEED)
    assert (quality.found_pairs, quality.false_pairs, quality.true_pairs) == (2, 1, 4)
    assert quality.precision.value == 0.5
    assert quality.recall.value == 0.25
    assert quality.f1.value == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert quality.precision.low <= quality.precision_lower_bound <= 0.5


def test_without_a_false_pair_the_bound_is_exact_over_entities() -> None:
    entities = [entity for entity in range(10) for _ in range(3)]
    quality = pair_quality(Agreement(truth(entities), np.array(entities)).all(), SEED)
    assert quality.precision.value == quality.recall.value == 1.0
    assert quality.precision_lower_bound == pytest.approx(0.05 ** (1 / 10))
    assert quality.precision.low == pytest.approx(0.025 ** (1 / 10))


def test_who_links_nobody_has_no_precision() -> None:
    quality = pair_quality(Agreement(truth([0, 0, 1]), np.array([0, 1, 2])).all(), SEED)
    assert quality.recall.value == 0.0
    assert math.isnan(quality.precision.value)
    assert quality.precision_lower_bound == 0.0


def test_the_same_seed_gives_the_same_interval_and_the_rarer_the_wider() -> None:
    def interval(entity_count: int) -> Estimate:
        entities = [entity for entity in range(entity_count) for _ in range(2)]
        # Every fourth entity is split.
        clusters = [place if entity % 4 == 0 else -entity for place, entity in enumerate(entities, 1)]
        return pair_quality(Agreement(truth(entities), np.array(clusters)).all(), SEED).recall

    few, many = interval(40), interval(4000)
    assert interval(40) == few
    assert few.value == many.value == 0.75
    assert few.low < many.low < 0.75 < many.high < few.high
    # A binomial share of 0.75 among 4,000 has a standard error of 0.0068.
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.00685, rel=0.1)


def test_clusters_as_wholes() -> None:
    quality = Agreement(ENTITIES, CLUSTERS).cluster_quality(SEED)
    assert (quality.records, quality.entities, quality.clusters) == (6, 3, 4)
    # A: two records know all of two, one knows half; B: half, whole; C: whole.
    assert quality.b3_precision.value == pytest.approx((1 + 1 + 0.5 + 0.5 + 1 + 1) / 6)
    assert quality.b3_recall.value == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 / 2 + 1 / 2 + 1) / 6)
    assert quality.exact_entities.value == pytest.approx(1 / 3)
    assert (quality.false_merges, quality.fragments) == (1, 2)
    assert quality.false_merges_per_10_000.value == pytest.approx(10_000 / 6)


def test_a_cluster_of_three_bearers_is_two_false_merges() -> None:
    quality = Agreement(truth([0, 0, 1, 2]), np.array([5, 5, 5, 5])).cluster_quality(SEED)
    assert quality.false_merges == 2
    assert quality.exact_entities.value == 0.0


def test_a_cluster_of_a_whole_city_costs_nothing() -> None:
    count = 300_000
    quality = pair_quality(Agreement(truth(list(range(count))), np.zeros(count, np.int64)).all(), SEED)
    assert quality.found_pairs == quality.false_pairs == count * (count - 1) // 2


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([0, 0, 1], [4, 4, 9], 0),
        ([0, 0, 0], [0, 0, 1], 2),
        ([0, 0, 1, 1], [0, 1, 0, 1], 4),
        ([], [], 0),
    ],
)
def test_two_partitions_differ_in_so_many_pairs(left: list[int], right: list[int], expected: int) -> None:
    assert differing_pairs(np.array(left, np.int64), np.array(right, np.int64)) == expected


def test_clusters_of_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        Agreement(ENTITIES, np.array([1, 2]))
