"""Learning a model from a snapshot with Splink: u by random sampling, m by expectation maximisation or from the truth.

What Splink learned passes sanity gates, comparison by comparison; where a gate fails, the base model's values stay.
"""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path

import msgspec
from splink import Linker

from mdm.linkage.comparisons import Level, Meaning
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model, Provenance
from mdm.linkage.specification import Parameters, Specification, learned_parameters, splink_settings
from mdm.linkage.splink_engine import MEMORY_LIMIT_DEFAULT, Progress, Workspace, open_workspace

SAMPLE_PAIRS = 2_000_000
"""Random pairs that u is counted on: levels of one in 10,000 are seen some 200 times."""

RECORDS_MIN = 2_000
"""Below it a rare level is seen by chance or not at all, and the base model knows better."""

EM_PAIRS = 5_000_000
"""Pairs of one training block at most."""

DRIFT_BITS_MAX = 8.0
"""A level that moves further than this from the base model tells of a broken training, not of another city."""

AGREEMENT_BITS_MIN = 0.0
"""What agrees must speak for a match."""

CONFLICT_M_MAX = 0.2
"""Where more matches than this conflict, the estimate took related bearers (branches, siblings) for one."""

M_UNOBSERVED_MAX = 0.005
"""A level that no match of the snapshot showed may still occur, but seldom."""

CONTAMINATION_SHARE_MAX = 0.9
"""Random pairs hold true matches too; at most this share of a level's u is put down to them."""

_Learned = dict[tuple[str, str], tuple[float | None, float | None]]


class TrainingReport(msgspec.Struct, frozen=True):
    """Where the new model's values come from."""

    learned: tuple[str, ...]
    """Comparisons whose values were learned."""
    kept: dict[str, str]
    """Comparisons that kept the base model's values, with the gate that failed."""


def train(
    snapshot: Path,
    base: Model,
    epoch: StatisticsEpoch,
    *,
    provenance: Provenance,
    truth: Path | None = None,
    sample_pairs: int = SAMPLE_PAIRS,
    memory_limit: str = MEMORY_LIMIT_DEFAULT,
    progress: Progress | None = None,
) -> tuple[Model, TrainingReport]:
    """Learn m and u of every level.

    Args:
        snapshot: Parquet as `write_snapshot` makes it.
        base: Gives thresholds, and the values that stay where a gate fails.
        epoch: Of the snapshot; gives the name frequencies and the prior.
        provenance: Says what the snapshot is, the seed of the random sample and the date, for this module reads no
            clock; record count and libraries are filled in.
        truth: Parquet with `number` and `entity`, if the truth is known: m is then counted on it, else estimated by
            expectation maximisation on blocks that together free every comparison.
        sample_pairs: Random pairs that u is counted on.
        memory_limit: Of DuckDB's buffers.
        progress: Told of each step.

    Returns:
        The model and where its values come from. The same for the same input. Takes a minute for 50,000 records.
    """
    specification = base.specification
    steps = 2 if truth is not None else 1 + len(specification.training_rules)
    say = progress or _silent
    with open_workspace(snapshot, specification, memory_limit) as workspace:
        records = workspace.count("SELECT count(*) FROM records")
        if records < RECORDS_MIN:
            return base, TrainingReport((), {each.name: "too few records" for each in specification.comparisons})
        if truth is not None:
            _add_truth(workspace, truth)
        settings = splink_settings(specification, _parameters(base), epoch.prior)
        linker = workspace.linker(settings, epoch)
        linker.training.estimate_u_using_random_sampling(max_pairs=sample_pairs, seed=provenance.seed)
        say("train", 1, steps)
        if truth is not None:
            linker.training.estimate_m_from_label_column("entity")
            say("train", 2, steps)
        else:
            _maximise_expectation(linker, specification, say, steps)
        learned = learned_parameters(linker.misc.save_model_to_json())
    accepted, report = _through_gates(specification, learned, learned_parameters(base.splink), epoch.prior)
    model = Model.build(
        base.kind,
        lambda comparison, level: accepted[comparison.name, level.label],
        base.thresholds,
        msgspec.structs.replace(
            provenance,
            record_count=records,
            libraries={library: version(library) for library in ("splink", "duckdb", "rapidfuzz")},
        ),
    )
    return model, report


def _silent(_stage: str, _done: int, _whole: int) -> None:
    return


def _maximise_expectation(linker: Linker, specification: Specification, say: Progress, steps: int) -> None:
    for step, columns in enumerate(specification.training_rules, start=2):
        rule = " AND ".join(f'l."{column}" = r."{column}"' for column in columns)
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=True, max_pairs=EM_PAIRS
        )
        say("train", step, steps)


def _add_truth(workspace: Workspace, truth: Path) -> None:
    workspace.run("ALTER TABLE records ADD COLUMN entity VARCHAR")
    workspace.run(
        "UPDATE records SET entity = known.entity FROM read_parquet(?) AS known WHERE known.number = records.number",
        [str(truth)],
    )


def _parameters(base: Model) -> Parameters:
    """Start from the base model, so that expectation maximisation climbs the same hill in every city."""
    known = learned_parameters(base.splink)
    return lambda comparison, level: _both(known[comparison.name, level.label])


def _through_gates(
    specification: Specification, learned: _Learned, base: _Learned, prior: float
) -> tuple[dict[tuple[str, str], tuple[float, float]], TrainingReport]:
    accepted: dict[tuple[str, str], tuple[float, float]] = {}
    taken: list[str] = []
    kept: dict[str, str] = {}
    for comparison in specification.comparisons:
        levels = [level for level in comparison.levels if not level.is_missing]
        known = {level.label: _both(base[comparison.name, level.label]) for level in levels}
        fresh = {
            level.label: _purified(learned[comparison.name, level.label], known[level.label], prior) for level in levels
        }
        failed = _failed_gate(levels, fresh, known)
        if failed is None:
            taken.append(comparison.name)
        else:
            kept[comparison.name] = failed
        for level in levels:
            accepted[comparison.name, level.label] = (fresh if failed is None else known)[level.label]
    return accepted, TrainingReport(tuple(taken), kept)


def _both(values: tuple[float | None, float | None]) -> tuple[float, float]:
    m, u = values
    if m is None or u is None:
        raise ValueError("a saved model has m and u at every level")
    return m, u


def _purified(
    values: tuple[float | None, float | None], known: tuple[float, float], prior: float
) -> tuple[float, float]:
    """Fill what was not observed, and take from u the true matches that lay in the random sample."""
    m, u = values
    if m is None or m <= 0.0:
        m = min(known[0], M_UNOBSERVED_MAX)
    if u is None or u <= 0.0:
        # No stranger showed it either, or none was drawn: the level keeps the weight that it had.
        return m, known[1] * m / known[0]
    return m, max(u - prior * m, u * (1.0 - CONTAMINATION_SHARE_MAX))


def _failed_gate(
    levels: list[Level],
    fresh: dict[str, tuple[float, float]],
    known: dict[str, tuple[float, float]],
) -> str | None:
    for level in levels:
        bits, base_bits = _bits(level, *fresh[level.label]), _bits(level, *known[level.label])
        if level.meaning is Meaning.AGREES and bits <= AGREEMENT_BITS_MIN:
            return f"{level.label} agrees and speaks against a match"
        if level.meaning is Meaning.CONFLICTS and bits >= AGREEMENT_BITS_MIN:
            return f"{level.label} conflicts and speaks for a match"
        if level.meaning is Meaning.CONFLICTS and fresh[level.label][0] > CONFLICT_M_MAX:
            return f"{level.label} conflicts in too many matches"
        if abs(bits - base_bits) > DRIFT_BITS_MAX:
            return f"{level.label} moved by more than {DRIFT_BITS_MAX:g} bits"
    total = sum(m for m, _ in fresh.values())
    if not 0.9 < total < 1.1:  # noqa: PLR2004 - m of a comparison adds up to 1, but for what was filled in.
        return "too few levels were observed"
    return None


def _bits(level: Level, m: float, u: float) -> float:
    return min(max(math.log2(m / u), level.bits_min), level.bits_max)
