"""Where the bands lie, chosen from data to a stated precision: from labels as far as they reach, else from the model.

A label says of one pair whether both records are of one bearer. Labels come by two ways, and they must not be mixed up.
A *sample* (the truth of a synthetic city, an audit) was drawn without regard to the answer: what holds in a stratum of
match weight holds for all its pairs. *Judgements* of stewards came because somebody asked: in the review band nearly
every pair is asked about, so they count as a sample there; above the link threshold a pair is judged when somebody
complains, so each stands for itself alone. It can show that links are wrong, never that the others are right:
judgements may raise a threshold, where they are more than chance explains, and never lower it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.domain.keys import EntityKind
from mdm.linkage.calibration import Calibration, calibrate, fewest, lower_bound, probability

TARGET_PRECISION: Mapping[str, float] = {EntityKind.CITIZEN: 0.9999, EntityKind.BUSINESS: 0.999}
"""Of automatic links: a false merge shows a patient's record under another's name; a firm's does less harm."""

EDGE_PRECISION_MIN = 0.99
"""Of the bit above the threshold alone: many sure links must not pay for a handful of guesses."""

QUESTION_YIELD_MIN = 0.1
"""Of ten questions that a steward gets from the lowest bit of the review band, one should end in a merge."""

LINK_BITS_MIN = 3.0
"""Whatever a sample proves: a link that the model itself gives less than 8 to 1 rests on what the sample lacked."""

STEP_BITS = 0.25
"""Distance of the thresholds tried: a weight is not known to less."""

STRATUM_BITS = 1.0
"""Width of a stratum of match weight within which labels speak for the unlabelled."""

BITS_MAX = 30.0
"""Highest threshold tried; above it all pairs are one stratum."""

STRATUM_LABELS_MIN = 10
"""Labels that make a stratum known; fewer stand for themselves alone."""

RAISE_BITS_MAX = 6.0
"""How far judgements may raise a threshold: wrong links at 13 bits tell of wrong weights, not of the threshold."""

UNKNOWN = np.int8(-1)
"""The label of a pair that nobody judged."""


class Basis(enum.StrEnum):
    """What a link threshold rests on."""

    PROVEN = "proven"
    """On a sample of labels the lower bound of the precision reaches the target."""
    TIGHTENED = "tightened"
    """The labels or the model expect more errors than the target allows below it; raised, never lowered."""
    KEPT = "kept"
    """The base threshold: what is known neither proves a lower one nor speaks against it."""
    MISSED = "missed"
    """The base threshold, though it misses the target, for so do all above it: the weights are wrong, train anew."""


class Pairs(msgspec.Struct, frozen=True):
    """Scored pairs of one city, vetoed ones and those of strangers (band `none` at any weight) left out."""

    bits: NDArray[np.float64]
    """Match weights, shape (pairs,)."""
    can_link: NDArray[np.bool_]
    """Whether the evidence would suffice for a link if the weight did; the others are reviewed at best."""
    labels: NDArray[np.int8]
    """1 one bearer, 0 two, -1 unknown."""

    @classmethod
    def of(
        cls,
        bits: NDArray[np.float64],
        can_link: NDArray[np.bool_] | None = None,
        labels: NDArray[np.int8] | NDArray[np.bool_] | None = None,
    ) -> Pairs:
        """Return pairs of these columns; by default all may link and none is labelled."""
        count = len(bits)
        return cls(
            np.asarray(bits, np.float64),
            np.ones(count, np.bool_) if can_link is None else np.asarray(can_link, np.bool_),
            np.full(count, UNKNOWN) if labels is None else np.asarray(labels, np.int8),
        )


class Point(msgspec.Struct, frozen=True):
    """What would follow from one link threshold."""

    link_bits: float
    link_count: int
    precision: float
    """Expected share of right links: labels where there are some, the corrected model elsewhere. Of links that were
    judged wrong only as many count as chance does not explain."""
    precision_min: float
    """95 % lower bound of it from sampled labels alone; 0 where a stratum of links has none."""
    edge_precision: float
    """The same as `precision` for the links of the bit above the threshold alone; 1 if there are none."""


class Choice(msgspec.Struct, frozen=True):
    """The chosen thresholds and what they rest on."""

    link_bits: float
    review_bits: float
    basis: Basis
    target_precision: float
    label_count: int
    expected_error_count: float
    """Wrong links expected among `chosen.link_count`."""
    chosen: Point
    base: Point
    """The same at the base threshold."""
    question_count: int
    """Pairs of the review band."""
    calibration: Calibration
    curve: tuple[Point, ...] = ()
    """Every threshold tried, lowest first."""


def choose_thresholds(
    pairs: Pairs,
    *,
    base_link_bits: float,
    base_review_bits: float,
    target_precision: float,
    is_sample: bool,
    prior_shift_bits: float = 0.0,
    edge_precision_min: float = EDGE_PRECISION_MIN,
    question_count_max: int | None = None,
) -> Choice:
    """Choose the link and the review threshold.

    A proven threshold is found in a fixed order, so that trying many proves nothing by chance: from the base down
    as long as each holds, or from the base up to the first that holds. Without a proof, the base or the lowest
    above it at which no more errors are expected than the target allows.

    Args:
        pairs: All pairs that could become links or questions, at least down to the lowest threshold wanted.
        base_link_bits: The threshold in force or shipped; never lowered without a proof.
        base_review_bits: The same of the review band; lowered only if labels show a yield, raised if they show none.
        target_precision: Share of automatic links that must be right, in (0, 1).
        is_sample: Whether the labels are a sample (truth, audit) and not judgements (see the module).
        prior_shift_bits: Log2 odds of the city's prior above those within `bits`.
        edge_precision_min: Precision of the lowest bit of links.
        question_count_max: Pairs that stewards can look at; the review band begins no lower than that allows.

    Returns:
        The choice with the whole curve. Deterministic. Cost: seconds for ten million pairs.
    """
    labelled = pairs.labels != UNKNOWN
    weights, is_known = _label_weights(pairs, labelled, math.inf if is_sample else base_link_bits)
    bits = pairs.bits + prior_shift_bits
    # What the evidence holds back is another population: its labels say nothing of the weights of links.
    telling = labelled & pairs.can_link
    calibration = calibrate(bits[telling], pairs.labels[telling] == 1, weights[telling])
    wrong = 1.0 - probability(calibration.corrected(bits))
    if not is_sample:
        # Judgements correct the model where it was too sure, and never make it surer.
        wrong = np.maximum(wrong, 1.0 - probability(bits))
    # A stratum with labels is known by them: its unlabelled pairs add nothing of their own.
    is_wrong = pairs.labels == 0
    expected = np.where(labelled, is_wrong * weights, np.where(is_known, 0.0, wrong))
    sampled = np.where(is_known, weights, 0.0) if is_sample else np.zeros(len(bits))
    complaints = is_wrong & ~is_known & (not is_sample)
    ladder = _Ladder(pairs, np.where(complaints, 0.0, expected), sampled, complaints)
    grid = _grid(pairs, base_link_bits, BITS_MAX if is_sample else base_link_bits + RAISE_BITS_MAX)
    curve = tuple(ladder.point(each) for each in grid)
    start = grid.index(base_link_bits)
    edge_min = min(edge_precision_min, target_precision)
    place, basis = _chosen(curve, start, target_precision, edge_min)
    chosen = curve[place]
    is_question = ~(pairs.can_link & (pairs.bits >= chosen.link_bits))
    questions = _Questions(pairs.bits[is_question], expected[is_question])
    review_bits = questions.lowest_bits(
        base_review_bits, chosen.link_bits, question_count_max, has_labels=bool(labelled.any())
    )
    return Choice(
        link_bits=chosen.link_bits,
        review_bits=review_bits,
        basis=basis,
        target_precision=target_precision,
        label_count=int(labelled.sum()),
        expected_error_count=(1.0 - chosen.precision) * chosen.link_count,
        chosen=chosen,
        base=curve[start],
        question_count=questions.count(review_bits),
        calibration=calibration,
        curve=curve,
    )


def _label_weights(
    pairs: Pairs, labelled: NDArray[np.bool_], sampled_below: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how many pairs each label stands for, 0 for an unlabelled one, and whether its stratum is known by labels.

    At and above `sampled_below`, and where a stratum has too few, a label stands for itself alone.
    """
    low = math.floor(float(pairs.bits.min(initial=0.0)))
    strata = np.floor((np.clip(pairs.bits, low, BITS_MAX) - low) / STRATUM_BITS).astype(np.int64) * 2 + pairs.can_link
    all_count = np.bincount(strata)
    label_count = np.bincount(strata[labelled], minlength=len(all_count))
    is_known = ((label_count >= STRATUM_LABELS_MIN) | (label_count == all_count))[strata]
    is_known &= pairs.bits < sampled_below
    shares = (all_count / np.maximum(label_count, 1))[strata]
    return np.where(labelled, np.where(is_known, shares, 1.0), 0.0), is_known


class _Ladder:
    """Sums over all links at or above a threshold, for any threshold."""

    def __init__(
        self,
        pairs: Pairs,
        errors: NDArray[np.float64],
        weights: NDArray[np.float64],
        complaints: NDArray[np.bool_],
    ) -> None:
        order = np.argsort(-pairs.bits[pairs.can_link], kind="stable")
        self._falling = -pairs.bits[pairs.can_link][order]
        weights = weights[pairs.can_link][order]
        is_wrong = pairs.labels[pairs.can_link][order] == 0
        self._errors, self._weights, self._squares, self._wrong, self._complaints = (
            np.concatenate([[0.0], np.cumsum(each)])
            for each in (
                errors[pairs.can_link][order],
                weights,
                weights**2,
                weights * is_wrong,
                complaints[pairs.can_link][order],
            )
        )

    def point(self, link_bits: float) -> Point:
        count = self._count(link_bits)
        edge = self._count(link_bits + STRATUM_BITS)
        return Point(link_bits, count, self._precision(0, count), self._bound(count), self._precision(edge, count))

    def _precision(self, first: int, last: int) -> float:
        errors = float(self._errors[last] - self._errors[first])
        judged = fewest(int(self._complaints[last] - self._complaints[first]))
        return _share_right(errors + judged, last - first)

    def _count(self, link_bits: float) -> int:
        return int(np.searchsorted(self._falling, -link_bits, side="right"))

    def _bound(self, count: int) -> float:
        total = float(self._weights[count])
        if total == 0.0:
            return 0.0
        # As many equally weighted labels as are as informative as these (Kish).
        effective = total**2 / float(self._squares[count])
        # Pairs of strata without labels stand for nothing: they may all be wrong.
        covered = min(total / count, 1.0)
        return covered * lower_bound(float(self._wrong[count]) / total * effective, effective)


def _share_right(errors: float, count: int) -> float:
    return 1.0 - min(max(errors / count, 0.0), 1.0) if count else 1.0


def _grid(pairs: Pairs, base_link_bits: float, highest: float) -> list[float]:
    low = math.floor(float(pairs.bits.min(initial=base_link_bits)))
    down = math.floor((base_link_bits - max(low, LINK_BITS_MIN)) / STEP_BITS)
    up = math.ceil((highest - base_link_bits) / STEP_BITS)
    return [base_link_bits + STEP_BITS * step for step in range(-max(down, 0), max(up, 0) + 1)]


def _chosen(curve: tuple[Point, ...], start: int, target: float, edge_min: float) -> tuple[int, Basis]:
    def is_proven(point: Point) -> bool:
        return point.precision_min >= target and point.edge_precision >= edge_min

    if is_proven(curve[start]):
        place = start
        while place > 0 and is_proven(curve[place - 1]):
            place -= 1
        return place, Basis.PROVEN
    for place in range(start + 1, len(curve)):
        if is_proven(curve[place]):
            return place, Basis.PROVEN
    for place in range(start, len(curve)):
        if curve[place].precision >= target and curve[place].edge_precision >= edge_min:
            return place, Basis.KEPT if place == start else Basis.TIGHTENED
    return start, Basis.MISSED


class _Questions:
    """The pairs that would not link, as questions to a steward."""

    def __init__(self, bits: NDArray[np.float64], errors: NDArray[np.float64]) -> None:
        order = np.argsort(-bits, kind="stable")
        self._falling = -bits[order]
        self._errors = np.concatenate([[0.0], np.cumsum(errors[order])])

    def count(self, review_bits: float) -> int:
        return int(np.searchsorted(self._falling, -review_bits, side="right"))

    def lowest_bits(self, base_bits: float, link_bits: float, count_max: int | None, *, has_labels: bool) -> float:
        """Return where the review band begins: as low as a bit of questions still yields merges, and as there is time.

        Without labels it stays where it is: how many merges a question yields is what the model knows least.
        """
        bits = min(base_bits, link_bits)
        if has_labels:
            while self._is_worth(bits - STEP_BITS, is_empty_worth=False) and self._is_bearable(
                bits - STEP_BITS, count_max
            ):
                bits -= STEP_BITS
            while bits < link_bits and not self._is_worth(bits, is_empty_worth=True):
                bits += STEP_BITS
        while bits < link_bits and not self._is_bearable(bits, count_max):
            bits += STEP_BITS
        return min(bits, link_bits)

    def _is_bearable(self, bits: float, count_max: int | None) -> bool:
        return count_max is None or self.count(bits) <= count_max

    def _is_worth(self, bits: float, *, is_empty_worth: bool) -> bool:
        count, above = self.count(bits), self.count(bits + STRATUM_BITS)
        if count == above:
            return is_empty_worth
        return _share_right(float(self._errors[count] - self._errors[above]), count - above) >= QUESTION_YIELD_MIN
