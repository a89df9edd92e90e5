"""`mdm serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.settings import told_where_it_stands, use_file

if TYPE_CHECKING:
    from mdm.server.options import TlsFiles


def serve(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Directory that holds all state; it is made if need be.")],
    config: Annotated[
        Path | None, typer.Option(is_eager=True, callback=use_file, help="TOML file with any of these settings.")
    ] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT to answer on; port 0 takes a free one.")] = "127.0.0.1:50051",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Reading processes; 0 is one a core, at most 4.")] = 0,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file with the service's certificate and those up to its authority.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file with the certificate's private key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM file with authorities of callers; who shows no certificate is refused.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option(help="Listen beyond this machine without TLS, and serve the metrics page there too.")
    ] = False,
    metrics: Annotated[str, typer.Option(help="HOST:PORT of the Prometheus page, or off.")] = "127.0.0.1:9464",
    expose_metrics: Annotated[
        bool, typer.Option(help="Serve the metrics page beyond this machine; it is never encrypted.")
    ] = False,
    registries: Annotated[
        Path | None, typer.Option(help="Registries file to put in force, unless the last start named the same.")
    ] = None,
    reflection: Annotated[bool, typer.Option(help="Answer what calls there are; buf curl needs it.")] = True,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written with the addresses once the service answers.")
    ] = None,
    grace_s: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds that calls under way may go on after SIGTERM.")
    ] = 10.0,
) -> None:
    """Run the service until SIGTERM, which lets calls under way finish.

    \b
    Examples:
      mdm serve --data ./data
      mdm serve --config /etc/mdm/serve.toml --workers 2
      mdm serve --data /srv/mdm --listen 0.0.0.0:50051 --tls-certificate mdm.crt --tls-key mdm.key

    An option counts before its environment variable, that before the file, that before the default; mdm config show
    says what counts and why. Certificates may be renewed in place: new connections get the new one.

    Exit code 2 if a setting is refused: the message names the option, the variable or the file's key that holds it. An
    address that is only taken, or not there yet, is exit code 1: another start may get it.
    """
    from mdm.config import Configuration
    from mdm.server.options import ServeOptions
    from mdm.server.supervisor import serve as run

    # Read here, so that a mistake in the file is one line on the terminal and not a child that dies.
    Configuration.load(registries)
    with told_where_it_stands(context, config):
        options = ServeOptions(
            data=data.absolute(),
            listen=listen,
            workers=workers,
            metrics=metrics,
            is_reflecting=reflection,
            is_insecure=insecure,
            is_metrics_exposed=expose_metrics,
            tls=_tls(tls_certificate, tls_key, tls_client_ca),
            registries=registries.absolute() if registries else None,
            ready_file=ready_file.absolute() if ready_file else None,
            grace_s=grace_s,
        )
        code = run(options)
    raise typer.Exit(code)


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    from mdm.errors import ConfigurationError
    from mdm.server.options import TlsFiles

    if certificate is not None and key is not None:
        return TlsFiles(certificate.absolute(), key.absolute(), client_ca.absolute() if client_ca else None)
    if certificate is not None:
        raise ConfigurationError("--tls-certificate", "needs --tls-key")
    if key is not None or client_ca is not None:
        raise ConfigurationError("--tls-key" if key else "--tls-client-ca", "needs --tls-certificate")
    return None
