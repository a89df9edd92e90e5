"""The city that a benchmark runs on: feeds from a seed, and a data directory that holds them, built once and copied."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mdm.config import Configuration
from mdm.domain.keys import EntityKind
from mdm.domain.records import SourceRecord
from mdm.feeds.mapping import RowMapper, UpsertOperation
from mdm.feeds.reading import Row, open_feed
from mdm.resolve.engines import MATCH_STATE_VERSIONS
from mdm.server.wire_records import record_message
from mdm.store.data_directory import VERSION
from mdm.store.layout import LAYOUT_VERSION
from mdm.synth.city import write_city
from mdm.synth.feeds import COLUMNS
from mdm.v1 import common_pb2 as common
from tests.serving import running_server

Say = Callable[[str], None]

CITIZEN_FEEDS = ("hospital.patients", "social_security.insured", "household.residents")
START_S_MAX = 3600.0
"""A store of another layout is rebuilt when it is first opened."""


class City(msgspec.Struct, frozen=True):
    """Feeds of a synthetic city, as Parquet files in a directory."""

    directory: Path
    citizens: int
    seed: int
    row_count: int

    @property
    def files(self) -> dict[str, Path]:
        """Feed → its file."""
        return {feed: self.directory / f"{feed}.parquet" for feed in COLUMNS}

    def records(self, feed: str, count: int) -> tuple[SourceRecord, ...]:
        """Return about `count` citizens of a feed, from rows spread evenly over the file; all if it has fewer."""
        return _records(self, feed, count)

    def text_bytes(self) -> int:
        """Return how long the rows of all feeds are as CSV, without its heads. Cost: 1 s a million rows."""
        length = 0
        for file in self.files.values():
            with pq.ParquetFile(file) as opened:
                length += sum(_csv_bytes(cells) for batch in opened.iter_batches() for cells in batch.columns)
        return length

    def wire_records(self, feed: str, count: int) -> tuple[common.SourceRecord, ...]:
        """Return citizens of a feed as they travel; see `records`."""
        return _wire_records(self, feed, count)


class Loaded(NamedTuple):
    """What loads came to."""

    rows: int
    outcomes: Counter[str]
    """Outcome → records."""
    seconds: float
    """Of all the commands, as they say."""


def _csv_bytes(cells: pa.Array) -> int:
    """Return how long cells are with what ends each: themselves, quotes around some, and their own quotes doubled."""
    quoted = pc.match_substring_regex(cells, '[",\r\n]')
    parts = (pc.binary_length(cells), pc.count_substring(cells, '"'), quoted, quoted)
    return len(cells) + sum(pc.sum(part).as_py() or 0 for part in parts)


@cache
def _records(city: City, feed: str, count: int) -> tuple[SourceRecord, ...]:
    opened = open_feed(city.files[feed])
    step = max((opened.row_count or 1) // count, 1)
    mapper = RowMapper(Configuration.load(), feed, opened.columns)
    found: list[SourceRecord] = []
    for number, row in enumerate(opened.rows()):
        operations = mapper.operations(row) if number % step == 0 and isinstance(row, Row) else ()
        if isinstance(operations, tuple):
            records = (each.record for each in operations if isinstance(each, UpsertOperation))
            found += [record for record in records if record.key.kind is EntityKind.CITIZEN]
    return tuple(found[:count])


@cache
def _wire_records(city: City, feed: str, count: int) -> tuple[common.SourceRecord, ...]:
    return tuple(record_message(record) for record in _records(city, feed, count))


def city_in(directory: Path, citizens: int, seed: int) -> City:
    """Return the city whose feeds lie in a directory.

    Raises:
        ValueError: A feed is missing.
    """
    rows = 0
    for feed in COLUMNS:
        file = directory / f"{feed}.parquet"
        if not file.is_file():
            raise ValueError(f"{directory} lacks {file.name}; make a city with mdm synth --format parquet")
        rows += open_feed(file).row_count or 0
    return City(directory, citizens, seed, rows)


def citizens_in(directory: Path) -> int:
    """Return how many citizens a synthetic city's list of entities names: all that its feeds are about.

    Raises:
        ValueError: There is no such list.
    """
    file = directory / "entities.csv"
    if not file.is_file():
        raise ValueError(f"{directory} lacks {file.name}: say by --size how many citizens its feeds are about")
    with file.open(encoding="utf-8", newline="") as lines:
        return sum(row["entity_kind"] == EntityKind.CITIZEN.value for row in csv.DictReader(lines))


def prepared_city(cache: Path, citizens: int, seed: int, say: Say) -> City:
    """Return the city of a size and seed, written into the cache if it is not there."""
    directory = cache / f"city-{citizens}-{seed}"
    if not directory.is_dir():
        say(f"writing a city of {citizens:,} citizens")
        with _building(directory) as fresh:
            write_city(fresh, citizens, seed, "parquet")
            fresh.rename(directory)
    return city_in(directory, citizens, seed)


def prepared_store(cache: Path, city: City, say: Say) -> Path:
    """Return a data directory that holds the whole city, linked; built into the cache if it is not there.

    It is loaded for later and re-linked, through the service, as a city would be. Cost: on two cores about a minute for
    20,000 citizens and half an hour for 450,000.
    """
    directory = cache / f"store-{city.citizens}-{city.seed}-{_made_by(city.directory)}"
    if not directory.is_dir():
        with _building(directory) as fresh:
            with running_server(fresh / "data") as served:
                load_feeds(city.files, served.address, fresh, resolve="later", say=say)
                say("linking the city")
                mdm("relink", "--server", served.address, "--json")
            (fresh / "data").rename(directory)
    return directory


def adopted_store(cache: Path, source: Path, say: Say) -> Path:
    """Return a copy of a stopped service's data directory whose index is of this release; made once.

    Raises:
        ValueError: It is no data directory.
    """
    journal = source / "journal.sqlite"
    if not journal.is_file():
        raise ValueError(f"{source} is no data directory of a service")
    # The same directory with more in its journal is another store.
    state = journal.stat()
    directory = cache / f"adopted-{_made_by(source)}-{state.st_size}-{state.st_mtime_ns}"
    if not directory.is_dir():
        say(f"copying {source}, and opening it once")
        with _building(directory) as fresh:
            copied(source, fresh / "data")
            with running_server(fresh / "data", start_s_max=START_S_MAX):
                pass
            (fresh / "data").rename(directory)
    return directory


def _made_by(source: Path) -> str:
    """Return what names a source of data and the release that stored them."""
    versions = f"{VERSION} {LAYOUT_VERSION} {MATCH_STATE_VERSIONS} {source.resolve()}"
    return hashlib.sha256(versions.encode()).hexdigest()[:12]


def load_feeds(files: Mapping[str, Path], address: str, rejects: Path, *, resolve: str, say: Say) -> Loaded:
    """Load feeds one after another by `mdm load`; what is set aside goes into the directory `rejects`."""
    rows, seconds = 0, 0.0
    outcomes: Counter[str] = Counter()
    for feed, file in files.items():
        say(f"loading {feed}")
        aside = rejects / f"{feed}.rejects.csv"
        summary = mdm("load", feed, file, "--resolve", resolve, "--server", address, "--rejects", aside, "--json")
        rows += summary["rows"]
        seconds += summary["seconds"]
        outcomes.update(summary["records"])
    return Loaded(rows, outcomes, seconds)


def copied(store: Path, target: Path) -> Path:
    """Copy a stopped service's data directory, sharing blocks where the file system can."""
    subprocess.run(["cp", "--recursive", "--reflink=auto", str(store), str(target)], check=True)
    # Gigabytes still to be written back would delay every commit that is measured next.
    subprocess.run(["sync", "--file-system", str(target)], check=True)
    return target


def mdm(*arguments: str | Path) -> dict[str, Any]:
    """Run an `mdm` command and return what it printed, if `--json` is among the arguments.

    Raises:
        RuntimeError: It ended with an error.
    """
    command = [sys.executable, "-m", "mdm", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    # Some rows of a city are no records, by design; exit code 3 says so.
    if done.returncode not in {0, 3}:
        last = done.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"mdm {arguments[0]} ended with {done.returncode}: {last}")
    return dict(json.loads(done.stdout)) if "--json" in arguments else {}


@contextmanager
def _building(directory: Path) -> Iterator[Path]:
    """Yield an empty directory to build in: a build that breaks off must not be taken for a whole one.

    What is left of it is removed at the end of the block, whatever ended it.
    """
    fresh = directory.with_name(f"{directory.name}.building")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
