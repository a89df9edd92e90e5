"""Rows that cannot be a record: what is wrong with each, the file that lists them, and the gate on their share."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import msgspec

from mdm.limits import REJECT_GATE_ROWS_MIN

COLUMNS = ("line", "field", "reason", "row")
_HEADER_CHARACTERS_MAX = 100
"""Of a file's first line: more than its header has."""

_PRIVATE_MODE = 0o600


class Reject(msgspec.Struct, frozen=True):
    """One row set aside. `line` is 1-based, the header counted; in a Parquet file, the row's number."""

    line: int
    field: str
    reason: str
    """The rule that was broken, never the value."""
    row: tuple[str, ...] = ()
    """The row as read, for the rejects file alone; undecodable bytes as surrogate escapes."""
    is_record_known: bool = False
    """Whether the record id could be read: otherwise any record of the feed may be the one that the row is about."""


class RejectsFile:
    """The operator's list of set-aside rows; it is created with the first of them.

    Holds personal data, as the feed beside it does: its owner alone reads it. Bytes that could not be decoded are
    written back as they were.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.unknown_record_count = 0
        """Rows of which it is not known which record they are about."""
        self._file: TextIO | None = None

    def add(self, reject: Reject) -> None:
        """Append a row."""
        if self._file is None:
            self._file = open(  # noqa: SIM115 – of the two, only this one takes an opener; closed at the end.
                self.path, "w", encoding="utf-8", errors="surrogateescape", newline="", opener=_opened_for_owner
            )
            csv.writer(self._file).writerow(COLUMNS)
        csv.writer(self._file).writerow((reject.line, reject.field, reject.reason, _as_csv(reject.row)))
        self.count += 1
        self.unknown_record_count += not reject.is_record_known

    def holds_earlier(self) -> bool:
        """Return whether the file there lists rows of an earlier load, since this one has set none aside."""
        # A pipe or a terminal would be waited for.
        if self.count or not self.path.is_file():
            return False
        try:
            with self.path.open(encoding="utf-8-sig", errors="replace") as file:
                return file.readline(_HEADER_CHARACTERS_MAX).strip() == ",".join(COLUMNS)
        except OSError:
            # It is somebody else's.
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def is_gate_closed(row_count: int, reject_count: int, share_max: float) -> bool:
    """Return whether so many rows were set aside that a load must stop.

    Args:
        row_count: Rows read so far, set-aside ones included.
        reject_count: Rows set aside so far.
        share_max: Largest share that is still well, from 0 to 1. It says nothing of fewer than `REJECT_GATE_ROWS_MIN`
            rows: these never stop a load, nor does a file that has no more.
    """
    return row_count >= REJECT_GATE_ROWS_MIN and reject_count > share_max * row_count


def _opened_for_owner(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, _PRIVATE_MODE)
    # One of an earlier release may be there, readable to all; a terminal or a pipe has its own mode.
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        # Who may write to somebody else's file may not change its mode.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, _PRIVATE_MODE)
    return descriptor


def _as_csv(row: Sequence[str]) -> str:
    if len(row) == 1:
        return row[0]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(row)
    return buffer.getvalue()
