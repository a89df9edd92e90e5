"""The client registry's Ugandan patients without their two numbers: 4,000 people, 1,000 of them entered twice."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.quality.people import (
    COMPACT_BIRTH,
    PersonSet,
    Row,
    name_comparison,
    nothing_lacks,
    read_rows,
    soundex,
    squeezed,
    unordered,
    year_and_day,
)
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.keys import Rule, joined
from mdm.linkage.model import Thresholds
from mdm.linkage.predicates import DamerauWithin, EitherMissing, Equal
from mdm.linkage.rules import Rules
from mdm.linkage.specification import Specification, declare

KIND = "uganda"

COLUMNS = "sex date_of_birth given_name surname phone_number".split()

EXCHANGE_DIGITS = 6
"""Of a phone number, before the last three: where a slip in it leaves them alone, some five strangers share them."""


class UgandaFeatures(msgspec.Struct, frozen=True, array_like=True, tag=KIND):
    """Evidence of one row; text without spaces, which the corruption puts in at random."""

    given: str | None = None
    given_sound: str | None = None
    surname: str | None = None
    surname_sound: str | None = None
    sex: str | None = None
    """`m` or `f`; a slip is no third sex."""
    birth_date: str | None = None
    """`yyyymmdd`."""
    birth_year: str | None = None
    birth_day: str | None = None
    """`mmdd`."""
    phone: str | None = None
    """As dialled in the country; slips put letters into it."""


def features_of(row: Row) -> UgandaFeatures:
    """Return the features of a row."""
    given, surname, birth_date = (squeezed(row[name]) for name in ("given_name", "surname", "date_of_birth"))
    year, day = year_and_day(birth_date)
    return UgandaFeatures(
        given=given,
        given_sound=soundex(given),
        surname=surname,
        surname_sound=soundex(surname),
        sex=row["sex"] if row["sex"] in {"m", "f"} else None,
        birth_date=birth_date,
        birth_year=year,
        birth_day=day,
        phone=squeezed(row["phone_number"]),
    )


SEX = Comparison(
    "sex",
    (
        Level("missing", Meaning.MISSING, EitherMissing("sex")),
        Level("same", Meaning.NEUTRAL, Equal("sex"), 0.95, 0.65),
        Level("different", Meaning.NEUTRAL, None, 0.05, 0.35, bits_min=-4.0),
    ),
)

PHONE = Comparison(
    "phone",
    (
        Level("missing", Meaning.MISSING, EitherMissing("phone")),
        # Six digits behind a network's three: strangers hardly share one by chance, but a household may.
        Level("same", Meaning.AGREES, Equal("phone"), 0.9, 2e-6, bits_max=14.0),
        Level("typo", Meaning.CLOSE, DamerauWithin("phone", 1), 0.05, 1e-5, bits_max=10.0),
        Level("different", Meaning.NEUTRAL, None, 0.05, 0.9999),
    ),
)

COMPARISONS = (
    name_comparison("given", "surname", 5e-4),
    name_comparison("surname", "given", 5e-4),
    COMPACT_BIRTH,
    SEX,
    PHONE,
)

BLOCKING_RULES: tuple[Rule, ...] = (
    ("phone", lambda f: joined(f.phone)),
    ("birth_date", lambda f: joined(f.birth_date)),
    ("names", lambda f: unordered(f.given, f.surname)),
    ("sounds", lambda f: unordered(f.given_sound, f.surname_sound)),
    ("given_and_exchange", lambda f: joined(f.given, f.phone and f.phone[:EXCHANGE_DIGITS])),
    ("surname_and_year", lambda f: joined(f.surname, f.birth_year)),
    ("given_and_day", lambda f: joined(f.given, f.birth_day)),
)

SPECIFICATION = Specification(
    KIND,
    UgandaFeatures,
    COMPARISONS,
    BLOCKING_RULES,
    Rules(lambda _left, _right: None, nothing_lacks, lambda _members: None),
    (("phone",), ("birth_date",)),
)
declare(SPECIFICATION)

THRESHOLDS = Thresholds(link_bits=3.0, review_bits=0.0, lead_bits=3.0, move_margin_bits=4.0, coincidence_max=0.0)


def read_set(folder: Path) -> PersonSet:
    """Read the file."""
    rows, bearers = read_rows(folder, COLUMNS, "opencr_uganda_5000")
    return PersonSet(SPECIFICATION, THRESHOLDS, rows, [features_of(row) for row in rows], bearers)
