"""What the desks of a registry write of a person: names, dates, numbers and addresses with their slips."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mdm.synth import addresses, corruption, identifiers, tables
from mdm.synth.dice import Dice, generator
from mdm.synth.people import CARD_AGE

if TYPE_CHECKING:
    from mdm.synth.addresses import Address, AddressBook, Written
    from mdm.synth.people import Household, Person
    from mdm.synth.tables import Difficulty, ErrorRates, Presence, Registry

TIERS_CHANGED_ON = date(2025, 7, 1)
"""Two tiers of units instead of three."""

CARE_SHAPE = 0.7
"""Care of a source batch is Gamma with this shape and mean 1: most batches are clean, a few are bad in everything."""

_BATCH_ROWS = 400
_CHIP_ROLLOUT = date(2022, 1, 1)
_NUMERIC_COLUMNS_UNTIL = date(2024, 1, 1)
_PHONES_CHANGED_ON = date(2019, 1, 1)
_CMND_FIRM_UNTIL = date(2021, 1, 1)
_SLIP_ON_LIVING_NUMBER = 1 / 15
"""A wrong digit in a personal ID names another living person this often."""

_SEX_CODES = {"hospital": {"M": "1", "F": "2"}}


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
        year_only = self.presence.birth_year_only * (4.0 if person.born_on.year < 1960 else 0.8)
        if draw < year_only:
            return known, "year"
        rest = 1.0 - self.presence.birth_full - self.presence.birth_year_only
        return known, "month" if draw < year_only + rest else "day"

    def personal_id(self, person: Person, house: Household, day: date, rates: ErrorRates) -> str:
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
        if len(self._other_numbers) < 256:  # enough to be unrelated
            self._other_numbers.append(number)
        elif self.dice.uniform() < 0.02:
            self._other_numbers[self.dice.below(256)] = number

    def phone(self, person: Person, house: Household, day: date, rates: ErrorRates) -> str:
        """Return a phone number: own or earlier, the household's, a filler, of before 2018, its zero lost, or empty."""
        dice = self.dice
        if dice.uniform() >= self.presence.phone:
            return ""
        if dice.uniform() < rates.phone_filler:
            return dice.choice(identifiers.PHONE_FILLERS)
        number = person.phone
        if not number or dice.uniform() < rates.phone_of_household:
            number = house.phone
        elif dice.uniform() < rates.phone_of_other_card:
            number = identifiers.mobile_phone(dice)
        if day < _PHONES_CHANGED_ON and dice.uniform() < rates.phone_eleven_digits:
            number = identifiers.ELEVEN_DIGIT_PREFIX.get(number[:3], number[:3]) + number[3:]
        if (
            self.registry == "hospital"
            and day < _NUMERIC_COLUMNS_UNTIL
            and dice.uniform() < rates.personal_id_zero_lost
        ):
            return number[1:]
        draw = dice.uniform()
        if draw < 0.08:  # the ways to write a phone number
            return f"+84{number[1:]}"
        return f"{number[:4]} {number[4:7]} {number[7:]}" if draw < 0.16 else number

    def address(self, place: Address, previous: Address, book: AddressBook, day: date, rates: ErrorRates) -> Written:
        """Return an address as written on a day, in the system of that day or still in the old one."""
        dice = self.dice
        if dice.uniform() < rates.address_previous:
            place = previous
        old_tiers = day < TIERS_CHANGED_ON or dice.uniform() < rates.address_old_tiers
        # Whoever leaves out the district of such a ward names another new unit. Few wards can mislead, so these do so
        # the more often.
        misleads = not place.elsewhere and book.has_false_friend(place)
        if misleads and dice.uniform() < min(0.5, rates.address_false_friend / book.false_friend_share):
            return addresses.write_false_friend(place)
        short = dice.uniform() < (0.1 if self.registry == "household" else 0.5)
        to_ward = dice.uniform() < self.presence.address_to_ward
        with_code = dice.uniform() < self.presence.ward_code
        written = addresses.write(place, dice, old_tiers=old_tiers, short=short, to_ward=to_ward, with_code=with_code)
        # Desks that lose the marks of names lose those of streets, too.
        if dice.uniform() < rates.diacritics_lost:
            return written._replace(text=corruption.folded(written.text))
        return (
            written._replace(text=corruption.typo(written.text, dice)) if dice.uniform() < rates.name_typo else written
        )

    def stamp(self, day: date) -> str:
        """Return a time of that day's office hours."""
        dice = self.dice
        return f"{day.isoformat()}T{dice.between(7, 16):02d}:{dice.below(60):02d}:{dice.below(60):02d}+07:00"


def day_before(dice: Dice, last: date, days: int) -> date:
    """Draw a day up to `days` before `last`, the recent ones far more often."""
    draw = dice.uniform()
    return last - timedelta(days=int(days * draw * draw))
