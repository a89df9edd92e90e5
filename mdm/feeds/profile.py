"""What a feed file holds, counted in one pass: the answer of a dry run. Counts and shapes, never a value."""

from __future__ import annotations

import heapq
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from mdm.domain.records import SourceRecord
from mdm.feeds.mapping import DeleteOperation, Operation, RowMapper
from mdm.feeds.reading import FeedFile, Row
from mdm.feeds.rejects import Reject, RejectsFile
from mdm.limits import PROFILE_SAMPLE_ROWS

_ROWS_TOGETHER = 1024
_SHAPES_SHOWN = 3
_SHAPE_CHARACTERS_MAX = 24
_LONGER = "longer text"
_HASHES_KEPT = 1024
"""Distinct values up to which the estimate is exact; beyond, it is off by 3 % as a rule."""
_HASHES = 1 << 32
_SEED = 1

_RUNS = re.compile(r"\d+|[^\W\d_]+|\s+|[^\x21-\x7e]")

Issues = Callable[[SourceRecord], Iterable[tuple[str, str]]]
"""Gives field and rule of each value of a record that can be no evidence."""


class ColumnProfile(msgspec.Struct, frozen=True):
    """One column of a file."""

    filled_share: float
    """Share of the readable rows that state it, 0 to 1."""
    distinct_count: int
    """Distinct values, estimated beyond a thousand."""
    length_min: int
    """Characters of the stated values, in a sample of the rows; so are the rest."""
    length_max: int
    shapes: dict[str, float]
    """The commonest shapes with their shares: `9(12)` is twelve digits, `A` a word."""


class FeedProfile(msgspec.Struct, frozen=True):
    """Counts over one file; no values."""

    row_count: int
    upsert_count: int
    delete_count: int
    rejected_count: int
    rejected_by_rule: dict[str, int]
    """`field: reason` → rows."""
    filled_share_by_column: dict[str, float]
    """Share of the readable rows that state the column, 0 to 1, in the file's order."""
    columns: dict[str, ColumnProfile]
    """In the file's order."""
    unknown_columns: tuple[str, ...]
    """Columns of the file that the feed does not declare; they are ignored."""
    missing_columns: tuple[str, ...]
    """Columns that the feed declares and the file lacks; they are taken as not stated."""
    invalid_values: dict[str, dict[str, int]]
    """Field → rule → values that are kept but are no evidence."""


class Profiler:
    """Reads a file once. `operations` are what a load would send; whoever looks at them meanwhile keeps up with it."""

    def __init__(self, file: FeedFile, mapper: RowMapper, rejects: RejectsFile, issues: Issues) -> None:
        self._file = file
        self._mapper = mapper
        self._rejects = rejects
        self._issues = issues
        self._rules: Counter[str] = Counter()
        self._invalid: dict[str, Counter[str]] = {}
        self._columns = [_Column() for _ in file.columns]
        self._sample: list[tuple[str, ...]] = []
        self._dice = random.Random(_SEED)
        self.row_count = 0
        self._readable_count = 0
        self._upsert_count = 0
        self._delete_count = 0

    def run(self, look_at: Callable[[list[Operation]], None] | None = None) -> FeedProfile:
        """Read the file to its end; set-aside rows go to the rejects.

        Args:
            look_at: Called with the operations of each thousand rows.
        """
        waiting: list[Row] = []
        for row in self._file.rows():
            self.row_count += 1
            if isinstance(row, Reject):
                self._set_aside(row)
                continue
            waiting.append(row)
            if len(waiting) == _ROWS_TOGETHER:
                self._take(waiting, look_at)
                waiting = []
        self._take(waiting, look_at)
        return self._found()

    def _take(self, rows: Sequence[Row], look_at: Callable[[list[Operation]], None] | None) -> None:
        if not rows:
            return
        for column, cells in zip(self._columns, zip(*(row.cells for row in rows), strict=True), strict=True):
            column.count(cells)
        for row in rows:
            self._readable_count += 1
            if len(self._sample) < PROFILE_SAMPLE_ROWS:
                self._sample.append(row.cells)
            elif (place := self._dice.randrange(self._readable_count)) < PROFILE_SAMPLE_ROWS:
                self._sample[place] = row.cells
        operations: list[Operation] = []
        for outcome in self._mapper.batch(rows):
            if isinstance(outcome, Reject):
                self._set_aside(outcome)
                continue
            operations += outcome
        for operation in operations:
            if isinstance(operation, DeleteOperation):
                self._delete_count += 1
            else:
                self._upsert_count += 1
                for field, rule in self._issues(operation.record):
                    self._invalid.setdefault(field, Counter())[rule] += 1
        if look_at is not None:
            look_at(operations)

    def _set_aside(self, reject: Reject) -> None:
        self._rules[f"{reject.field}: {reject.reason}"] += 1
        self._rejects.add(reject)

    def _found(self) -> FeedProfile:
        whole = max(self._readable_count, 1)
        sampled = list(zip(*self._sample, strict=True)) or [()] * len(self._columns)
        columns = {
            name: column.profile(cells, whole)
            for name, column, cells in zip(self._file.columns, self._columns, sampled, strict=True)
        }
        return FeedProfile(
            row_count=self.row_count,
            upsert_count=self._upsert_count,
            delete_count=self._delete_count,
            rejected_count=self._rules.total(),
            rejected_by_rule=dict(sorted(self._rules.items())),
            filled_share_by_column={name: column.filled_share for name, column in columns.items()},
            columns=columns,
            unknown_columns=self._mapper.unknown_columns,
            missing_columns=self._mapper.missing_columns,
            invalid_values={field: dict(sorted(rules.items())) for field, rules in sorted(self._invalid.items())},
        )


class _Column:
    """Counts over all rows: how many state it, and the smallest hashes of what they state."""

    def __init__(self) -> None:
        self._filled_count = 0
        self._kept: list[int] = []
        """Negated, so that the largest hash comes first."""
        self._known: set[int] = set()

    def count(self, cells: Iterable[str]) -> None:
        stated = [text for cell in cells if (text := cell.strip())]
        self._filled_count += len(stated)
        for text in set(stated):
            found = zlib.crc32(text.encode("utf-8", "surrogateescape"))
            if found in self._known or (len(self._kept) == _HASHES_KEPT and found >= -self._kept[0]):
                continue
            self._known.add(found)
            heapq.heappush(self._kept, -found)
            if len(self._kept) > _HASHES_KEPT:
                self._known.discard(-heapq.heappop(self._kept))

    def profile(self, sampled: Sequence[str], row_count: int) -> ColumnProfile:
        stated = [text for cell in sampled if (text := cell.strip())]
        lengths = [len(text) for text in stated]
        shapes = Counter(map(shape_of, stated)).most_common(_SHAPES_SHOWN)
        return ColumnProfile(
            filled_share=round(self._filled_count / row_count, 4),
            distinct_count=self._distinct_count(),
            length_min=min(lengths, default=0),
            length_max=max(lengths, default=0),
            shapes={shape: round(count / len(stated), 4) for shape, count in shapes},
        )

    def _distinct_count(self) -> int:
        if len(self._kept) < _HASHES_KEPT:
            return len(self._kept)
        return min(round((_HASHES_KEPT - 1) * _HASHES / (1 - self._kept[0])), self._filled_count)


def shape_of(text: str) -> str:
    """Return what a value looks like, without any of its letters or digits: `9(2)/9(4)`, `A A A`."""
    shape = _RUNS.sub(_run, text)
    return shape if len(shape) <= _SHAPE_CHARACTERS_MAX else _LONGER


def _run(found: re.Match[str]) -> str:
    run = found[0]
    if run.isdecimal():
        return f"9({len(run)})"
    if run.isspace():
        return " "
    return "A" if run.isalpha() else "*"
