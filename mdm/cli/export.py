"""`mdm export`: crosswalk, golden records and lineage, to CSV or Parquet with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdm.cli.export_files import Columns, TableFile, check_paths, write_manifest
from mdm.cli.output import connected, progress, show
from mdm.limits import LINEAGE_CHUNK_ROWS

if TYPE_CHECKING:
    from mdm_client.records import EntityKind
    from mdm_client.results import GoldenIdLineage, GoldenRecordChunk

_File = Annotated[Path, typer.Argument(help="Ends in .csv or .parquet; FILE.manifest.json is written beside it.")]
_Registries = Annotated[list[str] | None, typer.Option("--registry", help="Only this registry; may be repeated.")]
_Kind = Annotated[Literal["citizen", "business"] | None, typer.Option(help="Only this kind.")]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"

CROSSWALK = ("registry", "entity_kind", "record_id", "golden_id")
GOLDEN_RECORDS = (
    *("golden_id", "entity_kind", "field", "value", "registry", "record_id", "updated_at", "assurance", "decided_by"),
)
LINEAGE = ("golden_id", "status", "surviving_golden_id", "minted_at", "predecessor_golden_ids")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write what the service knows to files.")


@app.callback()
def _group() -> None:
    """Write what the service knows to files, each at one position, with a manifest beside it.

    \b
      mdm export crosswalk crosswalk.parquet          which record belongs to which golden ID
      mdm export golden-records golden.parquet        what golden records show, and where each value comes from
      mdm export lineage golden-ids.parquet           every golden ID ever issued, and what became of it

    A file is in its place once it is whole. An export that is cut goes on where it was, for as long as the service
    keeps the state that it reads. docs/exports.md explains every column.
    """


@app.command()
def crosswalk(
    file: _File,
    lineage: Annotated[
        Path | None,
        typer.Option(help="Also write every golden ID ever issued, at the same position; ends in .csv or .parquet."),
    ] = None,
    registry: _Registries = None,
    kind: _Kind = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Write registry, entity kind, record id and golden ID of every live, resolved record, all at one position.

    \b
    Examples:
      mdm export crosswalk crosswalk.csv
      mdm export crosswalk land.csv --registry land --kind citizen
      mdm export crosswalk crosswalk.parquet --lineage golden-ids.parquet
      mdm watch --since "$(jq -r .token crosswalk.csv.manifest.json)"

    The manifest's token begins the change feed without a gap. A golden ID's lineage is how it answers, its survivor,
    when it was minted, and the golden IDs that its first records had before, when it was split off them.
    """
    check_paths(*filter(None, (file, lineage)))
    with connected(server) as client, progress() as say, TableFile(file, CROSSWALK) as table:
        exported = client.export_crosswalk(registry or (), _kind(kind), include_lineage=lineage is not None)
        for chunk in exported:
            count = len(chunk.record_ids)
            table.write([[chunk.registry] * count, [str(chunk.kind)] * count, chunk.record_ids, chunk.golden_ids])
            say("crosswalk", exported.row_count, None)
        say("crosswalk", exported.row_count, exported.row_count)
    manifest: dict[str, Any] = {
        "token": exported.token,
        "rows": table.row_count,
        "pending": exported.pending_record_count,
        "sha256": table.sha256,
        "filters": _filters(registry, kind),
    }
    if lineage is not None:
        with TableFile(lineage, LINEAGE) as ids:
            for start in range(0, len(exported.lineage), LINEAGE_CHUNK_ROWS):
                ids.write(_lineage_columns(exported.lineage[start : start + LINEAGE_CHUNK_ROWS]))
        manifest["lineage"] = {"file": lineage.name, "rows": ids.row_count, "sha256": ids.sha256}
    write_manifest(file, manifest)
    show(manifest, as_json=as_json)


@app.command("golden-records")
def golden_records(
    file: _File,
    fields: Annotated[
        str, typer.Option(help="Attributes to write, as full_name,birth_date,identifiers; without it, all.")
    ] = "",
    registry: _Registries = None,
    kind: _Kind = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Write the values that golden records show, a row each, with the record that states it and what put it first.

    \b
    Examples:
      mdm export golden-records golden.parquet --purpose "statistics, decree 12"
      mdm export golden-records firms.csv --kind business --fields legal_name,identifiers,status
      mdm export golden-records land.csv --registry land

    With --registry, golden records that have a record of it, with all their values. The file holds personal data: who
    exported what stands in the service's ledger, and an erasure names the files in which its subject may lie.
    """
    check_paths(file)
    with connected(server) as client, progress() as say, TableFile(file, GOLDEN_RECORDS) as table:
        wanted = [name.strip() for name in fields.split(",") if name.strip()]
        exported = client.export_golden_records(registry or (), _kind(kind), fields=wanted)
        for chunk in exported:
            table.write(_golden_columns(chunk))
            say("golden records", exported.row_count, None)
        say("golden records", exported.row_count, exported.row_count)
    manifest = {
        "token": exported.token,
        "rows": table.row_count,
        "golden_records": exported.row_count,
        "sha256": table.sha256,
        "filters": _filters(registry, kind) | ({"fields": wanted} if wanted else {}),
    }
    write_manifest(file, manifest)
    show(manifest, as_json=as_json)


@app.command()
def lineage(
    file: _File,
    registry: _Registries = None,
    kind: _Kind = None,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Write every golden ID ever issued: how it answers, its survivor, when it was minted, what it was split off.

    \b
    Examples:
      mdm export lineage golden-ids.parquet
      mdm export lineage firms.csv --kind business

    With --registry, golden IDs that, or whose survivor, have or had a record of it.
    """
    check_paths(file)
    with connected(server) as client, progress() as say, TableFile(file, LINEAGE) as table:
        exported = client.export_lineage(registry or (), _kind(kind))
        for chunk in exported:
            table.write(_lineage_columns(chunk))
            say("golden IDs", exported.row_count, None)
        say("golden IDs", exported.row_count, exported.row_count)
    manifest = {
        "token": exported.token,
        "rows": table.row_count,
        "sha256": table.sha256,
        "filters": _filters(registry, kind),
    }
    write_manifest(file, manifest)
    show(manifest, as_json=as_json)


def _kind(kind: str | None) -> EntityKind | None:
    from mdm_client import EntityKind

    return EntityKind(kind) if kind else None


def _filters(registries: list[str] | None, kind: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"registries": registries} if registries else {}
    return found | ({"kind": kind} if kind else {})


def _golden_columns(chunk: GoldenRecordChunk) -> Columns:
    owners = [
        golden_id for golden_id, count in zip(chunk.golden_ids, chunk.value_counts, strict=True) for _ in range(count)
    ]
    kinds = ["citizen" if each.startswith("C") else "business" for each in owners]
    assurances = ["" if each.name == "UNSPECIFIED" else str(each) for each in chunk.assurances]
    decided_by = ["" if each.name == "UNSPECIFIED" else str(each) for each in chunk.decided_by]
    return [
        *(owners, kinds, chunk.fields, chunk.values, chunk.registries, chunk.record_ids, chunk.updated_at),
        *(assurances, decided_by),
    ]


def _lineage_columns(lineage: list[GoldenIdLineage]) -> Columns:
    return [
        [each.golden_id for each in lineage],
        [str(each.status) for each in lineage],
        [each.surviving_golden_id for each in lineage],
        [each.minted_at.isoformat() for each in lineage],
        [";".join(each.predecessor_golden_ids) for each in lineage],
    ]
