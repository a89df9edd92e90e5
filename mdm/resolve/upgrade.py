"""Bringing a data directory to this release: what it was made with, what that means, and building anew what must be.

The journal never changes. Only derived state depends on a release: its layout, and the versions of normaliser,
specification and relation keys that it was computed with.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from mdm.resolve.projection import Progress, index_versions, rebuild_generation
from mdm.store.data_directory import DataDirectory
from mdm.store.index import is_whole, stored_versions
from mdm.store.journal import Journal, JournalReader
from mdm.store.layout import LAYOUT_VERSION


class VersionChange(msgspec.Struct, frozen=True):
    """One thing that is of another version in the directory than in this release."""

    what: str
    before: str
    """Empty where the directory has none."""
    after: str


class Upgrade(msgspec.Struct, frozen=True):
    """What an upgrade does, or would do."""

    changes: tuple[VersionChange, ...]
    event_count: int
    """Events that the index is built from."""
    is_done: bool
    """Whether the index was built anew."""


def upgrade(data: Path, progress: Progress | None = None, *, is_dry_run: bool = False) -> Upgrade:
    """Build a directory's index anew if it is of another release; the old one is in use until the new one is whole.

    Killed at any moment, the old index stays, and the next upgrade or start begins again. Cost: as a rebuild.

    Raises:
        DataDirectoryError: `data` is not ours, a server is using it, or its journal is of a later release.
    """
    with DataDirectory.open(data, exclusive=True) as directory, Journal.open_read_only(directory.journal) as journal:
        changes = _changes(directory, journal)
        if not changes or is_dry_run:
            return Upgrade(changes, journal.last_seq, is_done=False)
        rebuild_generation(directory, journal, progress)
        # Copies of the old index would be restored after a power cut, only to be found outdated.
        directory.generations.drop_checkpoints()
        directory.generations.remove_others()
        return Upgrade(changes, journal.last_seq, is_done=True)


def _changes(directory: DataDirectory, journal: JournalReader) -> tuple[VersionChange, ...]:
    current = directory.generations.current()
    if current is None or not is_whole(current):
        return (VersionChange("index", "", "built from the journal"),)
    layout, stored = stored_versions(current)
    wanted = index_versions(journal)
    pairs = [
        ("index layout", str(layout), str(LAYOUT_VERSION)),
        ("normaliser", stored.normaliser, wanted.normaliser),
        ("specification", stored.specification, wanted.specification),
        ("relations", stored.relations, wanted.relations),
        ("journal", stored.journal, wanted.journal),
    ]
    return tuple(VersionChange(what, before, after) for what, before, after in pairs if before != after)
