"""Names of people as the city bears them: by sex, birth year, group and family."""

from __future__ import annotations

from typing import NamedTuple

from mdm.synth import tables
from mdm.synth.dice import Dice, Weighted

COHORTS = (2007, 1995, 1980, 1960, 1900)

# Share of women whose middle name starts with Thị and of men with Văn, by the first birth year of the cohort.
_THI = {1900: 0.80, 1960: 0.65, 1980: 0.45, 1995: 0.28, 2007: 0.176}
_VAN = {1900: 0.45, 1960: 0.30, 1980: 0.14, 1995: 0.06, 2007: 0.028}
# Share of names with two middle words, and of names with none.
_LONG = {("M", 1900): 0.06, ("M", 1960): 0.08, ("M", 1980): 0.14, ("M", 1995): 0.22, ("M", 2007): 0.26}
_LONG |= {("F", 1900): 0.30, ("F", 1960): 0.38, ("F", 1980): 0.45, ("F", 1995): 0.56, ("F", 2007): 0.645}
_SHORT = {"M": 0.012, "F": 0.004}
_PAIR_SHARE = 0.10
_SURNAME_AS_MIDDLE_SHARE = 0.08

# Twins' given names differ by one word, often only in its marks.
_TWIN_GIVEN = (
    ("Anh", "Ánh"), ("Hân", "Hằng"), ("Long", "Lâm"), ("Khang", "Khánh"), ("Vy", "Vi"), ("Thư", "Thu"),
    ("Trân", "Trâm"),
    ("Phúc", "Phước"), ("Bảo", "Báo"), ("Minh", "Mình"), ("Hoàng", "Hoàn"), ("Thảo", "Thao"), ("Duy", "Duyên"),
    ("Khôi", "Khoa"), ("Ngân", "Ngần"), ("Nhi", "Nhị"), ("Linh", "Lĩnh"), ("My", "Mỹ"), ("Tiến", "Tiên"),
    ("Quân", "Quan"),
)  # fmt: skip
_TWIN_OF = dict(_TWIN_GIVEN) | {second: first for first, second in _TWIN_GIVEN}

_FOREIGN = {
    "KR": (("Kim", "Lee", "Park", "Choi", "Jung"), ("Min Jun", "Seo Yeon", "Ji Hoon", "Hye Jin", "Sung Ho", "Eun Ji")),
    "JP": (("Sato", "Suzuki", "Tanaka", "Watanabe", "Ito"), ("Hiroshi", "Yuki", "Kenji", "Akiko", "Takashi", "Naoko")),
    "CN": (("Wang", "Li", "Zhang", "Chen", "Liu"), ("Wei", "Fang", "Jun", "Xiu Ying", "Lei", "Na")),
    "US": (("Smith", "Johnson", "Nguyen", "Brown", "Tran"), ("Michael", "Jennifer", "David Andrew", "Linda", "Kevin")),
    "FR": (("Martin", "Bernard", "Dubois", "Petit"), ("Jean-Pierre", "Marie", "Nicolas", "Camille", "Luc")),
    "IN": (("Kumar", "Sharma", "Patel", "Singh"), ("Rajesh", "Priya", "Amit", "Anjali", "Sanjay")),
}
_FOREIGN_COUNTRIES = Weighted([("KR", 0.34), ("JP", 0.18), ("CN", 0.24), ("US", 0.12), ("FR", 0.06), ("IN", 0.06)])


class Name(NamedTuple):
    """A name in its three parts, in proper case, with full marks. Middle may be empty."""

    surname: str
    middle: str
    given: str

    @property
    def full(self) -> str:
        """The name as one string, in Vietnamese order."""
        return f"{self.surname} {self.middle} {self.given}" if self.middle else f"{self.surname} {self.given}"

    @property
    def called(self) -> str:
        """Middle and given name, as shops are named after people."""
        last_middle = self.middle.rsplit(" ", 1)[-1]
        return f"{last_middle} {self.given}" if last_middle not in {"", "Thị", "Văn"} else self.given


def cohort_of(birth_year: int) -> int:
    """Return the first birth year of the naming cohort."""
    return next(first for first in COHORTS if birth_year >= first)


class Namer:
    """Draws names. One instance serves a whole city."""

    def __init__(self) -> None:
        """Load the name tables."""
        self._surnames = {group: tables.weighted("surnames.csv", "name", group=group) for group in _GROUPS}
        self._given = {
            (group, sex, first): tables.weighted("given_names.csv", "name", group=group, sex=sex, born_from=str(first))
            for group in _GROUPS
            for sex in "MF"
            for first in (COHORTS if group == "Kinh" else (1900,))
        }
        self._middle = {
            (sex, position, first): tables.weighted(
                "middle_names.csv", "name", sex=sex, position=position, born_from=str(first)
            )
            for sex, position, first in _MIDDLE_TABLES
        }
        pairs = tables.read_table("name_pairs.csv")
        self._pairs = {
            sex: Weighted(((row["middle"], row["given"]), float(row["weight"])) for row in pairs if row["sex"] == sex)
            for sex in "MF"
        }

    def surname(self, dice: Dice, group: str) -> str:
        """Draw a surname of an ethnic group."""
        return self._surnames[group].pick(dice)

    def name(self, dice: Dice, sex: str, birth_year: int, group: str, surname: str, mother_surname: str = "") -> Name:
        """Draw the rest of a name for somebody of this sex, birth year and group."""
        cohort = cohort_of(birth_year)
        if group in {"Khmer", "Chăm"}:
            return Name(surname, "", self._given[group, sex, 1900].pick(dice))
        if group == "Kinh" and dice.uniform() < _PAIR_SHARE:
            middle, given = self._pairs[sex].pick(dice)
            first = self._first_middle(dice, sex, cohort, mother_surname) if dice.chance(_LONG[sex, cohort]) else ""
            return Name(surname, f"{first} {middle}" if first and first not in {middle, given} else middle, given)
        is_hoa = group == "Hoa" and dice.chance(0.6)
        given = self._given["Hoa" if is_hoa else "Kinh", sex, 1900 if is_hoa else cohort].pick(dice)
        if dice.chance(_SHORT[sex]):
            return Name(surname, "", given)
        return Name(surname, self._middles(dice, sex, cohort, mother_surname, given), given)

    def twin(self, dice: Dice, name: Name, sex: str, birth_year: int) -> Name:
        """Return a name for the twin: all the same but one word, where it can be only its marks."""
        if name.given in _TWIN_OF and dice.chance(0.7):
            return name._replace(given=_TWIN_OF[name.given])
        while True:
            given = self._given["Kinh", sex, cohort_of(birth_year)].pick(dice)
            if given != name.given and given not in name.middle.split():
                return name._replace(given=given)

    def sibling_given(self, dice: Dice, name: Name, sex: str, birth_year: int) -> Name:
        """Return a name that shares surname and middle with a sibling's."""
        return self.twin(dice, name, sex, birth_year)

    def foreigner(self, dice: Dice) -> tuple[str, Name]:
        """Return (country, name) of a foreign resident; `full` puts the surname first, as passports do."""
        country = _FOREIGN_COUNTRIES.pick(dice)
        surnames, given = _FOREIGN[country]
        return country, Name(dice.choice(surnames), "", dice.choice(given))

    def _middles(self, dice: Dice, sex: str, cohort: int, mother_surname: str, given: str) -> str:
        first = self._first_middle(dice, sex, cohort, mother_surname)
        if first in {"Thị", "Văn"} or first == mother_surname:
            # "X Thị Y" is the plain form of a woman's name; the second middle word makes it long.
            if not dice.chance(_LONG[sex, cohort]) or first == "Văn":
                return first
            second = self._middle["F" if first == "Thị" else sex, *_second_table(sex, cohort)].pick(dice)
            return f"{first} {second}" if second != given else first
        if dice.chance(_LONG[sex, cohort]):
            second = self._middle[sex, *_second_table(sex, cohort)].pick(dice)
            if second not in {first, given}:
                return f"{first} {second}"
        return first if first != given else self._first_middle(dice, sex, cohort, mother_surname)

    def _first_middle(self, dice: Dice, sex: str, cohort: int, mother_surname: str) -> str:
        if dice.uniform() < (_THI if sex == "F" else _VAN)[cohort]:
            return "Thị" if sex == "F" else "Văn"
        if mother_surname and dice.uniform() < _SURNAME_AS_MIDDLE_SHARE:
            return mother_surname
        first = max(c for s, p, c in _MIDDLE_TABLES if s == sex and p == "only" and c <= max(cohort, 1900))
        return self._middle[sex, "only", first].pick(dice)


_GROUPS = ("Kinh", "Hoa", "Khmer", "Chăm")
_MIDDLE_TABLES = (
    ("M", "only", 1900),
    ("M", "only", 1980),
    ("M", "only", 2007),
    ("F", "only", 1900),
    ("F", "only", 2000),
    ("F", "after", 1900),
    ("F", "after", 2000),
)


def _second_table(sex: str, cohort: int) -> tuple[str, int]:
    if sex == "F":
        return ("after", 2000 if cohort >= 2007 else 1900)
    return ("only", 2007 if cohort >= 2007 else 1980 if cohort >= 1980 else 1900)
