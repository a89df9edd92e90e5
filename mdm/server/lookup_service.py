"""LookupService: from keys to golden IDs. The answers that carry the traffic are written as the wire has them."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc

from mdm.domain.keys import EntityKind
from mdm.domain.records import Assurance, IdentifierType
from mdm.limits import IDENTIFIER_HOLDERS_MAX, KEYS_AT_ONCE_MAX, SHORT_HOLDERS_MAX
from mdm.resolve.reader import Reader
from mdm.resolve.views import IdentifierHolder
from mdm.server.calls import WouldWaitError, await_freshness, has_thread, remaining_s, token_at
from mdm.server.wire_columns import ColumnFields, field, field_tag, number_tag
from mdm.server.wire_records import IDENTIFIER_TYPES, KINDS, assurance_number, source_key
from mdm.store.layout import CrosswalkColumn
from mdm.v1 import lookup_service_pb2 as wire
from mdm.v1.lookup_service_pb2_grpc import LookupServiceServicer

_KIND_OF_TYPE = {
    type_: EntityKind.BUSINESS if type_ is IdentifierType.TAX_CODE else EntityKind.CITIZEN for type_ in IdentifierType
}
_ASSURANCE_ORDER = list(Assurance)
_DEADLINE_CHECK_VALUES = 256

_LOOKUP, _BATCH, _STREAM = (
    message.DESCRIPTOR for message in (wire.LookupResponse, wire.BatchLookupResponse, wire.StreamLookupResponse)
)
_LOOKUP_STATUS = number_tag(_LOOKUP, "status")
_LOOKUP_GOLDEN_ID = field_tag(_LOOKUP, "golden_id")
_LOOKUP_READ_AT, _BATCH_READ_AT, _STREAM_READ_AT = (field_tag(each, "read_at") for each in (_LOOKUP, _BATCH, _STREAM))
_BATCH_COLUMNS, _STREAM_COLUMNS = ColumnFields(_BATCH), ColumnFields(_STREAM)


class LookupService(LookupServiceServicer):
    """Answers who is who."""

    def __init__(self, reader: Reader) -> None:
        """Read from this process's index."""
        self._reader = reader

    def Lookup(self, request: wire.LookupRequest, context: grpc.ServicerContext) -> bytes:  # type: ignore[override]
        """Return the golden ID of one key."""
        key = source_key(request.key)
        column, seq = self._lookup_many(key.registry, key.kind, (key.record_id,), request, context)
        golden_id = column.golden_ids()[0].encode()
        return (
            bytes((_LOOKUP_STATUS, column.statuses[0]))
            + (field(_LOOKUP_GOLDEN_ID, golden_id) if golden_id else b"")
            + self._read_at(_LOOKUP_READ_AT, seq)
        )

    def BatchLookup(self, request: wire.BatchLookupRequest, context: grpc.ServicerContext) -> bytes:  # type: ignore[override]
        """Return the golden IDs of many keys of one registry."""
        kind = KINDS[request.entity_kind]
        column, seq = self._lookup_many(request.registry, kind, request.record_ids, request, context)
        return _BATCH_COLUMNS.encode(column) + self._read_at(_BATCH_READ_AT, seq)

    def StreamLookup(  # type: ignore[override]
        self, request_iterator: Iterator[wire.StreamLookupRequest], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Return the golden IDs of any number of batches, each read at its own position."""
        for request in request_iterator:
            kind = KINDS[request.entity_kind]
            column, seq = self._lookup_many(request.registry, kind, request.record_ids, request, context)
            ordinal = wire.StreamLookupResponse(ordinal=request.ordinal).SerializeToString()
            yield ordinal + _STREAM_COLUMNS.encode(column) + self._read_at(_STREAM_READ_AT, seq)

    def LookupByIdentifier(
        self, request: wire.LookupByIdentifierRequest, context: grpc.ServicerContext
    ) -> wire.LookupByIdentifierResponse:
        """Return every golden record that holds an identifier."""
        await_freshness(self._reader, request, context)
        read_max = None if has_thread(context) else SHORT_HOLDERS_MAX
        holders, is_truncated, seq = self._holders(IDENTIFIER_TYPES[request.type], request.value, read_max)
        return wire.LookupByIdentifierResponse(
            holders=[
                wire.IdentifierHolder(
                    golden_id=holder.golden_id,
                    assurance=assurance_number(holder.assurance),
                    record_count=holder.member_count,
                )
                for holder in holders[:IDENTIFIER_HOLDERS_MAX]
            ],
            holder_count=len(holders),
            is_truncated=is_truncated or len(holders) > IDENTIFIER_HOLDERS_MAX,
            read_at=token_at(self._reader, seq),
        )

    def BatchLookupByIdentifier(
        self, request: wire.BatchLookupByIdentifierRequest, context: grpc.ServicerContext
    ) -> wire.BatchLookupByIdentifierResponse:
        """Return the holders of many identifiers as columns."""
        await_freshness(self._reader, request, context)
        type_ = IDENTIFIER_TYPES[request.type]
        response = wire.BatchLookupByIdentifierResponse(read_at=token_at(self._reader, self._reader.applied_seq()))
        for index, value in enumerate(request.values):
            if index % _DEADLINE_CHECK_VALUES == 0:
                remaining_s(context, 1.0)
            found, is_truncated, _ = self._holders(type_, value)
            holders = found[:IDENTIFIER_HOLDERS_MAX]
            response.truncated.append(is_truncated or len(found) > len(holders))
            response.holder_counts.append(len(holders))
            response.golden_ids.extend(holder.golden_id for holder in holders)
            response.record_counts.extend(holder.member_count for holder in holders)
            response.assurances.extend(assurance_number(holder.assurance) for holder in holders)
        return response

    def TranslateKeys(
        self, request: wire.TranslateKeysRequest, context: grpc.ServicerContext
    ) -> wire.TranslateKeysResponse:
        """Return the same bearers' keys in another registry."""
        kind = KINDS[request.entity_kind]
        for name in (request.source_registry, request.target_registry):
            self._reader.check(name, kind)
        await_freshness(self._reader, request, context)
        states, targets, seq = self._reader.translate(
            request.source_registry, kind, request.record_ids, request.target_registry
        )
        return wire.TranslateKeysResponse(
            statuses=states,  # type: ignore[arg-type]  # bytes are a sequence of numbers
            target_counts=[len(target) for target in targets],
            target_record_ids=[record_id for target in targets for record_id in target],
            read_at=token_at(self._reader, seq),
        )

    def _lookup_many(
        self,
        registry: str,
        kind: EntityKind,
        record_ids: Sequence[str],
        request: wire.LookupRequest | wire.BatchLookupRequest | wire.StreamLookupRequest,
        context: grpc.ServicerContext,
    ) -> tuple[CrosswalkColumn, int]:
        self._reader.check(registry, kind)
        await_freshness(self._reader, request, context)
        may_wait = has_thread(context)
        if len(record_ids) > KEYS_AT_ONCE_MAX and not may_wait:
            raise WouldWaitError
        return self._reader.lookup_many(registry, kind, record_ids, may_wait=may_wait)

    def _read_at(self, tag: int, seq: int) -> bytes:
        return field(tag, token_at(self._reader, seq).SerializeToString())

    def _holders(
        self, type_: IdentifierType, value: str, read_max: int | None = None
    ) -> tuple[list[IdentifierHolder], bool, int]:
        answer = self._reader.holders(type_, value, _KIND_OF_TYPE[type_], read_max)
        if answer is None:
            raise WouldWaitError
        found, is_truncated, seq = answer
        found.sort(key=lambda holder: (_ASSURANCE_ORDER.index(holder.assurance), holder.golden_id))
        return found, is_truncated, seq
