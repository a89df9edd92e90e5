"""Stewards' acts through the writer: what they do at once, what binds ever after, what taking them back restores."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm.domain import events as ev
from mdm.domain.changes import ChangeKind
from mdm.domain.events import MatchReason, Verdict
from mdm.domain.keys import GoldenId
from mdm.domain.records import SourceRecord
from mdm.resolve.commands import Pin, Refusal, Request, Split, Steward, Unmerge, Unpin, WithdrawJudgement
from mdm.resolve.reasons import read_reason
from mdm.resolve.relink_runs import Phase
from tests.resolve.office import Office, business, citizen

ID, OTHER_ID, THIRD_ID = "079187000123", "079187004567", "079187009999"
ANNA = citizen("A", personal_id=ID)
ANNAS_CARD = citizen("A2", personal_id=ID, phone="", address="")
BINH = citizen("B", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="", address="")
BINHS_CARD = citizen("B2", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="0911222333")
CHI = citizen("C", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address="")


def thuy(record_id: str, personal_id: str = "", phone: str = "") -> SourceRecord:
    """One of many who bear a common name, born the same day."""
    return citizen(record_id, "Nguyễn Thị Thúy", personal_id=personal_id, phone=phone, address="")


def refused(office: Office, act: object, **options: object) -> Refusal:
    request = Request(ev.Cause(actor="steward"))
    (answer,) = office.execute(Steward(request, act, "why", **options))  # type: ignore[arg-type]
    assert isinstance(answer, Refusal), answer
    return answer


def golden(office: Office, record: SourceRecord) -> GoldenId:
    found = office.id_of(record)
    assert found is not None
    return found


def state(office: Office) -> tuple[object, ...]:
    """All that an act and its undoing must leave alike, positions left out."""
    with office.writer._index.read() as view:
        questions = {
            pair: (match.reason, match.match_weight_bits, match.detail) for pair, match in view.iter_potential_matches()
        }
        judgements = dict(view.iter_judgements())
        pins = {number: entry.pins for number, entry in view.iter_records()}
    return office.goldens(), questions, judgements, pins, office.crosswalk()


@pytest.fixture
def town(office: Office) -> Office:
    office.put_all([ANNA, ANNAS_CARD, BINH, BINHS_CARD, CHI])
    assert golden(office, ANNA) == golden(office, ANNAS_CARD)
    assert golden(office, BINH) == golden(office, BINHS_CARD)
    return office


def test_same_joins_at_once_under_the_older_id_and_outlives_updates_relinkage_and_rebuild(
    town: Office, tmp_path: Path
) -> None:
    old, young = golden(town, ANNA), golden(town, BINH)
    answer = town.same(ANNA, BINH)
    assert {town.id_of(each) for each in (ANNA, ANNAS_CARD, BINH, BINHS_CARD)} == {old}
    assert town.answer(young) == old
    told = {(each.golden_id, each.kind) for each in answer.changes}
    assert told == {(old, ChangeKind.ABSORBED), (young, ChangeKind.MERGED)}
    assert [(each.golden_id, len(each.numbers)) for each in answer.before] == [(old, 2), (young, 2)]
    assert [(each.golden_id, len(each.numbers), each.is_minted) for each in answer.after] == [(old, 4, False)]
    moved = citizen("B", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="0987654321")
    town.put(moved)
    town.put(citizen("A", personal_id=ID, phone="0987654322"))
    assert town.id_of(BINH) == town.id_of(ANNA) == old
    assert town.relink_here().phase is Phase.COMMITTED
    assert {town.id_of(each) for each in (ANNA, ANNAS_CARD, BINH, BINHS_CARD)} == {old}
    assert town.differences(tmp_path / "replayed") == []


def test_different_parts_at_once_and_each_other_member_stays_with_the_side_that_speaks_for_it(
    office: Office, tmp_path: Path
) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", personal_id=ID, phone="0911222333", address="")
    third = citizen("C", personal_id=ID, phone="0911222333", address="")
    office.put_all([first, second, third])
    old = golden(office, first)
    answer = office.different(first, second)
    assert golden(office, first) == old
    assert golden(office, second) == golden(office, third) != old
    assert [each.is_minted for each in answer.after] == [False, True]
    office.put(citizen("B", personal_id=ID, phone="0987654321"))
    assert office.relink_here().phase is Phase.COMMITTED
    assert golden(office, first) == old != golden(office, second)
    assert office.questions() == {}, "who was called different is not asked about again"
    assert office.differences(tmp_path / "replayed") == []


def test_contradictions_are_refused_with_the_chain_that_causes_them(town: Office) -> None:
    third = citizen("A3", personal_id=ID)
    town.put(third)
    first, second = town.same(ANNA, ANNAS_CARD).judgement, town.same(ANNAS_CARD, third).judgement
    act = ev.Judge(*town.pair(ANNA, third), Verdict.DIFFERENT)
    before = state(town)
    answer = refused(town, act)
    assert answer.error == "JudgementContradictedError"
    assert answer.arguments[0].endswith(f": J-{first}, J-{second}")
    assert town.steward(act, dry_run=True).contradicted == (first, second)
    assert state(town) == before
    assert refused(town, ev.Judge(*town.pair(ANNA, ANNAS_CARD), Verdict.DIFFERENT)).error == answer.error


def test_a_chain_of_same_closes_a_different_and_is_refused(office: Office) -> None:
    records = [ANNA, BINH, CHI]
    office.put_all(records)
    apart = office.different(ANNA, CHI).judgement
    joined = office.same(ANNA, BINH).judgement
    answer = refused(office, ev.Judge(*office.pair(BINH, CHI), Verdict.SAME))
    assert answer.arguments[0].endswith(f": J-{joined}, J-{apart}")
    office.steward(WithdrawJudgement(apart))
    office.same(BINH, CHI)
    assert len({office.id_of(each) for each in records}) == 1


def test_same_sends_away_whom_a_judgement_keeps_apart_from_the_other_side(office: Office) -> None:
    first, companion = citizen("A"), citizen("A2")
    office.put_all([first, companion, BINH])
    office.different(companion, BINH)
    office.same(first, BINH)
    assert golden(office, first) == golden(office, BINH) != golden(office, companion)
    assert office.relink_here().phase is Phase.COMMITTED
    assert golden(office, first) == golden(office, BINH) != golden(office, companion)


def test_withdrawing_same_gives_every_id_back_and_withdrawing_different_joins_what_it_parted(town: Office) -> None:
    before = state(town)
    judgement = town.same(ANNA, BINH).judgement
    town.steward(WithdrawJudgement(judgement))
    assert state(town) == before
    assert refused(town, WithdrawJudgement(judgement)).error == "UnknownJudgementError"
    judgement = town.different(ANNA, ANNAS_CARD).judgement
    parted = golden(town, ANNAS_CARD)
    assert parted != golden(town, ANNA)
    town.steward(WithdrawJudgement(judgement))
    assert golden(town, ANNA) == golden(town, ANNAS_CARD) == town.answer(parted)


def test_a_withdrawn_judgement_leaves_what_would_have_been_decided_without_it(tmp_path: Path) -> None:
    """Two towns take the same rows; in one a judgement stood while they came."""
    rows = [thuy("A", ID), thuy("B"), thuy("C", phone="0903123456"), citizen("D", personal_id=ID, phone="0903123456")]
    found = []
    for verdict in (None, Verdict.SAME, Verdict.DIFFERENT):
        office = Office(tmp_path / str(verdict))
        office.put_all(rows[:2])
        made = office.steward(ev.Judge(*office.pair(*rows[:2]), verdict)).judgement if verdict else 0
        office.put_all(rows[2:])
        if made:
            office.steward(WithdrawJudgement(made))
        found.append((office.partition(), office.questions()))
        office.close()
    assert found[0] == found[1] == found[2]


def test_unmerge_after_merge_is_as_if_nothing_had_been(town: Office) -> None:
    town.put_all([thuy("T1", ID), thuy("T2")])
    assert town.questions()
    town.steward(Pin(golden(town, BINH), "full_name", "Lý Quốc Cương"))
    before = state(town)
    for keep, other in ((ANNA, BINH), (thuy("T1"), thuy("T2")), (BINH, thuy("T2"))):
        kept, merged = sorted((golden(town, keep), golden(town, other)), key=lambda each: town.golden(each).minted_seq)
        town.steward(ev.Merge(golden(town, other), golden(town, keep)))
        assert town.answer(merged) == kept
        town.steward(Unmerge(merged))
        assert state(town) == before


def test_unmerging_along_a_chain_gives_back_each_id_with_its_own_records(town: Office) -> None:
    before = state(town)
    first, second, third = (golden(town, each) for each in (ANNA, BINH, CHI))
    town.steward(ev.Merge(second, third))
    town.steward(ev.Merge(first, second))
    assert {town.answer(each) for each in (first, second, third)} == {first}
    town.steward(Unmerge(third))
    assert (town.answer(second), town.answer(third)) == (first, third)
    town.steward(Unmerge(second))
    assert state(town) == before
    assert refused(town, Unmerge(second)).error == "ActImpossibleError"


def test_who_came_after_a_merge_goes_with_the_evidence(office: Office) -> None:
    first, second = citizen("A"), citizen("D", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="0907111222", address="")
    office.put_all([first, second])
    merged = golden(office, second)
    office.steward(ev.Merge(golden(office, first), merged))
    late = citizen("D2", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="0907111222", address="")
    office.put(late)
    assert golden(office, late) == golden(office, first)
    office.steward(Unmerge(merged))
    assert golden(office, late) == golden(office, second) == merged


def test_an_unmerge_of_what_the_machine_merged_binds_it(office: Office) -> None:
    first, second, bridge = thuy("A", phone="0903123456"), thuy("B", ID), thuy("C", ID, "0903123456")
    office.put_all([first, second])
    office.put(bridge)
    assert len({office.id_of(each) for each in (first, second, bridge)}) == 1
    merged = next(each for each, entry in office.goldens().items() if entry[1] is not None)
    office.steward(Unmerge(merged))
    assert golden(office, second) == merged != golden(office, first)
    office.put(thuy("C", ID, "0903123456"))
    assert office.relink_here().phase is Phase.COMMITTED
    assert office.answer(merged) == merged


def test_a_pair_that_a_steward_split_stays_split_after_relinkage_with_default_settings(office: Office) -> None:
    records = [citizen(name, personal_id=ID) for name in "ABCD"]
    office.put_all(records)
    whole = golden(office, records[0])
    numbers = tuple(office.number(each.key) for each in records)
    answer = office.steward(Split(whole, numbers[2:]))
    assert len(answer.made) == 3
    parts = {frozenset(group) for group in office.members().values()}
    assert parts == {frozenset(numbers[:2]), frozenset(numbers[2:])}
    office.put(citizen("C", personal_id=ID, phone="0987654321"))
    assert office.relink_here().phase is Phase.COMMITTED
    assert {frozenset(group) for group in office.members().values()} == parts
    assert golden(office, records[0]) == whole
    assert refused(office, Split(whole, numbers[2:])).error == "ActImpossibleError"
    assert refused(office, Split(whole, numbers[:2])).error == "ActImpossibleError"
    office.steward(WithdrawJudgement(answer.judgement))
    assert {frozenset(group) for group in office.members().values()} == {frozenset(numbers)}


def test_a_moved_record_stays_where_it_was_put_and_the_id_of_its_old_home_stays(town: Office) -> None:
    home, target = golden(town, ANNA), golden(town, BINH)
    before = state(town)
    answer = town.steward(ev.Move(town.number(ANNA.key), target))
    assert golden(town, ANNA) == target
    assert golden(town, ANNAS_CARD) == home
    town.put(citizen("A", personal_id=ID, phone="0987654321"))
    assert town.relink_here().phase is Phase.COMMITTED
    assert (golden(town, ANNA), golden(town, ANNAS_CARD)) == (target, home)
    town.put(ANNA)
    town.steward(WithdrawJudgement(answer.judgement))
    assert state(town)[0] == before[0]


def test_a_question_that_was_answered_is_not_asked_about_later_members_until_new_evidence(office: Office) -> None:
    first, second = thuy("A", ID), thuy("B")
    office.put_all([first, second])
    assert office.questions() == {("A", "B"): MatchReason.THIN_EVIDENCE}
    office.different(first, second)
    assert office.questions() == {}
    again = thuy("A2", ID)
    office.put(again)
    assert golden(office, again) == golden(office, first)
    assert office.questions() == {}, "the same name and birth date were known when the answer was given"
    assert office.relink_here().phase is Phase.COMMITTED
    assert office.questions() == {}, "batch keeps silent alike"
    office.put(thuy("A3", ID, phone="0903999888"))
    office.put(thuy("B", phone="0903999888"))
    asked = office.questions()
    assert len(asked) == 1, "a telephone in common is new"
    assert office.relink_here().phase is Phase.COMMITTED
    assert office.questions() == asked


def test_a_fixed_value_follows_its_anchor_and_is_checked_like_a_registrys(town: Office) -> None:
    identifier = golden(town, ANNA)
    town.steward(Pin(identifier, "full_name", "Huỳnh Ngọc Bảo Châm"))
    assert town.entry(ANNA.key).pins[0][0] == "full_name"
    for field, value in (("phones", "0903"), ("birth_date", "31/02/1987"), ("full_name", " "), ("legal_name", "X")):
        assert refused(town, Pin(identifier, field, value)).error == "InvalidInputError", (field, value)
    town.steward(Unpin(identifier, "full_name"))
    assert town.entry(ANNA.key).pins == ()
    assert refused(town, Unpin(identifier, "full_name")).error == "ActImpossibleError"


def test_a_dry_run_shows_the_effect_and_writes_nothing(town: Office) -> None:
    before, seq = state(town), town.seq
    act = ev.Merge(golden(town, ANNA), golden(town, BINH))
    shown = town.steward(act, dry_run=True)
    assert (state(town), town.seq) == (before, seq)
    assert [len(each.numbers) for each in shown.after] == [4]
    assert town.steward(act, etag=shown.etag).after == shown.after


def test_a_stale_decision_is_refused_and_says_what_changed(town: Office) -> None:
    act = ev.Merge(golden(town, ANNA), golden(town, BINH))
    etag = town.steward(act, dry_run=True).etag
    town.put(citizen("B2", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="0987654321"))
    answer = refused(town, act, etag=etag)
    assert (answer.error, answer.arguments) == ("StaleDecisionError", ("changed since it was looked at: right",))


def test_what_fixes_a_value_or_takes_back_is_refused_when_another_steward_was_quicker(town: Office) -> None:
    anna = golden(town, ANNA)
    pin, unpin = Pin(anna, "full_name", "Huỳnh Ngọc Trâm"), Unpin(anna, "full_name")
    seen = town.steward(pin, dry_run=True).etag
    town.steward(Pin(anna, "status", "active"), etag=town.steward(Pin(anna, "status", "active"), dry_run=True).etag)
    town.steward(pin, etag=seen)
    changed = ("changed since it was looked at: fixed_value",)
    assert refused(town, Pin(anna, "full_name", "Huỳnh Bảo Trâm"), etag=seen).arguments == changed
    assert refused(town, unpin, etag=seen).arguments == changed
    town.steward(unpin, etag=town.steward(unpin, dry_run=True).etag)

    withdrawal = WithdrawJudgement(town.same(ANNA, BINH).judgement)
    seen = town.steward(withdrawal, dry_run=True).etag
    town.put(citizen("B2", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234", phone="0987654321"))
    changed = ("changed since it was looked at: left, right",)
    assert refused(town, withdrawal, etag=seen).arguments == changed
    town.steward(withdrawal, etag=town.steward(withdrawal, dry_run=True).etag)
    assert refused(town, withdrawal, etag=seen).error == "UnknownJudgementError"


def test_a_repeated_request_gets_the_first_answer(town: Office) -> None:
    request = Request(ev.Cause(actor="steward"), "once", b"content")
    act = ev.Merge(golden(town, ANNA), golden(town, BINH))
    (first,), (second,) = (town.execute(Steward(request, act, "why")) for _ in range(2))
    assert second.is_repeated  # type: ignore[union-attr]
    assert first.seq == second.seq  # type: ignore[union-attr]


def test_what_cannot_be_done_is_refused_with_its_reason(town: Office) -> None:
    firm = business("F", "Công ty TNHH Sơn Hải Vân", tax_code="0301234567")
    town.put(firm)
    anna, binh, chi = (golden(town, each) for each in (ANNA, BINH, CHI))
    town.drop(CHI.key)
    never = GoldenId("C-18ZN-3GPM-WTVS-5")
    cases = [
        (ev.Merge(anna, anna), "ActImpossibleError"),
        (ev.Merge(anna, chi), "ActImpossibleError"),
        (ev.Merge(anna, never), "UnknownGoldenIdError"),
        (ev.Merge(anna, golden(town, firm)), "ActImpossibleError"),
        (ev.Judge(town.number(ANNA.key), town.number(firm.key), Verdict.SAME), "ActImpossibleError"),
        (ev.Judge(town.number(ANNA.key), town.number(CHI.key), Verdict.SAME), "UnknownRecordError"),
        (ev.Move(town.number(ANNA.key), anna), "ActImpossibleError"),
        (ev.Move(town.number(firm.key), binh), "ActImpossibleError"),
        (Unmerge(anna), "ActImpossibleError"),
        (Split(anna, (town.number(BINH.key),)), "ActImpossibleError"),
        (WithdrawJudgement(1), "UnknownJudgementError"),
        (WithdrawJudgement(9_999_999_999_999_999_999), "UnknownJudgementError"),
    ]
    before = state(town)
    for act, error in cases:
        assert refused(town, act).error == error, act
    assert state(town) == before


def test_the_stewards_words_are_sealed_and_go_with_either_person(town: Office) -> None:
    town.same(ANNA, BINH)
    made = next(event.fact for event in town.events() if isinstance(event.fact, ev.JudgementMade))
    assert len(made.reason_ids) == 2
    journal = town.writer._journal
    assert read_reason(journal, made.reason_ids) == "seen the files"
    for reason_id in made.reason_ids:
        assert journal.payload(reason_id) != b"seen the files"
    assert read_reason(journal, (made.reason_ids[0], 10**6)) == ""


def test_every_judgement_names_model_and_epoch(town: Office) -> None:
    town.same(ANNA, BINH)
    engines = town.engines()
    for event in town.events():
        if isinstance(event.fact, ev.JudgementMade | ev.RecordsRegrouped):
            assert (event.cause.model, event.cause.epoch) == (engines["model:citizen"], engines["epoch:citizen"])
            assert event.cause.actor == "steward"


def test_a_deleted_record_leaves_its_judgements_to_whom_it_was_the_same_as(office: Office) -> None:
    records = [citizen(name, personal_id=ID) for name in "ABCD"]
    office.put_all(records)
    whole = golden(office, records[0])
    numbers = tuple(office.number(each.key) for each in records)
    made = office.steward(Split(whole, numbers[2:])).judgement
    office.drop(records[2].key)
    office.put(citizen("D", personal_id=ID, phone="0987654321"))
    assert office.relink_here().phase is Phase.COMMITTED
    assert golden(office, records[3]) != golden(office, records[0]) == golden(office, records[1])
    office.steward(WithdrawJudgement(made))
    assert golden(office, records[3]) == golden(office, records[0])
    with office.writer._index.read() as view:
        assert dict(view.iter_judgements()) == {}


def test_a_fixed_value_stays_with_the_golden_id_when_its_anchor_leaves(town: Office) -> None:
    identifier = golden(town, ANNA)
    town.steward(Pin(identifier, "full_name", "Huỳnh Ngọc Bảo Châm"))
    town.drop(ANNA.key)
    assert [name for name, _ in town.entry(ANNAS_CARD.key).pins] == ["full_name"]
    assert town.entry(ANNA.key).pins == ()
    town.put(ANNA)
    town.put(citizen("A2", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="", address=""))
    assert golden(town, ANNA) == identifier
    assert [name for name, _ in town.entry(ANNA.key).pins] == ["full_name"], "the key went to another bearer"
    assert town.entry(ANNAS_CARD.key).pins == ()
    town.put(ANNAS_CARD)
    town.steward(ev.Move(town.number(ANNA.key), golden(town, BINH)))
    assert town.entry(ANNA.key).pins == ()


@pytest.mark.parametrize("is_batch", [False, True], ids=["online", "batch"])
def test_who_carries_either_number_of_a_bearer_under_two_links_after_same(office: Office, *, is_batch: bool) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", personal_id=OTHER_ID, phone="0911222333")
    office.put_all([first, second])
    assert golden(office, first) != golden(office, second), "two verified numbers keep them apart"
    office.same(first, second)
    later = [citizen("A2", personal_id=ID), citizen("B2", personal_id=OTHER_ID), citizen("N", phone="0911222333")]
    third = citizen("T", personal_id=THIRD_ID)
    office.put_all([*later, third], later=is_batch)
    if is_batch:
        assert office.relink_here().phase is Phase.COMMITTED
    whole = golden(office, first)
    assert [office.id_of(each) for each in (second, *later)] == [whole] * 4
    assert golden(office, third) != whole, "a third number is another bearer's"
    asked = office.questions()
    assert {"T"} <= {record_id for pair in asked for record_id in pair} <= {"A", "B", "A2", "B2", "N", "T"}
    assert all("T" in pair for pair in asked), asked
    # Decided alike the other way round: nothing changes without need.
    before = office.crosswalk()
    assert office.relink_here().phase is Phase.COMMITTED
    office.put_all([*later, first, second])
    assert office.crosswalk() == before


def test_withdrawing_a_same_that_overruled_a_veto_parts_whoever_came_by_it(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", personal_id=OTHER_ID, phone="0911222333")
    office.put_all([first, second])
    was = [golden(office, each) for each in (first, second)]
    judged = office.same(first, second).judgement
    later = [citizen("A2", personal_id=ID), citizen("B2", personal_id=OTHER_ID)]
    office.put_all(later)
    assert {golden(office, each) for each in (first, second, *later)} == {was[0]}
    office.steward(WithdrawJudgement(judged))
    assert [golden(office, each) for each in (first, second)] == was
    assert [golden(office, each) for each in later] == was, "each with those of its number"
    assert office.relink_here().phase is Phase.COMMITTED
    assert [golden(office, each) for each in (first, second, *later)] == was * 2


def test_a_same_about_a_record_without_a_number_lets_no_other_number_in(office: Office) -> None:
    numbered, bare = citizen("A", personal_id=ID), citizen("B", "Lý Quốc Cường", "1950-01-02", sex="M")
    office.put_all([numbered, bare])
    office.same(numbered, bare)
    stranger = citizen("S", "Lý Quốc Cường", "1950-01-02", sex="M", personal_id="079050001234")
    office.put(stranger)
    assert golden(office, stranger) != golden(office, numbered)
    assert office.relink_here().phase is Phase.COMMITTED
    assert golden(office, stranger) != golden(office, numbered)
