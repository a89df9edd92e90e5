"""`mdm registry`: which registries there are, checking a registries file, taking a registry on."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.connection import chosen
from mdm.cli.output import ExitCode, connected, fail, note, show, tell, tell_document, tell_json

if TYPE_CHECKING:
    from mdm.config import Configuration
    from mdm.declarations.faults import Fault
    from mdm_client.configuration_results import RegistryChange

_File = Annotated[Path, typer.Argument(help="Registries file, TOML: all registries or those that are to be added.")]
_Server = Annotated[str, typer.Option(help="HOST:PORT of the service.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_DEFAULT_SERVER = "127.0.0.1:50051"
_DRY_WAIT_S = 1.0
"""A service on this machine answers in milliseconds; a dry run without one should not wait."""

_MADE_FROM = re.compile(rb"# made from ([0-9a-f]{32})\r?\n")
"""First line of a file that `show` printed: the digest of the configuration that it was."""

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def registry() -> None:
    """See which registries there are, and take new ones on while the service runs.

    \b
    From a registry that nobody knows yet to its first golden IDs:
      mdm registry check land.toml                  every fault of the file, with its line
      mdm registry add land.toml --dry-run          what would change, and for how many records
      mdm registry add land.toml --reason "decree 12"
      mdm load land.holders land.holders.csv

    docs/registries.md explains every key of the file.
    """


@app.command()
def check(file: _File, as_json: _AsJson = False) -> None:
    """Name every fault of a registries file at once, and what is allowed but suspicious; asks no service.

    \b
    Examples:
      mdm registry check land.toml
      mdm registry check land.toml --json

    Exit code 1 if there is a fault; warnings alone are 0.
    """
    faults, warnings = _checked(file, _content(file))
    if as_json:
        tell_json({"file": file.name, "faults": faults, "warnings": warnings})
    else:
        _print_faults(file, faults, warnings)
        if not faults:
            tell(f"{file.name}: usable, see the warnings" if warnings else f"{file.name}: in good order")
    if faults:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def add(
    file: _File,
    reason: Annotated[str, typer.Option(help="Why; stands in the journal. No personal data.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The file is all there is: registries that it lacks are taken away.")
    ] = False,
    server: _Server = _DEFAULT_SERVER,
    as_json: _AsJson = False,
) -> None:
    """Put the registries of a file in force: new ones are added, known ones changed, others stay as they are.

    \b
    Examples:
      mdm registry add land.toml --dry-run
      mdm registry add land.toml --reason "land office, decree 12"
      mdm registry show > all.toml                  edit it, then
      mdm registry add all.toml --full --reason "budget is no registry any more"

    Takes effect at once and stays across restarts. A registry or a kind of it that still has records can't be taken
    away. A changed trust rank shows at once; a changed mapping, with the registry's next full load.

    What mdm registry show prints begins with the digest of what is in force. With --full, a file that still begins so
    is refused if somebody else has changed the registries since: else the later of two operators would win unseen.
    """
    content = _content(file)
    faults, warnings = _checked(file, content)
    if faults:
        _print_faults(file, faults, warnings)
        raise typer.Exit(ExitCode.FAILED)
    made_from = _MADE_FROM.match(content)
    if full and made_from is None:
        note(f"{file.name} does not say what it was made from: what somebody else changed since is taken back")
    etag = made_from[1].decode() if full and made_from else ""
    with connected(server) as client:
        found = client.configuration.activate(content, reason, is_whole=full, is_dry_run=dry_run, etag=etag)
    if as_json:
        tell_json(asdict(found) | {"is_dry_run": dry_run, "warnings": warnings})
        return
    _print_faults(file, [], warnings)
    for change in found.changes:
        _show_change(change)
    if dry_run:
        tell("nothing would change" if found.was_in_force else "nothing was changed: this was a dry run")
    else:
        show({"in_force": found.digest, "was_in_force": found.was_in_force, "token": found.token}, as_json=False)


@app.command("show")
def show_registries(
    names: Annotated[list[str] | None, typer.Argument(metavar="[REGISTRY]…", help="Only these.")] = None,
    server: _Server = _DEFAULT_SERVER,
) -> None:
    """Print the registries in force as a registries file; who put them in force goes to standard error.

    \b
    Examples:
      mdm registry show > registries.toml
      mdm registry show land
    """
    import msgspec

    from mdm.config import Configuration
    from mdm.declarations.writing import toml_of

    with connected(server) as client:
        found = client.configuration.get()
    since = f"{found.activated_at:%Y-%m-%d %H:%M} UTC" if found.activated_at else None
    note("in force", digest=found.digest, since=since, by=found.actor or None, reason=found.reason or None)
    sections = msgspec.json.decode(Configuration.decode(found.content).encode())
    if names:
        unknown = sorted(set(names) - sections["registries"].keys())
        if unknown:
            fail(f"no registry {', '.join(unknown)}; there are {', '.join(sections['registries'])}", ExitCode.USAGE)
        sections = {"registries": {name: sections["registries"][name] for name in names}}
    else:
        tell(f"# made from {found.digest}")
        tell()
    tell_document(toml_of(sections))


@app.command("list")
def list_registries(server: _Server = _DEFAULT_SERVER, as_json: _AsJson = False) -> None:
    """List the registries in force, the most trusted first, with their feeds and kinds.

    \b
    Example:
      mdm registry list
    """
    with connected(server) as client:
        configuration = configuration_from(client)
    rows: list[dict[str, Any]] = [
        {
            "registry": name,
            "title": declared.title,
            "trust_rank": declared.trust_rank,
            "feeds": {f"{name}.{feed}": sorted(each.kinds) for feed, each in sorted(declared.feeds.items())},
        }
        for name, declared in sorted(configuration.registries.items(), key=lambda item: (item[1].trust_rank, item[0]))
    ]
    if as_json:
        tell_json(rows)
        return
    for row in rows:
        tell(f"{row['trust_rank']:>3}  {row['registry']}  {row['title']}")
        for feed, kinds in row["feeds"].items():
            tell(f"       {feed}: {', '.join(kinds)}")


def configuration_from(client: Any) -> Configuration:
    """Return the configuration that a service has in force."""
    from mdm.config import Configuration

    return Configuration.decode(client.configuration.get().content)


def configuration_for(registries: Path | None, server: str, *, is_service_needed: bool = True) -> Configuration:
    """Return what a load maps by: the file that it names, else what the service has in force.

    Args:
        registries: The file, if one is named.
        server: Of the service.
        is_service_needed: Without it, a service that does not answer leaves the file that ships.
    """
    from mdm.config import Configuration
    from mdm_client import Client, UnavailableError

    if registries is not None:
        return Configuration.load(registries)
    if is_service_needed:
        with connected(server) as client:
            return configuration_from(client)
    with Client(server, tls=chosen().tls) as client:
        try:
            client.wait_until_ready(_DRY_WAIT_S)
        except UnavailableError:
            note("no service answers: the registries that ship are taken", server=server)
            return Configuration.load()
        return configuration_from(client)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", ExitCode.USAGE)


def _checked(file: Path, content: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the faults and the warnings of a file, each with its line."""
    from mdm.config import check_declaration
    from mdm.declarations.lines import KeyLines
    from mdm.linkage.normalise.record import knows_value

    found = check_declaration(content, knows_value, file.name)
    lines = KeyLines(content.decode("utf-8-sig", "replace")) if found and found[0].path != file.name else None

    def told(fault: Fault) -> dict[str, Any]:
        line = lines.line_of(fault.path) if lines else None
        return {"path": fault.path, "line": line, "rule": fault.rule, "hint": fault.hint}

    return [told(each) for each in found if not each.is_warning], [told(each) for each in found if each.is_warning]


def _print_faults(file: Path, faults: list[dict[str, Any]], warnings: list[dict[str, Any]]) -> None:
    for sort, each in (*(("fault", fault) for fault in faults), *(("warning", warning) for warning in warnings)):
        place = f"{file.name}:{each['line']}" if each["line"] else file.name
        key = "" if each["path"] == file.name else f"{each['path']}: "
        hint = f" ({each['hint']})" if each["hint"] else ""
        tell(f"{place}: {sort}: {key}{each['rule']}{hint}")


def _show_change(change: RegistryChange) -> None:
    stored = ", ".join(f"{count:,} {kind}" for kind, count in change.stored_records.items() if count)
    tell(f"{change.registry or 'settings'}: {change.change_type}" + (f"; {stored} records stored" if stored else ""))
    for each in change.differences:
        tell(f"  {each.path}: {each.before or 'nothing'} → {each.after or 'nothing'}")
    if change.is_trust_changed:
        tell("  golden records with these records may show other values at once")
    if change.is_mapping_changed and stored:
        tell("  stored records follow when the registry's feeds are loaded again, whole")
    if stored and any(
        re.search(r"\.feeds\.[^.]+\.record_id$" if each.after else r"\.feeds\.[^.]+(\.record_id)?$", each.path)
        for each in change.differences
    ):
        tell("  records of a feed that goes, or whose record_id changes, stay under their ids until they are deleted")
