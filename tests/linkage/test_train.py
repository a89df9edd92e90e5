"""Training: reproducible, within bounds, and held back by its gates where a snapshot shows too little."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.model import Model, Provenance
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import learned_parameters
from mdm.linkage.train import DRIFT_BITS_MAX, RECORDS_MIN, TrainingReport, train

Rows = list[tuple[int, str, Features, str]]
PROVENANCE = Provenance("a small synthetic city", seed=3, trained_on="2026-01-01")


SAMPLE_PAIRS = 200_000


def trained(kind: EntityKind, rows: Rows, folder: Path, *, knows_truth: bool = False) -> tuple[Model, TrainingReport]:
    snapshot, truth = folder / "snapshot.parquet", folder / "truth.parquet"
    write_snapshot(snapshot, kind, (row[:3] for row in rows))
    pq.write_table(pa.table({"number": [row[0] for row in rows], "entity": [row[3] for row in rows]}), truth)
    epoch = StatisticsEpoch.from_records(kind, (row[2] for row in rows), len({row[3] for row in rows}))
    return train(
        snapshot,
        Model.default(kind),
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


def test_too_small_a_snapshot_leaves_the_base_model_as_it_was(city: dict[EntityKind, Rows], tmp_path: Path) -> None:
    kind = EntityKind.BUSINESS
    assert len(city[kind]) < RECORDS_MIN
    model, report = trained(kind, city[kind], tmp_path)
    assert model == Model.default(kind)
    assert report.learned == ()
    assert set(report.kept.values()) == {"too few records"}
