"""The journal of every release replays to the golden IDs that it gave out, for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mdm.resolve.projection import rebuild, verify
from mdm.store.data_directory import VERSION, DataDirectory
from mdm.store.index import Index
from tests.resolve.journal_fixture import EXPECTED, FIXTURES, JOURNAL, all_facts, answers, facts_of
from tests.resolve.office import Office, citizen

RELEASES = sorted(path.name for path in FIXTURES.iterdir())
FIXTURE_BYTES_MAX = 200_000


def _opened(release: str, tmp_path: Path) -> Path:
    """A data directory that holds nothing but the journal, as after the loss of all else."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(FIXTURES / release / JOURNAL, data / JOURNAL)
    (data / "VERSION").write_text(VERSION + "\n", encoding="utf-8")
    return data


@pytest.mark.parametrize("release", RELEASES)
def test_a_journal_of_each_release_gives_the_golden_ids_that_it_gave(release: str, tmp_path: Path) -> None:
    data = _opened(release, tmp_path)
    expected = json.loads((FIXTURES / release / EXPECTED).read_text(encoding="utf-8"))
    assert rebuild(data).event_count == expected["seq"]
    current = DataDirectory.open(data).generations.current()
    assert current is not None
    with Index.open(current) as index, index.read() as view:
        found = {"seq": view.applied_seq, **answers(view)}
    assert json.loads(json.dumps(found)) == expected
    assert verify(data).is_equal


@pytest.mark.parametrize("release", RELEASES)
def test_a_writer_goes_on_with_a_journal_of_each_release(release: str, tmp_path: Path) -> None:
    office = Office(_opened(release, tmp_path))
    before = office.crosswalk()
    assert office.put(citizen("NEW", "Hồ Thị Sen", "2001-05-06", personal_id="079301000001")).golden_id
    assert before.items() <= office.crosswalk().items()
    assert office.differences(tmp_path / "replayed") == []
    office.close()


def test_every_sort_of_fact_occurs_in_the_newest_fixture() -> None:
    assert all_facts() - facts_of(FIXTURES / RELEASES[-1] / JOURNAL) == set()


def test_fixtures_are_small() -> None:
    assert [
        path.name for path in FIXTURES.rglob("*") if path.is_file() and path.stat().st_size > FIXTURE_BYTES_MAX
    ] == []
