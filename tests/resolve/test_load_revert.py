"""A load taken back: records, golden IDs and questions as they were, except where something happened since."""

from __future__ import annotations

import random

import msgspec
import pytest

from mdm.domain import events as ev
from mdm.domain import load_events as le
from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import SourceRecord
from mdm.resolve import load_acts, load_control
from mdm.resolve.commands import (
    BeginLoad,
    Delete,
    Erase,
    LoadAnswer,
    Pin,
    Refusal,
    Request,
    RevertLoad,
    Split,
    Unpin,
    Upsert,
    WriteOutcome,
)
from tests.resolve.cities import city_records
from tests.resolve.loads import begin, changed, entry_of, follow, load, revert, swapped
from tests.resolve.office import Office, citizen

CITIZENS, SEED = 150, 5


def values(office: Office) -> dict[str, tuple[bytes | None, bool]]:
    """What is stored under each key."""
    with office.writer._index.read() as view:
        return {
            f"{view.key_of(number)}": (None if entry.is_deleted else view.raw(number), entry.is_deleted)
            for number, entry in view.iter_records()
        }


def judgements(office: Office) -> dict[tuple[int, int], Verdict]:
    with office.writer._index.read() as view:
        return dict(view.iter_judgements())


def test_a_poisoned_load_of_a_city_leaves_no_trace_but_retired_ids(office: Office) -> None:
    records = city_records(CITIZENS, SEED)
    mine = [record for record in records if record.key.registry == "hospital"]
    new = mine[::7]
    office.put_all([record for record in records if record not in new])
    known = [record for record in mine if record not in new]
    kept = values(office)
    before, crosswalk, questions = office.goldens(), office.crosswalk(), office.questions()

    load_id = load(office, "night-4", [*swapped(known[:60]), *new, *(record.key for record in known[-20:])])
    after = office.goldens()
    assert after != before
    outcomes = entry_of(office, load_id).outcomes
    assert outcomes["deleted"] == 20
    effects = revert(office, load_id)

    assert effects["restored"] + effects["withdrawn"] + effects["returned"] == 60 + len(new) + 20
    assert {effect for effect in effects if effect.startswith(("left", "failed"))} == set()
    assert office.crosswalk() == crosswalk
    assert {key: stored for key, stored in values(office).items() if not stored[1]} == kept
    assert {identifier: office.goldens()[identifier] for identifier in before} == before
    assert all(office.golden(identifier).is_retired for identifier in after.keys() - before.keys())
    assert office.questions() == questions


@pytest.mark.parametrize("seed", [3, 8])
def test_whom_a_steward_joined_their_ids_stand_for_the_same_records_again(office: Office, seed: int) -> None:
    dice = random.Random(seed)
    known = [record for record in city_records(70, 100 + seed) if record.key.kind is EntityKind.CITIZEN]
    office.put_all(known)
    for _ in range(4):
        office.same(*dice.sample(known, 2))
    before = office.goldens()
    poisoned = dice.sample(known, 50)
    load_id = load(office, "night-4", [*swapped(poisoned[:35]), *(record.key for record in poisoned[35:])])
    revert(office, load_id)
    assert {identifier: office.goldens()[identifier] for identifier in before} == before


def test_what_a_load_created_goes_and_its_golden_id_is_never_given_again(office: Office) -> None:
    one = citizen("A")
    load_id = load(office, "night", [one])
    issued = office.id_of(one)
    assert revert(office, load_id) == {"withdrawn": 1, "retired": 1}
    assert office.entry(one.key).is_deleted
    assert office.answer(issued) is None
    assert office.put(one).golden_id != issued
    # Taking it back once more changes nothing, though the record is there again.
    assert revert(office, load_id) == {"withdrawn": 1, "retired": 1}
    assert not office.entry(one.key).is_deleted


def test_a_record_that_a_load_deleted_comes_back_under_the_golden_id_that_it_had(office: Office) -> None:
    alone, anchor, other = citizen("A", "Lý Quốc Cường", phone="0911222333"), citizen("B"), citizen("C")
    office.put_all([alone, anchor, other])
    before, identifier = office.goldens(), office.id_of(alone)
    load_id = load(office, "night", [alone.key, anchor.key])
    assert office.answer(identifier) is None
    assert revert(office, load_id) == {"returned": 2, "revived": 1}
    assert office.goldens() == before


def test_questions_about_a_record_that_a_load_deleted_are_asked_again(office: Office) -> None:
    records = city_records(CITIZENS, SEED)
    office.put_all(records)
    questions = office.questions()
    asked = {record_id for pair in questions for record_id in pair}
    keys = [record.key for record in records if record.key.record_id in asked][:6]
    for deleted in ([keys[0]], keys):
        load_id = load(office, "night", deleted)
        assert len(office.questions()) < len(questions)
        revert(office, load_id)
        assert office.questions() == questions


def test_merged_ids_that_were_retired_together_come_back_together(office: Office) -> None:
    left, right = citizen("A"), citizen("B", "Lý Quốc Cường", phone="0911222333")
    office.put_all([left, right])
    office.same(left, right)
    office.drop(left.key)
    before = office.goldens()
    load_id = load(office, "night", [right.key])
    assert all(office.golden(identifier).is_retired for identifier in before)
    assert revert(office, load_id) == {"returned": 1, "revived": 2}
    assert office.goldens() == before


def test_golden_records_that_a_load_merged_come_apart_with_whoever_came_since(office: Office) -> None:
    first = citizen("A", personal_id="079187000123", phone="", address="")
    second = citizen("B", "H. N. B. Trâm", insurance="7912345678", phone="", address="")
    office.put_all([first, second])
    ids = office.id_of(first), office.id_of(second)
    bridge = citizen(
        "C", registry="social_security", personal_id="079187000123", insurance="7912345678", phone="", address=""
    )
    load_id = load(office, "night", [bridge])
    assert office.id_of(first) == office.id_of(second)
    late = citizen("D", registry="household", personal_id="079187000123", phone="", address="")
    office.put(late)

    assert revert(office, load_id) == {"withdrawn": 1, "parted": 1}
    assert (office.id_of(first), office.id_of(second), office.id_of(late)) == (*ids, ids[0])


def test_what_a_steward_said_since_stands(office: Office) -> None:
    first = citizen("A", personal_id="079187000123", phone="", address="")
    second = citizen("B", "H. N. B. Trâm", insurance="7912345678", phone="", address="")
    office.put_all([first, second])
    bridge = citizen(
        "C", registry="social_security", personal_id="079187000123", insurance="7912345678", phone="", address=""
    )
    load_id = load(office, "night", [bridge])
    office.same(first, second)
    assert revert(office, load_id) == {"withdrawn": 1, "left_judged": 1}
    assert office.id_of(first) == office.id_of(second)


def test_judgements_and_fixed_values_of_a_former_bearer_bind_again(office: Office) -> None:
    one, other = citizen("A", personal_id="079187000123"), citizen("B", "Lý Quốc Cường", phone="0911222333")
    office.put_all([one, other])
    office.different(one, other)
    identifier = office.id_of(one)
    assert identifier is not None
    office.steward(Pin(identifier, "full_name", "Huỳnh Ngọc Bảo Trâm (1987)"))
    before, said = office.goldens(), judgements(office)
    stranger = changed(citizen("A", "Đặng Hoàng Long", "1969-10-20", sex="M", personal_id="079069001234", phone=""))
    load_id = load(office, "night", [stranger])
    assert (judgements(office), office.answer(identifier)) == ({}, None)

    assert revert(office, load_id) == {"restored": 1, "retired": 1, "revived": 1}
    assert {each: office.goldens()[each] for each in before} == before
    assert judgements(office) == said
    assert [field for field, _ in office.entry(one.key).pins] == ["full_name"]


def test_who_was_deleted_by_one_load_and_displaced_by_the_next_is_as_before(office: Office) -> None:
    one, other = citizen("A", personal_id="079187000123"), citizen("B", "Lý Quốc Cường", phone="0911222333")
    stranger = citizen("A", "Đặng Hoàng Long", "1969-10-20", sex="M", personal_id="079069001234", phone="")
    own = msgspec.structs.replace(stranger, key=citizen("C").key)
    office.put_all([one, other, own])
    office.different(one, other)
    identifier = office.id_of(one)
    assert identifier is not None
    office.steward(Pin(identifier, "full_name", "Huỳnh Ngọc Bảo Trâm (1987)"))
    before, said = office.goldens(), judgements(office)
    earlier, later = load(office, "night-3", [one.key]), load(office, "night-4", [stranger])
    assert (office.id_of(one), judgements(office)) == (office.id_of(own), {})
    revert(office, later)
    assert judgements(office) == said
    revert(office, earlier)
    assert (office.goldens(), judgements(office)) == (before, said)
    assert [field for field, _ in office.entry(one.key).pins] == ["full_name"]
    # What the key held of the stranger goes with the stranger.
    office.execute(Erase(Request(office.cause), office.id_of(own), reason="asked for"))
    kept = office.writer._journal.payloads_of(office.number(one.key), office.entry(one.key).payload_id + 1)
    assert not any("Hoàng Long".encode() in payload for payload in kept)
    assert office.stored(one.key) == one


@pytest.mark.parametrize("later", ["changed", "deleted", "deleted and back"])
def test_a_record_that_was_written_since_is_left_and_counted(office: Office, later: str) -> None:
    one = citizen("A")
    office.put(one)
    load_id = load(office, "night", [citizen("A", phone="0911222333"), citizen("B", "Lý Quốc Cường", phone="")])
    if later == "changed":
        office.put(citizen("A", phone="0909000111"))
    else:
        office.drop(one.key)
        if later == "deleted and back":
            office.put(citizen("A", phone="0911222333"))
    stored = office.entry(one.key)
    assert revert(office, load_id) == {"left_changed": 1, "withdrawn": 1, "retired": 1}
    assert office.entry(one.key) == stored


def test_a_record_that_came_twice_in_one_load_gets_its_values_of_before(office: Office) -> None:
    one, gone, new = citizen("A"), citizen("B", "Lý Quốc Cường", phone=""), citizen("C", "Tô Thị Hạnh", phone="")
    office.put_all([one, gone])
    office.drop(gone.key)
    before, kept = office.crosswalk(), office.stored(one.key)
    twice: list[SourceRecord | SourceKey] = [
        citizen("A", phone="0911222333"),
        one.key,
        citizen("A", phone="0909000111"),
        new,
        new.key,
        new,
    ]
    load_id = load(office, "night", [*twice, gone, gone.key, gone], group=2)
    revert(office, load_id)
    assert (office.crosswalk(), office.stored(one.key)) == (before, kept)
    assert (office.entry(new.key).is_deleted, office.entry(gone.key).is_deleted) == (True, True)


def test_a_record_that_came_twice_is_taken_back_after_a_restart_too(office: Office) -> None:
    one = citizen("A")
    office.put(one)
    load_id = load(office, "night", [citizen("A", phone="0911222333"), citizen("A", phone="0909000111")])
    office.execute(RevertLoad(Request(office.cause), load_id, "shifted"))
    office.kill()
    office.reopen()
    assert follow(office, load_id) == {"restored": 2}
    assert office.stored(one.key) == one


def test_what_somebody_brought_back_and_withdrew_beside_the_revert_stays_withdrawn(office: Office) -> None:
    one = citizen("A")
    office.put(one)
    load_id = load(office, "night", [one.key])
    office.execute(RevertLoad(Request(office.cause), load_id, "cut off"))
    office.put(citizen("A", phone="0911222333"))
    office.drop(one.key)
    assert follow(office, load_id) == {"left_changed": 1}
    assert office.entry(one.key).is_deleted


def test_a_load_that_was_broken_off_for_long_is_found_whole_and_a_chunk_at_a_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = citizen("A"), citizen("B", "Lý Quốc Cường", phone="0911222333")
    load_id = load(office, "night", [one], is_finished=False)
    office.put_all(city_records(50, SEED))
    load(office, "night", [one, two])
    monkeypatch.setattr(load_acts, "JOURNAL_CHUNK_EVENTS", 8)
    entry = entry_of(office, load_id)
    found = list(load_acts.acts_backwards(office.writer._journal, load_id, entry.seq, entry.last_seq + 1))
    assert found.count(None) > 3
    assert revert(office, load_id)["withdrawn"] == 2


def test_a_withdrawal_that_is_given_back_keeps_its_time(office: Office) -> None:
    one = citizen("A", updated_at="2025-01-01")
    office.put(one)
    office.execute(Delete(Request(office.cause), one.key, updated_at="2025-03-01"))
    load_id = load(office, "night", [citizen("A", updated_at="2025-04-01")])
    assert revert(office, load_id) == {"withdrawn": 1, "retired": 1}
    assert office.put(citizen("A", updated_at="2025-02-01")).outcome is WriteOutcome.STALE
    assert office.put(citizen("A", updated_at="2025-03-02")).outcome is WriteOutcome.CREATED


def test_a_record_that_only_a_poisoned_load_stated_holds_no_time(office: Office) -> None:
    load_id = load(office, "night", [citizen("A", updated_at="2099-01-01")])
    revert(office, load_id)
    assert office.put(citizen("A", updated_at="2025-01-01")).outcome is WriteOutcome.CREATED


def test_an_erased_record_stays_erased(office: Office) -> None:
    one = citizen("A")
    office.put(one)
    load_id = load(office, "night", [citizen("A", phone="0911222333")])
    office.execute(Erase(Request(office.cause), office.id_of(one), reason="asked for"))
    assert revert(office, load_id) == {"left_erased": 1}


def test_pending_records_are_pending_again(office: Office) -> None:
    one, gone = citizen("A"), citizen("B")
    office.put_all([one, gone], later=True)
    load_id = load(office, "night", [citizen("A", phone="0911222333"), citizen("C"), gone.key], is_deferred=True)
    assert revert(office, load_id) == {"restored": 1, "withdrawn": 1, "returned": 1}
    assert (office.id_of(one), office.id_of(gone), office.stored(one.key)) == (None, None, one)


def test_a_killed_revert_goes_on_to_the_same_end(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    # However fast the machine is, a step does as little as it may.
    monkeypatch.setattr(load_control, "RELINK_STEP_MIN_S", 0.0)
    records = [record for record in city_records(60, 3) if record.key.kind is EntityKind.CITIZEN]
    office.put_all(records)
    before = office.goldens()
    load_id = load(office, "night", swapped(records))
    office.execute(RevertLoad(Request(ev.Cause(actor="operator")), load_id, "shifted"))
    kills = 0
    while not (revert_entry := entry_of(office, load_id).revert) or not revert_entry.finished_seq:
        office.writer.background_step(lambda: True)
        office.kill()
        office.reopen()
        kills += 1
    assert kills > 3
    assert {each: office.goldens()[each] for each in before} == before
    assert follow(office, load_id)["restored"] == len(records)


def test_a_load_has_an_id_of_its_own_and_is_loaded_again_once_it_is_taken_back(office: Office) -> None:
    one = citizen("A")
    first = load(office, "file", [one], is_finished=False)
    assert begin(office, "file") == begin(office, "file")
    assert (first, begin(office, "file").ordinal) == ("file", 1)
    revert(office, first)
    again = begin(office, "file")
    assert (again.load_id, again.ordinal) == ("file.2", 0)
    assert load(office, "file", [one]) == "file.2"
    assert load(office, "file", [one]) == "file.3"
    assert entry_of(office, "file.3").outcomes == {"unchanged": 1}
    assert entry_of(office, "file.3").before == "file.2"


def test_who_goes_on_or_takes_back_knows_what_was_written_just_before(office: Office) -> None:
    request = Request(ev.Cause(actor="loader", load_id=begin(office, "file").load_id))
    again = BeginLoad(Request(office.cause), "file", "hospital.patients")
    _, begun = office.execute(Upsert(request, citizen("A"), ordinal=1), again)
    assert isinstance(begun, LoadAnswer)
    assert begun.ordinal == 1
    late = citizen("B", "Lý Quốc Cường", phone="")
    office.execute(Upsert(request, late, ordinal=2), RevertLoad(Request(office.cause), "file", "shifted"))
    assert follow(office, "file") == {"withdrawn": 2, "retired": 2}


def test_a_load_that_an_earlier_release_began_is_not_passed_off_as_this_ones(office: Office) -> None:
    one, two = citizen("A"), citizen("B", "Lý Quốc Cường", phone="")
    cause = ev.Cause(actor="loader", load_id="file")
    with office.writer._transaction({}) as group:
        group.add(cause, le.LoadProgressed("file", 1))
    assert (begin(office, "file").load_id, begin(office, "file").ordinal) == ("file.2", 0)
    assert load(office, "file", [one, two]) == "file.2"
    assert load(office, "file", [one, two]) == "file.3"


def test_no_load_of_a_feed_begins_while_another_is_taken_back(office: Office) -> None:
    load_id = load(office, "file", [citizen("A")])
    office.execute(RevertLoad(Request(office.cause), load_id, "shifted"))
    assert office.refused(BeginLoad(Request(office.cause), "file", "hospital.patients")) == "ConflictError"
    (other,) = office.execute(BeginLoad(Request(office.cause), "other", "household.residents"))
    assert not isinstance(other, Refusal)
    follow(office, load_id)
    assert begin(office, "file").load_id == "file.2"


def test_a_load_that_is_running_is_not_taken_back(office: Office) -> None:
    load_id = load(office, "file", [citizen("A")], is_finished=False)
    office.writer.loads.is_loading = {"file"}.__contains__
    assert office.refused(RevertLoad(Request(office.cause), load_id)) == "LoadRunningError"
    assert office.refused(RevertLoad(Request(office.cause), "other")) == "UnknownLoadError"
    office.writer.loads.is_loading = lambda _name: False
    (answer,) = office.execute(RevertLoad(Request(office.cause), load_id))
    assert not isinstance(answer, Refusal)


def test_whoever_proved_who_they_are_is_recorded_from_the_first_event_to_the_last(office: Office) -> None:
    loader = ev.Cause(actor="loader", authenticated="CN=his-1")
    office.execute(BeginLoad(Request(loader), "file", "hospital.patients"))
    begun = office.seq
    load_id = load(office, "file", [citizen("A")])
    office.execute(RevertLoad(Request(ev.Cause(actor="operator", authenticated="CN=ops")), load_id, "shifted"))
    office.kill()
    office.reopen()
    follow(office, load_id)
    started, *_ = (event for event in office.events() if event.seq == begun)
    taken_back = [event.cause for event in office.events() if isinstance(event.fact, ev.RecordDeleted)]
    assert started.cause.authenticated == "CN=his-1"
    assert [(cause.actor, cause.authenticated, cause.load_id) for cause in taken_back] == [
        ("operator", "CN=ops", "file")
    ]


def test_every_event_of_a_load_names_it(office: Office) -> None:
    first = citizen("A", personal_id="079187000123", phone="", address="")
    second = citizen("B", "H. N. B. Trâm", insurance="7912345678", phone="", address="")
    judged = citizen("E", "Lý Quốc Cường", phone="0911222333")
    office.put_all([first, second, judged])
    office.different(first, judged)
    before = office.seq
    bridge = citizen(
        "C", registry="social_security", personal_id="079187000123", insurance="7912345678", phone="", address=""
    )
    stranger = citizen("E", "Đặng Hoàng Long", "1969-10-20", sex="M", personal_id="079069001234", phone="")
    load_id = load(office, "night", [bridge, stranger, citizen("D", phone="0905000000"), first.key])
    events = [event for event in office.events() if event.seq > before]
    kinds = {type(event.fact).__name__ for event in events}
    assert {"RecordsRegrouped", "RecordDeleted", "JudgementWithdrawn", "GoldenIdRetired", "LoadFinished"} <= kinds
    assert {event.cause.load_id for event in events} == {load_id}
    assert {event.cause.actor for event in events} == {"loader"}
    assert entry_of(office, load_id).row_count == 4
    assert office.put(first).outcome is not WriteOutcome.UNCHANGED


def test_of_two_poisoned_loads_the_later_one_goes_first_and_then_nothing_is_left_of_either(office: Office) -> None:
    records = [record for record in city_records(60, 3) if record.key.kind is EntityKind.CITIZEN]
    new, known = records[:8], records[8:]
    office.put_all(known)
    kept, before, questions = values(office), office.goldens(), office.questions()
    earlier = load(office, "night-3", [*swapped(known[:30]), *(each.key for each in known[30:40]), *new[:6]])
    # Changes, deletes and brings back what the first one changed, deleted, brought and left alone.
    gone = [each.key for each in [*known[5:10], *known[38:44], *new[:2]]]
    later = load(office, "night-4", [*swapped(swapped(known[10:34])), *new[4:], *gone])
    unwritten = load(office, "night-5", [citizen("never stored").key])
    (refused,) = office.execute(RevertLoad(Request(office.cause), earlier))
    assert isinstance(refused, Refusal)
    assert (refused.error, later in str(refused.as_error()), unwritten in str(refused.as_error())) == (
        "ConflictError",
        True,
        False,
    )
    for load_id in (later, earlier):
        assert {"failed", "left_changed"}.isdisjoint(revert(office, load_id))
    assert {key: stored for key, stored in values(office).items() if not stored[1]} == kept
    assert {identifier: office.goldens()[identifier] for identifier in before} == before
    assert office.questions() == questions


def test_what_a_right_later_load_wrote_stays_where_the_operator_says_that_it_is_right(office: Office) -> None:
    one, two = citizen("A"), citizen("B", "Lý Quốc Cường", phone="0911222333")
    office.put_all([one, two])
    poisoned = load(office, "night-3", swapped([one, two]))
    right = citizen("A", phone="0909000111")
    load(office, "night-4", [right])
    assert office.refused(RevertLoad(Request(office.cause), poisoned)) == "ConflictError"
    effects = revert(office, poisoned, keeps_later=True)
    assert (effects["left_changed"], effects["restored"]) == (1, 1)
    assert (office.stored(one.key), office.stored(two.key)) == (right, two)


def test_what_a_steward_fixed_is_with_the_member_again_that_had_it(office: Office) -> None:
    one, two, three = (citizen(record_id, personal_id="079187000123") for record_id in "ABC")
    office.put_all([one, two, three])
    identifier = office.id_of(one)
    assert identifier is not None
    office.steward(Pin(identifier, "full_name", "Huỳnh Ngọc Bảo Trâm (1987)"))
    # From the first to the second to the third, within one commit; and back.
    load_id = load(office, "night", [one.key, two.key])
    assert [bool(office.entry(each.key).pins) for each in (one, two, three)] == [False, False, True]
    revert(office, load_id)
    assert [bool(office.entry(each.key).pins) for each in (one, two, three)] == [True, False, False]
    office.steward(Split(identifier, (office.number(two.key), office.number(three.key))))
    assert [bool(office.entry(each.key).pins) for each in (one, two, three)] == [True, False, False]


@pytest.mark.parametrize("said", ["fixed anew", "let go"])
def test_a_value_that_a_steward_fixed_anew_or_let_go_since_stays_so(office: Office, said: str) -> None:
    one, two = (citizen(record_id, personal_id="079187000123") for record_id in "AB")
    office.put_all([one, two])
    identifier = office.id_of(one)
    assert identifier is not None
    office.steward(Pin(identifier, "full_name", "Huỳnh Ngọc Bảo Trâm (1987)"))
    load_id = load(office, "night", [one.key])
    again = Pin(identifier, "full_name", "Huỳnh Bảo Trâm") if said == "fixed anew" else Unpin(identifier, "full_name")
    office.steward(again)
    pins = office.entry(two.key).pins
    revert(office, load_id)
    assert (office.entry(one.key).pins, office.entry(two.key).pins) == ((), pins)


def test_a_repeated_request_gets_the_first_answer(office: Office) -> None:
    load_id = load(office, "night", [citizen("A")])
    again = RevertLoad(Request(office.cause, "r-1", b"content"), load_id, "shifted")
    (first,) = office.execute(again)
    follow(office, load_id)
    assert office.execute(again, again) == [first, first]
    other = RevertLoad(Request(office.cause, "r-1", b"other"), load_id, "cut off")
    assert office.refused(other) == "RequestIdReusedError"
