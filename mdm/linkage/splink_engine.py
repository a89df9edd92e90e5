"""The batch engine: Splink on DuckDB over a snapshot, with our candidates and our term frequencies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from splink import DuckDBAPI, Linker

from mdm.limits import CANDIDATES_PER_KEY_MAX
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model
from mdm.linkage.specification import Specification, learned_parameters

CHUNK_PAIRS = 10_000_000
"""Candidate pairs made at a time, repeats included, four of five: what a killed prediction loses, some 10 s."""

MEMORY_LIMIT_DEFAULT = "2GB"
"""For DuckDB's buffers, as it reads it; beyond it, it spills to disk. The process takes 0.2 to 0.4 GB more."""

_CANDIDATE_PAIRS = "candidate_pairs"
_REPORT = "prediction_report"
"""Names under which Parquet files carry what is known of their rows."""

Progress = Callable[[str, int, int], None]
"""Called with a stage, the units done and the units in all."""


class PredictionReport(msgspec.Struct, frozen=True):
    """What a prediction looked at."""

    records: int
    candidate_pairs: int
    """Distinct pairs that share a blocking key, scored."""
    kept_pairs: int
    """Those at or above the threshold, written."""
    truncated_keys: int
    """Blocking keys with so many holders that each was paired with its nearest predecessors only."""


class _Api(DuckDBAPI):
    """Splink's interface to DuckDB, but that scored pairs hold no more than is wanted, and records are copied once.

    Splink's own table of pairs holds every compared column of both records, some 2 KiB a pair; and before each
    prediction it copies the records of either side. Without that a prediction takes 60 % of the time.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, specification: Specification) -> None:
        super().__init__(connection)
        levels = [f"gamma_{each.name}::TINYINT AS gamma_{each.name}" for each in specification.comparisons]
        self._kept = ", ".join(["number_l AS left", "number_r AS right", "match_weight", *levels])

    def _setup_for_execute_sql(self, sql: str, physical_name: str) -> str:
        if physical_name.startswith("__splink__df_predict"):
            sql = f"SELECT {self._kept} FROM ({sql})"  # noqa: S608 - Names of our own.
        elif physical_name.startswith("__splink__df_pruned_predict_input"):
            return f"CREATE OR REPLACE VIEW {physical_name} AS\n{sql}"
        return super()._setup_for_execute_sql(sql, physical_name)


class Workspace:
    """A scratch DuckDB database over one snapshot, and Splink's interface to it. Used by one thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, snapshot: Path, specification: Specification) -> None:
        self.connection = connection
        self.specification = specification
        self.api = _Api(connection, specification)
        columns = ", ".join(f'"{field}"' for field in specification.features_type.__struct_fields__)
        # Splink joins whole records; the keys stay out of them.
        self.run(
            f"CREATE TABLE records AS SELECT number, {columns} FROM read_parquet(?)",  # noqa: S608 - Our own columns.
            [str(snapshot)],
        )
        self.records = self.api.register("records", dataset_display_name="snapshot")

    def run(self, query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query to its end: a result left open would block Splink on this connection."""
        return self.connection.execute(query, parameters or []).fetchall()

    def count(self, query: str) -> int:
        """Return the single number that `query` yields."""
        ((number,),) = self.run(query)
        return int(number)

    def linker(self, settings: dict[str, Any], epoch: StatisticsEpoch) -> Linker:
        """Return a Splink linker whose term frequencies are the epoch's."""
        # The settings are our own and proven by the parity of both engines; Splink takes 0.2 s to check them.
        linker = Linker(self.records, settings, validate_settings=False, log_level=logging.ERROR)
        known = learned_parameters(settings)
        for column, (comparison, level) in self.specification.term_frequency_levels.items():
            _, u = known[comparison.name, level.label]
            table = f"frequencies_of_{column}"
            self._create_frequencies(table, column, epoch.term_frequencies(level, u or level.u))
            frame = self.api.register(table, dataset_display_name=f"{table}_{linker._cache_uid}")  # noqa: SLF001
            linker.table_management.register_term_frequency_lookup(frame, column)
        return linker

    def _create_frequencies(
        self, table: str, column: str, frequencies: Callable[[Sequence[str]], NDArray[np.float64]]
    ) -> None:
        values = [
            value
            for (value,) in self.run(f'SELECT DISTINCT "{column}" FROM records WHERE "{column}" IS NOT NULL')  # noqa: S608
        ]
        columns = {column: pa.array(values, pa.string()), f"tf_{column}": pa.array(frequencies(values), pa.float64())}
        arrow = pa.table(columns)
        self.connection.register("arrow_frequencies", arrow)
        self.run(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM arrow_frequencies")  # noqa: S608
        self.connection.unregister("arrow_frequencies")


@contextmanager
def open_workspace(
    snapshot: Path, specification: Specification, memory_limit: str = MEMORY_LIMIT_DEFAULT
) -> Iterator[Workspace]:
    """Open a scratch database beside the snapshot, and remove it afterwards.

    Args:
        snapshot: Parquet as `write_snapshot` makes it.
        specification: Of the snapshot's kind.
        memory_limit: Of DuckDB's buffers.
    """
    with TemporaryDirectory(prefix=".linkage-", dir=snapshot.parent) as scratch:
        connection = duckdb.connect()
        try:
            connection.execute("SET memory_limit = ?", [memory_limit]).fetchall()
            connection.execute("SET temp_directory = ?", [scratch]).fetchall()
            connection.execute("SET preserve_insertion_order = false").fetchall()
            yield Workspace(connection, snapshot, specification)
        finally:
            connection.close()


def predict(
    snapshot: Path,
    model: Model,
    epoch: StatisticsEpoch,
    output: Path,
    *,
    threshold_bits: float,
    memory_limit: str = MEMORY_LIMIT_DEFAULT,
    progress: Progress | None = None,
) -> PredictionReport:
    """Score every candidate pair of a snapshot with Splink, a chunk at a time.

    Whole chunks that a killed prediction left beside `output` are taken over, and so is a whole output: give another
    snapshot, model, epoch or threshold another output. The same input gives the same rows in the same order.

    Args:
        snapshot: Parquet as `write_snapshot` makes it.
        model: Of the snapshot's kind.
        epoch: Gives the prior and the name frequencies.
        output: Parquet with left, right (left < right), match_weight and one level column for each comparison,
            `gamma_<name>`; by left and right within each chunk.
        threshold_bits: Pairs below it are left out.
        memory_limit: Of DuckDB's buffers.
        progress: Told of each chunk.
    """
    if output.exists():
        return _report_of(output)
    specification = model.specification
    settings = model.splink | {
        "probability_two_random_records_match": epoch.prior,
        # Splink keeps the levels only together with the columns that they compare.
        "retain_matching_columns": True,
    }
    parts = output.with_suffix(".parts")
    parts.mkdir(exist_ok=True)
    with open_workspace(snapshot, specification, memory_limit) as workspace:
        linker = workspace.linker(settings, epoch)
        estimate, truncated_keys = _prepare_keys(workspace, snapshot)
        chunks = 1 + estimate // CHUNK_PAIRS
        for chunk in range(chunks):
            part = parts / f"{chunk:05}-of-{chunks:05}.parquet"
            if not part.exists():
                _score_chunk(workspace, linker, (chunk, chunks), threshold_bits, part)
            if progress is not None:
                progress("score", chunk + 1, chunks)
        records = workspace.count("SELECT count(*) FROM records")
    return _join(sorted(parts.glob("*.parquet")), output, PredictionReport(records, 0, 0, truncated_keys))


def _prepare_keys(workspace: Workspace, snapshot: Path) -> tuple[int, int]:
    """Find who holds which key; return the pairs that all keys make, repeats included, and the truncated keys.

    Almost all keys have few holders, who all meet: they need no order. The holders of the others are numbered.
    """
    cap = CANDIDATES_PER_KEY_MAX
    workspace.run(
        "CREATE TABLE keys AS SELECT number, unnest(posting_keys) AS key FROM read_parquet(?)", [str(snapshot)]
    )
    workspace.run("CREATE TABLE shared AS SELECT key, count(*) AS held FROM keys GROUP BY key HAVING count(*) > 1")
    workspace.run(
        f"CREATE TABLE holders AS SELECT number, key FROM keys JOIN shared USING (key) WHERE held <= {cap} + 1"  # noqa: S608
    )
    workspace.run(
        f"""
        CREATE TABLE crowds AS
        SELECT number, key, row_number() OVER (PARTITION BY key ORDER BY number) AS place
        FROM keys JOIN shared USING (key) WHERE held > {cap} + 1
        """  # noqa: S608
    )
    few = workspace.count(
        f"SELECT coalesce(sum(held * (held - 1) // 2), 0) FROM shared WHERE held <= {cap} + 1"  # noqa: S608
    )
    many = workspace.count(f"SELECT coalesce(sum(least(place - 1, {cap})), 0) FROM crowds")  # noqa: S608
    truncated = workspace.count(f"SELECT count(*) FROM shared WHERE held > {cap} + 1")  # noqa: S608
    workspace.run("DROP TABLE keys")
    workspace.run("DROP TABLE shared")
    return few + many, truncated


def _block(workspace: Workspace, chunk: int, chunks: int) -> int:
    """Make the candidate pairs of one chunk.

    A record meets the last `CANDIDATES_PER_KEY_MAX` holders of a key before it, which is whom it would have met online.
    In a crowd a join over the key alone would look at all pairs of its holders; those in reach lie in one stretch of
    places or in the next, so that the cost grows with the holders, not with their square.
    """
    reach = CANDIDATES_PER_KEY_MAX
    workspace.run(
        f"""
        CREATE OR REPLACE TABLE pairs_{chunk} AS
        SELECT DISTINCT '0' AS match_key, join_key_l, join_key_r FROM (
            SELECT l.number AS join_key_l, r.number AS join_key_r
            FROM holders AS l JOIN holders AS r ON l.key = r.key
            WHERE l.number < r.number AND l.number % {chunks} = {chunk}
            UNION ALL
            SELECT l.number, r.number
            FROM (SELECT *, place // {reach} AS stretch FROM crowds) AS l
            JOIN (SELECT *, unnest([place // {reach}, place // {reach} - 1]) AS stretch FROM crowds) AS r
            ON l.key = r.key AND l.stretch = r.stretch
            WHERE l.place < r.place AND r.place - l.place <= {reach} AND l.number % {chunks} = {chunk}
        )
        """  # noqa: S608 - Numbers of our own.
    )
    return workspace.count(f"SELECT count(*) FROM pairs_{chunk}")  # noqa: S608


def _score_chunk(
    workspace: Workspace,
    linker: Linker,
    place: tuple[int, int],
    threshold_bits: float,
    part: Path,
) -> None:
    """Write the scored pairs of one of so many chunks; the file appears only when it is whole."""
    chunk, chunks = place
    candidate_pairs = _block(workspace, chunk, chunks)
    pairs = workspace.api.register(f"pairs_{chunk}", dataset_display_name=f"candidates_{chunk}")
    linker.table_management.register_blocked_pairs_for_predict(pairs)
    predictions = linker.inference.predict(threshold_match_weight=threshold_bits, warning_mode="never")
    temporary = part.with_suffix(".tmp")
    workspace.run(
        f"COPY (SELECT * FROM {predictions.physical_name} ORDER BY 1, 2) TO '{temporary}' "  # noqa: S608
        f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{_CANDIDATE_PAIRS}: '{candidate_pairs}'}})"
    )
    temporary.rename(part)
    predictions.drop_table_from_database_and_remove_from_cache()
    workspace.run(f"DROP TABLE IF EXISTS pairs_{chunk} CASCADE")


def _join(parts: list[Path], output: Path, report: PredictionReport) -> PredictionReport:
    """Put the chunks into one file, with the report on it, and remove them."""
    candidate_pairs = kept_pairs = 0
    temporary = output.with_suffix(".tmp")
    with pq.ParquetWriter(temporary, pq.read_schema(parts[0]).remove_metadata(), compression="zstd") as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                candidate_pairs += int(file.metadata.metadata[_CANDIDATE_PAIRS.encode()])
                kept_pairs += file.metadata.num_rows
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group).replace_schema_metadata(None))
        report = msgspec.structs.replace(report, candidate_pairs=candidate_pairs, kept_pairs=kept_pairs)
        writer.add_key_value_metadata({_REPORT: msgspec.json.encode(report).decode()})
    temporary.rename(output)
    for part in parts:
        part.unlink()
    parts[0].parent.rmdir()
    return report


def _report_of(output: Path) -> PredictionReport:
    with pq.ParquetFile(output) as file:
        return msgspec.json.decode(file.metadata.metadata[_REPORT.encode()], type=PredictionReport)
