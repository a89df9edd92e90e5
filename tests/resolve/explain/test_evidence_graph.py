"""Trees and bridges, against the plain definitions on thousands of small graphs."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from mdm.resolve.explain.evidence_graph import Bridge, bridges, connected_parts, strongest_tree


def random_graph(chosen: random.Random) -> list[list[int]]:
    count, density = chosen.randint(1, 9), chosen.choice([0.15, 0.3, 0.6])
    pairs = [pair for pair in itertools.combinations(range(count), 2) if chosen.random() < density]
    return [
        sorted({*(b for a, b in pairs if a == place), *(a for a, b in pairs if b == place)}) for place in range(count)
    ]


def bridges_by_definition(neighbours: list[list[int]]) -> list[Bridge]:
    """Take each place out in turn and see whether its part falls apart."""
    found = []
    for part in connected_parts(neighbours):
        for place in part:
            rest = [other for other in part if other != place]
            at = {other: index for index, other in enumerate(rest)}
            left = connected_parts([[at[each] for each in neighbours[other] if each != place] for other in rest])
            if len(left) > 1:
                parts = [sorted(rest[index] for index in each) for each in left]
                found.append(Bridge(place, sorted(parts, key=lambda each: (-len(each), each))))
    return sorted(found)


def test_bridges_are_those_without_which_a_part_falls_apart() -> None:
    chosen = random.Random(5)
    counts = [0, 0]
    for _ in range(3000):
        neighbours = random_graph(chosen)
        expected = bridges_by_definition(neighbours)
        assert bridges(neighbours) == expected, neighbours
        counts[bool(expected)] += 1
    assert min(counts) > 500, "graphs with and without bridges"


@pytest.mark.parametrize("count", [1, 2, 500])
def test_a_chain_of_any_length_has_a_bridge_at_each_place_but_its_ends(count: int) -> None:
    chain = [[other for other in (place - 1, place + 1) if 0 <= other < count] for place in range(count)]
    assert [each.place for each in bridges(chain)] == list(range(1, count - 1))


def test_the_strongest_tree_is_the_best_of_all_trees() -> None:
    chosen = np.random.default_rng(3)
    for count in (2, 3, 4, 5):
        for _ in range(40):
            ranks = chosen.integers(0, 50, (count, count)).astype(float)
            ranks = np.triu(ranks, 1) + np.triu(ranks, 1).T
            edges = strongest_tree(ranks)
            pairs = list(itertools.combinations(range(count), 2))
            best = max(
                sum(ranks[pair] for pair in tree)
                for tree in itertools.combinations(pairs, count - 1)
                if len(connected_parts(_neighbours(count, tree))) == 1
            )
            weights = [float(ranks[edge.parent, edge.child]) for edge in edges]
            assert sum(weights) == best
            assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_places_there_is_no_edge(count: int) -> None:
    assert strongest_tree(np.zeros((count, count))) == []


def _neighbours(count: int, pairs: tuple[tuple[int, int], ...]) -> list[list[int]]:
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for one, other in pairs:
        neighbours[one].append(other)
        neighbours[other].append(one)
    return neighbours
