"""How two registries wrote one value differently, in words for a reader. Only for showing: the model decides."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?:\d{4})?"),
    re.compile(r"(?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4})"),
    re.compile(r"(?P<month>\d\d)/(?P<year>\d{4})"),
    re.compile(r"(?P<year>\d{4})"),
)
_OLD_CARD_DIGITS = 9
_OLD_MOBILE_DIGITS = 11
_INSURANCE_DIGITS = 10
_NEWBORN = "con ba "

Difference = Callable[[Sequence[str], Sequence[str]], str]
"""Takes the values of the reference and of another row, both not empty; answers with nothing if they say the same."""


def folded(text: str) -> str:
    """Return letters without marks or case, words one space apart."""
    decomposed = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "d"))
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold().split())


def name_difference(reference: Sequence[str], other: Sequence[str]) -> str:
    """Say how a name differs; capitals alone say nothing."""
    left, right = reference[0], other[0]
    if " ".join(left.casefold().split()) == " ".join(right.casefold().split()):
        return ""
    left_words, right_words = folded(left).split(), folded(right).split()
    if left_words == right_words:
        return "no diacritics" if right.isascii() else "other diacritics"
    if folded(right).startswith(_NEWBORN):
        return "newborn, under the mother's name"
    if sorted(left_words) == sorted(right_words):
        return "words swapped"
    if set(right_words) < set(left_words):
        return "a middle name dropped"
    return "misspelt" if within_one(folded(left), folded(right)) else "another spelling"


def birth_difference(reference: Sequence[str], other: Sequence[str]) -> str:
    """Say how a birth date differs; another notation says nothing."""
    left, right = date_parts(reference[0]), date_parts(other[0])
    if left == right or "" in (left[0], right[0]):
        return ""
    if left[0] == right[0] and left[1:] == right[:0:-1]:
        return "day and month swapped"
    if left[0] == right[0] and (right[2] in {"", "00"} or right[1:] == ("01", "01")):
        return "only the year is known"
    if left[0] == right[0] and left[1:] == ("01", "01"):
        return "day and month are known here"
    return "one digit off" if within_one("".join(left), "".join(right)) else "another date"


def number_difference(reference: Sequence[str], other: Sequence[str]) -> str:
    """Say how an identifier differs from the ones of the reference."""
    written = other[0]
    if written in reference:
        return "" if written == reference[0] else "an old card number"
    if any(written.zfill(len(number)) == number for number in reference):
        return "leading zero lost"
    if len(written) == _OLD_CARD_DIGITS and written.isdigit():
        return "an old card number"
    return "one character off" if any(within_one(number, written) for number in reference) else "another number"


def card_difference(reference: Sequence[str], other: Sequence[str]) -> str:
    """Say how a health card differs; its last ten digits are the social insurance number."""
    if other[0] == reference[0]:
        return ""
    is_same_number = other[0][-_INSURANCE_DIGITS:] == reference[0][-_INSURANCE_DIGITS:]
    return "another card, same number" if is_same_number else number_difference(reference, other)


def phone_difference(reference: Sequence[str], other: Sequence[str]) -> str:
    """Say how a phone number differs."""
    left, right = _digits(reference[0]), _digits(other[0])
    if left == right:
        return "" if reference[0] == other[0] else "written another way"
    if left[-7:] == right[-7:]:
        return "prefix of before 2018" if len(right) == _OLD_MOBILE_DIGITS else "another prefix"
    return "one digit off" if within_one(left, right) else "another number"


def address_difference(reference: Sequence[str], other: Sequence[str]) -> str:
    """Say how an address differs from the nearest one of the reference."""
    house = _house(other[0])
    if any(folded(address) == folded(other[0]) for address in reference):
        return ""
    if any(_house(address) == house for address in reference):
        return "same house, another ward name"
    return "another address"


def date_parts(text: str) -> tuple[str, str, str]:
    """Return year, month and day as digits; empty where not stated or not readable."""
    for pattern in _DATES:
        if found := pattern.fullmatch(text.strip()):
            parts = found.groupdict()
            return parts["year"], parts.get("month") or "", parts.get("day") or ""
    return "", "", ""


def within_one(left: str, right: str) -> bool:
    """Return whether one insertion, deletion, replacement or swap of neighbours makes the texts equal."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = next((index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    if start is None:
        return True
    rest_left, rest_right = left[start:], right[start:]
    return (
        rest_left[1:] == rest_right[1:]
        or rest_left[1:] == rest_right
        or rest_left == rest_right[1:]
        or (rest_left[:2] == rest_right[1::-1] and rest_left[2:] == rest_right[2:])
    )


def _digits(phone: str) -> str:
    digits = re.sub(r"\D", "", phone)
    return "0" + digits[2:] if digits.startswith("84") and phone.strip().startswith("+") else digits


def _house(address: str) -> str:
    """Return what stands before the first comma without the word for street."""
    return re.sub(r"\b(duong|d\.)\s*", "", folded(address).partition(",")[0])
