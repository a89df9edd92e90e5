"""The tables of the synthetic city, read from `data/`: names, rates, streets and wards.

Their sources stand in `SOURCES.md` beside them.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mdm.synth.dice import Weighted

Registry = Literal["hospital", "social_security", "household", "company"]
Difficulty = Literal["default", "hard"]

REGISTRIES: tuple[Registry, ...] = ("hospital", "social_security", "household", "company")

HARD_ERROR_FACTOR = 2.0
"""The hard city: slips twice as frequent. Care varies besides: its worst tenth of desks slips five times as often."""

HARD_IDENTIFIER_FACTOR = 0.6
"""The hard city: identifiers are stated this much more rarely."""

_DATA = Path(__file__).parent / "data"
_WARDS = Path(__file__).parent.parent / "data" / "hcmc_wards_old_to_new_2025.csv"


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of `data/`, as written."""
    with (_DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How often one registry gets each thing wrong, as probabilities. See `data/error_rates.csv`."""

    all_caps: float
    diacritics_lost: float
    tone_wrong: float
    name_typo: float
    tone_place_or_iy: float
    legacy_font: float
    eth_for_d_stroke: float
    decomposed: float
    typing_residue: float
    middle_dropped: float
    name_order_swapped: float
    foreign_order_swapped: float
    north_south_variant: float
    name_noise: float
    birth_day_month_swapped: float
    birth_digit_wrong: float
    birth_first_of_january: float
    birth_lunar: float
    sex_wrong: float
    personal_id_digit_wrong: float
    personal_id_zero_lost: float
    personal_id_of_relative: float
    personal_id_of_parent: float
    health_card_old_prefix: float
    health_card_of_other: float
    phone_of_household: float
    phone_of_other_card: float
    phone_eleven_digits: float
    phone_filler: float
    address_old_tiers: float
    address_previous: float
    address_false_friend: float
    newborn_alias: float
    dead_still_active: float

    def under(self, care: float) -> ErrorRates:
        """Return these rates for a batch whose clerks slip `care` times as often as the mean. Conventions stay."""
        return dataclasses.replace(self, **{name: min(1.0, getattr(self, name) * care) for name in _slips()})


@dataclass(frozen=True, slots=True)
class Presence:
    """How often one registry states each thing, as probabilities. See `data/presence.csv`."""

    person: float
    personal_id_adult: float
    personal_id_adult_before_2022: float
    personal_id_child: float
    cmnd_instead: float
    old_personal_id: float
    social_number: float
    phone: float
    birth_full: float
    birth_year_only: float
    address_to_ward: float
    ward_code: float
    guardian: float
    second_number: float
    same_place_duplicate: float


@functools.cache
def _slips() -> tuple[str, ...]:
    return tuple(row["error"] for row in read_table("error_rates.csv") if row["by_care"] == "yes")


def error_rates(registry: Registry, difficulty: Difficulty) -> ErrorRates:
    """Return the error rates of a registry."""
    rates = ErrorRates(**{row["error"]: float(row[registry]) / 100 for row in read_table("error_rates.csv")})
    return rates.under(HARD_ERROR_FACTOR) if difficulty == "hard" else rates


def presence(registry: Registry, difficulty: Difficulty) -> Presence:
    """Return how often a registry states each thing."""
    shares = {row["value"]: float(row[registry]) / 100 for row in read_table("presence.csv")}
    if difficulty == "hard":
        for name in ("personal_id_adult", "personal_id_adult_before_2022", "personal_id_child", "social_number"):
            shares[name] *= HARD_IDENTIFIER_FACTOR
    return Presence(**shares)


def weighted(name: str, value: str, **where: str) -> Weighted[str]:
    """Return one column of a table as options, weighted by its column `weight`, of the rows that match `where`."""
    rows = [row for row in read_table(name) if all(row[column] == wanted for column, wanted in where.items())]
    return Weighted((row[value], float(row["weight"])) for row in rows)


@dataclass(frozen=True, slots=True)
class Ward:
    """A ward of the city before July 2025 and the new units it went to: (code, name), more than one if it was split."""

    code: str
    name: str
    district: str
    province: str
    successors: tuple[tuple[str, str], ...]

    @property
    def is_rural(self) -> bool:
        """Whether houses here are told apart by hamlet."""
        return self.name.startswith("Xã")

    @property
    def is_false_friend(self) -> bool:
        """Whether a new unit elsewhere bears this ward's name, while none of its own successors does."""
        return self.name in _new_names() and all(name != self.name for _, name in self.successors)


@functools.cache
def wards() -> tuple[Ward, ...]:
    """Return the old wards that have houses, in the order of the table."""
    grouped: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for row in _ward_rows():
        key = (row["wardCode"], row["ward"], row["district"], row["province"])
        grouped.setdefault(key, []).append((row["newWardCode"], row["newWard"]))
    return tuple(Ward(*key, tuple(successors)) for key, successors in grouped.items() if key[0])


def _ward_rows() -> list[dict[str, str]]:
    with _WARDS.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def _new_names() -> frozenset[str]:
    return frozenset(row["newWard"] for row in _ward_rows())
