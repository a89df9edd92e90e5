"""How far found clusters agree with the truth, counted without ever listing a pair, so that huge clusters cost nothing.

Each figure is a ratio of sums over entities. A pair of two entities counts half to each of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.datasets import Mask, Numbers, Stratum, Truth
from benchmarks.quality.intervals import (
    Estimate,
    exact_lower_bound,
    interval,
    lower_bound,
    ratio,
    resampled_sums,
    wilson,
)

Floats = NDArray[np.float64]

PER_RECORDS = 10_000
"""False merges are given for so many records."""


class PairCounts(NamedTuple):
    """Pairs by entity, each of shape (entities,)."""

    right: Floats
    """Found and true."""
    found: Floats
    true: Floats


class PairQuality(NamedTuple):
    """Pairwise quality with intervals."""

    found_pairs: int
    false_pairs: int
    true_pairs: int
    precision: Estimate
    precision_lower_bound: float
    """One-sided, 95 %: by bootstrap, or exact over the entities with a found pair where no pair is false."""
    recall: Estimate
    f1: Estimate


class ClusterQuality(NamedTuple):
    """Quality of the clusters as wholes."""

    records: int
    entities: int
    clusters: int
    b3_precision: Estimate
    b3_recall: Estimate
    b3_f1: Estimate
    exact_entities: Estimate
    """Share of entities whose records form one cluster with nobody else's."""
    false_merges: int
    """Joins that must be undone: over all clusters, the entities in it less one."""
    false_merges_per_10_000: Estimate
    fragments: int
    """Joins that are missing: over all entities, the clusters that hold it less one."""


class Agreement:
    """Truth and clusters of the same records, crossed: how many records each entity has in each cluster."""

    def __init__(self, truth: Truth, clusters: Numbers) -> None:
        if len(clusters) != len(truth.entities):
            raise ValueError("as many cluster codes as records")
        self._truth = truth
        entities = truth.entities
        self.clusters: Numbers = np.unique(clusters, return_inverse=True)[1]
        self._entity_count = int(entities.max()) + 1 if len(entities) else 0
        self._cluster_count = int(self.clusters.max()) + 1 if len(entities) else 0
        cells, self._cell_of = np.unique(entities * max(self._cluster_count, 1) + self.clusters, return_inverse=True)
        self._cell_entity, self._cell_cluster = np.divmod(cells, max(self._cluster_count, 1))

    def all(self) -> PairCounts:
        """Count every pair."""
        return self.within(np.ones(len(self.clusters), dtype=np.bool_))

    def within(self, records: Mask) -> PairCounts:
        """Count the pairs of which both records are among these."""
        cell, cluster, entity = self._sizes(records)
        right = cell * (cell - 1) / 2
        found = right + cell * (cluster[self._cell_cluster] - cell) / 2
        return PairCounts(self._by_entity(right), self._by_entity(found), entity * (entity - 1) / 2)

    def touching(self, records: Mask) -> PairCounts:
        """Count the pairs of which either record is among these."""
        return PairCounts(*(whole - rest for whole, rest in zip(self.all(), self.within(~records), strict=True)))

    def between(self, left: Mask, right: Mask) -> PairCounts:
        """Count the pairs with one record among `left` and one among `right`, which share none."""
        (cell, cluster, entity), (other_cell, other_cluster, other_entity) = self._sizes(left), self._sizes(right)
        both = cell * other_cell
        false = cell * (other_cluster[self._cell_cluster] - other_cell)
        false += other_cell * (cluster[self._cell_cluster] - cell)
        return PairCounts(self._by_entity(both), self._by_entity(both + false / 2), entity * other_entity)

    def stratum(self, stratum: Stratum) -> PairCounts:
        """Count the pairs of a stratum."""
        return self.within(stratum.records) if stratum.takes_both else self.touching(stratum.records)

    def cluster_quality(self, seed: int) -> ClusterQuality:
        """Measure the clusters as wholes."""
        everyone = np.ones(len(self.clusters), dtype=np.bool_)
        cell, cluster, entity = self._sizes(everyone)
        entities_in = np.bincount(self._cell_cluster, minlength=self._cluster_count)
        clusters_of = np.bincount(self._cell_entity, minlength=self._entity_count)
        precise = self._by_entity(cell * cell / cluster[self._cell_cluster])
        recalled = self._by_entity(cell * cell) / np.maximum(entity, 1)
        # A cluster of n entities holds n - 1 false joins, an equal share of them to each.
        merges = self._by_entity(1 - 1 / entities_in[self._cell_cluster])
        columns = np.stack([precise, recalled, merges, entity], axis=1)[entity > 0]
        sums, drawn = columns.sum(axis=0), resampled_sums(columns, seed)
        precision, recall, f1 = (
            interval(float(value[0]), draws) for value, draws in zip(_b3(sums[None]), _b3(drawn), strict=True)
        )
        is_alone = np.bincount(self._cell_entity, entities_in[self._cell_cluster] == 1, self._entity_count) == 1
        exact = int(np.sum(is_alone & (clusters_of == 1)))
        return ClusterQuality(
            records=len(everyone),
            entities=len(columns),
            clusters=self._cluster_count,
            b3_precision=precision,
            b3_recall=recall,
            b3_f1=f1,
            exact_entities=wilson(exact, len(columns)),
            false_merges=int(np.sum(entities_in - 1)),
            false_merges_per_10_000=interval(
                float(PER_RECORDS * sums[2] / sums[3]), PER_RECORDS * ratio(drawn[:, 2], drawn[:, 3])
            ),
            fragments=int(np.sum(np.maximum(clusters_of, 1) - 1)),
        )

    def _sizes(self, records: Mask) -> tuple[Floats, Floats, Floats]:
        """Return how many of these records each cell, cluster and entity has."""
        chosen = records.astype(np.float64)
        return (
            _summed(self._cell_of, chosen, len(self._cell_entity)),
            _summed(self.clusters, chosen, self._cluster_count),
            _summed(self._truth.entities, chosen, self._entity_count),
        )

    def _by_entity(self, cells: Floats) -> Floats:
        return _summed(self._cell_entity, cells, self._entity_count)


def _summed(codes: Numbers, values: Floats, length: int) -> Floats:
    return np.asarray(np.bincount(codes, values, length), np.float64)


def pair_quality(counts: PairCounts, seed: int) -> PairQuality:
    """Return precision, recall and F1 of these pairs, with intervals by a bootstrap over entities."""
    columns = np.stack(counts, axis=1)
    # Who adds nothing to any sum says nothing about their ratios, but is drawn like all others.
    right, found, true = sums = columns.sum(axis=0)
    drawn = resampled_sums(columns, seed) if len(columns) else np.zeros((1, 3))
    precision, recall, f1 = (
        interval(float(ratio(*each)[0]), ratio(*draws))
        for each, draws in zip(_ratios(sums[None]), _ratios(drawn), strict=True)
    )
    linked = int(np.sum(counts.found > 0))
    if right == found:
        precision = precision._replace(low=exact_lower_bound(linked, 0.975)) if linked else precision
    if right == true and true:
        recall = recall._replace(low=exact_lower_bound(int(np.sum(counts.true > 0)), 0.975))
    bound = exact_lower_bound(linked) if right == found else lower_bound(ratio(drawn[:, 0], drawn[:, 1]))
    return PairQuality(round(found), round(found - right), round(true), precision, bound, recall, f1)


def _b3(sums: Floats) -> tuple[Floats, Floats, Floats]:
    precision, recall = ratio(sums[:, 0], sums[:, 3]), ratio(sums[:, 1], sums[:, 3])
    return precision, recall, ratio(2 * precision * recall, precision + recall)


def _ratios(sums: Floats) -> list[tuple[Floats, Floats]]:
    right, found, true = sums.T
    return [(right, found), (right, true), (2 * right, found + true)]


def differing_pairs(left: Numbers, right: Numbers) -> int:
    """Return how many pairs of records one partition holds together and the other apart."""

    def pairs(codes: Numbers) -> int:
        sizes = np.unique(codes, return_counts=True)[1].astype(object)
        return int((sizes * (sizes - 1) // 2).sum()) if len(sizes) else 0

    left_codes, right_codes = (np.unique(codes, return_inverse=True)[1] for codes in (left, right))
    both = left_codes.astype(np.int64) * (int(right_codes.max(initial=0)) + 1) + right_codes
    return pairs(left) + pairs(right) - 2 * pairs(both)
