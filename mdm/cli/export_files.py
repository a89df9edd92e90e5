"""Files of exports: written aside row group by row group, whole or not there; the manifest says what they hold."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mdm.cli.output import ExitCode, fail

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Columns = list[list[str]]
"""Column after column, in the order of the file."""

SUFFIXES = (".csv", ".parquet")
_ROW_GROUP_ROWS = 65_536
"""Rows in memory, and of one row group: some 10 MB, and large enough to compress well."""


def check_paths(*paths: Path) -> None:
    """End the command if a file cannot be written where it is wanted, or two are one."""
    for path in paths:
        if path.suffix not in SUFFIXES:
            fail(f"{path.name} must end in .csv or .parquet", ExitCode.USAGE)
        if not path.absolute().parent.is_dir():
            fail(f"{path.absolute().parent} is no directory", ExitCode.USAGE)
    if len({path.absolute() for path in paths}) < len(paths):
        fail("--lineage needs a file of its own", ExitCode.USAGE)


class TableFile:
    """A CSV or Parquet file of text columns, in its place once the block ends without an error."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        """Write `path`, which ends in one of `SUFFIXES`, with these columns."""
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._names = names
        self._waiting: Columns = [[] for _ in names]
        self._parquet: pq.ParquetWriter | None = None
        self.row_count = 0
        self.sha256 = ""
        """Of the whole file, once it is in its place."""

    def __enter__(self) -> Self:
        """Begin the file, which is its owner's alone; one that it replaces keeps who may read it."""
        self._partial.unlink(missing_ok=True)
        self._partial.touch(mode=0o600)
        if self._path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            schema = pa.schema([(name, pa.string()) for name in self._names])
            self._parquet = pq.ParquetWriter(self._partial, schema, compression="zstd")
        else:
            self._csv = self._partial.open("w", encoding="utf-8", newline="")
            self._rows = csv.writer(self._csv, lineterminator="\n")
            self._rows.writerow(self._names)
        return self

    def write(self, columns: Columns) -> None:
        """Add rows."""
        self.row_count += len(columns[0])
        for waiting, column in zip(self._waiting, columns, strict=True):
            waiting.extend(column)
        if len(self._waiting[0]) >= _ROW_GROUP_ROWS:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the file in its place, or nothing."""
        try:
            if error is None:
                self._flush()
            (self._parquet or self._csv).close()
            if error is None:
                with self._partial.open("rb") as file:
                    os.fsync(file.fileno())
                    self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                # What an earlier export left describes another file.
                _manifest_of(self._path).unlink(missing_ok=True)
                if self._path.exists():
                    shutil.copymode(self._path, self._partial)
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._parquet is not None:
            import pyarrow as pa

            arrays = [pa.array(column, pa.string()) for column in self._waiting]
            self._parquet.write_table(pa.table(arrays, schema=self._parquet.schema))
        else:
            self._rows.writerows(zip(*self._waiting, strict=True))
        self._waiting = [[] for _ in self._names]


def write_manifest(file: Path, manifest: dict[str, Any]) -> None:
    """Write what stands beside a file; it comes last, so that where it stands the files that it describes are whole."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(_manifest_of(file))


def _manifest_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.manifest.json")
