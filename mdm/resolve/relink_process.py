"""The batch process of one re-linkage run: snapshot → model and epoch → clusters → plan. Writes only into its run.

Started by the writer; may use all the memory that it is given and die without harm.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec
import structlog

from mdm.domain.events import Verdict
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.domain.state import pair_of
from mdm.errors import DataDirectoryError
from mdm.limits import QUESTIONS_PER_ITEM_MAX, RELINK_MEMORY_BYTES
from mdm.linkage.adaptation import adapted_model
from mdm.linkage.blocking import posting_keys
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model
from mdm.linkage.snapshot import write_snapshot
from mdm.processes import die_with
from mdm.resolve.matcher import describe
from mdm.resolve.models import pinned_model
from mdm.resolve.payloads import decode_payload
from mdm.resolve.relink_linkage import Linked, People, Records, link
from mdm.resolve.relink_plan import Standing, components, impact, question_changes
from mdm.resolve.relink_runs import (
    PLAN_FILE,
    Component,
    PendingState,
    Phase,
    PlanHeader,
    PlanItem,
    QuestionChanges,
    Report,
    RunState,
    plan_digest,
    read_state,
    write_frame,
    write_state,
)
from mdm.store.data_directory import DataDirectory
from mdm.store.files import sync_directory, sync_file
from mdm.store.index import Index
from mdm.store.journal import Journal, artefact_digest
from mdm.store.view import IndexView

_log = structlog.get_logger()
_PHASES = {"comparing": Phase.COMPARING, "clustering": Phase.CLUSTERING, "training": Phase.TRAINING}


class _Run:
    """The run's state file, kept current."""

    def __init__(self, path: Path, state: RunState) -> None:
        self.path = path
        self.state = state

    def tell(self, phase: Phase, done: int = 0, total: int = 0, **changes: object) -> None:
        self.state = msgspec.structs.replace(self.state, phase=phase, done_count=done, total_count=total, **changes)
        write_state(self.path, self.state)

    def progress(self, stage: str, done: int, total: int) -> None:
        self.tell(_PHASES[stage], done, total)


class _Kind(msgspec.Struct):
    """One kind's records as the snapshot found them.

    Linkage knows them by their place in the order of source keys, not by number: numbers tell the order of loading,
    and ties must not be broken by that.
    """

    standings: dict[RecordNumber, Standing]
    records: Records
    """By place, from 1."""
    place_of: dict[RecordNumber, RecordNumber]
    pending: set[RecordNumber]


def main(data: Path, run_id: str, memory_limit_bytes: int) -> None:
    """Make the plan of a run."""
    directory = DataDirectory.open(data)
    run = _Run(directory.relinks / run_id, read_state(directory.relinks, run_id))
    try:
        run.tell(Phase.SNAPSHOT)
        current = _current_generation(directory)
        with tempfile.TemporaryDirectory(dir=run.path) as scratch:
            copied = Path(scratch) / "index"
            with Index.open(current, readonly=True) as index:
                index.copy(copied)
            with (
                Index.open(copied, readonly=True) as index,
                index.read() as view,
                Journal.open_read_only(directory.journal) as journal,
            ):
                _plan(run, view, journal.artefact, Path(scratch), memory_limit_bytes or RELINK_MEMORY_BYTES)
    except Exception as error:  # noqa: BLE001  (whatever ended the run, its watchers must learn of it)
        # Neither text nor locals: both may hold values of records.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        _log.error("relink_failed", error=type(error).__name__, at=f"{Path(frame.filename).name}:{frame.lineno}")
        run.tell(Phase.FAILED, error=type(error).__name__)
        sys.exit(1)


def _current_generation(directory: DataDirectory) -> Path:
    current = directory.generations.current()
    if current is None:
        raise DataDirectoryError("the data directory holds no index yet")
    return current


def _plan(
    run: _Run, view: IndexView, artefact: Callable[[str], bytes | None], scratch: Path, memory_limit_bytes: int
) -> None:
    people = _people(view)
    limit = f"{memory_limit_bytes // 2**20}MiB"
    models: dict[str, bytes] = {}
    epochs: dict[str, bytes] = {}
    items: list[Iterable[PlanItem]] = []
    reports: dict[str, Report] = {}
    for kind in (run.state.kind,) if run.state.kind else EntityKind:
        found = _read(run, view, kind)
        if not found.standings:
            continue
        snapshot = scratch / f"{kind}.parquet"
        places = found.place_of.items()
        rows = ((place, found.standings[n].registry, found.records.features(place)) for n, place in places)
        write_snapshot(snapshot, kind, rows)
        epoch = StatisticsEpoch.from_records(
            kind, (found.records.features(place) for place in found.records.encoded), _first_population(found)
        )
        run.progress("training", 0, 1)
        adapted = adapted_model(
            snapshot,
            kind,
            epoch,
            pinned=None if run.state.is_learning else pinned_model(view, kind, artefact),
            memory_limit=limit,
            progress=lambda _step, done, total: run.progress("training", done, total),
        )
        said = people.placed(found.place_of)
        linked = link(
            found.records,
            snapshot,
            adapted.model,
            epoch,
            said,
            is_tightened=not adapted.is_pinned,
            memory_limit=limit,
            progress=run.progress,
        )
        model = linked.model
        verdict = adapted.verdict
        if model.thresholds != adapted.model.thresholds:
            verdict += f"; judgements raised the link threshold to {model.thresholds.link_bits:g} bits"
        linked = linked.renamed({place: number for number, place in places})
        models[kind.value], epochs[kind.value] = model.to_bytes(), linked.epoch.to_bytes()
        changed, questions, report = _changes(view, found, linked)
        items += [changed, questions]
        reports[kind.value] = msgspec.structs.replace(
            report,
            models={kind.value: verdict},
            trainings={kind.value: adapted.report} if adapted.report else {},
            model_digest=artefact_digest(models[kind.value]),
            epoch_digest=artefact_digest(epochs[kind.value]),
            is_shipped_model_kept=model.digest == Model.default(kind).digest,
        )
    run.tell(Phase.PLANNING)
    # All components before all questions: a question stands between golden records that exist.
    plan = [item for kind_items in (items[::2], items[1::2]) for each in kind_items for item in each]
    digest = _write_plan(run.path / PLAN_FILE, PlanHeader(view.applied_seq, len(plan), models, epochs), plan)
    run.tell(
        Phase.PLANNED,
        len(plan),
        len(plan),
        read_seq=view.applied_seq,
        report=_sum(reports.values()),
        impacts=reports,
        plan_digest=digest,
        component_count=sum(isinstance(item, Component) for item in plan),
    )


def _read(run: _Run, view: IndexView, kind: EntityKind) -> _Kind:
    standings: dict[RecordNumber, Standing] = {}
    encoded: dict[RecordNumber, bytes] = {}
    place_of: dict[RecordNumber, RecordNumber] = {}
    pending: set[RecordNumber] = set()
    last = view.last_number()
    for key, row in view.iter_crosswalk():
        number = row.number
        entry, payload = view.record(number), view.raw(number)
        if key.kind is not kind or entry is None or entry.is_deleted or payload is None:
            continue
        features = view.features(number)
        if entry.golden_id is None or features is None:
            features = describe(decode_payload(payload)).encoded
            pending.add(number)
        standings[number] = Standing(entry.registry, kind.value, entry.golden_id)
        place = place_of[number] = RecordNumber(len(place_of) + 1)
        encoded[place] = features
        if place % 10_000 == 0:
            run.tell(Phase.SNAPSHOT, place, last)
    return _Kind(standings, Records(kind, encoded), place_of, pending)


def _first_population(found: _Kind) -> int:
    """Return a first guess that depends on the records alone: the size of the largest registry."""
    sizes: dict[str, int] = {}
    for standing in found.standings.values():
        sizes[standing.registry] = sizes.get(standing.registry, 0) + 1
    return max(sizes.values())


def _people(view: IndexView) -> People:
    verdicts: dict[Verdict, set[tuple[RecordNumber, RecordNumber]]] = {verdict: set() for verdict in Verdict}
    for pair, verdict in view.iter_judgements():
        verdicts[verdict].add(pair)
    chosen: set[tuple[RecordNumber, RecordNumber]] = set()
    rejected: set[tuple[RecordNumber, RecordNumber]] = set()
    for number, entry in view.iter_records():
        if entry.chosen is not None:
            chosen.add(pair_of(number, entry.chosen))
        rejected.update(pair_of(number, other) for other in entry.rejected)
    return People(
        frozenset(verdicts[Verdict.SAME]),
        frozenset(verdicts[Verdict.DIFFERENT]),
        frozenset(chosen),
        frozenset(rejected),
    )


def _changes(view: IndexView, found: _Kind, linked: Linked) -> tuple[list[PlanItem], list[PlanItem], Report]:
    changed: list[PlanItem] = []
    for component in components(found.standings, linked.clusters, linked.weakest):
        pending = tuple(
            PendingState(number, found.records.encoded[place], posting_keys(found.records.features(place)))
            for cluster in component.clusters
            for number in cluster
            if number in found.pending and (place := found.place_of[number])
        )
        changed.append(msgspec.structs.replace(component, pending=pending))
    cluster_of = {number: index for index, cluster in enumerate(linked.clusters) for number in cluster}
    standing = [pair for pair, _ in view.iter_potential_matches() if pair[0] in cluster_of]
    closed, opened = question_changes(standing, linked.questions, cluster_of)
    size = QUESTIONS_PER_ITEM_MAX
    questions: list[PlanItem] = [QuestionChanges(tuple(closed[at : at + size])) for at in range(0, len(closed), size)]
    questions += [QuestionChanges((), tuple(opened[at : at + size])) for at in range(0, len(opened), size)]
    report = impact(view, found.standings, [item for item in changed if isinstance(item, Component)])
    report = msgspec.structs.replace(
        report,
        question_opened_count=len(opened),
        question_closed_count=len(closed),
        compared_pair_count=linked.prediction.candidate_pairs,
        linked_pair_count=linked.linked_pair_count,
        refused_pair_count=linked.refused_pair_count,
    )
    return changed, questions, report


def _write_plan(path: Path, header: PlanHeader, items: list[PlanItem]) -> str:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        write_frame(file, header)
        for item in items:
            write_frame(file, item)
    # A commit that a power cut interrupts goes on from this very file.
    sync_file(temporary)
    temporary.replace(path)
    sync_directory(path.parent)
    return plan_digest(path)


def _sum(reports: Collection[Report]) -> Report:
    """Return the impact on all kinds together."""
    total = Report()
    for report in reports:
        changes: dict[str, object] = {}
        for field in msgspec.structs.fields(Report):
            mine, other = getattr(total, field.name), getattr(report, field.name)
            if isinstance(mine, dict):
                changes[field.name] = mine | other
            elif not isinstance(mine, str | bool):  # a digest stands for one kind alone
                changes[field.name] = mine + other
        total = msgspec.structs.replace(total, **changes)
    disturbed = sum(report.churn_share * report.golden_before_count for report in reports)
    share = disturbed / total.golden_before_count if total.golden_before_count else 0.0
    largest = max((report.largest_member_count for report in reports), default=0)
    return msgspec.structs.replace(total, churn_share=share, largest_member_count=largest)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    main(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
