"""`mdm doctor`: whether this machine, this installation and this directory are fit for the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.output import ExitCode, tell, tell_json

if TYPE_CHECKING:
    from mdm.resolve.doctor import Finding

_SIGNS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="The service's directory, in use or not.", show_default=False)
    ] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT that the service will listen on.")] = "127.0.0.1:50051",
    server: Annotated[str, typer.Option(help="HOST:PORT of a running service, to look at that too.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at all that the service needs, and say what to do about what is wrong.

    \b
    Examples:
      mdm doctor
      mdm doctor --data /srv/mdm --server 127.0.0.1:50051
      mdm doctor --data /srv/mdm --json | jq '.[] | select(.verdict != "ok")'

    Looks at versions, processor, limits of the process, clock, and with --data at the disk, its speed and what the
    directory holds. Writes nothing but a file of its own, which it removes. Run it as the user that runs the service,
    on its machine, before the first start, after an upgrade, and when something is odd. For the state of a running
    service: mdm status. Exit code 1 if anything fails.
    """
    import msgspec

    from mdm.resolve import doctor as examination
    from mdm.server.disk_space import free_bytes

    findings = [*examination.examine_machine(), _port(listen)]
    if data is not None:
        findings += examination.examine_directory(data, free_bytes(data))
    if server:
        findings += _service(server)
    if as_json:
        tell_json(msgspec.to_builtins(findings))
    else:
        width = max(len(each.what) for each in findings)
        for each in findings:
            tell(f"{_SIGNS[each.verdict]}  {each.what:<{width}}  {each.found}{'; ' if each.todo else ''}{each.todo}")
    if any(each.verdict == "fail" for each in findings):
        raise typer.Exit(ExitCode.FAILED)


def _port(listen: str) -> Finding:
    from mdm.resolve.doctor import Finding
    from mdm.server.listening import PortInUseError, parse_address, reserve_port

    try:
        reserve_port(*parse_address(listen, "--listen"), "--listen").close()
    except PortInUseError as error:
        return Finding("port", "warn", error.rule, "well if the service itself runs; else --listen another one")
    return Finding("port", "ok", f"{listen} is free")


def _service(server: str) -> list[Finding]:
    from mdm.cli.output import connected
    from mdm.resolve.doctor import Finding

    try:
        with connected(server, heeds_health=False) as client:
            found = client.admin.status()
    except typer.Exit:
        # It is said on standard error; what else was found is to be shown all the same.
        return [Finding("service", "fail", f"none answers at {server}", "start it, or name another --server")]
    is_serving = found.mode == "serving"
    todo = "" if is_serving else "see docs/incidents.md"
    service = Finding("service", "ok" if is_serving else "fail", found.mode_reason or found.mode.value, todo)
    return [service, *(Finding("service", "warn", warning) for warning in found.warnings)]
