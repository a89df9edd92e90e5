"""Re-linkage as the writer sees it: starts the batch process, and commits its plan piece by piece between writes."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection

import msgspec
import structlog

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.errors import ChurnExceededError, PlanOutdatedError, RelinkRunningError, StoreError
from mdm.limits import (
    RELINK_ATTEMPTS_MAX,
    RELINK_RUNS_KEPT,
    RELINK_STEP_MIN_S,
    RELINK_STEP_S,
)
from mdm.resolve.commands import CommitRelink, StartRelink
from mdm.resolve.engines import Engines
from mdm.resolve.group import Group
from mdm.resolve.models import is_pinned_behind
from mdm.resolve.relink_commit import Commit, commit_item, numbers_of
from mdm.resolve.relink_revert import commit_span
from mdm.resolve.relink_room import memory_limit, require_disk
from mdm.resolve.relink_runs import (
    PLAN_FILE,
    WORK_DIRECTORY,
    Phase,
    PlanItem,
    Report,
    RunState,
    clean_up,
    new_run,
    plan_holds,
    read_state,
    run_ids,
    write_state,
)
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index
from mdm.store.journal import Journal

_log = structlog.get_logger()


class RelinkControl:
    """At most one run at a time; everything here happens on the writer's thread.

    Invariant: an item of a plan is committed whole or not at all, and only if nothing in it changed since the plan's
    snapshot.
    """

    def __init__(self, directory: DataDirectory, journal: Journal, index: Index) -> None:
        """Take up what was killed: a plan's process is started again, a commit goes on."""
        self._directory = directory
        self._journal = journal
        self._index = index
        self._process: subprocess.Popen[bytes] | None = None
        self._planning: str | None = None
        self._leaving: list[subprocess.Popen[bytes]] = []
        """Processes whose plans are made: they clear up behind all others, and nobody waits for that."""
        self._commit: Commit | None = None
        self.has_new_engines = False
        self._take_up()
        clean_up(directory.relinks, RELINK_RUNS_KEPT)

    def start(self, command: StartRelink) -> str:
        """Begin a run in a process of its own and return its id.

        Raises:
            RelinkRunningError: Another run is not finished.
            UnknownRunError: The run to be taken back was never committed.
            InvalidInputError: The memory is too little for so many records.
            LimitExceededError: The disk has too little room, or the service too little memory.
        """
        self._require_idle()
        with self._index.read() as view:
            if command.reverts:
                commit_span(view.setting(f"relink_seq:{command.reverts}"))
            record_count = view.last_number()
        # Taking a run back reads what it did and links nothing: a third of the memory at the most, and no DuckDB.
        memory_limit_bytes = memory_limit(command.memory_limit_bytes, 0 if command.reverts else record_count)
        require_disk(record_count, self._index.sizes().file_bytes, self._directory.path)
        clean_up(self._directory.relinks, RELINK_RUNS_KEPT)
        state = new_run(
            self._directory.relinks,
            kind=command.kind,
            memory_limit_bytes=memory_limit_bytes,
            reverts=command.reverts,
            is_learning=command.is_learning,
            core_count_max=command.core_count_max,
        )
        self._spawn(state)
        return state.run_id

    def commit(self, command: CommitRelink) -> None:
        """Begin to commit a stored plan.

        Raises:
            UnknownRunError: No such run.
            PlanOutdatedError: It has no plan, or was committed or cancelled before.
            ChurnExceededError: It would change more than is allowed.
            RelinkRunningError: Another run is not finished.
        """
        state = read_state(self._directory.relinks, command.run_id)
        self._require_idle()
        if state.phase is not Phase.PLANNED:
            raise PlanOutdatedError(f"the run is {state.phase.value}; only a planned one can be committed")
        churn_share = state.report.churn_share if state.report else 0.0
        if churn_share > command.churn_share_max:
            raise ChurnExceededError(
                f"the plan would change {churn_share:.3%} of the golden IDs, more than {command.churn_share_max:.3%}"
            )
        # Before the header: whoever resumes the commit after a kill needs to know in whose name.
        cause = msgspec.structs.replace(command.request.cause, method="CommitRelink")
        self._begin_commit(self._write(state, cause=cause))

    def cancel(self, run_id: str, cause: ev.Cause) -> None:
        """Stop a running plan or commit. What was committed stays; each item of it is whole.

        Raises:
            UnknownRunError: No such run.
        """
        state = read_state(self._directory.relinks, run_id)
        if self._planning == run_id:
            self._stop_process()
            self._planning = None
        elif self._commit is not None and self._commit.state.run_id == run_id:
            commit, self._commit = self._commit, None
            commit.plan.close()
            # First, because a kill behind the event would leave a run that looks like one committed to its end.
            cancelled = self._write(commit.state, phase=Phase.CANCELLED, report=_with_dropped(commit), cause=cause)
            self._finish_cancelled(cancelled, commit.dropped_count)
        elif state.phase.is_final and state.phase is not Phase.PLANNED:
            return
        if read_state(self._directory.relinks, run_id).phase is not Phase.CANCELLED:
            self._write(state, phase=Phase.CANCELLED)
        clean_up(self._directory.relinks, RELINK_RUNS_KEPT)

    @property
    def is_committing(self) -> bool:
        """Whether a plan is being committed."""
        return self._commit is not None

    def require_no_commit(self) -> None:
        """Return if no plan is being committed: the model that its header activated must stay until it is done.

        Raises:
            RelinkRunningError: One is.
        """
        if self._commit is not None:
            raise RelinkRunningError("a re-linkage is being committed; wait for it or cancel it")

    def discard_values(self, numbers: Collection[RecordNumber]) -> None:
        """Remove every copy of these records' values that runs keep; not while a commit reads its plan.

        A plan under way begins anew without them. A plan that waits holds values of pending records only, and is
        cancelled if one of these is among them.
        """
        if self._planning is not None:
            run = self._directory.relinks / self._planning
            self._stop_process()
            state = read_state(self._directory.relinks, self._planning)
            self._planning = None
            if not state.phase.is_final:
                shutil.rmtree(run / WORK_DIRECTORY, ignore_errors=True)
                (run / PLAN_FILE).unlink(missing_ok=True)
                self._spawn(msgspec.structs.replace(state, attempt_count=state.attempt_count - 1))
        for run_id in run_ids(self._directory.relinks):
            plan = self._directory.relinks / run_id / PLAN_FILE
            if read_state(self._directory.relinks, run_id).phase is Phase.PLANNED and plan_holds(plan, numbers):
                self.cancel(run_id, ev.Cause())
        clean_up(self._directory.relinks, RELINK_RUNS_KEPT)

    def step(self, engines: Engines, is_wanted: Callable[[], bool]) -> bool:
        """Do at most `RELINK_STEP_S` of work; returns whether more waits.

        Args:
            engines: In force.
            is_wanted: Whether writes wait, which get their turn after `RELINK_STEP_MIN_S`.
        """
        self._leaving = [process for process in self._leaving if process.poll() is None]
        if self._planning is not None and self._process is not None and self._process.poll() is not None:
            self._planned(self._planning)
        if self._commit is None:
            return False
        if self.has_new_engines:
            # What the commit resolves anew must be decided by the model that its header activated.
            return True
        self._commit_some(self._commit, engines, is_wanted)
        return self._commit is not None

    def close(self) -> None:
        """End a running batch process; plan and commit are taken up at the next start."""
        self._stop_process()
        if self._commit is not None:
            self._commit.plan.close()
        if self._planning is not None:
            state = read_state(self._directory.relinks, self._planning)
            # Ended on purpose: no sign of a plan that can't be made.
            self._write(state, attempt_count=state.attempt_count - 1)

    def _finish_cancelled(self, state: RunState, dropped_count: int) -> None:
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
            cause = msgspec.structs.replace(state.cause, method="CancelRelink")
            group.add(cause, ev.RelinkCommitFinished(state.run_id, dropped_count))
            self._journal.commit(group.batch)

    def _spawn(self, state: RunState) -> None:
        state = self._write(state, attempt_count=state.attempt_count + 1)
        arguments = [str(os.getpid()), str(self._directory.path), state.run_id]
        with (self._directory.relinks / state.run_id / "log.jsonl").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  (our own module, arguments of our own making)
                [sys.executable, "-m", "mdm.resolve.relink_process", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._planning = state.run_id

    def _require_idle(self) -> None:
        if self._planning is not None and self._process is not None:
            state = read_state(self._directory.relinks, self._planning)
            if state.phase.is_final:
                # Whoever watches the run knows already that it is done.
                self._leaving.append(self._process)
                self._planned(self._planning)
        if self._planning is not None or self._commit is not None:
            raise RelinkRunningError("a re-linkage is running; wait for it or cancel it")

    def _stop_process(self) -> None:
        # One that clears up is ended as well: `clean_up` does it in its stead.
        for process in filter(None, (self._process, *self._leaving)):
            process.kill()
            process.wait()
        self._process, self._leaving = None, []

    def _planned(self, run_id: str) -> None:
        code = self._process.returncode if self._process else 0
        self._process, self._planning = None, None
        state = read_state(self._directory.relinks, run_id)
        if state.phase.is_final:
            if state.phase is Phase.FAILED:
                _log.error("relink_failed", run_id=run_id, error=state.error)
        else:
            self._take_up_plan(state, f"process ended with {code}")

    def _take_up_plan(self, state: RunState, error: str) -> None:
        """Start the process of a plan again, unless it was killed too often."""
        if state.attempt_count < RELINK_ATTEMPTS_MAX:
            _log.warning("relink_taken_up", run_id=state.run_id, attempt=state.attempt_count + 1)
            self._spawn(state)
        else:
            self._write(state, phase=Phase.FAILED, error=error)
            _log.error("relink_failed", run_id=state.run_id, error=error)

    def _begin_commit(self, state: RunState) -> None:
        run = self._directory.relinks / state.run_id
        commit = Commit(run, state, state.cause, 0, 0)
        header = commit.plan.header
        with self._index.read() as view:
            if any(is_pinned_behind(view, EntityKind(kind), header.read_seq) for kind in header.models):
                commit.plan.close()
                raise PlanOutdatedError("an operator activated a model since the plan was computed; plan again")
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
            settings = (f"{what}:{kind}" for what in ("model", "epoch", "pin") for kind in EntityKind)
            active = {setting: active for setting in settings if (active := txn.setting(setting))}
            group.add(
                commit.cause,
                ev.RelinkCommitStarted(
                    state.run_id, state.plan_digest, header.item_count, tuple(active.items()), header.reverts
                ),
            )
            for kind, body in sorted(header.models.items()):
                digest, before = group.batch.put_artefact("model", body), active.get(f"model:{kind}")
                changes_pin = bool(state.is_learning and f"pin:{kind}" in active) or kind in header.pinned
                if header.may_activate("model", kind, before) and (before != digest or changes_pin):
                    group.add(
                        commit.cause, ev.ModelActivated(EntityKind(kind), digest, is_pinned=kind in header.pinned)
                    )
            for kind, body in sorted(header.epochs.items()):
                digest, before = group.batch.put_artefact("epoch", body), active.get(f"epoch:{kind}")
                if header.may_activate("epoch", kind, before) and before != digest:
                    group.add(commit.cause, ev.EpochActivated(EntityKind(kind), digest))
            self._journal.commit(group.batch)
        self.has_new_engines = True
        self._commit = commit
        commit.state = self._write(state, phase=Phase.COMMITTING, total_count=header.item_count, done_count=0)

    def _commit_some(self, commit: Commit, engines: Engines, is_wanted: Callable[[], bool]) -> None:
        taken: list[PlanItem] = []
        try:
            is_finished = self._commit_group(commit, engines, taken, is_wanted)
        except StoreError:
            raise
        except Exception as error:
            if not taken:
                raise
            # One broken item must neither take its neighbours along nor stop the service: each gets its own
            # transaction, and what breaks alone is dropped.
            _log.error("relink_items_failed", item_count=len(taken), error=type(error).__name__)
            if len(taken) == 1:
                self._skip_item(commit, taken[0])
                commit.single_count = max(commit.single_count - 1, 0)
            else:
                commit.items = itertools.chain(taken, commit.items)
                commit.single_count = len(taken)
            return
        commit.single_count = max(commit.single_count - len(taken), 0)
        if is_finished:
            self._commit = None
            commit.plan.close()
            self._write(
                commit.state,
                phase=Phase.COMMITTED,
                done_count=commit.done_count,
                report=_with_dropped(commit),
                commit_seq=self._journal.last_seq,
            )
            clean_up(self._directory.relinks, RELINK_RUNS_KEPT)
        else:
            commit.state = self._write(commit.state, done_count=commit.done_count, report=_with_dropped(commit))

    def _commit_group(
        self, commit: Commit, engines: Engines, taken: list[PlanItem], is_wanted: Callable[[], bool]
    ) -> bool:
        """Commit items until the step's time is up, listing them in `taken`; returns whether they were the last."""
        began = time.monotonic()

        def is_over() -> bool:
            spent_s = time.monotonic() - began
            return spent_s >= RELINK_STEP_S or (spent_s >= RELINK_STEP_MIN_S and is_wanted())

        is_finished = False
        dropped_count, dropped = commit.dropped_count, list[tuple[RecordNumber, ...]]()
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, dict(engines))
            while not is_finished and (not taken or (commit.single_count == 0 and not is_over())):
                item = next(commit.items, None)
                if item is None:
                    group.add(commit.cause, ev.RelinkCommitFinished(commit.state.run_id, dropped_count))
                    is_finished = True
                else:
                    taken.append(item)
                    if not commit_item(group, commit, item):
                        dropped_count += 1
                        dropped.append(numbers_of(item))
            done_count = commit.done_count + len(taken)
            if not is_finished:
                group.add(commit.cause, ev.RelinkProgressed(commit.state.run_id, done_count, dropped_count))
            self._journal.commit(group.batch)
        commit.done_count, commit.dropped_count = done_count, dropped_count
        commit.note_dropped(dropped)
        return is_finished

    def _skip_item(self, commit: Commit, item: PlanItem) -> None:
        done_count, dropped_count = commit.done_count + 1, commit.dropped_count + 1
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
            group.add(commit.cause, ev.RelinkProgressed(commit.state.run_id, done_count, dropped_count))
            self._journal.commit(group.batch)
        commit.done_count, commit.dropped_count = done_count, dropped_count
        commit.note_dropped([numbers_of(item)])

    def _take_up(self) -> None:
        for run_id in run_ids(self._directory.relinks):
            state = read_state(self._directory.relinks, run_id)
            with self._index.read() as view:
                progress = view.setting(f"relink:{run_id}")
            if progress == "finished":
                if state.phase is Phase.COMMITTING:
                    seq = self._journal.last_seq
                    self._write(state, phase=Phase.COMMITTED, done_count=state.total_count, commit_seq=seq)
            elif progress:
                done, dropped = (int(part.split()[0]) for part in progress.split(", ")[:2])
                run = self._directory.relinks / run_id
                if state.phase is Phase.CANCELLED or not (run / PLAN_FILE).exists():
                    self._finish_cancelled(state, dropped)
                    self._write(state, phase=Phase.CANCELLED)
                else:
                    self._commit = Commit(run, state, state.cause, done, dropped)
                    total = self._commit.plan.header.item_count
                    self._commit.state = self._write(state, phase=Phase.COMMITTING, done_count=done, total_count=total)
            elif not state.phase.is_final:
                self._take_up_plan(state, "the service was restarted")

    def _write(self, state: RunState, **changes: object) -> RunState:
        changed = msgspec.structs.replace(state, **changes)
        write_state(self._directory.relinks / state.run_id, changed)
        return changed


def _with_dropped(commit: Commit) -> Report | None:
    report = commit.state.report
    return report and msgspec.structs.replace(report, dropped_component_count=commit.dropped_count)
