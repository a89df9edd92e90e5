"""Dates as the registries write them, with the precision that the source really stated.

Nothing is completed: a bare year stays a bare year, because an invented 1 January would look like evidence.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from functools import lru_cache
from typing import NamedTuple

from mdm.limits import VALUE_CHARACTERS_MAX
from mdm.linkage.normalise.findings import Findings
from mdm.linkage.normalise.memory import REMEMBERED_MAX

YEAR_MIN = 1880
"""The oldest living person was born after it."""
YEAR_MAX = 2100
"""No clock here: a date beyond it is a slip in any year that this runs."""

NOT_A_TIME = "is not a time"

_CITY_ZONE = dt.timezone(dt.timedelta(hours=7))
_COMPACT_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})?(\d{2})?(\d{2})?")
_DAY_FIRST_TIME = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")

_FORMATS = (
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?:[T ]\d{2}:\d{2}.*)?"),
    re.compile(r"(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?P<y>\d{4})(?: \d{1,2}:\d{2}.*)?"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?:\d{4}|\d{6})?"),
    re.compile(r"(?P<d>\d{2})(?P<m>\d{2})(?P<y>\d{4})"),
    re.compile(r"(?P<m>\d{1,2})[-/.](?P<y>\d{4})"),
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})"),
    re.compile(r"(?P<y>\d{4})"),
)


class PartialDate(NamedTuple):
    """A date known to the day, the month or the year."""

    year: int
    month: int | None = None
    day: int | None = None

    @property
    def iso(self) -> str | None:
        """`yyyy-mm-dd`, None unless the day is known."""
        if self.month is None or self.day is None:
            return None
        return f"{self.year:04}-{self.month:02}-{self.day:02}"

    @property
    def iso_swapped(self) -> str | None:
        """The same with day and month exchanged, None when that is no other date."""
        if self.month is None or self.day is None or self.day > 12 or self.day == self.month:  # noqa: PLR2004 months
            return None
        return f"{self.year:04}-{self.day:02}-{self.month:02}"

    @property
    def is_first_january(self) -> bool:
        """Whether it is the day that clerks write for a bare year."""
        return self.month == 1 and self.day == 1


LATEST_DAY = PartialDate(2040, 12, 31)
"""Stands for today where a record does not say when it was written: features must not change because a clock moved on.

To be raised, with the normaliser's version, before it comes.
"""


@lru_cache(maxsize=REMEMBERED_MAX)
def parse_date(text: str) -> PartialDate | None:
    """Return the date that a cleaned, non-empty text states, None when it is impossible or in no known format.

    Formats: yyyy-mm-dd, dd/mm/yyyy, yyyymmdd[HHMM[SS]], ddmmyyyy, mm/yyyy, yyyy; zeros for an unknown day or month.
    """
    if not text.isascii():
        return None
    for pattern in _FORMATS:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        parts = match.groupdict()
        date = _checked(int(parts["y"]), int(parts.get("m") or 0), int(parts.get("d") or 0))
        if date is not None:
            return date
    return None


def parse_time(text: str) -> dt.datetime | None:
    """Return the time at which a source says that it changed a record, None when it states none or nothing readable.

    Formats: ISO 8601 dates and times, yyyymmdd[HH[MM[SS]]], dd/mm/yyyy[ HH:MM[:SS]]. Without a zone in the text the
    result has none: it is local to the source.
    """
    stated = text.strip()
    if not stated:
        return None
    try:
        if compact := _COMPACT_TIME.fullmatch(stated):
            moment = _local_time(*(int(part) for part in compact.groups(default="0")))
        elif day_first := _DAY_FIRST_TIME.fullmatch(stated):
            day, month, year, *clock = (int(part) for part in day_first.groups(default="0"))
            moment = _local_time(year, month, day, *clock)
        else:
            moment = dt.datetime.fromisoformat(stated)
    except ValueError:
        return None
    # Beyond it, as with a filler of 9999, no later version of the record would ever count as newer.
    return moment if YEAR_MIN <= moment.year <= YEAR_MAX else None


def city_date(moment: dt.datetime) -> PartialDate:
    """Return the day of a time in Ho Chi Minh City; without a zone it is taken to be local."""
    local = moment if moment.tzinfo is None else moment.astimezone(_CITY_ZONE)
    return PartialDate(local.year, local.month, local.day)


def is_after(date: PartialDate, day: PartialDate) -> bool:
    """Return whether all of `date` lies after all of `day`, as far as both are known."""
    if date.year != day.year or date.month is None or day.month is None:
        return date.year > day.year
    known = 2 + (date.day is not None and day.day is not None)
    return date[:known] > day[:known]


def stated_date(field: str, value: str, written_on: PartialDate | None, findings: Findings) -> PartialDate | None:
    """Return the date of something that has happened, None when it is not stated or can't have.

    `written_on` is the day on which the source last changed the record; without it `LATEST_DAY` stands for today.
    """
    text = findings.text(field, value, VALUE_CHARACTERS_MAX)
    if not text:
        return None
    date = parse_date(text)
    if date is None:
        findings.add(field, "is not a possible date")
    elif is_after(date, written_on or LATEST_DAY):
        findings.add(field, "lies after the record was updated" if written_on else "lies in the future")
        date = None
    return date


def _local_time(year: int, month: int, day: int, hour: int, minute: int, second: int) -> dt.datetime:
    return dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 – the source states no zone


def _checked(year: int, month: int, day: int) -> PartialDate | None:
    if not YEAR_MIN <= year <= YEAR_MAX:
        return None
    if month == 0:
        return PartialDate(year) if day == 0 else None
    if month > 12:  # noqa: PLR2004 months of a year
        return None
    if day == 0:
        return PartialDate(year, month)
    return PartialDate(year, month, day) if day <= calendar.monthrange(year, month)[1] else None
