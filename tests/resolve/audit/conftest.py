"""A linked city with its truth, made once: the data directory of a stopped service and every pair in it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mdm.domain.keys import EntityKind
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import Workspace, predict
from mdm.resolve.audit.pairs import (
    WEIGHT_BITS_MIN,
    Pairs,
    Population,
    apart_pairs,
    joined,
    linked_pairs,
    unblocked_pairs,
)
from mdm.resolve.engines import Engine, active_engines
from mdm.synth.city import write_city
from tests.resolve.cities import FEEDS, _records
from tests.resolve.office import Office

CITIZENS, SEED = 500, 21


class City(msgspec.Struct, frozen=True):
    """Every pair that an audit may draw, with all records searched, and who is who."""

    data: Path
    population: Population
    engine: Engine
    linked: Pairs
    apart: Pairs
    unblocked: Pairs
    entities: dict[int, str]

    @property
    def blocked(self) -> Pairs:
        return joined([self.linked, self.apart])

    def are_same(self, lefts: NDArray[np.int64], rights: NDArray[np.int64]) -> NDArray[np.bool_]:
        known = self.entities
        return np.array([known[int(one)] == known[int(other)] for one, other in zip(lefts, rights, strict=True)])

    def truth(self) -> tuple[float, float]:
        """Precision and recall over all pairs of records."""
        goldens = dict(zip(self.population.numbers.tolist(), self.population.goldens.tolist(), strict=True))
        entities = [self.entities[number] for number in goldens]
        together, same = pair_count(list(goldens.values())), pair_count(entities)
        both = pair_count(list(zip(entities, goldens.values(), strict=True)))
        return both / together, both / same


def pair_count(keys: Sequence[Hashable]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(keys).values())


def silent(_stage: str, _done: int, _whole: int | None) -> None:
    return


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city with every error rate tripled, so that there is something to find."""
    folder = tmp_path_factory.mktemp("city")
    write_city(folder, CITIZENS, SEED, difficulty="hard")
    office = Office(folder / "data")
    office.put_all([record for feed in FEEDS for record in _records(folder, feed)], later=True)
    office.relink_here()
    with office.writer._index.read() as view:
        population = Population.read(view, EntityKind.CITIZEN)
        engine = active_engines(view, office.writer._journal.artefact)[EntityKind.CITIZEN]
        keys = {number: view.key_of(number) for number, _ in view.iter_records()}
    office.close()
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        truth = {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }
    entities = {int(number): truth[key.registry, key.kind, key.record_id] for number, key in keys.items() if key}
    apart = _apart(population, engine, folder)
    return City(
        folder / "data",
        population,
        engine,
        linked_pairs(population, engine, silent),
        apart,
        unblocked_pairs(population, engine, population.numbers, apart, silent),
        entities,
    )


def _apart(population: Population, engine: Engine, folder: Path) -> Pairs:
    snapshot, predicted = folder / "snapshot.parquet", folder / "pairs.parquet"
    rows = zip(population.numbers.tolist(), population.registries.tolist(), strict=True)
    names = population.registry_names
    write_snapshot(
        snapshot,
        population.kind,
        ((number, names[registry], population.features(place)) for place, (number, registry) in enumerate(rows)),
    )
    with Workspace(snapshot, engine.model.specification) as workspace:
        predict(workspace, engine.model, engine.epoch, predicted, threshold_bits=WEIGHT_BITS_MIN)
    return apart_pairs(population, engine, predicted)
