"""Loads by the SDK: listed page by page, shown, previewed and taken back, by both clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mdm.cli.registry import configuration_from
from mdm_client import (
    AsyncClient,
    CitizenAttributes,
    Client,
    Delete,
    EntityKind,
    Load,
    LoadCounts,
    LoadStatus,
    NotFoundError,
    ServiceError,
    SourceKey,
    SourceRecord,
    WriteOutcome,
)
from tests.serving import running_server

FEED = "hospital.patients"


def person(record_id: str, name: str) -> SourceRecord:
    return SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, record_id), CitizenAttributes(name))


def test_loads_are_listed_shown_and_taken_back(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as served, Client(served.address, actor="his", purpose="nightly") as client:
        counts = LoadCounts(row_count=3, unchanged_record_count=1, rejected_row_count=2, refused_delete_count=4)
        first = client.ingest(
            [person("A", "Lý Thị Bưởi"), person("B", "Tô Ngọc Hạnh")],
            Load(
                "one",
                FEED,
                is_full=True,
                content_digest="ab" * 32,
                counts=lambda: counts,
                registry_digest=configuration_from(client).registry_digest("hospital"),
            ),
        )
        assert len(list(first)) == 2
        second = client.ingest([Delete(SourceKey("hospital", EntityKind.CITIZEN, "A"))], Load("one", FEED))
        assert len(list(second)) == 1
        assert (first.load_id, second.load_id) == ("one", "one.2")

        listed = list(client.loads.list(page_size=1))
        assert [each.load_id for each in listed] == ["one.2", "one"]
        assert list(client.loads.list(feed="household.residents")) == []
        kept = client.loads.get("one")
        assert kept == listed[1]
        assert (kept.row_count, kept.unchanged_record_count, kept.rejected_row_count) == (3, 1, 2)
        assert (kept.actor, kept.purpose, kept.is_full, kept.content_digest) == ("his", "nightly", True, "ab" * 32)
        assert (sum(kept.outcome_counts.values()), kept.status) == (2, LoadStatus.FINISHED)
        with pytest.raises(NotFoundError):
            client.loads.get("two")
        assert (kept.is_registry_changed, kept.refused_delete_count) == (False, 4)
        # Read by another declaration than the one in force.
        other = client.ingest([person("C", "Hà Thị Tư")], Load("other", "household.residents", registry_digest="ab"))
        assert ([each.outcome for each in other], other.is_registry_changed) == ([WriteOutcome.REJECTED], True)
        assert client.loads.get("other").is_registry_changed
        asyncio.run(taken_back(served.address))
        assert client.loads.get("one.2").status is LoadStatus.REVERTED


async def taken_back(address: str) -> None:
    async with AsyncClient(address, actor="operator") as client:
        preview = await client.loads.preview_revert("one.2")
        assert (preview.effects.returned_record_count, len(preview.examples)) == (1, 1)
        await client.loads.revert("one.2", "a mistake", request_id="again")
        await client.loads.revert("one.2", "a mistake", request_id="again")
        with pytest.raises(ServiceError, match="REQUEST_ID_REUSED"):
            await client.loads.revert("one.2", "another reason", request_id="again")
        states = [each async for each in client.loads.watch("one.2")]
        revert = states[-1].revert
        assert revert is not None
        assert (revert.effects, revert.actor, revert.reason) == (preview.effects, "operator", "a mistake")
        assert [each.load_id async for each in client.loads.list(page_size=1)] == ["other", "one.2", "one"]
        found = await client.lookup("hospital", EntityKind.CITIZEN, "A", fresh=revert.token)
        assert found.golden_id == preview.examples[0].former_golden_id
        assert (await client.loads.get("one")).revert is None
