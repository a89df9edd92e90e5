"""Dates keep the precision that the source stated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.linkage.normalise.dates import PartialDate, city_date, is_after, parse_date, parse_time

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


TIMES = [
    ("2025-03-01", "2025-03-01T00:00:00", "ISO date"),
    ("2025-03-01T08:15:30", "2025-03-01T08:15:30", "ISO time without a zone"),
    ("2025-03-01T08:15:30+07:00", "2025-03-01T08:15:30+07:00", "ISO time with a zone"),
    ("20250301", "2025-03-01T00:00:00", "compact"),
    ("202503010815", "2025-03-01T08:15:00", "hospital, to the minute"),
    ("01/03/2025", "2025-03-01T00:00:00", "day first"),
    ("1/3/2025 8:15", "2025-03-01T08:15:00", "day first with a time"),
    (" 2025-03-01 ", "2025-03-01T00:00:00", "blanks around"),
    ("", None, "not stated"),
    ("2025", None, "a year is no time"),
    ("30/02/2025", None, "no such day"),
    ("2025-03-01T25:00", None, "no such hour"),
    ("9999-12-31T23:59Z", None, "a filler would outdate every later version"),
    ("0001-01-01T00:00+14:00", None, "before any registry"),
    ("yesterday", None, "words"),
]


@pytest.mark.parametrize(("text", "moment", "reason"), TIMES, ids=[case[0] for case in TIMES])
def test_a_time_of_change_is_read(text: str, moment: str | None, reason: str) -> None:
    found = parse_time(text)
    assert (found.isoformat() if found else None) == moment, reason


@pytest.mark.parametrize(
    ("text", "day"),
    [("2025-03-01T20:00:00Z", 2), ("2025-03-01T20:00:00+07:00", 1), ("2025-03-01T20:00:00", 1)],
)
def test_the_day_of_a_time_is_the_city_s(text: str, day: int) -> None:
    moment = parse_time(text)
    assert moment is not None
    assert city_date(moment) == PartialDate(2025, 3, day)


@pytest.mark.parametrize(
    ("date", "expected", "reason"),
    [
        (PartialDate(2025, 3, 2), True, "the next day"),
        (PartialDate(2025, 3, 1), False, "the same day: a newborn"),
        (PartialDate(2025, 4), True, "the next month"),
        (PartialDate(2025, 3), False, "the same month may be before"),
        (PartialDate(2026), True, "the next year"),
        (PartialDate(2025), False, "the same year may be before"),
    ],
)
def test_a_date_lies_after_a_day_only_if_all_of_it_does(date: PartialDate, expected: bool, reason: str) -> None:  # noqa: FBT001
    assert is_after(date, PartialDate(2025, 3, 1)) is expected, reason


@pytest.mark.parametrize(
    ("date", "other", "expected"),
    [
        (PartialDate(2025, 3, 2), PartialDate(2025), False),
        (PartialDate(2025, 3, 2), PartialDate(2025, 3), False),
        (PartialDate(2025, 4, 1), PartialDate(2025, 3), True),
        (PartialDate(2026), PartialDate(2025), True),
    ],
)
def test_what_is_not_known_of_either_date_puts_none_after_the_other(
    date: PartialDate,
    other: PartialDate,
    expected: bool,  # noqa: FBT001
) -> None:
    assert is_after(date, other) is expected
