"""Re-linkage as the writer sees it: starts the batch process, and commits its plan piece by piece between writes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.domain.rules import regroup
from mdm.domain.state import pair_of
from mdm.errors import PlanOutdatedError, RelinkRunningError, StoreError
from mdm.limits import RELINK_STEP_S
from mdm.resolve.commands import CommitRelink, StartRelink
from mdm.resolve.engines import Engines
from mdm.resolve.group import Group
from mdm.resolve.models import is_pinned_behind
from mdm.resolve.relink_runs import (
    PLAN_FILE,
    Component,
    Phase,
    PlanItem,
    PlanReader,
    QuestionChanges,
    Report,
    RunState,
    new_run,
    plan_digest,
    read_state,
    run_ids,
    write_state,
)
from mdm.resolve.upsert import resolve_stored
from mdm.store.data_directory import DataDirectory
from mdm.store.index import Index
from mdm.store.journal import Journal, artefact_digest

_log = structlog.get_logger()


class _Commit:
    """A plan being committed."""

    def __init__(self, run: Path, state: RunState, cause: ev.Cause, done_count: int, dropped_count: int) -> None:
        self.run = run
        self.state = state
        self.cause = cause
        self.plan = PlanReader(run / PLAN_FILE, done_count)
        self.items: Iterator[PlanItem] = iter(self.plan)
        self.single_count = 0
        """Items still to be committed one by one, because a group that held them broke."""
        self.done_count = done_count
        self.dropped_count = dropped_count
        header = self.plan.header
        self._deciding = {
            kind: msgspec.structs.replace(
                cause, model=artefact_digest(body), epoch=artefact_digest(header.epochs[kind])
            )
            for kind, body in header.models.items()
        }

    def cause_of(self, group: Group, number: RecordNumber) -> ev.Cause:
        """Return the cause of a decision about a record: it names the model and epoch that the plan was made with."""
        return self._deciding.get(group.record(number).kind, self.cause)


class RelinkControl:
    """At most one run at a time; everything here happens on the writer's thread.

    Invariant: an item of a plan is committed whole or not at all, and only if nothing in it changed since the plan's
    snapshot.
    """

    def __init__(self, directory: DataDirectory, journal: Journal, index: Index) -> None:
        """Take up a commit that was killed."""
        self._directory = directory
        self._journal = journal
        self._index = index
        self._process: subprocess.Popen[bytes] | None = None
        self._planning: str | None = None
        self._commit: _Commit | None = None
        self.has_new_engines = False
        self._take_up()

    def start(self, command: StartRelink) -> str:
        """Begin a run in a process of its own and return its id.

        Raises:
            RelinkRunningError: Another run is not finished.
        """
        self._require_idle()
        state = new_run(self._directory.relinks, {"kind": command.kind, "is_learning": command.is_learning})
        run = self._directory.relinks / state.run_id
        arguments = [str(os.getpid()), str(self._directory.path), state.run_id, str(command.memory_limit_bytes)]
        with (run / "log.jsonl").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  (our own module, arguments of our own making)
                [sys.executable, "-m", "mdm.resolve.relink_process", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._planning = state.run_id
        return state.run_id

    def commit(self, command: CommitRelink) -> None:
        """Begin to commit a stored plan.

        Raises:
            UnknownRunError: No such run.
            PlanOutdatedError: It has no plan, or was committed or cancelled before.
            RelinkRunningError: Another run is not finished.
        """
        state = read_state(self._directory.relinks, command.run_id)
        self._require_idle()
        if state.phase is not Phase.PLANNED:
            raise PlanOutdatedError(f"the run is {state.phase.value}; only a planned one can be committed")
        self._begin_commit(state, command.request.cause)

    def cancel(self, run_id: str) -> None:
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
            state = self._write(state, phase=Phase.CANCELLED, report=_with_dropped(commit))
            finished = ev.RelinkCommitFinished(run_id, commit.dropped_count)
            with self._index.write() as txn:
                group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
                group.add(ev.Cause(method="CancelRelink"), finished)
                self._journal.commit(group.batch)
            return
        elif state.phase.is_final and state.phase is not Phase.PLANNED:
            return
        self._write(state, phase=Phase.CANCELLED)

    def require_no_commit(self) -> None:
        """Return if no plan is being committed: the model that its header activated must stay until it is done.

        Raises:
            RelinkRunningError: One is.
        """
        if self._commit is not None:
            raise RelinkRunningError("a re-linkage is being committed; wait for it or cancel it")

    def step(self, engines: Engines) -> bool:
        """Do at most `RELINK_STEP_S` of work; returns whether more waits."""
        if self._planning is not None and self._process is not None and self._process.poll() is not None:
            self._planned(self._planning)
        if self._commit is None:
            return False
        if self.has_new_engines:
            # What the commit resolves anew must be decided by the model that its header activated.
            return True
        self._commit_some(self._commit, engines)
        return self._commit is not None

    def close(self) -> None:
        """End a running batch process; a commit resumes at the next start."""
        self._stop_process()
        if self._commit is not None:
            self._commit.plan.close()
        if self._planning is not None:
            state = read_state(self._directory.relinks, self._planning)
            self._write(state, phase=Phase.CANCELLED)

    def _require_idle(self) -> None:
        if self._planning is not None and self._process is not None:
            state = read_state(self._directory.relinks, self._planning)
            if state.phase.is_final:
                # Whoever watches the run knows already that it is done; its process needs moments to end.
                self._process.wait()
                self._planned(self._planning)
        if self._planning is not None or self._commit is not None:
            raise RelinkRunningError("a re-linkage is running; wait for it or cancel it")

    def _stop_process(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _planned(self, run_id: str) -> None:
        code = self._process.returncode if self._process else 0
        self._process, self._planning = None, None
        state = read_state(self._directory.relinks, run_id)
        if state.phase is not Phase.PLANNED:
            error = state.error or f"process ended with {code}"
            self._write(state, phase=Phase.FAILED, error=error)
            _log.error("relink_failed", run_id=run_id, error=error)

    def _begin_commit(self, state: RunState, cause: ev.Cause) -> None:
        run = self._directory.relinks / state.run_id
        commit = _Commit(run, state, msgspec.structs.replace(cause, method="CommitRelink"), 0, 0)
        header = commit.plan.header
        with self._index.read() as view:
            if any(is_pinned_behind(view, EntityKind(kind), header.read_seq) for kind in header.models):
                commit.plan.close()
                raise PlanOutdatedError("an operator activated a model since the plan was computed; plan again")
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
            digest = plan_digest(run / PLAN_FILE)
            group.add(commit.cause, ev.RelinkCommitStarted(state.run_id, digest, header.item_count))
            for kind, body in sorted(header.models.items()):
                digest = group.batch.put_artefact("model", body)
                loses_pin = state.is_learning and txn.setting(f"pin:{kind}")
                if txn.setting(f"model:{kind}") != digest or loses_pin:
                    group.add(commit.cause, ev.ModelActivated(EntityKind(kind), digest))
            for kind, body in sorted(header.epochs.items()):
                digest = group.batch.put_artefact("epoch", body)
                if txn.setting(f"epoch:{kind}") != digest:
                    group.add(commit.cause, ev.EpochActivated(EntityKind(kind), digest))
            self._journal.commit(group.batch)
        self.has_new_engines = True
        self._commit = commit
        commit.state = self._write(state, phase=Phase.COMMITTING, total_count=header.item_count, done_count=0)

    def _commit_some(self, commit: _Commit, engines: Engines) -> None:
        taken: list[PlanItem] = []
        try:
            is_finished = self._commit_group(commit, engines, taken)
        except StoreError:
            raise
        except Exception as error:
            if not taken:
                raise
            # One broken item must neither take its neighbours along nor stop the service: each gets its own
            # transaction, and what breaks alone is dropped.
            _log.error("relink_items_failed", item_count=len(taken), error=type(error).__name__)
            if len(taken) == 1:
                self._skip_item(commit)
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
        else:
            commit.state = self._write(commit.state, done_count=commit.done_count, report=_with_dropped(commit))

    def _commit_group(self, commit: _Commit, engines: Engines, taken: list[PlanItem]) -> bool:
        """Commit items until the step's time is up, listing them in `taken`; returns whether they were the last."""
        until = time.monotonic() + RELINK_STEP_S
        is_finished = False
        dropped_count = commit.dropped_count
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, dict(engines))
            while not is_finished and (not taken or (time.monotonic() < until and commit.single_count == 0)):
                item = next(commit.items, None)
                if item is None:
                    group.add(commit.cause, ev.RelinkCommitFinished(commit.state.run_id, dropped_count))
                    is_finished = True
                else:
                    taken.append(item)
                    dropped_count += _commit_item(group, commit, item)
            done_count = commit.done_count + len(taken)
            if not is_finished:
                group.add(commit.cause, ev.RelinkProgressed(commit.state.run_id, done_count, dropped_count))
            self._journal.commit(group.batch)
        commit.done_count, commit.dropped_count = done_count, dropped_count
        return is_finished

    def _skip_item(self, commit: _Commit) -> None:
        done_count, dropped_count = commit.done_count + 1, commit.dropped_count + 1
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
            group.add(commit.cause, ev.RelinkProgressed(commit.state.run_id, done_count, dropped_count))
            self._journal.commit(group.batch)
        commit.done_count, commit.dropped_count = done_count, dropped_count

    def _take_up(self) -> None:
        for run_id in run_ids(self._directory.relinks):
            state = read_state(self._directory.relinks, run_id)
            with self._index.read() as view:
                progress = view.setting(f"relink:{run_id}")
            run = self._directory.relinks / run_id
            is_begun = bool(progress) and progress != "finished" and state.phase is not Phase.CANCELLED
            if progress and is_begun and (run / PLAN_FILE).exists():
                done, dropped = (int(part.split()[0]) for part in progress.split(", ")[:2])
                state = self._write(state, phase=Phase.COMMITTING, done_count=done)
                self._commit = _Commit(run, state, ev.Cause(method="CommitRelink"), done, dropped)
            elif progress == "finished" and state.phase is Phase.COMMITTING:
                seq = self._journal.last_seq
                self._write(state, phase=Phase.COMMITTED, done_count=state.total_count, commit_seq=seq)
            elif not state.phase.is_final:
                self._write(state, phase=Phase.FAILED, error="the service was restarted")

    def _write(self, state: RunState, **changes: object) -> RunState:
        changed = msgspec.structs.replace(state, **changes)
        write_state(self._directory.relinks / state.run_id, changed)
        return changed


def _with_dropped(commit: _Commit) -> Report | None:
    report = commit.state.report
    return report and msgspec.structs.replace(report, dropped_component_count=commit.dropped_count)


def _commit_item(group: Group, commit: _Commit, item: PlanItem) -> int:
    """Draft one item; returns 1 if it was dropped because something in it changed since the snapshot."""
    match item:
        case Component():
            if not _still_holds(group, item, commit.plan.header.read_seq):
                for pending in item.pending:
                    entry = group.index.record(pending.number)
                    if entry is not None and entry.golden_id is None and not entry.is_deleted:
                        resolve_stored(group, pending.number, commit.cause)
                return 1
            facts = regroup(
                group.index,
                item.clusters,
                group.mint,
                reason=ev.RegroupReason.RELINK,
                left=item.left,
                right=item.right,
                match_weight_bits=item.match_weight_bits,
                run_id=commit.state.run_id,
            )
            cause = commit.cause_of(group, item.clusters[0][0])
            for fact in facts:
                group.add(cause, fact)
            for pending in item.pending:
                group.index.put_match_state(pending.number, pending.features, pending.posting_keys)
        case QuestionChanges():
            _change_questions(group, commit, item)
    return 0


def _still_holds(group: Group, component: Component, read_seq: int) -> bool:
    numbers = {number for cluster in component.clusters for number in cluster}
    for number in sorted(numbers):
        entry = group.index.record(number)
        if entry is None or entry.is_deleted or entry.changed_seq > read_seq:
            return False
        golden = group.index.golden(entry.golden_id) if entry.golden_id else None
        if golden is not None and (golden.changed_seq > read_seq or not numbers.issuperset(golden.members)):
            return False
    return True


def _change_questions(group: Group, commit: _Commit, item: QuestionChanges) -> None:
    for left, right in item.closed:
        standing = group.index.potential_match(pair_of(left, right))
        # A question asked since the snapshot rests on newer values than the plan.
        if standing is not None and standing.opened_seq <= commit.plan.header.read_seq:
            group.add(commit.cause_of(group, left), ev.PotentialMatchClosed(left, right))
    for question in item.opened:
        pair = pair_of(question.left, question.right)
        if _is_open(group, pair[0], pair[1]):
            group.add(
                commit.cause_of(group, pair[0]),
                ev.PotentialMatchOpened(*pair, question.reason, question.match_weight_bits, question.detail),
            )


def _is_open(group: Group, left: RecordNumber, right: RecordNumber) -> bool:
    left_id, right_id = group.golden_id_of(left), group.golden_id_of(right)
    is_answered = group.index.judgement((left, right)) is not None
    return not is_answered and left_id is not None and right_id is not None and left_id != right_id
