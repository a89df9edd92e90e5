"""The batch process of one run: snapshot → model and epoch → clusters → plan, or a reversal's plan.

Started by the writer; stays within the memory that it is given and may die without harm. Every stage leaves its result
under the run's working directory, whole or not at all, and a process that is started again goes on from there: to the
same plan, byte for byte.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from mdm.domain.keys import EntityKind
from mdm.errors import DataDirectoryError, LimitExceededError, MdmError
from mdm.limits import QUESTIONS_PER_ITEM_MAX, RELINK_NICENESS
from mdm.linkage.adaptation import adapted_model
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.gates import TrainingReport
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import snapshot_schema
from mdm.linkage.specification import specification_of
from mdm.linkage.splink_engine import MEMORY_ERRORS, SCRATCH_PREFIX, Workspace
from mdm.processes import die_with
from mdm.resolve.engines import MATCH_STATE_VERSIONS
from mdm.resolve.models import pinned_model
from mdm.resolve.relink_decision import deciders
from mdm.resolve.relink_linkage import Linked, link
from mdm.resolve.relink_plan import Changes, changed_questions
from mdm.resolve.relink_questions import reviewed
from mdm.resolve.relink_report import Impact, total
from mdm.resolve.relink_revert import plan_reversal
from mdm.resolve.relink_room import decider_count, duckdb_bytes
from mdm.resolve.relink_runs import (
    EXAMPLES_FILE,
    PLAN_FILE,
    WORK_DIRECTORY,
    Example,
    Phase,
    PlanHeader,
    PlanItem,
    QuestionChanges,
    Report,
    Restored,
    RunState,
    plan_digest,
    read_state,
    write_frame,
    write_state,
)
from mdm.resolve.relink_snapshot import People, Records, Snapshot
from mdm.resolve.workers import WorkerEndedError
from mdm.store.data_directory import DataDirectory
from mdm.store.files import sync_directory, sync_file
from mdm.store.generations import boot_id
from mdm.store.index import Index
from mdm.store.journal import Journal, JournalReader, artefact_digest
from mdm.store.view import IndexView

_log = structlog.get_logger()
_PHASES = {"comparing": Phase.COMPARING, "clustering": Phase.CLUSTERING, "training": Phase.TRAINING}
_INDEX, _SNAPSHOT, _COMPONENTS, _QUESTIONS = "index", "snapshot", "components", "questions"
_MADE_BY_FILE = "made-by"
_TELL_COMPONENTS = 1000
_Stage = TypeVar("_Stage", bound=msgspec.Struct)


class _Run:
    """The run's state file, kept current, and its working directory."""

    def __init__(self, path: Path, state: RunState) -> None:
        self.path = path
        self.work = path / WORK_DIRECTORY
        self.state = state

    def tell(self, phase: Phase, done: int = 0, total: int = 0, **changes: object) -> None:
        if phase is not self.state.phase:
            peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            _log.info("relink_stage", stage=phase.value, cpu_s=round(time.process_time(), 1), peak_bytes=peak_bytes)
        self.state = msgspec.structs.replace(self.state, phase=phase, done_count=done, total_count=total, **changes)
        write_state(self.path, self.state)

    def progress(self, stage: str, done: int, total: int) -> None:
        self.tell(_PHASES[stage], done, total)


class _Learned(msgspec.Struct, frozen=True):
    """What a kind's pairs are scored with."""

    model: bytes
    verdict: str
    training: TrainingReport | None
    is_pinned: bool
    epoch: bytes


class _Planned(msgspec.Struct, frozen=True):
    """What the plan says of one kind, beside its two files of items."""

    component_count: int
    question_item_count: int
    model: bytes
    epoch: bytes
    report: Report
    examples: list[Example]


def run_alone(data: Path, run_id: str) -> None:
    """Make the plan of a run in a process of its own, which does without the collector of dead cycles.

    Millions of objects are made and hardly a cycle: learning, with Splink, leaves some 15 MB of them. Walking them took
    a fifth of the time of counting a city's names, and after linkage 0.3 s a million records.
    """
    gc.disable()
    _give_way(read_state(DataDirectory.open(data).relinks, run_id).core_count_max)
    main(data, run_id)


def main(data: Path, run_id: str) -> None:
    """Make the plan of a run, or take up the work on it."""
    directory = DataDirectory.open(data)
    run = _Run(directory.relinks / run_id, read_state(directory.relinks, run_id))
    try:
        _prepare(run.work)
        run.tell(Phase.SNAPSHOT)
        _copy_index(directory, run.work / _INDEX)
        with (
            Index.open(run.work / _INDEX, readonly=True) as index,
            index.read() as view,
            Journal.open_read_only(directory.journal) as journal,
        ):
            if run.state.reverts:
                _plan_reversal(run, view, journal)
            else:
                _plan(run, view, journal)
    except Exception as error:  # noqa: BLE001  (whatever ended the run, its watchers must learn of it)
        if isinstance(error, WorkerEndedError) and error.was_killed:
            # As when this process is killed itself: whoever started it starts it again, from the stages that are whole.
            _log.warning("relink_worker_ended", error=str(error))
            sys.exit(1)
        # Neither text nor locals: both may hold values of records.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        # Splink names what happened in a text alone: DuckDB's own error says whether memory was too little.
        cause = error if isinstance(error, MdmError) else error.__cause__ or error
        name = type(cause).__name__
        _log.error("relink_failed", error=name, at=f"{Path(frame.filename).name}:{frame.lineno}")
        had_too_little = isinstance(cause, MEMORY_ERRORS)
        run.tell(Phase.FAILED, error=LimitExceededError.__name__ if had_too_little else name)
        sys.exit(1)
    # The plan is there, and the writer may go on with it, or clear up as well.
    shutil.rmtree(run.work, ignore_errors=True)


def _give_way(core_count_max: int) -> None:
    """Leave the processor to readers and writer whenever they want it, and at all times all but so many cores.

    Threads inherit both, so that this comes before any library starts one.
    """
    os.nice(RELINK_NICENESS)
    cores = sorted(os.sched_getaffinity(0))
    # The last ones, for interrupts are mostly served by the first.
    os.sched_setaffinity(0, cores[-core_count_max:] if core_count_max else cores)


def _prepare(work: Path) -> None:
    """Empty the working directory unless this release left it, and no power cut can have torn its files."""
    made_by = " ".join(
        (
            *(importlib.metadata.version(name) for name in ("hcm-mdm", "splink", "duckdb")),
            *(MATCH_STATE_VERSIONS.normaliser, MATCH_STATE_VERSIONS.specification),
            *(artefact_digest(str(snapshot_schema(kind)).encode()) for kind in EntityKind),
            boot_id(),
        )
    )
    mark = work / _MADE_BY_FILE
    if mark.exists() and mark.read_text(encoding="utf-8") == made_by:
        # What a killed process spilled there is of no use to this one.
        for spilled in work.glob(f"*/{_SNAPSHOT}/{SCRATCH_PREFIX}*"):
            shutil.rmtree(spilled, ignore_errors=True)
        return
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    mark.write_text(made_by, encoding="utf-8")


def _copy_index(directory: DataDirectory, path: Path) -> None:
    if path.exists():
        return
    current = directory.generations.current()
    if current is None:
        raise DataDirectoryError("the data directory holds no index yet")
    temporary = path.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with Index.open(current, readonly=True) as index:
        index.copy(temporary)
    temporary.rename(path)


def _plan(run: _Run, view: IndexView, journal: JournalReader) -> None:
    people = People.of(view)
    kinds = [kind for kind in EntityKind if run.state.kind in {None, kind}]
    planned = {kind: found for kind in kinds if (found := _plan_kind(run, view, journal, kind, people)) is not None}
    run.tell(Phase.PLANNING)
    # All components before all questions: a question stands between golden records that exist.
    files = [run.work / kind / name for name in (_COMPONENTS, _QUESTIONS) for kind in planned]
    item_count = sum(found.component_count + found.question_item_count for found in planned.values())
    header = PlanHeader(
        view.applied_seq,
        item_count,
        {kind.value: found.model for kind, found in planned.items()},
        {kind.value: found.epoch for kind, found in planned.items()},
    )
    digest = _write_plan(run.path / PLAN_FILE, header, files)
    examples = [example for found in planned.values() for example in found.examples]
    (run.path / EXAMPLES_FILE).write_bytes(msgspec.json.encode(examples))
    reports = {kind.value: found.report for kind, found in planned.items()}
    run.tell(
        Phase.PLANNED,
        item_count,
        item_count,
        read_seq=view.applied_seq,
        report=total(reports.values()),
        impacts=reports,
        plan_digest=digest,
        component_count=sum(found.component_count for found in planned.values()),
    )


def _plan_kind(run: _Run, view: IndexView, journal: JournalReader, kind: EntityKind, people: People) -> _Planned | None:
    """Plan one kind; None if there is no record of it."""
    folder, last = run.work / kind, view.last_number()
    folder.mkdir(exist_ok=True)
    if not (folder / _SNAPSHOT).exists():
        Snapshot.take(view, kind, folder / _SNAPSHOT, lambda done: run.tell(Phase.SNAPSHOT, done, last))
    snapshot = Snapshot(kind, folder / _SNAPSHOT)
    if not len(snapshot):
        return None
    records = Records(kind, snapshot.encoded)
    limit_bytes = run.state.memory_limit_bytes
    # None where the process was killed before, most likely for want of memory: the plan is the same.
    helping_count = decider_count(limit_bytes, last, len(snapshot)) if run.state.attempt_count <= 1 else 0
    buffers = f"{duckdb_bytes(limit_bytes, last, helping_count) // 2**20}MiB"
    pinned = None if run.state.is_learning else pinned_model(view, kind, journal.artefact)

    def decide() -> _Planned:
        said = people.of_kind(snapshot)
        with (
            deciders(helping_count) as helping,
            Workspace(snapshot.parquet, specification_of(kind), buffers) as workspace,
        ):
            learned = _stage(folder / "learned", _Learned, lambda: _learn(run, snapshot, records, pinned, workspace))
            model, epoch = Model.from_bytes(learned.model), StatisticsEpoch.from_bytes(learned.epoch)
            linked = link(
                records,
                workspace,
                model,
                epoch,
                said,
                is_tightened=not learned.is_pinned,
                helping=helping,
                progress=run.progress,
            )
            # To give back what linkage took is no part of it.
            run.tell(Phase.PLANNING)
        linked = reviewed(snapshot, linked, said, view.standing)
        verdict = learned.verdict
        if linked.model.thresholds != model.thresholds:
            verdict += f"; judgements raised the link threshold to {linked.model.thresholds.link_bits:g} bits"
        return _write_items(run, view, snapshot, linked, verdict, learned.training)

    return _stage(folder / "planned", _Planned, decide)


def _stage(path: Path, kind: type[_Stage], work: Callable[[], _Stage]) -> _Stage:
    """Return what a stage found, now or before the process was killed."""
    if path.exists():
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    found = work()
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.msgpack.encode(found))
    temporary.rename(path)
    return found


def _learn(run: _Run, snapshot: Snapshot, records: Records, pinned: Model | None, workspace: Workspace) -> _Learned:
    run.progress("training", 0, 1)
    features = (records.features(place) for place in records.encoded)
    epoch = StatisticsEpoch.from_records(snapshot.kind, features, snapshot.first_population())
    adapted = adapted_model(
        workspace,
        snapshot.kind,
        epoch,
        pinned=pinned,
        progress=lambda _step, done, total: run.progress("training", done, total),
    )
    return _Learned(adapted.model.to_bytes(), adapted.verdict, adapted.report, adapted.is_pinned, epoch.to_bytes())


def _write_items(
    run: _Run,
    view: IndexView,
    snapshot: Snapshot,
    linked: Linked,
    verdict: str,
    training: TrainingReport | None,
) -> _Planned:
    folder, kind, model = run.work / snapshot.kind, snapshot.kind, linked.model
    changes = Changes(snapshot, linked)
    impact = Impact(view, snapshot, linked, compile_scorer(model, linked.epoch))
    with (folder / _COMPONENTS).open("wb") as file:
        for done, component in enumerate(changes):
            if done % _TELL_COMPONENTS == 0:
                run.tell(Phase.PLANNING, done, len(changes))
            write_frame(file, component)
            impact.note(component)
    standing = snapshot.placed(pair for pair, _ in view.iter_potential_matches())
    closed, opened = changed_questions(snapshot, linked, list(standing))
    size = QUESTIONS_PER_ITEM_MAX
    questions = [QuestionChanges(tuple(closed[at : at + size])) for at in range(0, len(closed), size)]
    questions += [QuestionChanges((), tuple(opened[at : at + size])) for at in range(0, len(opened), size)]
    with (folder / _QUESTIONS).open("wb") as file:
        for item in questions:
            write_frame(file, item)
    body, epoch = model.to_bytes(), linked.epoch.to_bytes()
    report = msgspec.structs.replace(
        impact.report(),
        question_opened_count=len(opened),
        question_closed_count=len(closed),
        models={kind.value: verdict},
        trainings={kind.value: training} if training else {},
        model_digest=artefact_digest(body),
        epoch_digest=artefact_digest(epoch),
        is_shipped_model_kept=model.digest == Model.default(kind).digest,
    )
    return _Planned(len(changes), len(questions), body, epoch, report, impact.examples())


def _plan_reversal(run: _Run, view: IndexView, journal: JournalReader) -> None:
    run.tell(Phase.PLANNING)
    header, items, reversal = plan_reversal(
        view, journal, run.state.reverts, lambda done, total: run.tell(Phase.PLANNING, done, total)
    )
    digest = _write_plan(run.path / PLAN_FILE, header, [], items)
    touched = sum(len(item.left_as.groups) for item in items if isinstance(item, Restored))
    live = sum(bool(golden.members) for _, golden in view.iter_goldens())
    run.tell(
        Phase.PLANNED,
        len(items),
        len(items),
        read_seq=view.applied_seq,
        reversal=reversal,
        report=Report(golden_before_count=live, churn_share=touched / live if live else 0.0),
        plan_digest=digest,
        component_count=reversal.restored_count,
    )


def _write_plan(path: Path, header: PlanHeader, files: Iterable[Path], items: Iterable[PlanItem] = ()) -> str:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as plan:
        write_frame(plan, header)
        for file in files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, plan)
        for item in items:
            write_frame(plan, item)
    # A commit that a power cut interrupts goes on from this very file.
    sync_file(temporary)
    temporary.replace(path)
    sync_directory(path.parent)
    return plan_digest(path)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    run_alone(Path(sys.argv[2]), sys.argv[3])
