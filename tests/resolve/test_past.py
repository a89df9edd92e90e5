"""A golden ID as it was, against the plain fold of the journal up to each position."""

from __future__ import annotations

import itertools
import random
from contextlib import closing

import pytest

from mdm.domain import events as ev
from mdm.domain.changes import Changes
from mdm.domain.keys import EntityKind, RecordNumber, golden_id
from mdm.domain.state import MemoryState, apply
from mdm.errors import GoldenIdNotYetIssuedError, InvalidInputError, InvalidTokenError, UnknownGoldenIdError
from mdm.resolve.commands import Erase, EraseAnswer, Pin, Request, Unmerge
from mdm.resolve.group import Group
from mdm.resolve.past import golden_at, past_golden_record, record_at
from mdm.resolve.payloads import decode_payload
from mdm.resolve.reader import Reader
from mdm.resolve.views import GoldenState
from mdm.store.view import IndexView
from tests.resolve.cities import city_records
from tests.resolve.explain.explaining import reading
from tests.resolve.office import Office, citizen

ID, OTHER_ID, INSURANCE = "079187000123", "079187000456", "7912345678"
NAME = "Nguyễn Thị Hoa"


def add(office: Office, *facts: ev.Fact) -> None:
    """Let a steward bring facts about, without a call."""
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        for fact in facts:
            group.add(ev.Cause(actor="steward"), fact)
        office.writer._journal.commit(group.batch)


def busy_city(office: Office) -> None:
    """Write a small city with updates, deletions, re-appearances, a re-linkage and its reversal."""
    records = city_records(60, 9)
    chosen = random.Random(4)
    office.put_all(records[:150])
    office.put_all(records[150:], later=True)
    for record in chosen.sample(records[:150], 25):
        office.drop(record.key)
    strangers = (
        citizen("A1", personal_id=ID),
        citizen("A2", "Trần Văn Tâm", "1950-01-02", sex="M", phone="", address=""),
    )
    office.put_all(strangers)
    office.judge(strangers[0].key, strangers[1].key, ev.Verdict.SAME)
    # The re-linkage merges what was judged the same and gives the pending records their IDs; then it is taken back.
    office.revert(office.relink_here().run_id)
    office.relink_here()
    # Values of another bearer under a known key, and records that come again.
    for record, other in zip(records[:20], records[40:60], strict=True):
        if record.key.kind is other.key.kind:
            office.put(type(record)(record.key, other.attributes, "2027-01-01"))
    office.put_all(records[100:150])


def test_membership_of_any_position_is_the_fold_up_to_it(office: Office) -> None:
    busy_city(office)
    events = office.events()
    chosen = random.Random(7)
    states = {len(events)} | set(chosen.sample(range(1, len(events)), 25))
    plain = MemoryState()
    seen: set[GoldenState] = set()
    with reading(office) as (_, state):
        for event in events:
            apply(plain, event)
            if event.seq not in states:
                continue
            for identifier, entry in plain.goldens.items():
                past = golden_at(state, identifier, event.seq)
                surviving = entry.survivor or identifier
                golden = plain.goldens[surviving]
                assert past.golden_id == (None if entry.is_retired else surviving)
                assert (past.members, past.absorbed) == (golden.members, golden.absorbed), (identifier, event.seq)
                assert past.anchor == golden.anchor
                seen.add(past.state)
                pins = {pin for number in golden.members for pin in plain.records[number].pins}
                assert set(past.pins) == pins
    assert seen == {GoldenState.ACTIVE, GoldenState.REDIRECTED, GoldenState.RETIRED}


def test_values_of_any_position_are_those_of_then(office: Office) -> None:
    busy_city(office)
    events = list(office.writer._journal.events_with_payloads())
    with reading(office) as (_, state):
        current: dict[RecordNumber, bytes] = {}
        for event, payload in events:
            if isinstance(event.fact, ev.RecordUpserted) and payload is not None:
                current[event.fact.number] = payload
            if event.seq % 97 == 0:
                last = state.journal.last_payload_id(event.seq)
                for number, plain in current.items():
                    assert record_at(state, number, last) == decode_payload(plain)
    assert len(current) > 100


def test_a_merge_and_an_update_are_undone_by_looking_back(office: Office) -> None:
    first = citizen("A", NAME, personal_id=ID, phone="", address="", updated_at="2025-01-01")
    second = citizen("B", NAME, insurance=INSURANCE, phone="", address="", updated_at="2025-01-01")
    office.put_all([first, second])
    apart = office.seq
    older, younger = office.id_of(first), office.id_of(second)
    assert older is not None
    assert younger is not None
    office.put(citizen("C", NAME, personal_id=ID, insurance=INSURANCE, phone="", address=""))
    office.put(citizen("B", NAME, insurance=INSURANCE, phone="0938417265", address="", updated_at="2026-01-01"))
    office.close()
    with closing(Reader.open(office.path)) as reader:
        now = reader.golden(younger)
        then = reader.past_golden(younger, reader.token(apart))
        assert (now.golden_id, now.state, len(now.members)) == (older, GoldenState.REDIRECTED, 3)
        assert (then.record.golden_id, then.record.state) == (younger, GoldenState.ACTIVE)
        assert [(each.key, each.is_anchor) for each in then.record.members] == [(second.key, True)]
        values = {value.field: value.value for value in then.record.values}
        assert values["full_name"] == NAME
        assert "phones" not in values
        assert "phones" in {value.field for value in now.values}
        assert (then.seq, then.erased_count) == (apart, 0)
        both = reader.past_golden(older, reader.token(apart)).record
        assert (len(both.members), both.absorbed) == (1, ())
        assert reader.past_golden(older, reader.token(reader.applied_seq())).record.absorbed == (younger,)
    office.reopen()


def test_a_fixed_value_is_shown_as_of_then_also_after_a_merge(office: Office) -> None:
    first = citizen("A", NAME, personal_id=ID, phone="", address="")
    second = citizen("B", NAME, insurance=INSURANCE, phone="", address="")
    office.put_all([first, second])
    number = office.number(second.key)
    before = office.seq
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        payload_id, _ = group.seal(number, "Nguyễn Thị Hòa".encode())
        group.add(ev.Cause(actor="steward"), ev.ValuePinned(number, "full_name", payload_id))
        office.writer._journal.commit(group.batch)
    fixed = office.seq
    office.put(citizen("C", NAME, personal_id=ID, insurance=INSURANCE, phone="", address=""))
    merged = office.seq
    add(office, ev.ValueUnpinned(number, "full_name"))
    (identifier,) = [each for each, (anchor, *_) in office.goldens().items() if anchor == number]
    assert office.answer(identifier) == office.id_of(first)
    names = {}
    with reading(office) as (_, state):
        for seq in (fixed, merged, state.view.applied_seq):
            values = past_golden_record(state, identifier, seq).record.values
            names[seq] = {value.value for value in values if value.field == "full_name"}
        past = golden_at(state, identifier, before)
    # Before the merge the ID asked for stood for itself.
    assert names == {fixed: {"Nguyễn Thị Hòa"}, merged: {"Nguyễn Thị Hòa"}, office.seq: {NAME}}
    assert past.pins == ()


def test_an_erased_member_of_then_is_counted_and_not_shown(office: Office) -> None:
    records = [citizen(f"P{place}", personal_id=ID) for place in range(2)]
    office.put_all(records)
    seq, identifier = office.seq, office.id_of(records[0])
    assert identifier is not None
    number = office.number(records[1].key)
    batch = office.writer._journal.begin(0)
    batch.erase([number])
    office.writer._journal.commit(batch)
    with office.writer._index.write() as txn:
        txn.purge(number)
    with reading(office) as (_, state):
        found = past_golden_record(state, identifier, seq)
    assert ([each.key for each in found.record.members], found.erased_count) == ([records[0].key], 1)


def test_an_erasure_is_known_from_its_own_position_on(office: Office) -> None:
    office.put(citizen("A", personal_id=ID))
    before, identifier = office.seq, office.id_of(citizen("A"))
    assert identifier is not None
    (done,) = office.execute(Erase(Request(ev.Cause(actor="operator", method="Test")), identifier))
    assert isinstance(done, EraseAnswer), done
    with reading(office) as (_, state):
        then, now = (past_golden_record(state, identifier, seq) for seq in (before, done.erasure_seq))
    assert (then.record.state, then.record.is_erased, then.erased_count) == (GoldenState.ACTIVE, False, 1)
    assert (now.record.state, now.record.is_erased, now.erased_count) == (GoldenState.RETIRED, True, 0)


def test_a_moment_is_a_position_or_a_time_that_has_passed(office: Office) -> None:
    first, second = citizen("A", personal_id=ID), citizen("B", "Trần Văn Tâm", personal_id=OTHER_ID, sex="M")
    office.put(first)
    times = [event.at_us for event in office.events()]
    office.put(second)
    younger = office.id_of(second)
    older = office.id_of(first)
    assert older is not None
    assert younger is not None
    last_us = office.events()[-1].at_us
    office.close()
    with closing(Reader.open(office.path)) as reader:
        assert reader.past_golden(older, times[-1]).record.golden_id == older
        assert reader.past_golden(younger, last_us).seq == reader.applied_seq()
        for moment in (times[0] - 1, -1, reader.token(1)):
            with pytest.raises(GoldenIdNotYetIssuedError):
                reader.past_golden(younger, moment)
        with pytest.raises(InvalidInputError, match="as_of_time: must not lie in the future"):
            reader.past_golden(older, 1 << 60)
        with pytest.raises(InvalidInputError, match="as_of_position: must not lie in the future"):
            reader.past_golden(older, reader.token(reader.applied_seq() + 1))
        with pytest.raises(InvalidTokenError, match="as_of_position"):
            reader.past_golden(older, "")
        with pytest.raises(UnknownGoldenIdError):
            reader.past_golden(golden_id(EntityKind.CITIZEN, 0), reader.token(1))
    office.reopen()


def test_the_last_version_up_to_a_position_is_found_in_spite_of_a_callers_words(office: Office) -> None:
    office.cause = ev.Cause(purpose="RecordUpserted, as they say")
    office.put(citizen("A", personal_id=ID))
    journal = office.writer._journal
    ids = {event.seq: event.fact.payload_id for event in office.events() if isinstance(event.fact, ev.RecordUpserted)}
    ((seq, payload_id),) = ids.items()
    assert [journal.last_payload_id(each) for each in (seq - 1, seq, office.seq)] == [0, payload_id, payload_id]
    assert office.seq > seq, "the event behind it holds the word as well"


def test_the_position_of_a_time_is_the_last_event_up_to_it(office: Office) -> None:
    office.put_all(list(city_records(50, 1)[:60]), group=5)
    journal = office.writer._journal
    events = office.events()
    for at_us in {0, *(event.at_us for event in events), *(event.at_us - 1 for event in events), 1 << 62}:
        expected = max((event.seq for event in events if event.at_us <= at_us), default=0)
        assert journal.seq_at(at_us) == expected


def test_the_cost_of_looking_back_grows_with_the_history_and_no_faster(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = citizen("A", NAME, personal_id=ID, phone="", address="")
    second = citizen("B", "Trần Văn Tâm", "1950-01-02", sex="M", personal_id=OTHER_ID, phone="", address="")
    office.put_all([first, second])
    older, younger = office.id_of(first), office.id_of(second)
    assert older is not None
    assert younger is not None
    office.steward(Pin(younger, "full_name", "Trần Văn Tám"))
    read: list[int] = []
    changes_of = IndexView.changes

    def noted(view: IndexView, seq: int) -> Changes | None:
        read.append(seq)
        return changes_of(view, seq)

    monkeypatch.setattr(IndexView, "changes", noted)
    counts = []
    for _ in range(8):
        office.steward(ev.Merge(older, younger))
        with reading(office) as (_, state):
            read.clear()
            # The fixed value came along with its record, however often that went to and fro.
            assert [field for field, _ in golden_at(state, older, state.view.applied_seq).pins] == ["full_name"]
            counts.append(len(read))
        office.steward(Unmerge(younger))
    # Every merge adds as many events as the one before it.
    grown = [after - before for before, after in itertools.pairwise(counts)]
    assert max(grown) <= min(grown) + 2, counts
