"""`mdm erase`: destroying what is known of a person or firm, and the list of what was erased."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, note, show, tell, tell_json

if TYPE_CHECKING:
    from mdm_client import Client, SourceKey
    from mdm_client.erasure_results import SubjectErasure

_DEFAULT_SERVER = "127.0.0.1:50051"
_KEY_PARTS = 3
_POLL_S = 0.2
_KEYS_SHOWN = 20


def erase(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="GOLDEN_ID | REGISTRY KIND ID", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; stands in the journal. No personal data.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be erased, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List erasures instead, the latest first.")] = False,
    timeout_s: Annotated[float, typer.Option(help="How long to wait for the copies to be purged.")] = 600.0,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = _DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Destroy for good what is known of a person or firm: all records of a golden record, in all their versions.

    \b
    Examples:
      mdm erase C-7K3M-9XQ2-4TAB-1 --dry-run
      mdm erase C-7K3M-9XQ2-4TAB-1 --reason "request 2026-117"
      mdm erase hospital citizen BV006.26.106204 --reason "request 2026-117" --yes
      mdm erase --list --json > erasures.json

    The golden IDs are retired and nothing else remains. There is no way back: look at --dry-run first, because a record
    that was linked by mistake goes along. A key that the registry sends again is a new record with a new golden ID.

    Not reached by the service, and named by --dry-run as far as it knows: exported files, backups, the registries'
    own files, and what records of others say of the subject.
    """
    if list_all:
        _list(server, as_json=as_json)
        return
    if (
        not what
        or len(what) not in {1, _KEY_PARTS}
        or (len(what) == _KEY_PARTS and what[1] not in {"citizen", "business"})
    ):
        fail("give a golden ID, or a registry, citizen or business, and a record id", ExitCode.USAGE)
    if not dry_run and not reason.strip():
        fail("--reason must say why", ExitCode.USAGE)
    with connected(server) as client:
        subject = _subject(what)
        found = client.erasures.erase(subject, reason or "dry run", is_dry_run=True)
        if dry_run:
            show(_facts(found, as_json=as_json), as_json=as_json)
            return
        if not yes:
            show(_facts(found, as_json=False), as_json=False)
            if not sys.stdin.isatty():
                fail("nobody can be asked here: add --yes", ExitCode.USAGE)
            typer.confirm("Destroy all of it for good?", abort=True)
        done = client.erasures.erase(subject, reason, expected_record_count=found.record_count)
        is_finished = not done.token or _wait(client, done.token, timeout_s)
    result = {"golden_ids": list(done.golden_ids), "record_count": found.record_count, "token": done.token}
    show(result | {"is_finished": is_finished, "exports": _exports(found, as_json=as_json)}, as_json=as_json)
    if not is_finished:
        fail("the values are destroyed, their copies not yet: a re-linkage is being committed; see: mdm erase --list")


def _subject(what: list[str]) -> str | SourceKey:
    from mdm_client import EntityKind, SourceKey

    return what[0] if len(what) == 1 else SourceKey(what[0], EntityKind(what[1]), what[2])


def _wait(client: Client, token: str, timeout_s: float) -> bool:
    """Return whether the copies were purged in time; says so when it takes longer."""
    until_s = time.monotonic() + timeout_s
    is_said = False
    while True:
        # The latest come first, so that this rarely looks at more than one page.
        if next((each.is_finished for each in client.erasures.list() if each.token == token), False):
            return True
        if time.monotonic() > until_s:
            return False
        if not is_said:
            note("purging copies")
            is_said = True
        time.sleep(_POLL_S)


def _facts(found: SubjectErasure, *, as_json: bool) -> dict[str, Any]:
    keys = [f"{key.registry} {key.kind} {key.record_id}" for key in found.keys]
    if not as_json and len(keys) > _KEYS_SHOWN:
        keys = [*keys[:_KEYS_SHOWN], f"and {found.record_count - _KEYS_SHOWN} more"]
    return {
        "golden_ids": list(found.golden_ids),
        "record_count": found.record_count,
        "deleted_record_count": found.deleted_record_count,
        "passed_on_record_count": found.passed_on_record_count,
        "records": keys if as_json else dict(enumerate(keys, start=1)),
        "mention_count": found.mention_count,
        "exports": _exports(found, as_json=as_json),
    }


def _exports(found: SubjectErasure, *, as_json: bool) -> Any:
    """Return the exports that may hold a key of the subject: files to find and delete."""
    if as_json:
        return [
            {"made_at": each.made_at.isoformat(), "token": each.token, "kind": each.kind, "row_count": each.row_count}
            | {"registries": list(each.registries), "actor": each.actor, "purpose": each.purpose}
            for each in found.exports
        ]
    backups = [each for each in found.exports if each.kind == "backup"]
    # The latest come first. A backup every quarter of an hour would hide everything else.
    shown = [each for each in found.exports if each.kind != "backup"] + backups[:1]
    lines = {
        f"{each.made_at:%Y-%m-%d %H:%M:%S} UTC": f"{each.kind} of {', '.join(each.registries) or 'all registries'}, "
        f"{each.row_count:,} rows" + (f", by {each.actor}" if each.actor else "")
        for each in shown
    }
    if len(backups) > 1:
        since = f"{backups[-1].made_at:%Y-%m-%d %H:%M:%S} UTC"
        lines["earlier backups"] = f"{len(backups) - 1:,}, the first at {since}; --json lists each"
    return lines


def _list(server: str, *, as_json: bool) -> None:
    with connected(server) as client:
        found = list(client.erasures.list())
    if as_json:
        facts = [asdict(each) | {"erased_at": each.erased_at.isoformat(timespec="seconds")} for each in found]
        tell_json(facts)
        return
    for each in found:
        state = "" if each.is_finished else "  copies not purged yet"
        ids = ", ".join(each.golden_ids) or "no golden ID"
        tell(f"{each.erased_at:%Y-%m-%d %H:%M} UTC  {ids}  {each.record_count} records  {each.reason}{state}")
