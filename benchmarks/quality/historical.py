"""historical_50k: people of the past from Wikidata, whose names, dates and places were corrupted some ten times over.

Half of the records lack a birth date or a postcode, many a surname; names turn into nicknames, translations, initials
and typing slips. One pair of records seldom suffices: blocking has many narrow keys, and clusters are judged together.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from benchmarks.quality.people import (
    JARO_WINKLER_SIMILAR,
    PersonSet,
    Row,
    folded,
    nothing_lacks,
    read_rows,
    soundex,
    squeezed,
)
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.keys import Rule, each, joined
from mdm.linkage.model import Thresholds
from mdm.linkage.normalise.text import fold
from mdm.linkage.predicates import (
    DamerauWithin,
    EitherMissing,
    Equal,
    EqualAcross,
    JaroWinklerAtLeast,
    MemberAcross,
    all_of,
    any_of,
)
from mdm.linkage.rules import Rules
from mdm.linkage.specification import Specification, declare

KIND = "historical"

COLUMNS = "full_name first_and_surname first_name surname dob birth_place postcode_fake gender occupation".split()

JARO_WINKLER_CLOSE = 0.9199
"""One slip in a name of six letters. Just below 0.92, on whose two sides the engines may round it."""

_TITLES = frozenset(
    "admiral baron baroness baronet bart bt capt captain col colonel count countess de doctor dr duke earl esq general "
    "hon honourable jr junior lady lieut lieutenant lord major marquess marquis miss mr mrs of prof professor rev "
    "reverend right rt saint senior sir sr st the viscount".split()
)
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
"""Of a peerage: the 1st Baronet shares it with hundreds."""

_DATE = re.compile(r"(\w{4})-(\w{2}-\w{2})")
"""Slips make dates that no calendar has; their parts are still evidence."""

_POSTCODE = re.compile(r"(([a-z]+)\w*) (\w+)")
_FIRST_JANUARY = "01-01"
_SEXES = {"male": "m", "female": "f"}


class HistoricalFeatures(msgspec.Struct, frozen=True, array_like=True, tag=KIND):
    """Evidence of one row; text folded."""

    given: str | None = None
    given_initial: str | None = None
    surname: str | None = None
    surname_sound: str | None = None
    names: tuple[str, ...] = ()
    """All words of the name but titles."""
    birth_date: str | None = None
    """`yyyy-mm-dd`."""
    birth_year: str | None = None
    birth_day: str | None = None
    """`mm-dd`; None for 1 January, which only says that the day is unknown."""
    postcode: str | None = None
    """Without its space."""
    district: str | None = None
    """The postcode before its space."""
    area: str | None = None
    """The letters that it begins with."""
    birth_place: str | None = None
    sex: str | None = None
    occupation: str | None = None


def name_words(full_name: str | None) -> list[str]:
    """Return the words of a name that are no titles, in their order."""
    return [word for word in fold(full_name or "").split() if word not in _TITLES and not _ORDINAL.fullmatch(word)]


def given_names(full_names: Iterable[str | None]) -> Callable[[str], bool]:
    """Return whether a word that stands alone is a given name: in longer names it comes first more often than last."""
    lead: Counter[str] = Counter()
    for full_name in full_names:
        words = name_words(full_name)
        if len(words) > 1:
            lead[words[0]] += 1
            lead[words[-1]] -= 1
    return lambda word: lead[word] > 0


def features_of(row: Row, is_given_name: Callable[[str], bool]) -> HistoricalFeatures:
    """Return the features of a row."""
    words = name_words(row["full_name"])
    has_given = len(words) > 1 or (len(words) == 1 and is_given_name(words[0]))
    given = words[0] if has_given else None
    surname = words[-1] if len(words) > has_given else None
    date = _DATE.fullmatch(row["dob"] or "")
    postcode = _POSTCODE.fullmatch(row["postcode_fake"] or "")
    return HistoricalFeatures(
        given=given,
        given_initial=given[0] if given else None,
        surname=surname,
        surname_sound=soundex(surname),
        names=tuple(sorted(set(words))),
        birth_date=date[0] if date else None,
        birth_year=date[1] if date else None,
        birth_day=date[2] if date and date[2] != _FIRST_JANUARY else None,
        postcode=squeezed(row["postcode_fake"]),
        district=postcode[1] if postcode else None,
        area=postcode[2] if postcode else None,
        birth_place=folded(row["birth_place"]),
        sex=_SEXES.get(row["gender"] or ""),
        occupation=folded(row["occupation"]),
    )


GIVEN = Comparison(
    "given",
    (
        Level("missing", Meaning.MISSING, EitherMissing("given")),
        Level("same", Meaning.AGREES, Equal("given"), 0.7, 0.02, term_frequency_column="given"),
        Level("initial", Meaning.CLOSE, EqualAcross("given", "given_initial"), 0.02, 5e-3),
        Level("typo", Meaning.CLOSE, DamerauWithin("given", 1), 0.05, 4e-3),
        Level("similar", Meaning.CLOSE, JaroWinklerAtLeast("given", JARO_WINKLER_SIMILAR), 0.04, 6e-3),
        Level("elsewhere", Meaning.CLOSE, MemberAcross("given", "names"), 0.02, 1e-2),
        # Nicknames often keep their beginning: Tom, Tommy, Thomas.
        Level("alike", Meaning.NEUTRAL, JaroWinklerAtLeast("given", 0.6999), 0.07, 0.03),
        Level("different", Meaning.NEUTRAL, None, 0.1, 0.93),
    ),
)

SURNAME = Comparison(
    "surname",
    (
        Level("missing", Meaning.MISSING, EitherMissing("surname")),
        Level("same", Meaning.AGREES, Equal("surname"), 0.75, 1e-3, term_frequency_column="surname"),
        Level("typo", Meaning.CLOSE, DamerauWithin("surname", 1), 0.08, 1e-3),
        Level("similar", Meaning.CLOSE, JaroWinklerAtLeast("surname", JARO_WINKLER_SIMILAR), 0.04, 3e-3),
        Level("elsewhere", Meaning.CLOSE, MemberAcross("surname", "names"), 0.02, 6e-3),
        Level("sound", Meaning.CLOSE, Equal("surname_sound"), 0.01, 2e-3),
        # A translated surname is another word altogether: Albin, White, Weiss.
        Level("different", Meaning.NEUTRAL, None, 0.1, 0.98),
    ),
)

BIRTH = Comparison(
    "birth",
    (
        Level("missing", Meaning.MISSING, EitherMissing("birth_date")),
        Level("same", Meaning.AGREES, Equal("birth_date"), 0.65, 2e-3, term_frequency_column="birth_date"),
        Level("year_typo", Meaning.CLOSE, all_of(Equal("birth_day"), DamerauWithin("birth_date", 1)), 0.1, 3e-4),
        Level("day_typo", Meaning.CLOSE, all_of(Equal("birth_year"), DamerauWithin("birth_date", 1)), 0.1, 5e-4),
        # What one edit still joins are two bare years.
        Level("bare_year_typo", Meaning.CLOSE, DamerauWithin("birth_date", 1), 0.06, 0.02),
        Level("same_day", Meaning.NEUTRAL, Equal("birth_day"), 0.01, 1e-3),
        Level("same_year", Meaning.NEUTRAL, Equal("birth_year"), 0.03, 0.01),
        Level("two_typos", Meaning.NEUTRAL, DamerauWithin("birth_date", 2), 0.03, 0.06),
        Level("different", Meaning.CONFLICTS, None, 0.02, 0.9),
    ),
)

# One comparison, for the postcodes were drawn around the birth place: two would count one fact twice.
PLACE = Comparison(
    "place",
    (
        Level("missing", Meaning.MISSING, all_of(EitherMissing("postcode"), EitherMissing("birth_place"))),
        Level("same_postcode", Meaning.AGREES, Equal("postcode"), 0.55, 3e-5, term_frequency_column="postcode"),
        Level(
            "postcode_typo",
            Meaning.CLOSE,
            all_of(DamerauWithin("postcode", 1), any_of(Equal("birth_place"), EitherMissing("birth_place"))),
            0.05,
            3e-5,
        ),
        Level(
            "place_and_district",
            Meaning.AGREES,
            all_of(Equal("birth_place"), Equal("district")),
            0.05,
            2e-4,
            term_frequency_column="district",
        ),
        Level("district", Meaning.CLOSE, Equal("district"), 0.05, 5e-4),
        Level("same_place", Meaning.AGREES, Equal("birth_place"), 0.15, 4e-3, term_frequency_column="birth_place"),
        Level("place_typo", Meaning.CLOSE, JaroWinklerAtLeast("birth_place", JARO_WINKLER_CLOSE), 0.01, 1e-3),
        Level("area", Meaning.NEUTRAL, Equal("area"), 0.05, 0.01),
        Level("different", Meaning.NEUTRAL, None, 0.08, 0.98),
    ),
)

SEX = Comparison(
    "sex",
    (
        Level("missing", Meaning.MISSING, EitherMissing("sex")),
        Level("same", Meaning.NEUTRAL, Equal("sex"), 0.95, 0.7),
        Level("different", Meaning.NEUTRAL, None, 0.05, 0.3, bits_min=-3.0),
    ),
)

OCCUPATION = Comparison(
    "occupation",
    (
        Level("missing", Meaning.MISSING, EitherMissing("occupation")),
        Level("same", Meaning.AGREES, Equal("occupation"), 0.75, 0.05, term_frequency_column="occupation"),
        Level("different", Meaning.NEUTRAL, None, 0.25, 0.95),
    ),
)

COMPARISONS = (GIVEN, SURNAME, BIRTH, PLACE, SEX, OCCUPATION)

BLOCKING_RULES: tuple[Rule, ...] = (
    ("postcode", lambda f: joined(f.postcode)),
    ("full_birth_date", lambda f: joined(f.birth_day and f.birth_date)),
    ("birth_date_and_given", lambda f: joined(f.birth_date, f.given)),
    ("surname", lambda f: joined(f.surname)),
    ("sound_initial_and_year", lambda f: joined(f.surname_sound, f.given_initial, f.birth_year)),
    ("sound_and_place", lambda f: joined(f.surname_sound, f.birth_place)),
    ("name_and_place", lambda f: each(f.names, f.birth_place)),
    ("name_and_district", lambda f: each(f.names, f.district)),
    ("place_and_year", lambda f: joined(f.birth_place, f.birth_year)),
    ("place_and_occupation", lambda f: joined(f.birth_place, f.occupation)),
    ("birth_day_and_name", lambda f: each(f.names, f.birth_day)),
)

SPECIFICATION = Specification(
    KIND,
    HistoricalFeatures,
    COMPARISONS,
    BLOCKING_RULES,
    Rules(lambda _left, _right: None, nothing_lacks, lambda _members: None),
    (("given", "surname"), ("birth_date", "postcode")),
)
declare(SPECIFICATION)

THRESHOLDS = Thresholds(
    # An edge only says that two clusters are worth a look; all their members together decide. Even odds, and the bound
    # with the highest F1 at a precision of 0.99 on the half that is tuned on.
    link_bits=0.0,
    review_bits=0.0,
    lead_bits=0.0,
    move_margin_bits=4.0,
    coincidence_max=0.0,
    joint_bits_min=-5.0,
)


def read_set(folder: Path) -> PersonSet:
    """Read the file."""
    rows, bearers = read_rows(folder, COLUMNS, "splink_historical_50k")
    is_given_name = given_names(row["full_name"] for row in rows)
    features = [features_of(row, is_given_name) for row in rows]
    return PersonSet(SPECIFICATION, THRESHOLDS, rows, features, bearers, list(map(is_tuned_on, bearers)))


def is_tuned_on(bearer: str) -> bool:
    """Return whether a bearer is of the half that keys, levels and thresholds were chosen on; the other half tests."""
    return hashlib.md5(bearer.encode(), usedforsecurity=False).hexdigest()[0] in "02468bdf"
