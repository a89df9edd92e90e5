"""One small run of the suite, and one small city, for all that is asked of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.quality import suite
from benchmarks.quality.cities import CityKind, read_city
from mdm.domain.keys import EntityKind
from mdm.synth.city import write_city


class Run(NamedTuple):
    """What a run returned and wrote."""

    result: dict[str, Any]
    is_kept: bool
    out: Path


def options(*arguments: str) -> argparse.Namespace:
    """Parse the suite's options."""
    parser = argparse.ArgumentParser(prog="quality")
    suite.add_options(parser)
    return parser.parse_args(arguments)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A city of 400, without peers, with examples: in batch, loaded online, re-linked."""
    out = tmp_path_factory.mktemp("quality")
    asked = options("--sets", "city:400:3:hard", "--peers", "none", "--examples", "--out", str(out))
    result, is_kept = suite.run(asked)
    return Run(result, is_kept, out)


@pytest.fixture(scope="session")
def small_city(tmp_path_factory: pytest.TempPathFactory) -> dict[EntityKind, CityKind]:
    """A city of 600 read back."""
    directory = tmp_path_factory.mktemp("city")
    write_city(directory, 600, 3)
    return read_city(directory)
