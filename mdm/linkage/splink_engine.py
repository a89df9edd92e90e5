"""The batch engine: Splink on DuckDB over a snapshot, with our candidates and our term frequencies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from splink import DuckDBAPI, Linker

from mdm.limits import CANDIDATES_PER_KEY_MAX
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model
from mdm.linkage.specification import Specification, learned_parameters

CHUNK_PAIRS = 4_000_000
"""Candidate pairs scored at a time: some 600 MB at the widest, and 10 s between two reports of progress."""

MEMORY_LIMIT_DEFAULT = "2GB"
"""For DuckDB's buffers, as it reads it; beyond it, it spills to disk. The process takes 0.2 to 0.4 GB more."""

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


class Workspace:
    """A scratch DuckDB database over one snapshot, and Splink's interface to it. Used by one thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, snapshot: Path, specification: Specification) -> None:
        self.connection = connection
        self.specification = specification
        self.api = DuckDBAPI(connection=connection)
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
        linker = Linker(self.records, settings, log_level=logging.ERROR)
        known = learned_parameters(settings)
        for column, (comparison, level) in self.specification.term_frequency_levels.items():
            _, u = known[comparison.name, level.label]
            table = f"frequencies_of_{column}"
            self._create_frequencies(table, column, epoch.term_frequency(level, u or level.u))
            frame = self.api.register(table, dataset_display_name=f"{table}_{linker._cache_uid}")  # noqa: SLF001
            linker.table_management.register_term_frequency_lookup(frame, column)
        return linker

    def _create_frequencies(self, table: str, column: str, frequency: Callable[[str], float]) -> None:
        values = [
            value
            for (value,) in self.run(f'SELECT DISTINCT "{column}" FROM records WHERE "{column}" IS NOT NULL')  # noqa: S608
        ]
        arrow = pa.table(
            {
                column: pa.array(values, pa.string()),
                f"tf_{column}": pa.array([frequency(value) for value in values], pa.float64()),
            }
        )
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
        connection = duckdb.connect(str(Path(scratch) / "workspace.duckdb"))
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
    """Score every candidate pair of a snapshot with Splink.

    Args:
        snapshot: Parquet as `write_snapshot` makes it.
        model: Of the snapshot's kind.
        epoch: Gives the prior and the name frequencies.
        output: Parquet with left, right (left < right), match_weight and one level column for each comparison,
            `gamma_<name>`; in no order.
        threshold_bits: Pairs below it are left out.
        memory_limit: Of DuckDB's buffers.
        progress: Told of each chunk.
    """
    specification = model.specification
    gammas = [f"gamma_{comparison.name}" for comparison in specification.comparisons]
    schema = pa.schema(
        [("left", pa.int64()), ("right", pa.int64()), ("match_weight", pa.float64())]
        + [(gamma, pa.int32()) for gamma in gammas]
    )
    settings = model.splink | {
        "probability_two_random_records_match": epoch.prior,
        # Splink keeps the levels only together with the columns that they compare.
        "retain_matching_columns": True,
    }
    candidate_pairs = kept_pairs = 0
    with (
        open_workspace(snapshot, specification, memory_limit) as workspace,
        pq.ParquetWriter(output, schema, compression="zstd") as writer,
    ):
        linker = workspace.linker(settings, epoch)
        estimate, truncated_keys = _prepare_keys(workspace, snapshot)
        chunks = 1 + estimate // CHUNK_PAIRS
        for chunk in range(chunks):
            candidate_pairs += _block(workspace, chunk, chunks)
            table = _score_chunk(workspace, linker, chunk, gammas, threshold_bits)
            writer.write_table(table.cast(schema))
            kept_pairs += table.num_rows
            if progress is not None:
                progress("score", chunk + 1, chunks)
        records = workspace.count("SELECT count(*) FROM records")
    return PredictionReport(records, candidate_pairs, kept_pairs, truncated_keys)


def _prepare_keys(workspace: Workspace, snapshot: Path) -> tuple[int, int]:
    """Number the holders of each key; return the pairs that all keys make, repeats included, and the truncated keys."""
    workspace.run(
        """
        CREATE TABLE holders AS
        SELECT number, key, row_number() OVER (PARTITION BY key ORDER BY number) AS place
        FROM (SELECT number, unnest(posting_keys) AS key FROM read_parquet(?))
        QUALIFY count(*) OVER (PARTITION BY key) > 1
        """,
        [str(snapshot)],
    )
    cap = CANDIDATES_PER_KEY_MAX
    estimate = workspace.count(f"SELECT coalesce(sum(least(place - 1, {cap})), 0) FROM holders")  # noqa: S608
    truncated = workspace.count(f"SELECT count(DISTINCT key) FROM holders WHERE place > {cap} + 1")  # noqa: S608
    return estimate, truncated


def _block(workspace: Workspace, chunk: int, chunks: int) -> int:
    """Make the candidate pairs of one chunk.

    A record meets the last `CANDIDATES_PER_KEY_MAX` holders of a key before it, which is whom it would have met online.
    A join over the key alone would look at all pairs of its holders; those in reach lie in one stretch of places or in
    the next, so that the cost grows with the holders, not with their square.
    """
    reach = CANDIDATES_PER_KEY_MAX
    workspace.run(
        f"""
        CREATE OR REPLACE TABLE pairs_{chunk} AS
        SELECT DISTINCT '0' AS match_key, l.number AS join_key_l, r.number AS join_key_r
        FROM (SELECT *, place // {reach} AS stretch FROM holders) AS l
        JOIN (SELECT *, unnest([place // {reach}, place // {reach} - 1]) AS stretch FROM holders) AS r
        ON l.key = r.key AND l.stretch = r.stretch
        WHERE l.place < r.place AND r.place - l.place <= {reach} AND l.number % {chunks} = {chunk}
        """  # noqa: S608 - Numbers of our own.
    )
    return workspace.count(f"SELECT count(*) FROM pairs_{chunk}")  # noqa: S608


def _score_chunk(
    workspace: Workspace, linker: Linker, chunk: int, gammas: list[str], threshold_bits: float
) -> pa.Table:
    pairs = workspace.api.register(f"pairs_{chunk}", dataset_display_name=f"candidates_{chunk}")
    linker.table_management.register_blocked_pairs_for_predict(pairs)
    predictions = linker.inference.predict(threshold_match_weight=threshold_bits, warning_mode="never")
    table = workspace.connection.sql(
        f"SELECT number_l AS left, number_r AS right, match_weight, {', '.join(gammas)} "  # noqa: S608
        f"FROM {predictions.physical_name}"
    ).to_arrow_table()
    predictions.drop_table_from_database_and_remove_from_cache()
    workspace.run(f"DROP TABLE IF EXISTS pairs_{chunk} CASCADE")
    return table
