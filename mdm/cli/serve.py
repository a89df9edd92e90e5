"""`mdm serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    data: Annotated[Path, typer.Option(help="Directory that holds all state; it is made if need be.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT to answer on; port 0 takes a free one.")] = "127.0.0.1:50051",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Reading processes; 0 is one a core, at most 4.")] = 0,
    metrics: Annotated[str, typer.Option(help="HOST:PORT of the Prometheus page, or off.")] = "127.0.0.1:9464",
    registries: Annotated[Path | None, typer.Option(help="Registries file; without it, the one that ships.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written once the service answers.")] = None,
    reflection: Annotated[bool, typer.Option(help="Answer what calls there are; buf curl needs it.")] = True,
    insecure: Annotated[bool, typer.Option(help="Allow addresses beyond this machine, unencrypted.")] = False,
) -> None:
    """Run the service until SIGTERM, which lets calls under way finish.

    \b
    Examples:
      mdm serve --data ./data
      mdm serve --data /srv/mdm --listen 127.0.0.1:50051 --workers 4
    """
    from mdm.config import Configuration
    from mdm.server.options import ServeOptions
    from mdm.server.supervisor import serve as run

    # Read here, so that a mistake in the file is one line on the terminal and not a child that dies.
    Configuration.load(registries)
    options = ServeOptions(
        data=data.absolute(),
        listen=listen,
        workers=workers,
        metrics=metrics,
        is_reflecting=reflection,
        is_insecure=insecure,
        registries=registries.absolute() if registries else None,
        ready_file=ready_file.absolute() if ready_file else None,
    )
    raise typer.Exit(run(options))
