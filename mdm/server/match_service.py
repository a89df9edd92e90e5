"""MatchService: searching for a bearer by what is known of them."""

# ruff: noqa: N802 – the generated base class names the calls.

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

import grpc

from mdm.domain.keys import GoldenId, SourceKey, parse_golden_id
from mdm.domain.records import SourceRecord
from mdm.errors import InvalidGoldenIdError, InvalidInputError
from mdm.resolve.commands import ClerkChoice, Upsert, WriteOutcome
from mdm.resolve.reader import Reader
from mdm.resolve.views import Preview
from mdm.server.calls import (
    WouldWaitError,
    await_freshness,
    cause_of,
    has_thread,
    remaining_s,
    request_of,
    token_at,
    write,
)
from mdm.server.registry_service import CANDIDATES_DEFAULT, written
from mdm.server.wire_answers import GRADES, OUTCOMES, change_messages, write_match
from mdm.server.wire_records import described, key_to_store, kind_of
from mdm.server.writer_link import WriterLink
from mdm.v1 import common_pb2 as common
from mdm.v1 import match_service_pb2 as wire
from mdm.v1.match_service_pb2_grpc import MatchServiceServicer

_QUERY_REGISTRY = "query"
_QUERY_RECORD_ID = "query"
_RESOLVED = {
    WriteOutcome.LINKED: wire.RESOLVE_OUTCOME_LINKED,
    WriteOutcome.CREATED: wire.RESOLVE_OUTCOME_CREATED,
    WriteOutcome.REVIEW: wire.RESOLVE_OUTCOME_REVIEW,
}


class MatchService(MatchServiceServicer):
    """Finds the golden records that a description may belong to."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Read here, write there."""
        self._reader = reader
        self._link = link

    def Match(self, request: wire.MatchRequest, context: grpc.ServicerContext) -> wire.MatchResponse:
        """Return ranked candidates."""
        await_freshness(self._reader, request, context)
        response = wire.MatchResponse()
        query, count_max = _query(request.attributes), request.candidate_count_max
        if has_thread(context):
            (preview,) = self._search([query], count_max)
        elif (found := self._reader.searches.find_at_once(query, count_max or CANDIDATES_DEFAULT)) is not None:
            preview = found
        else:
            raise WouldWaitError
        write_match(response.result, preview.match, preview.issues)
        response.read_at.value = self._reader.token(preview.match.read_seq)
        return response

    def BatchMatch(self, request: wire.BatchMatchRequest, context: grpc.ServicerContext) -> wire.BatchMatchResponse:
        """Return ranked candidates for each description, all read at one position."""
        await_freshness(self._reader, request, context)
        response = wire.BatchMatchResponse()
        # All are checked before the first is searched for.
        queries = [_query(each, f"attributes[{index}]") for index, each in enumerate(request.attributes)]
        seq = 0
        with closing(self._search(queries, request.candidate_count_max)) as previews:
            for preview in previews:
                write_match(response.results.add(), preview.match, preview.issues)
                seq = preview.match.read_seq
                remaining_s(context, 1.0)
        response.read_at.value = self._reader.token(seq)
        return response

    def Resolve(self, request: wire.ResolveRequest, context: grpc.ServicerContext) -> wire.ResolveResponse:
        """Search before create."""
        await_freshness(self._reader, request, context)
        if request.mode == wire.RESOLVE_MODE_FIND_ONLY:
            return self._found(request)
        return self._created(request, context)

    def _search(self, queries: Sequence[SourceRecord], count_max: int) -> Generator[Preview, None, None]:
        return self._reader.searches.find(queries, count_max or CANDIDATES_DEFAULT)

    def _found(self, request: wire.ResolveRequest) -> wire.ResolveResponse:
        (preview,) = self._search([_query(request.attributes)], request.candidate_count_max)
        outcome = WriteOutcome(preview.outcome)
        response = wire.ResolveResponse(
            outcome=wire.RESOLVE_OUTCOME_NONE if outcome is WriteOutcome.CREATED else _RESOLVED[outcome],
            grade=_best_grade(preview),
            golden_id=preview.golden_id or "" if outcome is WriteOutcome.LINKED else "",
            token=token_at(self._reader, preview.match.read_seq),
        )
        write_match(response.match, preview.match, preview.issues)
        return response

    def _created(self, request: wire.ResolveRequest, context: grpc.ServicerContext) -> wire.ResolveResponse:
        key = key_to_store(request.key)
        self._reader.check(key.registry, key.kind)
        found = described(request.attributes)
        if kind_of(found) is not key.kind:
            raise InvalidInputError("key.entity_kind", "must be the kind of the attributes")
        record = SourceRecord(key, found, request.updated_at)
        preview = self._reader.searches.preview(record, request.candidate_count_max or CANDIDATES_DEFAULT)
        command = Upsert(
            request_of(cause_of(context, request.caller, "Resolve"), request.request_id, _content(request)),
            record,
            proposal=preview.proposal,
            choice=_choice(request),
        )
        answer = written(write(self._link, command, context))
        response = wire.ResolveResponse(
            # Anything else was stored before and is unchanged or stale: its golden ID stands.
            outcome=_RESOLVED.get(answer.outcome, wire.RESOLVE_OUTCOME_LINKED),
            grade=_best_grade(preview),
            golden_id=answer.golden_id or "",
            changes=change_messages(answer.changes),
            token=token_at(self._reader, answer.seq),
            write_outcome=OUTCOMES[answer.outcome],
        )
        write_match(response.match, preview.match, preview.issues)
        return response


def _query(message: common.Attributes, field: str = "attributes") -> SourceRecord:
    """Return a record that stands under no key of any registry."""
    found = described(message, field)
    return SourceRecord(SourceKey(_QUERY_REGISTRY, kind_of(found), _QUERY_RECORD_ID), found)


def _best_grade(preview: Preview) -> common.MatchGrade.ValueType:
    candidates = preview.match.candidates
    return GRADES[candidates[0].grade] if candidates else common.MATCH_GRADE_CERTAINLY_NOT


def _content(request: wire.ResolveRequest) -> wire.ResolveRequest:
    content = wire.ResolveRequest()
    content.CopyFrom(request)
    for field in ("request_id", "caller", "at_least_as_fresh", "candidate_count_max"):
        content.ClearField(field)
    return content


def _choice(request: wire.ResolveRequest) -> ClerkChoice | None:
    if not request.HasField("clerk_choice"):
        return None
    said = request.clerk_choice
    shown = tuple(_golden_id(each, "clerk_choice.shown_golden_ids") for each in said.shown_golden_ids)
    if said.WhichOneof("choice") == "golden_id":
        return ClerkChoice(_golden_id(said.golden_id, "clerk_choice.golden_id"), shown)
    return ClerkChoice(None, shown)


def _golden_id(text: str, field: str) -> GoldenId:
    try:
        return parse_golden_id(text)
    except InvalidGoldenIdError as error:
        raise InvalidGoldenIdError(error.rule, field) from error
