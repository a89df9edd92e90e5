"""The data sets that can be measured, by the names that `--sets` takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.quality import cities, companies, febrl, historical, public_sets, uganda
from benchmarks.quality.datasets import Pipeline

DEFAULT_CITIZENS = 5_000
"""Minutes on a laptop."""
CITIZENS_MIN = 50


class DataSet(NamedTuple):
    """A pipeline and what `--help` says of it."""

    pipeline: Pipeline
    help: str
    check: Callable[[str], object] = len
    """Raises ValueError for an argument that the pipeline cannot take, before any work is done."""


def no_argument(argument: str) -> None:
    """Refuse an argument where a set has none.

    Raises:
        ValueError: There is one.
    """
    if argument:
        raise ValueError("a public set is named without an argument")


PIPELINES: dict[str, DataSet] = {
    "city": DataSet(
        cities.link_city,
        "city:CITIZENS:SEED:DIFFICULTY, a synthetic city; difficulty is default or hard, e.g. city:20000:7:hard",
        cities.CityName.parse,
    ),
    "historical": DataSet(
        public_sets.pipeline(historical.read_set),
        "historical, 50,578 records of 5,156 people of the past, corrupted many times over",
        no_argument,
    ),
    "febrl4": DataSet(
        public_sets.pipeline(febrl.read_set),
        "febrl4, two files of 5,000 invented Australians, without their social-security number",
        no_argument,
    ),
    "uganda": DataSet(
        public_sets.pipeline(uganda.read_set),
        "uganda, 5,000 records of a client registry's 4,000 patients, without their two numbers",
        no_argument,
    ),
    "companies": DataSet(
        companies.link_companies,
        "companies, short and full names of 1,576 listed Vietnamese firms, names alone",
        no_argument,
    ),
}


def default_sets(citizens: int) -> list[str]:
    """Return the names of both cities of a size."""
    return [f"city:{citizens}:7:{difficulty}" for difficulty in ("default", "hard")]


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
