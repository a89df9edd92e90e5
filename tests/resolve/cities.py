"""Small synthetic cities as records, in the order of their feeds."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from mdm.domain.keys import SourceKey
from mdm.domain.records import SourceRecord
from mdm.feeds.mapping import RowMapper, UpsertOperation
from mdm.feeds.reading import Row, open_feed
from mdm.synth.city import write_city
from tests.resolve.office import CONFIGURATION

FEEDS = (
    "household.residents",
    "social_security.employers",
    "social_security.insured",
    "company.businesses",
    "hospital.patients",
)


@cache
def city_records(citizens: int, seed: int) -> tuple[SourceRecord, ...]:
    """Every record of the five feeds; about 4 for each citizen."""
    with tempfile.TemporaryDirectory() as folder:
        write_city(Path(folder), citizens, seed)
        return tuple(record for feed in FEEDS for record in _records(Path(folder), feed))


def _records(folder: Path, feed: str) -> list[SourceRecord]:
    file = open_feed(folder / f"{feed}.csv")
    mapper = RowMapper(CONFIGURATION, feed, file.columns)
    records: dict[SourceKey, SourceRecord] = {}
    for row in file.rows():
        assert isinstance(row, Row)
        operations = mapper.operations(row)
        assert isinstance(operations, tuple)
        for operation in operations:
            if isinstance(operation, UpsertOperation):
                records[operation.record.key] = operation.record
    return list(records.values())
