"""The city that suites run on: how large a given one is, and that only its own size is measured on it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import data
from benchmarks.command import figure_options
from benchmarks.data import City, adopted_store, citizens_in, load_feeds, prepared_city, prepared_store
from benchmarks.session import Session
from benchmarks.suites import rivals
from benchmarks.suites.scaling import options_for
from mdm.synth.city import write_city
from mdm.synth.feeds import COLUMNS
from tests.serving import running_server

CITIZENS = 60


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return prepared_city(tmp_path_factory.mktemp("cache"), CITIZENS, 7, print)


def opened(city: City, cache: Path, *more: str) -> Session:
    return Session(
        ["x"], figure_options().parse_args(["scaling", "--city", str(city.directory), "--cache", str(cache), *more])
    )


def test_a_given_city_has_as_many_citizens_as_it_names_or_as_is_said(city: City, tmp_path: Path) -> None:
    # Some who live elsewhere represent its firms.
    assert CITIZENS <= citizens_in(city.directory) < CITIZENS * 1.2
    assert opened(city, tmp_path).city.citizens == citizens_in(city.directory)
    assert opened(city, tmp_path, "--size", "70").city.citizens == 70
    with pytest.raises(ValueError, match="--size"):
        citizens_in(tmp_path)


def test_other_sizes_are_not_measured_on_a_given_city(city: City, tmp_path: Path) -> None:
    session = opened(city, tmp_path, "--size", str(CITIZENS))
    assert options_for(session, CITIZENS).city == city.directory
    other = options_for(session, 50)
    assert (other.size, other.city, other.data) == (50, None, None)


def test_a_given_city_that_is_too_large_for_rivals_is_not_theirs(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):  # noqa: N818 – not an error
        """Ends a suite once its city is known."""

    linked: list[int] = []

    def note(linked_city: City, _rows: Path) -> int:
        linked.append(linked_city.citizens)
        raise Enough

    monkeypatch.setattr(rivals, "CITIZENS_MAX", 50)
    monkeypatch.setattr(rivals, "write_plain_rows", note)
    with opened(city, tmp_path) as session, pytest.raises(Enough):
        rivals.measure(session)
    assert linked == [50]


def test_the_rows_of_a_city_are_as_long_as_its_csv_files(city: City, tmp_path: Path) -> None:
    write_city(tmp_path, CITIZENS, 7, "csv")
    texts = [(tmp_path / f"{feed}.csv").read_text(encoding="utf-8-sig") for feed in COLUMNS]
    rows = "".join(text.partition("\n")[2] for text in texts).replace("\r\n", "\n")
    assert city.text_bytes() == len(rows.encode())


def test_an_interrupted_build_leaves_nothing(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    (source / "journal.sqlite").touch()
    for name, build in (
        ("mdm", lambda: prepared_store(cache, city, print)),
        ("write_city", lambda: prepared_city(cache, CITIZENS, 8, print)),
        ("copied", lambda: adopted_store(cache, source, print)),
    ):
        monkeypatch.setattr(data, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            build()
        assert not [*cache.iterdir()], name


def test_what_a_load_sets_aside_is_not_written_beside_its_feed(city: City, tmp_path: Path) -> None:
    feed = "social_security.employers"
    given, aside = tmp_path / "given", tmp_path / "aside"
    given.mkdir()
    aside.mkdir()
    table = pq.read_table(city.files[feed])
    unknown = pa.array([None, *table.column(0).to_pylist()[1:]], table.schema.field(0).type)
    pq.write_table(table.set_column(0, table.schema.field(0), unknown), given / f"{feed}.parquet")
    with running_server(tmp_path / "data") as served:
        files = {feed: given / f"{feed}.parquet"}
        loaded = load_feeds(files, served.address, aside, resolve="later", say=lambda _text: None)
    assert loaded.rows == table.num_rows
    assert [*given.iterdir()] == [files[feed]]
    assert [each.name for each in aside.iterdir()] == [f"{feed}.rejects.csv"]
