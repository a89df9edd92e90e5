"""What holds a golden record together: its strongest tree of evidence, and the records without which it falls apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class TreeEdge(NamedTuple):
    """One edge of a tree, by the places of its ends; `parent` stood in the tree before `child`."""

    parent: int
    child: int


class Bridge(NamedTuple):
    """A place without which its part falls apart, and into which parts, the largest first, each ascending."""

    place: int
    parts: list[list[int]]


def strongest_tree(ranks: NDArray[np.float64]) -> list[TreeEdge]:
    """Return the edges of a maximum spanning tree, the strongest first; ties by place.

    Args:
        ranks: Shape (places, places), symmetric; how strong the evidence between two is. The diagonal is
            not read.

    Returns:
        One edge less than places. Cost: O(places²), 10 ms for 500.
    """
    count = len(ranks)
    if count < 2:  # noqa: PLR2004 – a tree has an edge from two places on
        return []
    best = ranks[0].copy()
    parents = np.zeros(count, np.intp)
    is_outside = np.ones(count, np.bool_)
    is_outside[0] = False
    edges = []
    for _ in range(count - 1):
        place = int(np.argmax(np.where(is_outside, best, -np.inf)))
        is_outside[place] = False
        edges.append(TreeEdge(int(parents[place]), place))
        is_nearer = is_outside & (ranks[place] > best)
        best[is_nearer] = ranks[place][is_nearer]
        parents[is_nearer] = place
    return sorted(edges, key=lambda edge: (-ranks[edge.parent, edge.child], edge.child))


def connected_parts(neighbours: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the connected parts of a graph, the largest first, each ascending."""
    seen: set[int] = set()
    parts = []
    for start in range(len(neighbours)):
        if start in seen:
            continue
        seen.add(start)
        part, waiting = [], [start]
        while waiting:
            place = waiting.pop()
            part.append(place)
            fresh = [other for other in neighbours[place] if other not in seen]
            seen.update(fresh)
            waiting += fresh
        parts.append(sorted(part))
    return sorted(parts, key=lambda part: (-len(part), part))


def bridges(neighbours: Sequence[Sequence[int]]) -> list[Bridge]:
    """Return the articulation points of a graph with the parts that each one holds together, ascending.

    Args:
        neighbours: Of each place, symmetric and without the place itself.

    Returns:
        Cost: O(edges) and the size of the answer (Hopcroft and Tarjan 1973, without recursion).
    """
    count = len(neighbours)
    found_at = [-1] * count
    lowest = [0] * count
    order: list[int] = []
    held: dict[int, list[list[int]]] = {}
    for root in range(count):
        if found_at[root] >= 0:
            continue
        begin = len(order)
        found_at[root] = lowest[root] = begin
        order.append(root)
        stack = [(root, -1, iter(neighbours[root]))]
        while stack:
            place, parent, rest = stack[-1]
            other = next(rest, None)
            if other is None:
                stack.pop()
                if parent >= 0:
                    lowest[parent] = min(lowest[parent], lowest[place])
                    if lowest[place] >= found_at[parent]:
                        # What was found since `place` hangs on `parent` alone.
                        held.setdefault(parent, []).append(sorted(order[found_at[place] :]))
            elif found_at[other] < 0:
                found_at[other] = lowest[other] = len(order)
                order.append(other)
                stack.append((other, place, iter(neighbours[other])))
            elif other != parent:
                lowest[place] = min(lowest[place], found_at[other])
        _complete(held, root, order[begin:])
    return [
        Bridge(place, sorted(parts, key=lambda part: (-len(part), part)))
        for place, parts in sorted(held.items())
        if len(parts) > 1
    ]


def _complete(held: dict[int, list[list[int]]], root: int, component: list[int]) -> None:
    """Add to each place of a component that is not its root the part on the root's side."""
    whole = set(component)
    for place in component:
        if place != root and place in held:
            held[place].append(sorted(whole.difference({place}, *held[place])))
