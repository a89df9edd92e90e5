"""The review queue through the writer: what is asked, in which order, who works on it, and when it closes by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mdm.config import Configuration
from mdm.declarations.sections import Stewardship
from mdm.domain import events as ev
from mdm.domain.events import ReviewAnswer
from mdm.domain.keys import EntityKind
from mdm.domain.reviews import PRIORITY_MAX, QueueState, ReviewKind
from mdm.limits import OVERSIZED_MEMBERS_MIN, PROPOSAL_S, REVIEW_LEASE_S, REVIEW_PARKED_S
from mdm.resolve import writer as writer_module
from mdm.resolve.commands import (
    ClaimReview,
    Command,
    Refusal,
    ReleaseReview,
    Request,
    ResolveReview,
    ReviewFilter,
    StewardAnswer,
)
from mdm.resolve.relink_commit import leave_to_steward
from mdm.resolve.relink_runs import Component
from tests.resolve.office import CONFIGURATION, Office, citizen
from tests.resolve.test_stewardship import ID, OTHER_ID, golden, thuy

NAMESAKE = "Trần Thị Kim Ngân"
"""Of another woman to whom the same number was given by mistake."""


class Clock:
    """Goes on by a microsecond with each look, and else only when it is moved."""

    def __init__(self) -> None:
        self.now_us = 1_800_000_000_000_000

    def __call__(self) -> int:
        # No two transactions have one time.
        self.now_us += 1
        return self.now_us


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(writer_module, "_now_us", moved)
    return moved


def request(actor: str) -> Request:
    return Request(ev.Cause(actor=actor, method="Test"))


def done(office: Office, command: Command) -> StewardAnswer:
    (answer,) = office.execute(command)
    assert isinstance(answer, StewardAnswer), answer
    return answer


def claim(office: Office, actor: str, review: int = 0, **wanted: object) -> int:
    return done(office, ClaimReview(request(actor), review, ReviewFilter(**wanted))).review  # type: ignore[arg-type]


def only(office: Office) -> int:
    (review,) = office.reviews()
    return review


@pytest.fixture
def asked(clock: Clock, office: Office) -> Office:
    """One question: two bearers of a common name, born the same day."""
    office.put_all([thuy("A", ID), thuy("B")])
    return office


def test_a_question_becomes_a_review_whose_id_outlives_new_evidence_and_never_comes_again(asked: Office) -> None:
    first = only(asked)
    seen = asked.reviews()[first]
    assert (seen.kind, seen.queue) == (ReviewKind.THIN_EVIDENCE, QueueState.OPEN)
    asked.put(citizen("B", "Nguyễn Thị Thúy", phone="", address="", registry="hospital", updated_at="2026"))
    asked.put(thuy("B", OTHER_ID))
    for review, entry in asked.reviews().items():
        assert review == first, entry
    asked.drop(thuy("B").key)
    assert asked.reviews() == {}
    asked.put(thuy("B"))
    assert only(asked) > first


def question_of(name: str) -> Callable[[Office], object]:
    return {
        "linked": lambda office: office.put(thuy("B", ID)),
        "deleted": lambda office: office.drop(thuy("A").key),
        "judged same": lambda office: office.same(thuy("A"), thuy("B")),
        "judged different": lambda office: office.different(thuy("A"), thuy("B")),
        "other values": lambda office: office.put(citizen("B", "Lý Quốc Cường", "1950-01-02", sex="M", phone="")),
    }[name]


@pytest.mark.parametrize("name", ["linked", "deleted", "judged same", "judged different", "other values"])
def test_a_review_closes_by_itself_when_its_cause_disappears(asked: Office, name: str, tmp_path: Path) -> None:
    review = claim(asked, "hoa")
    question_of(name)(asked)
    assert asked.reviews() == {}
    (answer,) = asked.execute(ResolveReview(request("hoa"), review, ReviewAnswer.SAME, "late"))
    assert isinstance(answer, Refusal)
    assert answer.error == "UnknownReviewError"
    assert asked.differences(tmp_path / "replayed") == []


def test_a_claim_is_exclusive_until_it_is_released_or_runs_out(asked: Office, clock: Clock) -> None:
    review = claim(asked, "hoa")
    assert asked.reviews()[review].claimed_by == "hoa"
    assert claim(asked, "lan") == 0, "nothing else waits"
    taken = ClaimReview(request("lan"), review)
    for command in (taken, ResolveReview(request("lan"), review, ReviewAnswer.SAME, "why")):
        assert asked.refused(command) == "ReviewClaimedError"
    clock.now_us += REVIEW_LEASE_S * 1_000_000
    assert claim(asked, "lan") == review
    assert asked.refused(ReleaseReview(request("hoa"), review)) == "ReviewClaimedError"
    done(asked, ReleaseReview(request("lan"), review))
    assert claim(asked, "hoa") == review
    assert asked.refused(ClaimReview(request(""))) == "InvalidInputError"


def test_unsure_rests_for_a_month_or_until_the_evidence_changes(asked: Office, clock: Clock) -> None:
    review = claim(asked, "hoa")
    asked.answer_review(review, ReviewAnswer.UNSURE, actor="hoa")
    assert asked.reviews()[review].queue is QueueState.PARKED
    assert claim(asked, "hoa") == 0
    clock.now_us += REVIEW_PARKED_S * 1_000_000
    assert claim(asked, "hoa") == review
    asked.answer_review(review, ReviewAnswer.UNSURE, actor="hoa")
    office = asked
    office.put(citizen("B", "Nguyễn Thị Thúy", sex="U", phone="", address=""))
    assert office.reviews()[review].queue is QueueState.OPEN


def test_an_escalated_review_waits_apart(asked: Office) -> None:
    review = claim(asked, "hoa")
    done(asked, ReleaseReview(request("hoa"), review, is_escalated=True, reason="needs the registrar"))
    assert asked.reviews()[review].queue is QueueState.ESCALATED
    assert claim(asked, "lan") == 0
    assert claim(asked, "lan", review) == review
    asked.answer_review(review, ReviewAnswer.DIFFERENT, actor="lan")
    assert asked.reviews() == {}


def test_the_most_urgent_comes_first_and_filters_choose(clock: Clock, office: Office) -> None:
    office.put_all([thuy("A", ID), thuy("B")])
    conflict = citizen("C", NAMESAKE, "1987-11-30", personal_id=ID, phone="", address="")
    office.put(conflict)
    by_kind = {entry.kind: review for review, entry in office.reviews().items()}
    assert set(by_kind) == {ReviewKind.THIN_EVIDENCE, ReviewKind.IDENTIFIER_CONFLICT}
    urgent = by_kind[ReviewKind.IDENTIFIER_CONFLICT]
    ranks = {review: entry.priority for review, entry in office.reviews().items()}
    assert max(ranks.values()) <= PRIORITY_MAX
    assert claim(office, "hoa", kinds=(ReviewKind.THIN_EVIDENCE,)) == by_kind[ReviewKind.THIN_EVIDENCE]
    assert claim(office, "lan", registry="household") == 0
    assert claim(office, "lan", entity_kind=EntityKind.BUSINESS) == 0
    assert claim(office, "lan", priority_min=PRIORITY_MAX) == 0
    assert claim(office, "lan", skipped=(urgent,)) == 0
    assert claim(office, "lan") == urgent


def test_one_verified_number_under_two_golden_records_is_asked_about_online_and_in_batch(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", NAMESAKE, "1987-11-30", personal_id=ID, phone="")
    office.put_all([first, second])
    assert office.questions() == {("A", "B"): ev.MatchReason.IDENTIFIER_CONFLICT}
    office.relink_here()
    assert office.questions() == {("A", "B"): ev.MatchReason.IDENTIFIER_CONFLICT}
    office.answer_review(only(office), ReviewAnswer.DIFFERENT)
    office.put(citizen("B", NAMESAKE, "1987-11-30", personal_id=ID, phone="", address=""))
    office.relink_here()
    assert office.questions() == {}


def test_a_golden_record_that_grew_too_large_is_asked_about_once_and_again_when_it_doubles(office: Office) -> None:
    def visit(at: int) -> object:
        return office.put(citizen(f"V{at}", personal_id=ID))

    for at in range(OVERSIZED_MEMBERS_MIN - 1):
        visit(at)
    assert office.reviews() == {}
    visit(OVERSIZED_MEMBERS_MIN)
    visit(OVERSIZED_MEMBERS_MIN + 1)
    review = only(office)
    assert office.reviews()[review].kind is ReviewKind.OVERSIZED
    assert office.refused(ResolveReview(request("hoa"), review, ReviewAnswer.SAME, "why")) == "ActImpossibleError"
    office.answer_review(review, ReviewAnswer.ACCEPT)
    assert office.reviews() == {}
    for at in range(OVERSIZED_MEMBERS_MIN + 2, 2 * OVERSIZED_MEMBERS_MIN + 3):
        visit(at)
    assert only(office) > review
    visit(2 * OVERSIZED_MEMBERS_MIN + 3)
    again = only(office)
    office.drop(citizen("V0").key)
    (asked,) = office.reviews().values()
    assert asked.left in office.members(), "it points at nothing that is gone"
    assert office.answer_review(again, ReviewAnswer.UNSURE).review == again
    office.drop(citizen("V1").key)
    office.drop(citizen("V2").key)
    assert office.reviews() == {}, "as large as that it is no longer"


def test_a_stale_answer_is_refused_and_says_what_changed(asked: Office) -> None:
    review = claim(asked, "hoa")
    etag = done(asked, ClaimReview(request("hoa"), review)).etag
    asked.put(citizen("B", "Nguyễn Thị Thúy", sex="U", phone="", address=""))
    (answer,) = asked.execute(ResolveReview(request("hoa"), review, ReviewAnswer.SAME, "why", etag))
    assert isinstance(answer, Refusal)
    assert answer.error == "StaleDecisionError"
    assert answer.arguments[0].startswith("changed since it was looked at: ")
    assert "right" in answer.arguments[0]


@pytest.fixture
def two_person(clock: Clock, tmp_path: Path) -> Office:
    office = Office(tmp_path / "two")
    office.writer.close()
    office.directory.close()
    office.directory = type(office.directory).open(office.path, exclusive=True)
    strict = Configuration(CONFIGURATION.registries, Stewardship(two_person_records_min=3))
    office.writer = writer_module.Writer.open(office.directory, strict)
    return office


def test_a_large_merge_waits_for_a_second_person(two_person: Office, clock: Clock, tmp_path: Path) -> None:
    office = two_person
    other = citizen("D", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")
    office.put_all([citizen("A", personal_id=ID), citizen("A2", personal_id=ID), other])
    act = ev.Merge(golden(office, citizen("A")), golden(office, other))
    assert office.steward(act, dry_run=True).is_proposed
    proposed = office.steward(act, actor="hoa")
    assert proposed.is_proposed
    assert golden(office, other) != golden(office, citizen("A"))
    assert office.reviews()[proposed.review].kind is ReviewKind.PROPOSAL
    assert office.steward(act, actor="hoa").review == proposed.review, "proposing again proposes nothing new"
    approve = ResolveReview(request("hoa"), proposed.review, ReviewAnswer.APPROVE, "I am sure")
    assert office.refused(approve) == "SecondPersonRequiredError"
    assert office.refused(ResolveReview(request(""), proposed.review, ReviewAnswer.APPROVE, "x")) == "InvalidInputError"
    office.answer_review(proposed.review, ReviewAnswer.APPROVE, actor="lan")
    assert golden(office, other) == golden(office, citizen("A"))
    assert office.reviews() == {}
    assert office.differences(tmp_path / "replayed") == []
    office.close()


def test_a_proposal_lapses_is_rejected_or_closes_with_its_records(two_person: Office, clock: Clock) -> None:
    office = two_person
    other = citizen("D", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")
    office.put_all([citizen("A", personal_id=ID), citizen("A2", personal_id=ID), other])
    act = ev.Merge(golden(office, citizen("A")), golden(office, other))
    first = office.steward(act, actor="hoa").review
    clock.now_us += PROPOSAL_S * 1_000_000
    late = ResolveReview(request("lan"), first, ReviewAnswer.APPROVE, "why")
    assert office.refused(late) == "StaleDecisionError"
    second = office.steward(act, actor="hoa").review
    assert second > first
    office.answer_review(second, ReviewAnswer.REJECT, actor="lan")
    assert office.reviews() == {}
    office.steward(act, actor="hoa")
    office.drop(other.key)
    assert office.reviews() == {}
    office.close()


def test_no_size_is_above_the_rule_by_another_name(two_person: Office) -> None:
    office = two_person
    other = citizen("D", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")
    office.put_all([citizen("A", personal_id=ID), citizen("A2", personal_id=ID), other])
    assert office.same(citizen("A"), other).is_proposed
    assert office.steward(ev.Move(office.number(other.key), golden(office, citizen("A")))).is_proposed
    office.close()


def test_a_repeated_claim_gets_the_first_answer(asked: Office) -> None:
    once = ClaimReview(Request(ev.Cause(actor="hoa"), "once", b"content"))
    assert done(asked, once).review == done(asked, once).review != 0


def test_what_a_commit_drops_is_left_to_a_steward(asked: Office) -> None:
    pair = asked.pair(thuy("A"), thuy("B"))
    component = Component(((pair[0],), (pair[1],)), *pair, 9.0, ())
    with asked.writer._transaction(dict(asked.writer._engines)) as group:
        leave_to_steward(group, asked.cause, component, "run")
        group.add(asked.cause, ev.PotentialMatchClosed(*pair))
        leave_to_steward(group, asked.cause, component, "run")
    (review,) = asked.reviews().values()
    assert review.kind is ReviewKind.RELINK_LEFTOVER
    asked.different(thuy("A"), thuy("B"))
    with asked.writer._transaction(dict(asked.writer._engines)) as group:
        leave_to_steward(group, asked.cause, component, "run")
    assert asked.reviews() == {}
