"""Pairs of each blocking rule, on cases small enough to list, and against the engine on a city."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.blocking import blocking_quality, candidates_of_snapshot, pairs_within
from benchmarks.quality.datasets import Candidates, Truth
from mdm.domain.keys import EntityKind
from mdm.linkage.businesses import BLOCKING_RULES
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.snapshot import write_snapshot

ROWS = (
    BusinessFeatures(name="an phat", names=("an phat",), tax_codes=("0301",)),
    BusinessFeatures(name="an phat", names=("an phat",), tax_codes=("0301",)),
    BusinessFeatures(),
    BusinessFeatures(name="an phat", names=("an phat", "an phat viet"), tax_codes=("0302",)),
    BusinessFeatures(name="binh minh", phones=("84283", "84284")),
    BusinessFeatures(name="dong tam", phones=("84283", "84284")),
)


def candidates(folder: Path, reach: int) -> Candidates:
    snapshot = folder / "snapshot.parquet"
    rows = ((number, "company", features) for number, features in enumerate(ROWS, start=1))
    write_snapshot(snapshot, EntityKind.BUSINESS, rows)
    return candidates_of_snapshot(snapshot, tuple(name for name, _ in BLOCKING_RULES), reach)


def by_pair(found: Candidates) -> dict[tuple[int, int], set[str]]:
    return {
        (left, right): {name for place, name in enumerate(found.rule_names) if rules >> place & 1}
        for left, right, rules in zip(found.left.tolist(), found.right.tolist(), found.rules.tolist(), strict=True)
    }


def test_each_pair_stands_once_with_all_its_rules(tmp_path: Path) -> None:
    found = candidates(tmp_path, reach=200)
    assert by_pair(found) == {
        (0, 1): {"tax_code", "name"},
        (0, 3): {"name"},
        (1, 3): {"name"},
        (4, 5): {"phone"},
    }
    largest = dict(zip(found.rule_names, found.largest_blocks, strict=True))
    assert (largest["name"], largest["tax_code"], largest["phone"], largest["premises_and_word"]) == (3, 2, 2, 0)
    assert set(found.truncated_keys) == {0}


def test_a_record_meets_no_more_than_the_reach_before_it(tmp_path: Path) -> None:
    found = candidates(tmp_path, reach=1)
    assert (0, 3) not in by_pair(found)
    assert (1, 3) in by_pair(found)
    assert dict(zip(found.rule_names, found.truncated_keys, strict=True))["name"] == 1


@given(st.lists(st.integers(0, 4), max_size=20), st.sampled_from([None, 1, 3]))
def test_pairs_within_groups_are_all_pairs_in_reach(groups: list[int], reach: int | None) -> None:
    left, right = pairs_within(np.array(groups, np.int64), reach)
    places: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    expected = [
        (members[one], members[other])
        for members in places.values()
        for one, other in itertools.combinations(range(len(members)), 2)
        if reach is None or other - one <= reach
    ]
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == sorted(expected)


def test_rules_are_judged_alone_and_together() -> None:
    truth = Truth(np.array([0, 0, 0, 1, 1]), np.zeros(5, np.int64), ("a",))
    found = Candidates(
        np.array([0, 0, 2]), np.array([1, 2, 3]), np.array([0b11, 0b01, 0b10]), ("first", "second"), (3, 2), (0, 1)
    )
    quality = blocking_quality(truth, found)
    assert (quality.pairs, quality.pairs_per_record) == (3, 0.6)
    assert quality.recall.value == 2 / 4
    first, second = quality.rules
    assert (first.recall.value, first.pairs, first.only_pairs, first.only_true_pairs) == (0.5, 2, 1, 1)
    assert (second.recall.value, second.pairs, second.only_pairs, second.only_true_pairs) == (0.25, 2, 1, 0)
    assert (second.largest_block, second.truncated_keys) == (2, 1)


def test_no_records_make_no_pairs() -> None:
    left, right = pairs_within(np.empty(0, np.int64))
    assert len(left) == len(right) == 0
