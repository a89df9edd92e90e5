"""A re-linkage that is killed goes on where it was: to the same plan, byte for byte, and to the same commit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mdm.domain.events import Verdict
from mdm.domain.records import SourceRecord
from mdm.limits import RELINK_ATTEMPTS_MAX
from mdm.resolve import relink_decision, relink_process, relink_room
from mdm.resolve.commands import CancelRelink, CommitRelink, Request, RunAnswer, StartRelink
from mdm.resolve.relink_decision import decided, found_apart
from mdm.resolve.relink_runs import (
    EXAMPLES_FILE,
    PLAN_FILE,
    WORK_DIRECTORY,
    Phase,
    RunState,
    clean_up,
    new_run,
    read_state,
    run_ids,
    write_state,
)
from mdm.resolve.workers import Worker, WorkerEndedError
from tests.resolve.cities import city_records
from tests.resolve.office import Office, citizen

CITIZENS, SEED = 150, 5
KILL_S_MAX = 60.0


@pytest.fixture(scope="module")
def records() -> tuple[SourceRecord, ...]:
    return city_records(CITIZENS, SEED)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, records: tuple[SourceRecord, ...]) -> Iterator[bytes]:
    """The plan of a run that nobody disturbs."""
    office = Office(tmp_path_factory.mktemp("undisturbed") / "data")
    office.put_all(records, later=True)
    state = office.relink(commit=False)
    yield plan_of(office, state)
    office.close()


def plan_of(office: Office, state: RunState) -> bytes:
    assert state.phase is Phase.PLANNED, state.error
    return (office.directory.relinks / state.run_id / PLAN_FILE).read_bytes()


def begin(office: Office) -> str:
    (started,) = office.execute(StartRelink(Request(office.cause)))
    assert isinstance(started, RunAnswer)
    return started.run_id


def kill_once(office: Office, run_id: str, appeared: Callable[[Path], bool]) -> None:
    """Kill the batch process as soon as something appears in its working directory."""
    work = office.directory.relinks / run_id / WORK_DIRECTORY
    process = office.writer._relink._process
    assert process is not None
    until = time.monotonic() + KILL_S_MAX
    while not appeared(work) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    assert process.poll() is None, "it must be killed before it is done"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


STAGES = [
    pytest.param(lambda work: work.exists(), False, id="while it starts"),
    pytest.param(lambda work: (work / "index").exists(), True, id="with the index copied, by the service's end"),
    pytest.param(lambda work: (work / "citizen" / "snapshot").exists(), False, id="with a snapshot"),
    pytest.param(lambda work: (work / "citizen" / "learned").exists(), False, id="with a model"),
    pytest.param(lambda work: any(work.glob("citizen/snapshot/*.pairs")), True, id="with pairs, by the service's end"),
    pytest.param(lambda work: (work / "citizen" / "components").exists(), False, id="while it writes components"),
    pytest.param(lambda work: (work / "citizen" / "planned").exists(), False, id="with one kind planned"),
    pytest.param(lambda work: (work / "business" / "learned").exists(), True, id="in the other, by the service's end"),
]


@pytest.mark.parametrize(("appeared", "is_service_killed"), STAGES)
def test_a_killed_plan_goes_on_to_the_very_same_plan(
    office: Office,
    records: tuple[SourceRecord, ...],
    undisturbed: bytes,
    appeared: Callable[[Path], bool],
    is_service_killed: bool,  # noqa: FBT001
) -> None:
    office.put_all(records, later=True)
    read_seq = office.seq
    run_id = begin(office)
    kill_once(office, run_id, appeared)
    if is_service_killed:
        office.kill()
        office.reopen()
    if (office.directory.relinks / run_id / WORK_DIRECTORY / "index").exists():
        # What comes after the snapshot is not in the plan, whenever that is made.
        office.put(citizen("LATE"), later=True)
    state = office.follow(run_id)

    assert (state.run_id, state.read_seq, state.attempt_count) == (run_id, read_seq, 2)
    assert plan_of(office, state) == undisturbed
    office.writer._relink._require_idle()
    for process in office.writer._relink._leaving:
        process.wait(30)
    assert not (office.directory.relinks / run_id / WORK_DIRECTORY).exists()


def test_what_was_done_before_the_kill_is_not_done_again(office: Office, records: tuple[SourceRecord, ...]) -> None:
    office.put_all(records, later=True)
    run_id = begin(office)
    work = office.directory.relinks / run_id / WORK_DIRECTORY
    kill_once(office, run_id, lambda work: (work / "citizen" / "planned").exists())
    made = {path: path.stat().st_mtime_ns for path in (work / "citizen").rglob("*") if path.is_file()}
    assert {work / "citizen" / name for name in ("learned", "planned", "components", "questions")} <= made.keys()
    office.writer.background_step()
    kill_once(office, run_id, lambda work: (work / "business" / "learned").exists())
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert office.follow(run_id).phase is Phase.PLANNED


def test_a_stop_of_the_service_is_no_sign_of_a_plan_that_cannot_be_made(
    office: Office, records: tuple[SourceRecord, ...], undisturbed: bytes
) -> None:
    office.put_all(records, later=True)
    run_id = begin(office)
    for _ in range(RELINK_ATTEMPTS_MAX + 1):
        office.close()
        office.reopen()
    state = office.follow(run_id)
    assert (state.attempt_count, plan_of(office, state)) == (1, undisturbed)


def test_a_plan_that_is_killed_again_and_again_fails_and_leaves_room_for_the_next(office: Office) -> None:
    office.put(citizen("A"), later=True)
    run_id = begin(office)
    for attempt in range(1, RELINK_ATTEMPTS_MAX + 1):
        assert read_state(office.directory.relinks, run_id).attempt_count == attempt
        kill_once(office, run_id, lambda _: True)
        office.writer.background_step()
    state = read_state(office.directory.relinks, run_id)
    assert (state.phase, state.error) == (Phase.FAILED, "process ended with -9")
    assert office.relink().phase is Phase.COMMITTED
    assert not (office.directory.relinks / run_id / WORK_DIRECTORY).exists()


def test_files_of_another_release_are_not_taken_up(
    office: Office, records: tuple[SourceRecord, ...], undisturbed: bytes
) -> None:
    office.put_all(records, later=True)
    run_id = begin(office)
    kill_once(office, run_id, lambda work: (work / "citizen" / "learned").exists())
    work = office.directory.relinks / run_id / WORK_DIRECTORY
    (work / "made-by").write_text("an older release", encoding="utf-8")
    (work / "citizen" / "learned").write_bytes(b"in an older form")
    assert plan_of(office, office.follow(run_id)) == undisturbed


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """Processes that were asked for pairs or to decide a share; even of so small a city they are."""
    found: list[Worker] = []
    ask = Worker.ask

    def noted(process: Worker, work: Callable[..., object], *asked: object) -> None:
        ask(process, work, *asked)
        found.append(process)

    monkeypatch.setattr(Worker, "ask", noted)
    monkeypatch.setattr(relink_room, "_DECIDERS_RECORDS_MIN", 0)
    monkeypatch.setattr(relink_decision, "_SHARED_PAIRS_MIN", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2})
    return found


def test_several_processes_make_the_very_same_plan(
    office: Office, records: tuple[SourceRecord, ...], undisturbed: bytes, asked: list[Worker]
) -> None:
    office.put_all(records, later=True)
    assert plan_of(office, office.plan_here()) == undisturbed
    assert len({process.pid for process in asked}) == 4, "two for each kind"


@pytest.mark.parametrize("at", [found_apart, decided])
def test_a_process_that_is_killed_at_its_work_is_no_end_of_the_run(
    at: Callable[..., object],
    office: Office,
    records: tuple[SourceRecord, ...],
    undisturbed: bytes,
    asked: list[Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    office.put_all(records, later=True)
    ask = Worker.ask

    def killed(process: Worker, work: Callable[..., object], *asked: object) -> None:
        ask(process, work, *asked)
        if work is at:
            os.kill(process.pid, signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(Worker, "ask", killed)
        with pytest.raises(SystemExit, match="1"):
            office.plan_here()
    (run_id,) = run_ids(office.directory.relinks)
    assert not read_state(office.directory.relinks, run_id).phase.is_final, "it is taken up like one that was killed"
    assert asked
    asked.clear()
    write_state(
        office.directory.relinks / run_id,
        msgspec.structs.replace(read_state(office.directory.relinks, run_id), attempt_count=2),
    )
    relink_process.main(office.path, run_id)
    assert plan_of(office, read_state(office.directory.relinks, run_id)) == undisturbed
    assert not asked, "alone the next time"


def test_a_process_that_fails_at_its_work_ends_the_run(
    office: Office, records: tuple[SourceRecord, ...], asked: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put_all(records, later=True)
    answer = Worker.answer

    def failed(process: Worker) -> object:
        answer(process)
        raise WorkerEndedError("any", 1)

    monkeypatch.setattr(Worker, "answer", failed)
    with pytest.raises(SystemExit, match="1"):
        office.plan_here()
    (run_id,) = run_ids(office.directory.relinks)
    state = read_state(office.directory.relinks, run_id)
    assert (state.phase, state.error) == (Phase.FAILED, "WorkerEndedError"), "a defect is no want of memory"
    assert asked


def test_a_commit_that_is_killed_at_random_ends_where_an_undisturbed_one_ends(
    office: Office, records: tuple[SourceRecord, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Office(tmp_path / "whole")
    office.put_all(records, later=True)
    whole.put_all(records, later=True)
    assert whole.relink().phase is Phase.COMMITTED
    dice = random.Random(9)
    kills = 0
    with monkeypatch.context() as patched:
        patched.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
        state = office.relink(until=lambda run: run.phase is Phase.COMMITTING)
        while not state.phase.is_final:
            for _ in range(dice.randint(0, 30)):
                office.writer.background_step()
            before = office.crosswalk()
            office.kill()
            office.reopen()
            kills += 1
            assert office.crosswalk() == before
            state = read_state(office.directory.relinks, state.run_id)
    assert kills > 5
    assert (state.phase, state.done_count) == (Phase.COMMITTED, state.total_count)
    assert office.partition() == whole.partition()
    assert office.questions() == whole.questions()
    whole.close()


def test_a_reversal_that_is_killed_goes_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [[citizen(f"{name}{n}", who, f"19{50 + n}-02-03", phone="", address="") for name in "AB"]
             for n, who in enumerate(["Nguyễn Thị Thúy"] * 6)]  # fmt: skip
    for pair in pairs:
        office.put_all(pair)
        office.judge(pair[0].key, pair[1].key, Verdict.SAME)
    before = office.goldens()
    run = office.relink()
    assert run.report is not None
    assert run.report.merged_count == len(pairs)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    planned = office.revert(run.run_id, commit=False)
    (answer,) = office.execute(CommitRelink(Request(office.cause), planned.run_id))
    assert isinstance(answer, RunAnswer)
    state = planned
    for _ in range(3):
        office.writer.background_step()
        office.kill()
        office.reopen()
        state = read_state(office.directory.relinks, planned.run_id)
        assert state.phase is Phase.COMMITTING
    assert office.follow(planned.run_id).phase is Phase.COMMITTED
    assert office.goldens() == before


def test_runs_that_ended_leave_no_values_behind_and_old_ones_nothing(tmp_path: Path) -> None:
    phases = [Phase.COMMITTED, Phase.FAILED, Phase.CANCELLED, Phase.PLANNED, Phase.COMMITTING]
    ids = []
    for phase in phases:
        state = msgspec.structs.replace(new_run(tmp_path), phase=phase)
        run = tmp_path / state.run_id
        write_state(run, state)
        (run / WORK_DIRECTORY / "citizen").mkdir(parents=True)
        for name in (PLAN_FILE, EXAMPLES_FILE):
            (run / name).touch()
        ids.append(state.run_id)
    by_phase = dict(zip(phases, ids, strict=True))
    clean_up(tmp_path, 4)
    for phase in (Phase.COMMITTED, Phase.FAILED, Phase.CANCELLED):
        assert sorted(os.listdir(tmp_path / by_phase[phase])) == [EXAMPLES_FILE, "state.json"]  # noqa: PTH208
    assert sorted(os.listdir(tmp_path / by_phase[Phase.PLANNED])) == [EXAMPLES_FILE, PLAN_FILE, "state.json"]  # noqa: PTH208
    assert (tmp_path / by_phase[Phase.COMMITTING] / WORK_DIRECTORY).exists(), "it is under way"
    clean_up(tmp_path, 2)
    assert len(run_ids(tmp_path)) == 3
    assert by_phase[Phase.COMMITTING] in run_ids(tmp_path)


def test_time_is_counted_for_the_stage_that_took_it_and_not_between_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(time, "time_ns", lambda: round(now_s[0] * 1e9))
    state = msgspec.structs.replace(new_run(tmp_path), attempt_count=1)

    def tell(after_s: float, phase: Phase, attempt_count: int) -> None:
        now_s[0] += after_s
        changed = msgspec.structs.replace(state, phase=phase, attempt_count=attempt_count)
        write_state(tmp_path / state.run_id, changed)

    steps = [(0, Phase.SNAPSHOT, 1), (3, Phase.SNAPSHOT, 1), (2, Phase.TRAINING, 1), (50, Phase.STARTING, 2)]
    steps += [(0, Phase.SNAPSHOT, 2), (1, Phase.TRAINING, 2), (-9, Phase.PLANNED, 2), (70, Phase.COMMITTING, 2)]
    steps += [(4, Phase.COMMITTED, 2)]
    for after_s, phase, attempt_count in steps:
        tell(after_s, phase, attempt_count)
    found = read_state(tmp_path, state.run_id)
    assert found.spent_us == {"snapshot": 6_000_000, "starting": 0, "training": 0, "committing": 4_000_000}
    older = msgspec.structs.replace(found, phase=Phase.COMMITTING, written_us=0)
    (tmp_path / state.run_id / "state.json").write_bytes(msgspec.json.encode(older))
    tell(1, Phase.COMMITTED, 2)
    assert read_state(tmp_path, state.run_id).spent_us == found.spent_us, "nobody knows since when it was committing"


def test_a_cancelled_commit_that_was_killed_before_its_trailer_gets_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [citizen(f"P{n}", f"Lý Quốc {n}", f"19{60 + n}-02-03", phone="", address="") for n in range(4)]
    office.put_all(people, later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.done_count == 2 and run.phase is Phase.COMMITTING)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mdm.resolve.relink_control.RelinkControl._finish_cancelled", die)
        with pytest.raises(KeyboardInterrupt):
            office.execute(CancelRelink(Request(office.cause), state.run_id))
    office.kill()
    office.reopen()
    assert office.follow(state.run_id).phase is Phase.CANCELLED
    # What it had committed can be taken back.
    assert office.revert(state.run_id).phase is Phase.COMMITTED


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_commit_that_was_killed_goes_on_in_the_same_name(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    is_cancelled: bool,  # noqa: FBT001
) -> None:
    people = [citizen(f"P{n}", f"Lý Quốc {n}", f"19{60 + n}-02-03", phone="", address="") for n in range(4)]
    office.put_all(people, later=True)
    before = office.seq
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.done_count == 2 and run.phase is Phase.COMMITTING)
    office.kill()
    office.reopen()
    if is_cancelled:
        cause = msgspec.structs.replace(office.cause, actor="another clerk")
        office.execute(CancelRelink(Request(cause), state.run_id))
    office.follow(state.run_id)
    causes = [event.cause for event in office.events() if event.seq > before]
    assert {cause.actor for cause in causes[:-1]} == {"clerk"}
    assert causes[-1].actor == ("another clerk" if is_cancelled else "clerk")
    assert causes[-1].method == ("CancelRelink" if is_cancelled else "CommitRelink")


@pytest.mark.parametrize("torn", [b"", b'{"run_id": '])
def test_a_commit_goes_on_although_its_state_was_torn(
    office: Office, monkeypatch: pytest.MonkeyPatch, torn: bytes
) -> None:
    people = [citizen(f"P{n}", f"Lý Quốc {n}", f"19{60 + n}-02-03", phone="", address="") for n in range(4)]
    office.put_all(people, later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.done_count == 2 and run.phase is Phase.COMMITTING)
    office.kill()
    (office.directory.relinks / state.run_id / "state.json").write_bytes(torn)
    office.reopen()
    assert office.follow(state.run_id).phase is Phase.COMMITTED
    assert all(office.id_of(person) is not None for person in people)


def test_a_commit_whose_plan_is_gone_ends_where_it_is(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [citizen(f"P{n}", f"Lý Quốc {n}", f"19{60 + n}-02-03", phone="", address="") for n in range(4)]
    office.put_all(people, later=True)
    monkeypatch.setattr("mdm.resolve.relink_control.RELINK_STEP_S", 0.0)
    state = office.relink(until=lambda run: run.done_count == 2 and run.phase is Phase.COMMITTING)
    office.kill()
    (office.directory.relinks / state.run_id / PLAN_FILE).unlink()
    office.reopen()
    assert office.follow(state.run_id).phase is Phase.CANCELLED
    assert sorted(office.id_of(person) is None for person in people) == [False, False, True, True]
    assert office.relink().phase is Phase.COMMITTED
