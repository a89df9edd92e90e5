"""A few of the remaining errors of each kind, record by record, for whoever wants to see why. Synthetic data only."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.datasets import Linkage, Numbers, ScoredPairs
from benchmarks.quality.missed import MissedPairs, Stage

EXAMPLES_PER_KIND = 5


def examples(linkage: Linkage, missed: MissedPairs, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Return up to five errors of each kind, drawn by the seed; nothing for data without `describe`.

    An error of many pairs is shown by the pair with the highest weight.
    """
    if linkage.describe is None:
        return {}
    dice = np.random.default_rng(seed)
    kinds: dict[str, list[tuple[int, int]]] = {"false merge": _false_merges(linkage, dice)}
    for stage in Stage:
        joins = np.unique(missed.joins[missed.stages == stage])
        drawn = _drawn(joins, dice)
        kinds[f"missed: {stage.name.lower()}"] = [_heaviest(linkage, *_of_join(missed, join)) for join in drawn]
    if linkage.questions is not None:
        entities = linkage.truth.entities
        needless = np.flatnonzero(entities[linkage.questions[:, 0]] != entities[linkage.questions[:, 1]])
        kinds["needless question"] = [
            (int(linkage.questions[place, 0]), int(linkage.questions[place, 1])) for place in _drawn(needless, dice)
        ]
    return {kind: [_shown(linkage, left, right) for left, right in pairs] for kind, pairs in kinds.items() if pairs}


def _drawn(values: Numbers, dice: np.random.Generator) -> list[int]:
    return sorted(dice.choice(values, min(len(values), EXAMPLES_PER_KIND), replace=False).tolist())


def _of_join(missed: MissedPairs, join: int) -> tuple[Numbers, Numbers]:
    is_join = missed.joins == join
    return missed.left[is_join], missed.right[is_join]


def _false_merges(linkage: Linkage, dice: np.random.Generator) -> list[tuple[int, int]]:
    """Return the heaviest pair of two bearers in some of the clusters that hold more than one."""
    entities, clusters = linkage.truth.entities, np.unique(linkage.clusters, return_inverse=True)[1]
    order = np.lexsort((entities, clusters))
    is_mixed = (clusters[order][1:] == clusters[order][:-1]) & (entities[order][1:] != entities[order][:-1])
    found = []
    for cluster in _drawn(np.unique(clusters[order][1:][is_mixed]), dice):
        members = np.flatnonzero(clusters == cluster)
        left, right = (members[side] for side in np.triu_indices(len(members), 1))
        are_two = entities[left] != entities[right]
        found.append(_heaviest(linkage, left[are_two], right[are_two]))
    return found


def _heaviest(linkage: Linkage, left: Numbers, right: Numbers) -> tuple[int, int]:
    """Return the pair of the highest weight; the first if none was scored."""
    if linkage.pairs is None:
        return int(left[0]), int(right[0])
    best = int(np.argmax([_bits(linkage.pairs, *pair) for pair in zip(left.tolist(), right.tolist(), strict=True)]))
    return int(left[best]), int(right[best])


def _bits(pairs: ScoredPairs, left: int, right: int) -> float:
    """Return a pair's weight, minus infinity if it was not scored."""
    place = np.flatnonzero((pairs.left == left) & (pairs.right == right))
    return float(pairs.bits[place[0]]) if len(place) else -np.inf


def _shown(linkage: Linkage, left: int, right: int) -> dict[str, Any]:
    if linkage.describe is None:
        raise ValueError("a linkage that describes no records has no examples")
    bits = -np.inf if linkage.pairs is None else _bits(linkage.pairs, left, right)
    return {
        "records": [dict(linkage.describe(record)) for record in (left, right)],
        "is_one_bearer": bool(linkage.truth.entities[left] == linkage.truth.entities[right]),
        "bits": round(bits, 2) if np.isfinite(bits) else None,
        "comparisons": dict(linkage.explain(left, right)) if linkage.explain else {},
    }
