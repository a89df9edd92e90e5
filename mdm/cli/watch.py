"""`mdm watch`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, note, tell, tell_json

if TYPE_CHECKING:
    from mdm_client import Client
    from mdm_client.changes import Change, ChangeBatch, ChangeFilter

_BEGINNING, _NOW = "beginning", "now"


def watch(
    since: Annotated[
        str, typer.Option(help="A token, `beginning` or `now`.", show_default="what --token-file holds, else now")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="Resume behind the token in this file; it is renewed with what was printed.")
    ] = None,
    copy: Annotated[
        Path | None, typer.Option(help="Keep the crosswalk in this SQLite file in step, beginning with an export.")
    ] = None,
    registry: Annotated[
        list[str] | None, typer.Option(help="Only records of this registry; may be repeated.", show_default="all")
    ] = None,
    kind: Annotated[str, typer.Option(help="Only citizen or business.", show_default="both")] = "",
    change_type: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only events with this change, as merged; may be repeated.", show_default="all"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when there is nothing more to tell.")] = False,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print what happens to golden IDs, in order, until interrupted: the change feed.

    \b
    Examples:
      mdm watch
      mdm watch --registry hospital --type merged --type split
      mdm watch --json --token-file hospital.token | ./apply-changes
      mdm watch --copy crosswalk.sqlite --once

    A record's line names its golden ID before and after; `-` is none. With --json a line that holds only `token` and
    `is_current` follows each batch: keep the token, and --since resumes behind it. After a break, some changes may come
    again. When a token is refused as FEED_RESET, export the crosswalk and watch from the token of its manifest.
    """
    wanted = _filter(registry or [], kind, change_type or [])
    if copy is not None and (since or token_file is not None or change_type):
        fail("--copy keeps its own position and needs every change: no --since, --token-file, --type", ExitCode.USAGE)
    for path in filter(None, (copy, token_file)):
        if not path.absolute().parent.is_dir():
            fail(f"{path.absolute().parent} is no directory", ExitCode.USAGE)
    if token_file is not None and not since and token_file.exists():
        since = token_file.read_text(encoding="ascii", errors="replace").strip()
    try:
        with connected(server) as client:
            batches = _copied(client, copy, wanted) if copy is not None else _watched(client, since, wanted)
            for batch in batches:
                _print(batch, as_json=as_json)
                if token_file is not None:
                    _keep(token_file, batch.token)
                if once and batch.is_current:
                    return
    except BrokenPipeError:
        # Who reads has enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _filter(registries: list[str], kind: str, types: list[str]) -> ChangeFilter:
    from mdm_client import EntityKind
    from mdm_client.changes import ChangeFilter
    from mdm_client.results import GoldenIdChangeType

    known = [str(each) for each in GoldenIdChangeType if each is not GoldenIdChangeType.UNSPECIFIED]
    if kind not in {"", "citizen", "business"}:
        fail("--kind must be citizen or business", ExitCode.USAGE)
    for each in types:
        if each not in known:
            fail(f"--type must be one of {', '.join(known)}", ExitCode.USAGE)
    return ChangeFilter(registries, EntityKind(kind) if kind else None, [GoldenIdChangeType(each) for each in types])


def _watched(client: Client, since: str, wanted: ChangeFilter) -> Iterator[ChangeBatch]:
    from mdm_client.changes import WatchStart

    starts = {"": WatchStart.NOW, _NOW: WatchStart.NOW, _BEGINNING: WatchStart.BEGINNING}
    if since in starts:
        return client.changes.watch(start=starts[since], wanted=wanted)
    return client.changes.watch(since, wanted=wanted)


def _copied(client: Client, path: Path, wanted: ChangeFilter) -> Iterator[ChangeBatch]:
    from mdm_client.crosswalk import CrosswalkCopy, follow

    with CrosswalkCopy(path, wanted.registries, wanted.kind) as copy:
        is_said = False
        for batch in follow(client, copy):
            if batch.is_current and not is_said:
                is_said = True
                note("the copy is current", rows=len(copy))
            yield batch


def _print(batch: ChangeBatch, *, as_json: bool) -> None:
    for change in batch.changes:
        if as_json:
            tell_json(_facts(change))
        else:
            for line in _lines(change):
                tell(line)
    if as_json:
        tell_json({"token": batch.token, "is_current": batch.is_current})
    sys.stdout.flush()


def _facts(change: Change) -> dict[str, Any]:
    moves = []
    for move in change.moves:
        key, ids = move.key, {"old_golden_id": move.old_golden_id, "new_golden_id": move.new_golden_id}
        named = {"registry": key.registry, "entity_kind": str(key.kind), "record_id": key.record_id} if key else {}
        moves.append(named | ids)
    effects = [
        {"golden_id": each.golden_id, "type": str(each.type), "other_golden_id": each.other_golden_id}
        for each in change.effects
    ]
    happened_at = change.happened_at.isoformat()
    return {"happened_at": happened_at, "effects": effects, "moves": moves}


def _lines(change: Change) -> Iterator[str]:
    at = change.happened_at.isoformat(timespec="seconds")
    for each in change.effects:
        other = f" · {each.other_golden_id}" if each.other_golden_id else ""
        yield f"{at}  {each.golden_id}  {each.type.replace('_', ' ')}{other}"
    for move in change.moves:
        key = f"{move.key.registry} {move.key.kind} {move.key.record_id}" if move.key else "an erased record"
        yield f"{'':{len(at)}}  {key}: {move.old_golden_id or '-'} → {move.new_golden_id or '-'}"


def _keep(path: Path, token: str) -> None:
    # Whole or not at all: a token cut in half would be refused as none of the service's.
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(token + "\n", encoding="ascii")
    partial.replace(path)
