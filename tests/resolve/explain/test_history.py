"""What happened to a golden ID: every kind of entry with its ground, its records and its words; paging; growth."""

from __future__ import annotations

import random

import pytest

from mdm.config import Configuration
from mdm.declarations.sections import Stewardship
from mdm.domain import events as ev
from mdm.domain.changes import ChangeKind
from mdm.domain.keys import EntityKind, GoldenId, golden_id
from mdm.errors import UnknownGoldenIdError
from mdm.limits import OVERSIZED_MEMBERS_MIN
from mdm.resolve.commands import (
    Erase,
    EraseAnswer,
    Pin,
    ReleaseReview,
    Request,
    Split,
    StewardAnswer,
    Unmerge,
    Unpin,
    WithdrawJudgement,
)
from mdm.resolve.explain.explainer import History
from mdm.resolve.explain.history import Ground, HistoryEntry, history_page
from mdm.resolve.explain.phrases import phrase
from mdm.resolve.group import Group
from mdm.resolve.reasons import seal_reason
from mdm.resolve.views import GoldenState
from mdm.resolve.writer import Writer
from tests.resolve.explain.explaining import explaining, reading
from tests.resolve.office import CONFIGURATION, Office, citizen
from tests.resolve.test_past import add, busy_city

ID, OTHER_ID, INSURANCE = "079187000123", "079187000456", "7912345678"
NAME = "Nguyễn Thị Hoa"


def history(office: Office, identifier: GoldenId | None) -> History:
    assert identifier is not None
    with explaining(office) as explainer:
        return explainer.history(identifier, 500, None)


def kinds(found: History) -> list[tuple[ChangeKind, Ground]]:
    return [(each.kind, each.ground) for each in found.entries]


def entry(found: History, kind: ChangeKind) -> HistoryEntry:
    (only,) = [each for each in found.entries if each.kind is kind]
    return only


def test_a_merge_is_told_from_both_sides(office: Office) -> None:
    first = citizen("A", NAME, personal_id=ID, phone="", address="")
    second = citizen("B", NAME, insurance=INSURANCE, phone="", address="")
    third = citizen("C", NAME, personal_id=ID, insurance=INSURANCE, phone="", address="")
    office.put_all([first, second])
    older, younger = office.id_of(first), office.id_of(second)
    office.put(third)
    numbers = [office.number(each.key) for each in (first, second, third)]
    mine, theirs = history(office, older), history(office, younger)
    assert (theirs.golden_id, theirs.state) == (older, GoldenState.REDIRECTED)
    assert theirs.requested == younger
    absorbed, merged = entry(mine, ChangeKind.ABSORBED), entry(theirs, ChangeKind.MERGED)
    assert (absorbed.other, merged.other) == (younger, older)
    assert absorbed.position.seq == merged.position.seq
    assert absorbed.numbers == merged.numbers
    assert set(absorbed.numbers) <= set(numbers[1:])
    assert absorbed.match_weight_bits is not None
    assert absorbed.sentence.en.startswith(
        "Took in another golden ID, which redirects here (the machine's decision): +"
    )
    assert mine.entries[0].kind is ChangeKind.CREATED
    assert (mine.entries[0].numbers, mine.entries[0].match_weight_bits) == ((numbers[0],), None)
    assert mine.entries[0].cause.model == office.engines()["model:citizen"]
    assert mine.keys[numbers[0]] == first.key


def test_a_record_that_joins_and_leaves_names_its_partner_and_where_it_went(office: Office) -> None:
    stays, goes = citizen("A", personal_id=ID), citizen("B", personal_id=ID)
    office.put_all([stays, goes])
    left = office.id_of(stays)
    office.put(citizen("B", "Trần Văn Tâm", "1950-01-02", sex="M", personal_id=OTHER_ID, updated_at="2026-01-01"))
    found = history(office, left)
    joined, gone = entry(found, ChangeKind.JOINED), entry(found, ChangeKind.LEFT)
    assert joined.numbers == gone.numbers == (office.number(goes.key),)
    assert joined.partner == office.number(stays.key)
    assert joined.match_weight_bits is not None
    assert gone.other == office.id_of(goes)
    changed = entry(found, ChangeKind.VALUES_CHANGED)
    assert (changed.ground, changed.numbers) == (Ground.REGISTRY, (office.number(goes.key),))


def test_a_deletion_moves_the_anchor_and_the_last_one_retires(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", personal_id=ID)
    office.put_all([first, second])
    identifier = office.id_of(first)
    office.drop(first.key)
    office.drop(second.key)
    found = history(office, identifier)
    assert (found.golden_id, found.state) == (None, GoldenState.RETIRED)
    assert kinds(found) == [
        (ChangeKind.CREATED, Ground.DECISION),
        (ChangeKind.JOINED, Ground.DECISION),
        (ChangeKind.ANCHOR_MOVED, Ground.DECISION),
        (ChangeKind.LEFT, Ground.REGISTRY),
        (ChangeKind.RETIRED, Ground.DECISION),
        (ChangeKind.LEFT, Ground.REGISTRY),
    ]
    assert entry(found, ChangeKind.ANCHOR_MOVED).numbers == (office.number(second.key),)


def test_questions_and_judgements_name_their_two_records(office: Office) -> None:
    left, right = (citizen(each, NAME, phone="", address="") for each in ("A", "B"))
    office.put_all([left, right])
    pair = (office.number(left.key), office.number(right.key))
    office.judge(left.key, right.key, ev.Verdict.DIFFERENT)
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        words = seal_reason(group, pair, "looked again")
        group.add(ev.Cause(actor="steward"), ev.JudgementWithdrawn(*pair, words))
        office.writer._journal.commit(group.batch)
    office.judge(left.key, right.key, ev.Verdict.SAME)
    found = history(office, office.id_of(left))
    assert kinds(found)[1:] == [
        (ChangeKind.POTENTIAL_MATCH_OPENED, Ground.DECISION),
        (ChangeKind.JUDGED_DIFFERENT, Ground.STEWARD),
        (ChangeKind.JUDGEMENT_WITHDRAWN, Ground.STEWARD),
        (ChangeKind.JUDGED_SAME, Ground.STEWARD),
    ]
    assert {each.numbers for each in found.entries[1:]} == {pair}
    assert {each.other for each in found.entries[1:]} == {office.id_of(right)}
    asked = entry(found, ChangeKind.POTENTIAL_MATCH_OPENED)
    assert (asked.detail, asked.partner) == ("name_and_birth_date_only", None)
    assert "chỉ có họ tên và ngày sinh" in asked.sentence.vi
    assert found.entries[-1].cause.actor == "steward"
    # What the judgement brings about is the steward's, whatever the evidence weighs.
    office.put(citizen("B", NAME, phone="", address="", updated_at="2026-01-01"))
    merged = entry(history(office, office.id_of(left)), ChangeKind.ABSORBED)
    assert (merged.ground, merged.match_weight_bits) == (Ground.STEWARD, None)


def test_fixed_values_name_their_field(office: Office) -> None:
    office.put(citizen("A", personal_id=ID))
    number = office.number(citizen("A").key)
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        payload_id, _ = group.seal(number, b"Hoa")
        group.add(ev.Cause(actor="steward"), ev.ValuePinned(number, "full_name", payload_id))
        office.writer._journal.commit(group.batch)
    add(office, ev.ValueUnpinned(number, "full_name"))
    found = history(office, office.id_of(citizen("A")))
    assert [(each.kind, each.detail, each.numbers) for each in found.entries[1:]] == [
        (ChangeKind.VALUE_PINNED, "full_name", (number,)),
        (ChangeKind.VALUE_UNPINNED, "full_name", (number,)),
    ]


SEEN = "seen the files"
"""What the office's steward gives as the reason of every act."""


def said(found: History, since: int) -> list[tuple[ChangeKind, Ground, str]]:
    return [(each.kind, each.ground, each.reason) for each in found.entries if each.position.seq > since]


def test_a_merge_and_an_unmerge_say_why_from_both_sides(office: Office) -> None:
    first = citizen("A", NAME, personal_id=ID, phone="", address="")
    second = citizen("B", "Trần Văn Tâm", "1950-01-02", sex="M", personal_id=OTHER_ID, phone="", address="")
    office.put_all([first, second])
    older, younger = office.id_of(first), office.id_of(second)
    assert older is not None
    assert younger is not None
    before = office.seq
    office.steward(ev.Merge(older, younger))
    merged = office.seq
    steward = (Ground.STEWARD, SEEN)
    assert said(history(office, older), before) == [(ChangeKind.ABSORBED, *steward), (ChangeKind.JUDGED_SAME, *steward)]
    assert said(history(office, younger), before) == [(ChangeKind.MERGED, *steward)]
    office.steward(Unmerge(younger))
    assert said(history(office, older), merged) == [
        (ChangeKind.JUDGEMENT_WITHDRAWN, *steward),
        (ChangeKind.SPLIT, *steward),
    ]
    assert said(history(office, younger), merged) == [(ChangeKind.RESTORED, *steward)]


def test_every_entry_of_an_act_is_the_stewards_and_says_why(office: Office) -> None:
    members = [citizen(each, personal_id=ID) for each in "ABC"]
    other = citizen("D", "Trần Văn Tâm", "1950-01-02", sex="M", personal_id=OTHER_ID, phone="", address="")
    office.put_all([*members, other])
    mine, theirs = office.id_of(members[0]), office.id_of(other)
    assert mine is not None
    assert theirs is not None
    before = office.seq
    office.steward(Pin(mine, "full_name", "Huỳnh Ngọc Bảo"))
    office.steward(Unpin(mine, "full_name"))
    office.steward(Pin(mine, "full_name", "Huỳnh Bảo Trâm"))
    # The anchor moves: so it hands over what is fixed and what the golden ID stands for.
    office.steward(ev.Move(office.number(members[0].key), theirs))
    office.steward(Split(mine, (office.number(members[1].key),)))
    for found in (history(office, mine), history(office, theirs)):
        told = said(found, before)
        assert {(ground, reason) for _, ground, reason in told} == {(Ground.STEWARD, SEEN)}
    assert {kind for kind, _, _ in said(history(office, mine), before)} == {
        ChangeKind.VALUE_PINNED,
        ChangeKind.VALUE_UNPINNED,
        ChangeKind.ANCHOR_MOVED,
        ChangeKind.SPLIT,
        ChangeKind.JUDGED_DIFFERENT,
    }


def test_a_question_that_a_judgement_answers_is_closed_by_the_steward(office: Office) -> None:
    left, right = (citizen(each, NAME, phone="", address="") for each in ("A", "B"))
    office.put_all([left, right])
    done = office.different(left, right)
    closed = entry(history(office, office.id_of(left)), ChangeKind.POTENTIAL_MATCH_CLOSED)
    assert (closed.ground, closed.reason) == (Ground.STEWARD, SEEN)
    before = office.seq
    office.steward(WithdrawJudgement(done.judgement))
    # What the evidence says afterwards is the machine's again.
    assert said(history(office, office.id_of(left)), before) == [
        (ChangeKind.JUDGEMENT_WITHDRAWN, Ground.STEWARD, SEEN),
        (ChangeKind.POTENTIAL_MATCH_OPENED, Ground.DECISION, ""),
    ]


def test_what_a_leaving_record_leaves_to_others_is_no_new_act(office: Office) -> None:
    first, second, third = (
        citizen(each, name, phone="", address="")
        for each, name in (("A", NAME), ("B", "Trần Thị Tâm"), ("C", "Lê Thị Xuân"))
    )
    office.put_all([first, second, third])
    office.same(first, second)
    office.different(first, third)
    identifier = office.id_of(second)
    assert identifier is not None
    office.steward(Pin(identifier, "full_name", "Trần Thị Mai"))
    before = office.seq
    office.drop(first.key)
    found = history(office, identifier)
    assert said(found, before) == [
        (ChangeKind.VALUE_UNPINNED, Ground.REGISTRY, ""),
        (ChangeKind.VALUE_PINNED, Ground.REGISTRY, ""),
        (ChangeKind.JUDGED_DIFFERENT, Ground.STEWARD, SEEN),
        (ChangeKind.ANCHOR_MOVED, Ground.DECISION, ""),
        (ChangeKind.LEFT, Ground.REGISTRY, ""),
    ]
    left = found.entries[-3]
    assert (left.detail, left.cause.actor) == ("inherited", "clerk")
    assert left.sentence.en == "Two records were judged different (a steward): taken over from a record that left"


def test_a_judgement_of_a_former_bearer_is_not_withdrawn_by_a_steward(office: Office) -> None:
    first, second = (
        citizen("A", personal_id=ID),
        citizen("B", "Lê Thị Xuân", personal_id=OTHER_ID, phone="", address=""),
    )
    office.put_all([first, second])
    office.different(first, second)
    office.put(citizen("B", "Trần Văn Tâm", "1950-01-02", sex="M", personal_id="079050000789", updated_at="2027-01-01"))
    gone = entry(history(office, office.id_of(first)), ChangeKind.JUDGEMENT_WITHDRAWN)
    assert (gone.ground, gone.reason) == (Ground.REGISTRY, "")


def test_words_about_an_erased_record_are_not_told(office: Office) -> None:
    left, right = (citizen(each, NAME, phone="", address="") for each in ("A", "B"))
    office.put_all([left, right])
    office.different(left, right)
    (done,) = office.execute(Erase(Request(ev.Cause(actor="operator", method="Test")), office.id_of(right)))
    assert isinstance(done, EraseAnswer), done
    judged = entry(history(office, office.id_of(left)), ChangeKind.JUDGED_DIFFERENT)
    assert (judged.ground, judged.reason) == (Ground.STEWARD, "")


def test_a_relinkage_and_its_reversal_name_their_runs(office: Office) -> None:
    first = citizen("A", personal_id=ID)
    office.put(first)
    office.put(citizen("B", personal_id=ID), later=True)
    run = office.relink_here()
    found = history(office, office.id_of(first))
    joined = entry(found, ChangeKind.JOINED)
    assert (joined.ground, joined.run_id) == (Ground.RELINK, run.run_id)
    assert joined.numbers == (office.number(citizen("B").key),)
    assert phrase("ground", "relink").vi in joined.sentence.vi


def test_every_entry_of_a_busy_city_is_said_and_pages_are_the_whole(office: Office) -> None:
    busy_city(office)
    chosen = random.Random(2)
    seen: set[tuple[ChangeKind, Ground]] = set()
    with reading(office) as (_, state):
        for identifier, _ in state.view.iter_goldens():
            whole = history_page(state, identifier, 10_000, None)
            assert whole.following is None
            assert whole.entries[0].kind is ChangeKind.CREATED
            positions = [each.position for each in whole.entries]
            assert positions == sorted(set(positions))
            assert all(each.sentence.vi and each.sentence.en for each in whole.entries)
            seen |= {(each.kind, each.ground) for each in whole.entries}
            size, paged, after = chosen.randint(1, 3), [], None
            while True:
                page = history_page(state, identifier, size, after)
                paged += page.entries
                after = page.following
                if after is None:
                    break
            assert paged == whole.entries
    assert {kind for kind, _ in seen} >= {
        ChangeKind.MERGED,
        ChangeKind.SPLIT,
        ChangeKind.RESTORED,
        ChangeKind.RETIRED,
        ChangeKind.POTENTIAL_MATCH_CLOSED,
    }
    assert {ground for _, ground in seen} >= {Ground.DECISION, Ground.RELINK, Ground.REVERT, Ground.REGISTRY}


def test_growth_tells_how_each_present_member_came(office: Office) -> None:
    busy_city(office)
    with reading(office) as (explainer, state):
        goldens = [(identifier, entry) for identifier, entry in state.view.iter_goldens() if entry.members]
        for identifier, golden in goldens:
            steps = explainer.how(identifier).steps
            assert set(golden.members) == {number for each in steps for number in each.numbers}
            assert [each.position for each in steps] == sorted(each.position for each in steps)


def test_a_pair_says_when_it_came_together_also_before_a_merge(office: Office) -> None:
    first = citizen("A", NAME, insurance=INSURANCE, phone="", address="")
    pair = [citizen(each, NAME, personal_id=ID, phone="", address="") for each in ("B", "C")]
    office.put_all([first, *pair])
    met = office.seq
    office.put(citizen("D", NAME, personal_id=ID, insurance=INSURANCE, phone="", address=""))
    assert office.id_of(first) == office.id_of(pair[0]) == office.id_of(pair[1])
    with explaining(office) as explainer:
        together = explainer.why(pair[0].key, pair[1].key)
        across = explainer.why(first.key, pair[0].key)
    assert together.decision is not None
    assert (together.decision.kind, together.decision.position.seq <= met) == (ChangeKind.JOINED, True)
    assert across.decision is not None
    assert (across.decision.kind, across.decision.position.seq > met) == (ChangeKind.ABSORBED, True)
    assert not together.was_decided_otherwise


def test_a_decision_under_another_epoch_is_said_to_be_so(office: Office) -> None:
    one, other = citizen("A", personal_id=ID), citizen("B", personal_id=ID)
    office.put_all([one, other])
    office.relink_here()
    with explaining(office) as explainer:
        found = explainer.why(one.key, other.key)
    assert found.decision is not None
    assert found.decision.cause.epoch != found.engine.epoch_digest
    assert found.was_decided_otherwise


def test_a_golden_id_that_was_never_issued_has_no_history(office: Office) -> None:
    office.put(citizen("A"))
    with explaining(office) as explainer, pytest.raises(UnknownGoldenIdError):
        explainer.history(golden_id(EntityKind.CITIZEN, 0), 10, None)


def test_reviews_and_proposals_stand_in_the_history(office: Office) -> None:
    strict = Configuration(CONFIGURATION.registries, Stewardship(two_person_records_min=3))
    office.writer.close()
    office.writer = Writer.open(office.directory, strict)
    left, right = citizen("A", personal_id=ID), citizen("B", "Lê Thị Xuân", phone="", address="")
    office.put_all([left, right, citizen("C", personal_id=ID)])
    mine, theirs = office.id_of(left), office.id_of(right)
    assert mine is not None
    assert theirs is not None
    before = office.seq
    office.steward(ev.Merge(mine, theirs))
    (review,) = office.reviews()
    rejected = office.answer_review(review, ev.ReviewAnswer.REJECT, actor="second").seq
    office.steward(ev.Merge(mine, theirs))
    (review,) = office.reviews()
    office.answer_review(review, ev.ReviewAnswer.APPROVE, actor="second")
    found = history(office, theirs)
    told = [each for each in found.entries if each.position.seq > before]
    assert {(each.ground, each.reason) for each in told} == {(Ground.STEWARD, SEEN)}
    assert [(each.kind, each.detail, each.cause.actor) for each in told] == [
        (ChangeKind.REVIEW_OPENED, "proposal", "steward"),
        (ChangeKind.REVIEW_CLOSED, "reject", "second"),
        (ChangeKind.REVIEW_OPENED, "proposal", "steward"),
        # Agreed to, it ends with the answer, and then the join is made in the same transaction.
        (ChangeKind.REVIEW_CLOSED, "approve", "second"),
        (ChangeKind.MERGED, "", "second"),
    ]
    assert rejected < told[2].position.seq
    assert (told[0].other, told[0].numbers) == (mine, (office.number(right.key),))
    assert told[0].sentence.en == "A review waits for a steward (a steward): a second person has to agree to a join"


def test_a_question_that_rests_or_is_escalated_says_why(office: Office) -> None:
    left, right = (citizen(each, NAME, phone="", address="") for each in ("A", "B"))
    office.put_all([left, right])
    (review,) = office.reviews()
    before = office.seq
    office.answer_review(review, ev.ReviewAnswer.UNSURE)
    request = Request(ev.Cause(actor="steward", method="Test"))
    (released,) = office.execute(ReleaseReview(request, review, is_escalated=True, reason="asks for more"))
    assert isinstance(released, StewardAnswer), released
    found = history(office, office.id_of(left))
    assert said(found, before) == [
        (ChangeKind.REVIEW_PARKED, Ground.STEWARD, SEEN),
        (ChangeKind.REVIEW_ESCALATED, Ground.STEWARD, "asks for more"),
    ]
    assert found.entries[-1].other == office.id_of(right)


def test_a_golden_record_that_grew_too_large_and_is_right_says_so(office: Office) -> None:
    visits = [citizen(f"V{at}", personal_id=ID) for at in range(OVERSIZED_MEMBERS_MIN)]
    office.put_all(visits)
    (review,) = office.reviews()
    office.answer_review(review, ev.ReviewAnswer.ACCEPT)
    found = history(office, office.id_of(visits[0]))
    opened, closed = entry(found, ChangeKind.REVIEW_OPENED), entry(found, ChangeKind.REVIEW_CLOSED)
    assert (opened.ground, opened.detail, opened.reason) == (Ground.DECISION, "oversized", "")
    assert (closed.ground, closed.detail, closed.reason) == (Ground.STEWARD, "accept", SEEN)


def test_an_erasure_stands_in_the_history_of_the_id_that_remains(office: Office) -> None:
    office.put(citizen("A", personal_id=ID))
    before, identifier = office.seq, office.id_of(citizen("A"))
    assert identifier is not None
    request = Request(ev.Cause(actor="operator", method="Test"))
    (done,) = office.execute(Erase(request, identifier, reason="asked for in writing"))
    assert isinstance(done, EraseAnswer), done
    found = history(office, identifier)
    words = "asked for in writing"
    assert said(found, before) == [
        (ChangeKind.RETIRED, Ground.OPERATOR, words),
        (ChangeKind.LEFT, Ground.OPERATOR, words),
        (ChangeKind.ERASED, Ground.OPERATOR, words),
    ]
    assert found.entries[0].ground is Ground.DECISION
