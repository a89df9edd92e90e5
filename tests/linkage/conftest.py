"""Two synthetic cities as features, made once: one to look at, one to learn from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.quality.cities import city_records
from mdm.domain.keys import EntityKind
from mdm.linkage.features import Features
from mdm.linkage.normalise.record import normalise
from mdm.synth.city import write_city

Rows = list[tuple[int, str, Features, str]]
"""Record number, registry, features and the entity that the record truly describes."""


def read_city(directory: Path, citizens: int, seed: int) -> dict[EntityKind, Rows]:
    write_city(directory, citizens, seed)
    with (directory / "truth.csv").open(encoding="utf-8") as file:
        truth = {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }
    city: dict[EntityKind, Rows] = {kind: [] for kind in EntityKind}
    for number, record in enumerate(city_records(directory), start=1):
        key = record.key
        entity = truth[key.registry, key.kind, key.record_id]
        city[key.kind].append((number, key.registry, normalise(record).features, entity))
    return city


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> dict[EntityKind, Rows]:
    """2,000 citizens and their firms, of a seed that no model was trained on."""
    return read_city(tmp_path_factory.mktemp("city"), 2_000, 5)
