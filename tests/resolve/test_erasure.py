"""Erasing a person: nothing of the values is left in any file, the journal replays, and a kill at any stage resumes."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId
from mdm.domain.records import SourceRecord
from mdm.errors import StoreError
from mdm.resolve import erasure, renewal
from mdm.resolve.commands import CommitRelink, Erase, EraseAnswer, Pin, Refusal, Request, StartRelink, WriteOutcome
from mdm.resolve.group import Group
from mdm.resolve.payloads import encode_payload
from mdm.resolve.projection import rebuild, verify
from mdm.resolve.relink_runs import PLAN_FILE, Phase, read_state
from mdm.store.data_directory import DataDirectory
from mdm.store.export_ledger import ExportEntry
from mdm.store.index import Index
from mdm.store.journal import Journal
from tests.resolve.erasing import (
    NAME,
    OTHERS,
    PERSON,
    TEXTS,
    erased,
    finished,
    holding,
    id_of,
    loaded,
    purge,
    search,
)
from tests.resolve.office import Office, citizen


def record_keys(office: Office) -> list[bytes]:
    keys = [office.writer._journal.record_key(office.number(record.key)) for record in PERSON]
    assert None not in keys
    return [key for key in keys if key]


def test_no_file_holds_anything_of_an_erased_person(tmp_path: Path) -> None:
    office = loaded(tmp_path / "data")
    golden_id = id_of(office)
    office.directory.generations.checkpoint(office.writer._index)
    office.relink()
    planned = office.relink(commit=False)
    shutil.copytree(office.directory.generations.latest_checkpoint() or Path(), office.path / "export-killed")
    keys = record_keys(office)
    before = holding(office.path)
    kept = holding(office.path, ("O3", "Trần Văn Dũng"))
    assert any(name.startswith("index/gen-") for name in before), "the control: the search finds what is there"
    assert any(name.startswith("index/checkpoint/") for name in before)
    assert any(name.startswith("export-killed/") for name in before)
    assert any(name.startswith("journal.sqlite") for name in search(office.path, keys))

    answer = erased(office, golden_id)
    assert answer.erasure_seq == answer.seq == office.seq
    assert not finished(office)
    assert office.answer(golden_id) is None, "the person is gone at once, before the copies are"
    purge(office)

    assert finished(office)
    assert holding(office.path) == {}
    assert search(office.path, keys) == {}
    assert any(name.startswith("index/gen-") for name in holding(office.path, ("O3", "Trần Văn Dũng"))), kept
    assert read_state(office.directory.relinks, planned.run_id).phase is Phase.PLANNED, "a plan of numbers alone stays"
    office.writer._checkpoints._due_s = 0.0
    office.put(citizen("O9", "Lý Quốc Cường", "1950-01-02"))
    office.writer.background_step()
    office.writer._checkpoints.close()
    assert office.directory.generations.latest_checkpoint() is not None
    assert holding(office.path) == {}, "what is written later takes nothing of it along"
    assert office.differences(tmp_path / "scratch") == []
    office.close()
    assert holding(office.path) == {}
    assert verify(office.path).is_equal
    rebuild(office.path)
    assert verify(office.path).is_equal
    assert holding(office.path) == {}


def test_what_remains_is_the_retired_id(tmp_path: Path) -> None:
    office = loaded(tmp_path / "data")
    golden_id, numbers = id_of(office), {office.number(record.key) for record in PERSON}
    erased(office, golden_id)
    golden = office.golden(golden_id)
    assert (golden.is_retired, golden.is_erased, golden.members, golden.anchor) == (True, True, (), None)
    with office.writer._index.read() as view:
        assert [view.number_of(record.key) for record in PERSON] == [None, None, None]
        entries = [view.record(number) for number in sorted(numbers)]
    assert all(entry is not None and entry.is_erased and entry.is_deleted for entry in entries)
    facts = [event.fact for event in office.events() if isinstance(event.fact, ev.SubjectErased)]
    assert [(set(fact.numbers), fact.golden_ids, fact.reason) for fact in facts] == [
        (numbers, (golden_id,), "asked for by the person")
    ]
    assert erased(office, golden_id).erasure_seq == 0, "what was erased before is an answer and no event"
    assert len([event for event in office.events() if isinstance(event.fact, ev.SubjectErased)]) == 1
    office.close()


def test_an_erased_key_that_comes_again_is_a_new_record_of_a_new_golden_id(office: Office) -> None:
    office.put_all(PERSON)
    golden_id, number = id_of(office), office.number(PERSON[0].key)
    erased(office, golden_id)
    answer = office.put(PERSON[0])
    assert answer.outcome is WriteOutcome.CREATED
    assert answer.golden_id not in {golden_id, None}
    assert office.number(PERSON[0].key) > number
    purge(office)
    assert office.put(PERSON[0]).outcome is WriteOutcome.UNCHANGED
    assert office.stored(PERSON[0].key) == PERSON[0]


def test_absorbed_ids_judgements_questions_and_pins_go_with_the_person(office: Office) -> None:
    one = citizen("A1", "Huỳnh Ngọc Bảo Trâm", "1987-03-05", phone="0903123456")
    other = citizen("A2", "Phan Thị Lệ", "1970-07-07", phone="0911222333", address="5 Trần Phú, Quận 5")
    twin = citizen("A3", "Huỳnh Ngọc Bảo Trân", "1987-03-05", phone="0903123456")
    office.put_all([one, other, twin])
    pinned, judged = office.number(one.key), office.number(twin.key)
    first, second = office.id_of(one), office.id_of(other)
    office.judge(one.key, twin.key, ev.Verdict.DIFFERENT)
    with office.writer._index.write() as txn:
        group = Group(office.writer._journal.begin(0), txn, {})
        payload_id, _ = group.seal(pinned, b"Tram")
        group.add(office.cause, ev.ValuePinned(pinned, "other_name", payload_id))
        facts = erasure_merge(group, pinned, office.number(other.key))
        for fact in facts:
            group.add(office.cause, fact)
        office.writer._journal.commit(group.batch)
    assert (office.answer(first), office.answer(second)) == (first, first)

    erased(office, second)
    assert (office.answer(first), office.answer(second)) == (None, None)
    assert first is not None
    assert second is not None
    assert office.golden(second).is_erased
    assert office.golden(first).is_erased
    with office.writer._index.read() as view:
        entry, rest = view.record(pinned), view.record(judged)
        assert entry is not None
        assert rest is not None
        assert (entry.pins, entry.judged, rest.judged, rest.potential_matches) == ((), (), (), ())
        assert list(view.iter_judgements()) == []
    assert office.writer._journal.payload(payload_id) is None


def erasure_merge(group: Group, left: int, right: int) -> list[ev.Fact]:
    """A steward's merge, as the rules make it."""
    from mdm.domain.keys import RecordNumber  # noqa: PLC0415
    from mdm.domain.rules import regroup  # noqa: PLC0415

    members: list[RecordNumber] = []
    for number in (left, right):
        golden = group.index.golden(group.golden_id_of(RecordNumber(number)) or GoldenId(""))
        members += golden.members if golden else ()
    return regroup(group.index, [members], group.mint, reason=ev.RegroupReason.JUDGEMENT)


def test_deleted_records_of_the_person_are_erased_too(tmp_path: Path) -> None:
    office = loaded(tmp_path / "data")
    golden_id = id_of(office)
    office.drop(PERSON[0].key)
    numbers = {office.number(record.key) for record in PERSON}
    erased(office, golden_id)
    purge(office)
    (fact,) = [event.fact for event in office.events() if isinstance(event.fact, ev.SubjectErased)]
    assert set(fact.numbers) == numbers
    assert holding(office.path) == {}
    office.close()


def test_a_retired_id_stands_for_the_deleted_records_that_it_had(tmp_path: Path) -> None:
    office = loaded(tmp_path / "data")
    golden_id = id_of(office)
    for record in PERSON:
        office.drop(record.key)
    assert office.golden(golden_id).is_retired
    assert holding(office.path), "a deletion is no erasure"
    assert erased(office, golden_id).erasure_seq
    purge(office)
    assert holding(office.path) == {}
    assert office.golden(golden_id).is_erased
    office.close()


def test_a_deleted_record_that_returned_is_not_erased_with_the_id_that_it_left(office: Office) -> None:
    alone = citizen("B1", "Phan Thị Lệ", "1970-07-07", phone="", address="")
    office.put(alone)
    left = office.id_of(alone)
    office.drop(alone.key)
    office.put(alone)
    assert office.id_of(alone) not in {left, None}
    assert erased(office, left).erasure_seq == 0
    assert office.stored(alone.key) == alone


def test_the_former_bearer_of_a_key_is_erased_without_the_present_one(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    key = "REPRESENTATIVE"
    former = citizen(key, NAME, "1984-11-23", registry="company", sex="F", address="77 Hẻm Bí Mật, Quận 1")
    present = citizen(key, "Trần Văn Dũng", "1961-02-11", registry="company", sex="M", phone="", address="")
    office.put(former)
    left = office.id_of(former)
    assert office.put(present).is_new_bearer
    assert office.id_of(present) != left

    assert erased(office, left).erasure_seq
    purge(office)
    payloads = [payload for _, payload in office.writer._journal.events_with_payloads() if payload is not None]
    assert len(payloads) == 1, "of two versions the present bearer's is left"
    assert office.stored(present.key) == present
    assert holding(office.path, (NAME, "Hẻm Bí Mật")) == {}
    assert office.differences(tmp_path / "scratch") == []
    office.close()
    assert verify(office.path).is_equal


def test_a_pending_record_is_erased_alone_and_a_plan_with_its_values_is_void(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    office.put_all(OTHERS)
    office.put(PERSON[0], later=True)
    planned = office.relink(commit=False)
    assert planned.phase is Phase.PLANNED
    assert any("plan.bin" in name for name in holding(office.path)), "the control: the plan holds its features"

    assert erased(office, key=PERSON[0].key).erasure_seq
    purge(office)
    assert read_state(office.directory.relinks, planned.run_id).phase is Phase.CANCELLED
    assert not (office.directory.relinks / planned.run_id / PLAN_FILE).exists()
    assert holding(office.path) == {}
    assert office.differences(tmp_path / "scratch") == []
    office.close()


def test_a_plan_under_way_begins_anew_without_the_person(tmp_path: Path) -> None:
    office = loaded(tmp_path / "data")
    (started,) = office.execute(StartRelink(Request(office.cause)))
    run_id = getattr(started, "run_id", "")
    process = office.writer._relink._process
    assert process is not None
    # It holds locks of the index until it has its copy; then it is held up, so that it does not end before the erasure.
    while not (office.directory.relinks / run_id / "work" / "index").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    erased(office, id_of(office))
    state = office.follow(run_id)
    assert state.phase is Phase.PLANNED
    assert state.attempt_count == 1, "it was not the plan's fault"
    assert finished(office)
    assert holding(office.path) == {}
    office.close()


def test_a_commit_under_way_brings_nothing_back_and_is_waited_for(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    office.put_all(OTHERS)
    office.put_all(PERSON, later=True)
    run_id = office.relink(commit=False).run_id
    office.execute(CommitRelink(Request(office.cause), run_id, churn_share_max=1.0))
    erased(office, key=PERSON[0].key)
    assert office.writer._relink.is_committing
    office.writer._eraser.step()
    assert office.writer._eraser._renewal is None, "the plan holds the values until the commit has ended"
    purge(office)
    assert read_state(office.directory.relinks, run_id).phase is Phase.COMMITTED
    assert all(office.id_of(record) for record in PERSON[1:]), "the rest of its component is resolved without it"
    with office.writer._index.read() as view:
        assert view.number_of(PERSON[0].key) is None
    assert holding(office.path, ("ERASE-H1", "77 Hẻm Bí Mật")) == {}
    assert office.differences(tmp_path / "scratch") == []
    office.close()


def test_what_is_written_while_the_index_is_written_anew_is_in_it(tmp_path: Path) -> None:
    office = loaded(tmp_path / "data")
    late = citizen("LATE", "Lý Quốc Cường", "1950-01-02", sex="M")
    erased(office, id_of(office))
    office.writer.background_step()
    assert office.writer._eraser._renewal is not None, "under way"
    office.put(late)
    second = office.id_of(OTHERS[0])
    assert erased(office, second).erasure_seq, "another erasure, too late for this file"
    seqs = office.writer._eraser._seqs
    purge(office)
    assert seqs < office.writer._eraser._seqs, "in a second round"
    assert office.id_of(late) is not None
    assert holding(office.path, (*TEXTS, "Trần Văn Ân")) == {}
    assert office.differences(tmp_path / "scratch") == []
    office.close()


def test_a_renewal_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = loaded(tmp_path / "data")
    erased(office, id_of(office))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        office.writer.background_step()
        process = office.writer._eraser._renewal
        assert process is not None
        process.close()
        assert process.has_failed
        office.writer.background_step()
    assert office.writer._eraser._renewal is None
    assert not finished(office)
    office.writer._eraser._not_before_s = 0.0
    purge(office)
    assert holding(office.path) == {}
    office.close()


def test_golden_records_chosen_by_another_registry_may_hold_the_subject(office: Office) -> None:
    golden_id = office.put(citizen("P1")).golden_id
    assert golden_id is not None
    exports = [
        ExportEntry(name, 5, office.seq, what, ("land",), ("citizen",), 3)
        for name, what in (("values", "golden-records"), ("keys", "crosswalk"))
    ]
    with office.writer._index.read() as view:
        outline = erasure.outline_of(view, erasure.subject_named(view, golden_id, None), exports)
    # Whoever had a record of the land register then was exported with the values of all records.
    assert [export.export_id for export in outline.exports] == ["values"]


def test_a_dry_run_counts_and_a_changed_count_erases_nothing(office: Office) -> None:
    office.put_all(PERSON)
    golden_id = id_of(office)
    exports = [ExportEntry("e1", 5, office.seq, "crosswalk", ("hospital",), ("citizen",), 3),
               ExportEntry("e2", 6, office.seq, "crosswalk", ("company",), ("citizen",), 3),
               ExportEntry("e3", 7, 1, "crosswalk", (), ("citizen",), 3)]  # fmt: skip
    with office.writer._index.read() as view:
        outline = erasure.outline_of(view, erasure.subject_named(view, golden_id, None), exports)
    assert (outline.subject.golden_ids, len(outline.subject.numbers)) == ((golden_id,), 3)
    assert set(outline.keys) == {record.key for record in PERSON}
    assert [export.export_id for export in outline.exports] == ["e1"], "of its registry, since it has been here"

    (refused,) = office.execute(Erase(Request(office.cause), golden_id, None, "r", expected_record_count=2))
    assert isinstance(refused, Refusal)
    assert refused.error == "ConflictError"
    assert office.id_of(PERSON[0]) == golden_id


def test_unknown_subjects_are_refused(office: Office) -> None:
    office.put_all(PERSON)
    unknown = GoldenId("C-18ZN-3GPM-WTVS-5")
    assert office.refused(Erase(Request(office.cause), unknown, None, "r")) == "UnknownGoldenIdError"
    assert office.refused(Erase(Request(office.cause), None, citizen("X").key, "r")) == "UnknownRecordError"


def test_a_repeated_request_gets_the_first_answer(office: Office) -> None:
    office.put_all(PERSON)
    request = Request(office.cause, "r1", b"x")
    command = Erase(request, id_of(office), None, "r")
    (first,), (second,) = office.execute(command), office.execute(command)
    assert isinstance(first, EraseAnswer)
    assert isinstance(second, EraseAnswer)
    assert (second.erasure_seq, second.is_repeated) == (first.erasure_seq, True)


def fail(*_: object) -> None:
    raise StoreError("killed here")


STAGES: list[tuple[str, Callable[[pytest.MonkeyPatch, Office], None]]] = [
    ("before the index commit", lambda m, _: m.setattr("mdm.store.transaction.IndexTransaction.finish", fail)),
    ("before the index is written anew", lambda m, _: m.setattr(renewal.Renewal, "start", fail)),
    ("before the WAL is emptied", lambda m, _: m.setattr(Journal, "empty_wal", fail)),
    ("before the new index has caught up", lambda m, _: m.setattr(renewal, "project", fail)),
    ("before the new index is in use", lambda m, o: m.setattr(type(o.directory.generations), "swap", fail)),
    ("before the writer has it", lambda m, _: m.setattr(Index, "move_to", fail)),
    ("before the old index is removed", lambda m, o: m.setattr(type(o.directory.generations), "remove_others", fail)),
    ("before runs are searched", lambda m, o: m.setattr(o.writer._relink, "discard_values", fail)),
    ("before working directories are removed", lambda m, _: m.setattr(DataDirectory, "scratch", fail)),
    ("before checkpoints are dropped", lambda m, o: m.setattr(type(o.directory.generations), "drop_checkpoints", fail)),
    ("before it is said to be finished", lambda m, _: m.setattr(ev, "ErasureFinished", fail)),
]


@pytest.mark.crash
@pytest.mark.parametrize(("stage", "break_at"), STAGES, ids=[stage for stage, _ in STAGES])
def test_an_erasure_that_is_killed_at_any_stage_is_finished_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, break_at: Callable[[pytest.MonkeyPatch, Office], None]
) -> None:
    office = loaded(tmp_path / "data")
    golden_id = id_of(office)
    office.directory.generations.checkpoint(office.writer._index)

    def erase_and_purge() -> None:
        erased(office, golden_id)
        purge(office)

    with monkeypatch.context() as patched:
        break_at(patched, office)
        with pytest.raises(StoreError):
            erase_and_purge()
    office.kill()
    office.reopen()
    assert office.answer(golden_id) is None
    purge(office)
    assert finished(office)
    assert holding(office.path) == {}
    assert office.differences(tmp_path / "scratch") == []
    survivors: list[SourceRecord] = [record for record in OTHERS if office.id_of(record)]
    assert survivors == OTHERS
    office.close()
    assert verify(office.path).is_equal


def test_what_stewards_fixed_and_said_of_a_former_bearer_goes_with_it(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    former = citizen("PASSED", NAME, "1984-11-23", registry="company", phone="", address="77 Hẻm Bí Mật, Quận 1")
    present = citizen("PASSED", "Trần Văn Dũng", "1961-02-11", registry="company", sex="M", phone="", address="")
    office.put(former)
    left = id_of(office, former)
    office.steward(Pin(left, "other_name", "Zuyển Bí Danh"))
    assert office.put(present).is_new_bearer
    assert erased(office, left).erasure_seq
    payloads = [payload for payload_id in range(1, 100) if (payload := office.writer._journal.payload(payload_id))]
    assert payloads == [encode_payload(present)], "neither the fixed value nor its reason"
    office.close()


def test_an_id_that_was_merged_away_before_it_was_retired_stands_for_the_same_deleted_records(tmp_path: Path) -> None:
    for asked in (0, 1):
        office = Office(tmp_path / str(asked) / "data")
        one, other = citizen("A1", NAME, "1984-11-23"), citizen("A2", "Phan Thị Lệ", "1970-07-07", phone="0911222333")
        office.put_all([one, other])
        ids = [id_of(office, each) for each in (one, other)]
        office.steward(ev.Merge(ids[0], ids[1]))
        for record in (one, other):
            office.drop(record.key)
        assert all(office.golden(each).is_retired for each in ids)
        assert erased(office, ids[asked]).erasure_seq
        (fact,) = [event.fact for event in office.events() if isinstance(event.fact, ev.SubjectErased)]
        assert (len(fact.numbers), set(fact.golden_ids)) == (2, set(ids))
        assert all(office.golden(each).is_erased for each in ids)
        purge(office)
        assert holding(office.path, (NAME, "Phan Thị Lệ", "0911222333")) == {}
        assert erased(office, ids[1 - asked]).erasure_seq == 0
        office.close()
        assert verify(office.path).is_equal
