"""ErasureService: destroying what is known of a person or firm, and which erasures there were."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import grpc

from mdm.domain.keys import parse_golden_id
from mdm.errors import InvalidInputError, UnknownRecordError
from mdm.resolve.commands import Erase, EraseAnswer
from mdm.resolve.erasure import ErasureEntry, SubjectOutline
from mdm.resolve.reader import Reader
from mdm.server.calls import cause_of, journal_of, request_of, token_at, write
from mdm.server.page_tokens import page_token, place_of
from mdm.server.wire_answers import timestamp
from mdm.server.wire_records import key_message, source_key
from mdm.server.writer_link import WriterLink
from mdm.store.export_ledger import ExportEntry
from mdm.v1 import erasure_service_pb2 as wire
from mdm.v1.erasure_service_pb2_grpc import ErasureServiceServicer

_PAGE_SIZE_DEFAULT = 100
_ERASURES = "erasures"


class ErasureService(ErasureServiceServicer):
    """Erases."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Look here, have the writer act."""
        self._reader = reader
        self._link = link

    def EraseSubject(
        self, request: wire.EraseSubjectRequest, context: grpc.ServicerContext
    ) -> wire.EraseSubjectResponse:
        """Erase a person or firm, or say what that would take."""
        key = source_key(request.key) if request.HasField("key") else None
        golden_id = request.golden_id or None
        try:
            outline = self._reader.erasure_outline(golden_id, key)
        except UnknownRecordError:
            # A repetition whose first answer was lost finds its key gone with the record: the writer knows the answer.
            if request.is_dry_run or not request.request_id:
                raise
            outline = None
        response = self._response(outline) if outline else wire.EraseSubjectResponse()
        if request.is_dry_run:
            return response
        if request.reason.isspace():
            raise InvalidInputError("reason", "must say why")
        cause = cause_of(context, request.caller, "EraseSubject")
        content = wire.EraseSubjectRequest()
        content.CopyFrom(request)
        content.ClearField("caller")
        command = Erase(
            request_of(cause, request.request_id, content),
            parse_golden_id(golden_id) if golden_id else None,
            key,
            request.reason,
            request.expected_record_count if request.HasField("expected_record_count") else None,
        )
        answer = write(self._link, command, context)
        if not isinstance(answer, EraseAnswer):
            raise TypeError(type(answer).__name__)
        if answer.erasure_seq:
            response.token.CopyFrom(token_at(self._reader, answer.erasure_seq))
        return response

    def ListErasures(
        self, request: wire.ListErasuresRequest, context: grpc.ServicerContext
    ) -> wire.ListErasuresResponse:
        """Return a page of erasures."""
        del context
        (skip_count,) = place_of(request.page_token, _ERASURES, journal_of(self._reader), 1) or (0,)
        size = request.page_size or _PAGE_SIZE_DEFAULT
        found, has_more = self._reader.erasures(skip_count, size)
        return wire.ListErasuresResponse(
            erasures=[self._erasure(each) for each in found],
            next_page_token=page_token(_ERASURES, journal_of(self._reader), skip_count + size) if has_more else "",
        )

    def _response(self, outline: SubjectOutline) -> wire.EraseSubjectResponse:
        subject = outline.subject
        return wire.EraseSubjectResponse(
            golden_ids=subject.golden_ids,
            keys=[key_message(key) for key in outline.keys],
            record_count=len(subject.numbers),
            deleted_record_count=subject.deleted_count,
            passed_on_record_count=len(subject.passed_on),
            mention_count=outline.mention_count,
            exports=[self._export(each) for each in outline.exports],
        )

    def _export(self, entry: ExportEntry) -> wire.ExportMade:
        return wire.ExportMade(
            made_at=timestamp(entry.at_us),
            token=token_at(self._reader, entry.seq),
            kind=entry.kind,
            registries=entry.registries,
            row_count=entry.row_count,
            actor=entry.actor,
            purpose=entry.purpose,
        )

    def _erasure(self, entry: ErasureEntry) -> wire.Erasure:
        return wire.Erasure(
            token=token_at(self._reader, entry.seq),
            erased_at=timestamp(entry.at_us),
            is_finished=entry.is_finished,
            golden_ids=entry.fact.golden_ids,
            record_count=len(entry.fact.numbers),
            actor=entry.cause.actor,
            reason=entry.fact.reason,
        )
