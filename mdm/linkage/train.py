"""Learning a model from a snapshot with Splink: u by random sampling, m by expectation maximisation or from the truth.

What Splink learned passes the sanity gates of `gates`, comparison by comparison; where one fails, the base model's
values stay.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
from splink import Linker
from splink.internals.constants import LEVEL_NOT_OBSERVED_TEXT

from mdm.linkage.comparisons import Comparison
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.gates import (
    Counted,
    Failure,
    Gate,
    Learned,
    Session,
    TrainingReport,
    failure_of_counts,
    failure_of_sessions,
    failure_of_values,
    purified,
)
from mdm.linkage.model import Model, Provenance
from mdm.linkage.predicates import guarded_sql
from mdm.linkage.specification import Parameters, learned_parameters, splink_settings
from mdm.linkage.splink_engine import Progress, Workspace

if TYPE_CHECKING:
    from splink.internals.em_training_session import EMTrainingSession

SAMPLE_PAIRS = 2_000_000
"""Random pairs that u is counted on: levels of one in 10,000 are seen some 200 times."""

RECORDS_MIN = 2_000
"""Below it a rare level is seen by chance or not at all, and the base model knows better."""

EM_PAIRS = 5_000_000
"""Pairs of one training block at most."""

EM_ITERATIONS_MAX = 25
"""Of one session; cities of 5,000 citizens and more need 4 to 7."""

EM_CONVERGENCE = 1e-4
"""Largest move of a probability in an iteration that counts as standing still; the rarest levels have an m of 1e-4."""

COUNT_PAIRS = 50_000
"""Random pairs of the direct count that u is checked against: 50 of a level of one in 1,000, in two seconds."""


def train(
    workspace: Workspace,
    base: Model,
    epoch: StatisticsEpoch,
    *,
    provenance: Provenance,
    truth: Path | None = None,
    sample_pairs: int = SAMPLE_PAIRS,
    progress: Progress | None = None,
) -> tuple[Model, TrainingReport]:
    """Learn m and u of every level.

    Args:
        workspace: Over the snapshot; a prediction in it afterwards is that of a new one.
        base: Gives thresholds, and the values that stay where a gate fails.
        epoch: Of the snapshot; gives the name frequencies and the prior.
        provenance: Says what the snapshot is, the seed of the random sample and the date, for this module reads no
            clock; record count and libraries are filled in.
        truth: Parquet with `number` and `entity`, if the truth is known: m is then counted on it, else estimated by
            expectation maximisation on blocks that together free every comparison.
        sample_pairs: Random pairs that u is counted on.
        progress: Told of each step.

    Returns:
        The model and where its values come from. The same for the same input. Takes a minute for 50,000 records.
    """
    specification = base.specification
    steps = 2 if truth is not None else 1 + len(specification.training_rules)
    say = progress or _silent
    records = workspace.count("SELECT count(*) FROM records")
    if records < RECORDS_MIN:
        too_few = Failure(Gate.TOO_FEW_RECORDS, f"{records} of at least {RECORDS_MIN}")
        return base, TrainingReport((), {each.name: too_few for each in specification.comparisons})
    if truth is not None:
        _add_truth(workspace, truth)
    settings = splink_settings(specification, _parameters(base), epoch.prior)
    linker = workspace.linker(settings | {"max_iterations": EM_ITERATIONS_MAX, "em_convergence": EM_CONVERGENCE}, epoch)
    linker.training.estimate_u_using_random_sampling(max_pairs=sample_pairs, seed=provenance.seed)
    say("train", 1, steps)
    sessions = None
    if truth is not None:
        linker.training.estimate_m_from_label_column("entity")
        say("train", 2, steps)
    else:
        sessions = _maximise_expectation(workspace, linker, say, steps)
    learned = learned_parameters(linker.misc.save_model_to_json())
    counted = count_levels(workspace, provenance.seed)
    linker.table_management.delete_tables_created_by_splink_from_db()
    accepted, report = _through_gates(base, learned, sessions, counted, sample_pairs, epoch.prior)
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


def _maximise_expectation(workspace: Workspace, linker: Linker, say: Progress, steps: int) -> tuple[Session, ...]:
    sessions = []
    for step, columns in enumerate(workspace.specification.training_rules, start=2):
        if _has_pairs(workspace, columns):
            rule = " AND ".join(f'l."{column}" = r."{column}"' for column in columns)
            held = linker.training.estimate_parameters_using_expectation_maximisation(
                rule, estimate_without_term_frequencies=True, max_pairs=EM_PAIRS
            )
            sessions.append(_session(columns, held))
        else:
            # Splink would raise, and leave the linker without the comparisons that the rule blocks on.
            sessions.append(Session(columns, 0, 0.0, is_converged=False))
        say("train", step, steps)
    return tuple(sessions)


def _has_pairs(workspace: Workspace, columns: tuple[str, ...]) -> bool:
    stated = " AND ".join(f'"{column}" IS NOT NULL' for column in columns)
    grouped = ", ".join(f'"{column}"' for column in columns)
    shared = f"SELECT 1 FROM records WHERE {stated} GROUP BY {grouped} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
    return workspace.count(f"SELECT count(*) FROM ({shared})") > 0  # noqa: S608


def _session(columns: tuple[str, ...], held: EMTrainingSession) -> Session:
    """Return what Splink's own history of a session says. It keeps the history, but tells nobody how it ended."""
    history = held._core_model_settings_history  # noqa: SLF001
    *_, before, after = history
    change = abs(after.probability_two_random_records_match - before.probability_two_random_records_match)
    m: dict[str, dict[str, float]] = {}
    for earlier, later in zip(before.comparisons, after.comparisons, strict=True):
        seen = m.setdefault(later.output_column_name, {})
        for old, new in zip(earlier.comparison_levels, later.comparison_levels, strict=True):
            if new.is_null_level:
                continue
            change = max(change, abs(float(new.m_probability or 0.0) - float(old.m_probability or 0.0)))
            if new._m_probability != LEVEL_NOT_OBSERVED_TEXT:  # noqa: SLF001
                # Six digits hold apart what is learned from the order in which threads happened to add.
                seen[new.label_for_charts] = float(f"{new.m_probability or 0.0:.6g}")
    return Session(columns, len(history) - 1, float(f"{change:.2g}"), change < EM_CONVERGENCE, m)


def count_levels(workspace: Workspace, seed: int, pair_count: int = COUNT_PAIRS) -> dict[str, Counted]:
    """Count every comparison's levels among random pairs, without Splink.

    Args:
        workspace: Holds the records.
        seed: Of the pairs.
        pair_count: About how many; fewer if the records have fewer.
    """
    # Records in an order that says nothing, each paired with those some random distances further on.
    ordered = workspace.run("SELECT number FROM records ORDER BY hash(number, ?), number", [seed])
    numbers = np.array([number for (number,) in ordered], np.int64)
    distances = np.random.default_rng(seed).permutation(np.arange(1, (len(numbers) + 1) // 2))
    distances = distances[: -(-pair_count // len(numbers))]
    firsts = np.arange(min(len(numbers), -(-pair_count // max(len(distances), 1))))
    others = (firsts[:, None] + distances) % len(numbers)
    drawn = {"number_l": np.repeat(numbers[firsts], len(distances)), "number_r": numbers[others].ravel()}
    workspace.put("drawn_pairs", pa.table(drawn))
    # A city's values joined to themselves are more than memory holds, and DuckDB would not draw first by itself.
    workspace.run(
        "CREATE OR REPLACE TABLE drawn AS SELECT * FROM records WHERE number IN "
        "(SELECT number_l FROM drawn_pairs UNION SELECT number_r FROM drawn_pairs)"
    )
    comparisons = workspace.specification.comparisons
    levels = ", ".join(f'{_level_sql(comparison)} AS "{comparison.name}"' for comparison in comparisons)
    sides = ", ".join(f'{side}."{column}" AS "{column}_{side}"' for side in ("l", "r") for column in workspace.columns)
    workspace.run(
        f"""
        CREATE OR REPLACE TABLE counted AS
        SELECT {levels} FROM (
            SELECT {sides} FROM drawn_pairs
            JOIN drawn AS l ON l.number = number_l
            JOIN drawn AS r ON r.number = number_r
        )
        """  # noqa: S608 - Our own predicates.
    )
    found = {}
    for comparison in comparisons:
        rows = workspace.run(
            f'SELECT "{comparison.name}", count(*) FROM counted GROUP BY 1'  # noqa: S608
        )
        counts = {label: int(count) for label, count in rows}
        missing = counts.pop(None, 0)
        found[comparison.name] = Counted(sum(counts.values()), missing, counts)
    for table in ("drawn_pairs", "drawn", "counted"):
        workspace.run(f"DROP TABLE {table}")
    return found


def _level_sql(comparison: Comparison) -> str:
    arms = " ".join(
        f"WHEN {guarded_sql(level.predicate)} THEN {'NULL' if level.is_missing else repr(level.label)}"
        for level in comparison.levels
        if level.predicate is not None
    )
    return f"CASE {arms} ELSE {comparison.levels[-1].label!r} END"


def _add_truth(workspace: Workspace, truth: Path) -> None:
    workspace.run("ALTER TABLE records ADD COLUMN IF NOT EXISTS entity VARCHAR")
    workspace.run(
        "UPDATE records SET entity = known.entity FROM read_parquet(?) AS known WHERE known.number = records.number",
        [glob.escape(str(truth))],
    )


def _parameters(base: Model) -> Parameters:
    """Start from the base model, so that expectation maximisation climbs the same hill in every city."""
    known = learned_parameters(base.splink)
    return lambda comparison, level: _both(known[comparison.name, level.label])


def _through_gates(
    base: Model,
    learned: Learned,
    sessions: tuple[Session, ...] | None,
    counted: Mapping[str, Counted],
    sample_pairs: int,
    prior: float,
) -> tuple[dict[tuple[str, str], tuple[float, float]], TrainingReport]:
    before = learned_parameters(base.splink)
    accepted: dict[tuple[str, str], tuple[float, float]] = {}
    taken: list[str] = []
    kept: dict[str, Failure] = {}
    for comparison in base.specification.comparisons:
        labels = [level.label for level in comparison.levels if not level.is_missing]
        known = {label: _both(before[comparison.name, label]) for label in labels}
        fresh = {label: purified(learned[comparison.name, label], known[label], prior) for label in labels}
        failed = (
            (failure_of_sessions(comparison, sessions) if sessions is not None else None)
            or failure_of_counts(comparison, learned, counted[comparison.name], sample_pairs)
            or failure_of_values(comparison, fresh, known)
        )
        if failed is None:
            taken.append(comparison.name)
        else:
            kept[comparison.name] = failed
        for label in labels:
            accepted[comparison.name, label] = (fresh if failed is None else known)[label]
    return accepted, TrainingReport(tuple(taken), kept, sessions or ())


def _both(values: tuple[float | None, float | None]) -> tuple[float, float]:
    m, u = values
    if m is None or u is None:
        raise ValueError("a saved model has m and u at every level")
    return m, u
