"""From linked pairs to clusters: grown edge by edge in falling weight, so that no veto ever lies inside one.

Judgements come first, "same" before any weight, "different" above every weight. What would put a veto or a
contradiction inside a cluster is refused and handed back for a steward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.linkage.evidence import PAIR_SAY_BITS_MAX, compatible, is_spoken_for, veto
from mdm.linkage.features import AnyFeatures
from mdm.linkage.graph import Edge, Edges, Groups, Parts, connected
from mdm.linkage.pair_codes import HALF_BITS, are_among, distinct, pair_codes, pairs_of_codes
from mdm.linkage.scorer import Scorer

COMPLETED_MEMBERS_MAX = 32
"""Records of a connected part up to which every weight between them is found beforehand: 496 pairs, some 10 ms.

Not above `evidence.MEMBERS_HEARD_MAX`, for all of these weights are heard.
"""

_VETOED = -math.inf
"""In place of a weight where a veto stands between the two."""


class Clustering(NamedTuple):
    """Clusters of two or more records, and the edges that were refused."""

    clusters: Groups
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
    edges: Edges,
    features_of: Callable[[int], AnyFeatures],
    scorer: Scorer,
    *,
    known: Edges | None = None,
    values: NDArray[np.int64] | None = None,
    namesakes: Namesakes | None = None,
    same: Iterable[tuple[int, int]] = (),
    different: Iterable[tuple[int, int]] = (),
) -> Clustering:
    """Join records into clusters.

    Args:
        edges: Pairs that may link on their own, without a veto between them, each once. Any order: they are taken by
            falling weight, ties by the numbers.
        features_of: Gives a record's features.
        scorer: Judges whether two clusters contradict each other.
        known: Pairs, the edges among them, between which no veto stands and whose weight need not be found again; None
            where the edges are all that is known.
        values: By record number, what it states in the rules' `excess_column`, as a number; 0 for nothing. None where
            that is not known, so that each cluster has to be asked.
        namesakes: Looked at when all else is joined.
        same: Pairs that a steward judged the same bearer; they join whatever the evidence says.
        different: Pairs that a steward judged different; never in one cluster, unless `same` forces it.

    Returns:
        The same for the same input in any order. Costs some 2 µs an edge of a city, most of it for the weights that
        are not known and for parts in which something may be refused; more for clusters beyond ten records.
    """
    forest = _Forest(different)
    same = sorted(same)
    for left, right in same:
        forest.join(left, right)
    growth = _Growth(forest, known or edges, features_of, values, scorer, Ties(same))
    refused = growth.along(edges)
    ambiguous: list[Edge] = []
    if namesakes is not None:
        clear, ambiguous = _sole_bearers(forest, namesakes, features_of, scorer)
        refused += growth.along(Edges.of(clear))
    return Clustering(forest.clusters(), refused, ambiguous)


class Ties:
    """Records that stewards called the same, in groups: a chain of such judgements ties its ends."""

    def __init__(self, same: Iterable[tuple[int, int]]) -> None:
        """Take the pairs that were judged so."""
        self._forest = _Forest(())
        for left, right in same:
            self._forest.join(left, right)

    def are_tied(self, left: int, right: int) -> bool:
        """Return whether both are of one group."""
        return self._forest.root(left) == self._forest.root(right)

    def groups(self, numbers: Iterable[int]) -> list[list[int]]:
        """Return the groups, of two or more, that hold any of these records."""
        if not self._forest.has_joined:
            # As in almost every city: nobody judged yet, and this is asked of every question and fragment.
            return []
        groups = map(self._forest.members, dict.fromkeys(map(self._forest.root, numbers)))
        return [group for group in groups if len(group) > 1]


class _Growth(NamedTuple):
    """What stays the same while clusters grow."""

    forest: _Forest
    known: Edges
    features_of: Callable[[int], AnyFeatures]
    values: NDArray[np.int64] | None
    scorer: Scorer
    ties: Ties

    def along(self, edges: Edges) -> list[Edge]:
        """Join along the edges in falling weight; return those that would put a contradiction inside a cluster."""
        forest = self.forest
        parts = Parts.of(edges)
        known = self._completed(parts, self.known.taken(parts.places_inside(self.known)))
        is_whole = self._plant_whole_parts(parts, known)
        rest = np.flatnonzero(~is_whole[parts.of_number[edges.left]])
        known = known.taken(~is_whole[parts.of_number[known.left]])
        weights = dict(zip(known.places().tolist(), known.bits.tolist(), strict=True))
        refused: list[Edge] = []
        # By falling weight, but one connected part after the other: its features are then at hand.
        edges = edges.taken(rest)
        left, right = np.minimum(edges.left, edges.right), np.maximum(edges.left, edges.right)
        order = np.lexsort((right, left, -edges.bits, connected(forest.roots(left), forest.roots(right))))
        for one, other, bits in edges.taken(order).rows():
            first, second = forest.root(one), forest.root(other)
            if first == second:
                continue
            if forest.are_different(first, second) or not self._are_compatible(
                forest.members(first), forest.members(second), weights
            ):
                refused.append(Edge(one, other, bits))
            else:
                forest.join(first, second)
        return sorted(refused)

    def _completed(self, parts: Parts, known: Edges) -> Edges:
        """Return the known weights of pairs and, of each part that is not too large, those that had to be found."""
        counts = np.bincount(parts.of_number[known.left], minlength=len(parts.sizes))
        lacks = (counts < parts.pair_counts) & (parts.sizes <= COMPLETED_MEMBERS_MAX)
        codes = parts.pairs(lacks)
        codes = codes[~are_among(codes, known.places())]
        left, right = pairs_of_codes(codes)
        bits = np.fromiter(map(self._weighed, codes.tolist()), np.float64, len(codes))
        return Edges.together((known, Edges(left, right, bits)))

    def _plant_whole_parts(self, parts: Parts, known: Edges) -> NDArray[np.bool_]:
        """Join the parts in which the weight of every pair is known and speaks for one bearer; say which they are.

        Nothing can be refused in them, for no veto stands between any two. Most parts are such.
        """
        speaks = np.minimum(known.bits, PAIR_SAY_BITS_MAX) > self.scorer.model.thresholds.joint_bits_min
        spoken = np.bincount(parts.of_number[known.left[speaks]], minlength=len(parts.sizes))
        is_whole: NDArray[np.bool_] = spoken == parts.pair_counts
        is_known = self.forest.knows(parts.members)
        if np.any(is_known):
            is_whole &= ~np.logical_or.reduceat(is_known, parts.starts)
        for place in np.flatnonzero(is_whole & self._may_have_excess(parts)).tolist():
            start = parts.starts[place]
            is_whole[place] = not self._have_excess(parts.members[start : start + parts.sizes[place]].tolist())
        self.forest.plant(parts.members[np.repeat(is_whole, parts.sizes)], parts.sizes[is_whole])
        return is_whole

    def _may_have_excess(self, parts: Parts) -> NDArray[np.bool_]:
        """Say of each part whether its members state so much that only their features can tell."""
        least = self.scorer.specification.rules.excess_members_min
        is_large = parts.sizes >= least
        if self.values is None:
            return is_large
        members = parts.members[np.repeat(is_large, parts.sizes)]
        stated = pair_codes(parts.of_number[members], self.values[members])
        places, values = pairs_of_codes(distinct(stated))
        counts = np.bincount(places[values > 0], minlength=len(parts.sizes))
        may_have: NDArray[np.bool_] = counts >= least
        return may_have

    def _are_compatible(self, lefts: list[int], rights: list[int], weights: Mapping[int, float]) -> bool:
        found = [
            weights.get((one << HALF_BITS) | other if one < other else (other << HALF_BITS) | one)
            for one in lefts
            for other in rights
        ]
        stated = [weight for weight in found if weight is not None and weight > _VETOED]
        if len(stated) < len(found):
            # A weight that was never found, or a veto, which stewards may have overruled.
            sides = [lefts, rights, *self.ties.groups([*lefts, *rights])]
            left, right, *same = ([self.features_of(number) for number in side] for side in sides)
            return compatible(left, right, self.scorer, same)
        # No veto stands between any two of them, and their weights need not be found again.
        return is_spoken_for(stated, self.scorer.model) and not self._have_excess([*lefts, *rights])

    def _weighed(self, code: int) -> float:
        """Return the weight of a pair that no prediction speaks of."""
        left, right = map(self.features_of, divmod(code, 1 << HALF_BITS))
        return _VETOED if veto(left, right) is not None else self.scorer.score(left, (right,))[0].match_weight_bits

    def _have_excess(self, members: list[int]) -> bool:
        rules = self.scorer.specification.rules
        if len(members) < rules.excess_members_min:
            return False
        if self.values is not None:
            stated = {value for value in self.values[members].tolist() if value}
            if len(stated) < rules.excess_members_min:
                return False
        return bool(rules.excess(list(map(self.features_of, members))))


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
    """Union-find that knows each cluster's members and the clusters that it must not join.

    What was planted whole stays columns until it joins with more.
    """

    def __init__(self, different: Iterable[tuple[int, int]]) -> None:
        self._parent: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}
        self._enemies: dict[int, set[int]] = {}
        self._beds: list[_Bed] = []
        for left, right in different:
            self._enemies.setdefault(left, set()).add(right)
            self._enemies.setdefault(right, set()).add(left)

    def root(self, number: int) -> int:
        parent = self._parent
        if number not in parent:
            for bed in self._beds:
                number = bed.root(number)
        while (above := parent.get(number, number)) != number:
            parent[number] = parent.get(above, above)
            number = above
        return number

    def roots(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.fromiter(map(self.root, numbers.tolist()), np.int64, len(numbers))

    @property
    def has_joined(self) -> bool:
        """Whether any record was joined with another."""
        return bool(self._parent or self._beds)

    def knows(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return of each number whether it was joined or told apart before."""
        known = are_among(numbers, np.fromiter({*self._parent, *self._members, *self._enemies}, np.int64))
        for bed in self._beds:
            known |= bed.holds(numbers)
        return known

    def plant(self, numbers: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Join records that are not known yet: groups of these sizes, each ascending."""
        if len(numbers):
            self._beds.append(_Bed(numbers, sizes))

    def members(self, root: int) -> list[int]:
        found = self._members.get(root)
        if found is not None:
            return found
        for bed in self._beds:
            if (planted := bed.members(root)) is not None:
                return planted
        return [root]

    def are_different(self, left: int, right: int) -> bool:
        enemies = self._enemies.get(left)
        return bool(enemies) and any(self.root(enemy) == right for enemy in enemies or ())

    def join(self, left: int, right: int) -> None:
        left, right = self.root(left), self.root(right)
        if left == right:
            return
        one, other = self.members(left), self.members(right)
        if len(one) < len(other):
            left, right, one, other = right, left, other, one
        self._members[left] = one + other
        self._members.pop(right, None)
        self._parent[right] = left
        if right in self._enemies:
            self._enemies.setdefault(left, set()).update(self._enemies.pop(right))
        # The other side still names `right`; its root is `left` now, so the lookup by root finds it.

    def clusters(self) -> Groups:
        grown = Groups.of(sorted(members) for members in self._members.values() if len(members) > 1)
        joined = np.fromiter(self._members.keys() | self._parent.keys(), np.int64)
        return Groups.together((grown, *(bed.apart_from(joined) for bed in self._beds)))


class _Bed:
    """Groups that were planted together; the first of each is its root."""

    def __init__(self, numbers: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        starts = np.cumsum(sizes) - sizes
        self._numbers, self._starts, self._sizes = numbers, starts, sizes
        self._group_of = np.full(int(numbers.max()) + 1, -1)
        self._group_of[numbers] = np.repeat(np.arange(len(sizes)), sizes)
        roots = np.arange(len(self._group_of))
        roots[numbers] = np.repeat(numbers[starts], sizes)
        # Single numbers are asked for, which a view of memory answers three times as fast as an array.
        self._roots, self._groups = roots.data, self._group_of.data

    def root(self, number: int) -> int:
        return self._roots[number] if number < len(self._roots) else number

    def members(self, root: int) -> list[int] | None:
        group = self._groups[root] if root < len(self._groups) else -1
        if group < 0:
            return None
        start = self._starts[group]
        found: list[int] = self._numbers[start : start + self._sizes[group]].tolist()
        return found

    def holds(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = self._group_of[np.minimum(numbers, len(self._group_of) - 1)] >= 0
        return held & (numbers < len(self._group_of))

    def apart_from(self, joined: NDArray[np.int64]) -> Groups:
        """Return the groups whose root has not joined with more."""
        groups = Groups(self._numbers, self._sizes)
        return groups.taken(~are_among(self._numbers[self._starts], joined))
