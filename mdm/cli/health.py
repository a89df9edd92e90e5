"""`mdm health`: a probe for those who run the service."""

from __future__ import annotations

from typing import Annotated

import typer

from mdm.cli.output import ExitCode, connected, fail, show


def health(
    service: Annotated[str, typer.Option(help="Full name of one service; without it, all of them.")] = "",
    timeout_s: Annotated[float, typer.Option(min=0.1, max=60, help="How long to wait for an answer.")] = 3.0,
    server: Annotated[str, typer.Option(help="HOST:PORT of the service.")] = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask the service whether it serves; exit code 0 if it does, 1 if not.

    \b
    Examples:
      mdm health
      mdm health --service mdm.v1.LookupService --timeout-s 1
      MDM_SERVER=mdm.example:50051 MDM_TLS_CA=ca.crt mdm health --json
    """
    from mdm_client import NotFoundError, ServingStatus

    with connected(server, timeout_s=timeout_s, heeds_health=False) as client:
        try:
            status = client.health.check(service, timeout_s=timeout_s)
        except NotFoundError:
            fail("--service names no service of this one", ExitCode.USAGE)
    show({"status": status.name}, as_json=as_json)
    if status is not ServingStatus.SERVING:
        raise typer.Exit(ExitCode.FAILED)
