"""From people and firms to the rows of the four registries, each with its own habits."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from mdm.synth import corruption, identifiers
from mdm.synth.clerks import Clerks, Desk, day_before
from mdm.synth.firms import HOUSEHOLD_TAX_CODE_FROM, shortened
from mdm.synth.identifiers import Serials
from mdm.synth.people import ADULT_AGE, CITY_DATE

if TYPE_CHECKING:
    from mdm.synth.addresses import AddressBook
    from mdm.synth.dice import Weighted
    from mdm.synth.feeds import CityFiles
    from mdm.synth.firms import Firm
    from mdm.synth.people import Household, Person
    from mdm.synth.tables import ErrorRates

NEWBORN_DAYS = 60
_ONE_NUMBER_FROM = date(2025, 8, 1)
_FACILITIES = 120
SOCIAL_STATUS_DEAD = "đã chết"
_SOCIAL_STATUS = ("đang đóng", "tạm dừng", "hưởng lương hưu")


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
        share = self._clerks.presence.person * (1.7 if age < 2 else 1.25 if age >= 60 else 0.94)
        if dice.uniform() >= share:
            return
        draw = dice.uniform()
        count = 1 if draw < 0.56 else 2 if draw < 0.83 else 3 if draw < 0.95 else 4
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

    def _write(self, files: CityFiles, person: Person, house: Household, day: date, desk: Desk, facility: int) -> None:
        clerks, rates, dice = self._clerks, desk.rates, self._dice
        day = max(day, person.born_on)
        if person.died_on and day > person.died_on:
            day = person.died_on
        mother = person.mother
        is_newborn = (day - person.born_on).days < NEWBORN_DAYS
        name = clerks.name(person, day, rates)
        if is_newborn and mother is not None and dice.uniform() < rates.newborn_alias:
            self.newborn_aliases += 1
            prefix = dice.choice(("CON BÀ", "CON BÀ", "CB", "C/B", "BÉ CON BÀ"))
            name = f"{prefix} {corruption.name_as_written(mother.name.full, rates, dice)}"
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
            "3" if dice.uniform() < 0.004 else clerks.sex(person, rates),
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
        if age_days <= 28:  # the claim format asks for the time of birth up to 28 days
            return f"{person.born_on:%Y%m%d}{self._dice.below(24):02d}{self._dice.below(60):02d}"
        if precision == "day" or age_days < 5000:
            return f"{known:%Y%m%d}0000" if self._dice.chance(0.5) else f"{known:%Y%m%d}"
        return f"{known.year}00000000"

    def _health_cards(self, person: Person, house: Household, day: date, rates: ErrorRates) -> str:
        dice = self._dice
        if dice.uniform() >= self._clerks.presence.social_number or (person.is_foreign and dice.chance(0.8)):
            return ""
        bearer = dice.choice(house.members) if dice.uniform() < rates.health_card_of_other else person
        age = bearer.age_on(day)
        card = identifiers.health_card(
            dice, bearer.social_number, age, ADULT_AGE <= age < 60, dice.uniform() < rates.health_card_old_prefix
        )
        if dice.uniform() < 0.07:  # the share that shows an earlier card, too
            earlier = identifiers.health_card(dice, bearer.social_number, age, employed=False, outdated=True)
            return f"{card};{earlier}"
        return card

    def _guardian(self, person: Person, day: date, rates: ErrorRates) -> tuple[str, str, str, str]:
        dice, clerks = self._dice, self._clerks
        if person.age_on(day) >= 16 or dice.uniform() >= clerks.presence.guardian:
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
        if person.age_on(CITY_DATE) > 28 and self._dice.uniform() < self._clerks.presence.second_number * 1.6:
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
        works = 18 <= age < 61 and dice.chance(0.55)
        if day >= _ONE_NUMBER_FROM and person.personal_id and number == person.social_number and dice.chance(0.6):
            number = person.personal_id
        written = clerks.address(house.address, house.previous, self._book, day, rates)
        outdated = dice.uniform() < rates.health_card_old_prefix
        by_household = not works and age < 60 and dice.chance(0.7) and (age >= ADULT_AGE or person is not house.head)
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
            return SOCIAL_STATUS_DEAD
        if works:
            return _SOCIAL_STATUS[0]
        return _SOCIAL_STATUS[2] if age >= 61 and self._dice.chance(0.6) else _SOCIAL_STATUS[1]

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
        share = 0.3 if person.is_foreign else 0.4 if age_days < 30 else clerks.presence.person
        if dice.uniform() >= share:
            return
        rates = clerks.desk().rates
        day = max(person.born_on, day_before(dice, CITY_DATE, 1900))
        known, precision = clerks.birth(person, rates)
        formats = {"day": known.isoformat(), "month": f"{known:%m/%Y}", "year": str(known.year)}
        permanent = clerks.address(house.registered, house.registered, self._book, day, rates)
        # Who lives where they are registered has one address in the register, written once.
        is_home = house.registered is house.address
        current = permanent if is_home else clerks.address(house.address, house.address, self._book, day, rates)
        mother, father, spouse = person.mother, person.father, person.spouse
        died_on = person.died_on if person.died_on and dice.uniform() >= rates.dead_still_active else None
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
            died_on.isoformat() if died_on else "",
            clerks.stamp(max(day, died_on or day)),
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
        # Nobody represents a firm as a minor: an older firm has come to them.
        of_age_on = person.born_on + timedelta(days=ADULT_AGE * 366)
        day = min(CITY_DATE, max(firm.established_on, of_age_on, day_before(dice, CITY_DATE, 4200)))
        if firm.form == "household_business" and len(firm.tax_code) == 12:
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
