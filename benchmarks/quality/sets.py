"""The data sets that can be measured, by the names that `--sets` takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.quality import cities
from benchmarks.quality.datasets import Pipeline

DEFAULT_SETS = ("city:5000:7:default", "city:5000:7:hard")
"""Minutes on a laptop."""


class DataSet(NamedTuple):
    """A pipeline and what `--help` says of it."""

    pipeline: Pipeline
    help: str
    check: Callable[[str], object] = len
    """Raises ValueError for an argument that the pipeline cannot take, before any work is done."""


PIPELINES: dict[str, DataSet] = {
    "city": DataSet(
        cities.link_city,
        "city:CITIZENS:SEED:DIFFICULTY, a synthetic city; difficulty is default or hard, e.g. city:20000:7:hard",
        cities.CityName.parse,
    ),
}


def shared_data() -> Path | None:
    """Return the folder of public sets: named by MDM_SHARED_DATA, or beside the project as `shared/data`."""
    named = os.environ.get("MDM_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if (folder / "README.md").is_file() else None


def split_name(name: str) -> tuple[DataSet, str]:
    """Return the data set that a name of `--sets` means and the argument behind its first colon.

    Raises:
        ValueError: There is no such set, or it takes no such argument.
    """
    kind, _, argument = name.partition(":")
    if kind not in PIPELINES:
        raise ValueError(f"no data set {kind}; there are {', '.join(sorted(PIPELINES))}")
    PIPELINES[kind].check(argument)
    return PIPELINES[kind], argument
