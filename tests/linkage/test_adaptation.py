"""What a re-linkage takes over of what people said: thresholds that rise, and never fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.adaptation import adapted_model, tightened
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.splink_engine import Workspace
from mdm.linkage.thresholds import Basis

Rows = list[tuple[int, str, Features, str]]
KIND = EntityKind.CITIZEN
MODEL = Model.default(KIND)


@pytest.fixture(scope="module")
def twin(city: dict[EntityKind, Rows]) -> Features:
    """A record that would link with itself at any weight."""
    return next(
        row[2]
        for row in city[KIND]
        if row[2].name and row[2].personal_ids and row[2].birth_date  # type: ignore[union-attr]
    )


def rows_at(twin: Features, *bits: float) -> list[tuple[int, int, float, tuple[int, ...]]]:
    levels = compile_scorer(MODEL, StatisticsEpoch.default(KIND)).levels(twin, twin)
    return [(2 * place - 1, 2 * place, each, levels) for place, each in enumerate(bits, start=1)]


def raised(twin: Features, weak_count: int, different_count: int) -> tuple[float, Basis | None]:
    rows = rows_at(twin, *[8.0] * weak_count, *[25.0] * 5_000)
    labels = {row[:2]: 0 for row in rows[:different_count]}
    model, choice = tightened(MODEL, rows, lambda _: twin, StatisticsEpoch.default(KIND), labels)
    assert model.splink == MODEL.splink
    return model.thresholds.link_bits, choice.basis if choice else None


def test_links_that_stewards_part_raise_the_threshold(twin: Features) -> None:
    assert raised(twin, 60, 30) == (8.25, Basis.TIGHTENED)


def test_without_judgements_the_model_stays_the_same(twin: Features) -> None:
    assert raised(twin, 60, 0) == (MODEL.thresholds.link_bits, None)


def test_judgements_that_confirm_links_never_lower_it(twin: Features) -> None:
    rows = rows_at(twin, *[5.0] * 500, *[25.0] * 5_000)
    labels = {row[:2]: 1 for row in rows}
    model, choice = tightened(MODEL, rows, lambda _: twin, StatisticsEpoch.default(KIND), labels)
    assert model == MODEL
    assert choice is not None
    assert choice.basis is Basis.KEPT


def test_a_pinned_model_is_used_as_it_is(tmp_path: Path) -> None:
    epoch = StatisticsEpoch.default(KIND)
    with Workspace(tmp_path / "none.parquet", MODEL.specification) as workspace:
        adapted = adapted_model(workspace, KIND, epoch, pinned=MODEL)
    assert (adapted.model, adapted.report, adapted.is_pinned) == (MODEL, None, True)
