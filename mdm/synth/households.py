"""Families: heads, spouses, children, twins, grandparents, kin and lodgers, 3.5 people on average."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mdm.synth.dice import Weighted
from mdm.synth.people import ADULT_AGE, CITY_DATE, Births, Household, Person, household_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from mdm.synth.addresses import AddressBook
    from mdm.synth.identifiers import Serials
    from mdm.synth.names import Name

TWIN_SHARE = 0.01
FATHER_SON_SHARE = 0.04
"""Sons who bear their father's name with another middle name."""

SHARED_MIDDLE_SHARE = 0.35
"""Siblings who share their middle name."""

_CHILDREN = Weighted([(1, 0.25), (2, 0.52), (3, 0.18), (4, 0.05)])
_SPOUSE_AGE_GAP = 3
_CLOSE_SIBLINGS_DAYS = (300, 1250)


class Families:
    """Makes households and counts the look-alikes in them."""

    def __init__(self, births: Births, book: AddressBook, codes: Serials) -> None:
        """Start with no household."""
        self._births = births
        self._dice = births.dice
        self._book = book
        self._codes = codes
        self._count = 0
        self.twins = 0
        self.father_sons = 0
        self.close_siblings = 0
        self._shapes: Weighted[Callable[[Household], None]] = Weighted(
            [
                (self._single, 0.095),
                (self._couple, 0.060),
                (self._nuclear, 0.435),
                (self._lone_parent, 0.070),
                (self._three_generations, 0.275),
                (self._kin, 0.04),
                (self._lodgers, 0.03),
                (self._foreign, 0.04),
            ]
        )

    def household(self) -> Household:
        """Make a household with its people."""
        self._count += 1
        house = household_at(self._count, self._codes.take("HK79", 9), self._dice, self._book)
        self._shapes.pick(self._dice)(house)
        return house

    def _age(self, mean: float, deviation: float, lowest: int = ADULT_AGE, highest: int = 96) -> int:
        return max(lowest, min(highest, int(self._dice.near(mean, deviation))))

    def _join(self, house: Household, person: Person, relation: str) -> Person:
        person.relation = relation
        house.members.append(person)
        return person

    def _single(self, house: Household) -> None:
        age = self._age(27, 7) if self._dice.chance(0.55) else self._age(60, 15)
        self._join(house, self._births.adult(self._dice.choice("MF"), age, self._births.group()), "chủ hộ")

    def _couple(self, house: Household) -> None:
        self._pair(house, self._age(48, 17, 21), self._births.group())

    def _pair(self, house: Household, age: int, group: str) -> tuple[Person, Person]:
        """Join head and spouse; returns (husband, wife)."""
        husband = self._births.adult("M", age, group)
        wife_age = max(ADULT_AGE, int(age - self._dice.near(_SPOUSE_AGE_GAP, 3)))
        wife = self._births.adult("F", wife_age, group if self._dice.chance(0.93) else "Kinh")
        husband.spouse, wife.spouse = wife, husband
        if self._dice.chance(0.7):
            self._join(house, husband, "chủ hộ")
            self._join(house, wife, "vợ")
        else:
            self._join(house, wife, "chủ hộ")
            self._join(house, husband, "chồng")
        return husband, wife

    def _nuclear(self, house: Household) -> None:
        father, mother = self._pair(house, self._age(41, 9, 22, 72), self._births.group())
        self._children(house, father, mother, "con đẻ")

    def _lone_parent(self, house: Household) -> None:
        group = self._births.group()
        is_mother = self._dice.chance(0.78)
        parent = self._births.adult("F" if is_mother else "M", self._age(42, 10, 20, 70), group)
        self._join(house, parent, "chủ hộ")
        self._children(house, None if is_mother else parent, parent if is_mother else None, "con đẻ")

    def _three_generations(self, house: Household) -> None:
        group = self._births.group()
        grandfather, grandmother = self._pair(house, self._age(66, 8, 48, 92), group)
        if self._dice.chance(0.35):
            gone = grandfather if self._dice.chance(0.7) else grandmother
            house.members.remove(gone)
            house.members[0].relation = "chủ hộ"
            house.members[0].spouse = None
        child = self._child_of(grandfather, grandmother, max(20, CITY_DATE.year - grandmother.born_on.year - 26), group)
        is_son = child.sex == "M"
        self._join(house, child, "con đẻ")
        other = self._births.adult("F" if is_son else "M", max(ADULT_AGE, child.age_on(CITY_DATE) - 2), group)
        child.spouse, other.spouse = other, child
        self._join(house, other, "con dâu" if is_son else "con rể")
        self._children(house, child if is_son else other, other if is_son else child, "cháu")

    def _kin(self, house: Household) -> None:
        group = self._births.group()
        head = self._join(house, self._births.adult(self._dice.choice("MF"), self._age(27, 6), group), "chủ hộ")
        for _ in range(self._dice.between(1, 3)):
            sex = self._dice.choice("MF")
            born_on = head.born_on + timedelta(days=self._close_gap())
            if (CITY_DATE - born_on).days < ADULT_AGE * 366:
                break
            name = self._births.namer.sibling_given(self._dice, head.name, sex, born_on.year)
            if sex != head.sex:
                name = self._births.namer.name(self._dice, sex, born_on.year, group, head.name.surname)
            self.close_siblings += sex == head.sex
            self._join(house, self._births.person(name, sex, born_on, group), "em")

    def _lodgers(self, house: Household) -> None:
        for index in range(self._dice.between(2, 5)):
            person = self._births.adult(self._dice.choice("MF"), self._age(24, 4), self._births.group())
            self._join(house, person, "người ở thuê" if index else "chủ hộ")

    def _foreign(self, house: Household) -> None:
        for index in range(1 + self._dice.chance(0.35)):
            self._join(house, self._births.foreigner(self._age(38, 10, 22)), "người ở nhờ" if index else "chủ hộ")

    def _close_gap(self) -> int:
        return self._dice.between(*_CLOSE_SIBLINGS_DAYS)

    def _child_of(self, father: Person, mother: Person, age: int, group: str) -> Person:
        sex = self._dice.choice("MF")
        born_on = self._births.birth_date(age)
        name = self._births.namer.name(self._dice, sex, born_on.year, group, father.name.surname, mother.name.surname)
        child = self._births.person(name, sex, born_on, group)
        child.father, child.mother = father, mother
        return child

    def _children(self, house: Household, father: Person | None, mother: Person | None, relation: str) -> None:
        """Join the children who still live at home, youngest last."""
        elder = mother or father
        if elder is None:
            return
        born_on = elder.born_on + timedelta(days=int(self._dice.near(26.5, 4.5) * 365.25))
        earliest = elder.born_on + timedelta(days=int(17.5 * 365.25))
        born_on = max(born_on, earliest)
        previous: Person | None = None
        for _ in range(_CHILDREN.pick(self._dice)):
            age = (CITY_DATE - born_on).days // 365
            if born_on > CITY_DATE:
                return
            # Grown children leave: at 25 about half have.
            if age < 20 or self._dice.chance(0.55 if age < 30 else 0.2):
                previous = self._child(house, father, mother, relation, born_on, previous)
                if self._dice.chance(TWIN_SHARE):
                    previous = self._twin(house, previous, relation)
            born_on += timedelta(days=self._close_gap() if self._dice.chance(0.4) else self._dice.between(700, 2600))

    def _child(
        self,
        house: Household,
        father: Person | None,
        mother: Person | None,
        relation: str,
        born_on: date,
        previous: Person | None,
    ) -> Person:
        dice = self._dice
        sex = "M" if dice.chance(0.52) else "F"
        head = father or mother or house.head
        surname = head.name.surname
        mother_surname = mother.name.surname if mother and mother is not head else ""
        name = self._births.namer.name(dice, sex, born_on.year, head.group, surname, mother_surname)
        if previous is not None and previous.sex == sex and previous.name.middle and dice.chance(SHARED_MIDDLE_SHARE):
            name = self._births.namer.sibling_given(dice, previous.name, sex, born_on.year)
            self.close_siblings += abs((born_on - previous.born_on).days) <= 3 * 365
        elif sex == "M" and father and dice.chance(FATHER_SON_SHARE):
            name = self._name_after(father.name, name)
            self.father_sons += 1
        child = self._births.person(name, sex, born_on, head.group)
        child.father, child.mother = father, mother
        return self._join(house, child, relation)

    def _name_after(self, father: Name, drawn: Name) -> Name:
        """Return the father's name less a middle word, or with another middle."""
        shorter = father.middle.rpartition(" ")[0]
        middle = shorter if shorter or self._dice.chance(0.5) else drawn.middle
        return father._replace(middle=middle if middle != father.middle else "")

    def _twin(self, house: Household, first: Person, relation: str) -> Person:
        dice = self._dice
        sex = first.sex if dice.chance(0.75) else ("F" if first.sex == "M" else "M")
        name = self._births.namer.twin(dice, first.name, sex, first.born_on.year)
        if sex != first.sex:
            father = first.father or first.mother or first
            name = self._births.namer.name(dice, sex, first.born_on.year, father.group, first.name.surname)
        twin = self._births.person(name, sex, first.born_on, first.group)
        twin.father, twin.mother = first.father, first.mother
        first.twin, twin.twin = "1/2", "2/2"
        self.twins += 1
        return self._join(house, twin, relation)
