"""What the evidence allows, whatever the weight says: vetoes, sufficiency and the three bands.

A weight adds up what the levels are worth on average. These rules know what it cannot: that a personal ID one digit
off is another living person, that a name and a birth date may well be a stranger's, that twins share all but a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason
from mdm.domain.keys import EntityKind
from mdm.linkage.comparisons import Level, Meaning
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import Scorer
from mdm.linkage.specification import Specification, specification_of

MOTHER_AGE_YEARS_MIN = 10
"""A bearer of the mother's name born this long before the newborn is the mother, not the child."""

PERSONAL_NUMBERS_MAX = 3
"""12-digit numbers in one person's records: their own, a re-issued or mistyped one, and a relative's."""

HOUSEHOLD_TAX_CODE_OLD_PREFIX = "8"
"""First digit of the ten-digit codes that household businesses held before the owner's twelve digits."""


class Assessment(NamedTuple):
    """The band of a pair; for a review its reason and the name of the veto or missing evidence, never a value."""

    band: Band
    reason: MatchReason | None = None
    detail: str = ""


PAIR_SAY_BITS_MAX = 10.0
"""What one pair may say for or against two golden records being one: no single pair outvotes three."""

MEMBERS_HEARD_MAX = 50
"""Members of a golden record whose weights are summed: the largest honest ones have some twenty."""

_LINK = Assessment(Band.LINK)
_NONE = Assessment(Band.NONE)

_PLAIN_FACTS = frozenset({"entity_kind", "twin_order", "mother_of_newborn", "other_branch"})
"""Vetoes that no steward need look at: the two are known to be different."""


def veto(left: Features, right: Features) -> str | None:
    """Return the name of what forbids that both describe one bearer, or None. Symmetric; about 1 µs."""
    if isinstance(left, CitizenFeatures) and isinstance(right, CitizenFeatures):
        return _citizen_veto(left, right)
    if isinstance(left, BusinessFeatures) and isinstance(right, BusinessFeatures):
        return _business_veto(left, right)
    return "entity_kind"


def _citizen_veto(left: CitizenFeatures, right: CitizenFeatures) -> str | None:
    if (
        left.verified_ids
        and right.verified_ids
        and _disjoint(left.verified_ids, right.verified_ids)
        # One number written in both records is an alias chain: a re-issued card beside the old one.
        and _disjoint(left.personal_ids, right.personal_ids)
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
    return None


def _is_mother(adult: CitizenFeatures, newborn: CitizenFeatures) -> bool:
    if not newborn.is_newborn_alias or adult.is_newborn_alias or adult.name is None:
        return False
    if adult.birth_year is None or newborn.birth_year is None:
        return adult.name == newborn.mother_name
    return newborn.birth_year - adult.birth_year >= MOTHER_AGE_YEARS_MIN


def _business_veto(left: BusinessFeatures, right: BusinessFeatures) -> str | None:
    if not _disjoint(left.tax_codes, right.tax_codes):
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


def _disjoint(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    return not any(value in right for value in left)


def assess(
    kind: EntityKind,
    levels: tuple[int, ...],
    left: Features,
    right: Features,
    bits: float,
    model: Model,
    epoch: StatisticsEpoch,
) -> Assessment:
    """Return the band of one pair, for online and batch alike.

    Args:
        kind: Of both records.
        levels: As scored.
        left: Features of one record.
        right: Features of the other.
        bits: The match weight.
        model: Gives the thresholds.
        epoch: Gives how common the name is.
    """
    thresholds = model.thresholds
    if bits < thresholds.review_bits:
        return _NONE
    found = _Found(specification_of(kind), levels)
    if isinstance(left, CitizenFeatures) and isinstance(right, CitizenFeatures):
        missing = _missing_of_citizens(found, left, right, epoch, thresholds.coincidence_max)
    else:
        missing = _missing_of_businesses(found)
    if missing == _STRANGERS:
        return _NONE
    forbidden = veto(left, right)
    if forbidden is not None:
        # A veto is worth a steward's time only where a link would else have been made.
        if bits < thresholds.link_bits or forbidden in _PLAIN_FACTS:
            return _NONE
        return Assessment(Band.REVIEW, MatchReason.VETO, forbidden)
    if bits < thresholds.link_bits:
        return Assessment(Band.REVIEW, MatchReason.WEIGHT, missing or "")
    return _LINK if missing is None else Assessment(Band.REVIEW, MatchReason.THIN_EVIDENCE, missing)


_STRANGERS = "strangers"
"""Not even worth a review: what agrees is shared by a household, what tells its members apart differs."""


class _Found:
    """The levels of a pair by comparison name."""

    def __init__(self, specification: Specification, levels: tuple[int, ...]) -> None:
        self._levels = {
            comparison.name: comparison.level_at(value)
            for comparison, value in zip(specification.comparisons, levels, strict=True)
        }

    def __getitem__(self, comparison: str) -> Level:
        return self._levels[comparison]

    def agrees(self, comparison: str) -> bool:
        return self._levels[comparison].meaning is Meaning.AGREES

    def is_close(self, comparison: str) -> bool:
        return self._levels[comparison].meaning is Meaning.CLOSE

    def conflicts(self, comparison: str) -> bool:
        return self._levels[comparison].meaning is Meaning.CONFLICTS

    def count(self, *comparisons: str) -> int:
        return sum(self.agrees(comparison) for comparison in comparisons)


def _missing_of_citizens(
    found: _Found, left: CitizenFeatures, right: CitizenFeatures, epoch: StatisticsEpoch, coincidence_max: float
) -> str | None:
    """Return what a link lacks, None if nothing."""
    if found["family"].label == "newborn":
        return _missing_of_newborns(found, left, right)
    if found.agrees("personal_id") or found.agrees("insurance_number"):
        return _missing_beside_number(found)
    if found["name"].label == "different" or found.conflicts("birth"):
        return _STRANGERS
    if found.conflicts("name") and not found.agrees("birth"):
        return _STRANGERS
    if found["diacritics"].label != "agree" and (left.birth_order is None) != (right.birth_order is None):
        # One of twins, and marks are often all that tells Anh from Ánh.
        return "twin_order"
    contacts = found.count("phone", "address", "family", "employer")
    # Another 12-digit number is another person's, unless two further items say otherwise.
    needed = 2 if found.conflicts("personal_id") else 1
    if found.agrees("name") and not found.conflicts("diacritics"):
        if found.agrees("birth") and (contacts >= needed or found.is_close("personal_id")):
            return None
        if found.agrees("birth"):
            is_improbable = left.name is not None and epoch.expected_strangers(left.name) < coincidence_max
            return None if is_improbable and not _is_contradicted(found) else "name_and_birth_date_only"
        needed += found.conflicts("family") + found.conflicts("insurance_number") + found.conflicts("sex")
        return None if found.is_close("birth") and contacts >= needed else "birth_date"
    needed += found.conflicts("family")
    is_shortened = found["name"].label == "middle_dropped"
    is_unnamed = found["name"].is_missing and found.agrees("family") and not found.conflicts("sex")
    # A household's phone, address and parents do not tell twins apart: any other name that is off needs a number.
    fits = found.agrees("birth") and contacts >= needed and (is_shortened or (is_unnamed and contacts > needed))
    return None if fits else "name"


def _is_contradicted(found: _Found) -> bool:
    """Return whether anything speaks against two records that share no more than a name and a birth date."""
    if any(found.conflicts(name) for name in ("personal_id", "insurance_number", "family", "sex")):
        return True
    return found["phone"].label == "different" or found["address"].label == "different"


def _missing_beside_number(found: _Found) -> str | None:
    """Return what a link lacks beside a shared number, which may be a relative's or one digit off a stranger's."""
    name, birth = found["name"], found["birth"]
    if birth.label == "different":
        return "number_without_birth_date"
    if found.conflicts("birth"):
        # A year off is a clerk's slip if the name agrees in full.
        return None if found.agrees("name") else "number_without_birth_date"
    if name.label in {"different", "similar"}:
        # Twins share a birth date and sometimes a card, but hardly both numbers.
        both = found.agrees("personal_id") and found.agrees("insurance_number")
        return None if both and found.agrees("birth") else "number_without_name"
    if name.is_missing and found.conflicts("sex"):
        return "number_without_name"
    fits = found.agrees("birth") or found.is_close("birth") or found.agrees("name")
    return None if fits else "number_without_name"


def _missing_of_newborns(found: _Found, left: CitizenFeatures, right: CitizenFeatures) -> str | None:
    if found.conflicts("sex"):
        return "sex"
    if (left.birth_order is None) != (right.birth_order is None):
        return "twin_order"
    return None


def _missing_of_businesses(found: _Found) -> str | None:
    contacts = found.count("phone", "address", "representative")
    name_fits = found.agrees("name") or found.is_close("name")
    if found.agrees("tax_code"):
        near = name_fits or contacts or found.is_close("address") or found["name"].label == "similar"
        return None if near else "tax_code_alone"
    if not name_fits:
        return _STRANGERS
    if found.conflicts("tax_code"):
        return "tax_code"
    if found["legal_form"].label == "different":
        # A successor takes over name, door and phone, and differs in its form.
        return "legal_form"
    needed = 1 if found.agrees("name") else 2
    return None if contacts >= needed else "name_alone"


def contradiction(members_a: Sequence[Features], members_b: Sequence[Features]) -> str | None:
    """Return the name of what forbids that all these members describe one bearer, or None.

    A veto between two of them, or more personal numbers than one person comes by: a chain of records each one digit
    off the next would else join hundreds. Costs len(a) × len(b) vetoes of 1 µs.
    """
    for left in members_a:
        for right in members_b:
            forbidden = veto(left, right)
            if forbidden is not None:
                return forbidden
    numbers = {
        each.personal_id
        for members in (members_a, members_b)
        for each in members
        if isinstance(each, CitizenFeatures) and each.personal_id is not None
    }
    return "too_many_numbers" if len(numbers) > PERSONAL_NUMBERS_MAX else None


def compatible(members_a: Sequence[Features], members_b: Sequence[Features], scorer: Scorer) -> bool:
    """Return whether two golden records may be one.

    Nothing may contradict it; some pair must speak for it; and all pairs together must not speak against it,
    so that one slipped number does not join two people whose other records know better. The same test guards online
    merging of fragments and batch clusters. Costs len(a) × len(b) vetoes of 1 µs, and as many scorings up to
    `MEMBERS_HEARD_MAX` members of each.
    """
    if contradiction(members_a, members_b) is not None:
        return False
    heard_a, heard_b = members_a[:MEMBERS_HEARD_MAX], members_b[:MEMBERS_HEARD_MAX]
    weights = [pair.match_weight_bits for left in heard_a for pair in scorer.score(left, heard_b)]
    held = (min(max(weight, -PAIR_SAY_BITS_MAX), PAIR_SAY_BITS_MAX) for weight in weights)
    return max(weights) > 0.0 and sum(held) > 0.0
