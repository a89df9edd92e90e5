"""febrl4 without its social-security number: two files of 5,000 invented Australians, each person once in each file."""

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
from mdm.linkage.keys import Rule, each, joined
from mdm.linkage.model import Thresholds
from mdm.linkage.predicates import DamerauWithin, EitherMissing, Equal, EqualAcross
from mdm.linkage.rules import Rules
from mdm.linkage.specification import Specification, declare

KIND = "febrl4"

COLUMNS = "given_name surname street_number address_1 address_2 suburb postcode state date_of_birth".split()


class FebrlFeatures(msgspec.Struct, frozen=True, array_like=True, tag=KIND):
    """Evidence of one row; text without spaces, which the corruption puts in and takes out at random."""

    file: str
    given: str | None = None
    surname: str | None = None
    surname_sound: str | None = None
    birth_date: str | None = None
    """`yyyymmdd`."""
    birth_year: str | None = None
    birth_day: str | None = None
    """`mmdd`."""
    street_number: str | None = None
    street: str | None = None
    premises: str | None = None
    """The address's second line, the name of a farm or a unit; some rows have the two lines exchanged."""
    suburb: str | None = None
    postcode: str | None = None
    state: str | None = None


def features_of(row: Row) -> FebrlFeatures:
    """Return the features of a row."""
    surname, birth_date = squeezed(row["surname"]), squeezed(row["date_of_birth"])
    year, day = year_and_day(birth_date)
    return FebrlFeatures(
        file=row["file"] or "",
        given=squeezed(row["given_name"]),
        surname=surname,
        surname_sound=soundex(surname),
        birth_date=birth_date,
        birth_year=year,
        birth_day=day,
        street_number=squeezed(row["street_number"]),
        street=squeezed(row["address_1"]),
        premises=squeezed(row["address_2"]),
        suburb=squeezed(row["suburb"]),
        postcode=squeezed(row["postcode"]),
        state=squeezed(row["state"]),
    )


def _place_comparison(column: str, u: float, edits: int = 1) -> Comparison:
    return Comparison(
        column,
        (
            Level("missing", Meaning.MISSING, EitherMissing(column)),
            Level("same", Meaning.AGREES, Equal(column), 0.75, u, term_frequency_column=column),
            Level("typo", Meaning.CLOSE, DamerauWithin(column, edits), 0.1, 2e-3),
            Level("different", Meaning.NEUTRAL, None, 0.15, 0.98),
        ),
    )


STREET = Comparison(
    "street",
    (
        Level("same", Meaning.AGREES, Equal("street"), 0.75, 1e-3, term_frequency_column="street"),
        Level("exchanged", Meaning.AGREES, EqualAcross("street", "premises"), 0.05, 1e-4),
        Level("missing", Meaning.MISSING, EitherMissing("street")),
        Level("typo", Meaning.CLOSE, DamerauWithin("street", 2), 0.1, 5e-4),
        Level("different", Meaning.NEUTRAL, None, 0.1, 0.99),
    ),
)

STATE = Comparison(
    "state",
    (
        Level("missing", Meaning.MISSING, EitherMissing("state")),
        Level("same", Meaning.NEUTRAL, Equal("state"), 0.9, 0.25),
        Level("different", Meaning.NEUTRAL, None, 0.1, 0.75),
    ),
)

COMPARISONS = (
    name_comparison("given", "surname", 3e-3),
    name_comparison("surname", "given", 3e-3),
    COMPACT_BIRTH,
    _place_comparison("street_number", 1e-2),
    STREET,
    _place_comparison("premises", 1e-3, edits=2),
    _place_comparison("suburb", 1e-3),
    _place_comparison("postcode", 1e-3),
    STATE,
)


def _lines(features: FebrlFeatures) -> tuple[str, ...]:
    """Return both lines of the address, for either may stand where the other belongs."""
    return tuple(line for line in (features.street, features.premises) if line is not None)


BLOCKING_RULES: tuple[Rule, ...] = (
    ("birth_date", lambda f: joined(f.birth_date)),
    ("names", lambda f: unordered(f.given, f.surname)),
    ("sound_and_postcode", lambda f: joined(f.surname_sound, f.postcode)),
    ("given_and_suburb", lambda f: joined(f.given, f.suburb)),
    ("number_and_postcode", lambda f: joined(f.street_number, f.postcode)),
    ("number_and_street", lambda f: joined(f.street_number, f.street)),
    ("number_and_suburb", lambda f: joined(f.street_number, f.suburb)),
    ("street_and_suburb", lambda f: each(_lines(f), f.suburb)),
    ("street_and_postcode", lambda f: each(_lines(f), f.postcode)),
    ("street_and_sound", lambda f: each(_lines(f), f.surname_sound)),
)


def _veto(left: FebrlFeatures, right: FebrlFeatures) -> str | None:
    # Each file holds a person once: what plain Splink is told when it links the two without looking inside either.
    return "same_file" if left.file == right.file else None


SPECIFICATION = Specification(
    KIND,
    FebrlFeatures,
    COMPARISONS,
    BLOCKING_RULES,
    Rules(_veto, nothing_lacks, lambda _members: None, frozenset({"same_file"})),
    (("birth_date",), ("surname", "postcode")),
)
declare(SPECIFICATION)

THRESHOLDS = Thresholds(link_bits=3.0, review_bits=0.0, lead_bits=3.0, move_margin_bits=4.0, coincidence_max=0.0)


def read_set(folder: Path) -> PersonSet:
    """Read both files."""
    rows, bearers = read_rows(folder, COLUMNS, "febrl4a", "febrl4b")
    return PersonSet(SPECIFICATION, THRESHOLDS, rows, [features_of(row) for row in rows], bearers)
