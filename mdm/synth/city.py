"""Writes a whole synthetic city: five feeds, the truth behind them and who its entities are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdm.errors import InvalidInputError
from mdm.synth.addresses import AddressBook
from mdm.synth.clerks import Clerks
from mdm.synth.dice import Dice
from mdm.synth.feeds import CityFiles, FeedFormat
from mdm.synth.firms import FIRMS_PER_CITIZEN, Firm, Founder
from mdm.synth.households import Families
from mdm.synth.identifiers import Serials
from mdm.synth.names import Namer
from mdm.synth.people import ADULT_AGE, CITY_DATE, Births, Household, Person
from mdm.synth.records import CompanyRegister, Hospitals, Residence, SocialSecurity
from mdm.synth.tables import Registry, presence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdm.synth.firms import FirmPlan
    from mdm.synth.tables import Difficulty

    Progress = Callable[[str, int, int], None]

CITIZENS_MIN, CITIZENS_MAX = 50, 20_000_000
"""Below the first the shares of rare cases mean nothing; above the second serial numbers would come round again."""

_BLOCK_HOUSEHOLDS = 1_500
"""Rows of so many households are held at a time, about 17,000."""

_STREAM_PEOPLE, _STREAM_PLACES, _STREAM_FIRMS, _STREAM_RECORDS = 1, 2, 3, 4

# So that about 1 % of people have a namesake born the same day: adults who are nobody's child here are about half of
# all, and each injection makes two such people, some of whom the household register does not know.
_NAMESAKE_SHARE = 0.011
_SEATS_OUTSIDE_SHARE = 0.05
_ADULT_SHARE = 0.70


@dataclass(frozen=True, slots=True)
class CityReport:
    """What was written: entities, rows, and how many hard negatives of each kind lie among them."""

    citizens: int
    businesses: int
    rows: dict[str, int]
    truth_rows: int
    hard_negatives: dict[str, int]


def write_city(
    directory: Path,
    citizens: int,
    seed: int,
    format: FeedFormat = "csv",  # noqa: A002 - named as the command's option
    difficulty: Difficulty = "default",
    progress: Progress | None = None,
) -> CityReport:
    """Write the feeds, `truth.csv` and `entities.csv` of a city into a directory, which is made if need be.

    Args:
        directory: Files of the same name in it are replaced.
        citizens: People who live in the city, or died there in the last five years. Representatives of firms who live
            elsewhere come on top, about 0.5 %.
        seed: The same seed, size, format and difficulty give the same bytes.
        format: Of the feeds; truth and entities are always CSV.
        difficulty: `hard` makes slips twice as frequent and identifiers rarer.
        progress: Called now and then with the stage, what is done of it and the whole.

    Raises:
        InvalidInputError: The number of citizens is out of range.

    Cost:
        One core; 62 s and 145 MB for 450,000 citizens (1.3 M rows). Memory grows with the firms, not with the people.
    """
    if not CITIZENS_MIN <= citizens <= CITIZENS_MAX:
        raise InvalidInputError("citizens", f"must be from {CITIZENS_MIN} to {CITIZENS_MAX}")
    directory.mkdir(parents=True, exist_ok=True)
    with CityFiles(directory, format) as files:
        return _City(files, citizens, seed, difficulty).write(progress or (lambda _stage, _done, _whole: None))


class _City:
    def __init__(self, files: CityFiles, citizens: int, seed: int, difficulty: Difficulty) -> None:
        self._files = files
        self._citizens = citizens
        self._dice = Dice(seed, _STREAM_RECORDS)
        places, firms, people = Dice(seed, _STREAM_PLACES), Dice(seed, _STREAM_FIRMS), Dice(seed, _STREAM_PEOPLE)
        book = AddressBook(places)
        self._births = Births(people, Namer(), _NAMESAKE_SHARE)
        self._families = Families(self._births, book, Serials(people))
        founder = Founder(firms, book, Serials(firms), Serials(firms))
        self._plan: FirmPlan = founder.plan(max(1, round(citizens * FIRMS_PER_CITIZEN)))
        self._seats: deque[list[Firm]] = deque(self._plan.seats)
        self._spouses = 0

        def clerks(registry: Registry, rows_per_citizen: float) -> Clerks:
            rows = int(citizens * rows_per_citizen * presence(registry, difficulty).person)
            return Clerks(registry, difficulty, rows, seed, self._dice)

        self._hospitals = Hospitals(clerks("hospital", 1.7), book)
        self._social = SocialSecurity(clerks("social_security", 1.1), book, self._plan.employers)
        self._residence = Residence(clerks("household", 1.0), book)
        self._register = CompanyRegister(clerks("company", 1.3), book)

    def write(self, progress: Progress) -> CityReport:
        people = blocks = 0
        seats_inside = len(self._seats) * (1 - _SEATS_OUTSIDE_SHARE)
        adults_expected = self._citizens * _ADULT_SHARE
        while people < self._citizens:
            house = self._families.household()
            del house.members[self._citizens - people :]
            people += len(house.members)
            blocks += 1
            for person in house.members:
                self._enter(person, house, seats_inside / adults_expected)
            self._spouses += sum(person.relation in {"vợ", "chồng"} for person in house.members)
            if blocks % _BLOCK_HOUSEHOLDS == 0:
                self._files.flush(self._dice)
                progress("people", people, self._citizens)
        self._fill_from_outside()
        self._files.flush(self._dice)
        progress("people", people, self._citizens)
        return self._report(people)

    def _enter(self, person: Person, house: Household, seat_chance: float) -> None:
        self._files.add_entity(person.entity(house))
        self._hospitals.enter(self._files, person, house)
        self._social.enter(self._files, person, house)
        self._residence.enter(self._files, person, house)
        is_able = person.age_on(CITY_DATE) >= ADULT_AGE and person.died_on is None
        if is_able and self._dice.uniform() < seat_chance:
            self._take_seat(person, house)

    def _take_seat(self, person: Person, house: Household) -> bool:
        """Let a person represent the firms of the next seat, if there is one that they may take."""
        # Only citizens may own a household business: its code is their personal ID.
        if not self._seats or (person.is_foreign and self._seats[0][0].form == "household_business"):
            return False
        for firm in self._seats.popleft():
            firm.owned_by(person, self._dice)
            self._register.enter(self._files, firm, person, house)
            self._social.enter_employer(self._files, firm)
            self._files.add_entity(firm.entity(person))
        return True

    def _fill_from_outside(self) -> None:
        """Fill the seats that are left with people who live elsewhere: only the company register knows them."""
        while self._seats:
            house = self._families.household()
            for person in house.members:
                is_able = person.age_on(CITY_DATE) >= ADULT_AGE and person.died_on is None
                if is_able and self._take_seat(person, house):
                    self._files.add_entity(person.entity(house))

    def _report(self, people: int) -> CityReport:
        families, plan = self._families, self._plan
        return CityReport(
            citizens=people,
            businesses=plan.firms_count,
            rows=dict(self._files.row_counts),
            truth_rows=self._files.truth_count,
            hard_negatives={
                "twins": families.twins,
                "father_and_son_of_one_name": families.father_sons,
                "siblings_close_in_age_and_name": families.close_siblings,
                "spouses_of_one_phone_and_address": self._spouses,
                "namesakes_born_the_same_day": self._births.namesakes,
                "newborns_under_their_mothers_name": self._hospitals.newborn_aliases,
                "owners_with_several_firms": plan.several_firms,
                "branches": plan.branches,
                "shops_of_one_name": plan.same_shop_names,
                "successors_at_one_address": plan.successors,
            },
        )
