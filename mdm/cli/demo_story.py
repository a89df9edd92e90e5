"""One citizen for the demo: her rows in each registry, what differs between them, and what a clerk might mistype."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from mdm.cli.differences import (
    Difference,
    address_difference,
    birth_difference,
    card_difference,
    date_parts,
    folded,
    name_difference,
    number_difference,
    phone_difference,
)
from mdm_client import (
    Address,
    AddressKind,
    CitizenAttributes,
    Client,
    EntityKind,
    Identifier,
    IdentifierType,
    SourceKey,
)

REGISTRIES = ("household", "social_security", "hospital", "company")
"""From the most to the least trusted: the first that states a value is what the others are compared with."""

CITIZENS_LOOKED_AT_MAX = 250
"""Enough to find a story that shows much; each costs three or four reads of about a millisecond."""

_REGISTRIES_MIN = 3
_WOMAN_WORTH = 6
_SWAPPED_NAME_LETTERS_MIN = 4

_FIELDS: dict[str, Difference] = {
    "name": name_difference,
    "born": birth_difference,
    "personal ID": number_difference,
    "old personal ID": number_difference,
    "social insurance": number_difference,
    "health card": card_difference,
    "phone": phone_difference,
    "address": address_difference,
}

# What makes a story worth telling: the look-alikes that a plain comparison of texts gets wrong.
_TELLING: dict[str, float] = {
    "no diacritics": 3,
    "words swapped": 3,
    "a middle name dropped": 3,
    "misspelt": 4,
    "day and month swapped": 4,
    "only the year is known": 3,
    "day and month are known here": 2,
    "one digit off": 4,
    "one character off": 4,
    "an old card number": 4,
    "another card, same number": 1,
    "leading zero lost": 4,
    "prefix of before 2018": 2,
    "same house, another ward name": 2,
    "written another way": 1,
    "another address": 0.5,
    "another number": -1,
    "another date": -3,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as a registry wrote it, and in words how it differs from the reference."""

    text: str
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What one registry says of the citizen; every row has the same fields in the same order."""

    key: SourceKey
    attributes: CitizenAttributes
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Story:
    """A citizen whose rows in at least three registries answer under one golden ID."""

    golden_id: str
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Her name as the most trusted registry writes it."""
        return self.rows[0].attributes.full_name.title()

    @property
    def is_about_a_woman(self) -> bool:
        """Return what the most trusted registry says."""
        return self.rows[0].attributes.sex == "F"

    @property
    def whom(self) -> str:
        """The pronoun, as in "knows her"."""
        return "her" if self.is_about_a_woman else "him"

    @property
    def whose(self) -> str:
        """The pronoun, as in "her row"."""
        return "her" if self.is_about_a_woman else "his"

    @property
    def admission(self) -> SourceKey:
        """The row of the hospital, or the least trusted one."""
        return next((row.key for row in self.rows if row.key.registry == "hospital"), self.rows[-1].key)

    @property
    def unlike(self) -> Row:
        """The row that differs most from the others."""
        return max(
            self.rows[1:], key=lambda row: sum(abs(_TELLING.get(cell.difference, 0)) for cell in row.cells.values())
        )

    @property
    def worth(self) -> float:
        """How much there is to tell: each kind of difference counts once; women's names vary the most."""
        found = {cell.difference for row in self.rows for cell in row.cells.values() if cell.difference}
        return (
            sum(_TELLING.get(difference, 0) for difference in found)
            + (_WOMAN_WORTH if self.is_about_a_woman else 0)
            + len(self.rows)
        )


def choose_story(client: Client, crosswalk: Mapping[SourceKey, str]) -> Story | None:
    """Return the citizen with most to tell, the same for the same city; None if nobody stands in three registries.

    Only the service is asked: golden records with one row in each of at least three registries.
    """
    members: dict[str, list[SourceKey]] = defaultdict(list)
    for key, golden_id in crosswalk.items():
        if key.kind is EntityKind.CITIZEN:
            members[golden_id].append(key)
    # Golden IDs are random, record ids are not: ordered by these, the choice depends on the city alone.
    groups = sorted(
        (
            sorted(keys, key=lambda key: REGISTRIES.index(key.registry))
            for keys in members.values()
            if _is_telling(keys)
        ),
        key=lambda keys: (-len(keys), keys[0].record_id),
    )
    best: Story | None = None
    for keys in groups[:CITIZENS_LOOKED_AT_MAX]:
        story = tell(client, crosswalk[keys[0]], keys)
        if best is None or story.worth > best.worth:
            best = story
    return best


def tell(client: Client, golden_id: str, keys: list[SourceKey]) -> Story:
    """Read a citizen's rows from the service and mark what differs."""
    stored = [(key, client.get_record(key).record) for key in keys]
    people = [
        (key, record.attributes)
        for key, record in stored
        if record and isinstance(record.attributes, CitizenAttributes)
    ]
    stated = [_values(attributes) for _, attributes in people]
    rows = []
    for (key, attributes), values in zip(people, stated, strict=True):
        cells = {}
        for field, difference in _FIELDS.items():
            reference = next((other[field] for other in stated if other[field]), ())
            said = values[field]
            is_reference = said is reference or not said
            cells[field] = Cell(said[0] if said else "", "" if is_reference else difference(reference, said))
        rows.append(Row(key, attributes, cells))
    return Story(golden_id, tuple(rows))


def mistyped_admission(story: Story) -> CitizenAttributes:
    """Return what a hurried clerk types: no marks, two letters swapped, no address; the ID number is right."""
    first = story.rows[0]
    words = folded(first.attributes.full_name).upper().split()
    given = words[-1]
    is_swapped = len(given) >= _SWAPPED_NAME_LETTERS_MIN and given[-1] != given[-2]
    words[-1] = given[:-2] + given[-1] + given[-2] if is_swapped else given + given[-1]
    year, month, day = date_parts(first.cells["born"].text)
    kinds = (("personal ID", IdentifierType.PERSONAL_ID), ("health card", IdentifierType.HEALTH_CARD))
    numbers = ((row.cells[field].text, kind) for field, kind in kinds for row in story.rows)
    number = next(((text, kind) for text, kind in numbers if text), None)
    return CitizenAttributes(
        full_name=" ".join(words),
        birth_date=f"{year}{month}{day}0000",
        sex=first.attributes.sex,
        identifiers=(Identifier(number[1], number[0]),) if number else (),
        facility_id="BV001",
    )


def newcomer() -> CitizenAttributes:
    """Return a person whom no registry knows: the name is too rare to be met by chance."""
    return CitizenAttributes(
        full_name="Lò Mây Phương Khuê",
        birth_date="199411270000",
        sex="F",
        nationality="VN",
        phones=("0988 112 407",),
        addresses=(Address(AddressKind.CONTACT, "12/7 Lý Chính Thắng, Phường Xuân Hòa, TP.HCM"),),
        facility_id="BV001",
    )


def _is_telling(keys: list[SourceKey]) -> bool:
    registries = {key.registry for key in keys}
    return len(keys) == len(registries) >= _REGISTRIES_MIN and registries <= set(REGISTRIES)


def _values(attributes: CitizenAttributes) -> dict[str, tuple[str, ...]]:
    numbers: dict[IdentifierType, list[str]] = defaultdict(list)
    for identifier in attributes.identifiers:
        numbers[identifier.type].append(identifier.value)
    old = numbers[IdentifierType.OLD_PERSONAL_ID]
    # Others may state the old number as their personal ID; the row below then shows what it is the same as.
    personal = [*numbers[IdentifierType.PERSONAL_ID], *old] if numbers[IdentifierType.PERSONAL_ID] else []
    return {
        "name": (attributes.full_name,) if attributes.full_name else (),
        "born": (attributes.birth_date,) if attributes.birth_date else (),
        "personal ID": tuple(personal),
        "old personal ID": tuple(old),
        "social insurance": tuple(numbers[IdentifierType.SOCIAL_INSURANCE_NUMBER]),
        "health card": tuple(numbers[IdentifierType.HEALTH_CARD]),
        "phone": attributes.phones,
        # The household registry names the permanent address first and where she lives now last.
        "address": tuple(address.text for address in reversed(attributes.addresses) if address.text),
    }
