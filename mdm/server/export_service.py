"""ExportService: the whole crosswalk as a stream at one position."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import groupby, islice

import grpc
import msgspec

from mdm.domain.keys import EntityKind
from mdm.limits import BATCH_LOOKUP_KEYS_MAX, LINEAGE_CHUNK_ROWS
from mdm.resolve.crosswalk import CrosswalkChunk, CrosswalkFilter, Lineage
from mdm.resolve.reader import Reader
from mdm.server.calls import await_freshness, cause_of, check_registries, token_at
from mdm.server.wire_answers import GOLDEN_STATES, timestamp
from mdm.server.wire_records import KINDS, kind_number
from mdm.store.export_ledger import ExportEntry
from mdm.v1 import common_pb2 as common
from mdm.v1 import export_service_pb2 as wire
from mdm.v1.export_service_pb2_grpc import ExportServiceServicer


class ExportService(ExportServiceServicer):
    """Hands out the crosswalk."""

    def __init__(self, reader: Reader) -> None:
        """Read from a copy of this process's index."""
        self._reader = reader

    def ExportCrosswalk(
        self, request: wire.ExportCrosswalkRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ExportCrosswalkResponse]:
        """Stream all rows between a header and a trailer."""
        check_registries(self._reader, request.registries)
        await_freshness(self._reader, request, context)
        kinds = frozenset({KINDS[request.entity_kind]} if request.entity_kind else EntityKind)
        wanted = CrosswalkFilter(frozenset(request.registries), kinds, request.include_pending)
        row_count = 0
        cause = cause_of(context, common.Caller(), "ExportCrosswalk")
        with self._reader.crosswalk(wanted) as export:
            noted = ExportEntry(
                uuid.uuid4().hex,
                time.time_ns() // 1000,
                export.seq,
                "crosswalk",
                tuple(request.registries),
                tuple(kind.value for kind in kinds),
                is_pending_included=request.include_pending,
                actor=cause.actor,
                purpose=cause.purpose,
            )
            # Before the first row, because what a broken export handed out lies somewhere too.
            self._reader.note_export(noted)
            header = wire.ExportHeader(token=token_at(self._reader, export.seq))
            yield wire.ExportCrosswalkResponse(header=header)
            for chunk in export:
                for part in _parts(chunk):
                    row_count += len(part.record_ids)
                    yield wire.ExportCrosswalkResponse(chunk=part)
            ended_us = time.time_ns() // 1000
            self._reader.note_export(msgspec.structs.replace(noted, at_us=ended_us, row_count=row_count))
            golden_id_count = 0
            for lineage in _batches(export.lineage()) if request.include_lineage else ():
                golden_id_count += len(lineage)
                yield wire.ExportCrosswalkResponse(lineage=_lineage_chunk(lineage))
            trailer = wire.ExportTrailer(
                row_count=row_count, pending_record_count=export.pending_count, golden_id_count=golden_id_count
            )
        yield wire.ExportCrosswalkResponse(trailer=trailer)


def _batches(rows: Iterator[Lineage]) -> Iterator[list[Lineage]]:
    while batch := list(islice(rows, LINEAGE_CHUNK_ROWS)):
        yield batch


def _lineage_chunk(rows: Sequence[Lineage]) -> wire.LineageChunk:
    return wire.LineageChunk(
        golden_ids=[row.golden_id for row in rows],
        statuses=[GOLDEN_STATES[row.state] for row in rows],
        surviving_golden_ids=[row.surviving or "" for row in rows],
        minted_at=[timestamp(row.minted_at_us) for row in rows],
        predecessor_counts=[len(row.predecessors) for row in rows],
        predecessor_golden_ids=[each for row in rows for each in row.predecessors],
    )


def _parts(chunk: CrosswalkChunk) -> Iterator[wire.CrosswalkChunk]:
    """Yield the runs of one registry and kind, at most 10,000 rows each."""
    start = 0
    for (registry, kind), rows in groupby(zip(chunk.registries, chunk.kinds, strict=True)):
        end = start + sum(1 for _ in rows)
        for first in range(start, end, BATCH_LOOKUP_KEYS_MAX):
            last = min(end, first + BATCH_LOOKUP_KEYS_MAX)
            yield wire.CrosswalkChunk(
                registry=registry,
                entity_kind=kind_number(EntityKind(kind)),
                record_ids=chunk.record_ids[first:last],
                golden_ids=chunk.golden_ids[first:last],
            )
        start = end
