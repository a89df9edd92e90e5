"""`mdm upgrade`: a data directory of another release, with the service stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mdm.cli.output import progress, show, tell


def upgrade(
    data: Annotated[Path, typer.Option(help="The service's directory; the service must be stopped.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring a data directory to this release.

    \b
    Examples:
      mdm upgrade --data /srv/mdm --dry-run
      mdm upgrade --data /srv/mdm

    The journal stays as it is, and with it every golden ID and every decision. What a release may change is how the
    index is laid out and what it is computed with: then it is built anew from the journal, about 0.2 ms a record. The
    old index is kept until the new one is whole, so that this can be interrupted, and there must be room for both. It
    is what mdm serve does at its start, too; done before, the service is away for a shorter time. A journal of a later
    release is refused.
    """
    from mdm.resolve import upgrade as use_case

    with progress() as say:
        done = use_case.upgrade(data, say, is_dry_run=dry_run)
    result: dict[str, Any] = {
        "changes": {each.what: f"{each.before or 'none'} -> {each.after}" for each in done.changes},
        "event_count": done.event_count,
        "is_done": done.is_done,
    }
    if not done.changes and not as_json:
        tell("nothing to do: the directory is of this release")
    else:
        show(result, as_json=as_json)
