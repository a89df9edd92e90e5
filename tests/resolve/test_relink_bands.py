"""Pairs as columns say the same as pairs one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.graph import connected
from mdm.linkage.model import Model
from mdm.resolve.relink_bands import ScoredPairs

MODEL = Model.default(EntityKind.CITIZEN)


def test_a_prediction_is_read_with_its_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    comparisons = MODEL.specification.comparisons
    columns: dict[str, object] = {
        "left": pa.array(rng.integers(1, 50, 300), pa.int64()),
        "right": pa.array(rng.integers(51, 100, 300), pa.int64()),
        "match_weight": pa.array(rng.normal(size=300)),
    }
    for each in comparisons:
        columns[f"gamma_{each.name}"] = pa.array(rng.choice(each.level_values(), 300), pa.int8())
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "pairs")
    pairs = ScoredPairs.read(tmp_path / "pairs", MODEL.specification)
    wanted = {(*values[:3], tuple(values[3:])) for values in (list(row.values()) for row in table.to_pylist())}
    rows = zip(*(column.tolist() for column in pairs[:3]), strict=True)
    found = {(*row, pairs.patterns[pattern]) for row, pattern in zip(rows, pairs.pattern.tolist(), strict=True)}
    assert found == wanted


def test_a_sample_holds_whole_parts_and_counts_as_the_whole_does() -> None:
    rng = np.random.default_rng(5)
    left = rng.integers(1, 30_000, 20_000)
    right = left + rng.integers(1, 4, 20_000)
    part = connected(left, right)
    pairs = ScoredPairs(left, right, rng.uniform(0.0, 20.0, 20_000), np.zeros(20_000, np.int64), part, [()])
    sample = pairs.sample(1000)
    parts = np.unique(sample.part)
    assert 700 < len(parts) < 1500
    assert len(sample.left) == np.isin(part, parts).sum(), "no part is torn"
    assert len(pairs.sample(10**6).left) == len(pairs.left)
    share = sample.joined_by_weight(7.0) / pairs.joined_by_weight(7.0)
    assert share == pytest.approx(len(sample.left) / len(pairs.left), rel=0.1)
    strong = pairs.bits >= 7.0
    parent = {number: number for number in {*left[strong].tolist(), *right[strong].tolist()}}

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for one, other in zip(left[strong].tolist(), right[strong].tolist(), strict=True):
        parent[root(one)] = root(other)
    assert pairs.joined_by_weight(7.0) == sum(parent[number] != number for number in parent)


@pytest.mark.parametrize("pairs", [[(1, 2), (2, 3), (7, 9), (4, 9), (5, 6)], [], [(n, n + 1) for n in range(1, 400)]])
def test_connected_pairs_carry_one_label(pairs: list[tuple[int, int]]) -> None:
    numbers = np.array(pairs, np.int64).reshape(-1, 2)
    labels = connected(numbers[:, 0], numbers[:, 1])
    parts: list[set[int]] = []
    for pair in pairs:
        touching = [part for part in parts if not part.isdisjoint(pair)]
        parts = [part for part in parts if part not in touching] + [set(pair).union(*touching)]
    assert labels.tolist() == [min(next(part for part in parts if left in part)) for left, _ in pairs]
