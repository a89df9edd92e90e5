"""A prediction is made in chunks, and one that is cut off goes on behind its last whole chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage import splink_engine
from mdm.linkage.comparisons import Comparison, Level
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.model import Model
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import learned_parameters
from mdm.linkage.splink_engine import PredictionReport, Workspace, predict

KIND = EntityKind.CITIZEN
Rows = list[tuple[int, str, Features, str]]


@pytest.fixture
def snapshot(city: dict[EntityKind, Rows], tmp_path: Path) -> Path:
    path = tmp_path / "records.parquet"
    write_snapshot(path, KIND, (row[:3] for row in city[KIND]))
    return path


def predicted(city: dict[EntityKind, Rows], snapshot: Path, output: Path) -> PredictionReport:
    epoch = StatisticsEpoch.from_records(KIND, (row[2] for row in city[KIND]), 1000)
    model = Model.default(KIND)
    with Workspace(snapshot, model.specification) as workspace:
        return predict(workspace, model, epoch, output, threshold_bits=-5.0)


def test_chunks_hold_together_what_one_prediction_holds(
    city: dict[EntityKind, Rows], snapshot: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = predicted(city, snapshot, tmp_path / "whole")
    monkeypatch.setattr(splink_engine, "CHUNK_PAIRS", whole.candidate_pairs // 4)
    chunked = predicted(city, snapshot, tmp_path / "chunked")
    assert chunked == whole
    one, other = (pq.read_table(tmp_path / name).sort_by("right").sort_by("left") for name in ("whole", "chunked"))
    assert one.num_rows == whole.kept_pairs > 1000
    assert one.equals(other)


def test_another_population_is_predicted_in_the_same_workspace(
    city: dict[EntityKind, Rows], snapshot: Path, tmp_path: Path
) -> None:
    model = Model.default(KIND)
    epochs = [StatisticsEpoch.from_records(KIND, (row[2] for row in city[KIND]), count) for count in (1000, 100_000)]
    with Workspace(snapshot, model.specification) as workspace:
        for number, epoch in enumerate(epochs):
            predict(workspace, model, epoch, tmp_path / f"{number}", threshold_bits=-5.0)
    first, second = (pq.read_table(tmp_path / f"{number}") for number in range(2))
    with Workspace(snapshot, model.specification) as workspace:
        predict(workspace, model, epochs[1], tmp_path / "alone", threshold_bits=-5.0)
    assert second.equals(pq.read_table(tmp_path / "alone"))
    assert first.num_rows > second.num_rows


def test_a_model_is_not_predicted_with_the_frequencies_of_another(
    city: dict[EntityKind, Rows], snapshot: Path, tmp_path: Path
) -> None:
    epoch = StatisticsEpoch.from_records(KIND, (row[2] for row in city[KIND]), 1000)
    model = Model.default(KIND)
    (column,) = (
        name for name, (_, level) in model.specification.term_frequency_levels.items() if level.sharers_free_max
    )
    comparison, level = model.specification.term_frequency_levels[column]
    known = learned_parameters(model.splink)

    def commoner(which: Comparison, at: Level) -> tuple[float, float]:
        m, u = known[which.name, at.label]
        return m or at.m, (u or at.u) * (4 if (which, at) == (comparison, level) else 1)

    other = Model.build(KIND, commoner, model.thresholds)
    with Workspace(snapshot, model.specification) as workspace:
        for name, each in (("first", model), ("second", other), ("third", model)):
            predict(workspace, each, epoch, tmp_path / name, threshold_bits=-5.0)
    with Workspace(snapshot, model.specification) as workspace:
        predict(workspace, other, epoch, tmp_path / "alone", threshold_bits=-5.0)
    first, second, third, alone = (pq.read_table(tmp_path / name) for name in ("first", "second", "third", "alone"))
    assert second.equals(alone)
    assert first.equals(third)
    assert not first.equals(second)


def test_records_that_threads_share_are_each_read_once(
    city: dict[EntityKind, Rows], snapshot: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = predicted(city, snapshot, tmp_path / "shared")
    model = Model.default(KIND)
    epoch = StatisticsEpoch.from_records(KIND, (row[2] for row in city[KIND]), 1000)
    with Workspace(snapshot, model.specification) as workspace:
        # DuckDB deletes and inserts anew a row whose list is set: it then lies behind all others.
        workspace.run("UPDATE records SET phones = phones WHERE number % 2 = 0")
        predict(workspace, model, epoch, tmp_path / "moved", threshold_bits=-5.0)
    monkeypatch.setattr(splink_engine, "_ROW_GROUP_RECORDS", 1)
    assert predicted(city, snapshot, tmp_path / "alone") == shared
    alone = pq.read_table(tmp_path / "alone")
    assert alone.equals(pq.read_table(tmp_path / "shared"))
    assert alone.equals(pq.read_table(tmp_path / "moved"))


def test_a_folder_is_called_what_its_owner_likes(city: dict[EntityKind, Rows], tmp_path: Path) -> None:
    rows = [row[:3] for row in city[KIND]]
    reports = []
    for name, count in (("starfish", len(rows) // 2), ("it's [a] st*r?", len(rows))):
        (folder := tmp_path / name).mkdir()
        write_snapshot(folder / "records.parquet", KIND, rows[:count])
        reports.append(predicted(city, folder / "records.parquet", folder / "pairs"))
    assert [report.records for report in reports] == [len(rows) // 2, len(rows)]
    assert reports[1].kept_pairs > reports[0].kept_pairs


def test_chunks_that_another_release_cut_otherwise_are_not_counted_twice(
    city: dict[EntityKind, Rows], snapshot: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = predicted(city, snapshot, tmp_path / "whole")
    score = splink_engine._score_chunk

    def cut_off(*arguments: Any) -> None:
        if _chunk(arguments[-1]) == 2:
            raise OSError
        score(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(splink_engine, "CHUNK_PAIRS", whole.candidate_pairs // 4)
        patched.setattr(splink_engine, "_score_chunk", cut_off)
        with pytest.raises(OSError):
            predicted(city, snapshot, tmp_path / "resumed")
    monkeypatch.setattr(splink_engine, "CHUNK_PAIRS", whole.candidate_pairs // 2)
    assert predicted(city, snapshot, tmp_path / "resumed") == whole
    assert {path.name for path in tmp_path.iterdir()} == {"records.parquet", "resumed", "whole"}


def test_a_prediction_that_was_cut_off_goes_on_to_the_same_file(
    city: dict[EntityKind, Rows], snapshot: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = predicted(city, snapshot, tmp_path / "undisturbed")
    (tmp_path / "undisturbed").unlink()
    monkeypatch.setattr(splink_engine, "CHUNK_PAIRS", whole.candidate_pairs // 4)
    report = predicted(city, snapshot, tmp_path / "undisturbed")
    score = splink_engine._score_chunk
    scored: list[int] = []

    def cut_off(*arguments: Any) -> None:
        if _chunk(arguments[-1]) == 2:
            raise OSError
        score(*arguments)

    def counted(*arguments: Any) -> None:
        scored.append(_chunk(arguments[-1]))
        score(*arguments)

    output = tmp_path / "resumed"
    with monkeypatch.context() as patched:
        patched.setattr(splink_engine, "_score_chunk", cut_off)
        with pytest.raises(OSError):
            predicted(city, snapshot, output)
    assert not output.exists()
    monkeypatch.setattr(splink_engine, "_score_chunk", counted)
    assert predicted(city, snapshot, output) == report
    assert scored[0] == 2
    assert len(scored) > 1
    assert output.read_bytes() == (tmp_path / "undisturbed").read_bytes()
    scored.clear()
    assert predicted(city, snapshot, output) == report
    assert scored == [], "what is whole is taken over"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"records.parquet", "undisturbed", "resumed"}


def _chunk(part: Path) -> int:
    return int(part.name.split("-")[0])
