"""What a link of two business records needs beside its weight, and what forbids it."""

from __future__ import annotations

from collections.abc import Sequence

from mdm.linkage.features import NO_NUMBERS, BusinessFeatures
from mdm.linkage.rules import STRANGERS, Found, Rules, disjoint

HOUSEHOLD_TAX_CODE_OLD_PREFIX = "8"
"""First digit of the ten-digit codes that household businesses held before the owner's twelve digits."""

_OTHER_BRANCH = "other_branch"
_FORMS_IN_LAW = {
    "llc": "llc",
    "llc_single": "llc",
    "jsc": "jsc",
    "sole": "sole",
    "partnership": "partnership",
    "household": "household",
}
"""Legal forms by what tells two firms apart: clerks leave "một thành viên" out."""

_PART_OF_NAME = frozenset({"contained", "initials"})
"""Levels of names of which one may be a short form of the other, or a sister's or a successor's."""


def veto(left: BusinessFeatures, right: BusinessFeatures) -> str | None:
    """Return the name of what forbids that both are one business. About 1 µs."""
    if not disjoint(left.tax_codes, right.tax_codes):
        return None
    if left.tax_group is not None and left.tax_group == right.tax_group and left.tax_code and right.tax_code:
        return _OTHER_BRANCH
    if _is_one_a_branch(left, right) or _are_numbered_apart(left, right):
        return _OTHER_BRANCH
    comparable = [
        (one, other)
        for one in left.verified_tax_codes
        for other in right.verified_tax_codes
        if not _is_replaced(one, other) and not _is_replaced(other, one)
    ]
    return "verified_tax_codes_differ" if comparable else None


def _is_one_a_branch(left: BusinessFeatures, right: BusinessFeatures) -> bool:
    return left.form != right.form and "branch" in {left.form, right.form} and bool(left.form and right.form)


def _are_numbered_apart(left: BusinessFeatures, right: BusinessFeatures) -> bool:
    """Return whether both are branches of one firm, each with another number in its name."""
    if left.form != "branch" or right.form != "branch" or left.name != right.name:
        return False
    numbers = {left.name_numbers, right.name_numbers}
    return len(numbers - {NO_NUMBERS, None}) > 1


def _is_replaced(old: str, new: str) -> bool:
    return len(old) == 10 and old.startswith(HOUSEHOLD_TAX_CODE_OLD_PREFIX) and len(new) == 12  # noqa: PLR2004


def lack(found: Found, left: BusinessFeatures, right: BusinessFeatures) -> str | None:
    """Return what a link lacks, None if nothing."""
    contacts = found.count("phone", "address", "representative")
    if found.agrees("tax_code"):
        return _lack_beside_tax_code(found, left, right, contacts)
    if found["name"].label in _PART_OF_NAME and contacts and not found.conflicts("tax_code"):
        # A successor takes over door, phone and representative, and a word is all that its name adds.
        return "name"
    if not found.agrees("name") and not found.is_close("name"):
        return STRANGERS
    if found.conflicts("tax_code"):
        return "tax_code"
    if _are_forms_apart(left, right):
        # A successor takes over name, door and phone, and differs in its form.
        return "legal_form"
    return _lack_beside_name(found, left, contacts)


def _are_forms_apart(left: BusinessFeatures, right: BusinessFeatures) -> bool:
    """Return whether both state a form of company law, and not the same; "group" is none."""
    forms = {_FORMS_IN_LAW.get(each.legal_form or "") for each in (left, right)}
    return None not in forms and len(forms) > 1


def _lack_beside_tax_code(found: Found, left: BusinessFeatures, right: BusinessFeatures, contacts: int) -> str | None:
    shared = set(left.tax_codes).intersection(right.tax_codes)
    if _is_one_a_branch(left, right) and shared == {left.tax_group or right.tax_group}:
        # A branch that pays under its parent's code is the branch all the same.
        return _OTHER_BRANCH
    is_name_near = found["name"].label not in {"different", "missing"}
    return None if is_name_near or contacts or found.is_close("address") else "tax_code_alone"


def _lack_beside_name(found: Found, left: BusinessFeatures, contacts: int) -> str | None:
    address = found["address"]
    if left.form == "branch" and not found.agrees("address"):
        # The branches of one firm share name, representative and telephone; their doors tell them apart.
        return "branch_address"
    if left.form == "household_business" and address.label == "different" and not found.agrees("representative"):
        # A household business has its name to itself in one ward only.
        return "other_ward"
    needed = 1 if found.agrees("name") else 2
    return None if contacts >= needed else "name_alone"


def excess(_members: Sequence[BusinessFeatures]) -> str | None:
    """Return None: no number of codes tells by itself that they are of two businesses."""
    return None


RULES = Rules(veto, lack, excess, frozenset({_OTHER_BRANCH}))
