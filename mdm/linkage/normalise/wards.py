"""Wards of the city before and after 2025-07-01, by name, district and official code.

A ward split between several new ones keeps all of them: only the street could tell, and a wrong guess would look like
evidence. Source and licence of the table: `mdm/data/SOURCES.md`.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from functools import lru_cache
from importlib import resources
from typing import TypeVar

import msgspec

from mdm.linkage.normalise.text import fold

WARD_TABLE = "hcmc_wards_old_to_new_2025.csv"

_UNIT = re.compile(r"^(?:phuong|xa|thi tran|dac khu|quan|huyen|thi xa|thanh pho) ")
_Key = TypeVar("_Key")

_UNIT_CODES = ("00001", "32248")
"""The first and the last of the whole country's wards, old and new alike."""

Codes = frozenset[str]
NO_WARDS: Codes = frozenset()


class WardTable(msgspec.Struct, frozen=True):
    """The conversion in the forms that an address needs; names are folded and bare ("tan phu", "5")."""

    new_of_code: dict[str, Codes]
    """Official code, old or new, to new codes."""
    new_of_old: dict[tuple[str, str], Codes]
    """(old district, old ward) to new codes."""
    new_of_old_name: dict[str, Codes]
    """Old ward name of any district to new codes; not for wards that are only numbers."""
    new_of_name: dict[str, Codes]
    """New ward name to its code (two units may share a folded name)."""
    new_of_district: dict[str, Codes]
    """Old district to every new code that took over a part of it."""


def may_be_ward_code(code: str) -> bool:
    """Return whether five digits may be a ward's code: the table lacks other provinces' and long abolished ones."""
    return _UNIT_CODES[0] <= code <= _UNIT_CODES[1]


def unit_name(text: str) -> str:
    """Return the folded bare name of an administrative unit: "Phường 05" → "5"."""
    name = _UNIT.sub("", fold(text))
    return name.lstrip("0") if name.isdigit() else name


@lru_cache(maxsize=1)
def ward_table() -> WardTable:
    """Return the table of the city, read once: about 3 ms."""
    by_code: dict[str, set[str]] = defaultdict(set)
    by_old: dict[tuple[str, str], set[str]] = defaultdict(set)
    by_old_name: dict[str, set[str]] = defaultdict(set)
    by_name: dict[str, set[str]] = defaultdict(set)
    by_district: dict[str, set[str]] = defaultdict(set)
    source = resources.files("mdm").joinpath("data", WARD_TABLE)
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        new_code, district, ward = row["newWardCode"], unit_name(row["district"]), unit_name(row["ward"])
        if row["wardCode"]:
            by_code[row["wardCode"]].add(new_code)
        by_name[unit_name(row["newWard"])].add(new_code)
        by_district[district].add(new_code)
        if ward:
            by_old[district, ward].add(new_code)
            if not ward.isdigit():
                by_old_name[ward].add(new_code)
    # A code that lives on names the old ward and the new one alike; where the old ward was split, the writer may have
    # meant either, so the parts stay. Codes that are only new name themselves.
    for codes in list(by_name.values()):
        for code in codes:
            by_code[code].add(code)
    return WardTable(_frozen(by_code), _frozen(by_old), _frozen(by_old_name), _frozen(by_name), _frozen(by_district))


def _frozen(sets: dict[_Key, set[str]]) -> dict[_Key, Codes]:
    return {key: frozenset(codes) for key, codes in sets.items()}
