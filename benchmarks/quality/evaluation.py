"""From a linkage to its figures, as JSON values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.quality.blocking import blocking_quality
from benchmarks.quality.datasets import Linkage, Truth
from benchmarks.quality.examples import examples
from benchmarks.quality.intervals import Estimate, interval, ratio, resampled_sums, wilson
from benchmarks.quality.metrics import Agreement, pair_quality
from benchmarks.quality.missed import MissedPairs, Stage, missed_pairs
from benchmarks.quality.weights import weight_quality

PER_RECORDS_REVIEW = 1_000
"""Review volume is given for so many records."""

CLUSTER_SIZES_MAX = 20
"""Sizes beyond it are counted together."""


def evaluate(linkage: Linkage, seed: int, *, with_examples: bool = False) -> dict[str, Any]:
    """Return all figures that the linkage has the arrays for, as JSON values.

    Args:
        linkage: To be measured.
        seed: Of the bootstrap.
        with_examples: Whether to show some of the errors, where the data may be shown.
    """
    truth = linkage.truth
    agreement = Agreement(truth, linkage.clusters)
    missed = missed_pairs(linkage)
    figures: dict[str, Any] = {
        "pairs": pair_quality(agreement.all(), seed),
        "clusters": agreement.cluster_quality(seed),
        "strata": {each.name: pair_quality(agreement.stratum(each), seed) for each in truth.strata},
        "registry_pairs": _registry_pairs(truth, agreement, seed),
        "cluster_sizes": _cluster_sizes(truth, linkage),
        "seconds": {stage: round(seconds, 2) for stage, seconds in linkage.seconds.items()},
        "facts": dict(linkage.facts),
    }
    if linkage.candidates is not None:
        figures["blocking"] = blocking_quality(truth, linkage.candidates)
        figures["missed"] = _missed(missed)
    if linkage.questions is not None:
        figures["review"] = _review(linkage, seed)
    if linkage.pairs is not None:
        figures["weights"] = weight_quality(truth, linkage.pairs, linkage.candidates)
    if linkage.levels:
        figures["levels"] = linkage.levels
    if linkage.parity is not None:
        figures["parity"] = linkage.parity
    if with_examples:
        figures["examples"] = examples(linkage, missed, seed)
    if linkage.link_bits is not None and linkage.review_bits is not None:
        figures["thresholds"] = {"link_bits": linkage.link_bits, "review_bits": linkage.review_bits}
    return {name: plain(value) for name, value in figures.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: named tuples as objects, NaN as null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return plain(value._asdict())
        case tuple() | list():
            return [plain(item) for item in value]
        case np.generic():
            return plain(value.item())
        case _:
            return value


def _registry_pairs(truth: Truth, agreement: Agreement, seed: int) -> dict[str, Any]:
    masks = [truth.registries == index for index in range(len(truth.registry_names))]
    figures = {}
    for left, one in enumerate(truth.registry_names):
        for right, other in enumerate(truth.registry_names[left:], start=left):
            within = left == right
            counts = agreement.within(masks[left]) if within else agreement.between(masks[left], masks[right])
            figures[f"{one} – {other}"] = pair_quality(counts, seed)
    return figures


def _cluster_sizes(truth: Truth, linkage: Linkage) -> dict[str, Any]:
    """Return how many clusters and how many entities have each size; the last count is of all larger ones, too."""
    sizes = {
        "clusters": np.unique(linkage.clusters, return_counts=True)[1],
        "entities": np.bincount(truth.entities),
    }
    counted = {
        name: np.bincount(np.minimum(each, CLUSTER_SIZES_MAX), minlength=CLUSTER_SIZES_MAX + 1)[1:].tolist()
        for name, each in sizes.items()
    }
    return {**counted, "largest_cluster": int(sizes["clusters"].max(initial=0))}


def _missed(missed: MissedPairs) -> dict[str, Any]:
    return {
        stage.name.lower(): {
            "pairs": int(np.sum(missed.stages == stage)),
            "joins": len(np.unique(missed.joins[missed.stages == stage])),
        }
        for stage in Stage
    }


def _review(linkage: Linkage, seed: int) -> dict[str, Any]:
    """Return the review volume, with an interval, and how many of the questions are about one bearer."""
    questions, entities = linkage.questions, linkage.truth.entities
    if questions is None:
        raise ValueError("a linkage without questions has no review volume")
    records = np.bincount(entities).astype(np.float64)
    asked = sum(np.bincount(entities[questions[:, side]], minlength=len(records)) for side in (0, 1)) / 2
    columns = np.stack([asked, records], axis=1)
    sums, drawn = columns.sum(axis=0), resampled_sums(columns, seed)
    per_record = interval(sums[0] / sums[1], ratio(drawn[:, 0], drawn[:, 1]))
    is_match = entities[questions[:, 0]] == entities[questions[:, 1]]
    return {
        "questions": len(questions),
        "per_1000_records": Estimate(*(PER_RECORDS_REVIEW * each for each in per_record)),
        "matches": wilson(int(is_match.sum()), len(questions)),
    }
