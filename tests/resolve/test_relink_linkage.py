"""The batch half of resolution links records of any declared kind, not only the service's own two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from mdm.domain.events import MatchReason
from mdm.domain.keys import RecordNumber
from mdm.linkage.codec import decode_features, encode_features
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.keys import joined
from mdm.linkage.model import Model, Thresholds
from mdm.linkage.predicates import DamerauWithin, EitherMissing, Equal
from mdm.linkage.rules import Rules
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import Specification, declare
from mdm.linkage.splink_engine import Workspace, predict
from mdm.resolve import relink_linkage
from mdm.resolve.relink_linkage import Linked, link
from mdm.resolve.relink_snapshot import People, Records

KIND = "boat"


class BoatFeatures(msgspec.Struct, frozen=True, array_like=True, tag=KIND):
    name: str | None = None
    port: str | None = None
    hull: str | None = None


def comparison(column: str, m: float, u: float) -> Comparison:
    return Comparison(
        column,
        (
            Level("missing", Meaning.MISSING, EitherMissing(column)),
            Level("same", Meaning.AGREES, Equal(column), m, u, term_frequency_column=column),
            Level("typo", Meaning.CLOSE, DamerauWithin(column, 1), 0.05, u),
            Level("different", Meaning.NEUTRAL, None, 0.95 - m, 1 - 2 * u),
        ),
    )


declare(
    Specification(
        KIND,
        BoatFeatures,
        (comparison("name", 0.8, 1e-3), comparison("port", 0.8, 1e-2)),
        (("name", lambda boat: joined(boat.name)), ("port", lambda boat: joined(boat.port))),
        Rules(
            # The hull tells boats apart; whatever else may be said is none of the rules' business here.
            lambda left, right: "hull" if left.hull and right.hull and left.hull != right.hull else None,
            lambda _found, _left, _right: None,
            lambda _boats: None,
        ),
        (("name",), ("port",)),
    )
)

MODEL = Model.build(KIND, thresholds=Thresholds(3.0, 0.0, 1.0, 4.0, 0.0))
STRANGERS = [BoatFeatures(f"boat {number}", f"port {number % 40}") for number in range(2_000)]
MERMAID = [
    BoatFeatures("nang tien ca", "can gio"),
    BoatFeatures("nang tien ca", "can gio", "steel"),
    BoatFeatures("nang tien ka", "can gio", "steel"),
]


def linked(
    boats: list[BoatFeatures],
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    people: People | None = None,
) -> Linked:
    fleet = [*boats, *STRANGERS]
    snapshot = folder / "boats.parquet"
    write_snapshot(snapshot, KIND, ((number, "harbour", boat) for number, boat in enumerate(fleet)))
    records = Records(KIND, {RecordNumber(number): encode_features(boat) for number, boat in enumerate(fleet)})
    epoch = StatisticsEpoch.from_records(KIND, fleet, len(fleet))
    with Workspace(snapshot, MODEL.specification, "500MB") as workspace:
        return link(records, workspace, MODEL, epoch, people or People(), progress=progress)


def test_the_stage_is_told_before_the_first_pair_is_scored(tmp_path: Path) -> None:
    # What has taken so long is otherwise counted as the stage before.
    told: list[tuple[str, int, bool]] = []
    linked(MERMAID, tmp_path, lambda stage, done, _: told.append((stage, done, any(tmp_path.glob("*.parts")))))
    assert told[0] == ("comparing", 0, False)
    assert {stage for stage, *_ in told} == {"comparing", "clustering"}


def test_records_of_a_declared_kind_are_linked(tmp_path: Path) -> None:
    found = linked(MERMAID, tmp_path)
    assert [cluster for cluster in found.clusters if len(cluster) > 1] == [(0, 1, 2)]
    assert len(found.clusters) == len(STRANGERS) + 1


def test_judgements_about_a_declared_kind_are_obeyed(tmp_path: Path) -> None:
    judged = People(same=frozenset({(RecordNumber(0), RecordNumber(3))}))
    found = linked([*MERMAID, BoatFeatures("song xanh", "can gio", "wood")], tmp_path, people=judged)
    assert [cluster for cluster in found.clusters if len(cluster) > 1] == [(0, 3)], "of wood now, as no other is"
    assert found.cluster_of[[0, 1, 2, 3]].tolist() == [0, 1, 2, 0]


def test_what_was_judged_outside_a_sample_says_nothing_about_the_population(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relink_linkage, "SAMPLE_PARTS", 50)
    pairs = [BoatFeatures(f"cruiser {number}", f"haven {number % 97}") for number in range(1000) for _ in range(2)]
    lost = [BoatFeatures(f"wreck {number}", f"deep {number}") for number in range(600)]
    judged = frozenset(
        (RecordNumber(len(pairs) + at), RecordNumber(len(pairs) + at + 1)) for at in range(0, len(lost), 2)
    )
    told: list[str] = []
    found = linked(
        [*pairs, *lost], tmp_path, lambda stage, done, _: told.append(stage) if not done else None, People(judged)
    )
    assert len(found.clusters) == len(STRANGERS) + 1000 + 300
    assert told.count("comparing") == 1, "the population is never so far off that the pairs are scored anew"


def test_the_epoch_is_the_one_that_clusters_were_made_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relink_linkage, "POPULATION_ROUNDS_MAX", 1)
    pairs = [BoatFeatures(f"cruiser {number}", f"haven {number % 97}") for number in range(500) for _ in range(2)]
    assert linked(pairs, tmp_path).epoch.population == len(STRANGERS) + len(pairs)


def test_the_rules_of_a_declared_kind_hold(tmp_path: Path) -> None:
    found = linked([*MERMAID, BoatFeatures("nang tien ca", "can gio", "wood")], tmp_path)
    of_wood = next(cluster for cluster in found.clusters if 3 in cluster)
    assert not {1, 2} & set(of_wood), "steel and wood lie in one cluster"
    assert MatchReason.VETO in {question.reason for question in found.questions}


@pytest.mark.parity
def test_both_engines_weigh_a_declared_kind_alike(tmp_path: Path) -> None:
    fleet = [*MERMAID, *STRANGERS]
    epoch = StatisticsEpoch.from_records(KIND, fleet, len(fleet))
    snapshot, output = tmp_path / "boats.parquet", tmp_path / "pairs.parquet"
    write_snapshot(snapshot, KIND, ((number, "harbour", boat) for number, boat in enumerate(fleet)))
    with Workspace(snapshot, MODEL.specification) as workspace:
        report = predict(workspace, MODEL, epoch, output, threshold_bits=-1e6)
    columns = [column.to_pylist() for column in pq.read_table(output).columns]
    scorer = compile_scorer(MODEL, epoch)
    assert report.kept_pairs > len(STRANGERS)
    for left, right, bits, *levels in zip(*columns, strict=True):
        (scored,) = scorer.score(fleet[left], [fleet[right]])
        assert scored.levels == tuple(levels)
        assert scored.match_weight_bits == pytest.approx(bits, abs=1e-9)


def test_features_of_a_declared_kind_survive_the_codec() -> None:
    for boat in MERMAID:
        assert decode_features(KIND, encode_features(boat)) == boat
