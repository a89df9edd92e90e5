"""The proof of the proof: audits of a city whose truth is known, whose bounds must hold what they claim to hold."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mdm.domain.keys import EntityKind
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.splink_engine import predict
from mdm.resolve.audit.agreement import Label, disagreements
from mdm.resolve.audit.pairs import (
    WEIGHT_BITS_MIN,
    Pairs,
    Population,
    apart_pairs,
    joined,
    linked_pairs,
    unblocked_pairs,
)
from mdm.resolve.audit.report import Report, Share, evaluate
from mdm.resolve.audit.sampling import Frame, draw_key, searched_records
from mdm.resolve.engines import Engine, active_engines
from mdm.synth.city import write_city
from tests.resolve.cities import FEEDS, _records
from tests.resolve.office import Office

CITIZENS, SEED = 500, 21
SIZE = 300
SEARCHED = 60
REPETITIONS = 100
FLIP_SHARE, UNSURE_SHARE = 0.01, 0.02
"""Of a reviewer's labels; a third one, who takes the time, settles what two see differently."""


class City(NamedTuple):
    """A linked city: every pair that an audit may draw, all records searched, and who is who."""

    population: Population
    engine: Engine
    scored: Pairs
    unblocked: Pairs
    entities: dict[int, str]

    def are_same(self, lefts: NDArray[np.int64], rights: NDArray[np.int64]) -> NDArray[np.bool_]:
        known = self.entities
        return np.array([known[int(one)] == known[int(other)] for one, other in zip(lefts, rights, strict=True)])

    def truth(self) -> tuple[float, float]:
        """Precision and recall over all pairs of records."""
        goldens = dict(zip(self.population.numbers.tolist(), self.population.goldens.tolist(), strict=True))
        entities = [self.entities[number] for number in goldens]
        together, same = _pair_count(list(goldens.values())), _pair_count(entities)
        both = _pair_count(list(zip(entities, goldens.values(), strict=True)))
        return both / together, both / same


def _pair_count(keys: Sequence[Hashable]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(keys).values())


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city with every error rate tripled, so that there is something to find."""
    folder = tmp_path_factory.mktemp("city")
    write_city(folder, CITIZENS, SEED, difficulty="hard")
    office = Office(folder / "data")
    office.put_all([record for feed in FEEDS for record in _records(folder, feed)], later=True)
    office.relink()
    artefact = office.writer._journal.artefact
    with office.writer._index.read() as view:
        population = Population.read(view, EntityKind.CITIZEN)
        engine = active_engines(view, artefact)[EntityKind.CITIZEN]
        keys = {number: view.key_of(number) for number, _ in view.iter_records()}
    office.close()
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        truth = {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }
    entities = {int(number): truth[key.registry, key.kind, key.record_id] for number, key in keys.items() if key}
    scored, unblocked = _pairs(population, engine, folder)
    return City(population, engine, scored, unblocked, entities)


def _pairs(population: Population, engine: Engine, folder: Path) -> tuple[Pairs, Pairs]:
    snapshot, predicted = folder / "snapshot.parquet", folder / "pairs.parquet"
    rows = zip(population.numbers.tolist(), population.registries.tolist(), strict=True)
    names = population.registry_names
    write_snapshot(
        snapshot,
        population.kind,
        ((number, names[registry], population.features(place)) for place, (number, registry) in enumerate(rows)),
    )
    predict(snapshot, engine.model, engine.epoch, predicted, threshold_bits=WEIGHT_BITS_MIN)
    apart = apart_pairs(population, engine, predicted)
    everyone = unblocked_pairs(population, engine, population.numbers, apart, _silent)
    return joined([linked_pairs(population, engine, _silent), apart]), everyone


def _silent(_stage: str, _done: int, _whole: int | None) -> None:
    return


def worsened(city: City) -> City:
    """The same city, badly linked: golden records of strangers merged along the strongest false near misses."""
    population, scored = city.population, city.scored
    apart = scored.where(~population.are_together(scored.lefts, scored.rights))
    false = apart.where(~city.are_same(apart.lefts, apart.rights))
    false = false.where(np.argsort(-false.bits, kind="stable")[:25])
    goldens = population.goldens.copy()
    for left, right in zip(population.places(false.lefts), population.places(false.rights), strict=True):
        goldens[goldens == goldens[right]] = goldens[left]
    merged = msgspec.structs.replace(population, goldens=goldens)
    apart = apart.where(~merged.are_together(apart.lefts, apart.rights))
    unblocked = city.unblocked.where(~merged.are_together(city.unblocked.lefts, city.unblocked.rights))
    return City(
        merged,
        city.engine,
        joined([linked_pairs(merged, city.engine, _silent), apart]),
        unblocked,
        city.entities,
    )


def audited(city: City, seed: int) -> Report:
    """Draw, label by the truth with two careless reviewers, and evaluate."""
    searched = searched_records(city.population, SEARCHED, seed)
    met = np.isin(city.unblocked.lefts, searched) | np.isin(city.unblocked.rights, searched)
    pairs = joined([city.scored, city.unblocked.where(met)])
    frame = Frame(city.population, city.engine.model.thresholds, pairs, SEARCHED, 0, "journal", 1, "model", "epoch")
    key = draw_key(frame, SIZE, seed)
    truth = {
        item.id: Label.SAME if city.entities[item.left] == city.entities[item.right] else Label.DIFFERENT
        for item in key.items
    }
    first, second = (_careless(truth, random.Random(f"{seed}/{reviewer}")) for reviewer in "AB")
    third = {item: truth[item] for item in disagreements(first, second)}
    return evaluate(key, first, second, third)


def _careless(truth: dict[str, Label], dice: random.Random) -> dict[str, Label]:
    other = {Label.SAME: Label.DIFFERENT, Label.DIFFERENT: Label.SAME}
    said = {}
    for item, label in truth.items():
        chance = dice.random()
        is_slip, is_unsure = chance < FLIP_SHARE, FLIP_SHARE <= chance < FLIP_SHARE + UNSURE_SHARE
        said[item] = other[label] if is_slip else Label.UNSURE if is_unsure else label
    return said


def summary(name: str, shares: Sequence[Share | None], value: float) -> int:
    """Print how the audits did, and return how many of them held the true value."""
    known = [share for share in shares if share is not None]
    held = sum(share.lower <= value <= share.upper for share in known)
    mean, width = (np.mean([getter(share) for share in known]) for getter in (_middle, _width))
    print(f"\n{name}: truly {value:.4f}, mean estimate {mean:.4f}, mean width {width:.4f}, held {held} times")  # noqa: T201
    return held


def _middle(share: Share) -> float:
    return (share.estimate_min + share.estimate_max) / 2


def _width(share: Share) -> float:
    return share.upper - share.lower


# Everyone is compared with everyone once: half a minute alone.
@pytest.mark.timeout(600)
@pytest.mark.quality
@pytest.mark.parametrize("change", [lambda city: city, worsened], ids=["as linked", "badly linked"])
def test_the_bounds_hold_the_truth_in_nine_of_ten_audits(city: City, change: Callable[[City], City]) -> None:
    audited_city = change(city)
    precision, recall = audited_city.truth()
    reports = [audited(audited_city, seed) for seed in range(REPETITIONS)]
    assert summary("precision", [report.precision for report in reports], precision) >= 90
    assert summary("recall", [report.recall for report in reports], recall) >= 90
