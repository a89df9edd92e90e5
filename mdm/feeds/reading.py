"""Feed files as rows of text: CSV in UTF-8, or Parquet. Streams: memory does not grow with the file.

A row that cannot be read is handed on as a `Reject` and the rest goes on; only a file that is wrong as a whole raises.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import hashlib
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TextIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mdm.errors import FeedFileError
from mdm.feeds.rejects import Reject
from mdm.limits import FEED_BATCH_ROWS, FEED_LINE_CHARACTERS_MAX, FEED_ROW_LINES_MAX, FEED_SAMPLE_BYTES

_PARQUET_MAGIC = b"PAR1"
_FOREIGN_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
_CUT_CHARACTERS_KEPT = 200
"""Of a line that is too long: enough to find it by."""

# A value may fill its line, which `_Lines` bounds: mapping cuts it, and the normaliser counts it.
csv.field_size_limit(FEED_LINE_CHARACTERS_MAX)

_UNPAIRED = "its quotes do not pair up"
_FEW_COLUMNS = 6
"""Up to so many, a line of an address has as many commas as a row by chance; the registries' feeds have more."""

_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_PLAIN_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")

_OTHER_DELIMITERS = (";", "\t", "|")
_FOREIGN_LINES_MIN = 10
"""Undecodable lines from which on the file, not the row, is taken to be at fault."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row as written; `cells` stand in the order of the file's columns."""

    line: int
    """1-based line that the row begins on, the header counted; in a Parquet file, the row's number."""
    cells: tuple[str, ...]


class FeedFile(Protocol):
    """A feed file that was opened and whose header was read."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, unique."""

    @property
    def row_count(self) -> int | None:
        """Rows in the file, if that is known without reading it."""

    def rows(self) -> Iterator[Row | Reject]:
        """Yield every row in order, from the beginning.

        Raises:
            FeedFileError: The file breaks off or is damaged.
        """


def open_feed(path: Path) -> FeedFile:
    """Open a CSV or Parquet file, told apart by its first bytes.

    Raises:
        FeedFileError: The file is missing, a pipe, empty, not UTF-8, a damaged Parquet file or one with nested values,
            or without a usable header.
    """
    try:
        if path.is_fifo():
            raise FeedFileError(
                path.name, "is a pipe, and a load reads its file more than once: save it as a file first"
            )
        with path.open("rb") as file:
            sample = file.read(FEED_SAMPLE_BYTES)
    except OSError as error:
        raise FeedFileError(path.name or str(path), f"cannot be read: {error.strerror}") from error
    if not sample:
        raise FeedFileError(path.name, "is empty: a feed begins with a header of column names")
    if sample.startswith(_PARQUET_MAGIC) or path.suffix.lower() == ".parquet":
        return _ParquetFeed(path)
    _check_encoding(path.name, sample)
    return _CsvFeed(path)


def survey(path: Path) -> tuple[str, int]:
    """Return a file's SHA-256 in lower-case hexadecimal and how many lines it has; about 1 GB/s."""
    digest = hashlib.sha256()
    line_count = 0
    with path.open("rb") as file:
        while block := file.read(FEED_SAMPLE_BYTES):
            digest.update(block)
            line_count += block.count(b"\n")
    return digest.hexdigest(), line_count


class _CsvFeed:
    row_count = None

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            first = next(_records(_Lines(file), 0), None)
        if not isinstance(first, Row):
            raise FeedFileError(path.name, "has no header that can be read as CSV")
        self.columns = _checked_header(path.name, first.cells)

    def rows(self) -> Iterator[Row | Reject]:
        with self._open() as file:
            column_count = len(self.columns)
            records = _records(_Lines(file), column_count)
            next(records, None)
            for record in records:
                yield _checked_row(record, column_count) if isinstance(record, Row) else record

    def _open(self) -> TextIO:
        # Undecodable bytes become lone surrogates, so one bad row is seen as such and the rest is read on.
        return self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Lines:
    """Lines of a file that can be stepped back to the line after a row's first one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._ahead: deque[str] = deque()
        self.taken: list[str] = []
        """Lines of the row at hand."""
        self.number = 0
        """Lines taken for good, those of the row at hand included."""
        self.cut: dict[int, str] = {}
        """How lines that are too long begin, by their numbers; they are read as empty."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) == FEED_ROW_LINES_MAX:
            raise StopIteration
        line = self._ahead.popleft() if self._ahead else self._read()
        if not line:
            raise StopIteration
        self.taken.append(line)
        self.number += 1
        return line

    def _read(self) -> str:
        line = part = self._file.readline(FEED_LINE_CHARACTERS_MAX)
        if len(line) < FEED_LINE_CHARACTERS_MAX:
            return line
        # No row of text: its end is looked for, and nothing of it is kept but how it begins.
        while part and not part.endswith(("\n", "\r")):
            part = self._file.readline(FEED_LINE_CHARACTERS_MAX)
        self.cut[self.number + 1] = line[:_CUT_CHARACTERS_KEPT]
        return "\n"

    def holds_cut(self, first: int) -> bool:
        """Return whether a line of the row at hand, which begins on line `first`, was too long."""
        return not self.cut.keys().isdisjoint(range(first, self.number + 1))

    def begin_row(self) -> int:
        """Forget the row before; returns the number of the line that follows."""
        self.taken.clear()
        return self.number + 1

    def give_up_first(self) -> str:
        """Return the row's first line and put its others back to be read again."""
        self._ahead.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        return self.taken[0].rstrip("\r\n")


def _records(lines: _Lines, column_count: int) -> Iterator[Row | Reject]:
    """Yield a file's rows; `column_count` is 0 for the header, which alone says how many columns there are."""
    reader = csv.reader(lines, strict=True)
    by_chance_max = 2 if 0 < column_count <= _FEW_COLUMNS else 1
    while True:
        line = lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that is not closed would swallow the rows after it: only its own line is lost.
            is_too_long = "field limit" in str(error)
            reason = "holds a value that is too long to be one" if is_too_long else _UNPAIRED
            yield Reject(line, "row", reason, (lines.give_up_first(),))
            continue
        if lines.number > line and (
            lines.holds_cut(line) or _holds_rows(lines.taken, len(cells), column_count or len(cells), by_chance_max)
        ):
            yield Reject(line, "row", _UNPAIRED, (lines.give_up_first(),))
        elif line in lines.cut:
            yield Reject(line, "row", f"is longer than {FEED_LINE_CHARACTERS_MAX:,} characters", (lines.cut.pop(line),))
        elif cells:
            yield Row(line, tuple(cells))


def _holds_rows(lines: Sequence[str], cell_count: int, column_count: int, by_chance_max: int) -> bool:
    """Return whether a row over several lines holds other rows: the stray quotes of two of them were taken for a pair.

    A value that really has several lines begins and ends in lines that are no rows by themselves: they lack columns.
    One may look like a row by chance, and the first one does wherever the value stands in the last column; so a row
    that has its columns is taken for what it is unless more of its lines are rows than `by_chance_max`, or one has
    numbers and dates where the first line has them.
    """
    if column_count == 1 or max(line.count(",") for line in lines) < column_count - 1:
        return False
    try:
        read = [*csv.reader(lines[:1]), *csv.reader(lines[1:])]
    except csv.Error:
        return False
    first, *others = (_as_row(cells, column_count) for cells in read)
    if first and any(_resembles(first, other) for other in others if other):
        return True
    # In an address a space follows the comma, as it hardly ever does between the columns of a feed.
    plain_count = sum(
        bool(row) and not any(cell.startswith(" ") for cell in cells[1:])
        for cells, row in zip(read, (first, *others), strict=True)
    )
    return plain_count > (cell_count == column_count) * by_chance_max


def _as_row(cells: Sequence[str], column_count: int) -> list[str]:
    """Return the cells of a line that has the columns of a row, else none."""
    if cells and len(cells) < column_count:
        # What follows a quote that is not closed is one cell: the rest of the row, if the quote is a stray one.
        cells = [*cells[:-1], *cells[-1].split(",")]
    return list(cells) if len(cells) == column_count else []


def _resembles(first: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether numbers, dates or keys of one shape stand in the same columns: two of them where there are two."""
    shapes = [_shape(cell) for cell in first]
    alike = [
        shape
        for shape, cell in zip(shapes, other, strict=True)
        if "9" in shape and len(shape) > 1 and shape == _shape(cell)
    ]
    return len(alike) >= min(sum("9" in shape for shape in shapes), 2) > 0


def _shape(cell: str) -> str:
    """Return a text with 9 for each digit and a for each letter."""
    return _LETTER.sub("a", _DIGIT.sub("9", cell.strip()))


def _checked_row(row: Row, column_count: int) -> Row | Reject:
    if not _is_encodable("".join(row.cells)):
        return Reject(row.line, "row", "holds bytes that are not UTF-8", row.cells)
    if len(row.cells) != column_count:
        return Reject(row.line, "row", f"has {len(row.cells)} columns where the header has {column_count}", row.cells)
    return row


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _ParquetFeed:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
                self.row_count: int | None = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise FeedFileError(
                path.name, "is no whole Parquet file: it may have been cut off; copy it again"
            ) from error
        self.columns = _checked_header(path.name, tuple(schema.names))
        if nested := [field.name for field in schema if not _is_text(field.type)]:
            raise FeedFileError(
                path.name,
                f"has lists or other nested values in {', '.join(nested)}: write a text, several values with a "
                "separator between, or leave the column out",
            )

    def rows(self) -> Iterator[Row | Reject]:
        number = 0
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(batch_size=FEED_BATCH_ROWS, use_threads=False):
                    columns = [_texts(column) for column in batch.columns]
                    # One look at each column spares one at each row, as long as nothing is found.
                    is_clean = all(map(_is_encodable, map("".join, columns)))
                    for cells in zip(*columns, strict=True):
                        number += 1
                        row = Row(number, cells)
                        yield row if is_clean else _checked_row(row, len(self.columns))
        except (pa.ArrowException, OSError) as error:
            raise FeedFileError(self._path.name, f"is damaged after row {number}: copy it again") from error


def _is_text(type_: pa.DataType) -> bool:
    """Return whether values of a type can be written as text, as numbers, dates and dictionaries of texts can."""
    try:
        _texts(pa.array([], type_))
    except pa.ArrowException:
        return False
    return True


def _texts(column: pa.Array) -> list[str]:
    """Return a column's values as text; a missing one is empty, bytes that are not UTF-8 become surrogate escapes."""
    if not pa.types.is_binary(column.type) and not pa.types.is_large_binary(column.type):
        column = pc.cast(column, pa.string())
        with contextlib.suppress(UnicodeDecodeError):
            texts: list[str] = pc.fill_null(column, "").to_pylist()
            return texts
    values = pc.fill_null(pc.cast(column, pa.binary()), b"").to_pylist()
    return [value.decode("utf-8", "surrogateescape") for value in values]


def _check_encoding(name: str, sample: bytes) -> None:
    for mark, encoding in _FOREIGN_MARKS.items():
        if sample.startswith(mark):
            raise FeedFileError(name, f"is {encoding}: save it as UTF-8")
    lines = sample.split(b"\n")
    if not _is_utf8(lines[0]) or b"\0" in lines[0]:
        raise FeedFileError(name, "has a header that is not UTF-8: save the file as UTF-8")
    # The sample may end within a letter, so its last line proves nothing.
    foreign = [line for line in lines[:-1] if not line.isascii()]
    bad_count = sum(not _is_utf8(line) for line in foreign)
    if bad_count >= _FOREIGN_LINES_MIN and bad_count > len(foreign) / 2:
        raise FeedFileError(
            name, f"is not UTF-8: {bad_count} of its first {len(lines)} lines cannot be decoded; save it as UTF-8"
        )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _checked_header(name: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    stripped = tuple(column.strip() for column in columns)
    if len(stripped) == 1 and (found := next((mark for mark in _OTHER_DELIMITERS if mark in stripped[0]), "")):
        raise FeedFileError(
            name, f"has one column, whose name holds {found!r}: save it with commas between the columns"
        )
    twice = sorted({column for column in stripped if stripped.count(column) > 1})
    if twice:
        named = f"named {', '.join(twice)}" if has_plain_names(stripped) else "of one name, or no header"
        raise FeedFileError(name, f"has several columns {named}")
    return stripped


def has_plain_names(columns: Sequence[str]) -> bool:
    """Return whether these can only be names of columns: a file without a header has a person's values there."""
    return all(map(_PLAIN_NAME.match, columns))
