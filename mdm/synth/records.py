"""From people and firms to the rows of the four registries, each with its own habits and slips."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mdm.synth import addresses, corruption, identifiers, tables
from mdm.synth.dice import Dice, generator
from mdm.synth.firms import HOUSEHOLD_TAX_CODE_FROM, shortened
from mdm.synth.identifiers import Serials
from mdm.synth.people import ADULT_AGE, CARD_AGE, CITY_DATE

if TYPE_CHECKING:
    from mdm.synth.addresses import Address, AddressBook, Written
    from mdm.synth.dice import Weighted
    from mdm.synth.feeds import CityFiles
    from mdm.synth.firms import Firm
    from mdm.synth.people import Household, Person
    from mdm.synth.tables import Difficulty, ErrorRates, Presence, Registry

TIERS_CHANGED_ON = date(2025, 7, 1)
"""Two tiers of units instead of three."""

NEWBORN_DAYS = 60
CARE_SHAPE = 0.7
"""Care of a source batch is Gamma with this shape and mean 1: most batches are clean, a few are bad in everything."""

_BATCH_ROWS = 400
_CHIP_ROLLOUT = date(2022, 1, 1)
_NUMERIC_COLUMNS_UNTIL = date(2024, 1, 1)
_PHONES_CHANGED_ON = date(2019, 1, 1)
_ONE_NUMBER_FROM = date(2025, 8, 1)
_CMND_FIRM_UNTIL = date(2021, 1, 1)
_FACILITIES = 120
_SLIP_ON_LIVING_NUMBER = 1 / 15
"""A wrong digit in a personal ID names another living person this often."""

_SEX_CODES = {"hospital": {"M": "1", "F": "2"}}
_SOCIAL_STATUS = ("đang đóng", "tạm dừng", "hưởng lương hưu", "đã chết")


@dataclass(slots=True)
class Desk:
    """One source batch of a registry: its rates under its clerks' care."""

    rates: ErrorRates
    place: int


class Clerks:
    """All desks of one registry, and what they write of a person."""

    def __init__(self, registry: Registry, difficulty: Difficulty, expected_rows: int, seed: int, dice: Dice) -> None:
        """Draw the care of the desks: one for about 400 expected rows, at least eight."""
        self.registry: Registry = registry
        self.dice = dice
        self.presence: Presence = tables.presence(registry, difficulty)
        rates = tables.error_rates(registry, difficulty)
        stream = 100 + tables.REGISTRIES.index(registry)
        cares = generator(seed, stream).gamma(CARE_SHAPE, 1 / CARE_SHAPE, max(8, expected_rows // _BATCH_ROWS))
        self._desks = [Desk(rates.under(float(care)), place) for place, care in enumerate(cares)]
        self._other_numbers: list[str] = []

    def desk(self) -> Desk:
        """Draw the desk that writes a row."""
        return self.dice.choice(self._desks)

    def name(self, person: Person, day: date, rates: ErrorRates) -> str:
        """Return the person's name as written on a day."""
        return corruption.name_as_written(person.name_on(day), rates, self.dice, foreign=person.is_foreign)

    def sex(self, person: Person, rates: ErrorRates) -> str:
        """Return the code of the person's sex, of the other one by mistake, or of unknown."""
        sex = person.sex
        if self.dice.uniform() < rates.sex_wrong:
            sex = "F" if sex == "M" else "M"
        return _SEX_CODES.get(self.registry, {}).get(sex, sex)

    def birth(self, person: Person, rates: ErrorRates) -> tuple[date, str]:
        """Return the birth date as known and how much of it: `day`, `month` or `year`."""
        known = corruption.birth_as_known(person.born_on, rates, self.dice)
        draw = self.dice.uniform()
        year_only = self.presence.birth_year_only * (4.0 if person.born_on.year < 1960 else 0.8)  # noqa: PLR2004
        if draw < year_only:
            return known, "year"
        rest = 1.0 - self.presence.birth_full - self.presence.birth_year_only
        return known, "month" if draw < year_only + rest else "day"

    def personal_id(self, person: Person, house: Household, day: date, rates: ErrorRates) -> str:  # noqa: C901
        """Return the number in the field for the personal ID: right, wrong, somebody else's or empty."""
        dice, here = self.dice, self.presence
        is_child = person.age_on(day) < CARD_AGE
        stated = here.personal_id_adult if day >= _CHIP_ROLLOUT else here.personal_id_adult_before_2022
        if dice.uniform() >= (here.personal_id_child if is_child else stated):
            return self._number_of_parent(person, rates) if is_child else ""
        if person.is_foreign:
            return person.passport
        if is_child and dice.uniform() < rates.personal_id_of_parent:
            return self._number_of_parent(person, rates, always=True)
        if dice.uniform() < rates.personal_id_of_relative and len(house.members) > 1:
            return dice.choice(house.members).personal_id
        held = here.cmnd_instead if self.registry != "company" or day < _CMND_FIRM_UNTIL else 0.0
        number = person.cmnd if person.cmnd and not is_child and dice.uniform() < held else person.personal_id
        if dice.uniform() < rates.personal_id_digit_wrong:
            number = self._slip(number)
        self._remember(person.personal_id)
        if day < _NUMERIC_COLUMNS_UNTIL and dice.uniform() < rates.personal_id_zero_lost:
            return number.lstrip("0")
        return number

    def _number_of_parent(self, person: Person, rates: ErrorRates, *, always: bool = False) -> str:
        parent = person.mother or person.father
        if parent is None or parent.is_foreign:
            return person.personal_id if always else ""
        return parent.personal_id if always or self.dice.uniform() < rates.personal_id_of_parent else ""

    def _slip(self, number: str) -> str:
        if self._other_numbers and self.dice.uniform() < _SLIP_ON_LIVING_NUMBER:
            return self.dice.choice(self._other_numbers)
        return corruption.one_digit_wrong(number, self.dice)

    def _remember(self, number: str) -> None:
        if len(self._other_numbers) < 256:  # noqa: PLR2004 - enough to be unrelated
            self._other_numbers.append(number)
        elif self.dice.uniform() < 0.02:  # noqa: PLR2004
            self._other_numbers[self.dice.below(256)] = number

    def phone(self, person: Person, house: Household, day: date, rates: ErrorRates) -> str:
        """Return a phone number: own, the household's, a filler, of before 2018, with its zero lost, or empty."""
        dice = self.dice
        if dice.uniform() >= self.presence.phone:
            return ""
        if dice.uniform() < rates.phone_filler:
            return dice.choice(identifiers.PHONE_FILLERS)
        number = person.phone
        if not number or dice.uniform() < rates.phone_of_household:
            number = house.phone
        if day < _PHONES_CHANGED_ON and dice.uniform() < rates.phone_eleven_digits:
            number = identifiers.ELEVEN_DIGIT_PREFIX.get(number[:3], number[:3]) + number[3:]
        if self.registry == "hospital" and day < _NUMERIC_COLUMNS_UNTIL and dice.uniform() < rates.personal_id_zero_lost:
            return number[1:]
        draw = dice.uniform()
        if draw < 0.08:  # noqa: PLR2004 - the ways to write a phone number
            return f"+84{number[1:]}"
        return f"{number[:4]} {number[4:7]} {number[7:]}" if draw < 0.16 else number  # noqa: PLR2004

    def address(self, place: Address, previous: Address, book: AddressBook, day: date, rates: ErrorRates) -> Written:
        """Return an address as written on a day, in the system of that day or still in the old one."""
        dice = self.dice
        if dice.uniform() < rates.address_previous:
            place = previous
        old_tiers = day < TIERS_CHANGED_ON or dice.uniform() < rates.address_old_tiers
        # Whoever leaves out the district of such a ward names another new unit; a small share of wards can mislead.
        if not place.elsewhere and dice.uniform() < rates.address_false_friend and book.has_false_friend(place):
            return addresses.write_false_friend(place)
        short = dice.uniform() < (0.1 if self.registry == "household" else 0.5)
        to_ward = dice.uniform() < self.presence.address_to_ward
        with_code = dice.uniform() < self.presence.ward_code
        return addresses.write(place, dice, old_tiers=old_tiers, short=short, to_ward=to_ward, with_code=with_code)

    def stamp(self, day: date) -> str:
        """Return a time of that day's office hours."""
        dice = self.dice
        return f"{day.isoformat()}T{dice.between(7, 16):02d}:{dice.below(60):02d}:{dice.below(60):02d}+07:00"


def day_before(dice: Dice, last: date, days: int) -> date:
    """Draw a day up to `days` before `last`, the recent ones far more often."""
    draw = dice.uniform()
    return last - timedelta(days=int(days * draw * draw))


class Hospitals:
    """Writes `hospital.patients`."""

    def __init__(self, clerks: Clerks, book: AddressBook) -> None:
        """Open the counters of the patient numbers."""
        self._clerks = clerks
        self._book = book
        self._dice = clerks.dice
        self._serials = Serials(clerks.dice)
        self.newborn_aliases = 0

    def enter(self, files: CityFiles, person: Person, house: Household) -> None:
        """Write the person's patient records, if any: one to four visits' worth, some doubled in one hospital."""
        dice = self._dice
        age = person.age_on(CITY_DATE)
        # Infants are born in hospitals; the old go there more. The mean over all ages is that of the table.
        share = self._clerks.presence.person * (1.7 if age < 2 else 1.25 if age >= 60 else 0.94)  # noqa: PLR2004
        if dice.uniform() >= share:
            return
        draw = dice.uniform()
        count = 1 if draw < 0.56 else 2 if draw < 0.83 else 3 if draw < 0.95 else 4  # noqa: PLR2004
        for visit in range(count):
            day = self._visit_day(person, visit)
            desk = self._clerks.desk()
            facility = desk.place % _FACILITIES
            self._write(files, person, house, day, desk, facility)
            if dice.uniform() < self._clerks.presence.same_place_duplicate:
                self._write(files, person, house, day_before(dice, CITY_DATE, 700), self._clerks.desk(), facility)

    def _visit_day(self, person: Person, visit: int) -> date:
        dice = self._dice
        last = person.died_on or CITY_DATE
        days = max(1, (last - person.born_on).days)
        if visit == 0 and days < 3 * 365:
            return person.born_on + timedelta(days=min(days, dice.below(NEWBORN_DAYS)))
        return day_before(dice, last, min(days, 4000))

    def _write(  # noqa: PLR0913 - one row
        self, files: CityFiles, person: Person, house: Household, day: date, desk: Desk, facility: int
    ) -> None:
        clerks, rates, dice = self._clerks, desk.rates, self._dice
        day = max(day, person.born_on)
        if person.died_on and day > person.died_on:
            day = person.died_on
        mother = person.mother
        is_newborn = (day - person.born_on).days < NEWBORN_DAYS
        name = clerks.name(person, day, rates)
        if is_newborn and mother is not None and dice.uniform() < rates.newborn_alias:
            self.newborn_aliases += 1
            written = corruption.name_as_written(mother.name.full, rates, dice)
            name = f"{dice.choice(('CON BÀ', 'CON BÀ', 'CB', 'C/B', 'BÉ CON BÀ'))} {written}"
            if person.twin and dice.chance(0.5):
                name = name.replace("CON BÀ", f"CON {person.twin[0]} BÀ")
        written = clerks.address(house.address, house.previous, self._book, day, rates)
        number = clerks.personal_id(person, house, day, rates)
        facility_id = f"BV{facility + 1:03d}"
        row = [
            self._serials.take(f"{facility_id}.{day.year % 100:02d}.", 6),
            facility_id,
            name,
            self._birth(person, day, rates),
            "3" if dice.uniform() < 0.004 else clerks.sex(person, rates),  # noqa: PLR2004
            person.nationality,
            number,
            self._health_cards(person, house, day, rates),
            clerks.phone(person, house, day, rates),
            written.text,
            written.ward_code,
            *self._guardian(person, day, rates),
            person.twin if dice.uniform() < (0.95 if is_newborn else 0.6) else "",
            clerks.stamp(day),
        ]
        files.add("hospital.patients", row, person.entity_id)

    def _birth(self, person: Person, day: date, rates: ErrorRates) -> str:
        known, precision = self._clerks.birth(person, rates)
        age_days = (day - person.born_on).days
        if age_days <= 28:  # noqa: PLR2004 - the claim format asks for the time of birth up to 28 days
            return f"{person.born_on:%Y%m%d}{self._dice.below(24):02d}{self._dice.below(60):02d}"
        if precision == "day" or age_days < 5000:  # noqa: PLR2004
            return f"{known:%Y%m%d}0000" if self._dice.chance(0.5) else f"{known:%Y%m%d}"
        return f"{known.year}00000000"

    def _health_cards(self, person: Person, house: Household, day: date, rates: ErrorRates) -> str:
        dice = self._dice
        if dice.uniform() >= self._clerks.presence.social_number or (person.is_foreign and dice.chance(0.8)):
            return ""
        bearer = dice.choice(house.members) if dice.uniform() < rates.health_card_of_other else person
        age = bearer.age_on(day)
        card = identifiers.health_card(
            dice, bearer.social_number, age, ADULT_AGE <= age < 60, dice.uniform() < rates.health_card_old_prefix  # noqa: PLR2004
        )
        if dice.uniform() < 0.07:  # noqa: PLR2004 - the share that shows an earlier card, too
            earlier = identifiers.health_card(dice, bearer.social_number, age, employed=False, outdated=True)
            return f"{card};{earlier}"
        return card

    def _guardian(self, person: Person, day: date, rates: ErrorRates) -> tuple[str, str, str, str]:
        dice, clerks = self._dice, self._clerks
        if person.age_on(day) >= 16 or dice.uniform() >= clerks.presence.guardian:  # noqa: PLR2004
            return ("", "", "", "")
        parent = person.father if person.father and (person.mother is None or dice.chance(0.25)) else person.mother
        if parent is None:
            return ("", "", "", "")
        relation = "mẹ" if parent.sex == "F" else "cha"
        number = parent.personal_id if dice.chance(0.5) else ""
        return clerks.name(parent, day, rates), relation, number, parent.phone if dice.chance(0.7) else ""


class SocialSecurity:
    """Writes `social_security.insured` and `social_security.employers`."""

    def __init__(self, clerks: Clerks, book: AddressBook, employers: Weighted[str] | None) -> None:
        """Open the counters of the record numbers."""
        self._clerks = clerks
        self._book = book
        self._dice = clerks.dice
        self._employers = employers
        self._serials = Serials(clerks.dice)

    def enter(self, files: CityFiles, person: Person, house: Household) -> None:
        """Write the person's insurance record, if any; 2 % have two numbers."""
        share = self._clerks.presence.person * (0.5 if person.is_foreign else 1.0)
        if self._dice.uniform() >= share:
            return
        self._write(files, person, house, person.social_number, self._day(person))
        if person.age_on(CITY_DATE) > 28 and self._dice.uniform() < self._clerks.presence.second_number * 1.6:  # noqa: PLR2004
            early = date(2016, 1, 1) - timedelta(days=self._dice.below(1800))
            self._write(files, person, house, identifiers.social_insurance_number(self._serials), early)

    def _day(self, person: Person) -> date:
        last = person.died_on or CITY_DATE
        return day_before(self._dice, last, min(3600, max(1, (last - person.born_on).days)))

    def _write(self, files: CityFiles, person: Person, house: Household, number: str, day: date) -> None:
        clerks, dice = self._clerks, self._dice
        rates = clerks.desk().rates
        known, precision = clerks.birth(person, rates)
        formats = {"day": f"{known:%d/%m/%Y}", "month": f"{known:%m/%Y}", "year": str(known.year)}
        age = person.age_on(day)
        works = 18 <= age < 61 and dice.chance(0.55)  # noqa: PLR2004
        if day >= _ONE_NUMBER_FROM and person.personal_id and number == person.social_number and dice.chance(0.6):
            number = person.personal_id
        written = clerks.address(house.address, house.previous, self._book, day, rates)
        outdated = dice.uniform() < rates.health_card_old_prefix
        by_household = not works and age < 60 and dice.chance(0.7)  # noqa: PLR2004
        row = [
            self._serials.take("SS", 9),
            number,
            clerks.name(person, day, rates),
            formats[precision],
            clerks.sex(person, rates),
            person.nationality,
            clerks.personal_id(person, house, day, rates),
            identifiers.health_card(dice, person.social_number, age, works, outdated) if dice.chance(0.8) else "",
            clerks.phone(person, house, day, rates),
            written.text,
            written.ward_code,
            clerks.name(house.head, day, rates) if by_household else "",
            person.relation if by_household else "",
            self._employers.pick(dice) if works and self._employers else "",
            self._status(person, age, works, rates),
            clerks.stamp(day),
        ]
        files.add("social_security.insured", row, person.entity_id)

    def _status(self, person: Person, age: int, works: bool, rates: ErrorRates) -> str:  # noqa: FBT001
        if person.died_on and self._dice.uniform() >= rates.dead_still_active:
            return _SOCIAL_STATUS[3]
        if works:
            return _SOCIAL_STATUS[0]
        return _SOCIAL_STATUS[2] if age >= 61 and self._dice.chance(0.6) else _SOCIAL_STATUS[1]  # noqa: PLR2004

    def enter_employer(self, files: CityFiles, firm: Firm) -> None:
        """Write the employer units of a firm, its name as its personnel office spells it."""
        dice, clerks = self._dice, self._clerks
        for code in firm.employer_ids:
            rates = clerks.desk().rates
            day = max(firm.established_on, day_before(dice, CITY_DATE, 2500))
            name = shortened(firm.name) if dice.chance(0.6) else firm.name
            written = clerks.address(firm.address, firm.address, self._book, day, rates)
            row = [
                code,
                firm.tax_code if dice.chance(0.93) else "",
                corruption.name_as_written(name, rates, dice),
                written.text,
                written.ward_code,
                firm.phone if dice.chance(0.6) else "",
                clerks.stamp(day),
            ]
            files.add("social_security.employers", row, firm.entity_id)


class Residence:
    """Writes `household.residents`, the most careful of the four."""

    def __init__(self, clerks: Clerks, book: AddressBook) -> None:
        """Open the counters of the record numbers."""
        self._clerks = clerks
        self._book = book
        self._dice = clerks.dice
        self._serials = Serials(clerks.dice)

    def enter(self, files: CityFiles, person: Person, house: Household) -> None:
        """Write the person's resident record, if any."""
        dice, clerks = self._dice, self._clerks
        age_days = (CITY_DATE - person.born_on).days
        share = 0.3 if person.is_foreign else 0.4 if age_days < 30 else clerks.presence.person  # noqa: PLR2004
        if dice.uniform() >= share:
            return
        rates = clerks.desk().rates
        day = max(person.born_on, day_before(dice, CITY_DATE, 1900))
        known, precision = clerks.birth(person, rates)
        formats = {"day": known.isoformat(), "month": f"{known:%m/%Y}", "year": str(known.year)}
        permanent = clerks.address(house.registered, house.registered, self._book, day, rates)
        current = clerks.address(house.address, house.address, self._book, day, rates)
        mother, father, spouse = person.mother, person.father, person.spouse
        is_stated_dead = person.died_on and dice.uniform() >= rates.dead_still_active
        row = [
            self._serials.take("DC", 10),
            clerks.personal_id(person, house, day, rates),
            person.cmnd if person.cmnd and dice.uniform() < clerks.presence.old_personal_id else "",
            clerks.name(person, day, rates),
            person.former_name if person.former_name and dice.chance(0.5) else "",
            formats[precision],
            clerks.sex(person, rates),
            person.group,
            person.nationality,
            permanent.text,
            permanent.ward_code,
            current.text,
            current.ward_code,
            house.code,
            person.relation,
            clerks.name(father, day, rates) if father else "",
            clerks.name(mother, day, rates) if mother else "",
            mother.personal_id if mother and dice.chance(0.8) else "",
            clerks.name(spouse, day, rates) if spouse else "",
            clerks.phone(person, house, day, rates),
            person.died_on.isoformat() if person.died_on and is_stated_dead else "",
            clerks.stamp(day),
        ]
        files.add("household.residents", row, person.entity_id)


class CompanyRegister:
    """Writes `company.businesses` with their representatives."""

    def __init__(self, clerks: Clerks, book: AddressBook) -> None:
        """Open the counters of the record numbers."""
        self._clerks = clerks
        self._book = book
        self._dice = clerks.dice
        self._serials = Serials(clerks.dice)

    def enter(self, files: CityFiles, firm: Firm, person: Person, house: Household) -> None:
        """Write a firm and its representative: one row, two entities."""
        dice, clerks = self._dice, self._clerks
        rates = clerks.desk().rates
        day = max(firm.established_on, day_before(dice, CITY_DATE, 4200))
        if firm.form == "household_business" and len(firm.tax_code) == 12:  # noqa: PLR2004
            day = max(day, HOUSEHOLD_TAX_CODE_FROM + timedelta(days=dice.below(400)))
        known, precision = clerks.birth(person, rates)
        seat = clerks.address(firm.address, firm.address, self._book, day, rates)
        home = clerks.address(house.address, house.previous, self._book, day, rates)
        shop = firm.form == "household_business"
        row = [
            self._serials.take("DN" if not shop else "HKD", 8),
            firm.form,
            firm.tax_code,
            corruption.name_as_written(shortened(firm.name) if dice.chance(0.15) else firm.name, rates, dice),
            firm.foreign_name if dice.chance(0.35) else "",
            firm.brand if not shop and dice.chance(0.3) else "",
            seat.text,
            seat.ward_code,
            firm.phone if dice.uniform() < clerks.presence.phone else "",
            firm.established_on.isoformat(),
            firm.status,
            clerks.name(person, day, rates),
            str(known.year) if precision == "year" else f"{known:%d/%m/%Y}",
            clerks.sex(person, rates),
            clerks.personal_id(person, house, day, rates),
            home.text,
            # Owners of shops give the shop's number as their own.
            firm.phone if shop and dice.chance(0.4) else clerks.phone(person, house, day, rates),
            clerks.stamp(day),
        ]
        files.add("company.businesses", row, firm.entity_id, person.entity_id)
