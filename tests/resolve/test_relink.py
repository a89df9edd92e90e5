"""Re-linkage end to end: the real batch process on a synthetic city, its plan committed between writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mdm.domain.events import MatchReason, Verdict
from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
from mdm.domain.records import CitizenAttributes, SourceRecord
from mdm.resolve.commands import CancelRelink, CommitRelink, Request, RunAnswer, StartRelink, WriteOutcome
from mdm.resolve.relink_runs import Component, Phase, PlanReader, RunState, read_state
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_neither_order_nor_deletes_nor_updates_in_between_change_where_a_relinkage_ends(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    wanted = {record.key: record for record in city_records(120, seed)}
    office, alone = Office(tmp_path / "data"), Office(tmp_path / "alone")
    shuffled = list(wanted.values())
    dice.shuffle(shuffled)
    for at in range(0, len(shuffled), 20):
        office.put_all(shuffled[at : at + 20], later=dice.random() < 0.3)
        for record in dice.sample(shuffled[: at + 20], 2):
            if record.key in wanted and dice.random() < 0.5:
                office.drop(record.key)
                del wanted[record.key]
            else:
                changed = msgspec.structs.replace(dice.choice(shuffled), key=record.key)
                if changed.key.kind is type_of(changed):
                    wanted[record.key] = changed
                    office.put(changed, allow_older=True)
        if at == len(shuffled) // 40 * 20:
            assert office.relink().phase is Phase.COMMITTED
    # As they are stored: a firm's record keeps the names that it bore before.
    alone.put_all([office.stored(key) for key in sorted(wanted, key=str)], later=True)
    for each in (office, alone):
        assert each.relink().phase is Phase.COMMITTED
    assert office.partition() == alone.partition()
    # A question that stays open keeps the reason that it was asked for.
    assert office.questions().keys() == alone.questions().keys()
    assert office.differences(tmp_path / "scratch") == []
    for each in (office, alone):
        each.close()


def type_of(record: SourceRecord) -> EntityKind:
    is_citizen = isinstance(record.attributes, CitizenAttributes)
    return EntityKind.CITIZEN if is_citizen else EntityKind.BUSINESS


def test_a_commit_carries_out_exactly_the_plan_but_where_something_changed(office: Office) -> None:
    records = [record for record in city_records(120, 4) if record.key.kind is EntityKind.CITIZEN]
    office.put_all(records[::3])
    office.put_all([record for record in records if record not in records[::3]], later=True)
    state = start(office)
    plan = PlanReader(office.directory.relinks / state.run_id / "plan.bin")
    components = [item for item in plan if isinstance(item, Component)]
    plan.close()
    assert len(components) == state.component_count > 50
    touched = {office.number(record.key) for record in records[5:25:5]}
    for year, record in enumerate(records[5:25:5], start=1931):
        nobody = citizen("N", f"Tôn Nữ {year}", f"{year}-01-02", phone="", address="")
        office.put(msgspec.structs.replace(nobody, key=record.key), allow_older=True)
    office.drop(records[30].key)
    office.judge(records[40].key, records[41].key, Verdict.DIFFERENT)
    touched |= {office.number(records[at].key) for at in (30, 40, 41)}
    is_dropped = {id(each): not touched.isdisjoint(numbers_of(each)) for each in components}

    state = commit(office, state)

    assert state.report is not None
    dropped = [each for each in components if is_dropped[id(each)]]
    assert state.report.dropped_component_count == len(dropped) == len(state.dropped) > 2
    assert set(state.dropped) == {numbers_of(each)[:10] for each in dropped}
    members = office.members()
    for component in components:
        for cluster in component.clusters:
            if is_dropped[id(component)]:
                assert all(number in members or number == office.number(records[30].key) for number in cluster)
            else:
                assert all(members[number] == cluster for number in cluster)


def numbers_of(component: Component) -> tuple[RecordNumber, ...]:
    return tuple(number for cluster in component.clusters for number in cluster)


def test_a_plan_that_changes_too_much_is_not_committed(office: Office) -> None:
    pair = [citizen(name, "Nguyễn Thị Thúy", phone="", address="") for name in ("A", "B")]
    office.put_all([*pair, APART])
    office.judge(pair[0].key, pair[1].key, Verdict.SAME)
    state = start(office)
    assert state.report is not None
    assert state.report.churn_share == pytest.approx(1 / 3)
    seq = office.seq
    assert office.refused(CommitRelink(Request(office.cause), state.run_id, 0.33)) == "ChurnExceededError"
    assert (office.seq, read_state(office.directory.relinks, state.run_id).phase) == (seq, Phase.PLANNED)
    (answer,) = office.execute(CommitRelink(Request(office.cause), state.run_id, 0.34))
    assert isinstance(answer, RunAnswer)
    assert office.follow(state.run_id).phase is Phase.COMMITTED


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
    from mdm.resolve import relink_commit  # noqa: PLC0415

    poisoned = office.number(people[1].key)

    def regroup(state: object, clusters: list[tuple[int, ...]], *rest: object, **more: object) -> object:
        if any(poisoned in cluster for cluster in clusters):
            raise AssertionError
        return rules.regroup(state, clusters, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(relink_commit, "regroup", regroup)
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


def test_a_commit_gives_way_to_a_write_that_waits_and_goes_on_nevertheless(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Lý Quốc Cường", "Đặng Hoàng Long", "Vũ Đình Khải", "Tạ Bích Loan"]
    office.put_all([citizen(f"P{n}", name, f"19{60 + n}-02-03", phone="") for n, name in enumerate(names)], later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 60.0)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_MIN_S", 0.0)
    planned = office.relink(commit=False)
    office.execute(CommitRelink(Request(office.cause), planned.run_id))
    done: list[int] = []
    while read_state(office.directory.relinks, planned.run_id).phase is Phase.COMMITTING:
        office.writer.background_step(is_wanted=lambda: len(done) < 2)
        done.append(read_state(office.directory.relinks, planned.run_id).done_count)
    assert done == [1, 2, planned.total_count], "one item at a time while somebody waits, then all that is left"


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
    # A slip of the pen or a twin: no weight tells.
    office.put_all([citizen("A", "Nguyễn Thị Hạnh"), citizen("B", "Nguyễn Thị Hân")])
    assert office.questions() == {("A", "B"): MatchReason.THIN_EVIDENCE}
    seq_of_question = office.seq
    office.relink()
    assert office.questions() == {("A", "B"): MatchReason.THIN_EVIDENCE}
    with office.writer._index.read() as view:
        assert [match.opened_seq <= seq_of_question for _, match in view.iter_potential_matches()] == [True]
