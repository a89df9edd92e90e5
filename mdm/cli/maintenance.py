"""`mdm verify` and `mdm rebuild`: the index against the journal, with the service stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdm.cli.output import ExitCode, progress, show

_Data = Annotated[Path, typer.Option(help="The service's directory; the service must be stopped.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def verify(data: _Data, as_json: _AsJson = False) -> None:
    """Replay the journal and compare the index with it, entry by entry; exit code 1 if they differ.

    \b
    Example:
      mdm verify --data ./data
    """
    import msgspec

    from mdm.resolve import projection

    with progress() as say:
        report = projection.verify(data, say)
    show(msgspec.to_builtins(report), as_json=as_json)
    if not report.is_equal:
        raise typer.Exit(ExitCode.FAILED)


def rebuild(data: _Data, as_json: _AsJson = False) -> None:
    """Build the index anew from the journal and put it in the old one's place.

    \b
    Example:
      mdm rebuild --data ./data
    """
    import msgspec

    from mdm.resolve import projection

    with progress() as say:
        report = projection.rebuild(data, say)
    show(msgspec.to_builtins(report), as_json=as_json)
