"""Scored pairs as thresholds are chosen from, and what thresholds chosen on one city are worth in another."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.assessed_pairs import assessed_pairs, scored_rows
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.model import Model
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import Workspace, predict
from mdm.linkage.thresholds import Basis, choose_thresholds

Rows = list[tuple[int, str, Features, str]]


@pytest.mark.quality
def test_thresholds_proven_on_the_truth_keep_their_promise(city: dict[EntityKind, Rows], tmp_path: Path) -> None:
    """Chosen on the pairs of one half of the city, held against those of the other."""
    kind, target = EntityKind.CITIZEN, 0.999
    model, choices = Model.default(kind), []
    for half in (0, 1):
        rows = [row for row in city[kind] if zlib.crc32(row[3].encode()) % 2 == half]
        features = {number: evidence for number, _, evidence, _ in rows}
        entities = {number: entity for number, _, _, entity in rows}
        epoch = StatisticsEpoch.from_records(kind, features.values(), len(set(entities.values())))
        snapshot, output = tmp_path / f"{half}.parquet", tmp_path / f"{half}.pairs.parquet"
        write_snapshot(snapshot, kind, (row[:3] for row in rows))
        with Workspace(snapshot, model.specification) as workspace:
            predict(workspace, model, epoch, output, threshold_bits=-2.0)
        pairs = assessed_pairs(
            scored_rows(output),
            features.__getitem__,
            model,
            epoch,
            lambda left, right, entities=entities: int(entities[left] == entities[right]),  # type: ignore[misc]
        )
        choice = choose_thresholds(
            pairs,
            base_link_bits=model.thresholds.link_bits,
            base_review_bits=model.thresholds.review_bits,
            target_precision=target,
            is_sample=True,
        )
        choices.append((choice, pairs))
    (chosen, _), (_, others) = choices
    held = others.can_link & (others.bits >= chosen.link_bits)
    precision = float((others.labels[held] == 1).mean())
    print(  # noqa: T201
        f"\n{kind}: link {chosen.link_bits:g} bits, {chosen.basis}, promised {chosen.chosen.precision_min:.5f} on "
        f"{chosen.chosen.link_count}, held {precision:.5f} of {int(held.sum())} pairs of other people"
    )
    assert chosen.basis is Basis.PROVEN
    assert chosen.chosen.precision_min >= target
    assert precision >= target
