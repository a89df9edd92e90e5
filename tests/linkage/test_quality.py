"""How well batch linkage does on a city whose truth is known: a floor that no change may fall below."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.linkage.cluster import Edge, cluster
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import assess
from mdm.linkage.features import Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import predict

Rows = list[tuple[int, str, Features, str]]


def pair_count(sizes: list[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


@pytest.mark.quality
@pytest.mark.parametrize(
    ("kind", "precision_min", "recall_min"),
    [(EntityKind.CITIZEN, 0.999, 0.96), (EntityKind.BUSINESS, 0.999, 0.97)],
)
def test_clusters_keep_the_quality_floor(
    kind: EntityKind, precision_min: float, recall_min: float, city: dict[EntityKind, Rows], tmp_path: Path
) -> None:
    rows = city[kind]
    features = {number: evidence for number, _, evidence, _ in rows}
    entities = {number: entity for number, _, _, entity in rows}
    model = Model.default(kind)
    epoch = StatisticsEpoch.from_records(kind, features.values(), len(set(entities.values())))
    snapshot, output = tmp_path / "snapshot.parquet", tmp_path / "pairs.parquet"
    write_snapshot(snapshot, kind, (row[:3] for row in rows))
    predict(snapshot, model, epoch, output, threshold_bits=model.thresholds.review_bits)
    columns = [column.to_pylist() for column in pq.read_table(output).columns]
    edges = [
        Edge(left, right, bits)
        for left, right, bits, levels in zip(*columns[:3], zip(*columns[3:], strict=True), strict=True)
        if assess(kind, levels, features[left], features[right], bits, model, epoch).band is Band.LINK
    ]
    clusters = cluster(edges, features.__getitem__, compile_scorer(model, epoch)).clusters

    true_pairs = pair_count(list(Counter(entities.values()).values()))
    found_pairs = pair_count([len(members) for members in clusters])
    right_pairs = sum(
        pair_count(list(Counter(entities[number] for number in members).values())) for members in clusters
    )
    precision, recall = right_pairs / found_pairs, right_pairs / true_pairs
    print(f"\n{kind}: precision {precision:.5f} recall {recall:.4f} over {true_pairs} true pairs")  # noqa: T201
    assert precision >= precision_min
    assert recall >= recall_min
