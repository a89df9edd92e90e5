"""`mdm load FEED FILE` and its relatives `list`, `show` and `revert`: no feed has such a name, for feeds have a dot."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mdm.cli.load import load
from mdm.cli.output import ExitCode, connected, fail, progress, show, tell
from mdm.limits import DEADLINE_BATCH_S_MAX

if TYPE_CHECKING:
    from mdm_client import Client
    from mdm_client.load_results import LoadRecord, LoadRevertEffects, LoadRevertPreview

_STEPS = 100
_FILE = "FEED FILE"

_EFFECTS = {
    "withdrawn_record_count": "deleted, for the load had created them",
    "restored_record_count": "given their former values",
    "returned_record_count": "stored again, for the load had deleted them",
    "left_changed_record_count": "left as they are, for a later write changed them",
    "left_erased_record_count": "left as they are, for they were erased",
    "failed_record_count": "left, for a defect stood in the way; see the server's log",
    "parted_count": "merges that come apart",
    "left_judged_count": "merges that stay, for a steward said so",
    "retired_golden_id_count": "golden IDs retired, for they held nothing else",
    "revived_golden_id_count": "golden IDs that answer again, for the load had retired them",
    "asked_count": "questions to stewards, about somebody who came while the load hid a record",
}

_LoadId = Annotated[str, typer.Argument(metavar="LOAD_ID", help="As `mdm load` and `mdm load list` print it.")]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"


class _LoadGroup(TyperGroup):
    """Takes whatever names none of its commands for the arguments of `mdm load FEED FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [_FILE, *(args or ["--help"])]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        # Usage and errors then speak of `mdm load`.
        return ("" if name == _FILE else name), command, rest


app = typer.Typer(cls=_LoadGroup, rich_markup_mode=None, add_completion=False, help="Load a feed, or take a load back.")
app.command(_FILE)(load)


@app.command("list")
def list_loads(
    feed: Annotated[str, typer.Option(help="Only loads of this feed.")] = "",
    count: Annotated[int, typer.Option(min=1, help="Most loads to show.")] = 20,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """List loads, the one that began last first: when, what, by whom, and what became of it.

    \b
    Examples:
      mdm load list
      mdm load list --feed hospital.patients --count 5
      mdm load list --json | jq '.loads[] | select(.status == "open")'

    An open load is running, or was broken off: the same command goes on with it.
    """
    with connected(server) as client:
        found = []
        for each in client.loads.list(feed=feed, page_size=min(count, 500)):
            found.append(each)
            if len(found) == count:
                break
    if as_json:
        show({"loads": [_facts(each) for each in found]}, as_json=True)
        return
    for each in found:
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in each.outcome_counts.items())
        full = " --full" if each.is_full else ""
        refused = f" without its {each.refused_delete_count:,} deletes" if each.refused_delete_count else ""
        stands = f"{each.status}{refused}  {counts or 'nothing written'}"
        tell(f"{each.started_at:%Y-%m-%d %H:%M} UTC  {each.load_id}{full}  {stands}")


@app.command("show")
def show_load(load_id: _LoadId, server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """Show one load, and how far taking it back has come.

    \b
    Example:
      mdm load show hospital.patients-3fa9c1d2e4b50617
    """
    with connected(server) as client:
        found = client.loads.get(load_id)
    show(_facts(found) if as_json else _in_words(found), as_json=as_json)


@app.command("revert")
def revert_load(
    load_id: _LoadId,
    reason: Annotated[str, typer.Option(help="Why; stands in the journal. No personal data.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken back, change nothing.")] = False,
    keep_later: Annotated[
        bool, typer.Option("--keep-later", help="Later loads of the same records are right: what they wrote stays.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Take a load back: what it created is deleted, what it changed or deleted is again as it was.

    Records return under the golden IDs that they had, and golden records that the load merged come apart. Golden IDs
    that it issued are retired for good. Left as they are, and counted: records that a later load or call changed, and
    what stewards said. A re-linkage since then is not taken back with it: revert that first, or run another one after.

    \b
    Examples:
      mdm load list
      mdm load revert hospital.patients-3fa9c1d2e4b50617 --dry-run
      mdm load revert hospital.patients-3fa9c1d2e4b50617 --reason "columns shifted" --yes

    It goes on by itself, in short steps between other writes, also if this command is interrupted or the service
    restarts; run it again to watch. Meanwhile no load of the feed begins; afterwards load the latest right file again.
    Of several poisoned loads take back the latest first: while a later one stands that may have written the same
    records, this one is refused, unless --keep-later says that it is right. --dry-run shows a few records of each kind,
    which is personal data. Exit code 3 when records were left because a defect stood in the way.
    """
    if not dry_run and not reason.strip():
        fail("--reason must say why", ExitCode.USAGE)
    with connected(server) as client:
        if dry_run:
            found = client.loads.preview_revert(load_id, timeout_s=DEADLINE_BATCH_S_MAX)
            show(_preview(found, as_json=as_json), as_json=as_json)
            return
        if not yes and client.loads.get(load_id).revert is None:
            if not sys.stdin.isatty():
                fail("nobody can be asked here: add --yes", ExitCode.USAGE)
            found = client.loads.preview_revert(load_id, timeout_s=DEADLINE_BATCH_S_MAX)
            show(_preview(found, as_json=False), as_json=False)
            typer.confirm("Take it back?", abort=True)
        client.loads.revert(load_id, reason, keep_later=keep_later)
        try:
            done = _watched(client, load_id)
        except KeyboardInterrupt:
            fail("interrupted; taking it back goes on, run the same command again to watch", ExitCode.INTERRUPTED)
    show(_facts(done) if as_json else _in_words(done), as_json=as_json)
    end(done)


def end(done: LoadRecord) -> None:
    """End the command with the exit code that says whether all could be taken back."""
    failed_count = done.revert.effects.failed_record_count if done.revert is not None else 0
    if failed_count:
        fail(f"{failed_count:,} records stay as the load left them; see the server's log", ExitCode.DONE_WITH_REJECTS)


def _watched(client: Client, load_id: str) -> LoadRecord:
    done = client.loads.get(load_id)
    with progress() as say:
        for found in client.loads.watch(load_id):
            done = found
            if found.revert is not None:
                say("taking back", round(found.revert.progress_share * _STEPS), _STEPS)
    return done


def _facts(found: LoadRecord) -> dict[str, Any]:
    facts = dataclasses.asdict(found)
    facts["started_at"] = found.started_at.isoformat(timespec="seconds")
    facts["finished_at"] = found.finished_at.isoformat(timespec="seconds") if found.finished_at else ""
    if found.revert is not None:
        facts["revert"]["started_at"] = found.revert.started_at.isoformat(timespec="seconds")
    return facts


def _in_words(found: LoadRecord) -> dict[str, Any]:
    facts = {name: value for name, value in _facts(found).items() if name not in {"revert", "name"}}
    facts = {name: value for name, value in facts.items() if value not in (False, 0)}
    revert = found.revert
    if revert is None:
        return facts
    taken_back = {"since": f"{revert.started_at:%Y-%m-%d %H:%M:%S} UTC", "by": revert.actor, "reason": revert.reason}
    return facts | {"taken back": taken_back | _effects_in_words(revert.effects)}


def _effects_in_words(effects: LoadRevertEffects) -> dict[str, int]:
    return {words: count for name, words in _EFFECTS.items() if (count := getattr(effects, name))}


def _preview(found: LoadRevertPreview, *, as_json: bool) -> dict[str, Any]:
    examples = [
        {
            "effect": str(each.effect),
            "key": f"{each.key.registry} {each.key.kind} {each.key.record_id}" if each.key is not None else "",
            "golden_id": each.golden_id,
            "former_golden_id": each.former_golden_id,
        }
        for each in found.examples
    ]
    if as_json:
        return {"load": _facts(found.load), "effects": dataclasses.asdict(found.effects), "examples": examples}
    shown: dict[str, Any] = {"load_id": found.load.load_id, "feed": found.load.feed, "status": str(found.load.status)}
    shown["would be"] = _effects_in_words(found.effects) or {"nothing": "it wrote nothing, or it is taken back"}
    for each in examples:
        moved = " → ".join(part or "no golden ID" for part in (each["golden_id"], each["former_golden_id"]))
        shown[f"{each['effect']} {each['key']}"] = moved
    return shown
