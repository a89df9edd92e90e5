"""Groups and joined numbers as columns are what plain sets say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.graph import Groups, connected, joined_count

LISTS = st.lists(st.integers(0, 60), unique=True, max_size=40).flatmap(
    lambda numbers: st.lists(st.integers(2, 5), max_size=12).map(lambda sizes: cut(numbers, sizes))
)
PAIRS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30)


def cut(numbers: list[int], sizes: list[int]) -> list[list[int]]:
    """Disjoint groups of two or more, each ascending, in no order."""
    groups, start = [], 0
    for size in sizes:
        groups.append(sorted(numbers[start : start + size]))
        start += size
    return [group for group in groups if len(group) > 1]


@given(lists=LISTS, split=st.integers(0, 12))
def test_groups_come_together_in_the_order_of_their_first(lists: list[list[int]], split: int) -> None:
    parts = [Groups.of(lists[:split]), Groups.of([]), Groups.of(lists[split:])]
    together = Groups.together(parts)
    assert together.lists() == Groups.of(lists).lists() == sorted(lists)
    assert together.members[together.starts].tolist() == [group[0] for group in sorted(lists)]


@given(lists=LISTS, numbers=st.sets(st.integers(0, 60)))
def test_groups_that_hold_some_numbers_are_found(lists: list[list[int]], numbers: set[int]) -> None:
    found = Groups.of(lists).holding(np.array(sorted(numbers), np.int64)).lists()
    assert found == [group for group in sorted(lists) if numbers.intersection(group)]


@given(pairs=PAIRS)
def test_all_but_the_lowest_of_each_part_join_a_lower_one(pairs: list[tuple[int, int]]) -> None:
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    part_of: dict[int, set[int]] = {}
    for one, other in pairs:
        merged = part_of.get(one, {one}) | part_of.get(other, {other})
        part_of |= dict.fromkeys(merged, merged)
    parts = {min(part): part for part in part_of.values()}
    assert joined_count(left, right) == sum(len(part) - 1 for part in parts.values())
    assert connected(left, right).tolist() == [min(part_of[one]) for one, _ in pairs]
