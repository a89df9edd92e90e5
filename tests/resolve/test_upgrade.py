"""A directory of another release says what it is of, and is brought to this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm.errors import DataDirectoryError
from mdm.resolve import projection
from mdm.resolve import upgrade as use_case
from mdm.resolve.projection import index_versions, verify
from mdm.resolve.upgrade import VersionChange, upgrade
from mdm.store import index as index_module
from mdm.store import layout
from mdm.store.data_directory import DataDirectory
from mdm.store.index import IndexVersions, stored_versions
from mdm.store.journal import JournalReader
from tests.resolve.office import Office, citizen


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A directory that a service has left."""
    office = Office(tmp_path / "left")
    office.put_all([citizen("A"), citizen("B", "Đặng Hoàng Long", "1969-10-20", sex="M")])
    office.close()
    return office.path


def test_a_directory_of_this_release_needs_nothing(left: Path) -> None:
    before = DataDirectory.open(left).generations.current()
    done = upgrade(left)
    assert (done.changes, done.is_done) == ((), False)
    assert DataDirectory.open(left).generations.current() == before


def test_another_normaliser_and_layout_are_named_and_the_index_is_built_anew(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(journal: JournalReader) -> IndexVersions:
        made = index_versions(journal)
        return IndexVersions("999", made.specification, made.journal, made.relations)

    for module in (layout, index_module, use_case):
        monkeypatch.setattr(module, "LAYOUT_VERSION", 999)
    for module in (projection, use_case):
        monkeypatch.setattr(module, "index_versions", newer)
    before = DataDirectory.open(left).generations.current()
    would = upgrade(left, is_dry_run=True)
    old = str(stored_versions(before or Path())[0])
    assert [each.what for each in would.changes] == ["index layout", "normaliser"]
    assert would.changes[0] == VersionChange("index layout", old, "999")
    assert not would.is_done
    assert DataDirectory.open(left).generations.current() == before
    assert upgrade(left).is_done
    assert DataDirectory.open(left).generations.current() != before
    assert upgrade(left).changes == ()
    assert verify(left).is_equal


def test_an_upgrade_that_is_cut_off_leaves_the_old_index_in_use(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(use_case, "LAYOUT_VERSION", 999)
    before = DataDirectory.open(left).generations.current()
    with pytest.raises(KeyboardInterrupt):
        upgrade(left, cut_off)
    assert DataDirectory.open(left).generations.current() == before
    monkeypatch.undo()
    assert verify(left).is_equal


def test_a_directory_in_use_is_left_alone(office: Office) -> None:
    with pytest.raises(DataDirectoryError, match="in use"):
        upgrade(office.path)
