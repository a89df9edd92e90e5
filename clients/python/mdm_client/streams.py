"""What streams of the service hold beside single answers: lookups in batches, the crosswalk, a run's progress."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC

from mdm.v1 import common_pb2, export_service_pb2, lookup_service_pb2
from mdm_client import results, wire
from mdm_client.errors import IncompleteExportError
from mdm_client.records import EntityKind


@dataclass(frozen=True, slots=True)
class KeyBatch:
    """Up to 10,000 keys of one registry and kind."""

    registry: str
    kind: EntityKind
    record_ids: list[str]


def lookup_request(ordinal: int, batch: KeyBatch) -> lookup_service_pb2.StreamLookupRequest:
    """Return the message of a batch."""
    return lookup_service_pb2.StreamLookupRequest(
        ordinal=ordinal,
        registry=batch.registry,
        entity_kind=wire.ENTITY_KIND.to_wire(batch.kind),
        record_ids=batch.record_ids,
    )


def lookup_answer(response: lookup_service_pb2.StreamLookupResponse) -> results.BatchLookup:
    """Return the answer to a batch."""
    return results.BatchLookup(
        list(response.golden_ids),
        wire.RECORD_STATUS.column(response.statuses),
        response.read_at.value,
        response.ordinal,
    )


def export_request(
    registries: Iterable[str], kind: EntityKind | None, *, include_pending: bool, include_lineage: bool, fresh: str
) -> export_service_pb2.ExportCrosswalkRequest:
    """Return the request of an export."""
    return export_service_pb2.ExportCrosswalkRequest(
        registries=registries,
        entity_kind=wire.ENTITY_KIND.to_wire(kind) if kind else common_pb2.ENTITY_KIND_UNSPECIFIED,
        include_pending=include_pending,
        include_lineage=include_lineage,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )


class ExportProgress:
    """What an export has brought so far; complete once the iteration over it has ended."""

    def __init__(self) -> None:
        self.token = ""
        """Position that all rows are read at."""
        self.row_count = 0
        self.pending_record_count = 0
        self.lineage: list[results.GoldenIdLineage] = []
        """Every golden ID ever issued, in their order, if it was asked for."""
        self._is_complete = False

    def receive(self, response: export_service_pb2.ExportCrosswalkResponse) -> results.CrosswalkChunk | None:
        """Take a message in; returns its rows, if it has any."""
        match response.WhichOneof("part"):
            case "header":
                self.token = response.header.token.value
            case "chunk":
                self.row_count += len(response.chunk.record_ids)
                return results.CrosswalkChunk(
                    response.chunk.registry,
                    wire.ENTITY_KIND.from_wire(response.chunk.entity_kind),
                    list(response.chunk.record_ids),
                    list(response.chunk.golden_ids),
                )
            case "lineage":
                self.lineage += _lineage(response.lineage)
            case "trailer":
                counts = (response.trailer.row_count, response.trailer.golden_id_count)
                self._is_complete = counts == (self.row_count, len(self.lineage))
                self.pending_record_count = response.trailer.pending_record_count
            case _:
                pass
        return None

    def check_complete(self) -> None:
        """Pass if the trailer came and counts the rows received.

        Raises:
            IncompleteExportError: It does not.
        """
        if not self._is_complete:
            raise IncompleteExportError(f"the export broke off after {self.row_count} rows; fetch it again")


def _lineage(chunk: export_service_pb2.LineageChunk) -> Iterator[results.GoldenIdLineage]:
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
