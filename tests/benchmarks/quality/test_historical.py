"""Persons of the past as features: titles away, lone words in their place, torn dates and postcodes still of use."""

from __future__ import annotations

import pytest

from benchmarks.quality.historical import HistoricalFeatures, features_of, given_names, name_words
from benchmarks.quality.people import Row

IS_GIVEN_NAME = given_names(["clara shaw", "clara elsie hill", "john clara", "walter shaw", "shaw", None])


def row(**stated: str | None) -> Row:
    columns = ("full_name", "dob", "birth_place", "postcode_fake", "gender", "occupation")
    return dict.fromkeys(columns) | stated


@pytest.mark.parametrize(
    ("full_name", "words"),
    [
        ("sir james hill, 1st baronet", ["james", "hill"]),
        ("Reverend Ted Waller Hobson", ["ted", "waller", "hobson"]),
        ("1st bt.", []),
        ("j. wyatt", ["j", "wyatt"]),
        ("harriet boddam-whetham", ["harriet", "boddam", "whetham"]),
        (None, []),
    ],
)
def test_a_name_loses_its_titles(full_name: str | None, words: list[str]) -> None:
    assert name_words(full_name) == words


@pytest.mark.parametrize(
    ("word", "is_given"),
    [("clara", True), ("walter", True), ("shaw", False), ("elsie", False), ("unheard", False)],
    ids=["mostly first", "only first", "only last", "only between", "never seen"],
)
def test_a_lone_word_is_a_given_name_where_longer_names_begin_with_it(word: str, *, is_given: bool) -> None:
    assert IS_GIVEN_NAME(word) is is_given


@pytest.mark.parametrize(
    ("full_name", "given", "surname"),
    [
        ("walter james shaw", "walter", "shaw"),
        ("sir clara", "clara", None),
        ("shaw", None, "shaw"),
        ("1st baronet", None, None),
        (None, None, None),
    ],
)
def test_given_name_and_surname(full_name: str | None, given: str | None, surname: str | None) -> None:
    features = features_of(row(full_name=full_name), IS_GIVEN_NAME)
    assert (features.given, features.surname) == (given, surname)
    assert features.given_initial == (given[0] if given else None)


@pytest.mark.parametrize(
    ("date", "year", "day"),
    [
        ("1852-07-16", "1852", "07-16"),
        ("1862-86-25", "1862", "86-25"),
        ("1861-01-01", "1861", None),
        ("1852", None, None),
        (None, None, None),
    ],
    ids=["a date", "no calendar has it", "1 January says only the year", "another format", "not stated"],
)
def test_birth_dates(date: str | None, year: str | None, day: str | None) -> None:
    features = features_of(row(dob=date), IS_GIVEN_NAME)
    assert (features.birth_year, features.birth_day) == (year, day)
    assert features.birth_date == (date if year else None)


@pytest.mark.parametrize(
    ("postcode", "expected"),
    [
        ("dl8 4ld", ("dl84ld", "dl8", "dl")),
        ("sw1a 2dd", ("sw1a2dd", "sw1a", "sw")),
        ("npq1 4ap", ("npq14ap", "npq1", "npq")),
        ("dl8", ("dl8", None, None)),
        (None, (None, None, None)),
    ],
    ids=["a postcode", "of central London", "with a slip", "half of one", "not stated"],
)
def test_postcodes(postcode: str | None, expected: tuple[str | None, ...]) -> None:
    features = features_of(row(postcode_fake=postcode), IS_GIVEN_NAME)
    assert (features.postcode, features.district, features.area) == expected


def test_what_is_not_stated_is_no_evidence() -> None:
    assert features_of(row(), IS_GIVEN_NAME) == HistoricalFeatures()
    assert features_of(row(gender="t2227949966"), IS_GIVEN_NAME).sex is None
