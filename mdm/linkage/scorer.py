"""The online engine: a saved Splink model compiled to one Python function for each entity kind.

The function evaluates the levels of all candidates of one record with rapidfuzz and adds up Splink's weights in
Splink's order, so that both engines give a pair the same levels and the same match weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler, Levenshtein

from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.predicates import Equal, columns, left_sets, python
from mdm.linkage.specification import Specification, frequency_min, learned_parameters

PROBABILITY_FLOOR = 1e-300
"""As in Splink: a learned zero must not become an infinite weight."""


class ScoredPair(NamedTuple):
    """Levels in the order of the comparisons (-1 missing, 0 the last), and the match weight in bits."""

    levels: tuple[int, ...]
    match_weight_bits: float


class Step(NamedTuple):
    """One bar of a waterfall: what a comparison found and what it added."""

    comparison: str
    level: str
    meaning: Meaning
    bits: float
    term_frequency_bits: float

    @property
    def weight_bits(self) -> float:
        """What it added, the term-frequency part included."""
        return self.bits + self.term_frequency_bits


class _Weights(NamedTuple):
    bits: float
    term_frequency_column: str | None = None
    u_bits: float = 0.0
    """log2 of the u that the frequency of the value stands in for."""
    frequency_min: float = 0.0
    """No value counts as rarer than this."""
    is_equal: bool = True
    """Whether the level holds the column equal, so that one side's value is both sides'."""


def _place(levelled: tuple[int, Level]) -> tuple[bool, int]:
    return levelled[0] < 0, levelled[0]


def match_probability(match_weight_bits: float) -> float:
    """Return the probability that a pair of this weight is one bearer; 0 bits is 0.5."""
    if match_weight_bits >= 0:
        return 1.0 / (1.0 + math.exp2(-match_weight_bits))
    odds = math.exp2(match_weight_bits)
    return odds / (1.0 + odds)


class Scorer:
    """A model under one statistics epoch, ready to score. Made by `compile_scorer`; immutable and thread-safe."""

    def __init__(
        self,
        model: Model,
        epoch: StatisticsEpoch,
        weights: tuple[tuple[_Weights, ...], ...],
        frequencies: Mapping[str, Callable[[str], float]],
        score: Callable[[AnyFeatures, Sequence[AnyFeatures]], list[ScoredPair]],
    ) -> None:
        self.model = model
        self.epoch = epoch
        self.specification: Specification = model.specification
        self._weights = weights
        self._steps = tuple(
            tuple(
                Step(comparison.name, level.label, level.meaning, by_value[value].bits, 0.0)
                # The missing level is -1, and stands last.
                for value, level in sorted(zip(comparison.level_values(), comparison.levels, strict=True), key=_place)
            )
            for comparison, by_value in zip(self.specification.comparisons, weights, strict=True)
        )
        self._frequencies = frequencies
        self._score = score

    def score(self, left: AnyFeatures, candidates: Sequence[AnyFeatures]) -> list[ScoredPair]:
        """Return levels and match weight of `left` with each candidate, in their order. 2 to 5 µs a pair."""
        return self._score(left, candidates)

    def levels(self, left: AnyFeatures, right: AnyFeatures) -> tuple[int, ...]:
        """Return the comparison levels of one pair."""
        return self._score(left, (right,))[0].levels

    def weight(self, levels: tuple[int, ...], left: AnyFeatures, right: AnyFeatures) -> float:
        """Return the match weight in bits of a pair with these levels."""
        total = self.epoch.prior_bits
        for position, value in enumerate(levels):
            # A missing level is -1, and stands last.
            weights = self._weights[position][value]
            total += weights.bits
            if weights.term_frequency_column:
                total += self._term_frequency_bits(weights, left, right)
        return total

    def waterfall(self, left: AnyFeatures, right: AnyFeatures) -> list[Step]:
        """Return what each comparison adds, the prior first; the bits add up to the match weight."""
        prior = Step("prior", "population", Meaning.NEUTRAL, self.epoch.prior_bits, 0.0)
        return [prior, *self.steps(self.levels(left, right), left, right)]

    def steps(self, levels: tuple[int, ...], left: AnyFeatures, right: AnyFeatures) -> list[Step]:
        """Return what each comparison of a pair with these levels adds, the prior left out. About 2 µs."""
        steps = []
        for known, weights, value in zip(self._steps, self._weights, levels, strict=True):
            step = known[value]
            if weights[value].term_frequency_column:
                step = step._replace(term_frequency_bits=self._term_frequency_bits(weights[value], left, right))
            steps.append(step)
        return steps

    def _term_frequency_bits(self, weights: _Weights, left: AnyFeatures, right: AnyFeatures) -> float:
        column = str(weights.term_frequency_column)
        values = (getattr(left, column), getattr(right, column))
        return _frequency_bits(self._frequencies[column], *values, weights.u_bits, weights.frequency_min)


def compile_scorer(model: Model, epoch: StatisticsEpoch) -> Scorer:
    """Generate the scoring function of `model` under `epoch`. Takes about 5 ms; keep the result."""
    specification = model.specification
    weights = _weights(model, specification)
    learned = learned_parameters(model.splink)
    frequencies = {
        column: epoch.term_frequency(level, _trained(learned, comparison, level)[1])
        for column, (comparison, level) in specification.term_frequency_levels.items()
    }
    scope: dict[str, Any] = {
        "damerau": DamerauLevenshtein.distance,
        "levenshtein": Levenshtein.distance,
        "jaro_winkler": JaroWinkler.similarity,
        **{f"frequency_of_{column}": frequency for column, frequency in frequencies.items()},
        "frequency_bits": _frequency_bits,
        "log2": math.log2,
        "ScoredPair": ScoredPair,
        "prior_bits": epoch.prior_bits,
    }
    source = _source(specification, weights)
    # The source is made of our own specification and of numbers alone; nothing of a record or a request enters it.
    exec(compile(source, f"<scorer of {model.kind}>", "exec"), scope)  # noqa: S102
    return Scorer(model, epoch, weights, frequencies, scope["score"])


def _weights(model: Model, specification: Specification) -> tuple[tuple[_Weights, ...], ...]:
    """Return weights by comparison and level value; the missing level stands last, where index -1 finds it."""
    learned = learned_parameters(model.splink)
    table = []
    for comparison in specification.comparisons:
        by_value: list[_Weights] = []
        for level in sorted(
            (level for level in comparison.levels if not level.is_missing), key=comparison.levels.index, reverse=True
        ):
            m, u = _trained(learned, comparison, level)
            bits = math.log2(max(m, PROBABILITY_FLOOR) / max(u, PROBABILITY_FLOOR))
            column = level.term_frequency_column
            if column is None:
                by_value.append(_Weights(bits))
            else:
                is_equal = level.predicate == Equal(column)
                by_value.append(_Weights(bits, column, math.log2(u), frequency_min(level, m), is_equal))
        table.append((*by_value, _Weights(0.0)))
    return tuple(table)


def _trained(
    learned: dict[tuple[str, str], tuple[float | None, float | None]], comparison: Comparison, level: Level
) -> tuple[float, float]:
    m, u = learned[comparison.name, level.label]
    if m is None or u is None:
        # Splink would silently put its own defaults here; training never saves such a model.
        raise ValueError(f"level {level.label} of {comparison.name} has no m or u")
    return m, u


def _source(specification: Specification, weights: tuple[tuple[_Weights, ...], ...]) -> str:
    predicates = [
        level.predicate
        for comparison in specification.comparisons
        for level in comparison.levels
        if level.predicate is not None
    ]
    read = dict.fromkeys(column for predicate in predicates for column in columns(predicate))
    read |= dict.fromkeys(specification.term_frequency_levels)
    sets = dict.fromkeys(column for predicate in predicates for column in left_sets(predicate))
    lines = ["def score(left, candidates):"]
    lines += [f"    l_{column} = left.{column}" for column in read]
    lines += [f"    s_{column} = frozenset(l_{column})" for column in sets]
    places = [
        (place, value)
        for place, comparison in enumerate(weights)
        for value, found in enumerate(comparison)
        if found.term_frequency_column and found.is_equal
    ]
    lines += [f"    t{place}_{value} = None" for place, value in places]
    lines += ["    scored = []", "    for right in candidates:"]
    lines += [f"        r_{column} = right.{column}" for column in read]
    lines.append("        bits = prior_bits")
    for place, comparison in enumerate(specification.comparisons):
        for order, (level, value) in enumerate(zip(comparison.levels, comparison.level_values(), strict=True)):
            word = "if" if order == 0 else "elif"
            head = "else" if level.predicate is None else f"{word} {python(level.predicate)}"
            lines += [f"        {head}:", f"            c{place} = {value}"]
            lines += _additions(weights[place][value], f"t{place}_{value}")
    names = ", ".join(f"c{place}" for place in range(len(specification.comparisons)))
    lines += [f"        scored.append(ScoredPair(({names},), bits))", "    return scored"]
    return "\n".join(lines) + "\n"


def _additions(weights: _Weights, known: str) -> list[str]:
    lines = [f"            bits += {weights.bits!r}"] if weights.bits else []
    column = weights.term_frequency_column
    if column is None:
        return lines
    arguments = f"frequency_of_{column}, l_{column}, r_{column}, {weights.u_bits!r}, {weights.frequency_min!r}"
    if not weights.is_equal:
        return [*lines, f"            bits += frequency_bits({arguments})"]
    # Both hold the same value, so that it adds the same with every candidate that takes this level.
    return [
        *lines,
        f"            if {known} is None:",
        f"                {known} = frequency_bits({arguments})",
        f"            bits += {known}",
    ]


def _frequency_bits(
    frequency: Callable[[str], float], left: str | None, right: str | None, u_bits: float, frequency_min: float
) -> float:
    """Return what the commoner of two values adds: its frequency, of `frequency_min` at least, stands in for u."""
    found = [frequency(value) for value in (left, right) if value is not None]
    return u_bits - math.log2(max(frequency_min, *found)) if found else 0.0
