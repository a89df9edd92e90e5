"""Re-linkage end to end: the real batch process on a synthetic city, its plan committed between writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm.domain.events import MatchReason, Verdict
from mdm.domain.keys import SourceKey
from mdm.domain.records import SourceRecord
from mdm.resolve.commands import CancelRelink, CommitRelink, Request, RunAnswer, StartRelink, WriteOutcome
from mdm.resolve.relink_runs import Phase, PlanReader, RunState, read_state
from mdm.store.journal import Batch, Journal
from tests.resolve.cities import city_records
from tests.resolve.office import Office, citizen

CITIZENS, SEED = 400, 11


@pytest.fixture(scope="module")
def records() -> list[SourceRecord]:
    return list(city_records(CITIZENS, SEED))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, records: list[SourceRecord]) -> Iterator[Office]:
    """A city stored for later and linked once; tests that use it leave its partition as it is."""
    office = Office(tmp_path_factory.mktemp("city") / "data")
    office.put_all(records, later=True)
    state = office.relink()
    assert state.phase is Phase.COMMITTED
    yield office
    office.close()


def test_everything_pending_is_resolved(loaded: Office, records: list[SourceRecord]) -> None:
    assert loaded.crosswalk().keys() == {record.key for record in records}


def test_a_second_run_changes_nothing(loaded: Office, tmp_path: Path) -> None:
    crosswalk, questions = loaded.crosswalk(), loaded.questions()
    state = loaded.relink(commit=False)

    assert state.phase is Phase.PLANNED
    plan = PlanReader(loaded.directory.relinks / state.run_id / "plan.bin")
    plan.close()
    assert plan.header.item_count == 0
    assert state.report is not None
    assert (state.report.new_count, state.report.moved_record_count, state.report.churn_share) == (0, 0, 0.0)
    (started,) = loaded.execute(CommitRelink(Request(loaded.cause), state.run_id))
    assert isinstance(started, RunAnswer)
    assert loaded.follow(state.run_id).phase is Phase.COMMITTED
    assert (loaded.crosswalk(), loaded.questions()) == (crosswalk, questions)
    assert loaded.differences(tmp_path / "scratch") == []


@pytest.mark.parametrize("later", [True, False])
def test_the_partition_depends_neither_on_the_order_nor_on_the_way_of_loading(
    loaded: Office,
    records: list[SourceRecord],
    tmp_path: Path,
    later: bool,  # noqa: FBT001
) -> None:
    shuffled = list(records)
    random.Random(1).shuffle(shuffled)
    office = Office(tmp_path / "data")
    office.put_all(shuffled, later=later)
    before = office.crosswalk()
    state = office.relink()

    assert state.phase is Phase.COMMITTED
    assert office.partition() == loaded.partition()
    assert set(office.questions()) == set(loaded.questions())
    minted = set(before.values())
    assert all(office.answer(identifier) is not None for identifier in minted), "no ID is lost by re-linkage"
    assert office.differences(tmp_path / "scratch") == []
    office.close()


def test_a_killed_commit_goes_on_where_it_was(
    loaded: Office, records: list[SourceRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(tmp_path / "data")
    office.put_all(records, later=True)
    kill_count = 0
    with monkeypatch.context() as patched:
        # So short that a step commits a single item.
        patched.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
        state = office.relink(until=lambda run: run.phase is Phase.COMMITTING)
        for _ in range(3):
            wanted = state.done_count + 40
            while state.done_count < wanted:
                office.writer.background_step()
                state = read_state(office.directory.relinks, state.run_id)
            before = office.crosswalk()
            office.kill()
            office.reopen()
            kill_count += 1
            assert office.crosswalk() == before
    state = office.follow(state.run_id)

    assert (kill_count, state.phase, state.done_count) == (3, Phase.COMMITTED, state.total_count)
    assert office.partition() == loaded.partition()
    assert set(office.questions()) == set(loaded.questions())
    assert office.differences(tmp_path / "scratch") == []
    office.close()


def start(office: Office) -> RunState:
    """Plan a run without committing it."""
    state = office.relink(commit=False)
    assert state.phase is Phase.PLANNED
    return state


def commit(office: Office, state: RunState) -> RunState:
    (answer,) = office.execute(CommitRelink(Request(office.cause), state.run_id))
    assert isinstance(answer, RunAnswer)
    return office.follow(state.run_id)


APART = citizen("Z", "Đặng Hoàng Long", "1969-10-20", sex="M", phone="0911222333", address="")


def test_a_component_in_which_a_record_changed_is_dropped_and_resolved_anew(office: Office) -> None:
    pair = [citizen("A"), citizen("B", registry="social_security")]
    office.put_all([*pair, APART], later=True)
    state = start(office)
    changed = citizen("A", phone="0987654321")
    office.put(changed, later=True)
    state = commit(office, state)

    assert state.report is not None
    assert state.report.dropped_component_count == 1
    assert office.id_of(changed) == office.id_of(pair[1]) is not None
    assert office.id_of(APART) is not None


def test_records_that_came_after_the_snapshot_wait_for_the_next_run(office: Office) -> None:
    office.put(citizen("A"), later=True)
    state = start(office)
    office.put(citizen("B"), later=True)
    commit(office, state)
    assert office.id_of(citizen("B")) is None
    assert office.relink().phase is Phase.COMMITTED
    assert office.id_of(citizen("B")) == office.id_of(citizen("A"))


def test_a_deleted_record_never_comes_back_through_a_plan(office: Office) -> None:
    pair = [citizen("A"), citizen("B")]
    office.put_all(pair, later=True)
    state = start(office)
    office.drop(pair[0].key)
    commit(office, state)
    assert office.id_of(pair[0]) is None
    assert office.id_of(pair[1]) is not None


def test_a_steward_outranks_every_relinkage(office: Office) -> None:
    apart = [citizen("A"), citizen("B")]
    joined = [APART, citizen("Y", "Lý Quốc Cường", "1950-01-02", sex="M", phone="", address="")]
    gone = citizen("G", "Vũ Đình Khải", "1961-07-08", sex="M", phone="", address="")
    office.put_all([*apart, *joined, gone], later=True)
    office.judge(apart[0].key, apart[1].key, Verdict.DIFFERENT)
    office.judge(joined[0].key, joined[1].key, Verdict.SAME)
    office.judge(apart[0].key, gone.key, Verdict.SAME)
    office.drop(gone.key)
    for _ in range(2):
        assert office.relink().phase is Phase.COMMITTED, "a judgement about a deleted record stops no run"
        assert office.id_of(apart[0]) != office.id_of(apart[1])
        assert office.id_of(joined[0]) == office.id_of(joined[1]) is not None
        assert office.questions() == {}


def test_a_judgement_made_after_the_plan_drops_its_component(office: Office) -> None:
    pair = [citizen("A"), citizen("B")]
    office.put_all(pair, later=True)
    state = start(office)
    office.judge(pair[0].key, pair[1].key, Verdict.DIFFERENT)
    state = commit(office, state)
    assert state.report is not None
    assert state.report.dropped_component_count == 1
    assert office.id_of(pair[0]) != office.id_of(pair[1])
    assert all(office.id_of(record) is not None for record in pair)


def test_a_question_that_a_steward_answered_meanwhile_is_not_asked(office: Office) -> None:
    doubtful = [citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")]
    office.put_all(doubtful, later=True)
    state = start(office)
    office.put(doubtful[0])
    office.put(doubtful[1])
    office.judge(doubtful[0].key, doubtful[1].key, Verdict.DIFFERENT)
    office.put(citizen("B", "Nguyễn Thị Thúy", phone="0901111111", address=""))
    commit(office, state)
    assert office.questions() == {}


def test_a_poisoned_item_is_dropped_alone_and_the_run_ends(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [
        citizen(f"P{n}", name, f"19{60 + n}-02-03", phone="", address="")
        for n, name in enumerate(["Lý Quốc Cường", "Đặng Hoàng Long", "Vũ Đình Khải", "Tạ Bích Loan"])
    ]
    office.put_all(people, later=True)
    state = start(office)
    from mdm.domain import rules  # noqa: PLC0415
    from mdm.resolve import relink_control  # noqa: PLC0415

    poisoned = office.number(people[1].key)

    def regroup(state: object, clusters: list[tuple[int, ...]], *rest: object, **more: object) -> object:
        if any(poisoned in cluster for cluster in clusters):
            raise AssertionError
        return rules.regroup(state, clusters, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(relink_control, "regroup", regroup)
    state = commit(office, state)
    assert state.phase is Phase.COMMITTED
    assert state.report is not None
    assert state.report.dropped_component_count == 1
    assert [office.id_of(person) is None for person in people] == [False, True, False, False]


def test_a_plan_says_how_much_of_the_city_it_changes(office: Office) -> None:
    pair = [citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")]
    office.put_all(pair)
    ids = [office.id_of(record) for record in pair]
    assert ids[0] != ids[1]
    office.judge(pair[0].key, pair[1].key, Verdict.SAME)
    state = office.relink(commit=False)

    assert state.phase is Phase.PLANNED
    assert state.report is not None
    assert (state.report.churn_share, state.report.merged_count) == (0.5, 1)
    assert [office.id_of(record) for record in pair] == ids
    assert commit(office, state).phase is Phase.COMMITTED
    assert [office.id_of(record) for record in pair] == [ids[0], ids[0]]
    assert office.answer(ids[1]) == ids[0]


def test_a_running_plan_can_be_cancelled_and_another_started(office: Office) -> None:
    office.put(citizen("A"), later=True)
    (started,) = office.execute(StartRelink(Request(office.cause)))
    assert isinstance(started, RunAnswer)
    assert office.refused(StartRelink(Request(office.cause))) == "RelinkRunningError"
    office.execute(CancelRelink(Request(office.cause), started.run_id))
    assert office.follow(started.run_id).phase is Phase.CANCELLED
    assert office.id_of(citizen("A")) is None
    assert office.refused(CommitRelink(Request(office.cause), started.run_id)) == "PlanOutdatedError"
    assert office.relink().phase is Phase.COMMITTED


def test_a_cancelled_commit_keeps_whole_items_and_is_not_taken_up_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Lý Quốc Cường", "Đặng Hoàng Long", "Vũ Đình Khải", "Tạ Bích Loan"]
    people = [citizen(f"P{n}", name, f"19{60 + n}-02-03", phone="", address="") for n, name in enumerate(names)]
    office.put_all(people, later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.done_count == 2 and run.phase is Phase.COMMITTING)
    office.execute(CancelRelink(Request(office.cause), state.run_id))
    office.close()
    office.reopen()
    assert office.follow(state.run_id).phase is Phase.CANCELLED
    assert sorted(office.id_of(person) is None for person in people) == [False, False, True, True]


def test_a_kill_in_the_midst_of_a_cancellation_does_not_make_the_run_look_committed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Lý Quốc Cường", "Đặng Hoàng Long", "Vũ Đình Khải", "Tạ Bích Loan"]
    people = [citizen(f"P{n}", name, f"19{60 + n}-02-03", phone="", address="") for n, name in enumerate(names)]
    office.put_all(people, later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.done_count == 2 and run.phase is Phase.COMMITTING)
    commit_batch = Journal.commit

    def commit_and_die(journal: Journal, batch: Batch) -> None:
        commit_batch(journal, batch)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "commit", commit_and_die)
        with pytest.raises(KeyboardInterrupt):
            office.execute(CancelRelink(Request(office.cause), state.run_id))
    office.kill()
    office.reopen()
    assert office.follow(state.run_id).phase is Phase.CANCELLED
    assert sorted(office.id_of(person) is None for person in people) == [False, False, True, True]


def test_a_plan_is_committed_once(office: Office) -> None:
    office.put(citizen("A"), later=True)
    state = start(office)
    commit(office, state)
    assert office.refused(CommitRelink(Request(office.cause), state.run_id)) == "PlanOutdatedError"
    unknown = CommitRelink(Request(office.cause), "20250101T000000-abcdef")
    assert office.refused(unknown) == "UnknownRunError"


def test_a_writer_that_starts_finds_a_run_it_never_finished_failed(office: Office) -> None:
    office.put(citizen("A"), later=True)
    (started,) = office.execute(StartRelink(Request(office.cause)))
    assert isinstance(started, RunAnswer)
    office.kill()
    office.reopen()
    assert office.follow(started.run_id).phase is Phase.FAILED
    assert office.relink().phase is Phase.COMMITTED


def test_writes_between_the_steps_of_a_commit_are_answered_as_ever(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = city_records(100, 3)
    office.put_all(records, later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.phase is Phase.COMMITTING)
    rng = random.Random(2)
    written: list[SourceKey] = []
    while office.writer.background_step():
        record = rng.choice(records)
        if rng.random() < 0.2:
            office.drop(record.key)
        else:
            assert office.put(record).outcome is not WriteOutcome.PENDING
        written.append(record.key)
    assert office.follow(state.run_id).phase is Phase.COMMITTED
    assert len(written) > 20
    for key in {record.key for record in records}:
        entry = office.entry(key)
        assert entry.is_deleted or entry.golden_id is not None


def test_what_two_golden_records_ask_is_asked_once(office: Office) -> None:
    office.put_all([citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")])
    assert office.questions() == {("A", "B"): MatchReason.THIN_EVIDENCE}
    seq_of_question = office.seq
    office.relink()
    assert office.questions() == {("A", "B"): MatchReason.THIN_EVIDENCE}
    with office.writer._index.read() as view:
        assert [match.opened_seq <= seq_of_question for _, match in view.iter_potential_matches()] == [True]
