"""The five feeds as files: their columns, and writers that stream rows out block by block."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Literal, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from mdm.synth.dice import Dice

FeedFormat = Literal["csv", "parquet"]
Row = list[str]

COLUMNS: dict[str, tuple[str, ...]] = {
    "hospital.patients": (
        "record_id", "facility_id", "full_name", "birth_date", "sex", "nationality", "personal_id",
        "health_card", "phone", "address", "ward_code", "guardian_name", "guardian_relation",
        "guardian_personal_id", "guardian_phone", "birth_order", "updated_at",
    ),
    "social_security.insured": (
        "record_id", "social_insurance_no", "full_name", "birth_date", "sex", "nationality", "personal_id",
        "health_card", "phone", "address", "ward_code", "household_head_name", "household_relation",
        "employer_id", "status", "updated_at",
    ),
    "social_security.employers": (
        "record_id", "tax_code", "name", "address", "ward_code", "phone", "updated_at",
    ),
    "household.residents": (
        "record_id", "personal_id", "old_personal_id", "full_name", "other_name", "birth_date", "sex",
        "ethnicity", "nationality", "permanent_address", "permanent_ward_code", "current_address",
        "current_ward_code", "household_id", "relation_to_head", "father_name", "mother_name",
        "mother_personal_id", "spouse_name", "phone", "died_on", "updated_at",
    ),
    "company.businesses": (
        "record_id", "form", "tax_code", "legal_name", "foreign_name", "short_name", "address", "ward_code",
        "phone", "established_on", "status", "representative_name", "representative_birth_date",
        "representative_sex", "representative_personal_id", "representative_address", "representative_phone",
        "updated_at",
    ),
}  # fmt: skip
"""Feed name → its columns, `record_id` first."""

TRUTH_COLUMNS = ("registry", "entity_kind", "record_id", "entity_id")

ENTITY_COLUMNS = (
    "entity_id", "entity_kind", "form", "name", "since", "sex", "nationality", "twin", "household", "mother", "father",
    "spouse", "representative", "parent",
)  # fmt: skip
"""`entities.csv`: who each entity of the truth really is. `form` is a firm's, `since` the birth or founding date.
Mother, father, spouse, representative and parent firm are entity ids, of which some may have no record in the city."""

KINDS: dict[str, tuple[str, ...]] = {
    "hospital.patients": ("citizen",),
    "social_security.insured": ("citizen",),
    "social_security.employers": ("business",),
    "household.residents": ("citizen",),
    "company.businesses": ("business", "citizen"),
}
"""Feed name → the entity kinds that a row of it describes, in the order of its truth."""


class RowWriter(Protocol):
    """Takes rows and puts them into one file."""

    def write(self, rows: list[Row]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


class CsvWriter:
    """Writes UTF-8 CSV with a header and line feeds."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        """Create the file and write its header."""
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: list[Row]) -> None:
        """Append rows."""
        self._writer.writerows(rows)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetWriter:
    """Writes Parquet with text columns, a row group for each block."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        """Create the file."""
        self._schema = pa.schema([(column, pa.string()) for column in columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: list[Row]) -> None:
        """Append rows as one row group."""
        if rows:
            values = zip(*rows, strict=True)
            arrays = [pa.array(column, pa.string()) for column in values]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


class CityFiles:
    """The open files of a city: rows gather in memory until `flush` shuffles them out with their truth.

    Within a block the rows of a feed are shuffled: neither their order nor their numbers tell who belongs together.
    """

    def __init__(self, directory: Path, feed_format: FeedFormat) -> None:
        """Create the five feeds, `truth.csv` and `entities.csv` in a directory that exists."""
        kind = ParquetWriter if feed_format == "parquet" else CsvWriter
        self._writers: dict[str, RowWriter] = {
            feed: kind(directory / f"{feed}.{feed_format}", columns) for feed, columns in COLUMNS.items()
        }
        self._truth = CsvWriter(directory / "truth.csv", TRUTH_COLUMNS)
        self._entities = CsvWriter(directory / "entities.csv", ENTITY_COLUMNS)
        self._pending: dict[str, list[tuple[Row, tuple[str, ...]]]] = {feed: [] for feed in COLUMNS}
        self.row_counts = dict.fromkeys(COLUMNS, 0)
        self.truth_count = 0

    def add(self, feed: str, row: Row, *entity_ids: str) -> None:
        """Keep a row of a feed and the entities it describes, one for each kind of the feed, for the next flush."""
        self._pending[feed].append((row, entity_ids))

    def add_entity(self, row: Row) -> None:
        """Write who an entity is."""
        self._entities.write([row])

    def flush(self, dice: Dice) -> None:
        """Write what has gathered."""
        for feed, pending in self._pending.items():
            dice.shuffle(pending)
            self._writers[feed].write([row for row, _ in pending])
            registry = feed.partition(".")[0]
            truth = [
                [registry, kind, row[0], entity_id]
                for row, entity_ids in pending
                for kind, entity_id in zip(KINDS[feed], entity_ids, strict=True)
            ]
            self._truth.write(truth)
            self.row_counts[feed] += len(pending)
            self.truth_count += len(truth)
            pending.clear()

    def __enter__(self) -> Self:
        """Return the open files."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all files."""
        for writer in (*self._writers.values(), self._truth, self._entities):
            writer.close()
