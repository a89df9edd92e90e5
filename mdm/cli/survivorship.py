"""`mdm survivorship`: which values golden records show, what other rules would change, putting others in force."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.output import ExitCode, connected, fail, note, show, tell, tell_document, tell_json

if TYPE_CHECKING:
    from mdm_client.results import GoldenValue
    from mdm_client.survivorship_results import KindComparison

_File = Annotated[Path, typer.Argument(help="TOML, as `mdm survivorship show` prints it.")]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_SAMPLE = 2000

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def survivorship() -> None:
    """See and steer which of the records' values golden records show.

    \b
    From the rules in force to others:
      mdm survivorship show > rules.toml         the file in force; edit it
      mdm survivorship check rules.toml          is it well formed?
      mdm survivorship preview rules.toml        which golden records would show other values
      mdm survivorship activate rules.toml --reason "phones: latest first"

    Values are chosen when a golden record is read: rules take effect within a second, everywhere, and change neither
    records nor golden IDs. What a steward pinned stays under any rules.
    """


@app.command("show")
def show_rules(server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """Print the file in force, byte for byte; who put it in force goes to standard error."""
    with connected(server) as client:
        found = client.survivorship.get()
    if as_json:
        facts = asdict(found) | {"activated_at": found.activated_at.isoformat(), "content": found.content.decode()}
        tell_json(facts)
        return
    since = f"{found.activated_at:%Y-%m-%d %H:%M} UTC"
    note("in force", digest=found.digest, since=since, by=found.actor or None, reason=found.reason or None)
    tell_document(found.content.decode())


@app.command()
def check(file: _File, server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """Check a file against its form and the registries in force; exit code 1 names the first field and rule broken.

    \b
    Example:
      mdm survivorship check rules.toml
    """
    content = _content(file)
    with connected(server) as client:
        found = client.survivorship.activate(content, is_dry_run=True)
    show({"digest": found.digest, "is_in_force": found.was_in_force}, as_json=as_json)


@app.command()
def preview(
    file: _File,
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Golden records of each kind to look at.")] = _SAMPLE,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Say how many golden records would show other values, by field, with examples; changes nothing.

    \b
    Example:
      mdm survivorship preview rules.toml --sample 10000

    Examples are values of people: they are for the operator alone. The same golden records are looked at each time, so
    a corrected file can be compared with the one before.
    """
    content = _content(file)
    with connected(server) as client:
        found = client.survivorship.compare(content, sample_golden_record_count=sample)
    if as_json:
        tell_json(asdict(found))
        return
    for kind in found.kinds:
        _show_kind(kind)


@app.command()
def activate(
    file: _File,
    reason: Annotated[str, typer.Option(help="Why; stands in the journal. No personal data.")] = "",
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Put a file in force; one that is already changes nothing. To go back, activate the former file.

    \b
    Example:
      mdm survivorship activate rules.toml --reason "phones: latest first"
    """
    content = _content(file)
    with connected(server) as client:
        found = client.survivorship.activate(content, reason)
    show({"in_force": found.digest, "was_in_force": found.was_in_force, "token": found.token}, as_json=as_json)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", ExitCode.USAGE)


def _show_kind(kind: KindComparison) -> None:
    share = kind.changed_golden_record_count / max(kind.sampled_golden_record_count, 1)
    show(
        {
            "kind": str(kind.kind),
            "golden records": f"{kind.sampled_golden_record_count:,} of {kind.golden_record_count:,} looked at",
            "would show other values": f"{kind.changed_golden_record_count:,} of them ({share:.1%})",
        },
        as_json=False,
    )
    for field in kind.fields:
        by = ", ".join(f"{criterion} {count:,}" for criterion, count in field.criteria.items())
        tell(f"  {field.path}: {field.golden_record_count:,}" + (f", by {by}" if by else ""))
        for each in field.examples:
            tell(f"    {each.golden_id}  {_said(each.before)} → {_said(each.after)}")


def _said(value: GoldenValue) -> str:
    return f"{value.value} ({value.source.registry})"
