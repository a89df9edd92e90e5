"""`mdm synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mdm.cli.output import progress, show


def synth(
    directory: Annotated[Path, typer.Argument(help="Where to write; files of the same names are replaced.")],
    citizens: Annotated[int, typer.Option(help="People of the city.")] = 5_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    file_format: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="Of the feeds.")] = "csv",
    difficulty: Annotated[Literal["default", "hard"], typer.Option(help="How careless the clerks are.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write a synthetic city: five feeds, truth.csv that says who is who, and entities.csv that says who they are.

    \b
    Examples:
      mdm synth --citizens 5000 --seed 1 ./city
      mdm synth --citizens 450000 --seed 7 --format parquet ./big-city
    """
    import dataclasses

    from mdm.synth.city import write_city

    with progress() as say:
        report = write_city(directory, citizens, seed, file_format, difficulty, say)
    show(dataclasses.asdict(report), as_json=as_json)
