"""RegistryService: records in, one at a time; the stream of a load is in `ingest`."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

from collections.abc import Iterator

import grpc

from mdm.domain.events import Cause
from mdm.errors import InvalidInputError
from mdm.limits import CONTENT_DIGEST_BYTES
from mdm.linkage.normalise.record import value_issues
from mdm.resolve.commands import Accepted, Delete, Upsert, WriteAnswer, WriteOutcome
from mdm.resolve.matcher import describe
from mdm.resolve.payloads import unchanged
from mdm.resolve.reader import Reader
from mdm.resolve.views import RecordState
from mdm.server.calls import await_freshness, cause_of, request_of, token_at, write
from mdm.server.ingest import ingest
from mdm.server.wire_answers import (
    OUTCOMES,
    change_messages,
    feature_messages,
    issue_messages,
    upsert_message,
    write_match,
)
from mdm.server.wire_records import KINDS, key_message, record_message, source_key, source_record
from mdm.server.writer_link import WriterLink
from mdm.v1 import common_pb2 as common
from mdm.v1 import registry_service_pb2 as wire
from mdm.v1.registry_service_pb2_grpc import RegistryServiceServicer

CANDIDATES_DEFAULT = 10


class RegistryService(RegistryServiceServicer):
    """Takes in the registries' records."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Read here, write there."""
        self._reader = reader
        self._link = link

    def UpsertRecord(
        self, request: wire.UpsertRecordRequest, context: grpc.ServicerContext
    ) -> wire.UpsertRecordResponse:
        """Store and resolve one record."""
        record = source_record(request.record)
        self._reader.check(record.key.registry, record.key.kind)
        is_deferred = request.resolve == common.RESOLVE_TIME_LATER
        proposal = None if is_deferred else self._reader.searches.propose(record)
        issues = value_issues(record) if is_deferred else ()
        cause = cause_of(context, request.caller, "UpsertRecord")
        content = wire.UpsertRecordRequest(
            record=request.record, allow_older=request.allow_older, resolve=request.resolve
        )
        command = Upsert(
            request_of(cause, request.request_id, content),
            record,
            is_deferred=is_deferred,
            allow_older=request.allow_older,
            proposal=proposal,
        )
        return upsert_message(written(write(self._link, command, context)), self._reader, issues)

    def DeleteRecord(
        self, request: wire.DeleteRecordRequest, context: grpc.ServicerContext
    ) -> wire.DeleteRecordResponse:
        """Withdraw one record."""
        key = source_key(request.key)
        self._reader.check(key.registry, key.kind)
        cause = cause_of(context, request.caller, "DeleteRecord")
        content = wire.DeleteRecordRequest(key=request.key, allow_missing=request.allow_missing)
        answer = written(write(self._link, Delete(request_of(cause, request.request_id, content), key), context))
        if answer.outcome is WriteOutcome.ABSENT and not request.allow_missing:
            # One that was withdrawn before is an answer; one never stored is most likely a mistyped key.
            self._reader.stored_record(key)
        return wire.DeleteRecordResponse(
            outcome=OUTCOMES[answer.outcome],
            changes=change_messages(answer.changes),
            token=token_at(self._reader, answer.seq),
        )

    def GetRecord(self, request: wire.GetRecordRequest, context: grpc.ServicerContext) -> wire.GetRecordResponse:
        """Return one record as stored."""
        key = source_key(request.key)
        self._reader.check(key.registry, key.kind)
        await_freshness(self._reader, request, context)
        seq = self._reader.applied_seq()
        stored = self._reader.stored_record(key)
        if stored.record is None or stored.state is RecordState.DELETED:
            record, issues = common.SourceRecord(key=key_message(key)), []
        else:
            record, issues = record_message(stored.record), issue_messages(describe(stored.record).issues)
        return wire.GetRecordResponse(
            record=record,
            status=common.RecordStatus.ValueType(stored.state.value),
            golden_id=stored.golden_id or "",
            value_issues=issues,
            read_at=token_at(self._reader, seq),
        )

    def PreviewRecord(
        self, request: wire.PreviewRecordRequest, context: grpc.ServicerContext
    ) -> wire.PreviewRecordResponse:
        """Say what an upsert would do."""
        record = source_record(request.record)
        self._reader.check(record.key.registry, record.key.kind)
        await_freshness(self._reader, request, context)
        preview = self._reader.searches.preview(record, request.candidate_count_max or CANDIDATES_DEFAULT)
        response = wire.PreviewRecordResponse(
            features=feature_messages(preview.features),
            outcome=OUTCOMES[WriteOutcome(preview.outcome)],
            golden_id=preview.golden_id or "",
            read_at=token_at(self._reader, preview.match.read_seq),
        )
        write_match(response.match, preview.match, preview.issues)
        return response

    def BatchCompareRecords(
        self, request: wire.BatchCompareRecordsRequest, context: grpc.ServicerContext
    ) -> wire.BatchCompareRecordsResponse:
        """Say which records are stored with just these values."""
        kind = KINDS[request.entity_kind]
        self._reader.check(request.registry, kind)
        if len(request.content_digests) != CONTENT_DIGEST_BYTES * len(request.record_ids):
            raise InvalidInputError("content_digests", f"must hold {CONTENT_DIGEST_BYTES} bytes for each of record_ids")
        await_freshness(self._reader, request, context)
        is_deferred = request.resolve == common.RESOLVE_TIME_LATER
        with self._reader.reading() as reading:
            found = unchanged(
                reading.view,
                request.registry,
                kind,
                request.record_ids,
                request.content_digests,
                is_deferred=is_deferred,
            )
            seq = reading.view.applied_seq
        return wire.BatchCompareRecordsResponse(unchanged=found, read_at=token_at(self._reader, seq))

    def IngestRecords(
        self, request_iterator: Iterator[wire.IngestRecordsRequest], context: grpc.ServicerContext
    ) -> Iterator[wire.IngestRecordsResponse]:
        """Stream a load in."""

        def cause(header: wire.IngestHeader) -> Cause:
            await_freshness(self._reader, header, context)
            return cause_of(context, header.caller, "IngestRecords", header.load_id)

        return ingest(self._reader, self._link, request_iterator, cause)


def written(answer: Accepted) -> WriteAnswer:
    """Return the answer to an upsert or delete; the writer answers each command with its own kind."""
    if not isinstance(answer, WriteAnswer):
        raise TypeError(type(answer).__name__)
    return answer
