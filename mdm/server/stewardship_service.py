"""StewardshipService: stewards' acts go to the writer as they are; what stewards look at is read here."""

# ruff: noqa: N802 – the generated base class names the calls and their arguments.

from __future__ import annotations

from typing import Protocol, TypeVar

import grpc
import msgspec
from google.protobuf.message import Message

from mdm.domain.events import Cause, Judge, Merge, Move, ReviewAnswer
from mdm.domain.keys import GoldenId, RecordNumber, parse_golden_id
from mdm.domain.restores import restores_of
from mdm.domain.state import pair_of
from mdm.errors import (
    ActImpossibleError,
    InvalidInputError,
    JudgementContradictedError,
    ReviewClaimedError,
    UnknownReviewError,
)
from mdm.limits import REVIEW_LEASE_S
from mdm.resolve.commands import (
    Accepted,
    Act,
    ClaimReview,
    Pin,
    ReleaseReview,
    Request,
    ResolveReview,
    ReviewFilter,
    Split,
    Steward,
    StewardAnswer,
    StewardCommand,
    Unmerge,
    Unpin,
    WithdrawJudgement,
)
from mdm.resolve.reader import Reader
from mdm.resolve.steward_reader import StewardReader
from mdm.resolve.stewardship import contradicted_judgements
from mdm.resolve.survivorship import Supposed
from mdm.server.calls import await_freshness, cause_of, journal_of, request_of, token_at, write
from mdm.server.page_tokens import page_token, place_of
from mdm.server.wire_answers import comparison_messages, golden_message, member_messages
from mdm.server.wire_records import KINDS, source_key
from mdm.server.wire_stewardship import (
    ANSWERS,
    QUEUES,
    REVIEW_KINDS,
    VERDICTS,
    Names,
    effect_message,
    judgement_message,
    numbers_named,
    review_message,
)
from mdm.server.writer_link import WriterLink
from mdm.v1 import common_pb2 as common
from mdm.v1 import stewardship_service_pb2 as wire
from mdm.v1.stewardship_service_pb2_grpc import StewardshipServiceServicer

_PAGE_SIZE_DEFAULT = 100
_JUDGEMENTS = "judgements"
_REVIEWS = "reviews"

_Response = TypeVar("_Response", bound=Message)


class _ActRequest(Protocol):
    """What every act's request carries."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def etag(self) -> str:
        """What was looked at."""

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is to change."""

    @property
    def request_id(self) -> str:
        """For repetitions."""

    @property
    def caller(self) -> common.Caller:
        """Who asks."""


class StewardshipService(StewardshipServiceServicer):
    """Judgements, merges and splits, fixed values, and the review queue."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Read from this process's index, have the writer act."""
        self._reader = reader
        self._stewards = StewardReader(reader)
        self._link = link

    def Judge(self, request: wire.JudgeRequest, context: grpc.ServicerContext) -> wire.JudgeResponse:
        """Judge two records."""
        left, right = self._record(request.left), self._record(request.right)
        if left == right:
            raise ActImpossibleError("a judgement is about two records")
        act = Judge(*pair_of(left, right), VERDICTS[request.verdict])
        return self._act("Judge", request, act, context, wire.JudgeResponse())

    def WithdrawJudgement(
        self, request: wire.WithdrawJudgementRequest, context: grpc.ServicerContext
    ) -> wire.WithdrawJudgementResponse:
        """Take an act's judgements back."""
        act = WithdrawJudgement(self._names().seq(request.judgement_id, "judgement_id"))
        return self._act("WithdrawJudgement", request, act, context, wire.WithdrawJudgementResponse())

    def ListJudgements(
        self, request: wire.ListJudgementsRequest, context: grpc.ServicerContext
    ) -> wire.ListJudgementsResponse:
        """Return a page of the judgements about a golden record's members."""
        await_freshness(self._reader, request, context)
        place = place_of(request.page_token, _JUDGEMENTS, journal_of(self._reader), 2)
        after = (RecordNumber(place[0]), RecordNumber(place[1])) if place else None
        found, is_more, seq = self._stewards.judgements(
            request.golden_id, request.page_size or _PAGE_SIZE_DEFAULT, after
        )
        keys, names = self._stewards.keys_of({number for each in found for number in each.pair}), self._names()
        return wire.ListJudgementsResponse(
            judgements=[judgement_message(each, keys, names) for each in found],
            next_page_token=page_token(_JUDGEMENTS, journal_of(self._reader), *found[-1].pair)
            if is_more and found
            else "",
            read_at=token_at(self._reader, seq),
        )

    def Merge(self, request: wire.MergeRequest, context: grpc.ServicerContext) -> wire.MergeResponse:
        """Make two golden records one."""
        act = Merge(_golden_id(request.left_golden_id, "left"), _golden_id(request.right_golden_id, "right"))
        return self._act("Merge", request, act, context, wire.MergeResponse())

    def Unmerge(self, request: wire.UnmergeRequest, context: grpc.ServicerContext) -> wire.UnmergeResponse:
        """Give a merged golden ID back."""
        act = Unmerge(parse_golden_id(request.golden_id))
        return self._act("Unmerge", request, act, context, wire.UnmergeResponse())

    def Split(self, request: wire.SplitRequest, context: grpc.ServicerContext) -> wire.SplitResponse:
        """Split records off."""
        numbers = tuple(self._stewards.number_of(source_key(each)) for each in request.keys)
        act = Split(parse_golden_id(request.golden_id), numbers)
        return self._act("Split", request, act, context, wire.SplitResponse())

    def MoveRecord(self, request: wire.MoveRecordRequest, context: grpc.ServicerContext) -> wire.MoveRecordResponse:
        """Move a record into another golden record."""
        number = self._stewards.number_of(source_key(request.key))
        act = Move(number, _golden_id(request.target_golden_id, "target"))
        return self._act("MoveRecord", request, act, context, wire.MoveRecordResponse())

    def OverrideValue(
        self, request: wire.OverrideValueRequest, context: grpc.ServicerContext
    ) -> wire.OverrideValueResponse:
        """Fix a value."""
        act = Pin(parse_golden_id(request.golden_id), request.field, request.value)
        return self._act("OverrideValue", request, act, context, wire.OverrideValueResponse())

    def WithdrawOverride(
        self, request: wire.WithdrawOverrideRequest, context: grpc.ServicerContext
    ) -> wire.WithdrawOverrideResponse:
        """Let a fixed value go."""
        act = Unpin(parse_golden_id(request.golden_id), request.field)
        return self._act("WithdrawOverride", request, act, context, wire.WithdrawOverrideResponse())

    def ListReviews(self, request: wire.ListReviewsRequest, context: grpc.ServicerContext) -> wire.ListReviewsResponse:
        """Return a page of reviews."""
        await_freshness(self._reader, request, context)
        queue, is_claimed = QUEUES[request.state]
        place = place_of(request.page_token, f"{_REVIEWS}{queue.value}", journal_of(self._reader), 2)
        found, following, seq = self._stewards.reviews(
            queue,
            _filter(request),
            request.page_size or _PAGE_SIZE_DEFAULT,
            (place[0], place[1]) if place else None,
            is_claimed=is_claimed,
        )
        names = self._names()
        return wire.ListReviewsResponse(
            reviews=[review_message(each, names) for each in found],
            next_page_token=page_token(f"{_REVIEWS}{queue.value}", journal_of(self._reader), *following)
            if following
            else "",
            read_at=token_at(self._reader, seq),
        )

    def GetReview(self, request: wire.GetReviewRequest, context: grpc.ServicerContext) -> wire.GetReviewResponse:
        """Return a review with both sides."""
        await_freshness(self._reader, request, context)
        detail, seq = self._detail(self._names().seq(request.review_id, "review_id"))
        return wire.GetReviewResponse(detail=detail, read_at=token_at(self._reader, seq))

    def ClaimReview(self, request: wire.ClaimReviewRequest, context: grpc.ServicerContext) -> wire.ClaimReviewResponse:
        """Keep a review for the caller."""
        cause = _named(cause_of(context, request.caller, "ClaimReview"))
        names = self._names()
        skipped = tuple(names.seq(each, "skipped_review_ids") for each in request.skipped_review_ids)
        wanted = msgspec.structs.replace(_filter(request), skipped=skipped)
        answer = self._claimed(request, wanted, cause, context)
        response = wire.ClaimReviewResponse(token=token_at(self._reader, answer.seq))
        if answer.review:
            response.detail.CopyFrom(self._detail(answer.review)[0])
        return response

    def _claimed(
        self, request: wire.ClaimReviewRequest, wanted: ReviewFilter, cause: Cause, context: grpc.ServicerContext
    ) -> StewardAnswer:
        """Claim the review named, or look for one that passes until one is had: others claim at the same time."""
        asked, lease_s = request_of(cause, request.request_id, request), request.lease_seconds or REVIEW_LEASE_S
        while True:
            review = self._names().seq(request.review_id, "review_id") or self._stewards.next_review(wanted)
            if not review:
                return StewardAnswer(self._reader.applied_seq())
            try:
                return _answered(write(self._link, ClaimReview(asked, review, lease_s=lease_s), context))
            except (ReviewClaimedError, UnknownReviewError):
                if request.review_id:
                    raise
                wanted = msgspec.structs.replace(wanted, skipped=(*wanted.skipped, review))

    def ReleaseReview(
        self, request: wire.ReleaseReviewRequest, context: grpc.ServicerContext
    ) -> wire.ReleaseReviewResponse:
        """Give a review back or escalate it."""
        cause = _named(cause_of(context, request.caller, "ReleaseReview"))
        if request.is_escalated and not request.reason.strip():
            raise InvalidInputError("reason", "must say why the review is escalated")
        command = ReleaseReview(
            request_of(cause, request.request_id, request),
            self._names().seq(request.review_id, "review_id"),
            request.is_escalated,
            request.reason,
        )
        answer = _answered(write(self._link, command, context))
        return wire.ReleaseReviewResponse(token=token_at(self._reader, answer.seq))

    def ResolveReview(
        self, request: wire.ResolveReviewRequest, context: grpc.ServicerContext
    ) -> wire.ResolveReviewResponse:
        """Answer a review."""
        cause = cause_of(context, request.caller, "ResolveReview")
        answer = ANSWERS[request.answer]
        if answer in {ReviewAnswer.APPROVE, ReviewAnswer.REJECT}:
            _named(cause)
        command = ResolveReview(
            self._request(cause, request),
            self._names().seq(request.review_id, "review_id"),
            answer,
            request.reason,
            request.etag,
            request.is_dry_run,
        )
        done = self._carried_out(command, context)
        return self._effect(done, wire.ResolveReviewResponse(), is_dry_run=request.is_dry_run)

    def _act(
        self, method: str, request: _ActRequest, act: Act, context: grpc.ServicerContext, response: _Response
    ) -> _Response:
        cause = cause_of(context, request.caller, method)
        command = Steward(self._request(cause, request), act, request.reason, request.etag, request.is_dry_run)
        answer = self._carried_out(command, context)
        return self._effect(answer, response, is_dry_run=request.is_dry_run, supposed=_supposed(act))

    def _carried_out(self, command: StewardCommand, context: grpc.ServicerContext) -> StewardAnswer:
        try:
            return _answered(write(self._link, command, context))
        except JudgementContradictedError as error:
            names = self._names()
            ids = [names.judgement(seq) for seq in contradicted_judgements(error)]
            text = f"standing judgements say otherwise; withdraw one of them first: {', '.join(ids)}"
            raise JudgementContradictedError(text) from error

    def _names(self) -> Names:
        with self._reader.reading() as reading:
            return Names(restores_of(reading.view))

    def _request(self, cause: Cause, request: _ActRequest) -> Request:
        if request.reason.isspace():
            raise InvalidInputError("reason", "must say why")
        # A dry run is no act: its request id must not be taken for the one that follows.
        content = request if isinstance(request, Message) else common.Caller()
        return request_of(cause, "" if request.is_dry_run else request.request_id, content)

    def _effect(
        self, answer: StewardAnswer, response: _Response, *, is_dry_run: bool, supposed: Supposed | None = None
    ) -> _Response:
        stewards = self._stewards
        contradicted = stewards.judgements_of(answer.contradicted)
        named = numbers_named(answer).union(*(each.pair for each in contradicted))
        values = (
            (stewards.values_of(answer.before), stewards.values_of(answer.after, supposed)) if is_dry_run else ((), ())
        )
        effect = effect_message(answer, stewards.keys_of(named), self._names(), contradicted, values)
        token = None if is_dry_run else token_at(self._reader, answer.seq)
        return type(response)(effect=effect, token=token)

    def _detail(self, review: int) -> tuple[wire.ReviewDetail, int]:
        detail = self._stewards.review(review)
        shown = detail.shown
        sides = [
            golden_message(record, member_messages(record))
            for side in (shown.left, shown.right)
            if side is not None
            for record in (self._reader.golden(side.golden_id),)
        ]
        comparisons = comparison_messages(detail.waterfall[1:])
        total = sum(step.weight_bits for step in detail.waterfall)
        keys, names = self._stewards.keys_of({number for each in detail.earlier for number in each.pair}), self._names()
        message = wire.ReviewDetail(
            review=review_message(shown, names),
            left=sides[0],
            right=sides[1] if len(sides) > 1 else None,
            starting_weight_bits=total - sum(each.match_weight_bits for each in comparisons),
            comparisons=comparisons,
            earlier_judgements=[judgement_message(each, keys, names) for each in detail.earlier],
        )
        return message, detail.read_seq

    def _record(self, reference: wire.RecordReference) -> RecordNumber:
        if reference.WhichOneof("record") == "golden_id":
            return self._stewards.anchor_of(reference.golden_id)
        return self._stewards.number_of(source_key(reference.key))


def _supposed(act: Act) -> Supposed | None:
    """Return what an act would fix or let go: a dry run writes nothing that could be read."""
    match act:
        case Pin():
            return act.field, act.value
        case Unpin():
            return act.field, None
        case _:
            return None


def _answered(answer: Accepted) -> StewardAnswer:
    if not isinstance(answer, StewardAnswer):
        raise TypeError(type(answer).__name__)
    return answer


def _named(cause: Cause) -> Cause:
    if not cause.actor:
        raise InvalidInputError("caller.actor", "must name who works on it")
    return cause


def _golden_id(text: str, side: str) -> GoldenId:
    try:
        return parse_golden_id(text)
    except InvalidInputError as error:
        raise type(error)(error.rule, f"{side}_golden_id") from error


def _filter(request: wire.ListReviewsRequest | wire.ClaimReviewRequest) -> ReviewFilter:
    return ReviewFilter(
        tuple(REVIEW_KINDS[kind] for kind in request.kinds),
        KINDS.get(request.entity_kind),
        request.registry,
        request.priority_min,
    )
