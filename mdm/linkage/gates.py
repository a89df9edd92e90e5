"""The sanity gates of training: what a city seems to teach is believed comparison by comparison, or not at all.

Pure: from what Splink learned, how its sessions went and what was known before, to the values that a model gets.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping

import msgspec

from mdm.errors import ConfigurationError
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.model import Model
from mdm.linkage.specification import learned_parameters

DRIFT_BITS_MAX = 8.0
"""A level that moves further than this from the base model tells of a broken training, not of another city."""

AGREEMENT_BITS_MIN = 0.0
"""What agrees must speak for a match, and what conflicts against it."""

CONFLICT_M_MAX = 0.2
"""Where more matches than this conflict, the estimate took related bearers (branches, siblings) for one."""

M_UNOBSERVED_MAX = 0.005
"""A level that no match of the snapshot showed may still occur, but seldom."""

CONTAMINATION_SHARE_MAX = 0.9
"""Random pairs hold true matches too; at most this share of a level's u is put down to them."""

SUM_SLACK = 0.1
"""m of a comparison adds up to 1, but for what was filled in."""

SESSION_BITS_MAX = 3.0
"""How far two sessions may see one level apart. Of 10,000 citizens they differ by 2.4 bits at most, in the rarest
levels; where one took branches for their parent firm, by 5 to 7."""

SESSION_M_MIN = 0.001
"""Below it in every session a level was seen a few times, and chance alone drives sessions apart."""

U_COUNT_BITS_MAX = 1.0
"""How far u may lie from a direct count of random pairs, where chance does not explain it."""

U_COUNT_DEVIATIONS_MAX = 5.0
"""Standard deviations that chance explains: once in two million levels."""

Learned = Mapping[tuple[str, str], tuple[float | None, float | None]]
"""m and u by comparison and level label; None where none was learned."""


class Gate(enum.StrEnum):
    """Why a comparison kept the base model's values."""

    TOO_FEW_RECORDS = "too_few_records"
    NOT_LEARNED = "not_learned"
    """No session could learn it: its rules found no pairs, or every one blocks on it."""
    NOT_CONVERGED = "not_converged"
    SESSIONS_DISAGREE = "sessions_disagree"
    U_IMPLAUSIBLE = "u_implausible"
    SUM = "sum"
    ORDER = "order"
    AGREEMENT_AGAINST = "agreement_against"
    CONFLICT_FOR = "conflict_for"
    CONFLICT_SHARE = "conflict_share"
    DRIFT = "drift"


class Session(msgspec.Struct, frozen=True):
    """How one run of expectation maximisation went."""

    columns: tuple[str, ...]
    """What its pairs agree on; comparisons that read one of them learn nothing from it."""
    iteration_count: int
    """0 where no pair agrees on the columns."""
    last_change: float
    """Largest move of a probability in the last iteration."""
    is_converged: bool
    m: dict[str, dict[str, float]] = {}
    """Comparison → level label → m as this session alone sees it; levels that it never saw are left out."""


class Failure(msgspec.Struct, frozen=True):
    """The gate at which a comparison failed, and in words what was seen."""

    gate: Gate
    detail: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.gate}: {self.detail}" if self.detail else str(self.gate)


class TrainingReport(msgspec.Struct, frozen=True):
    """Where the new model's values come from."""

    learned: tuple[str, ...]
    """Comparisons whose values were learned."""
    kept: dict[str, Failure]
    """Comparisons that kept the base model's values, with the gate that failed."""
    sessions: tuple[Session, ...] = ()
    """How expectation maximisation went; empty where m was counted on the truth."""


class Counted(msgspec.Struct, frozen=True):
    """A direct count of one comparison's levels among random pairs."""

    pair_count: int
    """Pairs that can be compared."""
    missing_count: int
    """Pairs that cannot."""
    level_counts: dict[str, int]


def purified(
    values: tuple[float | None, float | None], known: tuple[float, float], prior: float
) -> tuple[float, float]:
    """Return m and u with what was not observed filled in, and without the true matches in the random sample.

    Args:
        values: m and u as learned.
        known: m and u of the base model.
        prior: Probability that two random records match.
    """
    m, u = values
    if m is None or m <= 0.0:
        m = min(known[0], M_UNOBSERVED_MAX)
    if u is None or u <= 0.0:
        # No stranger showed it either, or none was drawn: the level keeps the weight that it had.
        return m, known[1] * m / known[0]
    return m, max(u - prior * m, u * (1.0 - CONTAMINATION_SHARE_MAX))


def failure_of_values(
    comparison: Comparison, fresh: Mapping[str, tuple[float, float]], known: Mapping[str, tuple[float, float]]
) -> Failure | None:
    """Return the gate that new values of a comparison fail, None if they pass.

    Args:
        comparison: What they belong to.
        fresh: New m and u by level label, purified.
        known: m and u of the base model.
    """
    for level in _compared(comparison):
        bits, base_bits = _bits(level, fresh[level.label]), _bits(level, known[level.label])
        if level.meaning is Meaning.AGREES and bits <= AGREEMENT_BITS_MIN:
            return Failure(Gate.AGREEMENT_AGAINST, f"{level.label} agrees and speaks against a match")
        if level.meaning is Meaning.CONFLICTS and bits >= AGREEMENT_BITS_MIN:
            return Failure(Gate.CONFLICT_FOR, f"{level.label} conflicts and speaks for a match")
        if level.meaning is Meaning.CONFLICTS and fresh[level.label][0] > CONFLICT_M_MAX:
            return Failure(Gate.CONFLICT_SHARE, f"{level.label} conflicts in too many matches")
        if abs(bits - base_bits) > DRIFT_BITS_MAX:
            return Failure(Gate.DRIFT, f"{level.label} moved by more than {DRIFT_BITS_MAX:g} bits")
    total = sum(m for m, _ in fresh.values())
    if abs(total - 1.0) > SUM_SLACK:
        return Failure(Gate.SUM, f"m of its levels adds up to {total:.2f}")
    return _failure_of_order(comparison, fresh)


def failures_of_model(model: Model, base: Model) -> dict[str, Failure]:
    """Return the comparisons of a finished model whose values fail a gate.

    Args:
        model: Of the same specification as `base`.
        base: What the values are held against: the shipped model.
    """
    values, known = learned_parameters(model.splink), learned_parameters(base.splink)
    failures = {}
    for comparison in base.specification.comparisons:
        labels = [level.label for level in _compared(comparison)]
        failed = failure_of_values(
            comparison,
            {label: _both(values[comparison.name, label]) for label in labels},
            {label: _both(known[comparison.name, label]) for label in labels},
        )
        if failed is not None:
            failures[comparison.name] = failed
    return failures


def _both(values: tuple[float | None, float | None]) -> tuple[float, float]:
    m, u = values
    if m is None or u is None or m <= 0.0 or u <= 0.0:
        raise ConfigurationError("model.splink", "must have m and u above 0 at every level")
    return m, u


def _failure_of_order(comparison: Comparison, fresh: Mapping[str, tuple[float, float]]) -> Failure | None:
    """Compare what levels of one meaning weigh together: single rare levels may trade places."""
    last: tuple[Meaning, float] | None = None
    for meaning in (Meaning.AGREES, Meaning.CLOSE, Meaning.NEUTRAL, Meaning.CONFLICTS):
        values = [fresh[level.label] for level in _compared(comparison) if level.meaning is meaning]
        if not values:
            continue
        bits = math.log2(sum(m for m, _ in values) / sum(u for _, u in values))
        if last is not None and bits > last[1]:
            return Failure(Gate.ORDER, f"what is {meaning} weighs more than what is {last[0]}")
        last = (meaning, bits)
    return None


def failure_of_sessions(comparison: Comparison, sessions: Iterable[Session]) -> Failure | None:
    """Return why the sessions' m of a comparison is not to be believed, None if it is."""
    teaching = [session for session in sessions if session.m.get(comparison.name)]
    if not teaching:
        return Failure(Gate.NOT_LEARNED, "no session that leaves it free saw a pair with values")
    for session in teaching:
        if not session.is_converged:
            return Failure(
                Gate.NOT_CONVERGED,
                f"blocking on {'+'.join(session.columns)} still moved by {session.last_change:.2g} "
                f"after {session.iteration_count} iterations",
            )
    for level in _compared(comparison):
        seen = [m for session in teaching if (m := session.m[comparison.name].get(level.label)) is not None and m > 0.0]
        if len(seen) > 1 and max(seen) >= SESSION_M_MIN:
            apart = math.log2(max(seen) / min(seen))
            if apart > SESSION_BITS_MAX:
                return Failure(Gate.SESSIONS_DISAGREE, f"sessions see {level.label} {apart:.1f} bits apart")
    return None


def failure_of_counts(comparison: Comparison, learned: Learned, counted: Counted, sample_pairs: int) -> Failure | None:
    """Return the level whose sampled u a direct count of other random pairs contradicts, None if there is none.

    Args:
        comparison: Whose levels.
        learned: As sampled: both samples hold the same share of true matches.
        counted: The direct count.
        sample_pairs: Random pairs that u was sampled on.
    """
    pair_count = counted.pair_count
    sampled = sample_pairs * pair_count / max(pair_count + counted.missing_count, 1)
    if pair_count == 0:
        return None
    for level in _compared(comparison):
        u = learned[comparison.name, level.label][1] or 0.0
        found = counted.level_counts.get(level.label, 0)
        share = (found + u * sampled) / (pair_count + sampled)
        deviation = math.sqrt(share * (1.0 / pair_count + 1.0 / sampled))
        is_chance = abs(found / pair_count - u) <= U_COUNT_DEVIATIONS_MAX * deviation
        is_near = u > 0.0 and found > 0 and abs(math.log2(found / pair_count / u)) <= U_COUNT_BITS_MAX
        if not (is_chance or is_near):
            detail = f"u of {level.label} is {u:.2g}, but {found} of {pair_count} random pairs show it"
            return Failure(Gate.U_IMPLAUSIBLE, detail)
    return None


def _compared(comparison: Comparison) -> list[Level]:
    return [level for level in comparison.levels if not level.is_missing]


def _bits(level: Level, values: tuple[float, float]) -> float:
    return min(max(math.log2(values[0] / values[1]), level.bits_min), level.bits_max)
