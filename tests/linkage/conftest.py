"""Two synthetic cities as features, made once: one to look at, one to learn from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mdm.config import Configuration
from mdm.domain.keys import EntityKind
from mdm.feeds.mapping import RowMapper, UpsertOperation
from mdm.feeds.reading import Row, open_feed
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
    configuration = Configuration.load(None)
    city: dict[EntityKind, Rows] = {kind: [] for kind in EntityKind}
    number = 0
    for name in configuration.feed_names:
        feed = open_feed(directory / f"{name}.csv")
        mapper = RowMapper(configuration, name, feed.columns)
        for row in feed.rows():
            assert isinstance(row, Row)
            operations = mapper.operations(row)
            assert isinstance(operations, tuple)
            for operation in operations:
                if not isinstance(operation, UpsertOperation):
                    continue
                number += 1
                key = operation.record.key
                entity = truth[key.registry, key.kind, key.record_id]
                city[key.kind].append((number, key.registry, normalise(operation.record).features, entity))
    return city


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> dict[EntityKind, Rows]:
    """2,000 citizens and their firms, of a seed that no model was trained on."""
    return read_city(tmp_path_factory.mktemp("city"), 2_000, 5)
