"""What the normaliser makes of a record: the columns that both engines compare and block on.

All text is ASCII-folded lower case unless the name says otherwise, because DuckDB measures strings in bytes.
`None` and an empty tuple both mean "not stated or not usable as evidence". Tuples are sorted and free of
duplicates, so equal evidence gives equal features.
"""

from __future__ import annotations

import msgspec

NO_NUMBERS = "-"
"""`name_numbers` of a name that holds none: a statement, for a number tells it apart."""


class CitizenFeatures(msgspec.Struct, frozen=True, array_like=True, tag="citizen"):
    """Evidence about who a citizen is."""

    name: str | None = None
    """Full name folded, "nguyen thi hoa"; None for a newborn alias."""
    name_accented: str | None = None
    """Its marks where they tell names apart; None when the source wrote no diacritics at all. See `PersonName`."""
    name_sorted: str | None = None
    """Words of `name` in alphabetical order: for blocking, and for foreigners, whose names come in any order."""
    name_short: str | None = None
    """Surname and given name, the middle dropped."""
    surname: str | None = None
    given: str | None = None
    name_phonetic: str | None = None
    """Southern phonetic key of the full name, for blocking only."""
    other_names: tuple[str, ...] = ()
    """Folded other names (alias, former name)."""
    birth_date: str | None = None
    """`yyyy-mm-dd`, only when the source stated the full date."""
    birth_date_swapped: str | None = None
    """The same with day and month exchanged, when that is another valid date."""
    birth_year: int | None = None
    birth_month: int | None = None
    is_filler_birth_date: bool = False
    """1 January: often a clerk's completion of a bare year."""
    sex: str | None = None
    """`m` or `f`."""
    personal_id: str | None = None
    """The bearer's own 12-digit number, when consistent with birth year and sex as stated."""
    personal_ids: tuple[str, ...] = ()
    """All numbers of the bearer: 12-digit, 9-digit CMND, passports (`nationality:number`). Never a guardian's."""
    verified_ids: tuple[str, ...] = ()
    """The 12-digit ones that are chip-read or sighted and consistent: only these found a veto."""
    insurance_numbers: tuple[str, ...] = ()
    """BHXH numbers (10 digits), also the last 10 of BHYT codes."""
    phones: tuple[str, ...] = ()
    """E.164 without `+`, fillers removed; the guardian's phone included, for a phone is a household's attribute."""
    wards: tuple[str, ...] = ()
    """New (2025) ward codes that the addresses may lie in."""
    streets: tuple[str, ...] = ()
    """Folded street names without house numbers."""
    premises: tuple[str, ...] = ()
    """House number with street, `123/45|le van sy`."""
    mother_name: str | None = None
    """Folded; stated, or from a newborn alias, or from a guardian who is the mother."""
    relative_names: tuple[str, ...] = ()
    """Folded names of mother, father, guardian, spouse and household head (other than the bearer)."""
    relative_ids: tuple[str, ...] = ()
    """Personal IDs of mother and guardian, and numbers that turned out to be a relative's."""
    household: str | None = None
    """`registry:household id`."""
    employer: str | None = None
    """`registry:record id`."""
    is_newborn_alias: bool = False
    """The name is "CON BÀ …": the bearer is a newborn without a name of their own."""
    birth_order: int | None = None
    """1 or 2 (…) among twins; None for a single birth or when not stated."""
    nationality: str | None = None
    """Folded; None for Vietnamese or not stated."""
    birth_date_exact: str | None = None
    """`birth_date` unless it is 1 January: only such a date can be a digit off."""
    name_regional: str | None = None
    """`name` with southern and northern forms of the surname as one: Huỳnh and Hoàng, Võ and Vũ."""
    given_accented: str | None = None
    """The given name's part of `name_accented`."""
    name_rotated: tuple[str, ...] = ()
    """`name` with the surname last or the given name first."""
    name_words: tuple[str, ...] = ()
    name_abbreviated: tuple[str, ...] = ()
    """`name` with initials in place of the middle words, and of the surname too."""
    is_misspelt: bool = False
    """`name` holds a word that no name is made of: a slip, and no twin is called so."""
    phone: str | None = None
    """The first phone that the record states as the bearer's own; weighs by how many share it."""


class BusinessFeatures(msgspec.Struct, frozen=True, array_like=True, tag="business"):
    """Evidence about which business a record describes."""

    name: str | None = None
    """Core name: folded, legal form stripped, trade abbreviations expanded."""
    name_full: str | None = None
    """Folded legal name as written, spaces collapsed."""
    name_sorted: str | None = None
    """Trade words of `name` in alphabetical order, then the others in theirs: "Minh Hải" is another than "Hải Minh"."""
    name_distinct: str | None = None
    """`name` without trade words ("thuong mai dich vu"): what tells firms apart."""
    other_names: tuple[str, ...] = ()
    """Core forms of short and foreign names."""
    form: str | None = None
    """`company`, `branch` or `household_business`."""
    legal_form: str | None = None
    """`llc`, `llc_single`, `jsc`, `sole`, `partnership`, `household`, `group`, `branch`."""
    tax_code: str | None = None
    """Main code: 10 digits, `10-3` for a branch, or 12 digits for a household business."""
    tax_codes: tuple[str, ...] = ()
    """All codes, old and new."""
    verified_tax_codes: tuple[str, ...] = ()
    """Those that are sighted and pass their check: only these found a veto."""
    tax_group: str | None = None
    """First 10 digits: parent and branches share it. None for a household business."""
    phones: tuple[str, ...] = ()
    wards: tuple[str, ...] = ()
    streets: tuple[str, ...] = ()
    premises: tuple[str, ...] = ()
    representative_name: str | None = None
    """Folded."""
    representative_ids: tuple[str, ...] = ()
    """Personal IDs of representative or owner; for a household business also its 12-digit tax code."""
    established_on: str | None = None
    """`yyyy-mm-dd`."""
    names: tuple[str, ...] = ()
    """Core forms of all names, legal, short, foreign and former, each in the order of `name_sorted`."""
    name_numbers: str | None = None
    """Numbers in the main name and of its branch, "14 2"; `NO_NUMBERS` where it has none, None without a name."""
    name_distinct_words: tuple[str, ...] = ()
    """Words of `name_distinct`."""
    name_words: tuple[str, ...] = ()
    """Words of the main name as written, legal form off, nothing written out."""
    name_initials: str | None = None
    """First letters of the words of `name`; all letters of a word without a vowel, for it stands for as many words."""
    name_cover: tuple[str, ...] = ()
    """What may stand for a part of any of the names: words, written out or not, initials of neighbouring words."""
    phone: str | None = None
    """The first of `phones`: one value, so that it is weighed by how many share it."""
    seat: str | None = None
    """The first of `premises`, for the same reason: hundreds of firms have their seat in one tower."""


Features = CitizenFeatures | BusinessFeatures

AnyFeatures = msgspec.Struct
"""The features of any specification: columns as struct fields, of the types that `snapshot` knows."""


class FieldIssue(msgspec.Struct, frozen=True, array_like=True):
    """A value that is kept raw but not used as evidence, or was cut: which field broke which rule."""

    field: str
    rule: str


class Normalised(msgspec.Struct, frozen=True):
    """The features of one record and what was wrong with its values."""

    features: Features
    issues: tuple[FieldIssue, ...] = ()
