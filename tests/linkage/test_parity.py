"""Splink's prediction and the compiled scorer give every candidate pair the same levels and the same weight."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.limits import CANDIDATES_PER_KEY_MAX
from mdm.linkage.blocking import posting_keys
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import PredictionReport, Workspace, predict

DIFFERENCE_BITS_MAX = 1e-9
EVERYTHING_BITS = -1e6

Rows = list[tuple[int, str, Features, str]]
Pair = tuple[int, int]


def epoch_of(kind: EntityKind, rows: Rows) -> StatisticsEpoch:
    return StatisticsEpoch.from_records(kind, (row[2] for row in rows), len({row[3] for row in rows}))


def predicted(
    kind: EntityKind, rows: Rows, folder: Path, threshold_bits: float = EVERYTHING_BITS
) -> tuple[PredictionReport, dict[Pair, tuple[float, tuple[int, ...]]]]:
    snapshot, output = folder / f"{kind}.parquet", folder / f"{kind}.pairs.parquet"
    write_snapshot(snapshot, kind, ((number, registry, features) for number, registry, features, _ in rows))
    model = Model.default(kind)
    with Workspace(snapshot, model.specification) as workspace:
        report = predict(workspace, model, epoch_of(kind, rows), output, threshold_bits=threshold_bits)
    columns = [column.to_pylist() for column in pq.read_table(output).columns]
    return report, {
        (left, right): (weight, levels)
        for left, right, weight, levels in zip(*columns[:3], zip(*columns[3:], strict=True), strict=True)
    }


@pytest.mark.parity
@pytest.mark.parametrize("kind", EntityKind)
def test_both_engines_score_every_candidate_pair_alike(
    kind: EntityKind, city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    rows = city[kind]
    features = {row[0]: row[2] for row in rows}
    scorer = compile_scorer(Model.default(kind), epoch_of(kind, rows))
    _, pairs = predicted(kind, rows, tmp_path)
    largest = 0.0
    for (left, right), (weight, levels) in pairs.items():
        scored = scorer.score(features[left], (features[right],))[0]
        assert scored.levels == levels
        largest = max(largest, abs(scored.match_weight_bits - weight))
    print(f"\n{kind}: {len(pairs)} pairs, largest difference {largest:.3g} bits")  # noqa: T201 - A measured figure.
    assert len(pairs) > 100
    assert largest <= DIFFERENCE_BITS_MAX


@pytest.mark.parity
@pytest.mark.parametrize("kind", EntityKind)
def test_batch_blocks_exactly_the_pairs_that_share_a_posting_key(
    kind: EntityKind, city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    rows = city[kind]
    holders: dict[bytes, list[int]] = defaultdict(list)
    for number, _, features, _ in rows:
        for key in posting_keys(features):
            holders[key].append(number)
    assert max(map(len, holders.values())) <= CANDIDATES_PER_KEY_MAX
    expected = {pair for numbers in holders.values() for pair in combinations(sorted(numbers), 2)}
    report, pairs = predicted(kind, rows, tmp_path)
    assert set(pairs) == expected
    assert report == PredictionReport(len(rows), len(expected), len(expected), truncated_keys=0)


def test_pairs_below_the_threshold_are_left_out(city: dict[EntityKind, Rows], tmp_path: Path) -> None:
    kind = EntityKind.BUSINESS
    report, pairs = predicted(kind, city[kind], tmp_path, threshold_bits=5.0)
    assert 0 < report.kept_pairs == len(pairs) < report.candidate_pairs
    assert min(weight for weight, _ in pairs.values()) >= 5.0


def test_a_key_held_by_too_many_pairs_each_record_with_those_just_before_it(
    city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    kind = EntityKind.BUSINESS
    one = next(features for _, _, features, _ in city[kind] if posting_keys(features))
    count = CANDIDATES_PER_KEY_MAX + 10
    rows: Rows = [(number, "company", one, "same") for number in range(1, count + 1)]
    report, pairs = predicted(kind, rows, tmp_path)
    assert report.truncated_keys == len(posting_keys(one))
    assert max(right - left for left, right in pairs) == CANDIDATES_PER_KEY_MAX
    assert len(pairs) == sum(min(place, CANDIDATES_PER_KEY_MAX) for place in range(count))
