"""Cities as the suite reads them: names, records, truth and strata."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.cities import CityKind, CityName
from mdm.domain.keys import EntityKind
from mdm.domain.records import BusinessAttributes, CitizenAttributes
from mdm.store.layout import source_key_bytes


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("20000:7:hard", CityName(20_000, 7, "hard")),
        ("20000:3", CityName(20_000, 3, "default")),
        ("500", CityName(500, 7, "default")),
    ],
)
def test_a_city_is_named_by_size_seed_and_difficulty(argument: str, name: CityName) -> None:
    assert CityName.parse(argument) == name


@pytest.mark.parametrize("argument", ["", "x", "100:x", "100:1:easy", "100:1:hard:more", "-5"])
def test_other_names_are_refused(argument: str) -> None:
    with pytest.raises(ValueError, match="CITIZENS:SEED:DIFFICULTY"):
        CityName.parse(argument)


def test_records_stand_in_the_order_of_the_crosswalk(small_city: dict[EntityKind, CityKind]) -> None:
    for kind, city in small_city.items():
        keys = [source_key_bytes(source.key) for source in city.sources]
        assert keys == sorted(keys)
        assert {source.key.kind for source in city.sources} == {kind}
        assert list(city.records.encoded) == list(range(1, len(keys) + 1))
        assert len(city.truth.entities) == len(city.truth.registries) == len(keys)
        names = [city.truth.registry_names[code] for code in city.truth.registries]
        assert names == [source.key.registry for source in city.sources]


def test_strata_of_citizens_hold_whom_they_name(small_city: dict[EntityKind, CityKind]) -> None:
    city = small_city[EntityKind.CITIZEN]
    strata = {stratum.name: stratum.records for stratum in city.truth.strata}
    attributes = [each.attributes for each in city.sources if isinstance(each.attributes, CitizenAttributes)]
    assert len(attributes) == len(city.sources)
    for place in np.flatnonzero(strata["newborn alias"]).tolist():
        assert attributes[place].full_name.upper().startswith(("CON ", "CB ", "C/B ", "BÉ CON ")), "named by the mother"
    for place in np.flatnonzero(strata["year-only birth date"]).tolist():
        assert len(attributes[place].birth_date.rstrip("0")) <= 4, "at most a year and zeros"
    adults = strata["adult, number on both sides"] | strata["adult, a side without number"]
    assert np.array_equal(adults, ~strata["child"])
    assert not np.any(strata["newborn alias"] & adults)
    for name, records in strata.items():
        assert 0 < records.sum() < len(records), name
    # A bearer is a twin, a namesake or a foreigner in all their records or in none.
    for name in ("child", "twin", "namesake born the same day", "foreigner"):
        of_bearer = np.bincount(city.truth.entities, strata[name])
        assert np.all((of_bearer == 0) | (of_bearer == np.bincount(city.truth.entities))), name


def test_strata_of_businesses_are_their_forms(small_city: dict[EntityKind, CityKind]) -> None:
    city = small_city[EntityKind.BUSINESS]
    masks = np.stack([stratum.records for stratum in city.truth.strata])
    assert [stratum.name for stratum in city.truth.strata] == ["company", "branch", "household business"]
    assert np.all(masks.sum(axis=0) == 1)
    stated = [
        source.attributes.form.replace("_", " ")
        for source in city.sources
        if isinstance(source.attributes, BusinessAttributes) and source.key.registry == "company"
    ]
    registry = np.array([source.key.registry for source in city.sources]) == "company"
    names = np.array([stratum.name for stratum in city.truth.strata])[masks.argmax(axis=0)]
    assert stated == names[registry].tolist()
