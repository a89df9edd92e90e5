"""A real journal and a real index, each in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm.store.index import Index, IndexVersions
from mdm.store.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A new journal."""
    with Journal.open(tmp_path / "journal.sqlite", create=True) as opened:
        yield opened


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """A new index."""
    with Index.open(tmp_path / "index", versions=IndexVersions("normaliser 1", "specification 1")) as opened:
        yield opened
