"""Whoever decides a share of the pairs, the outcome is the same."""

from __future__ import annotations

import gc
import os
import random
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm.domain.keys import EntityKind, RecordNumber
from mdm.errors import StoreError
from mdm.linkage.codec import encode_features
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import Features
from mdm.linkage.model import Model
from mdm.linkage.normalise.record import normalise
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import specification_of
from mdm.linkage.splink_engine import Workspace
from mdm.resolve import relink_decision
from mdm.resolve.relink_decision import deciders
from mdm.resolve.relink_linkage import Linked, link
from mdm.resolve.relink_snapshot import Pair, People, Records
from mdm.resolve.workers import Worker
from tests.resolve.cities import city_records

MODEL = Model.default(EntityKind.CITIZEN)


@pytest.fixture(scope="module")
def citizens() -> list[Features]:
    return [normalise(each).features for each in city_records(700, 13) if each.key.kind is EntityKind.CITIZEN]


@pytest.fixture(scope="module")
def workspace(citizens: list[Features], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    snapshot = tmp_path_factory.mktemp("shares") / "records.parquet"
    write_snapshot(snapshot, MODEL.kind, ((place, "any", each) for place, each in enumerate(citizens, start=1)))
    with Workspace(snapshot, specification_of(MODEL.kind), "500MB") as opened:
        yield opened


@pytest.fixture
def helping(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    monkeypatch.setattr(relink_decision, "_SHARED_PAIRS_MIN", 0)
    with Worker(relink_decision.__name__) as one, Worker(relink_decision.__name__) as other:
        yield [one, other]


def linked(workspace: Workspace, citizens: list[Features], people: People, helping: list[Worker]) -> Linked:
    records = Records(
        MODEL.kind, {RecordNumber(place): encode_features(each) for place, each in enumerate(citizens, start=1)}
    )
    epoch = StatisticsEpoch.from_records(MODEL.kind, citizens, 700)
    return link(records, workspace, MODEL, epoch, people, helping=helping, progress=lambda *_: None)


def said(found: Linked, citizens: list[Features]) -> People:
    """Judgements and choices about pairs that are linked, that are asked about, and that nothing speaks for."""
    rng = random.Random(3)

    def drawn(pairs: list[Pair]) -> frozenset[Pair]:
        return frozenset(rng.sample(sorted(pairs), 12))

    together = [(one, other) for one, other, *_ in (cluster for cluster in found.clusters if len(cluster) > 1)]
    asked = [(each.left, each.right) for each in found.questions]
    others = [tuple(sorted(rng.sample(range(1, len(citizens) + 1), 2))) for _ in range(40)]
    apart = [(RecordNumber(one), RecordNumber(other)) for one, other in others]
    return People(
        same=drawn(apart) | drawn(asked),
        different=drawn(together),
        chosen=drawn(asked + apart),
        rejected=drawn(together),
    )


def test_shares_come_to_what_one_process_decides(
    workspace: Workspace, citizens: list[Features], helping: list[Worker]
) -> None:
    alone = linked(workspace, citizens, People(), [])
    for people in (People(), said(alone, citizens)):
        one, several = (linked(workspace, citizens, people, processes) for processes in ([], helping))
        assert several.clusters == one.clusters
        assert several.questions == one.questions
        assert several.weakest == one.weakest
        assert several.epoch.digest == one.epoch.digest
        assert several.linked_pair_count == one.linked_pair_count
        assert several.refused_pair_count == one.refused_pair_count
    assert one.clusters != alone.clusters, "what people said counts"


def test_a_process_that_dies_ends_the_linkage(
    workspace: Workspace, citizens: list[Features], helping: list[Worker]
) -> None:
    os.kill(helping[1].pid, signal.SIGKILL)
    with pytest.raises(StoreError, match="ended early"):
        linked(workspace, citizens, People(), helping)


def test_as_many_are_started_as_are_asked_for_and_all_are_ended() -> None:
    with deciders(0) as none, deciders(2) as two:
        assert (len(none), len(two)) == (0, 2)
    for process in two:
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_records_are_let_go_without_the_collector_of_cycles() -> None:
    # A process that decides does without it, and is sent them anew each round.
    gc.disable()
    try:
        records = Records(MODEL.kind, {RecordNumber(1): encode_features(normalise(city_records(60, 1)[0]).features)})
        records.features(1)
        left = weakref.ref(records)
        del records
        assert left() is None
    finally:
        gc.enable()


def test_nothing_to_share_is_decided(tmp_path: Path, helping: list[Worker]) -> None:
    stranger = normalise(city_records(60, 1)[0]).features
    write_snapshot(tmp_path / "records.parquet", MODEL.kind, [(1, "any", stranger)])
    with Workspace(tmp_path / "records.parquet", specification_of(MODEL.kind), "500MB") as workspace:
        assert linked(workspace, [stranger], People(), helping).clusters == [(1,)]
