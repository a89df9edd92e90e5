"""What the public sets of persons have in common: how they are read and folded, and how a name and a date compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from benchmarks.quality.datasets import SkippedError
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.features import AnyFeatures
from mdm.linkage.keys import joined
from mdm.linkage.model import Thresholds
from mdm.linkage.normalise.text import fold
from mdm.linkage.predicates import DamerauWithin, EitherMissing, Equal, EqualAcross, JaroWinklerAtLeast, any_of
from mdm.linkage.rules import Found
from mdm.linkage.specification import Specification

Row = dict[str, str | None]
"""A row as its source states it, and `file`, the name of the file that it stands in."""

JARO_WINKLER_SIMILAR = 0.8799
"""Two slips in a name of eight letters. Just below 0.88, on whose two sides the engines may round it."""

SOUNDEX_LETTERS = 4

_SOUNDEX_DIGITS = {
    letter: digit
    for digit, letters in {"1": "bfpv", "2": "cgjkqsxz", "3": "dt", "4": "l", "5": "mn", "6": "r"}.items()
    for letter in letters
}
_SOUNDEX_SILENT = "hw"
"""Letters between two of one digit that do not part them."""


class PersonSet(NamedTuple):
    """A set of persons, with the truth apart: nothing that links may look at `bearers`."""

    specification: Specification
    thresholds: Thresholds
    rows: list[Row]
    """What may be used of each record, as its source states it: what peers are given."""
    features: Sequence[AnyFeatures]
    bearers: list[str]
    """Whom each record truly describes."""
    tuned_on: list[bool] | None = None
    """Whether thresholds were chosen looking at each record's bearer, if they were chosen on this set."""


def read_rows(folder: Path, columns: Iterable[str], *names: str) -> tuple[list[Row], list[str]]:
    """Return these columns and `file` of the files' rows, in the order of their record ids, and the bearer of each.

    Raises:
        SkippedError: The folder lacks one of the files.
    """
    rows: list[Row] = []
    bearers: dict[str | None, str] = {}
    for name in names:
        rows += [row | {"file": name} for row in _read(folder, name)]
        bearers |= {each["record_id"]: each["true_id"] or "" for each in _read(folder, f"{name}.truth")}
    rows.sort(key=lambda row: row["record_id"] or "")
    kept = ("file", *columns)
    return [{column: row[column] for column in kept} for row in rows], [bearers[row["record_id"]] for row in rows]


def _read(folder: Path, name: str) -> list[Row]:
    try:
        # A single file is read: pyarrow would else look for partitions in the folder's name.
        table = pq.ParquetFile(folder / f"{name}.parquet").read()
    except FileNotFoundError as error:
        raise SkippedError(f"the folder of public sets has no persons/{name}.parquet") from error
    rows: list[Row] = table.to_pylist()
    return rows


def folded(text: str | None) -> str | None:
    """Return the words of a value in a-z and 0-9, None if there are none."""
    return fold(text or "") or None


def squeezed(text: str | None) -> str | None:
    """Return a value folded and without spaces, for these sets tear words apart at random; None if nothing is left."""
    return fold(text or "").replace(" ", "") or None


def soundex(word: str | None) -> str | None:
    """Return the American Soundex code of a folded word, None unless it begins with a letter.

    Source: National Archives, "Soundex System" (2007).
    """
    if not word or not word[0].isalpha():
        return None
    code, last = word[0], _SOUNDEX_DIGITS.get(word[0])
    for letter in word[1:]:
        digit = _SOUNDEX_DIGITS.get(letter)
        if digit is not None and digit != last:
            code += digit
        if letter not in _SOUNDEX_SILENT:
            last = digit
    return code[:SOUNDEX_LETTERS].ljust(SOUNDEX_LETTERS, "0")


def unordered(left: str | None, right: str | None) -> Sequence[str]:
    """Return the one key of two values that may stand in each other's place, none if either is missing."""
    return joined(*sorted((left, right))) if left is not None and right is not None else ()


def year_and_day(date: str | None) -> tuple[str | None, str | None]:
    """Return the year and the `mmdd` of a `yyyymmdd` that need not be possible; None for both if it is torn."""
    return (date[:4], date[4:]) if date is not None and len(date) == len("yyyymmdd") else (None, None)


def name_comparison(column: str, other: str, u: float) -> Comparison:
    """Return how a given name or surname is compared.

    Args:
        column: The name.
        other: The other of the two, for the pairs that have them exchanged.
        u: Where training starts for strangers of one name: about one in as many as there are distinct names.
    """
    return Comparison(
        column,
        (
            Level("missing", Meaning.MISSING, EitherMissing(column)),
            Level("same", Meaning.AGREES, Equal(column), 0.7, u, term_frequency_column=column),
            Level("swapped", Meaning.CLOSE, EqualAcross(column, other), 0.05, 1e-3),
            Level("typo", Meaning.CLOSE, DamerauWithin(column, 1), 0.12, 2e-3),
            Level("similar", Meaning.CLOSE, JaroWinklerAtLeast(column, JARO_WINKLER_SIMILAR), 0.06, 5e-3),
            Level("different", Meaning.NEUTRAL, None, 0.07, 0.98),
        ),
    )


COMPACT_BIRTH = Comparison(
    "birth",
    (
        Level("missing", Meaning.MISSING, EitherMissing("birth_date")),
        Level("same", Meaning.AGREES, Equal("birth_date"), 0.85, 3e-4),
        Level("typo", Meaning.CLOSE, DamerauWithin("birth_date", 1), 0.05, 1e-3),
        Level("part", Meaning.NEUTRAL, any_of(Equal("birth_year"), Equal("birth_day")), 0.02, 1.5e-2),
        Level("different", Meaning.NEUTRAL, None, 0.08, 0.98),
    ),
)
"""Of `birth_date` as eight digits, `birth_year` and `birth_day`."""


def nothing_lacks(_found: Found, _left: AnyFeatures, _right: AnyFeatures) -> None:
    """Ask for nothing beside the weight: here no value is shared by a household or issued to another bearer."""
