"""What a load sends of a file, and what it shows of it meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm.cli.load import _Gates, _Load
from mdm.cli.load_comparison import Compared
from mdm.config import Configuration
from mdm.feeds.mapping import RowMapper
from mdm.feeds.reading import open_feed
from mdm.feeds.rejects import RejectsFile

ROWS = 3000


@pytest.mark.parametrize(
    ("durable", "changed", "shown"),
    [
        (0, [], [1024, 2048, 3000]),
        (2, [], [1024, 2048, 3000]),  # resumed: the first two are handed over and left out by the client
        (2, [1500], [1024]),  # behind a row whose outcome nobody took, its outcomes show how far the load came
    ],
)
def test_rows_that_need_not_travel_are_shown_as_done(
    tmp_path: Path, durable: int, changed: list[int], shown: list[int]
) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("record_id\n" + "".join(f"P{number}\n" for number in range(ROWS)), encoding="utf-8")
    opened = open_feed(path)
    said: list[int] = []
    with RejectsFile(tmp_path / "rejects.csv") as rejects:
        mapper = RowMapper(Configuration.load(), "hospital.patients", opened.columns)
        job = _Load("hospital.patients", mapper, opened, rejects, _Gates(1.0, 1.0, is_full=False), "")
        sent = job._operations(
            lambda rows: Compared({ordinal for _, ordinal, _ in rows if ordinal > durable and ordinal not in changed}),
            lambda: durable,
            lambda _stage, done, _whole: said.append(done),
        )
        assert [operation.ordinal for operation in sent] == [*range(1, durable + 1), *changed]
    assert said == shown
