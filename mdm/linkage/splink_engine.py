"""The batch engine: Splink on DuckDB over a snapshot, with our candidates and our term frequencies."""

from __future__ import annotations

import glob
import itertools
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from splink import DuckDBAPI, Linker
from splink.internals.splink_dataframe import SplinkDataFrame

from mdm.limits import CANDIDATES_PER_KEY_MAX
from mdm.linkage.candidate_pairs import CandidatePairs, candidate_pairs
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import pairs_of_codes
from mdm.linkage.predicates import Equal, Predicate, columns, guarded_sql, spelled
from mdm.linkage.specification import Specification, learned_parameters

CHUNK_PAIRS = 4_000_000
"""Candidate pairs scored at a time: what a killed prediction loses, some 10 s."""

MEMORY_LIMIT_DEFAULT = "2GB"
"""For DuckDB's buffers, as it reads it; beyond it, it spills to disk. The process takes 0.2 to 0.4 GB more."""

MEMORY_ERRORS = (MemoryError, duckdb.OutOfMemoryException)
"""What a linkage that has too little memory ends with, or is the cause of."""

SCRATCH_PREFIX = ".linkage-"
"""Of the folder beside a snapshot to which DuckDB spills."""

_PREDICTED_FROM = "__splink__df_pruned_predict_input_"
"""What Splink calls the records of either side of its pairs; `l` or `r` follows."""

_ROW_GROUP_RECORDS = 122_880
"""DuckDB's; each is read by one thread, so that of fewer than one for each thread some would have nothing to do."""

_CANDIDATES = "*, '0' AS match_key"
"""What Splink wants to know of each candidate beside its two records: the rule that found it."""
_NO_PAIRS = pa.array([], pa.int64())

_REPORT = "prediction_report"
"""Name under which a Parquet file of pairs carries what is known of them."""

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
    """Splink's interface to DuckDB, but that scored pairs are a view, and records are copied once.

    Splink's own table of pairs holds every compared column of both records, some 2 KiB a pair; and before each
    prediction it copies the records of either side. Without that a prediction takes 60 % of the time. The view can be
    made before there are candidates, and serves all of a prediction's chunks.

    Pairs are joined in the order in which Splink writes the join: left records stream past the candidates, of which
    DuckDB makes a narrow table, then meet a table of the right ones. Left alone it at times makes one of whole pairs.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, specification: Specification) -> None:
        super().__init__(connection)
        levels = [f"gamma_{each.name}::TINYINT AS gamma_{each.name}" for each in specification.comparisons]
        self._kept = ", ".join(["number_l AS left", "number_r AS right", "match_weight", *levels])

    def _setup_for_execute_sql(self, sql: str, physical_name: str) -> str:
        if physical_name.startswith("__splink__df_predict"):
            sql = f"SELECT {self._kept} FROM ({sql})"  # noqa: S608 - Names of our own.
        elif physical_name.startswith(_PREDICTED_FROM):
            side = physical_name.removeprefix(_PREDICTED_FROM)[0]
            sql = f"SELECT * FROM records_{side}"  # noqa: S608 - One of the two below.
        else:
            return super()._setup_for_execute_sql(sql, physical_name)
        return f"CREATE OR REPLACE VIEW {physical_name} AS\n{sql}"

    def delete_table_from_database(self, name: str) -> None:
        """Drop a table or view, but not those that a view of scored pairs reads."""
        if not name.startswith(_PREDICTED_FROM):
            super().delete_table_from_database(name)


class Workspace:
    """A scratch DuckDB database over one snapshot, and Splink's interface to it. Used by one thread.

    It is made when something is first asked of it, beside the snapshot, and removed at the end of its context: training
    and prediction share one, for to copy the records takes as long as a tenth of linking them.
    """

    def __init__(self, snapshot: Path, specification: Specification, memory_limit: str = MEMORY_LIMIT_DEFAULT) -> None:
        """Say what it is to be over.

        Args:
            snapshot: Parquet as `write_snapshot` makes it.
            specification: Of the snapshot's kind.
            memory_limit: Of DuckDB's buffers.
        """
        self.snapshot = snapshot
        self.specification = specification
        self.columns = _columns_read(specification)
        """Features that Splink reads; it joins whole records, so that the others stay out of them."""
        self._memory_limit = memory_limit
        self._opened = ExitStack()
        self._counted = itertools.count()
        self._frequencies_of: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        """Return itself: nothing is opened yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was made."""
        self._opened.close()

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The database, which holds the records."""
        scratch = self._opened.enter_context(TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=self.snapshot.parent))
        connection = self._opened.enter_context(duckdb.connect())
        connection.execute("SET memory_limit = ?", [self._memory_limit]).fetchall()
        connection.execute("SET temp_directory = ?", [scratch]).fetchall()
        connection.execute("SET preserve_insertion_order = false").fetchall()
        letters = spelled(_predicates(self.specification), also=self.specification.term_frequency_levels)
        fields = map(pq.read_schema(self.snapshot).field, self.columns)
        listed = ", ".join(f'{coded_sql(field, letters)} AS "{field.name}"' for field in fields)
        connection.execute(
            f"CREATE TABLE records AS SELECT number, {listed} FROM read_parquet(?)",  # noqa: S608 - Our own columns.
            [glob.escape(str(self.snapshot))],
        ).fetchall()
        return connection

    @cached_property
    def api(self) -> _Api:
        """Splink's interface to it."""
        return _Api(self.connection, self.specification)

    @cached_property
    def records(self) -> SplinkDataFrame:
        """The records as Splink knows them."""
        return self.api.register("records", dataset_display_name="snapshot")

    def run(self, query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query to its end: a result left open would block Splink on this connection."""
        return self.connection.execute(query, parameters or []).fetchall()

    def count(self, query: str) -> int:
        """Return the single number that `query` yields."""
        ((number,),) = self.run(query)
        return int(number)

    def put(self, table: str, rows: pa.Table, select: str = "*") -> None:
        """Make or replace a table from rows, or from what `select` makes of each."""
        self.connection.register("arrow_rows", rows)
        self.run(f"CREATE OR REPLACE TABLE {table} AS SELECT {select} FROM arrow_rows")  # noqa: S608 - Names of our own.
        self.connection.unregister("arrow_rows")

    def registered(self, table: str) -> SplinkDataFrame:
        """Return a table as Splink knows it: under a new name each time, for one is taken for ever."""
        return self.api.register(table, dataset_display_name=f"{table}_{next(self._counted)}")

    def linker(self, settings: dict[str, Any], epoch: StatisticsEpoch) -> Linker:
        """Return a Splink linker whose term frequencies are the epoch's."""
        # The settings are our own and proven by the parity of both engines; Splink takes 0.2 s to check them.
        guarded = _guarded(settings, self.specification)
        linker = Linker(self.records, guarded, validate_settings=False, log_level=logging.ERROR)
        known = learned_parameters(settings)
        for column, (comparison, level) in self.specification.term_frequency_levels.items():
            _, u = known[comparison.name, level.label]
            table = f"frequencies_of_{column}"
            made_from = epoch.digest, (u or level.u) if level.sharers_free_max else 0.0
            # A city's names are looked up once, for training and prediction.
            if self._frequencies_of.get(column) != made_from:
                # Where only equal values have the level, one that a single record states is never asked for.
                holders_min = 2 if level.predicate == Equal(column) else 1
                self._create_frequencies(table, column, holders_min, epoch.term_frequencies(level, u or level.u))
                self._frequencies_of[column] = made_from
            linker.table_management.register_term_frequency_lookup(self.registered(table), column)
        return linker

    def scored(self, linker: Linker, threshold_bits: float) -> SplinkDataFrame:
        """Return a view of the pairs in `candidates` that reach a threshold, whatever pairs are put there later."""
        self.put("candidates", pa.table({"join_key_l": _NO_PAIRS, "join_key_r": _NO_PAIRS}), _CANDIDATES)
        # Left records only stream past; of the right ones a table is made in memory.
        self.run(f"CREATE OR REPLACE VIEW records_l AS {self._streamed()}")
        self.run("CREATE OR REPLACE VIEW records_r AS SELECT * FROM records")
        linker.table_management.register_blocked_pairs_for_predict(self.registered("candidates"))
        return linker.inference.predict(threshold_match_weight=threshold_bits, warning_mode="never")

    def read_paired_only(self) -> None:
        """Have the view of `scored` make its table in memory of the right records that are in a pair."""
        paired = "SELECT records.* FROM records SEMI JOIN candidates ON number = join_key_r"
        self.run(f"CREATE OR REPLACE VIEW records_r AS {paired}")

    def _streamed(self) -> str:
        """Return SQL for all records, of which each thread has something to read."""
        ((count, threads),) = self.run("SELECT count(*), current_setting('threads') FROM records")
        shares = threads if count < threads * _ROW_GROUP_RECORDS else 1
        ends = [share * count // shares for share in range(1, shares)]
        least = ["true", *(f"rowid >= {end}" for end in ends)]
        below = [*(f"rowid < {end}" for end in ends), "true"]
        ranges = zip(least, below, strict=True)
        return " UNION ALL ".join(f"SELECT * FROM records WHERE {low} AND {high}" for low, high in ranges)  # noqa: S608

    def _create_frequencies(
        self, table: str, column: str, holders_min: int, frequencies: Callable[[Sequence[str]], NDArray[np.float64]]
    ) -> None:
        stated = f'SELECT "{column}" FROM records WHERE "{column}" IS NOT NULL'  # noqa: S608 - Names of our own.
        values = [value for (value,) in self.run(f"{stated} GROUP BY 1 HAVING count(*) >= {holders_min}")]
        shares = pa.array(frequencies(values), pa.float64())
        self.put(table, pa.table({column: pa.array(values, pa.string()), f"tf_{column}": shares}))


def _predicates(specification: Specification) -> Iterator[Predicate]:
    for comparison in specification.comparisons:
        for level in comparison.levels:
            if level.predicate is not None:
                yield level.predicate


def coded_sql(field: pa.Field, letters: AbstractSet[str]) -> str:
    """Return SQL for a feature. Where nobody reads a text's letters, a hash of 64 bits stands for it.

    Numbers of one width are joined and compared in three quarters of the time. That two texts which are compared share
    a hash by chance happens in one of some ten billion re-linkages of ten million citizens.
    """
    column = f'"{field.name}"'
    if field.name in letters:
        return column
    if pa.types.is_string(field.type):
        return f"CASE WHEN {column} IS NOT NULL THEN hash({column}) END"
    if pa.types.is_list(field.type) and pa.types.is_string(field.type.value_type):
        return f"list_transform({column}, lambda text: hash(text))"
    return column


def _columns_read(specification: Specification) -> tuple[str, ...]:
    compared = [column for predicate in _predicates(specification) for column in columns(predicate)]
    return tuple(
        dict.fromkeys([*compared, *specification.term_frequency_levels, *chain(*specification.training_rules)])
    )


def _guarded(settings: dict[str, Any], specification: Specification) -> dict[str, Any]:
    """Return the settings with conditions of the same truth that DuckDB evaluates faster."""
    comparisons = []
    for stated, comparison in zip(settings["comparisons"], specification.comparisons, strict=True):
        levels = [
            known if level.predicate is None else known | {"sql_condition": guarded_sql(level.predicate)}
            for known, level in zip(stated["comparison_levels"], comparison.levels, strict=True)
        ]
        comparisons.append(stated | {"comparison_levels": levels})
    return settings | {"comparisons": comparisons}


def predict(
    workspace: Workspace,
    model: Model,
    epoch: StatisticsEpoch,
    output: Path,
    *,
    threshold_bits: float,
    paired: Callable[[Path, int], CandidatePairs] = candidate_pairs,
    progress: Progress | None = None,
) -> PredictionReport:
    """Score every candidate pair of a snapshot with Splink, a chunk at a time.

    Whole chunks that a killed prediction left beside `output` are taken over, and so is a whole output: give another
    snapshot, model, epoch or threshold another output. The same input gives the same rows in the same order.

    Args:
        workspace: Over the snapshot.
        model: Of the snapshot's kind.
        epoch: Gives the prior and the name frequencies.
        output: Parquet with left, right (left < right), match_weight and one level column for each comparison,
            `gamma_<name>`; by left and right within each chunk.
        threshold_bits: Pairs below it are left out.
        paired: Does what `candidate_pairs` does, wherever.
        progress: Told of each chunk.
    """
    if output.exists():
        return _report_of(output)
    settings = model.splink | {
        "probability_two_random_records_match": epoch.prior,
        # Splink keeps the levels only together with the columns that they compare.
        "retain_matching_columns": True,
    }
    scratch = output.with_suffix(".parts")
    scratch.mkdir(exist_ok=True)
    with ThreadPoolExecutor(1) as aside:
        # Sorting keys takes one core, and as long as copying the records and setting Splink up.
        pairing = aside.submit(paired, workspace.snapshot, CANDIDATES_PER_KEY_MAX)
        scored = workspace.scored(workspace.linker(settings, epoch), threshold_bits)
        pairs, truncated_keys = pairing.result()
    report = PredictionReport(workspace.count("SELECT count(*) FROM records"), len(pairs), 0, truncated_keys)
    chunks = np.array_split(pairs, 1 + len(pairs) // CHUNK_PAIRS)
    # Where most records are in a pair of the chunk, to look for the others costs more than to join them.
    if len(chunks) > 1 or len(pairs) < report.records:
        workspace.read_paired_only()
    workspace.run("SET disabled_optimizers = 'join_order'")
    # By name and not by what lies there: an earlier release may have cut its chunks otherwise.
    parts = [scratch / f"{chunk:05}-of-{len(chunks):05}.parquet" for chunk in range(len(chunks))]
    for chunk, (codes, part) in enumerate(zip(chunks, parts, strict=True)):
        if not part.exists():
            _score_chunk(workspace, scored, codes, report, part)
        if progress is not None:
            progress("score", chunk + 1, len(chunks))
    scored.drop_table_from_database_and_remove_from_cache()
    workspace.run("DROP TABLE candidates")
    _join(parts, output)
    shutil.rmtree(scratch)
    return _report_of(output)


def _score_chunk(
    workspace: Workspace, scored: SplinkDataFrame, codes: NDArray[np.int64], report: PredictionReport, part: Path
) -> None:
    """Write the scored pairs of some candidates; the file appears only when it is whole."""
    left, right = pairs_of_codes(codes)
    workspace.put("candidates", pa.table({"join_key_l": left, "join_key_r": right}), _CANDIDATES)
    temporary = part.with_suffix(".tmp")
    target = str(temporary).replace("'", "''")
    workspace.run(
        f"COPY (SELECT * FROM {scored.physical_name} ORDER BY 1, 2) TO '{target}' "  # noqa: S608
        f"(FORMAT parquet, COMPRESSION snappy, KV_METADATA {{{_REPORT}: '{msgspec.json.encode(report).decode()}'}})"
    )
    temporary.rename(part)


def _join(parts: list[Path], output: Path) -> None:
    """Put the chunks into one file."""
    if len(parts) == 1:
        parts[0].rename(output)
        return
    temporary = output.with_suffix(".tmp")
    with pq.ParquetWriter(temporary, pq.read_schema(parts[0]), compression="snappy") as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    temporary.rename(output)


def _report_of(output: Path) -> PredictionReport:
    with pq.ParquetFile(output) as file:
        report = msgspec.json.decode(file.metadata.metadata[_REPORT.encode()], type=PredictionReport)
        return msgspec.structs.replace(report, kept_pairs=file.metadata.num_rows)
