"""Training: reproducible, within bounds, and held back by its gates where a snapshot shows too little."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.gates import DRIFT_BITS_MAX, Gate, TrainingReport
from mdm.linkage.model import Model, Provenance
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import learned_parameters
from mdm.linkage.splink_engine import Workspace, predict
from mdm.linkage.train import EM_CONVERGENCE, EM_ITERATIONS_MAX, RECORDS_MIN, count_levels, train

Rows = list[tuple[int, str, Features, str]]
PROVENANCE = Provenance("a small synthetic city", seed=3, trained_on="2026-01-01")


SAMPLE_PAIRS = 200_000


def trained(kind: EntityKind, rows: Rows, folder: Path, *, knows_truth: bool = False) -> tuple[Model, TrainingReport]:
    snapshot, truth = folder / "snapshot.parquet", folder / "truth.parquet"
    write_snapshot(snapshot, kind, (row[:3] for row in rows))
    pq.write_table(pa.table({"number": [row[0] for row in rows], "entity": [row[3] for row in rows]}), truth)
    epoch = StatisticsEpoch.from_records(kind, (row[2] for row in rows), len({row[3] for row in rows}))
    base = Model.default(kind)
    with Workspace(snapshot, base.specification) as workspace:
        return train(
            workspace,
            base,
            epoch,
            provenance=PROVENANCE,
            truth=truth if knows_truth else None,
            sample_pairs=SAMPLE_PAIRS,
        )


@pytest.fixture(scope="module")
def estimated(city: dict[EntityKind, Rows], tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, TrainingReport]:
    return trained(EntityKind.CITIZEN, city[EntityKind.CITIZEN], tmp_path_factory.mktemp("estimated"))


def bits_of(model: Model, comparison: str, label: str) -> float:
    m, u = learned_parameters(model.splink)[comparison, label]
    assert m is not None
    assert u is not None
    return math.log2(m / u)


def test_the_same_snapshot_gives_the_same_model(
    estimated: tuple[Model, TrainingReport], city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    again, report = trained(EntityKind.CITIZEN, city[EntityKind.CITIZEN], tmp_path)
    assert again.to_bytes() == estimated[0].to_bytes()
    assert report == estimated[1]


def test_a_model_says_what_it_was_learned_from_and_can_be_compiled(
    estimated: tuple[Model, TrainingReport], city: dict[EntityKind, Rows]
) -> None:
    model, report = estimated
    assert {"name", "birth", "sex"} <= set(report.learned)
    assert model.provenance.record_count == len(city[EntityKind.CITIZEN])
    assert model.provenance.seed == PROVENANCE.seed
    compile_scorer(model, StatisticsEpoch.default(EntityKind.CITIZEN))


def test_no_level_drifts_further_than_its_gate(estimated: tuple[Model, TrainingReport]) -> None:
    base = Model.default(EntityKind.CITIZEN)
    for comparison, label in learned_parameters(base.splink):
        drift = bits_of(estimated[0], comparison, label) - bits_of(base, comparison, label)
        assert abs(drift) <= DRIFT_BITS_MAX + 0.01


def test_estimating_without_the_truth_comes_near_to_counting_on_it(
    estimated: tuple[Model, TrainingReport], city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    counted, _ = trained(EntityKind.CITIZEN, city[EntityKind.CITIZEN], tmp_path, knows_truth=True)
    for comparison in ("name", "birth", "sex", "personal_id"):
        near = pytest.approx(bits_of(counted, comparison, "same"), abs=0.5)
        assert bits_of(estimated[0], comparison, "same") == near


def test_every_session_tells_how_it_ended(estimated: tuple[Model, TrainingReport]) -> None:
    specification = Model.default(EntityKind.CITIZEN).specification
    sessions = estimated[1].sessions
    assert tuple(session.columns for session in sessions) == specification.training_rules
    for session in sessions:
        assert session.is_converged, session.columns
        assert 1 < session.iteration_count < EM_ITERATIONS_MAX
        assert 0.0 <= session.last_change < EM_CONVERGENCE


def test_a_training_that_does_not_settle_teaches_nothing(
    city: dict[EntityKind, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdm.linkage.train.EM_ITERATIONS_MAX", 1)
    model, report = trained(EntityKind.CITIZEN, city[EntityKind.CITIZEN], tmp_path)
    assert {(session.iteration_count, session.is_converged) for session in report.sessions} == {(1, False)}
    assert report.learned == ()
    assert {failure.gate for failure in report.kept.values()} == {Gate.NOT_CONVERGED}
    base = Model.default(EntityKind.CITIZEN)
    for comparison, label in learned_parameters(base.splink):
        near = pytest.approx(bits_of(base, comparison, label), abs=1e-4)
        assert bits_of(model, comparison, label) == near, (comparison, label)


def test_columns_that_no_two_records_share_are_reported_and_break_nothing(
    city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    def without_numbers(features: Features) -> Features:
        return msgspec.structs.replace(features, personal_id=None, personal_ids=(), verified_ids=())

    rows = [(row[0], row[1], without_numbers(row[2]), row[3]) for row in city[EntityKind.CITIZEN]]
    _, report = trained(EntityKind.CITIZEN, rows, tmp_path)
    assert {session.columns: session.iteration_count for session in report.sessions}["personal_id",] == 0
    assert "sex" in report.learned
    assert report.kept["personal_id"].gate is Gate.NOT_LEARNED


def test_the_direct_count_of_levels_is_that_of_the_scorer(city: dict[EntityKind, Rows], tmp_path: Path) -> None:
    kind, rows = EntityKind.CITIZEN, city[EntityKind.CITIZEN][:40]
    model = Model.default(kind)
    write_snapshot(tmp_path / "snapshot.parquet", kind, (row[:3] for row in rows))
    with Workspace(tmp_path / "snapshot.parquet", model.specification) as workspace:
        counted = count_levels(workspace, seed=1, pair_count=100_000)
    scorer = compile_scorer(model, StatisticsEpoch.default(kind))
    features = [row[2] for row in rows]
    # Forty records have no hundred thousand pairs: each of their distances below the half is used once.
    for place, comparison in enumerate(model.specification.comparisons):
        found: Counter[str] = Counter()
        for at, left in enumerate(features):
            for right in features[at + 1 :]:
                found[comparison.level_at(scorer.levels(left, right)[place]).label] += 1
        seen = counted[comparison.name]
        assert seen.pair_count + seen.missing_count == 40 * 19
        assert sum(seen.level_counts.values()) == seen.pair_count
        for label, count in seen.level_counts.items():
            # All 780 pairs but the 20 at half the distance.
            assert found[label] - 20 <= count <= found[label], (comparison.name, label)


def test_too_small_a_snapshot_leaves_the_base_model_as_it_was(city: dict[EntityKind, Rows], tmp_path: Path) -> None:
    kind = EntityKind.BUSINESS
    assert len(city[kind]) < RECORDS_MIN
    model, report = trained(kind, city[kind], tmp_path)
    assert model == Model.default(kind)
    assert report.learned == ()
    assert {failure.gate for failure in report.kept.values()} == {Gate.TOO_FEW_RECORDS}


def test_a_prediction_in_the_workspace_of_training_is_that_of_a_fresh_one(
    city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    kind, rows = EntityKind.CITIZEN, city[EntityKind.CITIZEN]
    write_snapshot(snapshot := tmp_path / "snapshot.parquet", kind, (row[:3] for row in rows))
    epoch = StatisticsEpoch.from_records(kind, (row[2] for row in rows), len(rows) // 3)
    base = Model.default(kind)
    with Workspace(snapshot, base.specification) as workspace:
        tables = workspace.run("SHOW TABLES")
        model, _ = train(workspace, base, epoch, provenance=PROVENANCE, sample_pairs=SAMPLE_PAIRS)
        left = {name for (name,) in workspace.run("SHOW TABLES")} - {name for (name,) in tables}
        assert {name.split("_of_")[0] for name in left} == {"frequencies"}
        used = predict(workspace, model, epoch, tmp_path / "used", threshold_bits=-5.0)
    with Workspace(snapshot, base.specification) as workspace:
        fresh = predict(workspace, model, epoch, tmp_path / "fresh", threshold_bits=-5.0)
    assert used == fresh
    assert (tmp_path / "used").read_bytes() == (tmp_path / "fresh").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"snapshot.parquet", "used", "fresh"}
