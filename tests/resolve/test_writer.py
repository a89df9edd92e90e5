"""What a write answers and leaves behind, with the real normaliser and the shipped models."""

from __future__ import annotations

import msgspec
import pytest

from mdm.domain.changes import ChangeKind
from mdm.domain.keys import GoldenId, SourceKey
from mdm.linkage.features import FieldIssue
from mdm.resolve.commands import (
    BeginLoad,
    ClerkChoice,
    Delete,
    FinishLoad,
    LoadAnswer,
    Refusal,
    Request,
    Upsert,
    WriteAnswer,
    WriteOutcome,
)
from tests.resolve.office import CITIZEN, Office, business, citizen

CREATED, LINKED, REVIEW = WriteOutcome.CREATED, WriteOutcome.LINKED, WriteOutcome.REVIEW


def changes_of(answer: WriteAnswer) -> list[tuple[GoldenId, ChangeKind]]:
    return [(change.golden_id, change.kind) for change in answer.changes]


def test_a_first_record_is_created_and_a_second_of_the_same_person_linked(office: Office) -> None:
    first = office.put(citizen("H1", personal_id="079187000123"))
    second = office.put(citizen("S1", registry="social_security", personal_id="079187000123"))

    assert first.outcome is CREATED
    assert first.golden_id is not None
    assert changes_of(first) == [(first.golden_id, ChangeKind.CREATED)]
    assert (second.outcome, second.golden_id) == (LINKED, first.golden_id)
    assert changes_of(second) == [(first.golden_id, ChangeKind.JOINED)]


def test_records_of_one_group_see_each_other(office: Office) -> None:
    answers = office.put_all([citizen("H1"), citizen("H2"), citizen("H3")])
    assert [answer.outcome for answer in answers] == [CREATED, LINKED, LINKED]
    assert len({answer.golden_id for answer in answers}) == 1


def test_a_doubtful_record_gets_its_own_golden_id_and_a_question(office: Office) -> None:
    first = office.put(citizen("H1", "Nguyễn Thị Thúy", phone="", address=""))
    second = office.put(citizen("H2", "Nguyễn Thị Thúy", phone="", address=""))

    assert second.outcome is REVIEW
    assert second.golden_id != first.golden_id
    assert list(office.questions()) == [("H1", "H2")]


def test_an_unchanged_row_writes_nothing(office: Office) -> None:
    record = citizen("H1", updated_at="2025-01-01")
    first = office.put(record)
    seq = office.seq
    again = office.put(record)

    assert (again.outcome, again.golden_id, again.seq, office.seq) == (
        WriteOutcome.UNCHANGED,
        first.golden_id,
        seq,
        seq,
    )


def test_an_older_row_is_stale_unless_it_is_allowed(office: Office) -> None:
    office.put(citizen("H1", phone="0903000001", updated_at="2025-02-01"))
    older = citizen("H1", phone="0903000002", updated_at="2025-01-01")
    seq = office.seq

    assert office.put(older).outcome is WriteOutcome.STALE
    assert office.seq == seq
    assert office.put(older, allow_older=True).outcome is WriteOutcome.UPDATED
    assert office.seq > seq


def test_an_older_delete_is_stale_unless_it_is_allowed(office: Office) -> None:
    stored = citizen("H1", updated_at="2025-02-01")
    golden_id = office.put(stored).golden_id
    older = Delete(Request(office.cause), stored.key, updated_at="2025-01-01")
    seq = office.seq
    (answer,) = office.execute(older)
    assert isinstance(answer, WriteAnswer)
    assert (answer.outcome, answer.golden_id, office.seq) == (WriteOutcome.STALE, golden_id, seq)
    assert office.id_of(stored) == golden_id
    (answer,) = office.execute(msgspec.structs.replace(older, allow_older=True))
    assert isinstance(answer, WriteAnswer)
    assert answer.outcome is WriteOutcome.DELETED


@pytest.mark.parametrize("later", [False, True])
def test_a_time_in_the_future_holds_up_no_correction_and_no_withdrawal(office: Office, later: bool) -> None:  # noqa: FBT001
    ahead = FieldIssue("updated_at", "lies in the future")
    slip = office.put(citizen("H1", phone="0903000001", updated_at="2099-06-01"), later=later)
    assert ahead in slip.issues
    mended = citizen("H1", phone="0903000002", updated_at="2025-02-01")
    answer = office.put(mended)
    assert answer.outcome not in {WriteOutcome.STALE, WriteOutcome.UNCHANGED}
    assert ahead not in answer.issues
    # From now on the stored time counts again.
    assert office.put(citizen("H1", phone="0903000003", updated_at="2025-01-01")).outcome is WriteOutcome.STALE
    office.put(citizen("H1", phone="0903000004", updated_at="2099-06-01"))
    (gone,) = office.execute(Delete(Request(office.cause), mended.key, updated_at="2025-03-01"))
    assert isinstance(gone, WriteAnswer)
    assert gone.outcome is WriteOutcome.DELETED


@pytest.mark.parametrize(
    ("withdrawn_at", "updated_at", "outcome"),
    [
        ("2025-03-01", "2025-02-01", WriteOutcome.STALE),
        ("2025-03-01", "2025-01-01", WriteOutcome.STALE),
        ("2025-03-01", "2025-03-01", WriteOutcome.CREATED),
        ("2025-03-01", "", WriteOutcome.CREATED),
        ("", "2024-01-01", WriteOutcome.CREATED),
    ],
)
def test_a_row_older_than_the_withdrawal_revives_nobody(
    office: Office, withdrawn_at: str, updated_at: str, outcome: WriteOutcome
) -> None:
    stored = citizen("H1", updated_at="2025-01-01")
    office.put(stored)
    office.execute(Delete(Request(office.cause), stored.key, updated_at=withdrawn_at))
    late = citizen("H1", phone="0903000002", updated_at=updated_at)
    answer = office.put(late)
    assert (answer.outcome, answer.golden_id is None) == (outcome, outcome is WriteOutcome.STALE)
    assert office.put(late, allow_older=True).outcome is not WriteOutcome.STALE


def test_a_row_is_stale_for_both_its_records_while_one_of_them_is_stored_newer(office: Office) -> None:
    firm, person = business("F1", "CÔNG TY TNHH BÌNH AN"), citizen("F1", registry="company", updated_at="2025-01-01")
    office.put(msgspec.structs.replace(firm, updated_at="2025-06-01"))
    row = Upsert(Request(office.cause), person, other_kind=firm.key.kind)
    (answer,) = office.execute(row)
    assert isinstance(answer, WriteAnswer)
    assert (answer.outcome, answer.golden_id) == (WriteOutcome.STALE, None)
    # One that was withdrawn, as when a poisoned load is taken back, holds nobody up.
    office.drop(firm.key)
    (answer,) = office.execute(row)
    assert isinstance(answer, WriteAnswer)
    assert answer.outcome is WriteOutcome.CREATED


def test_an_undated_row_is_never_stale(office: Office) -> None:
    office.put(citizen("H1", phone="0903000001", updated_at="2025-02-01"))
    assert office.put(citizen("H1", phone="0903000002")).outcome is WriteOutcome.UPDATED


def test_a_repeated_request_gets_the_first_answer_and_writes_nothing(office: Office) -> None:
    record = citizen("H1")
    first = office.put(record, request_id="r1", content=b"a")
    office.drop(record.key)
    seq = office.seq
    again = office.put(record, request_id="r1", content=b"a")

    assert again == msgspec.structs.replace(first, is_repeated=True)
    assert office.seq == seq


def test_a_request_repeated_within_one_group_is_answered_once(office: Office) -> None:
    command = Upsert(Request(office.cause, "r1", b"a"), citizen("H1"))
    first, second = office.execute(command, command)
    assert isinstance(first, WriteAnswer)
    assert isinstance(second, WriteAnswer)
    assert (first.is_repeated, second.is_repeated) == (False, True)
    assert second.golden_id == first.golden_id


def test_a_request_id_with_other_content_is_refused(office: Office) -> None:
    office.put(citizen("H1"), request_id="r1", content=b"a")
    seq = office.seq
    assert office.refused(Upsert(Request(office.cause, "r1", b"b"), citizen("H2"))) == "RequestIdReusedError"
    assert office.seq == seq


def test_a_request_id_belongs_to_its_actor_and_method(office: Office) -> None:
    office.put(citizen("H1"), request_id="r1", content=b"a")
    other = msgspec.structs.replace(office.cause, actor="another")
    (answer,) = office.execute(Upsert(Request(other, "r1", b"b"), citizen("H2")))
    assert isinstance(answer, WriteAnswer)
    (deleted,) = office.execute(Delete(Request(office.cause, "r1", b"c"), citizen("H1").key))
    assert isinstance(deleted, WriteAnswer)
    assert deleted.outcome is WriteOutcome.DELETED


def test_a_request_that_changed_nothing_is_remembered_as_well(office: Office) -> None:
    office.put(citizen("H1"))
    first = office.put(citizen("H1"), request_id="r1", content=b"a")
    office.put(citizen("H1", phone="0903999999"))
    assert office.put(citizen("H1"), request_id="r1", content=b"a").outcome is first.outcome is WriteOutcome.UNCHANGED


def test_a_deleted_record_leaves_and_its_emptied_id_is_retired_for_ever(office: Office) -> None:
    record = citizen("H1")
    old = office.put(record).golden_id
    deleted = office.drop(record.key)
    assert (deleted.outcome, deleted.golden_id) == (WriteOutcome.DELETED, None)
    assert changes_of(deleted) == [(old, ChangeKind.RETIRED)]
    assert office.drop(record.key).outcome is WriteOutcome.ABSENT

    back = office.put(record)
    assert back.outcome is CREATED
    assert back.golden_id != old
    assert office.answer(old) is None


def test_a_deleted_anchor_leaves_the_id_to_the_rest(office: Office) -> None:
    first, second = citizen("H1"), citizen("H2")
    old = office.put(first).golden_id
    office.put(second)
    office.drop(first.key)

    assert office.id_of(second) == old
    assert office.put(first).golden_id == old


def test_deleting_what_never_was_is_absent(office: Office) -> None:
    seq = office.seq
    assert office.drop(SourceKey("hospital", CITIZEN, "none")).outcome is WriteOutcome.ABSENT
    assert office.seq == seq


def test_questions_go_with_a_deleted_record(office: Office) -> None:
    first = citizen("H1", "Nguyễn Thị Thúy", phone="", address="")
    office.put(first)
    office.put(citizen("H2", "Nguyễn Thị Thúy", phone="", address=""))
    office.drop(first.key)
    assert office.questions() == {}


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (SourceKey("nowhere", CITIZEN, "1"), "UnknownRegistryError"),
        (SourceKey("hospital", CITIZEN, ""), "InvalidSourceKeyError"),
        (SourceKey("hospital", CITIZEN, "a\0"), "InvalidSourceKeyError"),
    ],
)
def test_a_refused_write_takes_nobody_along(office: Office, key: SourceKey, error: str) -> None:
    bad = Delete(Request(office.cause), key)
    good = [Upsert(Request(office.cause), citizen(f"H{n}")) for n in range(2)]
    answers = office.execute(good[0], bad, good[1])
    assert isinstance(answers[0], WriteAnswer)
    assert answers[1] == Refusal(error, answers[1].arguments) if isinstance(answers[1], Refusal) else False
    assert isinstance(answers[2], WriteAnswer)
    assert answers[2].outcome is LINKED


def test_a_record_that_breaks_the_writer_is_refused_alone(office: Office) -> None:
    # A citizen's key over a business's values: nothing that a wire or feed can bring, so nothing is prepared for it.
    good = citizen("H1")
    poison = msgspec.structs.replace(good, attributes=None)
    answers = office.execute(*(Upsert(Request(office.cause), record) for record in (good, poison, citizen("H2"))))

    assert isinstance(answers[1], Refusal)
    assert [type(answer) for answer in answers] == [WriteAnswer, Refusal, WriteAnswer]
    assert office.id_of(good) == office.id_of(citizen("H2"))


def test_a_clerk_cannot_choose_a_golden_id_that_was_never_issued(office: Office) -> None:
    seq = office.seq
    choice = ClerkChoice(GoldenId("C-0000-0000-0000-0"))
    assert office.refused(Upsert(Request(office.cause), citizen("H1"), choice=choice)) == "UnknownGoldenIdError"
    assert office.seq == seq


def test_a_load_knows_how_far_it_came_until_it_is_finished(office: Office) -> None:
    def ordinal_of(name: str) -> int:
        (answer,) = office.execute(BeginLoad(Request(office.cause), name, "hospital.patients"))
        assert isinstance(answer, LoadAnswer), answer
        return answer.ordinal

    assert ordinal_of("file-1") == 0
    request = Request(msgspec.structs.replace(office.cause, load_id="file-1"))
    office.execute(Upsert(request, citizen("H1"), ordinal=1), Upsert(request, citizen("H2"), ordinal=2))
    assert ordinal_of("file-1") == 2
    office.close()
    office.reopen()
    assert ordinal_of("file-1") == 2
    office.execute(Upsert(request, citizen("H3"), ordinal=3), FinishLoad(request))
    assert ordinal_of("file-1") == 0
    assert ordinal_of("file-2") == 0


def test_pending_records_have_no_golden_id_until_they_are_written_now(office: Office) -> None:
    record = citizen("H1")
    pending = office.put(record, later=True)
    assert (pending.outcome, pending.golden_id) == (WriteOutcome.PENDING, None)
    assert office.put(record, later=True).outcome is WriteOutcome.UNCHANGED
    assert office.put(citizen("H2")).outcome is CREATED, "what is pending is not matched against"
    assert office.put(record).outcome is LINKED


def test_a_resolved_record_is_never_deferred(office: Office) -> None:
    office.put(citizen("H1"))
    assert office.put(citizen("H1", phone="0903999999"), later=True).outcome is WriteOutcome.UPDATED
