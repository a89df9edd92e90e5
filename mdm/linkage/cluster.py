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
    ambiguous: list[Edge]
    """Links on name and birth date alone that several listed bearers share."""


class Namesakes(NamedTuple):
    """Pairs that share name and birth date and little else."""

    sole: list[Edge]
    """Those that link if the register of residents knows only one such bearer."""
    pairs: list[tuple[int, int]]
    """All of them."""


def cluster(
    edges: Iterable[Edge],
    features_of: Callable[[int], AnyFeatures],
    scorer: Scorer,
    *,
    namesakes: Namesakes | None = None,
    same: Iterable[tuple[int, int]] = (),
    different: Iterable[tuple[int, int]] = (),
) -> Clustering:
    """Join records into clusters.

    Args:
        edges: Pairs that may link on their own. Any order: they are taken by falling weight, ties by the numbers.
        features_of: Gives a record's features.
        scorer: Judges whether two clusters contradict each other.
        namesakes: Looked at when all else is joined.
        same: Pairs that a steward judged the same bearer; they join whatever the evidence says.
        different: Pairs that a steward judged different; never in one cluster, unless `same` forces it.

    Returns:
        The same for the same input in any order. Costs about 10 µs an edge, more for clusters beyond ten records.
    """
    forest = _Forest(different)
    for left, right in sorted(same):
        forest.join(left, right)
    refused = _grow(forest, edges, features_of, scorer)
    ambiguous: list[Edge] = []
    if namesakes is not None:
        clear, ambiguous = _sole_bearers(forest, namesakes, features_of, scorer)
        refused += _grow(forest, clear, features_of, scorer)
    return Clustering(forest.clusters(), refused, ambiguous)


def _grow(
    forest: _Forest, edges: Iterable[Edge], features_of: Callable[[int], AnyFeatures], scorer: Scorer
) -> list[Edge]:
    """Join along the edges in falling weight; return those that would put a contradiction inside a cluster."""
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
    return refused


def _sole_bearers(
    forest: _Forest, namesakes: Namesakes, features_of: Callable[[int], AnyFeatures], scorer: Scorer
) -> tuple[list[Edge], list[Edge]]:
    """Part the sole edges between clusters into those that link and those that several bearers may claim.

    Among clusters of one name and birth date at most one may be listed, and at most one may hold several records:
    several that found each other but not the register are somebody whom it lacks.
    """
    groups = _Forest(())
    for left, right in namesakes.pairs:
        groups.join(forest.root(left), forest.root(right))
    is_listed = scorer.specification.rules.is_listed
    listed: dict[int, bool] = {}
    sole: dict[int, bool] = {}

    def lists(root: int) -> bool:
        if root not in listed:
            listed[root] = any(is_listed(features_of(number)) for number in forest.members(root))
        return listed[root]

    clear: list[Edge] = []
    ambiguous: list[Edge] = []
    for edge in namesakes.sole:
        left, right = forest.root(edge.left), forest.root(edge.right)
        if left == right or (lists(left) and lists(right)):
            continue
        group = groups.root(left)
        if group not in sole:
            roots = groups.members(group)
            sole[group] = sum(map(lists, roots)) <= 1 and sum(len(forest.members(root)) > 1 for root in roots) <= 1
        (clear if sole[group] else ambiguous).append(edge)
    return clear, ambiguous


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
