"""Dates keep the precision that the source stated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.normalise.dates import PartialDate, parse_date

DATES = [
    ("2001-02-03", PartialDate(2001, 2, 3), "ISO"),
    ("2001-02-03T08:18:18+07:00", PartialDate(2001, 2, 3), "ISO with time"),
    ("20010203", PartialDate(2001, 2, 3), "compact"),
    ("200102030405", PartialDate(2001, 2, 3), "hospital, to the minute"),
    ("195000000000", PartialDate(1950), "hospital, only the year known"),
    ("195005000000", PartialDate(1950, 5), "hospital, year and month known"),
    ("03/02/2001", PartialDate(2001, 2, 3), "day first"),
    ("3/2/2001", PartialDate(2001, 2, 3), "one digit"),
    ("19122001", PartialDate(2001, 12, 19), "day first, compact"),
    ("02/2001", PartialDate(2001, 2), "month"),
    ("1950", PartialDate(1950), "year"),
    ("00/00/1950", PartialDate(1950), "zeros for what is unknown"),
    ("29/02/2024", PartialDate(2024, 2, 29), "leap day"),
    ("29/02/2023", None, "no leap day"),
    ("31/04/2001", None, "April has 30 days"),
    ("2001-13-01", None, "no thirteenth month"),
    ("15/00/1950", None, "a day of no month"),
    ("9999", None, "no such year yet"),
    ("1879", None, "nobody is that old"),
    ("02-03-01", None, "a year of two digits is not guessed"),
    ("yesterday", None, "words"),
    ("２００１", None, "full-width digits are no format of ours"),
]


@pytest.mark.parametrize(("text", "date", "reason"), DATES, ids=[case[0] for case in DATES])
def test_a_date_is_read(text: str, date: PartialDate | None, reason: str) -> None:
    assert parse_date(text) == date, reason


def test_a_bare_year_is_never_completed() -> None:
    year = PartialDate(1950)
    assert (year.iso, year.iso_swapped, year.is_first_january) == (None, None, False)


def test_day_and_month_are_swapped_only_into_another_date() -> None:
    assert PartialDate(2001, 2, 3).iso_swapped == "2001-03-02"
    assert PartialDate(2001, 3, 3).iso_swapped is None
    assert PartialDate(2001, 2, 13).iso_swapped is None


@given(st.dates())
def test_every_full_date_in_range_survives_each_format(date: object) -> None:
    year, month, day = (int(part) for part in str(date).split("-"))
    expected = PartialDate(year, month, day) if 1880 <= year <= 2100 else None
    for text in (
        f"{year:04}-{month:02}-{day:02}",
        f"{day:02}/{month:02}/{year:04}",
        f"{year:04}{month:02}{day:02}0815",
    ):
        assert parse_date(text) == expected
