"""`mdm export crosswalk`."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, progress, show

if TYPE_CHECKING:
    import pyarrow as pa

    from mdm.cli.output import Progress
    from mdm_client.client import CrosswalkExport
    from mdm_client.results import GoldenIdLineage

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write what the service knows to files.")


@app.callback()
def _group() -> None:
    """Write what the service knows to files."""


@app.command()
def crosswalk(
    file: Annotated[Path, typer.Argument(help="Ends in .csv or .parquet; FILE.manifest.json is written beside it.")],
    lineage: Annotated[
        Path | None,
        typer.Option(help="Also write every golden ID ever issued, at the same position; ends in .csv or .parquet."),
    ] = None,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Write registry, entity kind, record id and golden ID of every live, resolved record, all at one position.

    \b
    Examples:
      mdm export crosswalk crosswalk.csv
      mdm export crosswalk crosswalk.parquet --lineage golden-ids.parquet
      mdm watch --since "$(jq -r .token crosswalk.csv.manifest.json)"

    The manifest's token begins the change feed without a gap. A golden ID's lineage is how it answers, its survivor,
    when it was minted, and the golden IDs that its first records had before, when it was split off them.
    """
    for path in filter(None, (file, lineage)):
        if path.suffix not in {".csv", ".parquet"}:
            fail(f"{path.name} must end in .csv or .parquet", ExitCode.USAGE)
        if not path.absolute().parent.is_dir():
            fail(f"{path.absolute().parent} is no directory", ExitCode.USAGE)
    if lineage is not None and lineage.absolute() == file.absolute():
        fail("--lineage needs a file of its own", ExitCode.USAGE)
    with connected(server) as client, progress() as say:
        exported = client.export_crosswalk(include_lineage=lineage is not None)
        table = _table(exported, say)
    manifest: dict[str, Any] = {
        "token": exported.token,
        "rows": table.num_rows,
        "pending": exported.pending_record_count,
        "sha256": _write_whole(table, file),
    }
    if lineage is not None:
        ids = _lineage_table(exported.lineage)
        manifest["lineage"] = {"file": lineage.name, "rows": ids.num_rows, "sha256": _write_whole(ids, lineage)}
    # The manifest comes last: where it stands, the files that it describes are whole.
    note = file.with_name(f"{file.name}.manifest.json")
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.replace(note)
    show(manifest, as_json=as_json)


def _table(exported: CrosswalkExport, say: Progress) -> pa.Table:
    """Return all rows, sorted, so that the same crosswalk gives the same bytes."""
    import pyarrow as pa

    names = ("registry", "entity_kind", "record_id", "golden_id")
    schema = pa.schema([(name, pa.string()) for name in names])
    parts = []
    for chunk in exported:
        count = len(chunk.record_ids)
        columns: list[Any] = [[chunk.registry] * count, [str(chunk.kind)] * count, chunk.record_ids, chunk.golden_ids]
        parts.append(pa.table(dict(zip(names, columns, strict=True)), schema=schema))
        say("crosswalk", exported.row_count, None)
    say("crosswalk", exported.row_count, exported.row_count)
    table = pa.concat_tables([schema.empty_table(), *parts])
    return table.sort_by([("registry", "ascending"), ("entity_kind", "ascending"), ("record_id", "ascending")])


def _lineage_table(lineage: list[GoldenIdLineage]) -> pa.Table:
    import pyarrow as pa

    columns = {
        "golden_id": [each.golden_id for each in lineage],
        "status": [str(each.status) for each in lineage],
        "surviving_golden_id": [each.surviving_golden_id for each in lineage],
        "minted_at": [each.minted_at.isoformat() for each in lineage],
        "predecessor_golden_ids": [";".join(each.predecessor_golden_ids) for each in lineage],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _write_whole(table: pa.Table, file: Path) -> str:
    """Put a table in a file's place once it is wholly on disk; returns its SHA-256."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        _write(table, partial, file.suffix)
        digest = _digest(partial)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return digest


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    import csv

    import pyarrow.parquet as pq

    if suffix == ".parquet":
        pq.write_table(table.combine_chunks(), path, compression="zstd")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table.column_names)
            for batch in table.to_batches():
                writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
