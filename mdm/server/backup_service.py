"""BackupService: the journal as a stream, read by a process of its own."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import grpc
import msgspec

from mdm.errors import InvalidInputError, UnavailableError
from mdm.resolve.commands import Refusal
from mdm.resolve.reader import Reader
from mdm.server.backup_process import END, FRAME, REFUSAL, Ended
from mdm.server.calls import cause_of
from mdm.store.export_ledger import ExportEntry
from mdm.v1 import backup_service_pb2 as wire
from mdm.v1 import common_pb2 as common
from mdm.v1.backup_service_pb2_grpc import BackupServiceServicer

_KIND = "backup"


class BackupService(BackupServiceServicer):
    """Hands out the journal."""

    def __init__(self, reader: Reader, data: Path) -> None:
        """Read the journal of this data directory; the reader keeps the ledger of exports."""
        self._reader = reader
        self._data = data

    def ReadJournal(
        self, request: wire.ReadJournalRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ReadJournalResponse]:
        """Stream what the process writes; it waits while the caller is slow, and ends when the caller leaves."""
        cause = cause_of(context, common.Caller(), "ReadJournal")
        noted = ExportEntry(
            uuid.uuid4().hex,
            time.time_ns() // 1000,
            self._reader.applied_seq(),
            _KIND,
            is_pending_included=True,
            actor=cause.actor,
            purpose=cause.purpose,
        )
        # Before the first row, because what a broken backup handed out lies somewhere too.
        self._reader.exporter.note(noted)
        arguments = [str(os.getpid()), str(self._data), noted.export_id]
        with subprocess.Popen(  # noqa: S603 – our own interpreter and module
            [sys.executable, "-m", "mdm.server.backup_process", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            # It waits while the caller is slow, and a caller who has gone takes nothing any more.
            context.add_callback(process.kill)
            try:
                for kind, body in _frames(process, request):
                    if kind == REFUSAL:
                        raise msgspec.msgpack.decode(body, type=Refusal).as_error()
                    if kind == END:
                        ended = msgspec.msgpack.decode(body, type=Ended)
                        ended_us = time.time_ns() // 1000
                        self._reader.exporter.note(
                            msgspec.structs.replace(noted, at_us=ended_us, seq=ended.seq, row_count=ended.row_count)
                        )
                    else:
                        # Parsing it here would only cost time: the gate passes bytes on as they are.
                        yield cast("wire.ReadJournalResponse", body)
            finally:
                process.kill()

    def ConfirmBackup(
        self, request: wire.ConfirmBackupRequest, context: grpc.ServicerContext
    ) -> wire.ConfirmBackupResponse:
        """Note that a backup is kept. Cost: the ledger is read."""
        del context
        ledger = self._reader.exporter.ledger
        made = {each.export_id: each for each in ledger.entries() if each.kind == _KIND}.get(request.backup_id)
        if made is None:
            raise InvalidInputError("backup_id", "must be as the trailer of a backup of this service says")
        if made.file_bytes:
            # Said before: a repetition makes no backup younger, nor an earlier one the last.
            return wire.ConfirmBackupResponse()
        ledger.note(
            msgspec.structs.replace(
                made,
                at_us=time.time_ns() // 1000,
                file_bytes=request.file_bytes,
                is_incremental=request.is_incremental,
            )
        )
        return wire.ConfirmBackupResponse()


def _frames(process: subprocess.Popen[bytes], request: wire.ReadJournalRequest) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the process writes, until it ends after a trailer or an error."""
    given, taken = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with suppress(BrokenPipeError):
        given.write(request.SerializeToString())
        given.close()
    while head := taken.read(FRAME.size):
        kind, size = FRAME.unpack(head) if len(head) == FRAME.size else (b"", 1)
        body = taken.read(size)
        if len(body) < size:
            break
        yield kind, body
    if process.wait() != 0:
        raise UnavailableError("the process that reads the journal ended; begin again, behind what has arrived")
