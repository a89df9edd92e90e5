"""How well batch linkage does on a city whose truth is known: a floor that no change may fall below.

The small form of `python -m benchmarks quality`: the same pipeline and the same figures, on 2,000 citizens.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.quality.cities import CityKind, link_kind, read_city
from benchmarks.quality.datasets import Workshop
from benchmarks.quality.evaluation import evaluate
from benchmarks.quality.suite import default_options
from mdm.domain.keys import EntityKind
from mdm.synth.city import write_city

CITIZENS, SEED = 2_000, 5
"""A seed that no model was trained on."""


class Floor(NamedTuple):
    """What must hold, a little below what was measured when the floor was set."""

    precision_min: float
    recall_min: float
    blocking_recall_min: float
    questions_per_1000_max: float


FLOORS = {
    EntityKind.CITIZEN: Floor(0.9995, 0.975, 0.99, 9.0),
    EntityKind.BUSINESS: Floor(0.999, 0.97, 0.99, 6.0),
}


@pytest.fixture(scope="module")
def measured_city(tmp_path_factory: pytest.TempPathFactory) -> dict[EntityKind, CityKind]:
    directory = tmp_path_factory.mktemp("city")
    write_city(directory, CITIZENS, SEED)
    return read_city(directory)


@pytest.mark.quality
@pytest.mark.parametrize("kind", EntityKind)
def test_batch_linkage_keeps_the_quality_floor(
    kind: EntityKind, measured_city: dict[EntityKind, CityKind], tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path, None, default_options(), lambda _stage: None)
    figures = evaluate(link_kind(measured_city[kind], workshop), seed=1)
    pairs, review, blocking = figures["pairs"], figures["review"], figures["blocking"]
    print(  # noqa: T201 - A measured figure.
        f"\n{kind}: precision {pairs['precision']['value']:.5f} (at least {pairs['precision_lower_bound']:.5f}) "
        f"recall {pairs['recall']['value']:.4f} F1 {pairs['f1']['value']:.4f} over {pairs['true_pairs']} true pairs; "
        f"{figures['clusters']['false_merges']} false merges; blocking recall {blocking['recall']['value']:.4f}; "
        f"{review['per_1000_records']['value']:.1f} questions per 1,000 records; missed "
        + ", ".join(f"{stage} {lost['pairs']}" for stage, lost in figures["missed"].items())
    )
    floor = FLOORS[kind]
    assert pairs["precision"]["value"] >= floor.precision_min
    assert pairs["recall"]["value"] >= floor.recall_min
    assert blocking["recall"]["value"] >= floor.blocking_recall_min
    assert review["per_1000_records"]["value"] <= floor.questions_per_1000_max
    assert (figures["parity"]["level_mismatches"], figures["parity"]["weight_mismatches"]) == (0, 0)
    assert figures["facts"]["candidate_pairs"] == blocking["pairs"]
