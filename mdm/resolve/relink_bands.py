"""The scored pairs of a prediction as columns, and what the evidence makes of them: edges and questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason
from mdm.domain.keys import RecordNumber
from mdm.linkage.assessed_pairs import ScoredRow
from mdm.linkage.banding import FeaturesOf, PairColumns, assess_columns
from mdm.linkage.cluster import Namesakes
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import NOTHING, Assessment, veto
from mdm.linkage.graph import Edge, Edges, connected, joined_count
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import are_among, distinct, numbered, pair_codes, pairs_of_codes
from mdm.linkage.scorer import Scorer
from mdm.linkage.specification import Specification
from mdm.resolve.relink_runs import Question
from mdm.resolve.relink_snapshot import People


class ScoredPairs(NamedTuple):
    """A prediction in memory: about 40 bytes a pair, and no object for any of them."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    bits: NDArray[np.float64]
    """Under the prior that the pairs were scored with."""
    pattern: NDArray[np.int64]
    """Which of `patterns` the pair shows."""
    part: NDArray[np.int64]
    """The lowest record that the pair is connected with: pairs of different parts have no record in common."""
    patterns: list[tuple[int, ...]]
    """Levels; some thousand patterns occur."""

    @classmethod
    def read(cls, path: Path, specification: Specification) -> ScoredPairs:
        """Read a prediction, one connected part after the other. Costs about 1 µs a pair."""
        with pq.ParquetFile(path) as file:
            table = file.read()
        left, right, bits = (table.column(name).to_numpy() for name in ("left", "right", "match_weight"))
        code = np.zeros(len(left), np.int64)
        widths = [len(comparison.levels) for comparison in specification.comparisons]
        if math.prod(widths) >= 1 << 63:
            raise OverflowError("more comparison levels than one number can tell apart")
        for comparison, width in zip(specification.comparisons, widths, strict=True):
            # A missing level is -1.
            code = code * width + table.column(f"gamma_{comparison.name}").to_numpy() + 1
        codes, pattern = numbered(code)
        # So that each record's features are decoded once, whatever the size of the city. A prediction is by left and
        # right, and so is each part of it.
        part = connected(left, right)
        _, order = pairs_of_codes(np.sort(pair_codes(part, np.arange(len(part)))))
        patterns = [_levels(each, widths) for each in codes.tolist()]
        return cls(left, right, bits, pattern, part, patterns).taken(order)

    def rows(self) -> Iterator[ScoredRow]:
        """Yield left, right, weight and levels of each pair."""
        columns = (column.tolist() for column in (self.left, self.right, self.bits, self.pattern))
        for left, right, bits, pattern in zip(*columns, strict=True):
            yield left, right, bits, self.patterns[pattern]

    def records(self) -> NDArray[np.int64]:
        """Return the records of these pairs, ascending."""
        return distinct(np.concatenate((self.left, self.right)))

    def sample(self, parts: int) -> ScoredPairs:
        """Return the pairs of about so many connected parts, spread over all of them, the same each time."""
        count = len(distinct(self.part.copy()))
        return self.taken(np.flatnonzero(self.scattered() % max(count // parts, 1) == 0))

    def scattered(self) -> NDArray[np.int64]:
        """Return a number of 32 bits for each pair, by its part: neighbours may be of one registry or age."""
        return (self.part * 2_654_435_761) % (1 << 32)

    def parts_of(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the parts that any of some records is in, in no order."""
        return self.part[are_among(self.left, records) | are_among(self.right, records)]

    def joined_by_weight(self, bits_min: float) -> int:
        """Return how many records would join another one if weight alone decided."""
        where = self.bits >= bits_min
        return joined_count(self.left[where], self.right[where])

    def taken(self, places: NDArray[np.int64]) -> ScoredPairs:
        """Return some of the pairs, in this order."""
        left, right, bits = self.left[places], self.right[places], self.bits[places]
        return ScoredPairs(left, right, bits, self.pattern[places], self.part[places], self.patterns)


def _levels(code: int, widths: list[int]) -> tuple[int, ...]:
    levels = []
    for width in reversed(widths):
        code, value = divmod(code, width)
        levels.append(value - 1)
    return tuple(reversed(levels))


class Bands(NamedTuple):
    """What becomes of the pairs: the rest is nothing."""

    edges: Edges
    unvetoed: Edges
    """All pairs between which no veto stands, whatever else they lack."""
    questions: list[Question]
    namesakes: Namesakes


def bands(
    pairs: ScoredPairs,
    shift_bits: float,
    features_of: FeaturesOf,
    traits: NDArray[np.int64] | None,
    model: Model,
    epoch: StatisticsEpoch,
    people: People,
) -> Bands:
    """Put every pair into its band.

    Args:
        pairs: As predicted.
        shift_bits: What the present prior adds to their weights.
        features_of: Gives a record's features.
        traits: Of each record; None where the rules declare none.
        model: That scored them.
        epoch: Gives how common a name is in the present population.
        people: Whose word counts.
    """
    at = np.flatnonzero(pairs.bits + shift_bits >= model.thresholds.review_bits)
    columns = PairColumns(pairs.left[at], pairs.right[at], pairs.bits[at] + shift_bits, pairs.pattern[at])
    assessments, which = assess_columns(columns, pairs.patterns, traits, features_of, model, epoch)
    left, right, bits, _ = columns
    is_namesake = _each(assessments, which, lambda found: found.is_namesake)
    unvetoed = Edges(left, right, bits).taken(
        _each(assessments, which, lambda found: found.band is not Band.NONE and found.reason is not MatchReason.VETO)
    )
    for place, said in _heard(columns, assessments, which, people):
        # What people said is an assessment of its own behind the others.
        which[place] = len(assessments)
        assessments.append(said or NOTHING)
        is_namesake[place] &= said is not None
    is_sole = _each(assessments, which, lambda found: found.is_sole)
    is_edge = _each(assessments, which, lambda found: found.band is Band.LINK and not found.is_sole)
    is_question = _each(assessments, which, lambda found: found.band is Band.REVIEW)
    edges = Edges(left, right, bits).taken(is_edge)
    namesakes = Namesakes(
        list(map(Edge, *(column[is_sole].tolist() for column in (left, right, bits)))),
        list(zip(left[is_namesake].tolist(), right[is_namesake].tolist(), strict=True)),
    )
    questions = []
    for place in np.flatnonzero(is_question).tolist():
        found = assessments[which[place]]
        ends = RecordNumber(int(left[place])), RecordNumber(int(right[place]))
        questions.append(Question(*ends, found.reason or MatchReason.WEIGHT, float(bits[place]), found.detail))
    return Bands(edges, unvetoed, questions, namesakes)


def _each(
    assessments: list[Assessment], which: NDArray[np.int64], is_so: Callable[[Assessment], bool]
) -> NDArray[np.bool_]:
    return np.array([is_so(each) for each in assessments], np.bool_)[which]


def question(edges: Edges, at: int, reason: MatchReason) -> Question:
    """Return the question that an edge becomes when it does not link."""
    left, right = RecordNumber(int(edges.left[at])), RecordNumber(int(edges.right[at]))
    return Question(left, right, reason, float(edges.bits[at]), "")


def _heard(
    pairs: PairColumns, assessments: list[Assessment], which: NDArray[np.int64], people: People
) -> Iterator[tuple[int, Assessment | None]]:
    """Yield the places of pairs that people spoke about, with what that makes of them; None where it is settled."""
    heard = people.different | people.same | people.chosen | people.rejected
    if not heard:
        return
    ends = np.array(sorted(heard), np.int64)
    for place in np.flatnonzero(are_among(Edges(*pairs[:3]).places(), pair_codes(ends[:, 0], ends[:, 1]))).tolist():
        pair = (RecordNumber(int(pairs.left[place])), RecordNumber(int(pairs.right[place])))
        found = assessments[which[place]]
        if pair in people.different or pair in people.same:
            yield place, None
        elif found.band is not Band.NONE and pair in people.chosen and found.reason is not MatchReason.VETO:
            yield place, Assessment(Band.LINK)
        elif found.band is Band.LINK and pair in people.rejected:
            yield place, Assessment(Band.REVIEW, MatchReason.VETO, "clerk_rejected")


def chosen_against_the_evidence(
    found: Bands, features_of: FeaturesOf, scorer: Scorer, people: People
) -> list[Question]:
    """Return the questions that clerks raised about pairs whose values hardly fit."""
    open_choices = people.chosen - people.same - people.different
    if not open_choices:
        return []
    seen = {(left, right) for left, right, _ in found.edges.rows()} | {
        (each.left, each.right) for each in found.questions
    }
    questions = []
    for left, right in sorted(open_choices - seen):
        one, other = features_of(left), features_of(right)
        if veto(one, other) is None:
            bits = scorer.score(one, [other])[0].match_weight_bits
            questions.append(Question(left, right, MatchReason.WEIGHT, bits, "clerk_chosen"))
    return questions
