"""Where the true pairs were lost that linkage did not put together."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np

from benchmarks.quality.blocking import pairs_within
from benchmarks.quality.datasets import Linkage, Numbers


class Stage(enum.IntEnum):
    """How far two fragments of one bearer came together; the last stage reached is where they were lost."""

    BLOCKING = 0
    """No record of one was ever compared with one of the other."""
    SCORING = 1
    """Compared; every weight below review."""
    REFUSED = 2
    """Weighty enough for review, then ruled out by a veto, as strangers, or in clustering, without a question."""
    REVIEW = 3
    """A potential match stands between them: a steward's answer joins them."""


class MissedPairs(NamedTuple):
    """True pairs that lie in two clusters. A pair is lost where its two fragments were."""

    left: Numbers
    right: Numbers
    stages: Numbers
    """Shape (pairs,)."""
    joins: Numbers
    """Shape (pairs,): code of the two fragments, so that pairs lost together can be told."""


def missed_pairs(linkage: Linkage) -> MissedPairs:
    """Return the true pairs that are apart, and the stage at which each was lost.

    The fragments count, not the single pair: records need not meet if others of the same two clusters do.
    """
    truth = linkage.truth
    clusters = np.unique(linkage.clusters, return_inverse=True)[1].astype(np.int64)
    left, right = pairs_within(truth.entities)
    is_apart = clusters[left] != clusters[right]
    left, right = left[is_apart], right[is_apart]

    def ends(one: Numbers, other: Numbers) -> Numbers:
        low, high = np.minimum(clusters[one], clusters[other]), np.maximum(clusters[one], clusters[other])
        return low * len(clusters) + high

    apart = np.unique(ends(left, right))

    def joins_of(one: Numbers, other: Numbers) -> Numbers:
        """Return a code of bearer and fragments for those of these pairs that are true and apart."""
        is_true = truth.entities[one] == truth.entities[other]
        one, other = one[is_true], other[is_true]
        between = ends(one, other)
        is_missed = np.isin(between, apart)
        return truth.entities[one[is_missed]] * len(apart) + np.searchsorted(apart, between[is_missed])

    joins, codes = np.unique(joins_of(left, right), return_inverse=True)
    stages = np.full(len(joins), Stage.BLOCKING, np.int64)
    if linkage.candidates is not None:
        stages[np.isin(joins, joins_of(linkage.candidates.left, linkage.candidates.right))] = Stage.SCORING
    if linkage.pairs is not None and linkage.review_bits is not None:
        weighty = linkage.pairs.bits >= linkage.review_bits
        reached = joins_of(linkage.pairs.left[weighty], linkage.pairs.right[weighty])
        stages[np.isin(joins, reached)] = Stage.REFUSED
    if linkage.questions is not None and len(joins):
        asked = ends(linkage.questions[:, 0], linkage.questions[:, 1])
        stages[np.isin(apart[joins % len(apart)], asked)] = Stage.REVIEW
    return MissedPairs(left, right, stages[codes], codes.astype(np.int64))
