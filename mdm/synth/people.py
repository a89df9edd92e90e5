"""People of the city, as they are: what the registries know of them comes later and is worse."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mdm.synth import identifiers
from mdm.synth.identifiers import Serials

if TYPE_CHECKING:
    from mdm.synth.addresses import Address, AddressBook
    from mdm.synth.dice import Dice
    from mdm.synth.names import Name, Namer

CITY_DATE = date(2026, 9, 30)
"""The last day that any feed knows. Fixed, so that a seed gives the same files for ever."""

ADULT_AGE = 18
CARD_AGE = 14
"""From this age people carry their own card; the CMND was issued from it, too."""

# The nine-digit CMND gave way to the twelve-digit card in the city from 2016.
_CMND_LAST_BIRTH_YEAR = 2001
_NAMESAKE_RING = 4096

# Groups of residents: Kinh 95 %, Hoa 4 %, Khmer and Chăm below 1 %.
_GROUP_SHARES = (("Hoa", 0.042), ("Khmer", 0.006), ("Chăm", 0.002))


@dataclass(slots=True, eq=False)
class Person:
    """One citizen. `name` and all numbers are the true ones. Dates are days; a living person has `died_on` None."""

    number: int
    name: Name
    sex: str
    born_on: date
    group: str
    nationality: str
    personal_id: str
    """Empty for foreigners."""
    cmnd: str
    """Empty for who never held one."""
    passport: str
    social_number: str
    phone: str
    """Empty for who has none of their own."""
    relation: str = ""
    twin: str = ""
    died_on: date | None = None
    former_name: str = ""
    renamed_on: date | None = None
    father: Person | None = None
    mother: Person | None = None
    spouse: Person | None = None

    @property
    def entity_id(self) -> str:
        """The name of this person in `truth.csv`."""
        return f"c{self.number:06d}"

    def entity(self, house: Household) -> list[str]:
        """Return the row of this person, who lives in `house`, in `entities.csv`."""
        kin = [relative.entity_id if relative else "" for relative in (self.mother, self.father, self.spouse)]
        born_on = self.born_on.isoformat()
        who = [self.entity_id, "citizen", "", self.name.full, born_on, self.sex, self.nationality, self.twin]
        return [*who, house.code, *kin, "", ""]

    @property
    def is_foreign(self) -> bool:
        """Whether the person bears a passport instead of a personal ID."""
        return self.nationality != "VN"

    def age_on(self, day: date) -> int:
        """Return the age in full years on a day, at least 0."""
        before_birthday = (day.month, day.day) < (self.born_on.month, self.born_on.day)
        return max(0, day.year - self.born_on.year - before_birthday)

    def name_on(self, day: date) -> str:
        """Return the legal name on a day."""
        return self.former_name if self.renamed_on and day < self.renamed_on else self.name.full


@dataclass(slots=True, eq=False)
class Household:
    """People at one address. The first member is the head."""

    number: int
    code: str
    address: Address
    previous: Address
    registered: Address
    """Where the household is permanently registered: for about a third of the city not where it lives."""
    phone: str
    members: list[Person] = field(default_factory=list)

    @property
    def head(self) -> Person:
        """The head of the household."""
        return self.members[0]


class Births:
    """Makes people. Keeps the counters that number them and a ring of names for namesakes born the same day."""

    def __init__(self, dice: Dice, namer: Namer, namesake_share: float) -> None:
        """Start with nobody born.

        Args:
            dice: The stream that all people come from.
            namer: The name tables.
            namesake_share: Chance that an independent adult gets the full name, sex and birth date of an earlier one.
        """
        self.dice = dice
        self.namer = namer
        self.serials = Serials(dice)
        self.namesakes = 0
        self._namesake_share = namesake_share
        self._count = 0
        self._rings: dict[str, list[tuple[Name, date, str]]] = {"M": [], "F": []}

    @property
    def count(self) -> int:
        """People made so far."""
        return self._count

    def group(self) -> str:
        """Draw the ethnic group of a family."""
        draw = self.dice.uniform()
        for name, share in _GROUP_SHARES:
            if draw < share:
                return name
            draw -= share
        return "Kinh"

    def birth_date(self, age: int) -> date:
        """Draw a birth date of somebody who is `age` years old on the city's date."""
        last = date(CITY_DATE.year - age, CITY_DATE.month, CITY_DATE.day)
        return last - timedelta(days=self.dice.below(365))

    def adult(self, sex: str, age: int, group: str) -> Person:
        """Make an adult who is no child of anybody in the city, now and then a namesake of an earlier one."""
        dice = self.dice
        ring = self._rings[sex]
        if ring and dice.uniform() < self._namesake_share:
            # A namesake is not taken twice: the pair leaves the ring.
            name, born_on, group = ring.pop(dice.below(len(ring)))
            self.namesakes += 1
            return self.person(name, sex, born_on, group)
        born_on = self.birth_date(age)
        name = self.namer.name(dice, sex, born_on.year, group, self.namer.surname(dice, group))
        if len(ring) < _NAMESAKE_RING:
            ring.append((name, born_on, group))
        elif dice.chance(0.2):
            ring[dice.below(_NAMESAKE_RING)] = (name, born_on, group)
        return self.person(name, sex, born_on, group)

    def person(self, name: Name, sex: str, born_on: date, group: str) -> Person:
        """Make a citizen of this name with numbers of their own."""
        dice = self.dice
        age = CITY_DATE.year - born_on.year
        province = identifiers.birth_province(dice) if age > 1 else "079"
        held_cmnd = born_on.year <= _CMND_LAST_BIRTH_YEAR and dice.chance(0.92)
        has_phone = age >= CARD_AGE and dice.chance(0.95 if age < 70 else 0.6)
        self._count += 1
        person = Person(
            number=self._count,
            name=name,
            sex=sex,
            born_on=born_on,
            group=group,
            nationality="VN",
            personal_id=identifiers.personal_id(self.serials, province, sex, born_on),
            cmnd=identifiers.old_identity_card(self.serials, province) if held_cmnd else "",
            passport="",
            social_number=identifiers.social_insurance_number(self.serials),
            phone=identifiers.mobile_phone(dice) if has_phone else "",
        )
        # 0.3 % change their legal name in ten years.
        if age > 1 and dice.uniform() < 0.003:
            person.renamed_on = CITY_DATE - timedelta(days=dice.below(min(3650, 365 * age)))
            person.former_name = self.namer.sibling_given(dice, name, sex, born_on.year).full
        # Mortality doubles about every eight years of age; the dead of the last five years are still in the feeds.
        if age >= 50 and dice.uniform() < 0.10 * 2.0 ** ((age - 65) // 8):
            person.died_on = CITY_DATE - timedelta(days=dice.between(30, 1825))
        return person

    def foreigner(self, age: int) -> Person:
        """Make a foreign resident: a passport, no personal ID."""
        dice = self.dice
        country, name = self.namer.foreigner(dice)
        self._count += 1
        return Person(
            number=self._count,
            name=name,
            sex=dice.choice("MF"),
            born_on=self.birth_date(age),
            group="",
            nationality=country,
            personal_id="",
            cmnd="",
            passport=identifiers.passport(self.serials, dice),
            social_number=identifiers.social_insurance_number(self.serials),
            phone=identifiers.mobile_phone(dice),
        )


def household_at(number: int, code: str, dice: Dice, book: AddressBook) -> Household:
    """Return an empty household with its addresses, present, previous and registered."""
    address = book.address(dice)
    previous = book.address(dice)
    draw = dice.uniform()
    # A third of the city lives elsewhere than it is registered, half of them registered in another province.
    registered = address if draw < 0.67 else previous if draw < 0.83 else book.home_village(dice, address)
    return Household(number, code, address, previous, registered, identifiers.mobile_phone(dice))
