"""GoldenRecordService: what is known of one bearer over all registries."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

import grpc
import msgspec

from mdm.domain.keys import GoldenId, parse_golden_id
from mdm.errors import InvalidGoldenIdError, UnknownGoldenIdError
from mdm.resolve.explain.explainer import Explainer
from mdm.resolve.explain.history import Position as HistoryPosition
from mdm.resolve.reader import Reader
from mdm.resolve.relations import Position
from mdm.server.calls import await_freshness, journal_of, remaining_s, token_at
from mdm.server.page_tokens import page_token, place_of
from mdm.server.wire_answers import GOLDEN_STATES, golden_message, member_messages
from mdm.server.wire_history import HISTORY, history_message
from mdm.server.wire_relations import household_response, relation_filter, relation_message
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as wire
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceServicer

_PAGE_SIZE_DEFAULT = 100
_MEMBERS = "members"
_RELATIONS = "relations"


class GoldenRecordService(GoldenRecordServiceServicer):
    """Reads golden records."""

    def __init__(self, reader: Reader) -> None:
        """Read from this process's index."""
        self._reader = reader
        self._explainer = Explainer(reader)

    def GetGoldenRecord(
        self, request: wire.GetGoldenRecordRequest, context: grpc.ServicerContext
    ) -> wire.GetGoldenRecordResponse:
        """Return one golden record, following a redirect and saying so."""
        await_freshness(self._reader, request, context)
        if request.WhichOneof("as_of") is not None:
            return self._past(request)
        record = self._reader.golden(request.golden_id)
        return wire.GetGoldenRecordResponse(
            golden_record=golden_message(
                record, member_messages(record), with_alternatives=request.include_alternatives
            ),
            read_at=token_at(self._reader, record.read_seq),
        )

    def BatchGetGoldenRecords(
        self, request: wire.BatchGetGoldenRecordsRequest, context: grpc.ServicerContext
    ) -> wire.BatchGetGoldenRecordsResponse:
        """Return many golden records; `read_at` is a position that all of them include."""
        await_freshness(self._reader, request, context)
        seq = self._reader.applied_seq()
        records = []
        for golden_id in request.golden_ids:
            remaining_s(context, 1.0)
            records.append(self._record_or_status(golden_id))
        return wire.BatchGetGoldenRecordsResponse(golden_records=records, read_at=token_at(self._reader, seq))

    def BatchCurrentGoldenIds(
        self, request: wire.BatchCurrentGoldenIdsRequest, context: grpc.ServicerContext
    ) -> wire.BatchCurrentGoldenIdsResponse:
        """Return what stored golden IDs stand for now."""
        await_freshness(self._reader, request, context)
        parsed = [_parsed(golden_id) for golden_id in request.golden_ids]
        surviving, states, seq = self._reader.current_golden_ids([each for each in parsed if each is not None])
        answers = iter(zip(surviving, states, strict=True))
        response = wire.BatchCurrentGoldenIdsResponse(read_at=token_at(self._reader, seq))
        for each in parsed:
            golden_id, state = ("", None) if each is None else next(answers)
            response.surviving_golden_ids.append(golden_id)
            response.statuses.append(common.GOLDEN_ID_STATUS_INVALID if state is None else GOLDEN_STATES[state])
        return response

    def ListMembers(self, request: wire.ListMembersRequest, context: grpc.ServicerContext) -> wire.ListMembersResponse:
        """Return a page of a golden record's source records."""
        await_freshness(self._reader, request, context)
        offset = (place_of(request.page_token, _MEMBERS, journal_of(self._reader), 1) or (0,))[0]
        record = self._reader.golden(request.golden_id)
        members = member_messages(record)
        end = offset + (request.page_size or _PAGE_SIZE_DEFAULT)
        return wire.ListMembersResponse(
            golden_id=record.golden_id or "",
            status=GOLDEN_STATES[record.state],
            members=members[offset:end],
            next_page_token=page_token(_MEMBERS, journal_of(self._reader), end) if end < len(members) else "",
            member_count=len(members),
            read_at=token_at(self._reader, record.read_seq),
        )

    def GetHousehold(
        self, request: wire.GetHouseholdRequest, context: grpc.ServicerContext
    ) -> wire.GetHouseholdResponse:
        """Return the households of a citizen, now and before."""
        await_freshness(self._reader, request, context)
        return household_response(self._reader.households(request.golden_id), self._reader)

    def ListRelations(
        self, request: wire.ListRelationsRequest, context: grpc.ServicerContext
    ) -> wire.ListRelationsResponse:
        """Return a page of a golden record's relations."""
        await_freshness(self._reader, request, context)
        place = place_of(request.page_token, _RELATIONS, journal_of(self._reader), len(Position.__struct_fields__))
        page = self._reader.relations(
            request.golden_id,
            relation_filter(request),
            request.page_size or _PAGE_SIZE_DEFAULT,
            None if place is None else Position(*place),
        )
        following = msgspec.structs.astuple(page.following) if page.following else None
        return wire.ListRelationsResponse(
            golden_id=page.golden_id or "",
            status=GOLDEN_STATES[page.state],
            relations=[relation_message(row) for row in page.rows],
            next_page_token=page_token(_RELATIONS, journal_of(self._reader), *following) if following else "",
            read_at=token_at(self._reader, page.read_seq),
        )

    def GetHistory(self, request: wire.GetHistoryRequest, context: grpc.ServicerContext) -> wire.GetHistoryResponse:
        """Return a page of what happened to a golden ID itself."""
        await_freshness(self._reader, request, context)
        place = place_of(request.page_token, HISTORY, journal_of(self._reader), len(HistoryPosition._fields))
        after = None if place is None else HistoryPosition(*place)
        found = self._explainer.history(request.golden_id, request.page_size or _PAGE_SIZE_DEFAULT, after)
        return history_message(found, self._token, journal_of(self._reader))

    def _past(self, request: wire.GetGoldenRecordRequest) -> wire.GetGoldenRecordResponse:
        is_time = request.WhichOneof("as_of") == "as_of_time"
        moment = request.as_of_time.ToMicroseconds() if is_time else request.as_of_position.value
        found = self._reader.past_golden(request.golden_id, moment)
        return wire.GetGoldenRecordResponse(
            golden_record=golden_message(found.record, member_messages(found.record)),
            read_at=self._token(found.record.read_seq),
            as_of=self._token(found.seq),
            erased_member_count=found.erased_count,
        )

    def _token(self, seq: int) -> common.JournalToken:
        return token_at(self._reader, seq)

    def _record_or_status(self, golden_id: str) -> wire.GoldenRecord:
        try:
            record = self._reader.golden(golden_id)
        except InvalidGoldenIdError:
            return wire.GoldenRecord(requested_golden_id=golden_id, status=common.GOLDEN_ID_STATUS_INVALID)
        except UnknownGoldenIdError:
            requested = parse_golden_id(golden_id)
            return wire.GoldenRecord(requested_golden_id=requested, status=common.GOLDEN_ID_STATUS_UNKNOWN)
        return golden_message(record, member_messages(record))


def _parsed(text: str) -> GoldenId | None:
    try:
        return parse_golden_id(text)
    except InvalidGoldenIdError:
        return None
