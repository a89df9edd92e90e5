"""How two citizen records are compared, and which are compared at all.

Names and dates carry the weight; what a household shares (phone, address, parents) is bounded, because it does not
tell its members apart. Term frequencies stand on the full name: surnames say nothing when a third are Nguyễn.
"""

from __future__ import annotations

from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.features import CitizenFeatures
from mdm.linkage.keys import Rule, each, joined, word_order_free
from mdm.linkage.predicates import (
    Contains,
    DamerauWithin,
    Differ,
    EitherEmpty,
    EitherMissing,
    EitherTrue,
    Equal,
    EqualAcross,
    JaroWinklerAtLeast,
    MemberAcross,
    NumberWithin,
    Overlap,
    all_of,
    any_of,
)

JARO_WINKLER_CLOSE = 0.9199
"""Just below 0.92, which is a rational value of the measure: the engines may round it apart."""

JARO_WINKLER_GARBLED = 0.8599
"""Where one name holds a word that is none, this likeness is enough to take it for a slip."""

NAME = Comparison(
    "name",
    (
        Level("missing", Meaning.MISSING, EitherMissing("name")),
        Level("same", Meaning.AGREES, Equal("name"), 0.88, 4e-5, term_frequency_column="name"),
        Level(
            "swapped",
            Meaning.AGREES,
            any_of(MemberAcross("name", "name_rotated"), all_of(Equal("name_sorted"), Equal("nationality"))),
            0.005,
            2e-6,
        ),
        Level("other_name", Meaning.AGREES, MemberAcross("name", "other_names"), 0.005, 1e-5),
        Level("regional", Meaning.CLOSE, Equal("name_regional"), 0.003, 2e-5, bits_max=9.0),
        # A word that no name is made of is a slip; a brother's or sister's name would be a name.
        Level(
            "slip",
            Meaning.CLOSE,
            all_of(DamerauWithin("name", 1), EitherTrue("is_misspelt")),
            0.03,
            3e-5,
            bits_max=11.0,
        ),
        Level("typo", Meaning.CLOSE, DamerauWithin("name", 1), 0.01, 3e-4),
        Level(
            "middle_dropped",
            Meaning.CLOSE,
            any_of(EqualAcross("name", "name_short"), all_of(Equal("name_short"), Contains("name_words"))),
            0.025,
            1e-4,
        ),
        Level("words_dropped", Meaning.CLOSE, Contains("name_words"), 0.002, 5e-5, bits_max=6.0),
        Level("initials", Meaning.CLOSE, MemberAcross("name", "name_abbreviated"), 0.01, 1e-4, bits_max=9.0),
        # People go by the given name; the measure alone rewards "nguyen thi", which says nothing.
        Level(
            "close", Meaning.CLOSE, all_of(JaroWinklerAtLeast("name", JARO_WINKLER_CLOSE), Equal("given")), 0.01, 5e-4
        ),
        Level(
            "garbled",
            Meaning.NEUTRAL,
            all_of(EitherTrue("is_misspelt"), JaroWinklerAtLeast("name", JARO_WINKLER_GARBLED)),
            0.005,
            1e-3,
            bits_max=4.0,
        ),
        Level("middle_differs", Meaning.NEUTRAL, Equal("name_short"), 0.008, 2e-3, bits_max=2.0),
        Level("similar", Meaning.NEUTRAL, JaroWinklerAtLeast("name", JARO_WINKLER_CLOSE), 0.005, 6e-3, bits_max=0.0),
        Level("given_agrees", Meaning.CONFLICTS, Equal("given"), 0.006, 1e-2, bits_max=-1.0),
        Level("different", Meaning.CONFLICTS, None, 0.006, 0.98, bits_max=-4.0),
    ),
)

DIACRITICS = Comparison(
    "diacritics",
    (
        # Missing marks say nothing; the question arises only where both wrote them and the letters agree.
        Level("agree", Meaning.AGREES, Equal("name_accented"), 0.97, 0.70, bits_max=1.0),
        Level(
            "missing",
            Meaning.MISSING,
            any_of(EitherMissing("name_accented"), EitherMissing("name"), Differ("name")),
        ),
        # Twins are told apart by their given names; a mark missing in the middle is a clerk's.
        Level("given_agrees", Meaning.NEUTRAL, Equal("given_accented"), 0.02, 0.05, bits_max=0.0, bits_min=-2.0),
        Level("conflict", Meaning.CONFLICTS, None, 0.01, 0.25, bits_max=-1.0),
    ),
)

BIRTH = Comparison(
    "birth",
    (
        Level("missing", Meaning.MISSING, EitherMissing("birth_year")),
        # Two clerks who each completed a bare year with 1 January agree on little more than the year.
        Level(
            "same_filler",
            Meaning.CLOSE,
            all_of(Equal("birth_date"), EitherTrue("is_filler_birth_date")),
            0.03,
            4e-4,
            bits_max=8.0,
        ),
        Level("same", Meaning.AGREES, Equal("birth_date"), 0.85, 4.5e-5),
        Level("swapped", Meaning.CLOSE, EqualAcross("birth_date", "birth_date_swapped"), 0.012, 4.5e-5),
        Level("one_digit", Meaning.CLOSE, DamerauWithin("birth_date_exact", 1), 0.02, 8e-4),
        Level(
            "year_only",
            Meaning.CLOSE,
            all_of(Equal("birth_year"), any_of(EitherMissing("birth_date"), EitherTrue("is_filler_birth_date"))),
            0.07,
            2e-3,
        ),
        Level("same_year", Meaning.NEUTRAL, Equal("birth_year"), 0.008, 1.3e-2, bits_max=0.0),
        Level("year_close", Meaning.CONFLICTS, NumberWithin("birth_year", 1), 0.006, 3e-2, bits_max=-1.0),
        Level("different", Meaning.CONFLICTS, None, 0.004, 0.95, bits_max=-6.0),
    ),
)

SEX = Comparison(
    "sex",
    (
        Level("missing", Meaning.MISSING, EitherMissing("sex")),
        Level("same", Meaning.AGREES, Equal("sex"), 0.99, 0.5),
        Level("different", Meaning.CONFLICTS, None, 0.01, 0.5),
    ),
)

PERSONAL_ID = Comparison(
    "personal_id",
    (
        Level("same", Meaning.AGREES, Overlap("personal_ids"), 0.97, 2e-6, bits_max=16.0),
        # An old card number beside a new one is no conflict: they cannot be compared.
        Level("missing", Meaning.MISSING, EitherMissing("personal_id")),
        Level("typo", Meaning.CLOSE, DamerauWithin("personal_id", 1), 0.015, 2e-6, bits_max=10.0),
        Level("different", Meaning.CONFLICTS, None, 0.015, 0.9999, bits_max=-5.0),
    ),
)

INSURANCE_NUMBER = Comparison(
    "insurance_number",
    (
        Level("missing", Meaning.MISSING, EitherEmpty("insurance_numbers")),
        Level("same", Meaning.AGREES, Overlap("insurance_numbers"), 0.96, 2e-6, bits_max=14.0),
        # One person may hold two books, so a difference weighs less than it does for the personal ID.
        Level("different", Meaning.CONFLICTS, None, 0.04, 0.9999, bits_max=-3.0, bits_min=-5.0),
    ),
)

PHONE = Comparison(
    "phone",
    (
        Level("missing", Meaning.MISSING, EitherEmpty("phones")),
        # A household's number stands in some eight records, a clinic's in hundreds.
        Level(
            "same",
            Meaning.AGREES,
            Equal("phone"),
            0.6,
            2e-4,
            bits_max=7.0,
            term_frequency_column="phone",
            sharers_free_max=8,
        ),
        Level("shared", Meaning.AGREES, Overlap("phones"), 0.1, 2e-4, bits_max=5.0),
        Level("different", Meaning.NEUTRAL, None, 0.3, 0.9996, bits_min=-2.0),
    ),
)

ADDRESS = Comparison(
    "address",
    (
        Level(
            "same_premises",
            Meaning.AGREES,
            all_of(Overlap("premises"), any_of(Overlap("wards"), EitherEmpty("wards"))),
            0.55,
            2e-4,
            bits_max=6.0,
        ),
        # Two doors can be told apart though one of them lacks its ward.
        Level("missing", Meaning.MISSING, all_of(EitherEmpty("wards"), EitherEmpty("premises"))),
        Level("same_street", Meaning.CLOSE, all_of(Overlap("wards"), Overlap("streets")), 0.05, 6e-4, bits_max=5.0),
        Level("same_ward", Meaning.CLOSE, Overlap("wards"), 0.2, 1e-2, bits_max=3.0),
        Level("different", Meaning.NEUTRAL, None, 0.2, 0.989, bits_min=-2.0),
    ),
)

FAMILY = Comparison(
    "family",
    (
        # A newborn without a name and the child named later: same mother, same day.
        Level(
            "newborn",
            Meaning.AGREES,
            all_of(EitherTrue("is_newborn_alias"), Equal("mother_name"), Equal("birth_date")),
            0.05,
            1e-7,
            bits_max=16.0,
        ),
        Level("same_relative_id", Meaning.AGREES, Overlap("relative_ids"), 0.15, 1e-5, bits_max=7.0),
        Level("same_mother", Meaning.AGREES, Equal("mother_name"), 0.45, 1e-4, bits_max=7.0),
        Level("same_relative", Meaning.AGREES, Overlap("relative_names"), 0.2, 2e-4, bits_max=6.0),
        Level("same_household", Meaning.AGREES, Equal("household"), 0.02, 1e-5, bits_max=6.0),
        Level("missing", Meaning.MISSING, EitherMissing("mother_name")),
        Level("mother_close", Meaning.CLOSE, JaroWinklerAtLeast("mother_name", JARO_WINKLER_CLOSE), 0.05, 8e-3),
        Level("different_mother", Meaning.CONFLICTS, None, 0.08, 0.99, bits_min=-5.0, bits_max=-1.0),
    ),
)

EMPLOYER = Comparison(
    "employer",
    (
        Level("missing", Meaning.MISSING, EitherMissing("employer")),
        Level("same", Meaning.AGREES, Equal("employer"), 0.7, 2e-3, bits_max=5.0),
        Level("different", Meaning.NEUTRAL, None, 0.3, 0.998, bits_min=-1.0),
    ),
)

COMPARISONS = (NAME, DIACRITICS, BIRTH, SEX, PERSONAL_ID, INSURANCE_NUMBER, PHONE, ADDRESS, FAMILY, EMPLOYER)


def _month(features: CitizenFeatures) -> str | None:
    return features.birth_date[:7] if features.birth_date else None


def _day_of_year(features: CitizenFeatures) -> str | None:
    if features.birth_date is None or features.is_filler_birth_date:
        return None
    return features.birth_date[5:]


def _names(features: CitizenFeatures) -> list[str]:
    own = [features.name_sorted] if features.name_sorted else []
    return own + [word_order_free(name) for name in features.other_names]


BLOCKING_RULES: tuple[Rule, ...] = (
    ("personal_id", lambda f: each(f.personal_ids)),
    ("insurance_number", lambda f: each(f.insurance_numbers)),
    ("name_and_year", lambda f: each(_names(f), f.birth_year)),
    ("name_and_day", lambda f: each(_names(f), _day_of_year(f))),
    ("short_name_and_birth_date", lambda f: joined(f.name_short, f.birth_date)),
    ("given_name_and_birth_date", lambda f: joined(f.given, f.birth_date)),
    ("sound_ward_and_year", lambda f: each(f.wards, f.name_phonetic, f.birth_year)),
    ("name_and_premises", lambda f: each(f.premises, f.given)),
    ("phone_and_name", lambda f: each(f.phones, f.given)),
    ("phone_and_year", lambda f: each(f.phones, f.birth_year)),
    ("premises_and_birth_date", lambda f: each(f.premises, f.birth_date)),
    ("surname_ward_and_birth_date", lambda f: each(f.wards, f.surname, f.birth_date)),
    ("relative_id_and_month", lambda f: each(f.relative_ids, _month(f))),
    ("mother_and_month", lambda f: joined(f.mother_name, _month(f))),
    ("household_and_name", lambda f: joined(f.household, f.given)),
)
