"""From old golden records and new clusters to the plan: components and question changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.resolve.relink_linkage import Cluster, Linked, Weakest
from mdm.resolve.relink_runs import Component, PendingState, Question
from mdm.resolve.relink_snapshot import Pair, Snapshot


class Changes:
    """What a linkage changes: groups of clusters connected by the golden records whose members they share.

    Only what differs from the present golden records becomes objects; the rest stays columns.
    """

    def __init__(self, snapshot: Snapshot, linked: Linked) -> None:
        """Find the clusters that are no golden record yet, and group them."""
        self._snapshot = snapshot
        self._linked = linked
        changed = _changed(snapshot, linked)
        self._groups = _connected(snapshot, [linked.clusters[index] for index in changed], changed)

    def __len__(self) -> int:
        """Return how many components there are."""
        return len(self._groups)

    def __iter__(self) -> Iterator[Component]:
        """Yield the components in the order of their first record numbers."""
        for group in self._groups:
            edge = self._weakest(group)
            left, right = self._snapshot.numbered((edge.left, edge.right)) if edge else (None, None)
            clusters = [self._linked.clusters[index] for index in group]
            yield Component(
                tuple(sorted(_numbered(self._snapshot, cluster) for cluster in clusters)),
                left,
                right,
                edge.match_weight_bits if edge else None,
                tuple(self._pending(clusters)),
            )

    def _weakest(self, group: list[int]) -> Weakest | None:
        edges = [self._linked.weakest[index] for index in group if index in self._linked.weakest]
        return min(edges, key=lambda edge: (edge.match_weight_bits, edge.left, edge.right), default=None)

    def _pending(self, clusters: list[Cluster]) -> Iterator[PendingState]:
        for cluster in clusters:
            for place in cluster:
                described = self._snapshot.described(place)
                if described is not None:
                    yield PendingState(self._snapshot.number(place), *described)


def _numbered(snapshot: Snapshot, cluster: Cluster) -> Cluster:
    return tuple(sorted(snapshot.number(place) for place in cluster))


def _changed(snapshot: Snapshot, linked: Linked) -> list[int]:
    """Return the positions of the clusters that are not exactly the members of one golden record."""
    sizes = np.array([len(cluster) for cluster in linked.clusters])
    places = np.fromiter((place for cluster in linked.clusters for place in cluster), np.int64, len(snapshot))
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)[:-1]))
    golden = snapshot.goldens[places - 1]
    lowest, highest = np.minimum.reduceat(golden, starts), np.maximum.reduceat(golden, starts)
    member_counts = golden_sizes(snapshot)
    is_whole = np.zeros(len(sizes), np.bool_)
    is_one = (lowest == highest) & (lowest >= 0)
    is_whole[is_one] = member_counts[lowest[is_one]] == sizes[is_one]
    changed: list[int] = np.flatnonzero(~is_whole).tolist()
    return changed


def golden_sizes(snapshot: Snapshot) -> NDArray[np.int64]:
    """Return how many records each golden ID holds, by its number."""
    goldens = snapshot.goldens
    return np.bincount(goldens[goldens >= 0], minlength=snapshot.golden_count)


def _connected(snapshot: Snapshot, clusters: Sequence[Cluster], indices: Sequence[int]) -> list[list[int]]:
    """Group clusters that share a golden record; `indices` name them in the result, ordered by record numbers."""
    parent: dict[int, int] = {}

    def root(golden: int) -> int:
        while (above := parent.get(golden, golden)) != golden:
            parent[golden] = golden = parent.get(above, above)
        return golden

    goldens = [sorted({int(snapshot.goldens[place - 1]) for place in cluster} - {-1}) for cluster in clusters]
    for shared in goldens:
        for other in shared[1:]:
            parent[root(other)] = root(shared[0])
    grouped: dict[tuple[bool, int], list[int]] = {}
    for index, shared in zip(indices, goldens, strict=True):
        # A cluster of pending records alone is a component of its own.
        grouped.setdefault((True, root(shared[0])) if shared else (False, index), []).append(index)
    lowest = {
        index: min(snapshot.number(place) for place in cluster)
        for index, cluster in zip(indices, clusters, strict=True)
    }
    return sorted(grouped.values(), key=lambda group: min(lowest[index] for index in group))


def changed_questions(
    snapshot: Snapshot, linked: Linked, standing: Sequence[Pair]
) -> tuple[list[Pair], list[Question]]:
    """Return the questions to close and to open, by record numbers; `standing` are open now, by places."""
    closed, opened = question_changes(standing, linked.questions, linked.cluster_of)
    asked = []
    for question in opened:
        left, right = snapshot.numbered((question.left, question.right))
        asked.append(msgspec.structs.replace(question, left=left, right=right))
    return sorted(map(snapshot.numbered, closed)), sorted(asked, key=lambda each: (each.left, each.right))


def question_changes(
    standing: Sequence[Pair], wanted: Sequence[Question], cluster_of: NDArray[np.int64]
) -> tuple[list[Pair], list[Question]]:
    """Return the questions to close and to open.

    Args:
        standing: Pairs that are open now.
        wanted: Everything that this run would ask; of those between the same two clusters only the strongest is
            asked, among equals the first.
        cluster_of: By record, the number of its cluster.
    """
    strongest: dict[tuple[int, int], Question] = {}
    for question in sorted(wanted, key=lambda each: -each.match_weight_bits):
        one, other = cluster_of[[question.left, question.right]].tolist()
        if one != other:
            strongest.setdefault((min(one, other), max(one, other)), question)
    asked = {(question.left, question.right): question for question in strongest.values()}
    open_now = set(standing)
    closed = sorted(pair for pair in open_now if pair not in asked and cluster_of[pair[0]] != cluster_of[pair[1]])
    opened = [question for pair, question in sorted(asked.items()) if pair not in open_now]
    return closed, opened
