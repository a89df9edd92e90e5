"""ExportService: crosswalk, golden records and lineage as streams, each at one position, that go on after a cut."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import grpc
import msgspec

from mdm.domain.keys import EntityKind
from mdm.domain.records import Identifier
from mdm.domain.survivorship_rules import FIELDS
from mdm.errors import InvalidInputError
from mdm.resolve.export_rows import (
    ExportFilter,
    GoldenRow,
    Lineage,
    crosswalk_chunks,
    golden_chunks,
    lineage_chunks,
)
from mdm.resolve.exporting import Exported
from mdm.resolve.reader import Reader
from mdm.server.calls import await_freshness, cause_of, check_registries, journal_of, token_at
from mdm.server.resume_tokens import ExportPosition, begun, resumed
from mdm.server.wire_answers import GOLDEN_STATES, timestamp
from mdm.server.wire_records import KINDS, assurance_number, kind_number
from mdm.server.wire_values import CRITERIA, value_text
from mdm.store.export_ledger import ExportEntry
from mdm.v1 import common_pb2 as common
from mdm.v1 import export_service_pb2 as wire
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1.export_service_pb2_grpc import ExportServiceServicer

_Request = wire.ExportCrosswalkRequest | wire.ExportGoldenRecordsRequest | wire.ExportLineageRequest


class ExportService(ExportServiceServicer):
    """Hands out whole tables."""

    def __init__(self, reader: Reader) -> None:
        """Read from copies of this process's index."""
        self._reader = reader

    def ExportCrosswalk(
        self, request: wire.ExportCrosswalkRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ExportCrosswalkResponse]:
        """Stream all rows, and on request golden IDs, between a header and a trailer."""
        wanted = msgspec.structs.replace(_filter(request), is_pending_included=request.include_pending)
        with self._exporting(request, context) as (exported, begun_at):
            at = begun_at
            entry = self._noted(request, common.Caller(), context, exported, at, "crosswalk")
            yield wire.ExportCrosswalkResponse(header=self._header(exported), resume_token=at.encode(exported.journal))
            rows = iter(()) if at.are_rows_done else crosswalk_chunks(exported.view, wanted, at.after)
            for part in exported.while_kept(rows):
                at = msgspec.structs.replace(
                    at,
                    after=part.last,
                    row_count=at.row_count + len(part.record_ids),
                    other_count=at.other_count + part.pending_count,
                )
                if part.record_ids:
                    chunk = wire.CrosswalkChunk(
                        registry=part.registry,
                        entity_kind=kind_number(part.kind),
                        record_ids=part.record_ids,
                        golden_ids=part.golden_ids,
                    )
                    yield wire.ExportCrosswalkResponse(chunk=chunk, resume_token=at.encode(exported.journal))
            at = msgspec.structs.replace(at, are_rows_done=True)
            self._note_end(entry, at.row_count)
            # Of the kinds asked for, whatever the registries.
            ids = lineage_chunks(exported.view, ExportFilter(kinds=wanted.kinds), at.lineage_after.decode())
            for lineage in exported.while_kept(ids) if request.include_lineage else ():
                at = msgspec.structs.replace(
                    at,
                    lineage_after=lineage[-1].golden_id.encode(),
                    golden_id_count=at.golden_id_count + len(lineage),
                )
                yield wire.ExportCrosswalkResponse(
                    lineage=_lineage_chunk(lineage), resume_token=at.encode(exported.journal)
                )
            trailer = wire.ExportTrailer(
                row_count=at.row_count, pending_record_count=at.other_count, golden_id_count=at.golden_id_count
            )
            yield wire.ExportCrosswalkResponse(trailer=trailer)

    def ExportGoldenRecords(
        self, request: wire.ExportGoldenRecordsRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ExportGoldenRecordsResponse]:
        """Stream the values of golden records between a header and a trailer."""
        known = {field for fields in FIELDS.values() for field in fields}
        if not known >= set(request.fields):
            raise InvalidInputError("fields", f"must be of {', '.join(sorted(known))}")
        wanted = msgspec.structs.replace(_filter(request), fields=frozenset(request.fields))
        with self._exporting(request, context) as (exported, begun_at):
            at = begun_at
            entry = self._noted(request, request.caller, context, exported, at, "golden-records")
            yield wire.ExportGoldenRecordsResponse(
                header=self._header(exported), resume_token=at.encode(exported.journal)
            )
            found = golden_chunks(exported.view, exported.journal, exported.rules, wanted, at.after.decode())
            for rows in exported.while_kept(found):
                at = msgspec.structs.replace(
                    at,
                    after=rows[-1].golden_id.encode(),
                    row_count=at.row_count + len(rows),
                    other_count=at.other_count + sum(len(row.values) for row in rows),
                )
                yield wire.ExportGoldenRecordsResponse(
                    chunk=_golden_chunk(rows), resume_token=at.encode(exported.journal)
                )
            self._note_end(entry, at.row_count)
            trailer = wire.GoldenRecordTrailer(golden_record_count=at.row_count, value_count=at.other_count)
            yield wire.ExportGoldenRecordsResponse(trailer=trailer)

    def ExportLineage(
        self, request: wire.ExportLineageRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ExportLineageResponse]:
        """Stream golden IDs between a header and a trailer; nobody's data, so it stands in no ledger."""
        with self._exporting(request, context) as (exported, begun_at):
            at = begun_at
            yield wire.ExportLineageResponse(header=self._header(exported), resume_token=at.encode(exported.journal))
            found = lineage_chunks(exported.view, _filter(request), at.after.decode())
            for rows in exported.while_kept(found):
                at = msgspec.structs.replace(at, after=rows[-1].golden_id.encode(), row_count=at.row_count + len(rows))
                yield wire.ExportLineageResponse(chunk=_lineage_chunk(rows), resume_token=at.encode(exported.journal))
            yield wire.ExportLineageResponse(trailer=wire.LineageTrailer(golden_id_count=at.row_count))

    @contextmanager
    def _exporting(self, request: _Request, context: grpc.ServicerContext) -> Iterator[tuple[Exported, ExportPosition]]:
        """Yield the state to read and where to go on in it."""
        check_registries(self._reader, request.registries)
        caller = common.Caller() if isinstance(request, wire.ExportCrosswalkRequest) else request.caller
        actor = cause_of(context, caller, "Export").actor
        token = request.resume_token
        at = resumed(token, journal_of(self._reader), request, actor) if token else begun(request, actor)
        if not request.resume_token:
            await_freshness(self._reader, request, context)
        with self._reader.exporter.reading(at.copy_name) as exported:
            export_id = at.export_id or uuid.uuid4().hex
            yield exported, msgspec.structs.replace(at, copy_name=exported.copy_name, export_id=export_id)

    def _header(self, exported: Exported) -> wire.ExportHeader:
        return wire.ExportHeader(token=token_at(self._reader, exported.view.applied_seq))

    def _noted(
        self,
        request: wire.ExportCrosswalkRequest | wire.ExportGoldenRecordsRequest,
        caller: common.Caller,
        context: grpc.ServicerContext,
        exported: Exported,
        at: ExportPosition,
        what: str,
    ) -> ExportEntry:
        """Note an export before its first row, because what a broken one handed out lies somewhere too."""
        cause = cause_of(context, caller, "Export")
        entry = ExportEntry(
            at.export_id,
            _now_us(),
            exported.view.applied_seq,
            what,
            tuple(request.registries),
            tuple(kind.value for kind in _filter(request).kinds),
            row_count=at.row_count,
            is_pending_included=isinstance(request, wire.ExportCrosswalkRequest) and request.include_pending,
            actor=cause.actor,
            purpose=cause.purpose,
            fields=tuple(request.fields) if isinstance(request, wire.ExportGoldenRecordsRequest) else (),
        )
        self._reader.exporter.note(entry)
        return entry

    def _note_end(self, entry: ExportEntry, row_count: int) -> None:
        self._reader.exporter.note(msgspec.structs.replace(entry, at_us=_now_us(), row_count=row_count))


def _filter(request: _Request) -> ExportFilter:
    kinds = frozenset({KINDS[request.entity_kind]} if request.entity_kind else EntityKind)
    return ExportFilter(frozenset(request.registries), kinds)


def _lineage_chunk(rows: Sequence[Lineage]) -> wire.LineageChunk:
    return wire.LineageChunk(
        golden_ids=[row.golden_id for row in rows],
        statuses=[GOLDEN_STATES[row.state] for row in rows],
        surviving_golden_ids=[row.surviving or "" for row in rows],
        minted_at=[timestamp(row.minted_at_us) for row in rows],
        predecessor_counts=[len(row.predecessors) for row in rows],
        predecessor_golden_ids=[each for row in rows for each in row.predecessors],
    )


def _golden_chunk(rows: Sequence[GoldenRow]) -> wire.GoldenRecordChunk:
    values = list(chain.from_iterable(row.values for row in rows))
    unassured, unspecified = common.ASSURANCE_UNSPECIFIED, golden.SURVIVORSHIP_CRITERION_UNSPECIFIED
    return wire.GoldenRecordChunk(
        golden_ids=[row.golden_id for row in rows],
        value_counts=[len(row.values) for row in rows],
        fields=[each.field for each in values],
        values=[value_text(each.value) for each in values],
        registries=[each.source.registry for each in values],
        record_ids=[each.source.record_id for each in values],
        updated_at=[each.updated_at for each in values],
        assurances=[
            assurance_number(each.value.assurance) if isinstance(each.value, Identifier) else unassured
            for each in values
        ],
        decided_by=[CRITERIA[each.decided_by] if each.decided_by else unspecified for each in values],
    )


def _now_us() -> int:
    return time.time_ns() // 1000
