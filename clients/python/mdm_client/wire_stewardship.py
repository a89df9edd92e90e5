"""Calls and messages of stewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf import timestamp_pb2

from mdm.v1 import common_pb2
from mdm.v1 import stewardship_service_pb2 as pb
from mdm_client import stewardship_results as results
from mdm_client import wire
from mdm_client.calls import Call, fresh_request_id
from mdm_client.records import SourceKey
from mdm_client.results import FieldComparison

VERDICT = wire.EnumWire(results.Verdict, pb.Verdict, "VERDICT")
REVIEW_KIND = wire.EnumWire(results.ReviewKind, pb.ReviewKind, "REVIEW_KIND")
REVIEW_STATE = wire.EnumWire(results.ReviewState, pb.ReviewState, "REVIEW_STATE")
REVIEW_ANSWER = wire.EnumWire(results.ReviewAnswer, pb.ReviewAnswer, "REVIEW_ANSWER")

Subject = SourceKey | str
"""A record by its key, or the one that a golden ID was issued for."""


@dataclass(frozen=True, slots=True)
class ActOptions:
    """What every act takes besides what it is about."""

    caller: common_pb2.Caller
    reason: str
    etag: str
    is_dry_run: bool
    request_id: str | None

    def fields(self) -> dict[str, Any]:
        """Return them as fields of a request."""
        return {
            "caller": self.caller,
            "reason": self.reason,
            "etag": self.etag,
            "is_dry_run": self.is_dry_run,
            "request_id": fresh_request_id(self.request_id),
        }


ActCall = Call[results.ActEffect]


def judge(left: Subject, right: Subject, verdict: results.Verdict, options: ActOptions) -> ActCall:
    """Judge two records."""
    return _act(
        "Judge",
        pb.JudgeRequest(
            left=_reference(left), right=_reference(right), verdict=VERDICT.to_wire(verdict), **options.fields()
        ),
    )


def withdraw_judgement(judgement_id: str, options: ActOptions) -> ActCall:
    """Take an act's judgements back."""
    return _act("WithdrawJudgement", pb.WithdrawJudgementRequest(judgement_id=judgement_id, **options.fields()))


def merge(left_golden_id: str, right_golden_id: str, options: ActOptions) -> ActCall:
    """Make two golden records one."""
    request = pb.MergeRequest(left_golden_id=left_golden_id, right_golden_id=right_golden_id, **options.fields())
    return _act("Merge", request)


def unmerge(golden_id: str, options: ActOptions) -> ActCall:
    """Give a merged golden ID back."""
    return _act("Unmerge", pb.UnmergeRequest(golden_id=golden_id, **options.fields()))


def split(golden_id: str, keys: Sequence[SourceKey], options: ActOptions) -> ActCall:
    """Split records off."""
    named = [wire.key_to_wire(key) for key in keys]
    return _act("Split", pb.SplitRequest(golden_id=golden_id, keys=named, **options.fields()))


def move_record(key: SourceKey, target_golden_id: str, options: ActOptions) -> ActCall:
    """Move a record."""
    request = pb.MoveRecordRequest(key=wire.key_to_wire(key), target_golden_id=target_golden_id, **options.fields())
    return _act("MoveRecord", request)


def override_value(golden_id: str, field: str, value: str, options: ActOptions) -> ActCall:
    """Fix a value."""
    request = pb.OverrideValueRequest(golden_id=golden_id, field=field, value=value, **options.fields())
    return _act("OverrideValue", request)


def withdraw_override(golden_id: str, field: str, options: ActOptions) -> ActCall:
    """Let a fixed value go."""
    return _act("WithdrawOverride", pb.WithdrawOverrideRequest(golden_id=golden_id, field=field, **options.fields()))


def resolve_review(review_id: str, answer: results.ReviewAnswer, options: ActOptions) -> ActCall:
    """Answer a review."""
    request = pb.ResolveReviewRequest(review_id=review_id, answer=REVIEW_ANSWER.to_wire(answer), **options.fields())
    return _act("ResolveReview", request)


def list_judgements(
    golden_id: str, page_size: int, page_token: str, fresh: str
) -> Call[tuple[list[results.Judgement], str]]:
    """Read a page of judgements and the token of the next one, empty on the last."""
    request = pb.ListJudgementsRequest(
        golden_id=golden_id, page_size=page_size, page_token=page_token, at_least_as_fresh=wire.token_to_wire(fresh)
    )

    def decode(answer: pb.ListJudgementsResponse) -> tuple[list[results.Judgement], str]:
        return [_judgement(item) for item in answer.judgements], answer.next_page_token

    return Call("StewardshipService", "ListJudgements", request, decode)


def list_reviews(
    state: results.ReviewState, wanted: results.ReviewFilter, page_size: int, page_token: str, fresh: str
) -> Call[tuple[list[results.Review], str]]:
    """Read a page of reviews and the token of the next one, empty on the last."""
    request = pb.ListReviewsRequest(
        state=REVIEW_STATE.to_wire(state),
        **_filter(wanted),
        page_size=page_size,
        page_token=page_token,
        at_least_as_fresh=wire.token_to_wire(fresh),
    )

    def decode(answer: pb.ListReviewsResponse) -> tuple[list[results.Review], str]:
        return [_review(item) for item in answer.reviews], answer.next_page_token

    return Call("StewardshipService", "ListReviews", request, decode)


def get_review(review_id: str, fresh: str) -> Call[results.ReviewDetail]:
    """Read a review."""
    request = pb.GetReviewRequest(review_id=review_id, at_least_as_fresh=wire.token_to_wire(fresh))

    def decode(answer: pb.GetReviewResponse) -> results.ReviewDetail:
        return _detail(answer.detail, answer.read_at.value)

    return Call("StewardshipService", "GetReview", request, decode)


def claim_review(
    review_id: str,
    wanted: results.ReviewFilter,
    skipped_review_ids: Sequence[str],
    lease_seconds: int,
    caller: common_pb2.Caller,
    request_id: str | None,
) -> Call[results.ReviewDetail | None]:
    """Claim a review."""
    request = pb.ClaimReviewRequest(
        review_id=review_id,
        **_filter(wanted),
        skipped_review_ids=skipped_review_ids,
        lease_seconds=lease_seconds,
        caller=caller,
        request_id=fresh_request_id(request_id),
    )

    def decode(answer: pb.ClaimReviewResponse) -> results.ReviewDetail | None:
        return _detail(answer.detail, answer.token.value) if answer.HasField("detail") else None

    return Call("StewardshipService", "ClaimReview", request, decode)


def release_review(
    review_id: str, caller: common_pb2.Caller, request_id: str | None, *, is_escalated: bool, reason: str
) -> Call[str]:
    """Give a review back or escalate it; returns the position from which it is free."""
    request = pb.ReleaseReviewRequest(
        review_id=review_id,
        is_escalated=is_escalated,
        reason=reason,
        caller=caller,
        request_id=fresh_request_id(request_id),
    )

    def decode(answer: pb.ReleaseReviewResponse) -> str:
        return answer.token.value

    return Call("StewardshipService", "ReleaseReview", request, decode)


def _act(method: str, request: Any) -> ActCall:
    decode: Callable[[Any], results.ActEffect] = _effect
    return Call("StewardshipService", method, request, decode)


def _effect(answer: Any) -> results.ActEffect:
    effect: pb.ActEffect = answer.effect
    return results.ActEffect(
        changes=wire.changes_from_wire(effect.changes),
        before=tuple(_state(item) for item in effect.before),
        after=tuple(_state(item) for item in effect.after),
        value_changes=tuple(
            results.ValueChange(item.golden_id, item.field, tuple(item.before), tuple(item.after))
            for item in effect.value_changes
        ),
        made=tuple(_pair(item) for item in effect.made),
        withdrawn=tuple(_pair(item) for item in effect.withdrawn),
        contradicted=tuple(_judgement(item) for item in effect.contradicted),
        etag=effect.etag,
        judgement_id=effect.judgement_id,
        is_proposed=effect.is_proposed,
        review_id=effect.review_id,
        token=answer.token.value,
    )


def _reference(subject: Subject) -> pb.RecordReference:
    if isinstance(subject, str):
        return pb.RecordReference(golden_id=subject)
    return pb.RecordReference(key=wire.key_to_wire(subject))


def _filter(wanted: results.ReviewFilter) -> dict[str, Any]:
    return {
        "kinds": [REVIEW_KIND.to_wire(kind) for kind in wanted.kinds],
        "entity_kind": wire.ENTITY_KIND.to_wire(wanted.entity_kind) if wanted.entity_kind else 0,
        "registry": wanted.registry,
        "priority_min": wanted.priority_min,
    }


def _state(message: pb.GoldenRecordState) -> results.GoldenRecordState:
    members = tuple(wire.key_from_wire(item) for item in message.members)
    return results.GoldenRecordState(message.golden_id, message.is_new, members, message.member_count)


def _pair(message: pb.JudgedPair) -> results.JudgedPair:
    return results.JudgedPair(
        wire.key_from_wire(message.left) if message.HasField("left") else None,
        wire.key_from_wire(message.right) if message.HasField("right") else None,
        VERDICT.from_wire(message.verdict),
    )


def _judgement(message: pb.Judgement) -> results.Judgement:
    return results.Judgement(
        judgement_id=message.judgement_id,
        pair=_pair(message.pair),
        actor=message.actor,
        reason=message.reason,
        judged_at=message.judged_at.ToDatetime(UTC),
        act_judgement_id=message.act_judgement_id,
    )


def _side(message: pb.ReviewSide) -> results.ReviewSide:
    key = wire.key_from_wire(message.key) if message.HasField("key") else None
    return results.ReviewSide(message.golden_id, key, message.member_count)


def _review(message: pb.Review) -> results.Review:
    return results.Review(
        review_id=message.review_id,
        kind=REVIEW_KIND.from_wire(message.kind),
        state=REVIEW_STATE.from_wire(message.state),
        entity_kind=wire.ENTITY_KIND.from_wire(message.entity_kind),
        priority=message.priority,
        left=_side(message.left),
        right=_side(message.right) if message.HasField("right") else None,
        match_weight_bits=message.match_weight_bits if message.HasField("match_weight_bits") else None,
        detail=message.detail,
        opened_at=message.opened_at.ToDatetime(UTC),
        claimed_by=message.claimed_by,
        claimed_until=_time(message, "claimed_until"),
        parked_until=_time(message, "parked_until"),
        member_count=message.member_count,
        proposed_by=message.proposed_by,
        expires_at=_time(message, "expires_at"),
        etag=message.etag,
    )


def _detail(message: pb.ReviewDetail, read_at: str) -> results.ReviewDetail:
    return results.ReviewDetail(
        review=_review(message.review),
        left=wire.golden_record_from_wire(message.left, read_at),
        right=wire.golden_record_from_wire(message.right, read_at) if message.HasField("right") else None,
        starting_weight_bits=message.starting_weight_bits,
        comparisons=tuple(
            FieldComparison(item.field, item.level, wire.AGREEMENT.from_wire(item.agreement), item.match_weight_bits)
            for item in message.comparisons
        ),
        earlier_judgements=tuple(_judgement(item) for item in message.earlier_judgements),
    )


def _time(message: pb.Review, field: str) -> datetime | None:
    stated: timestamp_pb2.Timestamp = getattr(message, field)
    return stated.ToDatetime(UTC) if stated.seconds else None
