"""What streams of lookups hold beside single answers."""

from __future__ import annotations

from dataclasses import dataclass

from mdm.v1 import lookup_service_pb2
from mdm_client import results, wire
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
