"""A whole city holds what it promises: its bytes, its truth, its rates and its look-alikes."""

from __future__ import annotations

import csv
import filecmp
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from mdm.errors import InvalidInputError
from mdm.synth.city import CityReport, write_city
from mdm.synth.feeds import COLUMNS, KINDS
from mdm.synth.firms import shortened
from mdm.synth.identifiers import has_tax_check_digit
from mdm.synth.people import CITY_DATE
from mdm.synth.tables import wards

CITIZENS = 12_000

Rows = list[dict[str, str]]


class City(NamedTuple):
    """A city read back from its files."""

    directory: Path
    report: CityReport
    feeds: dict[str, Rows]
    truth: dict[tuple[str, str, str], str]

    def bearer(self, registry: str, row: dict[str, str]) -> str:
        """The citizen a row is about."""
        return self.truth[registry, "citizen", row["record_id"]]


def read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    directory = tmp_path_factory.mktemp("city")
    report = write_city(directory, CITIZENS, seed=5)
    feeds = {feed: read(directory / f"{feed}.csv") for feed in COLUMNS}
    truth = {
        (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"]
        for row in read(directory / "truth.csv")
    }
    return City(directory, report, feeds, truth)


def share(hits: int, rows: Rows) -> float:
    return hits / len(rows)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_city(tmp_path / name, 800, seed=9)
    write_city(tmp_path / "other", 800, seed=10)
    files = [f"{feed}.csv" for feed in COLUMNS] + ["truth.csv", "entities.csv"]
    assert filecmp.cmpfiles(tmp_path / "first", tmp_path / "second", files, shallow=False) == (files, [], [])
    assert filecmp.cmpfiles(tmp_path / "first", tmp_path / "other", files, shallow=False)[0] == []


def test_parquet_holds_the_same_rows_as_csv(tmp_path: Path) -> None:
    write_city(tmp_path / "csv", 800, seed=9)
    write_city(tmp_path / "parquet", 800, seed=9, format="parquet")
    for feed in COLUMNS:
        assert pq.read_table(tmp_path / "parquet" / f"{feed}.parquet").to_pylist() == read(
            tmp_path / "csv" / f"{feed}.csv"
        )
    assert filecmp.cmp(tmp_path / "csv" / "truth.csv", tmp_path / "parquet" / "truth.csv", shallow=False)


@pytest.mark.parametrize("citizens", [0, 49, 20_000_001])
def test_a_size_out_of_range_is_refused(tmp_path: Path, citizens: int) -> None:
    with pytest.raises(InvalidInputError, match="citizens: must be from 50 to 20000000"):
        write_city(tmp_path, citizens, seed=1)


def test_the_smallest_city_can_be_written(tmp_path: Path) -> None:
    report = write_city(tmp_path, 50, seed=1)
    assert report.citizens == 50
    assert len(read(tmp_path / "truth.csv")) == report.truth_rows > 100


def test_a_hard_city_states_fewer_numbers_and_slips_more(city: City, tmp_path: Path) -> None:
    write_city(tmp_path, 3000, seed=5, difficulty="hard")
    hard, default = read(tmp_path / "hospital.patients.csv"), city.feeds["hospital.patients"]
    assert share(sum(bool(row["personal_id"]) for row in hard), hard) < 0.8 * share(
        sum(bool(row["personal_id"]) for row in default), default
    )
    assert share(sum(row["full_name"].isascii() for row in hard), hard) > 1.5 * share(
        sum(row["full_name"].isascii() for row in default), default
    )


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    write_city(tmp_path, 300, seed=1, progress=lambda stage, done, whole: seen.append((stage, done, whole)))
    assert seen[-1] == ("people", 300, 300)


def test_the_truth_covers_every_row_once(city: City) -> None:
    expected = {
        (feed.partition(".")[0], kind, row["record_id"])
        for feed in COLUMNS
        for row in city.feeds[feed]
        for kind in KINDS[feed]
    }
    assert set(city.truth) == expected
    assert len(city.truth) == city.report.truth_rows
    assert {entity[0] for key, entity in city.truth.items() if key[1] == "citizen"} == {"c"}
    assert {entity[0] for key, entity in city.truth.items() if key[1] == "business"} == {"b"}


def test_record_ids_are_unique_and_short(city: City) -> None:
    for feed, rows in city.feeds.items():
        ids = [row["record_id"] for row in rows]
        assert len(set(ids)) == len(ids) == city.report.rows[feed]
        assert max(map(len, ids)) <= 20


def test_entities_say_who_every_bearer_of_the_truth_is(city: City) -> None:
    rows = read(city.directory / "entities.csv")
    entities = {row["entity_id"]: row for row in rows}
    assert len(entities) == len(rows)
    assert set(city.truth.values()) <= set(entities)
    for (_, kind, _), entity_id in city.truth.items():
        assert entities[entity_id]["entity_kind"] == kind
    firms = {row["record_id"]: row for row in city.feeds["company.businesses"]}
    for (registry, kind, record_id), entity_id in city.truth.items():
        if (registry, kind) == ("company", "business"):
            firm = entities[entity_id]
            assert firm["form"] == firms[record_id]["form"]
            assert firm["representative"] == city.truth["company", "citizen", record_id]
            assert bool(firm["parent"]) == (firm["form"] == "branch")


def test_entities_are_kin_to_each_other(city: City) -> None:
    entities = {row["entity_id"]: row for row in read(city.directory / "entities.csv")}
    people = [row for row in entities.values() if row["entity_kind"] == "citizen"]
    mothers = [(row, entities[row["mother"]]) for row in people if row["mother"] in entities]
    assert len(mothers) > 0.2 * len(people)
    assert all(mother["sex"] == "F" and mother["since"] < child["since"] for child, mother in mothers)
    twins = [row for row in people if row["twin"]]
    assert len(twins) == 2 * city.report.hard_negatives["twins"]
    births = Counter((row["household"], row["since"]) for row in twins)
    assert set(births.values()) == {2}
    for row in people:
        if row["spouse"] in entities:
            assert entities[row["spouse"]]["spouse"] == row["entity_id"]


def test_values_are_text_that_a_feed_may_carry(city: City) -> None:
    for rows in city.feeds.values():
        for row in rows:
            for value in row.values():
                assert "\n" not in value
                assert "\0" not in value
                assert len(value) < 256


@pytest.mark.parametrize(
    ("feed", "column", "test", "low", "high", "reason"),
    [
        ("hospital.patients", "full_name", "caps", 0.77, 0.84, "80 % in capitals"),
        ("household.residents", "full_name", "caps", 0.99, 1.0, "the register prints capitals"),
        ("hospital.patients", "full_name", "ascii", 0.12, 0.18, "15 % lose all marks; few names have none"),
        ("hospital.patients", "phone", "stated", 0.72, 0.78, "75 % state a phone"),
        ("social_security.insured", "phone", "stated", 0.62, 0.68, "65 % state a phone"),
        ("household.residents", "personal_id", "stated", 0.97, 1.0, "nearly all have a personal ID"),
        ("social_security.insured", "personal_id", "stated", 0.7, 0.8, "77 % of adults, 60 % of children"),
        ("hospital.patients", "health_card", "stated", 0.72, 0.78, "75 % show a card"),
        ("household.residents", "birth_date", "year", 0.01, 0.035, "2 %, four times as many of the old"),
        ("household.residents", "old_personal_id", "stated", 0.33, 0.5, "60 % of adults who held one"),
    ],
)
def test_rates_are_near_the_model(
    city: City, feed: str, column: str, test: str, low: float, high: float, reason: str
) -> None:
    tests: dict[str, Callable[[str], bool]] = {
        "caps": lambda value: value == value.upper(),
        "ascii": lambda value: value.isascii(),
        "stated": bool,
        "year": lambda value: len(value) == 4,
    }
    rows = [row for row in city.feeds[feed] if row["nationality"] == "VN"]
    assert low <= share(sum(tests[test](row[column]) for row in rows), rows) <= high, reason


def test_registries_know_the_share_of_people_that_the_model_says(city: City) -> None:
    known = Counter(
        registry for registry, _ in {(key[0], entity) for key, entity in city.truth.items() if entity[0] == "c"}
    )
    for registry, expected, slack in (
        ("hospital", 0.55, 0.04),
        ("social_security", 0.85, 0.02),
        ("household", 0.96, 0.02),
    ):
        assert known[registry] / CITIZENS == pytest.approx(expected, abs=slack), registry
    assert known["company"] / CITIZENS == pytest.approx(0.09, abs=0.02)


def test_some_people_have_several_patient_numbers_and_two_insurance_numbers(city: City) -> None:
    patients = Counter(city.bearer("hospital", row) for row in city.feeds["hospital.patients"])
    assert 1.6 < sum(patients.values()) / len(patients) < 2.0
    in_one = Counter((city.bearer("hospital", row), row["facility_id"]) for row in city.feeds["hospital.patients"])
    assert sum(count > 1 for count in in_one.values()) / len(in_one) > 0.05
    insured = Counter(city.bearer("social_security", row) for row in city.feeds["social_security.insured"])
    assert 0.01 < sum(count > 1 for count in insured.values()) / len(insured) < 0.03


def test_households_are_as_large_as_the_census_says(city: City) -> None:
    sizes = Counter(row["household_id"] for row in city.feeds["household.residents"])
    mean = len(city.feeds["household.residents"]) / len(sizes)
    assert 3.2 < mean / 0.97 < 3.8


def test_personal_ids_in_the_household_register_fit_their_bearers(city: City) -> None:
    fits = total = 0
    for row in city.feeds["household.residents"]:
        number, year = row["personal_id"], row["birth_date"][:4]
        if len(number) == 12 and row["birth_date"][4:5] == "-":
            total += 1
            century = (int(year) // 100 - 19) * 2 + (row["sex"] == "F")
            fits += number[3] == str(century) and number[4:6] == year[2:]
    assert fits / total > 0.985


def test_numbers_of_different_people_differ(city: City) -> None:
    bearers: dict[str, set[str]] = defaultdict(set)
    for row in city.feeds["household.residents"]:
        bearers[row["personal_id"]].add(city.bearer("household", row))
    bearers.pop("")
    assert sum(len(people) > 1 for people in bearers.values()) <= 0.001 * len(bearers)


def test_tax_codes_are_valid_or_the_owners_number(city: City) -> None:
    for row in city.feeds["company.businesses"]:
        code = row["tax_code"]
        match row["form"]:
            case "company":
                assert has_tax_check_digit(code)
            case "branch":
                assert re.fullmatch(r"\d{10}-\d{3}", code)
                assert has_tax_check_digit(code[:10])
            case _:
                assert (len(code) == 10 and has_tax_check_digit(code) and code[0] == "8") or len(code) == 12


def test_ward_codes_are_official_ones(city: City) -> None:
    codes = {ward.code for ward in wards()} | {code for ward in wards() for code, _ in ward.successors}
    for feed, column in (("hospital.patients", "ward_code"), ("household.residents", "current_ward_code")):
        stated = {row[column] for row in city.feeds[feed]} - {""}
        assert stated <= codes
        assert len(stated) > 200


def test_no_row_is_of_the_future_or_before_its_bearer(city: City) -> None:
    for row in city.feeds["household.residents"]:
        updated = row["updated_at"][:10]
        assert updated <= CITY_DATE.isoformat()
        assert date.fromisoformat(updated).year >= int(re.findall(r"\d{4}", row["birth_date"])[0]) - 1


def test_employees_work_for_employers_of_the_feed(city: City) -> None:
    units = {row["record_id"] for row in city.feeds["social_security.employers"]}
    named = {row["employer_id"] for row in city.feeds["social_security.insured"]} - {""}
    assert named
    assert named <= units


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("twins", 10),
        ("father_and_son_of_one_name", 20),
        ("siblings_close_in_age_and_name", 100),
        ("spouses_of_one_phone_and_address", 1000),
        ("namesakes_born_the_same_day", 30),
        ("newborns_under_their_mothers_name", 100),
        ("owners_with_several_firms", 20),
        ("branches", 30),
        ("shops_of_one_name", 5),
        ("successors_at_one_address", 3),
    ],
)
def test_every_kind_of_look_alike_is_in_the_city(city: City, kind: str, least: int) -> None:
    assert city.report.hard_negatives[kind] >= least


def test_about_one_in_a_hundred_shares_name_and_birth_date_with_a_stranger(city: City) -> None:
    bearers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in city.feeds["household.residents"]:
        name = unicodedata.normalize("NFC", row["full_name"]).upper()
        bearers[name, row["birth_date"]].add(city.bearer("household", row))
    namesakes = sum(len(people) for people in bearers.values() if len(people) > 1)
    assert 0.006 < namesakes / len(city.feeds["household.residents"]) < 0.014


def test_twins_share_birth_date_and_mother_but_not_the_name(city: City) -> None:
    families: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in city.feeds["household.residents"]:
        if row["mother_personal_id"] and len(row["birth_date"]) == 10:
            families[row["household_id"], row["birth_date"], row["mother_personal_id"]].append(row["full_name"])
    pairs = [names for names in families.values() if len(names) == 2]
    assert len(pairs) >= 5
    assert all(left != right for left, right in pairs)


def test_no_row_tells_of_a_death_before_it(city: City) -> None:
    died = [row for row in city.feeds["household.residents"] if row["died_on"]]
    assert len(died) > 50
    assert all(row["died_on"] <= row["updated_at"] for row in died)


def test_newborns_stand_under_their_mothers_name(city: City) -> None:
    named = {city.bearer("household", row): row for row in city.feeds["household.residents"]}
    aliases = [row for row in city.feeds["hospital.patients"] if re.match(r"(CON|CB|C/B|BÉ) ", row["full_name"])]
    assert len(aliases) > 50
    mothers = 0
    for row in aliases:
        known = named.get(city.bearer("hospital", row))
        mothers += bool(known and known["mother_name"] and known["mother_name"] in row["full_name"].upper())
    assert mothers > 0.3 * len(aliases)


def test_a_shop_and_its_owner_can_bear_the_same_number(city: City) -> None:
    same = [
        row for row in city.feeds["company.businesses"] if row["tax_code"] == row["representative_personal_id"] != ""
    ]
    assert len(same) > 200
    for row in same[:50]:
        assert city.truth["company", "business", row["record_id"]] != city.bearer("company", row)


def test_branches_carry_their_parents_code(city: City) -> None:
    codes = {row["tax_code"] for row in city.feeds["company.businesses"] if row["form"] == "company"}
    branches = [row["tax_code"] for row in city.feeds["company.businesses"] if row["form"] == "branch"]
    assert branches
    assert {code[:10] for code in branches} <= codes


def test_employers_are_firms_of_the_company_register(city: City) -> None:
    firms = {
        entity for (registry, kind, _), entity in city.truth.items() if (registry, kind) == ("company", "business")
    }
    units = {
        entity for (registry, _, _), entity in city.truth.items() if registry == "social_security" and entity[0] == "b"
    }
    assert units
    assert units <= firms


def test_firm_names_are_shortened_as_clerks_do() -> None:
    full = "Công ty TNHH Một thành viên Thương mại Dịch vụ Xây dựng An Phát"
    assert shortened(full) == "Cty TNHH MTV TM DV XD An Phát"
