"""Numbers that people and firms bear, with the structure and check digits of the real ones.

Serial numbers come from permuted counters, so that no two bearers share a number and no memory grows with the city.
"""

from __future__ import annotations

from datetime import date

from mdm.synth.dice import Dice, Weighted

TAX_CODE_WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)

_DELTA_PROVINCES = ("080", "082", "083", "084", "086", "087", "089", "091", "092", "093", "094", "095", "096")
_CENTRAL_PROVINCES = ("048", "049", "051", "052", "054", "056", "058", "060", "062", "064", "066", "067", "068")
_NORTHERN_PROVINCES = ("001", "026", "027", "030", "031", "033", "034", "035", "036", "037", "038", "040", "042", "044")
_BIRTH_PROVINCES: Weighted[tuple[str, ...]] = Weighted(
    [
        (("079",), 50.0),
        (("074", "077"), 8.0),
        (_DELTA_PROVINCES, 20.0),
        (_CENTRAL_PROVINCES, 12.0),
        (_NORTHERN_PROVINCES, 10.0),
    ]
)

# (prefixes, market share): Viettel, Vinaphone, Mobifone, others.
_MOBILE: Weighted[tuple[str, ...]] = Weighted(
    [
        (("032", "033", "034", "035", "036", "037", "038", "039", "086", "096", "097", "098"), 50.0),
        (("081", "082", "083", "084", "085", "088", "091", "094"), 22.0),
        (("070", "076", "077", "078", "079", "089", "090", "093"), 20.0),
        (("052", "056", "058", "092", "059", "099", "087", "055"), 8.0),
    ]
)
ELEVEN_DIGIT_PREFIX = {
    "070": "0120", "079": "0121", "077": "0122", "076": "0126", "078": "0128", "083": "0123", "084": "0124",
    "085": "0125", "081": "0127", "082": "0129", "032": "0162", "033": "0163", "034": "0164", "035": "0165",
    "036": "0166", "037": "0167", "038": "0168", "039": "0169", "056": "0186", "058": "0188", "059": "0199",
}  # fmt: skip
"""Mobile prefixes since September 2018 and what they were before; the last seven digits stayed."""

PHONE_FILLERS = ("0900000000", "0123456789", "0999999999", "0909090909")

_CHILD_UNTIL_AGE = 6
_RETIRED_FROM_AGE = 60


class Serials:
    """Hands out the numbers below a bound in a scattered order, a sequence for each prefix, none twice."""

    def __init__(self, dice: Dice) -> None:
        """Draw the order of the sequences."""
        self._dice = dice
        self._next: dict[str, tuple[int, int]] = {}

    def take(self, prefix: str, digits: int) -> str:
        """Return the prefix and the next of its `digits`-digit serials; past the last one they come round again."""
        bound = 10**digits
        # A step that is odd and no multiple of five is coprime to a power of ten: every number comes once.
        step = int(bound * 0.6180339887) // 10 * 10 + 7
        place, start = self._next.get(prefix) or (0, self._dice.below(bound))
        self._next[prefix] = (place + 1, start)
        return f"{prefix}{(start + place * step) % bound:0{digits}d}"


def birth_province(dice: Dice) -> str:
    """Draw the three-digit code of the province where a resident's birth was registered."""
    return dice.choice(_BIRTH_PROVINCES.pick(dice))


def personal_id(serials: Serials, province: str, sex: str, birth: date) -> str:
    """Return a 12-digit personal ID: province, century and sex, year of birth, six digits."""
    century = (birth.year // 100 - 19) * 2 + (sex == "F")
    return serials.take(f"{province}{century}{birth.year % 100:02d}", 6)


def old_identity_card(serials: Serials, province: str) -> str:
    """Return a nine-digit CMND number; those of the city start with 02."""
    return serials.take("02" if province == "079" else f"{int(province) % 38 + 3:02d}", 7)


def passport(serials: Serials, dice: Dice) -> str:
    """Return a passport number: a letter and eight digits."""
    return serials.take(dice.choice("ABCEGKMPRT"), 8)


def social_insurance_number(serials: Serials) -> str:
    """Return a ten-digit BHXH number, issued in the city."""
    return serials.take("79", 8)


def health_card(dice: Dice, social_number: str, age: int, employed: bool, outdated: bool) -> str:  # noqa: FBT001
    """Return a 15-character BHYT code; an outdated one has the group or province of an earlier card."""
    if outdated:
        group, province = dice.choice(("GD4", "HS4", "DN4", "CN3", "HN2", "TE1")), dice.choice(("79", "74", "77", "80"))
    elif age < _CHILD_UNTIL_AGE:
        group, province = "TE1", "79"
    else:
        group = "HS4" if age < 20 else "DN4" if employed else "HT3" if age >= _RETIRED_FROM_AGE else "GD4"
        province = "79"
    return f"{group}{province}{social_number[-10:]}"


def has_tax_check_digit(code: str) -> bool:
    """Return whether the tenth digit of a tax code is right."""
    if len(code) != 10 or not code.isdigit():
        return False
    total = sum(weight * int(digit) for weight, digit in zip(TAX_CODE_WEIGHTS, code[:9], strict=True))
    return 10 - total % 11 == int(code[9])


def tax_code(serials: Serials, region: str) -> str:
    """Return a ten-digit tax code of a region (two digits) with its check digit."""
    while True:
        body = serials.take(region, 7)
        check = 10 - sum(weight * int(digit) for weight, digit in zip(TAX_CODE_WEIGHTS, body, strict=True)) % 11
        # A remainder of zero would need a check digit of ten: such numbers are never issued.
        if check < 10:
            return f"{body}{check}"


def mobile_phone(dice: Dice) -> str:
    """Draw a ten-digit mobile number of today."""
    return f"{dice.choice(_MOBILE.pick(dice))}{dice.below(10_000_000):07d}"


def landline(dice: Dice) -> str:
    """Draw a landline number of the city."""
    return f"0283{dice.below(10_000_000):07d}"
