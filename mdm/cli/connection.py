"""How every command reaches the service: the same options and environment variables for all, declared once.

A command that speaks to a service declares `--server`; `reach_services` gives it the other options.
"""

from __future__ import annotations

import functools
import re
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from mdm.errors import ConfigurationError

if TYPE_CHECKING:
    from mdm_client import Tls

SERVER_VARIABLE = "MDM_SERVER"
_SERVER = re.compile(r".*\S:\d+")

_said: ContextVar[dict[str, Any] | None] = ContextVar("connection", default=None)


class Connection(NamedTuple):
    """How a command connects and in whose name; empty texts where nothing was said."""

    tls: Tls | None
    actor: str
    purpose: str


def _remember(_context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    _said.set((_said.get() or {}) | {str(option.name): value})
    return value


def _declare(
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="MDM_TLS_CA",
            callback=_remember,
            expose_value=False,
            help="Authorities whose services are trusted: TLS.",
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="MDM_TLS_CERTIFICATE",
            callback=_remember,
            expose_value=False,
            help="Certificate to show the service.",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(envvar="MDM_TLS_KEY", callback=_remember, expose_value=False, help="Key of that certificate."),
    ] = None,
    tls_server_name: Annotated[
        str,
        typer.Option(
            envvar="MDM_TLS_SERVER_NAME",
            callback=_remember,
            expose_value=False,
            show_default=False,
            help="Name in the service's certificate, if not its host.",
        ),
    ] = "",
    actor: Annotated[
        str,
        typer.Option(
            envvar="MDM_ACTOR",
            callback=_remember,
            expose_value=False,
            show_default=False,
            help="Official name of who acts; recorded as asserted.",
        ),
    ] = "",
    purpose: Annotated[
        str,
        typer.Option(
            envvar="MDM_PURPOSE",
            callback=_remember,
            expose_value=False,
            show_default=False,
            help="What it is done for; recorded as asserted.",
        ),
    ] = "",
) -> None:
    """Stands for any command that reaches a service: only its options matter."""


@functools.cache
def options() -> tuple[Any, ...]:
    """Return the options that every command has which speaks to a service, `--server` aside.

    Made once for all commands, which takes 3 ms: forty times that would double what `mdm --help` takes.
    """
    declaring = typer.Typer(add_completion=False)
    declaring.command()(_declare)
    return tuple(get_command(declaring).params)


def reach_services(command: Any) -> None:
    """Give the options to every command that has `--server`, to groups too; one of the same name is left as it is."""
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            reach_services(inner)
    params = {param.name: param for param in command.params}
    if (server := params.get("server")) is not None:
        server.envvar, server.show_envvar = SERVER_VARIABLE, True
        server.callback = _checked_server
        command.params.extend(option for option in options() if option.name not in params)


def _checked_server(_context: typer.Context, param: typer.CallbackParam, value: str) -> str:
    # A command that works without a service, too, has no default.
    if value != param.default and not _SERVER.fullmatch(value):
        raise typer.BadParameter("must be HOST:PORT, such as 127.0.0.1:50051")
    return value


def chosen() -> Connection:
    """Return what the command line or the environment says of the connection.

    Raises:
        ConfigurationError: A certificate without its key, a key without its certificate, or the name in a certificate
            where nothing would be encrypted.
    """
    from mdm_client import Tls

    said = _said.get() or {}
    ca, certificate, key = said.get("tls_ca"), said.get("tls_certificate"), said.get("tls_key")
    if (certificate is None) != (key is None):
        raise ConfigurationError("--tls-key", "goes with --tls-certificate: name both or neither")
    is_encrypted = ca is not None or certificate is not None
    server_name = said.get("tls_server_name", "")
    if server_name and not is_encrypted:
        raise ConfigurationError("--tls-server-name", "goes with --tls-ca: without it nothing is encrypted")
    tls = Tls(ca, certificate, key, server_name) if is_encrypted else None
    return Connection(tls, said.get("actor", ""), said.get("purpose", ""))
