"""From linked pairs to clusters: grown edge by edge in falling weight, so that no veto ever lies inside one.

Judgements come first, "same" before any weight, "different" above every weight. What would put a veto or a
contradiction inside a cluster is refused and handed back for a steward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.linkage.evidence import compatible, is_spoken_for
from mdm.linkage.features import AnyFeatures
from mdm.linkage.scorer import Scorer
from mdm.linkage.specification import specification_for


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
    edges: Iterable[tuple[int, int, float]],
    features_of: Callable[[int], AnyFeatures],
    scorer: Scorer,
    *,
    namesakes: Namesakes | None = None,
    same: Iterable[tuple[int, int]] = (),
    different: Iterable[tuple[int, int]] = (),
) -> Clustering:
    """Join records into clusters.

    Args:
        edges: Left, right and weight of pairs that may link on their own, without a veto between them. Any order: they
            are taken by falling weight, ties by the numbers.
        features_of: Gives a record's features.
        scorer: Judges whether two clusters contradict each other.
        namesakes: Looked at when all else is joined.
        same: Pairs that a steward judged the same bearer; they join whatever the evidence says.
        different: Pairs that a steward judged different; never in one cluster, unless `same` forces it.

    Returns:
        The same for the same input in any order. Costs about 5 µs an edge, more for clusters beyond ten records.
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
    forest: _Forest,
    edges: Iterable[tuple[int, int, float]],
    features_of: Callable[[int], AnyFeatures],
    scorer: Scorer,
) -> list[Edge]:
    """Join along the edges in falling weight; return those that would put a contradiction inside a cluster."""
    rows = list(edges)
    known = {(left, right) if left < right else (right, left): bits for left, right, bits in rows}
    refused: list[Edge] = []
    for one, other, bits in _in_order(rows):
        left, right = forest.root(one), forest.root(other)
        if left == right:
            continue
        if forest.are_different(left, right) or not _are_compatible(
            forest.members(left), forest.members(right), known, features_of, scorer
        ):
            refused.append(Edge(one, other, bits))
        else:
            forest.join(left, right)
    return sorted(refused)


def connected(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each pair the lowest number that it is connected with through pairs. About 0.2 µs a pair."""
    label = np.arange(int(right.max(initial=0)) + 1)
    while True:
        lowest = np.minimum(label[left], label[right])
        before = label.copy()
        np.minimum.at(label, before[left], lowest)
        np.minimum.at(label, before[right], lowest)
        label = label[label]
        if np.array_equal(label, before):
            return label[left]


def _in_order(edges: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Return the edges by falling weight, but one connected part after the other: its features are then at hand."""
    numbers = np.array([edge[:2] for edge in edges], np.int64).reshape(-1, 2)
    part = connected(numbers.min(axis=1, initial=1 << 62), numbers.max(axis=1, initial=0))
    bits = np.array([edge[2] for edge in edges])
    return [edges[place] for place in np.lexsort((numbers[:, 1], numbers[:, 0], -bits, part)).tolist()]


def _are_compatible(
    lefts: list[int],
    rights: list[int],
    known: Mapping[tuple[int, int], float],
    features_of: Callable[[int], AnyFeatures],
    scorer: Scorer,
) -> bool:
    weights = [known.get((one, other) if one < other else (other, one)) for one in lefts for other in rights]
    stated = [weight for weight in weights if weight is not None]
    if len(stated) < len(weights):
        return compatible([features_of(number) for number in lefts], [features_of(number) for number in rights], scorer)
    # No veto stands between any two of them, and their weights need not be found again.
    if not is_spoken_for(stated, scorer.model):
        return False
    if len(weights) == 1:
        return True
    members = [features_of(number) for number in (*lefts, *rights)]
    return specification_for(members[0]).rules.excess(members) is None


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
