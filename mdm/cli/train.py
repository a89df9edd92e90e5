"""`mdm train`: a linkage model from a stopped service's records, or from feed files."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mdm.cli.output import ExitCode, fail, progress, show

if TYPE_CHECKING:
    from mdm.domain.keys import EntityKind, SourceKey
    from mdm.linkage.features import Features

    Rows = Iterator[tuple[SourceKey, Features]]


def train(
    out: Annotated[Path, typer.Argument(help="Model file to write.")],
    kind: Annotated[Literal["citizen", "business"], typer.Option(help="What the model compares.")] = "citizen",
    feeds: Annotated[Path | None, typer.Option(help="Directory of feed files named FEED.csv or FEED.parquet.")] = None,
    data: Annotated[Path | None, typer.Option(help="A stopped service's directory.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.csv of the feeds: m is counted on it instead of estimated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random sample of pairs.")] = 1,
    memory_limit: Annotated[str, typer.Option(help="Of DuckDB's buffers.")] = "2GB",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Learn how much each agreement and disagreement weighs, and write it as a versioned model file.

    \b
    Examples:
      mdm train --feeds ./city --kind citizen citizen.json
      mdm train --data ./data --kind business business.json
      mdm train --feeds ./city --truth ./city/truth.csv citizen.json
    """
    from datetime import UTC, datetime

    import msgspec

    from mdm.domain.keys import EntityKind
    from mdm.linkage.epoch import StatisticsEpoch
    from mdm.linkage.model import Model, Provenance
    from mdm.linkage.snapshot import write_snapshot
    from mdm.linkage.train import train as learn

    if (feeds is None) == (data is None):
        fail("give either --feeds or --data", ExitCode.USAGE)
    if truth is not None and feeds is None:
        fail("--truth belongs to --feeds", ExitCode.USAGE)
    entity_kind = EntityKind(kind)
    rows = list(_feed_rows(feeds, entity_kind) if feeds is not None else _data_rows(data or Path(), entity_kind))
    if not rows:
        fail(f"no {kind} records found")
    sizes = Counter(key.registry for key, _ in rows)
    # The largest registry names nearly every bearer once: the best first guess of how many there are.
    epoch = StatisticsEpoch.from_records(entity_kind, [features for _, features in rows], max(sizes.values()))
    source = f"{len(rows)} records of {', '.join(sorted(sizes))}"
    provenance = Provenance(source, seed=seed, trained_on=datetime.now(UTC).date().isoformat())
    with tempfile.TemporaryDirectory() as scratch, progress() as say:
        snapshot = Path(scratch) / "snapshot.parquet"
        write_snapshot(
            snapshot, entity_kind, ((number, key.registry, item) for number, (key, item) in enumerate(rows, start=1))
        )
        known = _truth(truth, [key for key, _ in rows], Path(scratch)) if truth is not None else None
        model, report = learn(
            snapshot,
            Model.default(entity_kind),
            epoch,
            provenance=provenance,
            truth=known,
            memory_limit=memory_limit,
            progress=say,
        )
    model.save(out)
    show({"model": str(out), "digest": model.digest, **msgspec.to_builtins(report)}, as_json=as_json)


def _feed_rows(directory: Path, kind: EntityKind) -> Rows:
    """Yield the features of every row of the feeds in a directory."""
    from mdm.config import Configuration
    from mdm.feeds.mapping import RowMapper, UpsertOperation
    from mdm.feeds.reading import Row, open_feed
    from mdm.linkage.normalise.record import normalise

    configuration = Configuration.load()
    for feed in configuration.feed_names:
        for path in (directory / f"{feed}.csv", directory / f"{feed}.parquet"):
            if not path.exists() or kind not in configuration.feed(feed).kinds:
                continue
            opened = open_feed(path)
            mapper = RowMapper(configuration, feed, opened.columns)
            for row in opened.rows():
                outcome = mapper.operations(row) if isinstance(row, Row) else ()
                for operation in outcome if isinstance(outcome, tuple) else ():
                    if isinstance(operation, UpsertOperation) and operation.record.key.kind is kind:
                        yield operation.record.key, normalise(operation.record).features


def _data_rows(directory: Path, kind: EntityKind) -> Rows:
    """Yield the features of every live record of a stopped service."""
    from mdm.linkage.normalise.record import normalise
    from mdm.resolve.payloads import decode_payload
    from mdm.resolve.projection import open_index
    from mdm.store.data_directory import DataDirectory
    from mdm.store.journal import Journal

    with (
        DataDirectory.open(directory, exclusive=True) as opened,
        Journal.open_read_only(opened.journal) as journal,
        open_index(opened, journal) as index,
        index.read() as view,
    ):
        for number, entry in view.iter_records():
            payload = view.raw(number)
            if entry.kind is kind and not entry.is_deleted and payload is not None:
                record = decode_payload(payload)
                yield record.key, normalise(record).features


def _truth(path: Path, keys: list[SourceKey], scratch: Path) -> Path:
    """Return a Parquet file of record numbers and entities, for the records that the truth names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open(encoding="utf-8", newline="") as file:
        entities = {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }
    known = [
        (number, entities[key.registry, key.kind, key.record_id])
        for number, key in enumerate(keys, start=1)
        if (key.registry, key.kind, key.record_id) in entities
    ]
    target = scratch / "truth.parquet"
    pq.write_table(
        pa.table({"number": [number for number, _ in known], "entity": [entity for _, entity in known]}), target
    )
    return target
