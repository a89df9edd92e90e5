"""Each missed pair is put down to the last stage that its two fragments reached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.quality.datasets import NO_BAND, REVIEW_BAND, Candidates, Linkage, ScoredPairs, Truth
from benchmarks.quality.missed import Stage, missed_pairs

REVIEW_BITS = 3.0

#              0  1  2  3   bearer A in fragments {0, 1} and {2, 3}; 4 and 5 are bearer B, together
ENTITIES = np.array([0, 0, 0, 0, 1, 1])
CLUSTERS = np.array([5, 5, 6, 6, 7, 7])

Pair = tuple[int, int]


def linkage(
    compared: Sequence[Pair], weights: dict[Pair, float], questions: Sequence[Pair], clusters: np.ndarray = CLUSTERS
) -> Linkage:
    left, right = np.array(compared, np.int64).reshape(-1, 2).T
    scored = np.array(list(weights), np.int64).reshape(-1, 2)
    bits = np.array(list(weights.values()), np.float64)
    bands = np.where(bits >= REVIEW_BITS, REVIEW_BAND, NO_BAND).astype(np.int8)
    return Linkage(
        "citizen",
        "batch",
        Truth(ENTITIES, np.zeros(6, np.int64), ("a",)),
        clusters,
        questions=np.array(questions, np.int64).reshape(-1, 2),
        pairs=ScoredPairs(scored[:, 0], scored[:, 1], bits, bands, np.zeros((len(bits), 1), np.int8)),
        candidates=Candidates(left, right, np.ones(len(left), np.int64), ("rule",)),
        review_bits=REVIEW_BITS,
    )


@pytest.mark.parametrize(
    ("compared", "weights", "questions", "stage", "reason"),
    [
        ([(0, 1), (4, 5)], {(0, 1): 9.0}, [], Stage.BLOCKING, "no record of one met one of the other"),
        ([(0, 2)], {}, [], Stage.SCORING, "met, with a weight too low to be kept"),
        ([(0, 2)], {(0, 2): 1.0}, [], Stage.SCORING, "met, below review"),
        ([(0, 2), (1, 3)], {(0, 2): 1.0, (1, 3): 3.0}, [], Stage.REFUSED, "the best pair of the fragments counts"),
        ([(0, 2)], {(0, 2): 9.0}, [(1, 3)], Stage.REVIEW, "any question between the two fragments"),
        ([], {}, [(0, 4)], Stage.BLOCKING, "a question about somebody else helps nothing"),
        ([(0, 4), (2, 4)], {(0, 4): 9.0}, [], Stage.BLOCKING, "a stranger in between is no meeting"),
    ],
)
def test_the_last_stage_that_fragments_reached(
    compared: list[Pair], weights: dict[Pair, float], questions: list[Pair], stage: Stage, reason: str
) -> None:
    missed = missed_pairs(linkage(compared, weights, questions))
    pairs = set(zip(missed.left.tolist(), missed.right.tolist(), strict=True))
    assert pairs == {(0, 2), (0, 3), (1, 2), (1, 3)}
    assert set(missed.stages.tolist()) == {stage}, reason
    assert len(set(missed.joins.tolist())) == 1


def test_two_bearers_between_the_same_clusters_are_told_apart() -> None:
    # 0 and 4 lie in one cluster, 1 and 5 in another: of A the fragments met, of B they did not.
    clusters = np.array([1, 2, 1, 2, 1, 2])
    missed = missed_pairs(linkage([(0, 1)], {(0, 1): 5.0}, [], clusters))
    stages = dict(
        zip(zip(missed.left.tolist(), missed.right.tolist(), strict=True), missed.stages.tolist(), strict=True)
    )
    assert stages[4, 5] == Stage.BLOCKING
    assert {stage for pair, stage in stages.items() if pair != (4, 5)} == {Stage.REFUSED}


def test_who_misses_nothing_has_no_missed_pair() -> None:
    missed = missed_pairs(linkage([(4, 5)], {(4, 5): 9.0}, [(0, 4)], ENTITIES))
    assert len(missed.left) == len(missed.stages) == 0
