"""Whole tables, each at one position: crosswalk, golden records, lineage. A stream that is cut goes on where it was.

Iterate over an export once; what it has brought stands complete in its attributes when the iteration ends.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mdm.v1 import common_pb2, export_service_pb2
from mdm_client import results, wire
from mdm_client.errors import IncompleteExportError, ServiceError
from mdm_client.ingest import GIVE_UP_S, Retry
from mdm_client.records import EntityKind

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client

_Chunk = TypeVar("_Chunk")


class ExportProgress(ABC, Generic[_Chunk]):
    """What an export has brought so far."""

    method = ""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.token = ""
        """Position that all rows are read at; a change feed goes on behind it without a gap."""
        self.row_count = 0
        """Crosswalk rows, golden records or golden IDs."""
        self._is_complete = False

    def receive(self, response: Any) -> _Chunk | None:
        """Take a message in; returns its rows, if it has any."""
        if response.resume_token:
            self._request.resume_token = response.resume_token
        part = response.WhichOneof("part")
        if part == "header":
            self.token = response.header.token.value
            return None
        if part == "trailer":
            self._is_complete = self.is_whole(response.trailer)
            return None
        return self.take(part, response)

    @abstractmethod
    def take(self, part: str, response: Any) -> _Chunk | None:
        """Take rows in."""

    @abstractmethod
    def is_whole(self, trailer: Any) -> bool:
        """Return whether as much came as the trailer says."""

    def check_complete(self) -> None:
        """Pass if the trailer came and counts what was received.

        Raises:
            IncompleteExportError: It does not.
        """
        if not self._is_complete:
            raise IncompleteExportError(f"the export broke off after {self.row_count} rows; fetch it again")


class CrosswalkProgress(ExportProgress[results.CrosswalkChunk]):
    """Rows of the crosswalk, and golden IDs if they were asked for."""

    method = "ExportCrosswalk"

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.pending_record_count = 0
        self.lineage: list[results.GoldenIdLineage] = []
        """Every golden ID ever issued, in their order, if it was asked for."""

    def take(self, part: str, response: export_service_pb2.ExportCrosswalkResponse) -> results.CrosswalkChunk | None:
        """Take rows or golden IDs in."""
        if part == "lineage":
            self.lineage += lineage_from_wire(response.lineage)
            return None
        self.row_count += len(response.chunk.record_ids)
        return results.CrosswalkChunk(
            response.chunk.registry,
            wire.ENTITY_KIND.from_wire(response.chunk.entity_kind),
            list(response.chunk.record_ids),
            list(response.chunk.golden_ids),
        )

    def is_whole(self, trailer: export_service_pb2.ExportTrailer) -> bool:
        """Return whether as much came as the trailer says."""
        self.pending_record_count = trailer.pending_record_count
        return (trailer.row_count, trailer.golden_id_count) == (self.row_count, len(self.lineage))


class GoldenRecordProgress(ExportProgress[results.GoldenRecordChunk]):
    """Values of golden records."""

    method = "ExportGoldenRecords"

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.value_count = 0

    def take(self, part: str, response: export_service_pb2.ExportGoldenRecordsResponse) -> results.GoldenRecordChunk:  # noqa: ARG002
        """Take values in."""
        chunk = response.chunk
        self.row_count += len(chunk.golden_ids)
        self.value_count += len(chunk.values)
        return results.GoldenRecordChunk(
            list(chunk.golden_ids),
            list(chunk.value_counts),
            list(chunk.fields),
            list(chunk.values),
            list(chunk.registries),
            list(chunk.record_ids),
            list(chunk.updated_at),
            wire.ASSURANCE.column(chunk.assurances),
            wire.CRITERION.column(chunk.decided_by),
        )

    def is_whole(self, trailer: export_service_pb2.GoldenRecordTrailer) -> bool:
        """Return whether as much came as the trailer says."""
        return (trailer.golden_record_count, trailer.value_count) == (self.row_count, self.value_count)


class LineageProgress(ExportProgress[list[results.GoldenIdLineage]]):
    """Golden IDs and what became of them."""

    method = "ExportLineage"

    def take(self, part: str, response: export_service_pb2.ExportLineageResponse) -> list[results.GoldenIdLineage]:  # noqa: ARG002
        """Take golden IDs in."""
        self.row_count += len(response.chunk.golden_ids)
        return list(lineage_from_wire(response.chunk))

    def is_whole(self, trailer: export_service_pb2.LineageTrailer) -> bool:
        """Return whether as much came as the trailer says."""
        return bool(trailer.golden_id_count == self.row_count)


def stream(client: Client, export: ExportProgress[_Chunk]) -> Iterator[_Chunk]:
    """Yield the chunks of an export, going on where it was cut.

    Raises:
        FailedPreconditionError: It was cut for too long (`EXPORT_EXPIRED`): begin again.
        IncompleteExportError: The stream ended without its trailer.
    """
    retry = Retry(GIVE_UP_S)
    while True:
        try:
            for response in client.receive("ExportService", export.method, export._request):  # noqa: SLF001
                chunk = export.receive(response)
                retry.progress()
                if chunk is not None:
                    yield chunk
        except ServiceError as error:
            time.sleep(retry.delay_s(error))
        else:
            export.check_complete()
            return


async def async_stream(client: AsyncClient, export: ExportProgress[_Chunk]) -> AsyncIterator[_Chunk]:
    """Yield the chunks of an export as `stream` does."""
    retry = Retry(GIVE_UP_S)
    while True:
        try:
            async for response in client.receive("ExportService", export.method, export._request):  # noqa: SLF001
                chunk = export.receive(response)
                retry.progress()
                if chunk is not None:
                    yield chunk
        except ServiceError as error:
            await asyncio.sleep(retry.delay_s(error))
        else:
            export.check_complete()
            return


class CrosswalkExport(CrosswalkProgress):
    """A crosswalk under way: iterate over it once for its chunks."""

    def __init__(self, client: Client, request: Any) -> None:
        super().__init__(request)
        self._client = client

    def __iter__(self) -> Iterator[results.CrosswalkChunk]:
        """Yield the chunks; see `stream` for its errors."""
        return stream(self._client, self)


class GoldenRecordExport(GoldenRecordProgress):
    """Golden records under way: iterate over them once for their chunks."""

    def __init__(self, client: Client, request: Any) -> None:
        super().__init__(request)
        self._client = client

    def __iter__(self) -> Iterator[results.GoldenRecordChunk]:
        """Yield the chunks; see `stream` for its errors."""
        return stream(self._client, self)


class LineageExport(LineageProgress):
    """Golden IDs under way: iterate over them once, some thousand at a time."""

    def __init__(self, client: Client, request: Any) -> None:
        super().__init__(request)
        self._client = client

    def __iter__(self) -> Iterator[list[results.GoldenIdLineage]]:
        """Yield the chunks; see `stream` for its errors."""
        return stream(self._client, self)


class AsyncCrosswalkExport(CrosswalkProgress):
    """As `CrosswalkExport`, awaited."""

    def __init__(self, client: AsyncClient, request: Any) -> None:
        super().__init__(request)
        self._client = client

    def __aiter__(self) -> AsyncIterator[results.CrosswalkChunk]:
        """Yield the chunks; see `stream` for its errors."""
        return async_stream(self._client, self)


class AsyncGoldenRecordExport(GoldenRecordProgress):
    """As `GoldenRecordExport`, awaited."""

    def __init__(self, client: AsyncClient, request: Any) -> None:
        super().__init__(request)
        self._client = client

    def __aiter__(self) -> AsyncIterator[results.GoldenRecordChunk]:
        """Yield the chunks; see `stream` for its errors."""
        return async_stream(self._client, self)


class AsyncLineageExport(LineageProgress):
    """As `LineageExport`, awaited."""

    def __init__(self, client: AsyncClient, request: Any) -> None:
        super().__init__(request)
        self._client = client

    def __aiter__(self) -> AsyncIterator[list[results.GoldenIdLineage]]:
        """Yield the chunks; see `stream` for its errors."""
        return async_stream(self._client, self)


def crosswalk_request(
    registries: Iterable[str], kind: EntityKind | None, *, include_pending: bool, include_lineage: bool, fresh: str
) -> export_service_pb2.ExportCrosswalkRequest:
    """Return the request of a crosswalk."""
    return export_service_pb2.ExportCrosswalkRequest(
        registries=registries,
        entity_kind=_kind(kind),
        include_pending=include_pending,
        include_lineage=include_lineage,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )


def golden_record_request(
    registries: Iterable[str], kind: EntityKind | None, fields: Sequence[str], caller: common_pb2.Caller, fresh: str
) -> export_service_pb2.ExportGoldenRecordsRequest:
    """Return the request of golden records."""
    return export_service_pb2.ExportGoldenRecordsRequest(
        registries=registries,
        entity_kind=_kind(kind),
        fields=fields,
        caller=caller,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )


def lineage_request(
    registries: Iterable[str], kind: EntityKind | None, caller: common_pb2.Caller, fresh: str
) -> export_service_pb2.ExportLineageRequest:
    """Return the request of golden IDs."""
    return export_service_pb2.ExportLineageRequest(
        registries=registries, entity_kind=_kind(kind), caller=caller, at_least_as_fresh=wire.token_to_wire(fresh)
    )


def lineage_from_wire(chunk: export_service_pb2.LineageChunk) -> Iterator[results.GoldenIdLineage]:
    """Yield the golden IDs of a message."""
    predecessors = iter(chunk.predecessor_golden_ids)
    columns = (chunk.golden_ids, chunk.statuses, chunk.surviving_golden_ids, chunk.minted_at, chunk.predecessor_counts)
    for golden_id, status, surviving, minted_at, count in zip(*columns, strict=True):
        yield results.GoldenIdLineage(
            golden_id,
            wire.GOLDEN_ID_STATUS.from_wire(status),
            surviving,
            minted_at.ToDatetime(UTC),
            tuple(itertools.islice(predecessors, count)),
        )


def _kind(kind: EntityKind | None) -> common_pb2.EntityKind.ValueType:
    return wire.ENTITY_KIND.to_wire(kind) if kind else common_pb2.ENTITY_KIND_UNSPECIFIED
