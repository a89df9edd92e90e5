"""The process that reads the journal for one backup, behind everything else on the machine; it ends with its reader.

Its answer goes to standard output as frames: a letter, four bytes of length, a body. Whole messages are made here, so
that the reader's process only passes bytes on and answers its other callers.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
from google.protobuf.message import Message

from mdm.errors import InvalidInputError, MdmError
from mdm.limits import BACKUP_MESSAGE_BYTES, BACKUP_NICENESS
from mdm.processes import die_with
from mdm.resolve.commands import Refusal
from mdm.store.data_directory import DataDirectory
from mdm.store.journal_rows import Base, Extent, JournalExtract, Row, Table
from mdm.store.token import parse_token
from mdm.v1 import backup_service_pb2 as wire
from mdm.v1 import common_pb2 as common

FRAME = struct.Struct(">cI")
MESSAGE, REFUSAL, END = b"M", b"R", b"E"
"""A message for the caller; an error, as a `Refusal`; before the trailer, an `Ended`."""


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """A journal was read to its end."""

    seq: int
    row_count: int


def main(data: Path, backup_id: str, request: wire.ReadJournalRequest, out: BinaryIO) -> None:
    """Write the answer to a request as frames; `backup_id` names it in the ledger of exports."""
    try:
        directory = DataDirectory.open(data)
        with JournalExtract(directory.journal) as extract:
            if request.HasField("base"):
                extract.require_base(_base(request.base))
            _send(out, wire.ReadJournalResponse(header=_header(extract)))
            row_count = 0
            for table, rows in extract.rows():
                row_count += len(rows)
                _send(out, _MESSAGES[table](rows))
            lines = directory.exports.lines()
            for start in range(0, len(lines), BACKUP_MESSAGE_BYTES):
                part = wire.ExportLedgerPart(lines=lines[start : start + BACKUP_MESSAGE_BYTES])
                _send(out, wire.ReadJournalResponse(exports=part))
            _write(out, END, msgspec.msgpack.encode(Ended(extract.end.seq, row_count)))
            _send(out, wire.ReadJournalResponse(trailer=_trailer(extract, backup_id)))
    except MdmError as error:
        _write(out, REFUSAL, msgspec.msgpack.encode(Refusal.of(error)))
    out.flush()


def _base(message: wire.BackupBase) -> Base:
    token = parse_token(message.token.value, "base.token")
    if token.seq < 1:
        raise InvalidInputError("base.token", "must be the position of an event; leave the base out")
    extent = Extent(
        token.seq,
        message.last_payload_number,
        message.last_record_number,
        message.last_artefact_number,
        message.answered_seq,
    )
    return Base(token, extent, message.events_sha256)


def _header(extract: JournalExtract) -> wire.JournalHeader:
    return wire.JournalHeader(
        token=common.JournalToken(value=str(extract.token)),
        created_at_us=extract.created_at_us,
        fingerprint_key=extract.fingerprint_key,
        last_payload_number=extract.opened.payload_id,
        last_record_number=extract.opened.number,
    )


def _trailer(extract: JournalExtract, backup_id: str) -> wire.JournalTrailer:
    counts = extract.counts
    return wire.JournalTrailer(
        token=common.JournalToken(value=str(extract.end)),
        events_sha256=extract.events_sha256,
        rows_sha256=extract.rows_sha256,
        record_key_count=counts.record_keys,
        payload_count=counts.payloads,
        answer_count=counts.answers,
        artefact_count=counts.artefacts,
        backup_id=backup_id,
    )


def _events(rows: list[Row]) -> wire.ReadJournalResponse:
    seqs, at_us, bodies = zip(*rows, strict=True)
    return wire.ReadJournalResponse(events=wire.EventRows(seqs=seqs, happened_at_us=at_us, bodies=bodies))


def _record_keys(rows: list[Row]) -> wire.ReadJournalResponse:
    numbers, keys = zip(*rows, strict=True)
    return wire.ReadJournalResponse(record_keys=wire.RecordKeyRows(record_numbers=numbers, keys=keys))


def _payloads(rows: list[Row]) -> wire.ReadJournalResponse:
    ids, numbers, sealed = zip(*rows, strict=True)
    return wire.ReadJournalResponse(
        payloads=wire.PayloadRows(payload_numbers=ids, record_numbers=numbers, sealed=sealed)
    )


def _answers(rows: list[Row]) -> wire.ReadJournalResponse:
    actors, methods, request_ids, hashes, responses, seqs = zip(*rows, strict=True)
    return wire.ReadJournalResponse(
        answers=wire.AnswerRows(
            actors=actors,
            methods=methods,
            request_ids=request_ids,
            content_hashes=hashes,
            responses=responses,
            seqs=seqs,
        )
    )


def _artefacts(rows: list[Row]) -> wire.ReadJournalResponse:
    numbers, digests, kinds, bodies = zip(*rows, strict=True)
    return wire.ReadJournalResponse(
        artefacts=wire.ArtefactRows(artefact_numbers=numbers, digests=digests, kinds=kinds, bodies=bodies)
    )


_MESSAGES: dict[Table, Callable[[list[Row]], wire.ReadJournalResponse]] = {
    Table.EVENTS: _events,
    Table.RECORD_KEYS: _record_keys,
    Table.PAYLOADS: _payloads,
    Table.ANSWERS: _answers,
    Table.ARTEFACTS: _artefacts,
}


def _send(out: BinaryIO, message: Message) -> None:
    _write(out, MESSAGE, message.SerializeToString())


def _write(out: BinaryIO, kind: bytes, body: bytes) -> None:
    out.write(FRAME.pack(kind, len(body)))
    out.write(body)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.nice(BACKUP_NICENESS)
    try:
        asked = wire.ReadJournalRequest.FromString(sys.stdin.buffer.read())
        main(Path(sys.argv[2]), sys.argv[3], asked, sys.stdout.buffer)
    except BrokenPipeError:
        # The caller went away. What is buffered can't be written any more.
        os._exit(1)
