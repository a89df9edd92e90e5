"""LoadService: which loads there were, and taking one back."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import grpc

from mdm.domain.loads import LoadEntry
from mdm.errors import InvalidInputError
from mdm.limits import DEADLINE_BATCH_S_MAX
from mdm.resolve.commands import REVERT_LOAD, RevertLoad
from mdm.resolve.load_outline import known_load, loads_page, outline
from mdm.resolve.reader import Reader
from mdm.server.calls import cause_of, journal_of, remaining_s, request_of, token_at, write
from mdm.server.page_tokens import page_token, place_of
from mdm.server.wire_loads import effects_message, example_message, load_message
from mdm.server.writer_link import WriterLink
from mdm.v1 import common_pb2 as common
from mdm.v1 import load_service_pb2 as wire
from mdm.v1.load_service_pb2_grpc import LoadServiceServicer

_PAGE_SIZE_DEFAULT = 100
_LOADS = "loads"


class LoadService(LoadServiceServicer):
    """Shows loads and takes them back."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Look here, have the writer act."""
        self._reader = reader
        self._link = link

    def ListLoads(self, request: wire.ListLoadsRequest, context: grpc.ServicerContext) -> wire.ListLoadsResponse:
        """Return a page of loads."""
        del context
        (before_seq,) = place_of(request.page_token, _LOADS, journal_of(self._reader), 1) or (None,)
        with self._reader.reading() as now:
            found, following = loads_page(now.view, request.feed, request.page_size or _PAGE_SIZE_DEFAULT, before_seq)
        return wire.ListLoadsResponse(
            loads=[load_message(each, self._token) for each in found],
            next_page_token=page_token(_LOADS, journal_of(self._reader), following) if following is not None else "",
        )

    def GetLoad(self, request: wire.GetLoadRequest, context: grpc.ServicerContext) -> wire.GetLoadResponse:
        """Return one load."""
        del context
        return wire.GetLoadResponse(load=load_message(self._known(request.load_id), self._token))

    def PreviewRevertLoad(
        self, request: wire.PreviewRevertLoadRequest, context: grpc.ServicerContext
    ) -> wire.PreviewRevertLoadResponse:
        """Say what taking a load back would do."""
        entry = self._known(request.load_id)
        found = outline(entry, self._reader.reading, lambda: remaining_s(context, DEADLINE_BATCH_S_MAX))
        return wire.PreviewRevertLoadResponse(
            load=load_message(entry, self._token),
            effects=effects_message(found.outcomes),
            examples=[example_message(each) for each in found.examples],
            read_at=self._token(found.read_seq),
        )

    def RevertLoad(self, request: wire.RevertLoadRequest, context: grpc.ServicerContext) -> wire.RevertLoadResponse:
        """Begin to take a load back."""
        if request.reason.isspace():
            raise InvalidInputError("reason", "must say why")
        content = wire.RevertLoadRequest()
        content.CopyFrom(request)
        content.ClearField("caller")
        guard = request_of(cause_of(context, request.caller, REVERT_LOAD), request.request_id, content)
        answer = write(self._link, RevertLoad(guard, request.load_id, request.reason, request.keep_later), context)
        token = token_at(self._reader, answer.seq)
        self._reader.wait_until(token.value, context.time_remaining())
        return wire.RevertLoadResponse(load=load_message(self._known(request.load_id), self._token), token=token)

    def _known(self, load_id: str) -> LoadEntry:
        with self._reader.reading() as now:
            return known_load(now.view, load_id)

    def _token(self, seq: int) -> common.JournalToken:
        return token_at(self._reader, seq)
