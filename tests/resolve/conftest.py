"""A writer on a data directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resolve.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A writer whose index must be exactly the fold of its journal when the test is over."""
    opened = Office(tmp_path / "data")
    yield opened
    found = opened.differences(tmp_path / "scratch")
    opened.close()
    assert found == []
