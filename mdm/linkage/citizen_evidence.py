"""What a link of two citizen records needs beside its weight, and what forbids it."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import DamerauLevenshtein

from mdm.linkage.features import CitizenFeatures
from mdm.linkage.normalise.identifiers import parse_personal_id
from mdm.linkage.rules import NAME_AND_BIRTH_DATE_ONLY, STRANGERS, Coincidence, Found, Rules, disjoint

_LISTED, _NEWBORN, _VERIFIED, _TWIN = 1, 2, 4, 8
"""Traits of a record, as bits."""

MOTHER_AGE_YEARS_MIN = 10
"""A bearer of the mother's name born this long before the newborn is the mother, not the child."""

_WRITTEN_OTHERWISE = frozenset({"regional", "slip", "middle_dropped"})
"""Levels of a name that is off, but could not be the name of a twin."""

_SHORTENED = frozenset({"words_dropped", "initials"})
"""Levels of a name of which so little is written that it could be a twin's."""

_MAY_BE_ANOTHER_NAME = frozenset({"typo", "words_dropped"})
"""Levels of a name that a brother's or sister's may come to: no link where anything contradicts the shared number."""

PERSONAL_NUMBERS_MAX = 3
"""12-digit numbers in one person's records: their own, a re-issued or mistyped one, and a relative's."""


def veto(left: CitizenFeatures, right: CitizenFeatures) -> str | None:
    """Return the name of what forbids that both are one person. About 1 µs."""
    if (
        left.verified_ids
        and right.verified_ids
        and disjoint(left.verified_ids, right.verified_ids)
        # One number written in both records is an alias chain: a re-issued card beside the old one.
        and disjoint(left.personal_ids, right.personal_ids)
    ):
        return "verified_ids_differ"
    if (
        left.birth_order is not None
        and right.birth_order is not None
        and left.birth_order != right.birth_order
        and left.birth_date is not None
        and left.birth_date == right.birth_date
    ):
        return "twin_order"
    if _is_mother(left, right) or _is_mother(right, left):
        return "mother_of_newborn"
    if left.mother_name is None or left.mother_name != right.mother_name or left.birth_date != right.birth_date:
        return None
    if left.is_newborn_alias or right.is_newborn_alias:
        return "mothers_differ" if _have_two_mothers(left, right) else None
    return "named_apart" if _are_named_apart(left, right) else None


def _have_two_mothers(left: CitizenFeatures, right: CitizenFeatures) -> bool:
    """Return whether two records that name one mother state two women's numbers; a father's says nothing."""
    ones, others = _womens(left.relative_ids), _womens(right.relative_ids)
    return bool(ones and others) and disjoint(ones, others)


def _womens(numbers: tuple[str, ...]) -> tuple[str, ...]:
    parsed = filter(None, map(parse_personal_id, numbers))
    return tuple(each.number for each in parsed if each.sex == "f")


def _are_named_apart(left: CitizenFeatures, right: CitizenFeatures) -> bool:
    """Return whether two children of one mother and day are twins: given names that no slip takes for one another.

    A record of either that gives no name would else close them up.
    """
    if left.birth_date is None or left.name is None or right.name is None or left.given == right.given:
        return False
    words, others = set(left.name_words), set(right.name_words)
    is_one_written_otherwise = (
        left.is_misspelt
        or right.is_misspelt
        or left.name in (*right.name_rotated, *right.other_names)
        or right.name in (*left.name_rotated, *left.other_names)
        or (words and others and (words <= others or others <= words))
        or DamerauLevenshtein.distance(left.name, right.name, score_cutoff=1) <= 1
    )
    shares_no_number = disjoint(left.personal_ids, right.personal_ids) and disjoint(
        left.insurance_numbers, right.insurance_numbers
    )
    return shares_no_number and not is_one_written_otherwise


def _is_mother(adult: CitizenFeatures, newborn: CitizenFeatures) -> bool:
    if not newborn.is_newborn_alias or adult.is_newborn_alias or adult.name is None:
        return False
    if adult.birth_year is None or newborn.birth_year is None:
        return adult.name == newborn.mother_name
    return newborn.birth_year - adult.birth_year >= MOTHER_AGE_YEARS_MIN


def traits(features: CitizenFeatures) -> int:
    """Return what the rules below ask of one record, as bits."""
    return (
        _LISTED * is_listed(features)
        | _NEWBORN * features.is_newborn_alias
        | _VERIFIED * bool(features.verified_ids)
        | _TWIN * (features.birth_order is not None)
    )


def may_veto(found: Found, left: int, right: int) -> bool:
    """Return whether `veto` can forbid anything between records of these levels and traits."""
    # A number written in both records rules out that verified ones differ.
    are_numbers_apart = left & right & _VERIFIED and found["personal_id"].label != "same"
    are_siblings = found.agrees("family") and found.agrees("birth") and found["name"].label in {"similar", "different"}
    return bool(are_numbers_apart or are_siblings or left & right & _TWIN or (left | right) & _NEWBORN)


def lack(found: Found, left: int, right: int) -> str | Coincidence | None:
    """Return what a link of records of these levels and traits lacks, None if nothing."""
    if found["family"].label == "newborn":
        return _missing_of_newborns(found, left, right)
    if found.agrees("personal_id") or found.agrees("insurance_number"):
        return _missing_beside_number(found)
    missing = _missing_without_number(found, left, right)
    # Two verified numbers are a veto, which asks by itself where a link would else be made.
    is_vetoed = left & right & _VERIFIED
    return "numbers_differ" if missing is None and not is_vetoed and _are_numbers_apart(found) else missing


def _missing_without_number(found: Found, left: int, right: int) -> str | Coincidence | None:
    """Return what a link lacks where no number is shared, whatever numbers differ."""
    if found["name"].label == "different" or found.conflicts("birth"):
        return STRANGERS
    if found.conflicts("name") and not found.agrees("birth"):
        return STRANGERS
    if left & right & _LISTED:
        # A register of residents lists each once: who moved keeps the number, and who shares all but it is a twin.
        return "listed_twice" if found.count("phone", "address", "family") > 1 else STRANGERS
    if found["diacritics"].label != "agree" and (left ^ right) & _TWIN:
        # One of twins, and marks are often all that tells Anh from Ánh.
        return "twin_order"
    contacts = found.count("phone", "address", "family", "employer")
    # Beside another 12-digit number a name, a birth date and one item more are still little.
    needed = 2 if found.conflicts("personal_id") else 1
    if found.agrees("name") and not found.conflicts("diacritics"):
        if found.agrees("birth") and (contacts >= needed or found.is_close("personal_id")):
            return None
        if found.agrees("birth"):
            return _missing_beside_name_and_birth_date(found)
        needed += found.conflicts("family") + found.conflicts("insurance_number") + found.conflicts("sex")
        return None if found.is_close("birth") and contacts >= needed else "birth_date"
    needed += found.conflicts("family")
    name = found["name"].label
    # Twins share parents and, now and then, initials: "T.N. My" may be Như Mỹ or Nhật My.
    is_same_but_for_writing = name in _WRITTEN_OTHERWISE or (name in _SHORTENED and found["family"].is_missing)
    is_unnamed = found["name"].is_missing and found.agrees("family") and not found.conflicts("sex")
    # A household's phone, address and parents do not tell twins apart: what may be another name needs a number.
    if found.agrees("birth"):
        fits = contacts >= needed and (is_same_but_for_writing or (is_unnamed and contacts > needed))
    else:
        # A bare year or a slip in the date takes one item more where little of the name is written.
        fits = found.is_close("birth") and is_same_but_for_writing and contacts >= needed + (name in _SHORTENED)
    return None if fits else "name"


def _are_numbers_apart(found: Found) -> bool:
    """Return whether numbers tell two records apart that share name, birth date and home, as twins may.

    Twins' numbers are a digit apart and sisters hold two cards; but no two of them are called the same, marks included,
    and one bearer may hold two books or a number with a slip.
    """
    apart = (not found["personal_id"].is_missing) + found.conflicts("insurance_number")
    if found.conflicts("personal_id") or apart + found.conflicts("sex") > 1:
        return True
    is_named_alike = found.agrees("name") and found.agrees("diacritics") and found.agrees("birth")
    return apart > 0 and not is_named_alike


def _missing_beside_name_and_birth_date(found: Found) -> str | Coincidence:
    """Return what a link lacks where no more is shared than a name and a birth date, which strangers may share too."""
    if any(found.conflicts(name) for name in ("personal_id", "insurance_number", "family", "sex")):
        return NAME_AND_BIRTH_DATE_ONLY
    # Another door in the same ward is another door.
    has_moved = found["phone"].label == "different" or found["address"].label not in {"same_premises", "missing"}
    return Coincidence(has_moved)


def is_listed(features: CitizenFeatures) -> bool:
    """Return whether the record comes from a register of residents: only those name the household of each."""
    return features.household is not None


def _missing_beside_number(found: Found) -> str | None:
    """Return what a link lacks beside a shared number, which may be a relative's or one digit off a stranger's."""
    name, birth = found["name"], found["birth"]
    if birth.label == "different":
        # Years apart beside the same name and home: the clerk's slip, for relatives of one name have not one number.
        is_slip = found.agrees("name") and not found.conflicts("diacritics") and found.count("phone", "address") > 0
        return None if is_slip else "number_without_birth_date"
    if found.conflicts("birth"):
        # A year off is a clerk's slip if the name agrees in full.
        return None if found.agrees("name") else "number_without_birth_date"
    is_contradicted = any(found.conflicts(each) for each in ("personal_id", "insurance_number", "sex"))
    if birth.label == "same_year" and is_contradicted:
        return "number_without_birth_date"
    if is_contradicted and (name.label in _MAY_BE_ANOTHER_NAME or found.conflicts("diacritics")):
        return "number_without_name"
    if name.label == "garbled":
        return None if found.agrees("birth") else "number_without_name"
    if name.label == "given_agrees":
        # A surname may be taken down wrongly, but many share a given name and a bare year.
        fits = found.agrees("birth") or found.count("phone", "address", "family", "employer") > 0
        return None if fits else "number_without_name"
    if name.label in {"different", "similar", "middle_differs"}:
        # Twins share a birth date and sometimes a card, but hardly both numbers.
        both = found.agrees("personal_id") and found.agrees("insurance_number")
        return None if both and found.agrees("birth") else "number_without_name"
    if name.is_missing and found.conflicts("sex"):
        return "number_without_name"
    fits = found.agrees("birth") or found.is_close("birth") or found.agrees("name")
    return None if fits else "number_without_name"


def _missing_of_newborns(found: Found, left: int, right: int) -> str | None:
    if found.conflicts("sex"):
        return "sex"
    if (left ^ right) & _TWIN:
        return "twin_order"
    return None


def excess(members: Sequence[CitizenFeatures]) -> str | None:
    """Return whether these hold more personal numbers than one person comes by.

    A chain of records each one digit off the next would else join hundreds.
    """
    numbers = {each.personal_id for each in members if each.personal_id is not None}
    return "too_many_numbers" if len(numbers) > PERSONAL_NUMBERS_MAX else None


RULES = Rules(
    veto,
    lack,
    excess,
    frozenset({"twin_order", "mother_of_newborn", "named_apart"}),
    is_listed,
    excess_members_min=PERSONAL_NUMBERS_MAX + 1,
    excess_column="personal_id",
    traits=traits,
    may_veto=may_veto,
)
