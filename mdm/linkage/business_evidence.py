"""What a link of two business records needs beside its weight, and what forbids it."""

from __future__ import annotations

from collections.abc import Sequence

from mdm.linkage.features import BusinessFeatures
from mdm.linkage.rules import STRANGERS, Coincidence, Found, Rules, disjoint

HOUSEHOLD_TAX_CODE_OLD_PREFIX = "8"
"""First digit of the ten-digit codes that household businesses held before the owner's twelve digits."""


def veto(left: BusinessFeatures, right: BusinessFeatures) -> str | None:
    """Return the name of what forbids that both are one business. About 1 µs."""
    if not disjoint(left.tax_codes, right.tax_codes):
        return None
    if left.tax_group is not None and left.tax_group == right.tax_group and left.tax_code and right.tax_code:
        return "other_branch"
    if left.form != right.form and "branch" in {left.form, right.form} and left.form and right.form:
        return "other_branch"
    comparable = [
        (one, other)
        for one in left.verified_tax_codes
        for other in right.verified_tax_codes
        if not _is_replaced(one, other) and not _is_replaced(other, one)
    ]
    return "verified_tax_codes_differ" if comparable else None


def _is_replaced(old: str, new: str) -> bool:
    return len(old) == 10 and old.startswith(HOUSEHOLD_TAX_CODE_OLD_PREFIX) and len(new) == 12  # noqa: PLR2004


def lack(found: Found, _left: BusinessFeatures, _right: BusinessFeatures, _coincidence: Coincidence) -> str | None:
    """Return what a link lacks, None if nothing."""
    contacts = found.count("phone", "address", "representative")
    name_fits = found.agrees("name") or found.is_close("name")
    if found.agrees("tax_code"):
        near = name_fits or contacts or found.is_close("address") or found["name"].label == "similar"
        return None if near else "tax_code_alone"
    if not name_fits:
        return STRANGERS
    if found.conflicts("tax_code"):
        return "tax_code"
    if found["legal_form"].label == "different":
        # A successor takes over name, door and phone, and differs in its form.
        return "legal_form"
    needed = 1 if found.agrees("name") else 2
    return None if contacts >= needed else "name_alone"


def excess(_members: Sequence[BusinessFeatures]) -> str | None:
    """Return None: no number of codes tells by itself that they are of two businesses."""
    return None


RULES = Rules(veto, lack, excess, frozenset({"other_branch"}))
