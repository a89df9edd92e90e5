"""Stewards' acts and reviews over the wire, and every reason that they can be refused for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import grpc
import pytest

from mdm.limits import PAGE_SIZE_MAX, REVIEW_LEASE_S_MAX, REVIEWS_SKIPPED_MAX, SPLIT_RECORDS_MAX, TWO_PERSON_RECORDS_MIN
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1 import stewardship_service_pb2 as wire
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm.v1.stewardship_service_pb2_grpc import StewardshipServiceStub
from tests.server.records import citizen, details_of, info_of, key
from tests.serving import RunningServer, running_server

DEADLINE_S = 10
HOA, LAN = common.Caller(actor="hoa", purpose="review"), common.Caller(actor="lan", purpose="review")
NAMES = ("Trần Văn Tâm", "Lê Thị Hồng Nhung", "Phạm Quang Vinh", "Đỗ Mỹ Duyên", "Võ Hoàng Yến", "Bùi Tấn Phát")


class Service:
    """A service of its own: acts change golden records."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stewards = StewardshipServiceStub(channel)
        self.registry = RegistryServiceStub(channel)
        self.goldens = GoldenRecordServiceStub(channel)
        self.count = 0

    def person(self, visits: int = 1) -> tuple[str, list[common.SourceKey]]:
        """Store records of a bearer whom nobody is like; returns the golden ID and their keys."""
        self.count += 1
        year = 1950 + self.count
        name = f"{NAMES[self.count % len(NAMES)]} {chr(65 + self.count)}"
        keys, golden_id = [], ""
        for visit in range(visits):
            record = citizen(
                f"S{self.count}-{visit}",
                name,
                birth_date=f"{year}-04-11",
                personal_id=f"0790{year % 100}{self.count * 7919:06}",
            )
            golden_id = self.registry.UpsertRecord(
                registry.UpsertRecordRequest(record=record), timeout=DEADLINE_S
            ).golden_id
            keys.append(record.key)
        return golden_id, keys

    def namesakes(self) -> tuple[str, str]:
        """Store two records that only a steward can tell apart; returns their record ids."""
        self.count += 1
        names = (f"Q{self.count}-A", f"Q{self.count}-B")
        for name in names:
            record = citizen(name, "Nguyễn Thị Thúy", birth_date=f"1987-03-{self.count % 27 + 1:02}", personal_id="")
            del record.attributes.citizen.phones[:]
            self.registry.UpsertRecord(registry.UpsertRecordRequest(record=record), timeout=DEADLINE_S)
        return names

    def review_of(self, names: tuple[str, str]) -> wire.Review:
        listed = self.stewards.ListReviews(wire.ListReviewsRequest(page_size=PAGE_SIZE_MAX), timeout=DEADLINE_S)
        (found,) = (each for each in listed.reviews if {each.left.key.record_id, each.right.key.record_id} == {*names})
        return found

    def shown(self, golden_id: str) -> golden.GoldenRecord:
        request = golden.GetGoldenRecordRequest(golden_id=golden_id)
        return self.goldens.GetGoldenRecord(request, timeout=DEADLINE_S).golden_record

    def merge(self, left: str, right: str, **fields: object) -> wire.ActEffect:
        request = wire.MergeRequest(
            left_golden_id=left,
            right_golden_id=right,
            reason="seen both cards",
            caller=HOA,
            **fields,  # type: ignore[arg-type]
        )
        return self.stewards.Merge(request, timeout=DEADLINE_S).effect

    def judge(self, left: common.SourceKey, right: common.SourceKey, verdict: int, **fields: object) -> wire.ActEffect:
        request = wire.JudgeRequest(
            left=wire.RecordReference(key=left),
            right=wire.RecordReference(key=right),
            verdict=verdict,  # type: ignore[arg-type]
            reason="seen both cards",
            caller=HOA,
            **fields,  # type: ignore[arg-type]
        )
        return self.stewards.Judge(request, timeout=DEADLINE_S).effect

    def resolve(
        self, review_id: str, answer: int, caller: common.Caller = HOA, **fields: object
    ) -> wire.ResolveReviewResponse:
        request = wire.ResolveReviewRequest(
            review_id=review_id,
            answer=answer,  # type: ignore[arg-type]
            reason="seen both cards",
            caller=caller,
            **fields,  # type: ignore[arg-type]
        )
        return self.stewards.ResolveReview(request, timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("stewards") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def service(served: RunningServer) -> Iterator[Service]:
    with served.channel() as opened:
        yield Service(opened)


def refused(call: Callable[[], object]) -> tuple[str, grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(info_of(caught.value).reason), caught.value.code(), details_of(caught.value)


def test_a_merge_is_previewed_done_and_taken_back(service: Service) -> None:
    left, _ = service.person(2)
    right, _ = service.person()
    service.stewards.OverrideValue(
        wire.OverrideValueRequest(
            golden_id=right, field="status", value="active", reason="register says so", caller=HOA
        ),
        timeout=DEADLINE_S,
    )
    before = [service.shown(each) for each in (left, right)]
    preview = service.merge(left, right, is_dry_run=True)
    assert [(each.golden_id, each.member_count) for each in preview.before] == [(left, 2), (right, 1)]
    assert [(each.golden_id, each.member_count, each.is_new) for each in preview.after] == [(left, 3, False)]
    assert any(change.golden_id == right and not change.after for change in preview.value_changes)
    assert service.shown(right) == before[1]
    done = service.merge(left, right, etag=preview.etag, request_id="merge-1")
    assert service.merge(left, right, etag=preview.etag, request_id="merge-1").judgement_id == done.judgement_id
    assert service.shown(right).golden_id == left
    unmerge = wire.UnmergeRequest(golden_id=right, reason="a mistake", caller=HOA)
    effect = service.stewards.Unmerge(unmerge, timeout=DEADLINE_S).effect
    assert {each.golden_id for each in effect.after} == {left, right}
    assert [service.shown(each) for each in (left, right)] == before


def test_judgements_are_listed_with_author_reason_and_time_and_withdrawn_by_id(service: Service) -> None:
    (_, left), (_, right) = service.person(), service.person()
    effect = service.judge(left[0], right[0], wire.VERDICT_SAME)
    golden_id = effect.after[0].golden_id
    request = wire.ListJudgementsRequest(golden_id=golden_id)
    (judgement,) = service.stewards.ListJudgements(request, timeout=DEADLINE_S).judgements
    assert (judgement.judgement_id, judgement.actor, judgement.reason) == (
        effect.judgement_id,
        "hoa",
        "seen both cards",
    )
    assert judgement.judged_at.seconds > 1_700_000_000
    assert {judgement.pair.left.record_id, judgement.pair.right.record_id} == {left[0].record_id, right[0].record_id}
    withdraw = wire.WithdrawJudgementRequest(judgement_id=judgement.judgement_id, reason="mixed up", caller=HOA)
    effect = service.stewards.WithdrawJudgement(withdraw, timeout=DEADLINE_S).effect
    assert len(effect.withdrawn) == 1
    assert len(effect.after) == 2
    assert refused(lambda: service.stewards.WithdrawJudgement(withdraw, timeout=DEADLINE_S))[:2] == (
        "JUDGEMENT_NOT_FOUND",
        grpc.StatusCode.NOT_FOUND,
    )


def test_records_are_split_off_and_moved(service: Service) -> None:
    whole, keys = service.person(3)
    split = wire.SplitRequest(golden_id=whole, keys=keys[1:], reason="two patients", caller=HOA)
    preview = service.stewards.Split(
        wire.SplitRequest(golden_id=whole, keys=keys[1:], reason="two patients", is_dry_run=True), timeout=DEADLINE_S
    )
    assert not preview.HasField("token")
    effect = service.stewards.Split(split, timeout=DEADLINE_S).effect
    (new,) = (each.golden_id for each in effect.after if each.is_new)
    assert service.shown(new).member_count == 2
    move = wire.MoveRecordRequest(key=keys[1], target_golden_id=whole, reason="was his", caller=HOA)
    reason, code, text = refused(lambda: service.stewards.MoveRecord(move, timeout=DEADLINE_S))
    assert (reason, code) == ("JUDGEMENT_CONTRADICTED", grpc.StatusCode.FAILED_PRECONDITION)
    assert "J-" in text
    other, _ = service.person()
    move = wire.MoveRecordRequest(key=keys[0], target_golden_id=other, reason="was hers", caller=HOA)
    service.stewards.MoveRecord(move, timeout=DEADLINE_S)
    assert service.shown(other).member_count == 2
    assert service.shown(other).golden_id == whole, "its last record left, and the older ID answers for both"


def test_a_contradiction_is_shown_in_a_dry_run(service: Service) -> None:
    _, keys = service.person(2)
    service.judge(keys[0], keys[1], wire.VERDICT_SAME)
    shown = service.judge(keys[0], keys[1], wire.VERDICT_DIFFERENT, is_dry_run=True)
    (judgement,) = shown.contradicted
    assert judgement.pair.verdict == wire.VERDICT_SAME
    assert refused(lambda: service.judge(keys[0], keys[1], wire.VERDICT_DIFFERENT))[0] == "JUDGEMENT_CONTRADICTED"


def test_a_review_is_listed_claimed_shown_and_answered(service: Service) -> None:
    names = service.namesakes()
    review = service.review_of(names)
    assert (review.kind, review.state) == (wire.REVIEW_KIND_THIN_EVIDENCE, wire.REVIEW_STATE_OPEN)
    claim = wire.ClaimReviewRequest(review_id=review.review_id, caller=HOA)
    detail = service.stewards.ClaimReview(claim, timeout=DEADLINE_S).detail
    assert (detail.review.state, detail.review.claimed_by) == (wire.REVIEW_STATE_CLAIMED, "hoa")
    assert {detail.left.golden_id, detail.right.golden_id} == {review.left.golden_id, review.right.golden_id}
    total = detail.starting_weight_bits + sum(each.match_weight_bits for each in detail.comparisons)
    assert total == pytest.approx(detail.review.match_weight_bits)
    for caller, expected in ((LAN, "REVIEW_CLAIMED"), (common.Caller(), "INVALID_FIELD")):
        taken = wire.ClaimReviewRequest(review_id=review.review_id, caller=caller)
        assert refused(partial(service.stewards.ClaimReview, taken, timeout=DEADLINE_S))[0] == expected
    preview = service.resolve(review.review_id, wire.REVIEW_ANSWER_SAME, is_dry_run=True)
    assert len(preview.effect.before) == 2
    service.resolve(review.review_id, wire.REVIEW_ANSWER_DIFFERENT, etag=detail.review.etag)
    gone = refused(lambda: service.stewards.GetReview(wire.GetReviewRequest(review_id=review.review_id), timeout=10))
    assert gone[:2] == ("REVIEW_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


def test_unsure_and_escalated_reviews_are_listed_by_state(service: Service) -> None:
    parked, escalated = (service.review_of(service.namesakes()).review_id for _ in range(2))
    service.resolve(parked, wire.REVIEW_ANSWER_UNSURE)
    escalate = wire.ReleaseReviewRequest(review_id=escalated, is_escalated=True, reason="ask", caller=HOA)
    service.stewards.ReleaseReview(escalate, timeout=DEADLINE_S)
    for state, review_id in ((wire.REVIEW_STATE_PARKED, parked), (wire.REVIEW_STATE_ESCALATED, escalated)):
        listed = service.stewards.ListReviews(wire.ListReviewsRequest(state=state), timeout=DEADLINE_S).reviews
        assert [each.review_id for each in listed] == [review_id]
    silent = wire.ReleaseReviewRequest(review_id="R-1", is_escalated=True, caller=HOA)
    assert refused(lambda: service.stewards.ReleaseReview(silent, timeout=DEADLINE_S))[0] == "INVALID_FIELD"


def test_pages_hold_every_review_once(service: Service) -> None:
    for _ in range(3):
        service.namesakes()
    found, page_token = [], ""
    while True:
        request = wire.ListReviewsRequest(page_size=1, page_token=page_token)
        page = service.stewards.ListReviews(request, timeout=DEADLINE_S)
        found += [(each.priority, each.review_id) for each in page.reviews]
        page_token = page.next_page_token
        if not page_token:
            break
    assert len(found) == len(set(found)) >= 3
    assert [priority for priority, _ in found] == sorted((priority for priority, _ in found), reverse=True)
    foreign = wire.ListReviewsRequest(page_token="bogus")  # noqa: S106 - No password.
    assert refused(lambda: service.stewards.ListReviews(foreign, timeout=DEADLINE_S))[0] == "INVALID_TOKEN"


def test_a_large_merge_needs_a_second_person(service: Service) -> None:
    left, _ = service.person(TWO_PERSON_RECORDS_MIN - 1)
    right, _ = service.person()
    proposed = service.merge(left, right)
    assert proposed.is_proposed
    assert service.shown(right).golden_id == right
    listed = service.stewards.ListReviews(wire.ListReviewsRequest(state=wire.REVIEW_STATE_PROPOSED), timeout=DEADLINE_S)
    (review,) = listed.reviews
    assert (review.review_id, review.proposed_by) == (proposed.review_id, "hoa")
    assert review.member_count == TWO_PERSON_RECORDS_MIN
    own = refused(lambda: service.resolve(review.review_id, wire.REVIEW_ANSWER_APPROVE))
    assert own[:2] == ("SECOND_PERSON_REQUIRED", grpc.StatusCode.FAILED_PRECONDITION)
    service.resolve(review.review_id, wire.REVIEW_ANSWER_APPROVE, LAN)
    assert service.shown(right).golden_id == left


def test_stale_and_impossible_acts_have_their_reasons(service: Service) -> None:
    (left, _), (right, keys) = service.person(), service.person()
    etag = service.merge(left, right, is_dry_run=True).etag
    changed = citizen(
        keys[0].record_id, "Trần Thị Lạ", birth_date="1999-09-09", personal_id="", updated_at="2026-01-01"
    )
    service.registry.UpsertRecord(registry.UpsertRecordRequest(record=changed), timeout=DEADLINE_S)
    stale = refused(lambda: service.merge(left, right, etag=etag))
    assert stale[:2] == ("DECISION_STALE", grpc.StatusCode.FAILED_PRECONDITION)
    assert "right" in stale[2]
    assert refused(lambda: service.merge(left, left))[0] == "ACT_IMPOSSIBLE"
    assert refused(lambda: service.judge(keys[0], keys[0], wire.VERDICT_SAME))[0] == "ACT_IMPOSSIBLE"
    assert refused(lambda: service.judge(keys[0], key("NEVER-STORED"), wire.VERDICT_SAME))[0] == "RECORD_NOT_FOUND"


@pytest.mark.parametrize(
    "broken",
    [
        wire.MergeRequest(left_golden_id="C-1", right_golden_id="C-2", reason=""),
        wire.JudgeRequest(verdict=wire.VERDICT_SAME, reason="x"),
        wire.WithdrawJudgementRequest(judgement_id="17", reason="x"),
        wire.GetReviewRequest(review_id="R-0"),
        wire.ListReviewsRequest(page_size=PAGE_SIZE_MAX + 1),
        wire.ClaimReviewRequest(lease_seconds=REVIEW_LEASE_S_MAX + 1, caller=HOA),
        wire.ClaimReviewRequest(skipped_review_ids=["R-1"] * (REVIEWS_SKIPPED_MAX + 1), caller=HOA),
        wire.SplitRequest(golden_id="C-1", reason="x", keys=[key("A")] * (SPLIT_RECORDS_MAX + 1)),
        wire.OverrideValueRequest(golden_id="C-1", field="full name", value="x", reason="x"),
        wire.ResolveReviewRequest(review_id="R-1", reason="x"),
        wire.ResolveReviewRequest(review_id="R-1", answer=wire.REVIEW_ANSWER_UNSURE, reason=" \n"),
        wire.ReleaseReviewRequest(review_id="R-1", is_escalated=True, reason=" ", caller=HOA),
    ],
    ids=lambda request: type(request).__name__,
)
def test_a_request_that_breaks_the_protos_rules_is_refused(service: Service, broken: object) -> None:
    method = type(broken).__name__.removesuffix("Request")
    assert refused(lambda: getattr(service.stewards, method)(broken, timeout=DEADLINE_S))[0] == "INVALID_FIELD"


def test_a_value_is_checked_before_it_is_fixed(service: Service) -> None:
    golden_id, _ = service.person()
    request = wire.OverrideValueRequest(golden_id=golden_id, field="birth_date", value="31/02/1987", reason="x")
    assert refused(lambda: service.stewards.OverrideValue(request, timeout=DEADLINE_S))[0] == "INVALID_FIELD"
    fixed = wire.OverrideValueRequest(golden_id=golden_id, field="full_name", value="Trần Văn Đúng", reason="passport")
    was = [each.value for each in service.shown(golden_id).values if each.field == "full_name"]
    tried = wire.OverrideValueRequest(is_dry_run=True)
    tried.MergeFrom(fixed)
    (change,) = service.stewards.OverrideValue(tried, timeout=DEADLINE_S).effect.value_changes
    assert (change.golden_id, change.field) == (golden_id, "full_name")
    assert (list(change.before), list(change.after)) == (was, ["Trần Văn Đúng"])
    assert [each.value for each in service.shown(golden_id).values if each.field == "full_name"] == was
    service.stewards.OverrideValue(fixed, timeout=DEADLINE_S)
    assert "Trần Văn Đúng" in {each.value for each in service.shown(golden_id).values}
    free = wire.WithdrawOverrideRequest(golden_id=golden_id, field="full_name", reason="passport was false")
    untried = wire.WithdrawOverrideRequest(is_dry_run=True)
    untried.MergeFrom(free)
    (change,) = service.stewards.WithdrawOverride(untried, timeout=DEADLINE_S).effect.value_changes
    assert (list(change.before), list(change.after)) == (["Trần Văn Đúng"], was)
    service.stewards.WithdrawOverride(free, timeout=DEADLINE_S)
    assert "Trần Văn Đúng" not in {each.value for each in service.shown(golden_id).values}


def test_no_reason_and_no_value_stands_in_the_log(service: Service, served: RunningServer) -> None:
    assert "seen both cards" not in served.log()
    assert "Trần Văn Đúng" not in served.log()
