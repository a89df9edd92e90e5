"""A citizen's record to features: whose number is whose, and what relatives say about the bearer."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mdm.domain.keys import SourceKey
from mdm.domain.records import Assurance, CitizenAttributes, Identifier, IdentifierType, Relation, RelationType
from mdm.limits import NAME_CHARACTERS_MAX, RECORD_VALUES_MAX, VALUE_CHARACTERS_MAX
from mdm.linkage.features import CitizenFeatures
from mdm.linkage.normalise.contacts import ordered, phone_numbers, places, stated_addresses
from mdm.linkage.normalise.dates import PartialDate, is_after, stated_date
from mdm.linkage.normalise.findings import Findings
from mdm.linkage.normalise.identifiers import (
    HEALTH_CARD_CHARACTERS,
    PERSONAL_ID_DIGITS,
    Claim,
    PersonalId,
    agreement,
    insurance_number,
    nationality,
    parse_claim,
    parse_health_cards,
    parse_passport,
    parse_tax_code,
)
from mdm.linkage.normalise.memory import REMEMBERED_MAX
from mdm.linkage.normalise.names import PersonName, folded_name, person_name, read_name
from mdm.linkage.normalise.text import digits, fold, whole_number

CHILD_YEARS_MAX = 14
"""A card is issued from 14; below that age the number in the record is often a parent's."""

_SEXES: dict[str, str | None] = {
    "m": "m", "1": "m", "nam": "m", "male": "m", "trai": "m",
    "f": "f", "2": "f", "nu": "f", "female": "f", "gai": "f",
    "u": None, "3": None, "0": None, "unknown": None, "khong ro": None, "chua ro": None, "khac": None, "other": None,
}  # fmt: skip
_MOTHER_ROLES = frozenset({"me", "me de", "me ruot", "me nuoi", "ma", "mother", "mere"})
_NO_ALIAS = PersonName()
_PERSON_RELATIONS = frozenset({RelationType.MOTHER, RelationType.FATHER, RelationType.GUARDIAN, RelationType.SPOUSE})


class CitizenValues(NamedTuple):
    """The values of a citizen record as they count, before names and addresses are put into forms."""

    name_text: str
    born: PartialDate | None
    sex: str | None
    nationality: str | None
    relations: _Relations
    numbers: _Numbers
    addresses: list[tuple[str, str]]
    phones: list[str]
    other_name_text: str
    birth_order: int | None


def citizen_values(
    key: SourceKey, attributes: CitizenAttributes, written_on: PartialDate | None, findings: Findings
) -> CitizenValues:
    """Read a citizen record; what is wrong goes into `findings`, all of it: features find nothing more.

    `written_on` is the day on which the source last changed the record. It stands for "now": features must not change
    because a clock moved on.
    """
    name_text = findings.text("full_name", attributes.full_name, NAME_CHARACTERS_MAX)
    alias = _alias(name_text, findings)
    born = stated_date("birth_date", attributes.birth_date, written_on, findings)
    died = stated_date("died_on", attributes.died_on, written_on, findings)
    if born is not None and died is not None and is_after(born, died):
        findings.add("died_on", "lies before the birth date")
    sex = _sex(attributes.sex, findings)
    nation = nationality(findings.text("nationality", attributes.nationality, VALUE_CHARACTERS_MAX))
    relations = _Relations(key, attributes.relations, findings)
    numbers = _Numbers(
        born=born,
        sex=sex,
        nation=nation,
        is_child=alias.is_newborn_alias or _is_child(born, written_on),
        relative_ids=relations.ids,
        findings=findings,
    )
    for identifier in findings.values("identifiers", attributes.identifiers, RECORD_VALUES_MAX):
        numbers.read(identifier)
    return CitizenValues(
        name_text,
        born,
        sex,
        nation,
        relations,
        numbers,
        stated_addresses(attributes.addresses, findings),
        phone_numbers(attributes.phones, findings) if attributes.phones else [],
        findings.text("other_name", attributes.other_name, NAME_CHARACTERS_MAX),
        _birth_order(attributes.birth_order, alias, findings),
    )


def citizen_features(values: CitizenValues) -> CitizenFeatures:
    """Return the features of one citizen record."""
    name = person_name(values.name_text)
    born, numbers, phones = values.born, values.numbers, values.phones
    relations, relatives = values.relations, values.relations.relatives(name)
    address = places(values.addresses)
    birth = _NO_BIRTH if born is None else _birth(born)
    return CitizenFeatures(
        name=name.name,
        name_accented=name.accented,
        name_sorted=name.sorted,
        name_short=name.short,
        surname=name.surname,
        given=name.given,
        name_phonetic=name.phonetic,
        other_names=_other_names(values.other_name_text, name),
        birth_date=birth.date,
        birth_date_swapped=birth.swapped,
        birth_year=born.year if born else None,
        birth_month=born.month if born else None,
        is_filler_birth_date=birth.is_filler,
        sex=values.sex,
        personal_id=numbers.personal_id,
        personal_ids=ordered(numbers.personal_ids),
        verified_ids=ordered(numbers.verified_ids),
        insurance_numbers=ordered(numbers.insurance_numbers),
        phones=ordered(phones + relations.phones),
        wards=address.wards,
        streets=address.streets,
        premises=address.premises,
        mother_name=relatives.mother_name,
        relative_names=ordered(relatives.names),
        relative_ids=ordered(numbers.relative_ids),
        household=relations.household,
        employer=relations.employer,
        is_newborn_alias=name.is_newborn_alias,
        birth_order=values.birth_order,
        nationality=values.nationality,
        birth_date_exact=None if birth.is_filler else birth.date,
        name_regional=name.regional,
        given_accented=name.given_accented,
        name_rotated=name.rotated,
        name_words=name.words,
        name_abbreviated=name.abbreviated,
        is_misspelt=name.is_misspelt,
        phone=phones[0] if phones else None,
    )


def _alias(text: str, findings: Findings) -> PersonName:
    """Return what a cleaned name says instead of a name, an empty one where it is a name."""
    read = read_name(text)
    if not isinstance(read, PersonName):
        if text and not read:
            findings.add("full_name", "holds no letters")
        return _NO_ALIAS
    if read.is_placeholder:
        findings.add("full_name", "says that the name is unknown")
    return read


class _Birth(NamedTuple):
    date: str | None = None
    swapped: str | None = None
    is_filler: bool = False


_NO_BIRTH = _Birth()


# Some thirty thousand dates are written as often as there are records.
@lru_cache(maxsize=REMEMBERED_MAX)
def _birth(born: PartialDate) -> _Birth:
    return _Birth(born.iso, born.iso_swapped, born.is_first_january)


def _sex(value: str, findings: Findings) -> str | None:
    if not value:
        return None
    folded = _folded(findings.text("sex", value, VALUE_CHARACTERS_MAX))
    if folded and folded not in _SEXES:
        findings.add("sex", "is none of M, F, U, 1, 2, 3")
    return _SEXES.get(folded)


@lru_cache(maxsize=REMEMBERED_MAX)
def _folded(text: str) -> str:
    return fold(text)


def _is_child(born: PartialDate | None, written_on: PartialDate | None) -> bool:
    return born is not None and written_on is not None and written_on.year - born.year < CHILD_YEARS_MAX


def _other_names(text: str, name: PersonName) -> tuple[str, ...]:
    if not text:
        return ()
    pieces = text.replace(",", ";").replace("/", ";").split(";")
    found = {folded_name(piece.strip()) for piece in pieces} - {None, name.name}
    return ordered([other for other in found if other is not None])


def _birth_order(value: str, alias: PersonName, findings: Findings) -> int | None:
    if not value:
        return alias.birth_index
    text = findings.text("birth_order", value, VALUE_CHARACTERS_MAX)
    index, _, count = text.partition("/")
    if not (
        index.isdecimal() and count.isdecimal() and len(index) == len(count) == 1 and 1 <= int(index) <= int(count)
    ):
        if text:
            findings.add("birth_order", "is not like 1/2")
        return alias.birth_index
    return int(index) if int(count) > 1 else None


def identifier_features(identifier: Identifier) -> CitizenFeatures:
    """Return what `citizen_features` makes of a record that states one identifier alone, at a tenth of its cost."""
    numbers = _Numbers(born=None, sex=None, nation=None, is_child=False, relative_ids=set(), findings=Findings())
    numbers.read(identifier)
    return CitizenFeatures(
        personal_id=numbers.personal_id,
        personal_ids=ordered(numbers.personal_ids),
        verified_ids=ordered(numbers.verified_ids),
        insurance_numbers=ordered(numbers.insurance_numbers),
        relative_ids=ordered(numbers.relative_ids),
    )


class _Relatives(NamedTuple):
    """Folded names that a record states beside its bearer's."""

    names: set[str]
    mother_name: str | None
    """The best statement of who the mother is."""


class _Relations:
    """What the relations of a citizen say, gathered in one pass."""

    def __init__(self, key: SourceKey, relations: tuple[Relation, ...], findings: Findings) -> None:
        self.ids: set[str] = set()
        self.phones: list[str] = []
        self.household: str | None = None
        self.employer: str | None = None
        self._named: list[tuple[Relation, str]] = []
        """With the names as they were written, cleaned."""
        self._findings = findings
        for relation in findings.values("relations", relations, RECORD_VALUES_MAX):
            if relation.type in _PERSON_RELATIONS:
                self._read_person(relation)
            elif relation.type is RelationType.HOUSEHOLD:
                self._read_household(key.registry, relation)
            elif relation.type is RelationType.EMPLOYER and relation.record_id:
                employer = findings.text("employer_id", relation.record_id, VALUE_CHARACTERS_MAX)
                self.employer = f"{key.registry}:{employer}" if employer else self.employer

    def relatives(self, bearer: PersonName) -> _Relatives:
        """Return whose names are stated, the parent's whom an alias of the bearer names among them."""
        names: set[str] = set()
        stated_mother = guardian_mother = None
        for relation, text in self._named:
            name = folded_name(text)
            if name is None or (relation.type is RelationType.HOUSEHOLD and name == bearer.name):
                continue
            names.add(name)
            if relation.type is RelationType.MOTHER:
                stated_mother = stated_mother or name
            elif relation.type is RelationType.GUARDIAN and relation.role and _is_mother(relation.role):
                guardian_mother = name
        if bearer.parent_name is not None:
            names.add(bearer.parent_name)
        alias_mother = bearer.parent_name if bearer.is_parent_mother else None
        return _Relatives(names, stated_mother or guardian_mother or alias_mother)

    def _read_person(self, relation: Relation) -> None:
        if relation.name:
            self._name(relation, f"{relation.type}_name")
        if relation.phone:
            self.phones += phone_numbers((relation.phone,), self._findings, f"{relation.type}_phone")
        for identifier in relation.identifiers[:RECORD_VALUES_MAX]:
            field = f"{relation.type}_personal_id"
            text = self._findings.text(field, identifier.value, VALUE_CHARACTERS_MAX)
            claim = parse_claim(text, None, None) if text else Claim()
            if claim.rule is not None:
                self._findings.add(field, claim.rule)
            number = claim.personal_id.number if claim.personal_id else claim.cmnd
            if number is not None:
                self.ids.add(number)

    def _read_household(self, registry: str, relation: Relation) -> None:
        if relation.group_id:
            group = self._findings.text("household_id", relation.group_id, VALUE_CHARACTERS_MAX)
            self.household = f"{registry}:{group}" if group else None
        if relation.name:
            self._name(relation, "household_head_name")

    def _name(self, relation: Relation, field: str) -> None:
        self._named.append((relation, self._findings.text(field, relation.name, NAME_CHARACTERS_MAX)))


def _is_mother(role: str) -> bool:
    return _folded(role[:40]) in _MOTHER_ROLES


class _Numbers:
    """Sorts the numbers of a record into the bearer's own, verified ones, and relatives'."""

    def __init__(
        self,
        *,
        born: PartialDate | None,
        sex: str | None,
        nation: str | None,
        is_child: bool,
        relative_ids: set[str],
        findings: Findings,
    ) -> None:
        self.personal_id: str | None = None
        self.personal_ids: set[str] = set()
        self.verified_ids: set[str] = set()
        self.insurance_numbers: set[str] = set()
        self.relative_ids = relative_ids
        self._birth_year = born.year if born else None
        self._sex = sex
        self._nation = nation or "vn"
        self._is_child = is_child
        self._findings = findings

    def read(self, identifier: Identifier) -> None:
        """Take one identifier of the record into account."""
        field = identifier.type.value
        text = self._findings.text(field, identifier.value, VALUE_CHARACTERS_MAX)
        if not text:
            return
        type_ = identifier.type
        if type_ is IdentifierType.PERSONAL_ID or type_ is IdentifierType.OLD_PERSONAL_ID:
            self._read_claim(field, text, type_, identifier.assurance)
        elif type_ is IdentifierType.SOCIAL_INSURANCE_NUMBER or type_ is IdentifierType.HEALTH_CARD:
            self._read_insurance(field, text, identifier)
        elif type_ is IdentifierType.PASSPORT:
            self._read_passport(field, text, identifier.assurance)
        else:
            self._read_tax_code(field, text)

    def _read_passport(self, field: str, text: str, assurance: Assurance) -> None:
        passport = parse_passport(text)
        if passport is None:
            self._findings.add(field, "is no passport number")
        elif assurance is not Assurance.GUARDIAN:
            self.personal_ids.add(f"{self._nation}:{passport}")

    def _read_tax_code(self, field: str, text: str) -> None:
        code = parse_tax_code(text, may_be_branch=False)
        if code is None:
            self._findings.add(field, "is no valid tax code")
        # An old 10-digit code of a person stands in no other registry; 12 digits are the personal ID.
        elif code.is_personal_id:
            self._read_claim(field, code.code)

    def _read_insurance(self, field: str, text: str, identifier: Identifier) -> None:
        if identifier.assurance is Assurance.GUARDIAN:
            return
        if identifier.type is IdentifierType.SOCIAL_INSURANCE_NUMBER and len(text) != HEALTH_CARD_CHARACTERS:
            number = insurance_number(text)
            if number is not None:
                self.insurance_numbers.add(number)
            elif len(digits(whole_number(text))) in {PERSONAL_ID_DIGITS, PERSONAL_ID_DIGITS - 1}:
                self._read_claim(field, text)
            else:
                self._findings.add(field, "is no social insurance number")
            return
        cards = parse_health_cards(text)
        self.insurance_numbers.update(cards.insurance_numbers)
        for number in cards.personal_ids:
            self._read_claim(field, number)
        if cards.has_malformed:
            self._findings.add(field, "holds something that is no health card")

    def _read_claim(
        self,
        field: str,
        text: str,
        type_: IdentifierType = IdentifierType.PERSONAL_ID,
        assurance: Assurance = Assurance.STATED,
    ) -> None:
        claim = parse_claim(text, self._birth_year, self._sex)
        if claim.rule is not None:
            self._findings.add(field, claim.rule)
            return
        if claim.passport is not None:
            if assurance is not Assurance.GUARDIAN:
                self.personal_ids.add(f"{self._nation}:{claim.passport}")
            return
        number = claim.personal_id.number if claim.personal_id else claim.cmnd
        if number is None:
            return
        if assurance is Assurance.GUARDIAN:
            self.relative_ids.add(number)
        elif number in self.relative_ids:
            self._findings.add(field, "is a relative's number")
        elif claim.personal_id is None or type_ is IdentifierType.OLD_PERSONAL_ID:
            self.personal_ids.add(number)
        else:
            self._read_own(field, claim.personal_id, assurance)

    def _read_own(self, field: str, claim: PersonalId, assurance: Assurance) -> None:
        fit = agreement(claim, self._birth_year, self._sex)
        if fit.is_consistent:
            self.personal_ids.add(claim.number)
            self.personal_id = self.personal_id or claim.number
            if assurance.is_verified:
                self.verified_ids.add(claim.number)
            return
        self._findings.add(field, "contradicts the stated birth year or sex")
        # One slip in birth date or sex leaves the number the bearer's, only no longer proof; more makes it another's.
        if fit.is_near:
            self.personal_ids.add(claim.number)
        elif self._is_child:
            self.relative_ids.add(claim.number)
