"""What changes after a city was written: a second set of feeds with only the changed rows, and the truth after them.

Two of the changes give a record another bearer: a company's new representative and a recycled patient number.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.parquet as pq

from mdm.errors import InvalidInputError
from mdm.synth import addresses
from mdm.synth.addresses import AddressBook, Written
from mdm.synth.dice import Dice
from mdm.synth.feeds import COLUMNS, TRUTH_COLUMNS, CsvWriter, FeedFormat, ParquetWriter, Row
from mdm.synth.people import ADULT_AGE, CITY_DATE
from mdm.synth.records import SOCIAL_STATUS_DEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_STREAM_UPDATES = 50
_UPDATE_DAYS = 30
"""All updates happen within so many days after the city's date, so they are newer than every row of the city."""

_NEWBORN_ALIAS = re.compile(r"^(CON|CB|C/B|BÉ)\b", re.IGNORECASE)
_NAMED_SHARE = 0.6
_RECYCLED_SHARE = 0.1
_NEW_REPRESENTATIVE_SHARE = 0.5
_PASSES_ON_SHARE = 0.5
_BLOCK_ROWS = 20_000
_WEDDING_SHARE = 0.5
_WEDDING_AGES = range(20, 40)
_DEATH_SHARE = 0.5
_DEATH_AGE_MIN = 60
_DEATH_SEEN_SHARE = 0.7
"""Deaths that social security has heard of within the month."""


class Wedding(NamedTuple):
    """What the household register writes of one of a couple; the household is that of the one who does not move."""

    spouse_name: str
    household: dict[str, str]
    """Columns that whoever moves takes over; empty for the other."""


class Resident(NamedTuple):
    """What the household register says of a person."""

    entity_id: str
    name: str
    birth_date: str
    sex: str
    personal_id: str
    phone: str
    address: str
    household_id: str
    is_adult: bool
    died_on: str


@dataclass(slots=True)
class UpdateReport:
    """How many rows of each kind were written."""

    rows: int = 0
    moved: int = 0
    personal_ids_corrected: int = 0
    newborns_named: int = 0
    new_representatives: int = 0
    patient_numbers_recycled: int = 0
    marriages: int = 0
    deaths: int = 0


def write_updates(directory: Path, city_directory: Path, seed: int, share: float = 0.02) -> UpdateReport:
    """Write the changed rows of a city into a directory, in feeds of the same names, and the truth after the update.

    Households move (their rows in three feeds follow, half of those outside the household register), personal IDs are
    corrected after the household register, newborns get their names, couples marry and one moves in with the other,
    old people die, companies get new representatives, and patient numbers pass to other people. `truth.csv` covers
    every row of the city as it is after the update.

    Args:
        directory: Files of the same name in it are replaced. Not the city's own directory.
        city_directory: Written by `write_city`.
        seed: The same seed and city give the same bytes.
        share: Of households that move, and the scale of the other changes; from 0 to 1.

    Raises:
        InvalidInputError: The share is out of range, there is no city in `city_directory`, or it is `directory`.

    Cost:
        Keeps what the household register says in memory, about 1 KB a citizen.
    """
    if not 0 < share <= 1:
        raise InvalidInputError("share", "must be above 0 and at most 1")
    if directory.resolve() == city_directory.resolve():
        raise InvalidInputError("directory", "must not be the city's own: its feeds would be lost")
    if not (city_directory / "truth.csv").is_file():
        raise InvalidInputError("city_directory", "must hold a city: truth.csv is missing")
    directory.mkdir(parents=True, exist_ok=True)
    return _Updates(directory, city_directory, seed, share).write()


def read_rows(directory: Path, feed: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a feed of a city, CSV or Parquet, in file order."""
    parquet = directory / f"{feed}.parquet"
    if parquet.is_file():
        with pq.ParquetFile(parquet) as file:
            for batch in file.iter_batches(_BLOCK_ROWS):
                yield from batch.to_pylist()
        return
    with (directory / f"{feed}.csv").open(encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


class _Updates:
    def __init__(self, directory: Path, city_directory: Path, seed: int, share: float) -> None:
        self._directory = directory
        self._city = city_directory
        self._share = share
        self._dice = Dice(seed, _STREAM_UPDATES)
        self._book = AddressBook(self._dice)
        self._report = UpdateReport()
        self._truth = self._read_truth()
        self._residents: dict[str, Resident] = {}
        self._adults: list[Resident] = []
        self._homes: dict[str, Written | None] = {}
        self._weddings: dict[str, Wedding] = {}
        self._format: FeedFormat = "parquet" if (city_directory / "company.businesses.parquet").is_file() else "csv"

    def write(self) -> UpdateReport:
        self._weddings = self._couples()
        self._write_feed("household.residents", self._household)
        self._adults = [resident for resident in self._residents.values() if resident.is_adult and resident.personal_id]
        self._write_feed("hospital.patients", self._patient)
        self._write_feed("social_security.insured", self._insured)
        self._write_feed("social_security.employers", self._employer)
        self._write_feed("company.businesses", self._business)
        truth = CsvWriter(self._directory / "truth.csv", TRUTH_COLUMNS)
        truth.write([[*key, entity_id] for key, entity_id in self._truth.items()])
        truth.close()
        return self._report

    def _read_truth(self) -> dict[tuple[str, str, str], str]:
        with (self._city / "truth.csv").open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            return {(registry, kind, record_id): entity_id for registry, kind, record_id, entity_id in rows}

    def _write_feed(self, feed: str, change: Callable[[dict[str, str]], bool]) -> None:
        """Write the rows of a feed that `change` says it changed, with a later time."""
        kind = ParquetWriter if self._format == "parquet" else CsvWriter
        writer = kind(self._directory / f"{feed}.{self._format}", COLUMNS[feed])
        changed: list[Row] = []
        for row in read_rows(self._city, feed):
            if change(row):
                row["updated_at"] = self._later()
                changed.append([row[column] for column in COLUMNS[feed]])
        writer.write(changed)
        writer.close()
        self._report.rows += len(changed)

    def _later(self) -> str:
        dice = self._dice
        day = CITY_DATE + timedelta(days=dice.between(1, _UPDATE_DAYS))
        return f"{day.isoformat()}T{dice.between(7, 16):02d}:{dice.below(60):02d}:{dice.below(60):02d}+07:00"

    def _new_home(self) -> Written:
        place = self._book.address(self._dice)
        return addresses.write(place, self._dice, old_tiers=False, short=False, to_ward=True, with_code=True)

    def _home_of(self, household_id: str) -> Written | None:
        """Return where a household has moved to, or None if it stays. Drawn once for each household."""
        if household_id not in self._homes:
            self._homes[household_id] = self._new_home() if self._dice.chance(self._share) else None
        return self._homes[household_id]

    def _couples(self) -> dict[str, Wedding]:
        """Choose who marries: unmarried people of different households that stay where they are, by record id."""
        waiting: dict[str, list[dict[str, str]]] = {"F": [], "M": []}
        for row in read_rows(self._city, "household.residents"):
            is_free = row["sex"] in waiting and not (row["spouse_name"] or row["died_on"])
            if is_free and CITY_DATE.year - _year(row) in _WEDDING_AGES and self._home_of(row["household_id"]) is None:
                waiting[row["sex"]].append(row)
        weddings: dict[str, Wedding] = {}
        for bride in waiting["F"]:
            if not waiting["M"] or not self._dice.chance(min(1.0, self._share * _WEDDING_SHARE * 2)):
                continue
            groom = waiting["M"].pop(self._dice.below(len(waiting["M"])))
            if groom["household_id"] == bride["household_id"]:
                continue
            mover, host = (bride, groom) if self._dice.chance(0.7) else (groom, bride)
            columns = (
                "household_id",
                "permanent_address",
                "permanent_ward_code",
                "current_address",
                "current_ward_code",
            )
            household = {column: host[column] for column in columns}
            by_head, by_child = ("vợ", "con dâu") if mover is bride else ("chồng", "con rể")
            household["relation_to_head"] = by_head if host["relation_to_head"] == "chủ hộ" else by_child
            weddings[mover["record_id"]] = Wedding(host["full_name"], household)
            weddings[host["record_id"]] = Wedding(mover["full_name"], {})
            self._report.marriages += 1
        return weddings

    def _household(self, row: dict[str, str]) -> bool:
        home = self._home_of(row["household_id"])
        year = _year(row)
        entity_id = self._truth["household", "citizen", row["record_id"]]
        is_changed = home is not None
        if home is not None:
            row["current_address"], row["current_ward_code"] = home
            self._report.moved += 1
        if (wedding := self._weddings.get(row["record_id"])) is not None:
            row["spouse_name"] = wedding.spouse_name
            row.update(wedding.household)
            is_changed = True
        is_old = not row["died_on"] and CITY_DATE.year - year >= _DEATH_AGE_MIN
        if is_old and self._dice.chance(self._share * _DEATH_SHARE):
            row["died_on"] = (CITY_DATE + timedelta(days=self._dice.between(0, 1))).isoformat()
            self._report.deaths += 1
            is_changed = True
        self._residents[entity_id] = Resident(
            entity_id,
            row["full_name"],
            row["birth_date"],
            row["sex"],
            row["personal_id"] if len(row["personal_id"]) == 12 else "",
            row["phone"],
            row["current_address"],
            row["household_id"],
            is_adult=CITY_DATE.year - year > ADULT_AGE and not row["died_on"],
            died_on=row["died_on"],
        )
        return is_changed

    def _move(self, row: dict[str, str], resident: Resident) -> bool:
        """Let an address outside the household register follow its bearer's move, half the time."""
        home = self._home_of(resident.household_id)
        if home is None or not self._dice.chance(_PASSES_ON_SHARE):
            return False
        row["address"], row["ward_code"] = home
        self._report.moved += 1
        return True

    def _correct(self, row: dict[str, str], resident: Resident) -> bool:
        """Set a missing or wrong personal ID right, now and then."""
        right = resident.personal_id
        # A wrong number is set right ten times as often as a missing one is found.
        chance = self._share * (1.0 if row["personal_id"] else 0.1) * 10
        if not right or row["personal_id"] == right or not self._dice.chance(min(1.0, chance)):
            return False
        row["personal_id"] = right
        self._report.personal_ids_corrected += 1
        return True

    def _patient(self, row: dict[str, str]) -> bool:
        key = ("hospital", "citizen", row["record_id"])
        if self._adults and self._dice.chance(self._share * _RECYCLED_SHARE):
            successor = self._dice.choice(self._adults)
            if successor.entity_id != self._truth[key]:
                self._recycle(row, successor)
                self._truth[key] = successor.entity_id
                return True
        resident = self._residents.get(self._truth[key])
        if resident is None:
            return False
        is_changed = self._move(row, resident)
        is_changed |= self._correct(row, resident)
        if _NEWBORN_ALIAS.match(row["full_name"]) and self._dice.chance(_NAMED_SHARE):
            row["full_name"] = resident.name
            self._report.newborns_named += 1
            is_changed = True
        return is_changed

    def _recycle(self, row: dict[str, str], bearer: Resident) -> None:
        """Hand the patient number to another person: nothing of the earlier one stays but the hospital."""
        kept = {"record_id", "facility_id", "nationality"}
        row.update(dict.fromkeys(set(row) - kept, ""))
        row["full_name"] = bearer.name
        row["birth_date"] = bearer.birth_date.replace("-", "")
        row["sex"] = {"M": "1", "F": "2"}.get(bearer.sex, "3")
        row["nationality"] = "VN"
        row["personal_id"], row["phone"], row["address"] = bearer.personal_id, bearer.phone, bearer.address
        self._report.patient_numbers_recycled += 1

    def _insured(self, row: dict[str, str]) -> bool:
        resident = self._residents.get(self._truth["social_security", "citizen", row["record_id"]])
        if resident is None:
            return False
        is_changed = self._move(row, resident)
        is_changed |= self._correct(row, resident)
        is_news = resident.died_on >= CITY_DATE.isoformat() and row["status"] != SOCIAL_STATUS_DEAD
        if is_news and self._dice.chance(_DEATH_SEEN_SHARE):
            row["status"] = SOCIAL_STATUS_DEAD
            is_changed = True
        return is_changed

    def _employer(self, row: dict[str, str]) -> bool:
        if not self._dice.chance(self._share):
            return False
        row["address"], row["ward_code"] = self._new_home()
        self._report.moved += 1
        return True

    def _business(self, row: dict[str, str]) -> bool:
        # The code of a household business is its owner's: another owner would be another business.
        is_company = row["form"] != "household_business"
        if not is_company or not self._adults or not self._dice.chance(self._share * _NEW_REPRESENTATIVE_SHARE):
            return False
        key = ("company", "citizen", row["record_id"])
        follower = self._dice.choice(self._adults)
        if follower.entity_id == self._truth[key]:
            return False
        row["representative_name"], row["representative_birth_date"] = follower.name, follower.birth_date
        row["representative_sex"], row["representative_personal_id"] = follower.sex, follower.personal_id
        row["representative_address"], row["representative_phone"] = follower.address, follower.phone
        self._truth[key] = follower.entity_id
        self._report.new_representatives += 1
        return True


def _year(row: dict[str, str]) -> int:
    return int(re.findall(r"\d{4}", row["birth_date"])[0])
