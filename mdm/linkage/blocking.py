"""Which records are compared at all: two records are candidates when they share a blocking key.

The keys are made here, once, for both engines: the index holds them as postings, the snapshot carries them as a
list column. A rule's keys are compound where a bare value would be borne by thousands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features

POSTING_KEY_BYTES = 9
"""One byte of rule index and eight of hash: fixed width for the index, and hashes hold no names in clear."""

_SEPARATOR = "\x1f"


def _joined(*parts: str | int | None) -> Iterator[str]:
    # A key with a missing part would join strangers on their silence.
    if all(part is not None for part in parts):
        yield _SEPARATOR.join(str(part) for part in parts)


def _each(values: Iterable[str], *parts: str | int | None) -> Iterator[str]:
    for value in values:
        yield from _joined(value, *parts)


def _word_order_free(name: str) -> str:
    return " ".join(sorted(name.split()))


def _month(features: CitizenFeatures) -> str | None:
    return features.birth_date[:7] if features.birth_date else None


def _day_of_year(features: CitizenFeatures) -> str | None:
    if features.birth_date is None or features.is_filler_birth_date:
        return None
    return features.birth_date[5:]


def _names(features: CitizenFeatures) -> list[str]:
    own = [features.name_sorted] if features.name_sorted else []
    return own + [_word_order_free(name) for name in features.other_names]


def _first_word(name: str | None) -> str | None:
    return name.split(maxsplit=1)[0] if name and name.strip() else None


def _ids_and_wards(features: BusinessFeatures) -> Iterator[str]:
    for ward in features.wards:
        yield from _each(features.representative_ids, ward)


CITIZEN_RULES: tuple[tuple[str, Callable[[CitizenFeatures], Iterator[str]]], ...] = (
    ("personal_id", lambda f: _each(f.personal_ids)),
    ("insurance_number", lambda f: _each(f.insurance_numbers)),
    ("name_and_year", lambda f: _each(_names(f), f.birth_year)),
    ("name_and_day", lambda f: _each(_names(f), _day_of_year(f))),
    ("short_name_and_birth_date", lambda f: _joined(f.name_short, f.birth_date)),
    ("given_name_and_birth_date", lambda f: _joined(f.given, f.birth_date)),
    ("sound_ward_and_year", lambda f: _each(f.wards, f.name_phonetic, f.birth_year)),
    ("name_and_premises", lambda f: _each(f.premises, f.given)),
    ("phone_and_name", lambda f: _each(f.phones, f.given)),
    ("phone_and_year", lambda f: _each(f.phones, f.birth_year)),
    ("relative_id_and_month", lambda f: _each(f.relative_ids, _month(f))),
    ("mother_and_month", lambda f: _joined(f.mother_name, _month(f))),
    ("household_and_name", lambda f: _joined(f.household, f.given)),
)

BUSINESS_RULES: tuple[tuple[str, Callable[[BusinessFeatures], Iterator[str]]], ...] = (
    ("tax_code", lambda f: _each(f.tax_codes)),
    ("name", lambda f: _each([_word_order_free(name) for name in (f.name, *f.other_names) if name])),
    ("distinct_name_and_ward", lambda f: _each(f.wards, f.name_distinct)),
    ("phone", lambda f: _each(f.phones)),
    ("premises_and_word", lambda f: _each(f.premises, _first_word(f.name_distinct or f.name))),
    ("representative_id_and_ward", _ids_and_wards),
    ("representative_and_word", lambda f: _joined(f.representative_name, _first_word(f.name_distinct or f.name))),
)


def blocking_keys(features: Features) -> tuple[tuple[int, str], ...]:
    """Return (rule index, key) of every blocking key, without repetition. Keys hold values in clear: never log them."""
    if isinstance(features, CitizenFeatures):
        found = [(index, key) for index, (_, keys) in enumerate(CITIZEN_RULES) for key in keys(features)]
    else:
        found = [(index, key) for index, (_, keys) in enumerate(BUSINESS_RULES) for key in keys(features)]
    return tuple(dict.fromkeys(found))


def posting_keys(features: Features) -> tuple[bytes, ...]:
    """Return the blocking keys as the index holds them, `POSTING_KEY_BYTES` each, sorted."""
    kind = b"c" if isinstance(features, CitizenFeatures) else b"b"
    return tuple(
        sorted(
            index.to_bytes(1, "big") + hashlib.blake2b(key.encode(), digest_size=8, person=kind).digest()
            for index, key in blocking_keys(features)
        )
    )
