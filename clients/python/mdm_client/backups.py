"""The journal for those who keep a backup of it, by both clients: `client.backups`; `mdm backup` makes a file of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdm.v1 import backup_service_pb2, common_pb2
from mdm_client.calls import Call

if TYPE_CHECKING:
    from mdm_client.aio import AsyncClient
    from mdm_client.client import Client

BACKUP_MISMATCH = "BACKUP_MISMATCH"
"""Reason of the error that says: the base is no beginning of this journal, back up to another file."""


@dataclass(frozen=True, slots=True)
class JournalBase:
    """The beginning of a journal that a caller has already, as `BackupBase` of the interface says it."""

    token: str
    events_sha256: bytes
    last_payload_number: int
    last_record_number: int
    last_artefact_number: int
    answered_seq: int


@dataclass(frozen=True, slots=True)
class JournalHeader:
    """Which journal it is, and how far it reached when the stream began."""

    token: str
    created_at_us: int
    fingerprint_key: bytes
    last_payload_number: int
    last_record_number: int


@dataclass(frozen=True, slots=True)
class JournalRows:
    """Rows of one table: `events`, `record_keys`, `payloads`, `answers` or `artefacts`; cells as in the interface."""

    table: str
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class ExportLedgerPart:
    """A part of the ledger of exports, as JSON lines."""

    lines: bytes


@dataclass(frozen=True, slots=True)
class JournalTrailer:
    """Position that everything is of, what proves it, and how many rows the journal has there."""

    token: str
    events_sha256: bytes
    rows_sha256: bytes
    record_key_count: int
    payload_count: int
    answer_count: int
    artefact_count: int
    backup_id: str
    """For `confirm`, once what was made of the stream is proven and kept."""


JournalPart = JournalHeader | JournalRows | ExportLedgerPart | JournalTrailer


class Backups:
    """The journal as a stream. Holds all personal data with its keys: keep what is made of it accordingly."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def read_journal(self, base: JournalBase | None = None) -> Iterator[JournalPart]:
        """Yield the journal behind a base, or all of it: the header first, the trailer last.

        Raises:
            FailedPreconditionError: BACKUP_MISMATCH if the base is no beginning of this journal.
            UnavailableError: The stream broke off; what came of it can be the base of another one.
        """
        for response in self._client.receive("BackupService", "ReadJournal", _request(base)):
            yield _part(response)

    def confirm(self, backup_id: str, file_bytes: int, *, is_incremental: bool = False) -> None:
        """Say that a backup is proven and in its place, so that status and alerts know of it."""
        self._client.send(_confirm(backup_id, file_bytes, is_incremental=is_incremental))


class AsyncBackups:
    """As `Backups`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def read_journal(self, base: JournalBase | None = None) -> AsyncIterator[JournalPart]:
        """Yield the journal behind a base, or all of it: the header first, the trailer last.

        Raises:
            FailedPreconditionError: BACKUP_MISMATCH if the base is no beginning of this journal.
            UnavailableError: The stream broke off; what came of it can be the base of another one.
        """
        async for response in self._client.receive("BackupService", "ReadJournal", _request(base)):
            yield _part(response)

    async def confirm(self, backup_id: str, file_bytes: int, *, is_incremental: bool = False) -> None:
        """Say that a backup is proven and in its place, so that status and alerts know of it."""
        await self._client.send(_confirm(backup_id, file_bytes, is_incremental=is_incremental))


def _confirm(backup_id: str, file_bytes: int, *, is_incremental: bool) -> Call[None]:
    request = backup_service_pb2.ConfirmBackupRequest(
        backup_id=backup_id, file_bytes=file_bytes, is_incremental=is_incremental
    )
    return Call("BackupService", "ConfirmBackup", request, lambda _: None)


def _request(base: JournalBase | None) -> backup_service_pb2.ReadJournalRequest:
    if base is None:
        return backup_service_pb2.ReadJournalRequest()
    return backup_service_pb2.ReadJournalRequest(
        base=backup_service_pb2.BackupBase(
            token=common_pb2.JournalToken(value=base.token),
            events_sha256=base.events_sha256,
            last_payload_number=base.last_payload_number,
            last_record_number=base.last_record_number,
            last_artefact_number=base.last_artefact_number,
            answered_seq=base.answered_seq,
        )
    )


def _part(response: backup_service_pb2.ReadJournalResponse) -> JournalPart:
    match response.WhichOneof("part"):
        case "header":
            header = response.header
            return JournalHeader(
                token=header.token.value,
                created_at_us=header.created_at_us,
                fingerprint_key=header.fingerprint_key,
                last_payload_number=header.last_payload_number,
                last_record_number=header.last_record_number,
            )
        case "trailer":
            trailer = response.trailer
            return JournalTrailer(
                token=trailer.token.value,
                events_sha256=trailer.events_sha256,
                rows_sha256=trailer.rows_sha256,
                record_key_count=trailer.record_key_count,
                payload_count=trailer.payload_count,
                answer_count=trailer.answer_count,
                artefact_count=trailer.artefact_count,
                backup_id=trailer.backup_id,
            )
        case "exports":
            return ExportLedgerPart(response.exports.lines)
        case "events" | "record_keys" | "payloads" | "answers" | "artefacts" as table:
            # Each holds its columns in the order of the interface, as repeated fields.
            rows = getattr(response, table)
            columns = [getattr(rows, field.name) for field in rows.DESCRIPTOR.fields]
            return JournalRows(table, list(zip(*columns, strict=True)))
        case _:
            return JournalRows("", [])
