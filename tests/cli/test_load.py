"""What a load sends of a file, and what it shows of it meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mdm.cli.load import _Gates, _Load
from mdm.cli.load_comparison import Compared, Comparison, Rows
from mdm.config import Configuration
from mdm.feeds.mapping import RowMapper
from mdm.feeds.reading import Row, open_feed
from mdm.feeds.rejects import RejectsFile
from mdm_client import Client
from mdm_client.records import CitizenAttributes, EntityKind, SourceKey, SourceRecord
from tests.serving import running_server

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


def test_a_registry_without_records_is_not_asked_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    ask = Client.batch_compare_records

    def noted(client: Client, registry: str, kind: EntityKind, record_ids: list[str], *more: Any, **named: Any) -> Any:
        asked.append(list(record_ids))
        return ask(client, registry, kind, record_ids, *more, **named)

    monkeypatch.setattr(Client, "batch_compare_records", noted)
    path = tmp_path / "patients.csv"
    path.write_text("record_id\nP1\nP2\n", encoding="utf-8")
    opened = open_feed(path)
    mapper = RowMapper(Configuration.load(), "hospital.patients", opened.columns)
    rows: Rows = []
    for row in opened.rows():
        assert isinstance(row, Row)
        rows += [(row, 1 + len(rows), mapper.operations(row))]
    with running_server(tmp_path / "data") as service, Client(service.address) as client:

        def compared() -> Compared:
            return Comparison(client, mapper.kinds, is_later=False, durable_ordinal=lambda: 0)(rows)

        first = Comparison(client, mapper.kinds, is_later=False, durable_ordinal=lambda: 0)
        assert first(rows) == Compared(set())
        client.upsert(SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, "P1"), CitizenAttributes()))
        # What one load did not find at its beginning it does not find later.
        assert first(rows) == Compared(set())
        assert asked == []
        assert compared() == Compared({1})
        assert asked == [["P1", "P2"]]
