"""Exports by the SDK: what a killed server cuts goes on at the same position, blocking and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from mdm_client import AsyncClient, CitizenAttributes, Client, EntityKind, SourceKey, SourceRecord
from mdm_client.errors import FailedPreconditionError, unreachable
from mdm_client.exports import CrosswalkProgress, crosswalk_request
from tests.serving import RunningServer, running_server

PEOPLE = 450
"""Three messages of golden records."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "data") as served:
        with Client(served.address, actor="tests") as client:
            for number in range(PEOPLE):
                put(client, number)
        yield served


def put(client: Client, number: int) -> None:
    key = SourceKey("hospital", EntityKind.CITIZEN, f"P{number:04}")
    name = f"Hồ {chr(65 + number % 26)}{chr(97 + number // 26)} Lan"
    client.upsert(SourceRecord(key, CitizenAttributes(full_name=name, birth_date=f"{1930 + number % 80}")))


def test_golden_records_go_on_after_the_reader_was_killed(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.address) as client:
        whole = [golden_id for chunk in client.export_golden_records() for golden_id in chunk.golden_ids]
        receive = client.receive
        calls = []

        def cut(*asked: Any) -> Iterator[Any]:
            """Kill the reader behind the header and one chunk; what gRPC has read ahead by then is lost."""
            calls.append(asked)
            for number, message in enumerate(receive(*asked)):
                if number == 2 and len(calls) == 1:
                    server.kill("reader_process")
                    raise unreachable(server.address)
                yield message

        monkeypatch.setattr(client, "receive", cut)
        exported = client.export_golden_records(fields=["full_name"])
        found: list[str] = []
        positions = set()
        for chunk in exported:
            found += chunk.golden_ids
            positions.add(exported.token)
        assert len(calls) > 1, "it was cut"
        assert found == whole
        assert len(positions) == 1
        assert exported.row_count == len(whole) == PEOPLE


def test_a_lineage_and_golden_records_come_awaited_as_well(server: RunningServer) -> None:
    async def fetched() -> tuple[list[str], list[str], int]:
        async with AsyncClient(server.address) as client:
            lineage = client.export_lineage()
            ids = [each.golden_id async for chunk in lineage for each in chunk]
            golden = client.export_golden_records(["hospital"], EntityKind.CITIZEN)
            known = [golden_id async for chunk in golden for golden_id in chunk.golden_ids]
            return ids, known, golden.value_count

    ids, known, value_count = asyncio.run(fetched())
    assert ids == known
    assert value_count == 2 * len(known)


def test_columns_of_a_chunk_belong_together(server: RunningServer) -> None:
    with Client(server.address) as client:
        chunk = next(iter(client.export_golden_records()))
    assert sum(chunk.value_counts) == len(chunk.values) == len(chunk.record_ids) == len(chunk.decided_by)
    assert chunk.fields[:2] == ["full_name", "birth_date"]


def test_an_export_that_expired_says_so(server: RunningServer) -> None:
    with Client(server.address) as client:
        request = crosswalk_request((), None, include_pending=False, include_lineage=True, fresh="")
        progress = CrosswalkProgress(request)
        for message in client.receive("ExportService", "ExportCrosswalk", request):
            progress.receive(message)
            break
        for copy in server.data.glob("export-*"):
            # In one step: the call that was broken off may still have a file made in it.
            copy.rename(copy.with_name(f"expired-{copy.name}"))
        with pytest.raises(FailedPreconditionError) as caught:
            list(client.receive("ExportService", "ExportCrosswalk", request))
        assert caught.value.reason == "EXPORT_EXPIRED"
