"""A stream is measured only where the service stores all that it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.suites.ingesting import ingest
from mdm.v1 import common_pb2 as common
from tests.serving import running_server


def record(number: int, registry: str = "hospital") -> common.SourceRecord:
    key = common.SourceKey(registry=registry, entity_kind=common.ENTITY_KIND_CITIZEN, record_id=f"P-{number}")
    citizen = common.CitizenAttributes(full_name="Trần Thị Bưởi", birth_date=f"1980-02-{number + 1:02}")
    return common.SourceRecord(key=key, attributes=common.Attributes(citizen=citizen))


def test_records_that_are_not_stored_are_no_measurement(tmp_path: Path) -> None:
    records = [record(number) for number in range(5)]
    with running_server(tmp_path / "data") as running:
        assert ingest(running.address, records).record_count == 5
        with pytest.raises(RuntimeError, match=r"5 of 6 records .* stored before"):
            ingest(running.address, [*records, record(5)])
        with pytest.raises(RuntimeError, match="1 of 2 records were rejected"):
            ingest(running.address, [record(6), record(7, "social_security")])
