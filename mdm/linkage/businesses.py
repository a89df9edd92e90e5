"""How two business records are compared, and which are compared at all.

The tax code is the key; names recur from ward to ward ("Hộ kinh doanh Hoa Mai") and owners hold several firms, so
neither carries a link without the other evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mdm.linkage.citizens import JARO_WINKLER_CLOSE
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.keys import Rule, each
from mdm.linkage.predicates import (
    Covered,
    DamerauWithin,
    EitherEmpty,
    EitherMissing,
    Equal,
    JaroWinklerAtLeast,
    LengthsDiffer,
    MemberAcross,
    Overlap,
    all_of,
    any_of,
)

TAX_CODE = Comparison(
    "tax_code",
    (
        # A slip fails the check digit, so that strangers share a code only by a clerk's mix-up.
        Level("same", Meaning.AGREES, Overlap("tax_codes"), 0.96, 4e-6, bits_min=17.0, bits_max=18.0),
        # Parent and branches share ten digits and most else; each is its own business.
        Level("other_branch", Meaning.CONFLICTS, Equal("tax_group"), 0.005, 4e-6, bits_max=-6.0),
        # Household businesses went from ten digits to the owner's twelve: the two cannot be compared.
        Level(
            "missing",
            Meaning.MISSING,
            any_of(EitherMissing("tax_code"), all_of(EitherMissing("tax_group"), LengthsDiffer("tax_code"))),
        ),
        Level("typo", Meaning.CLOSE, DamerauWithin("tax_code", 1), 0.02, 3e-6, bits_max=9.0),
        Level("different", Meaning.CONFLICTS, None, 0.015, 0.9999, bits_max=-6.0),
    ),
)

JARO_WINKLER_TYPO = 0.9499
"""One slip in a name of eight letters or more. Not a rational value of the measure."""

SHARERS_FREE_MAX = 8
"""Records that share a door, telephone or representative before it weighs less: a firm's, its branches', a sister's."""

_SAME_NUMBERS = Equal("name_numbers")
"""Number 9 is another firm than number 6, and "Hoa Mai 2" another shop than "Hoa Mai"."""

NAME = Comparison(
    "name",
    (
        Level("missing", Meaning.MISSING, EitherMissing("name")),
        Level("same", Meaning.AGREES, Equal("name"), 0.84, 1e-4, term_frequency_column="name"),
        Level("swapped", Meaning.AGREES, Equal("name_sorted"), 0.01, 2e-5, term_frequency_column="name"),
        # By the legal name of one of the two: a short name in common may be that of any firm of the owner.
        Level("other_name", Meaning.AGREES, MemberAcross("name_sorted", "names"), 0.02, 1e-4, bits_max=11.0),
        Level("shared_name", Meaning.CLOSE, Overlap("names"), 0.01, 1e-4, bits_max=8.0),
        # One side abbreviates what the other writes out, word for word: "CN" is both an industry and a technology.
        Level(
            "abbreviated",
            Meaning.CLOSE,
            all_of(Equal("name_initials"), Overlap("name_distinct_words"), Covered("name_words", "name_cover")),
            0.02,
            1e-4,
            term_frequency_column="name",
        ),
        # In a short name one letter makes another firm: ASG and ASA.
        Level(
            "typo",
            Meaning.CLOSE,
            all_of(_SAME_NUMBERS, DamerauWithin("name", 1), JaroWinklerAtLeast("name", JARO_WINKLER_TYPO)),
            0.03,
            2e-4,
            bits_max=9.0,
        ),
        Level(
            "same_distinct",
            Meaning.CLOSE,
            all_of(_SAME_NUMBERS, Equal("name_distinct"), Covered("name_words", "name_cover")),
            0.05,
            5e-4,
            term_frequency_column="name_distinct",
        ),
        # What the longer name adds may be a word left out, and may be what tells a successor or a sister apart.
        Level(
            "contained",
            Meaning.NEUTRAL,
            all_of(_SAME_NUMBERS, Overlap("name_distinct_words"), Covered("name_words", "name_cover")),
            0.02,
            1e-3,
            bits_max=6.0,
            term_frequency_column="name",
        ),
        Level(
            "initials",
            Meaning.NEUTRAL,
            all_of(_SAME_NUMBERS, Covered("name_words", "name_cover")),
            0.005,
            2e-4,
            bits_max=3.0,
        ),
        # One brand and two trades: an owner's other firm, or one of the many that chose lucky words.
        Level("same_brand", Meaning.NEUTRAL, Equal("name_distinct"), 0.005, 2e-3, bits_max=2.0),
        # Trade words begin many names, and the measure favours beginnings.
        Level("similar", Meaning.NEUTRAL, JaroWinklerAtLeast("name", JARO_WINKLER_CLOSE), 0.01, 1e-2, bits_max=1.0),
        # Firms are renamed: one in forty within five years.
        Level("different", Meaning.CONFLICTS, None, 0.03, 0.985, bits_min=-5.0, bits_max=-3.0),
    ),
)

LEGAL_FORM = Comparison(
    "legal_form",
    (
        Level("missing", Meaning.MISSING, EitherMissing("legal_form")),
        Level("same", Meaning.AGREES, Equal("legal_form"), 0.95, 0.35),
        # "MTV" is left out as often as not, and a limited company becomes a joint stock company.
        Level("different", Meaning.NEUTRAL, None, 0.05, 0.65, bits_min=-3.0),
    ),
)

PHONE = Comparison(
    "phone",
    (
        Level("missing", Meaning.MISSING, EitherEmpty("phones")),
        # An accountant's phone is the phone of many firms.
        Level(
            "same",
            Meaning.AGREES,
            Overlap("phones"),
            0.75,
            1e-3,
            bits_max=9.0,
            term_frequency_column="phone",
            sharers_free_max=SHARERS_FREE_MAX,
        ),
        Level("different", Meaning.NEUTRAL, None, 0.25, 0.9999, bits_min=-2.0),
    ),
)

ADDRESS = Comparison(
    "address",
    (
        Level(
            "same_premises",
            Meaning.AGREES,
            all_of(Overlap("premises"), any_of(Overlap("wards"), EitherEmpty("wards"))),
            0.75,
            2e-3,
            bits_max=8.0,
            # Hundreds of firms have their seat in one tower or market.
            term_frequency_column="seat",
            sharers_free_max=SHARERS_FREE_MAX,
        ),
        # Two doors can be told apart though one of them lacks its ward.
        Level("missing", Meaning.MISSING, all_of(EitherEmpty("wards"), EitherEmpty("premises"))),
        Level("same_street", Meaning.CLOSE, all_of(Overlap("wards"), Overlap("streets")), 0.05, 6e-4, bits_max=5.0),
        Level("same_ward", Meaning.CLOSE, Overlap("wards"), 0.1, 1e-2, bits_max=3.0),
        Level("different", Meaning.NEUTRAL, None, 0.1, 0.989, bits_min=-3.0),
    ),
)

REPRESENTATIVE = Comparison(
    "representative",
    (
        Level("same_id", Meaning.AGREES, Overlap("representative_ids"), 0.85, 2e-5, bits_max=7.0),
        Level("missing", Meaning.MISSING, EitherMissing("representative_name")),
        Level(
            "same_name",
            Meaning.AGREES,
            Equal("representative_name"),
            0.1,
            1e-3,
            bits_max=7.0,
            term_frequency_column="representative_name",
            sharers_free_max=SHARERS_FREE_MAX,
        ),
        Level("close", Meaning.CLOSE, JaroWinklerAtLeast("representative_name", JARO_WINKLER_CLOSE), 0.02, 6e-3),
        Level("different", Meaning.NEUTRAL, None, 0.03, 0.99, bits_min=-4.0),
    ),
)

COMPARISONS = (TAX_CODE, NAME, LEGAL_FORM, PHONE, ADDRESS, REPRESENTATIVE)


WORDS_BLOCKED_MAX = 4
"""Words of a name that a key is made of each; longer proper names are foreign ones, and rare as a whole."""


def _beside_words(values: Sequence[str], features: BusinessFeatures) -> Iterator[str]:
    for word in (features.name_distinct or features.name or "").split()[:WORDS_BLOCKED_MAX]:
        yield from each(values, word)


def _ids_and_wards(features: BusinessFeatures) -> Iterator[str]:
    for ward in features.wards:
        yield from each(features.representative_ids, ward)


BLOCKING_RULES: tuple[Rule, ...] = (
    ("tax_code", lambda f: each(f.tax_codes)),
    ("name", lambda f: each(f.names)),
    ("distinct_name_and_ward", lambda f: each(f.wards, f.name_distinct)),
    ("phone", lambda f: each(f.phones)),
    # An accountant's telephone, a tower's door: borne by hundreds, so that a word of the name comes in.
    ("phone_and_word", lambda f: _beside_words(f.phones, f)),
    ("premises_and_word", lambda f: _beside_words(f.premises, f)),
    ("representative_id_and_ward", _ids_and_wards),
    ("representative_and_word", lambda f: _beside_words([f.representative_name] if f.representative_name else [], f)),
)
