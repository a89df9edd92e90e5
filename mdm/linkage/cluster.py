"""From linked pairs to clusters: grown edge by edge in falling weight, so that no veto ever lies inside one.

Judgements come first, "same" before any weight, "different" above every weight. What would put a veto or a
contradiction inside a cluster is refused and handed back for a steward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mdm.linkage.evidence import compatible
from mdm.linkage.features import AnyFeatures
from mdm.linkage.scorer import Scorer


class Edge(NamedTuple):
    """A pair that links, by its evidence."""

    left: int
    right: int
    match_weight_bits: float


class Clustering(NamedTuple):
    """Clusters of two or more records, each ascending, in order of their first; and the edges that were refused."""

    clusters: list[list[int]]
    refused: list[Edge]


def cluster(
    edges: Iterable[Edge],
    features_of: Callable[[int], AnyFeatures],
    scorer: Scorer,
    *,
    same: Iterable[tuple[int, int]] = (),
    different: Iterable[tuple[int, int]] = (),
) -> Clustering:
    """Join records into clusters.

    Args:
        edges: Pairs that may link on their own. Any order: they are taken by falling weight, ties by the numbers.
        features_of: Gives a record's features.
        scorer: Judges whether two clusters contradict each other.
        same: Pairs that a steward judged the same bearer; they join whatever the evidence says.
        different: Pairs that a steward judged different; never in one cluster, unless `same` forces it.

    Returns:
        The same for the same input in any order. Costs about 10 µs an edge, more for clusters beyond ten records.
    """
    forest = _Forest(different)
    for left, right in sorted(same):
        forest.join(left, right)
    refused: list[Edge] = []
    for edge in sorted(edges, key=lambda edge: (-edge.match_weight_bits, edge.left, edge.right)):
        left, right = forest.root(edge.left), forest.root(edge.right)
        if left == right:
            continue
        if forest.are_different(left, right) or not compatible(
            [features_of(number) for number in forest.members(left)],
            [features_of(number) for number in forest.members(right)],
            scorer,
        ):
            refused.append(edge)
        else:
            forest.join(left, right)
    return Clustering(forest.clusters(), refused)


class _Forest:
    """Union-find that knows each cluster's members and the clusters that it must not join."""

    def __init__(self, different: Iterable[tuple[int, int]]) -> None:
        self._parent: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}
        self._enemies: dict[int, set[int]] = {}
        for left, right in different:
            self._enemies.setdefault(left, set()).add(right)
            self._enemies.setdefault(right, set()).add(left)

    def root(self, number: int) -> int:
        parent = self._parent
        while (above := parent.get(number, number)) != number:
            parent[number] = parent.get(above, above)
            number = above
        return number

    def members(self, root: int) -> list[int]:
        return self._members.get(root, [root])

    def are_different(self, left: int, right: int) -> bool:
        enemies = self._enemies.get(left)
        return bool(enemies) and any(self.root(enemy) == right for enemy in enemies or ())

    def join(self, left: int, right: int) -> None:
        left, right = self.root(left), self.root(right)
        if left == right:
            return
        if len(self.members(left)) < len(self.members(right)):
            left, right = right, left
        self._members[left] = self.members(left) + self._members.pop(right, [right])
        self._parent[right] = left
        if right in self._enemies:
            self._enemies.setdefault(left, set()).update(self._enemies.pop(right))
        # The other side still names `right`; its root is `left` now, so the lookup by root finds it.

    def clusters(self) -> list[list[int]]:
        return sorted(sorted(members) for members in self._members.values() if len(members) > 1)
