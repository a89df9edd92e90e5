"""Synthetic cities: their records, truth and strata, and every way of linking them."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np

from benchmarks.quality.batch import link_batch
from benchmarks.quality.datasets import Linkage, Mask, Stratum, Truth, Workshop
from benchmarks.quality.online import Subject, link_online
from benchmarks.quality.peers.rows import plain_rows
from benchmarks.quality.peers.runs import link_with_peers
from mdm.config import Configuration
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.domain.records import Assurance, BusinessAttributes, CitizenAttributes, IdentifierType, SourceRecord
from mdm.feeds.mapping import RowMapper, UpsertOperation
from mdm.feeds.reading import Row, open_feed
from mdm.linkage.codec import encode_features
from mdm.linkage.normalise.record import normalise
from mdm.resolve.relink_snapshot import Records
from mdm.store.layout import source_key_bytes
from mdm.synth.city import write_city
from mdm.synth.people import ADULT_AGE, CITY_DATE

Entity = dict[str, str]
"""A row of `entities.csv`."""

_NEWBORN_ALIAS = re.compile(r"^\s*(CON|CB|C/B|BÉ CON)\s")
_YEAR_ONLY = re.compile(r"^\s*\d{4}(0{4,8})?\s*$")
"""A bare year, or a year whose month and day are zeros."""

_OWN_NUMBERS = {IdentifierType.PERSONAL_ID, IdentifierType.OLD_PERSONAL_ID, IdentifierType.PASSPORT}


class CityName(NamedTuple):
    """What `city:20000:7:hard` says."""

    citizens: int
    seed: int
    difficulty: Literal["default", "hard"]

    @classmethod
    def parse(cls, argument: str) -> CityName:
        """Read `CITIZENS:SEED:DIFFICULTY`; seed and difficulty may be left out.

        Raises:
            ValueError: It is something else.
        """
        citizens, seed, difficulty, *more = [*argument.split(":"), *("", "7", "default")[argument.count(":") + 1 :]]
        if more or difficulty not in {"default", "hard"} or not citizens.isdigit() or not seed.isdigit():
            raise ValueError("a city is named city:CITIZENS:SEED:DIFFICULTY, e.g. city:20000:7:hard")
        return cls(int(citizens), int(seed), cast("Literal['default', 'hard']", difficulty))


@dataclass(frozen=True, slots=True, eq=False)
class CityKind:
    """All records of one kind, in the order of their source keys, as a re-linkage takes them."""

    sources: list[SourceRecord]
    records: Records
    """Features by number, which is position + 1."""
    truth: Truth

    def describe(self, position: int) -> dict[str, str]:
        """Return the raw values of a record by name, for a reader of examples."""
        return describe(self.sources[position])


def link_city(argument: str, workshop: Workshop) -> Iterator[Linkage]:
    """Write a city, link it in every way, and yield each: citizens, then businesses."""
    name = CityName.parse(argument)
    workshop.say(f"writing a city of {name.citizens:,}")
    write_city(workshop.scratch / "city", name.citizens, name.seed, difficulty=name.difficulty)
    workshop.say("reading it")
    city = read_city(workshop.scratch / "city")
    subjects: dict[EntityKind, Subject] = {}
    for kind, content in city.items():
        batch = link_kind(content, workshop)
        subjects[kind] = Subject(content.sources, content.truth, batch.clusters)
        yield batch
        yield from link_with_peers(kind, plain_rows(kind, content.sources), content.truth, workshop)
    if name.citizens <= workshop.options.online_citizens_max:
        yield from link_online(subjects, workshop)
    else:
        workshop.say(f"not loaded online: more than --online-citizens-max {workshop.options.online_citizens_max}")


def link_kind(city: CityKind, workshop: Workshop) -> Linkage:
    """Link the records of one kind in batch."""
    registries = [source.key.registry for source in city.sources]
    return link_batch(city.records, registries, city.truth, workshop, city.describe)


def read_city(directory: Path) -> dict[EntityKind, CityKind]:
    """Read feeds, truth and entities of a city that `write_city` wrote as CSV."""
    truth = {
        (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"]
        for row in _rows(directory / "truth.csv")
    }
    entities = {row["entity_id"]: row for row in _rows(directory / "entities.csv")}
    sources: dict[EntityKind, list[SourceRecord]] = {kind: [] for kind in EntityKind}
    for record in city_records(directory):
        sources[record.key.kind].append(record)
    city = {}
    for kind, records in sources.items():
        records.sort(key=lambda record: source_key_bytes(record.key))
        bearers = [truth[each.key.registry, each.key.kind, each.key.record_id] for each in records]
        encoded = {
            RecordNumber(number): encode_features(normalise(record).features)
            for number, record in enumerate(records, start=1)
        }
        city[kind] = CityKind(records, Records(kind, encoded), _truth(kind, records, bearers, entities))
    return city


def city_records(directory: Path) -> Iterator[SourceRecord]:
    """Yield every record of a city's feeds, feed by feed."""
    configuration = Configuration.load(None)
    for name in configuration.feed_names:
        feed = open_feed(directory / f"{name}.csv")
        mapper = RowMapper(configuration, name, feed.columns)
        for row in feed.rows():
            operations = mapper.operations(row) if isinstance(row, Row) else None
            if not isinstance(operations, tuple):
                raise TypeError(f"a row of the synthetic feed {name} was set aside")
            for operation in operations:
                if isinstance(operation, UpsertOperation):
                    yield operation.record


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _truth(kind: EntityKind, records: list[SourceRecord], bearers: list[str], entities: dict[str, Entity]) -> Truth:
    codes: dict[str, int] = {}
    registries = sorted({record.key.registry for record in records})
    place = {registry: index for index, registry in enumerate(registries)}
    strata = _citizen_strata if kind is EntityKind.CITIZEN else _business_strata
    return Truth(
        np.array([codes.setdefault(bearer, len(codes)) for bearer in bearers], np.int64),
        np.array([place[record.key.registry] for record in records], np.int64),
        tuple(registries),
        strata(records, [entities[bearer] for bearer in bearers]),
    )


def _citizen_strata(records: list[SourceRecord], bearers: list[Entity]) -> tuple[Stratum, ...]:
    births = Counter((each["name"].casefold(), each["since"]) for each in {id(each): each for each in bearers}.values())
    adult = _mask(_age(each) >= ADULT_AGE for each in bearers)
    has_number = _mask(_states_number(record) for record in records)
    attributes = [cast("CitizenAttributes", record.attributes) for record in records]
    return (
        Stratum("adult, number on both sides", adult & has_number, takes_both=True),
        Stratum("adult, a side without number", adult & ~has_number),
        Stratum("child", ~adult),
        Stratum("newborn alias", _mask(bool(_NEWBORN_ALIAS.match(_upper(each.full_name))) for each in attributes)),
        Stratum("twin", _mask(bool(each["twin"]) for each in bearers)),
        Stratum("year-only birth date", _mask(bool(_YEAR_ONLY.match(each.birth_date)) for each in attributes)),
        Stratum(
            "namesake born the same day", _mask(births[each["name"].casefold(), each["since"]] > 1 for each in bearers)
        ),
        Stratum("foreigner", _mask(each["nationality"] != "VN" for each in bearers)),
    )


def _business_strata(_records: list[SourceRecord], bearers: list[Entity]) -> tuple[Stratum, ...]:
    return tuple(
        Stratum(form.replace("_", " "), _mask(each["form"] == form for each in bearers))
        for form in ("company", "branch", "household_business")
    )


def _mask(values: Iterator[bool]) -> Mask:
    return np.fromiter(values, dtype=np.bool_)


def _upper(name: str) -> str:
    return unicodedata.normalize("NFC", name).upper()


def _age(entity: Entity) -> int:
    born_on = date.fromisoformat(entity["since"])
    return CITY_DATE.year - born_on.year - ((CITY_DATE.month, CITY_DATE.day) < (born_on.month, born_on.day))


def _states_number(record: SourceRecord) -> bool:
    return any(
        each.value.strip() and each.type in _OWN_NUMBERS and each.assurance is not Assurance.GUARDIAN
        for each in record.attributes.identifiers
    )


def describe(record: SourceRecord) -> dict[str, str]:
    """Return the raw values of a synthetic record by name, for a reader of examples."""
    attributes = record.attributes
    shown = {"registry": record.key.registry, "record_id": record.key.record_id}
    match attributes:
        case CitizenAttributes():
            shown |= {
                "name": attributes.full_name,
                "birth_date": attributes.birth_date,
                "sex": attributes.sex,
                "birth_order": attributes.birth_order,
            }
        case BusinessAttributes():
            shown |= {"name": attributes.legal_name, "short_name": attributes.short_name, "form": attributes.form}
    shown["numbers"] = ", ".join(f"{each.type} {each.value}" for each in attributes.identifiers if each.value)
    shown["phones"] = ", ".join(attributes.phones)
    shown["addresses"] = " / ".join(each.text for each in attributes.addresses if each.text)
    shown["relations"] = ", ".join(f"{each.type} {each.name or each.group_id}" for each in attributes.relations)
    return {name: value for name, value in shown.items() if value}
