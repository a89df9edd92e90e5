"""Loads as the writer sees them: where each begins, how far it came, and taking one back between writes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import msgspec
import structlog

from mdm.config import Configuration
from mdm.domain import events as ev
from mdm.domain import load_events as le
from mdm.domain.loads import LoadEntry, fresh_load_id, load_named, load_of, loads_since, reverting
from mdm.domain.state import IdentityView
from mdm.errors import ConflictError, LoadRunningError, StoreError, UnknownLoadError
from mdm.limits import LOAD_EXAMPLES_MAX, RELINK_STEP_MIN_S, RELINK_STEP_S
from mdm.resolve.commands import (
    REVERT_LOAD,
    Answer,
    BeginLoad,
    Command,
    Delete,
    FinishLoad,
    LoadAnswer,
    RevertLoad,
    Upsert,
    WriteAnswer,
)
from mdm.resolve.configuring import check_return
from mdm.resolve.group import Group
from mdm.resolve.load_acts import Act, acts_backwards
from mdm.resolve.load_revert import Effect, take_back
from mdm.store.index import Index
from mdm.store.journal import Journal

Counted = dict[str, Counter[str]]
"""Load id → operations by outcome that no event has counted yet."""

Transaction = Callable[[], AbstractContextManager[Group]]

_log = structlog.get_logger()


class LoadControl:
    """Everything here happens on the writer's thread.

    Invariant: an operation of a load is taken back whole or not at all; a killed revert goes on behind the last one.
    """

    def __init__(self, journal: Journal, index: Index) -> None:
        """Take up the reverts that were killed."""
        self._journal = journal
        self._index = index
        self.is_loading: Callable[[str], bool] = lambda _name: False
        """Whether somebody is sending a load of this name now; who serves streams knows."""
        self.uncounted: Counted = {}
        """Operations that wrote nothing, until something is written: lost by a kill, and so are sent again."""
        self._revert: _Revert | None = None
        self._waits = True
        """Whether a revert may wait to be taken up."""

    def begin(self, group: Group, command: BeginLoad) -> LoadAnswer:
        """Begin a load, or go on with the one of the same name that did not end.

        Raises:
            ConflictError: Another of its feed is being taken back: what it finds unchanged may not stay so. Or it began
                with rows that were read by another declaration: a load is read whole by one.
        """
        entry = load_named(group.index, command.name)
        if entry is not None and entry.is_open:
            load_id = entry.load_id
            if command.registry_digest and entry.registry_digest not in {"", command.registry_digest}:
                raise ConflictError("this load began under other registries; load under another name")
        else:
            others = (load_of(group.index, each) for each in reverting(group.index))
            if any(other is not None and other.feed == command.feed for other in others):
                raise ConflictError("a load of this feed is being taken back; load again when that is done")
            load_id = fresh_load_id(group.index, command.name)
            fact = le.LoadStarted(
                load_id,
                command.name,
                command.feed,
                command.is_full,
                command.is_deferred,
                command.allow_older,
                command.content_digest,
                command.registry_digest,
            )
            group.add(_named(command.request.cause, load_id), fact)
        self.uncounted.pop(load_id, None)
        return LoadAnswer(load_id, int(group.index.setting(f"load:{load_id}") or 0), group.last_seq)

    def finish(self, group: Group, command: FinishLoad, configuration: Configuration) -> LoadAnswer:
        """End a load; one that ended, or is taken back, stays as it is."""
        load_id = command.request.cause.load_id
        entry = load_of(group.index, load_id)
        if entry is not None and entry.is_open:
            fact = le.LoadFinished(
                load_id,
                _counts(self.uncounted.get(load_id, Counter())),
                command.row_count,
                command.unchanged_count,
                command.rejected_count,
                command.refused_delete_count,
                configuration.registry_digest(entry.feed.partition(".")[0]),
            )
            group.add(command.request.cause, fact)
            entry = load_of(group.index, load_id)
        return LoadAnswer(
            load_id, 0, group.last_seq, is_registry_changed=entry is not None and entry.is_registry_changed
        )

    def revert(self, group: Group, command: RevertLoad, configuration: Configuration) -> LoadAnswer:
        """Begin to take a load back; one that is taken back stays as it is.

        Raises:
            UnknownLoadError: No such load.
            LoadRunningError: Somebody is loading it now.
            ConflictError: Later loads may have written its records over, and stand; names them.
            UnknownRegistryError: Its registry was taken away since, or a kind of it: what comes back would be orphaned.
        """
        entry = load_of(group.index, command.load_id)
        if entry is None:
            raise UnknownLoadError("no load has this id")
        if entry.revert is None:
            if entry.is_open and self.is_loading(entry.name):
                raise LoadRunningError("this load is running; interrupt it first")
            check_return(group.index, configuration, entry.feed.partition(".")[0])
            if not command.keeps_later:
                _check_order(group.index, configuration, entry)
            cause = _named(command.request.cause, entry.load_id)
            fact = le.LoadRevertStarted(entry.load_id, self._journal.take_payload_id(), command.reason)
            group.add(cause, fact)
            self._waits = True
        return LoadAnswer(entry.load_id, 0, group.last_seq)

    def note_progress(self, group: Group, commands: Sequence[Command], answers: Sequence[Answer]) -> Counted:
        """Remember how far each load came; returns what no event has counted.

        Unchanged rows write nothing: progress is worth an event only beside others.
        """
        uncounted = {load_id: Counter(counts) for load_id, counts in self.uncounted.items()}
        progress: dict[str, Upsert | Delete] = {}
        for command, answer in zip(commands, answers, strict=True):
            load_id = command.request.cause.load_id
            if isinstance(command, FinishLoad):
                progress.pop(load_id, None)
                uncounted.pop(load_id, None)
            elif isinstance(command, Upsert | Delete) and command.ordinal:
                progress[load_id] = command
                outcome = answer.outcome.value if isinstance(answer, WriteAnswer) else "rejected"
                uncounted.setdefault(load_id, Counter())[outcome] += 1
        if group.drafts:
            for load_id, command in progress.items():
                counts = _counts(uncounted.pop(load_id))
                group.add(command.request.cause, le.LoadProgressed(load_id, command.ordinal, counts))
        return uncounted

    def step(self, transaction: Transaction, is_wanted: Callable[[], bool]) -> bool:
        """Do at most `RELINK_STEP_S` of a revert; returns whether more waits.

        Args:
            transaction: Commits what its block drafts.
            is_wanted: Whether writes wait, which get their turn after `RELINK_STEP_MIN_S`.
        """
        if self._revert is None and not self._take_up():
            return False
        revert = self._revert
        if revert is None:
            return False
        try:
            self._take_some_back(revert, transaction, is_wanted)
        except StoreError:
            raise
        except Exception as error:
            if not revert.taken:
                raise
            # One operation that breaks must neither take its neighbours along nor stop the service.
            _log.error("load_revert_failed", act_count=len(revert.taken), error=type(error).__name__)
            if len(revert.taken) == 1:
                with transaction() as group:
                    group.add(revert.cause, revert.progressed(revert.taken[0], Counter({Effect.FAILED: 1})))
            count = len(revert.taken) - 1
            self._take_up()
            if self._revert is not None:
                self._revert.single_count = count
        return self._waits

    def _take_up(self) -> bool:
        """Open the first revert that is not over, where it stands; returns whether there is one."""
        self._revert = None
        if self._waits:
            with self._index.read() as view:
                waiting = reverting(view)
                entry = load_of(view, waiting[0]) if waiting else None
            self._waits = entry is not None
            if entry is not None:
                self._revert = _Revert(entry, self._journal)
        return self._revert is not None

    def _take_some_back(self, revert: _Revert, transaction: Transaction, is_wanted: Callable[[], bool]) -> None:
        began_s = time.monotonic()

        def is_over() -> bool:
            spent_s = time.monotonic() - began_s
            return spent_s >= RELINK_STEP_S or (spent_s >= RELINK_STEP_MIN_S and is_wanted())

        revert.taken = []
        found: Counter[Effect] = Counter()
        has_looked = is_finished = False
        with transaction() as group:
            while not is_finished and (not has_looked or (revert.single_count == 0 and not is_over())):
                has_looked = True
                try:
                    act = next(revert.acts)
                except StopIteration:
                    is_finished = True
                    break
                if act is not None:
                    revert.taken.append(act)
                    found += take_back(group, self._journal, act, revert.cause)
            if revert.taken:
                group.add(revert.cause, revert.progressed(revert.taken[-1], found))
            if is_finished:
                group.add(revert.cause, le.LoadRevertFinished(revert.load_id))
        revert.single_count = max(revert.single_count - len(revert.taken), 0)
        if is_finished:
            _log.info("load_reverted")
            self._take_up()


class _Revert:
    """A load being taken back."""

    def __init__(self, entry: LoadEntry, journal: Journal) -> None:
        if entry.revert is None:
            raise TypeError(entry.load_id)
        self.load_id = entry.load_id
        begun = next(journal.events(entry.revert.seq - 1, entry.revert.seq))
        self.cause = msgspec.structs.replace(begun.cause, method=REVERT_LOAD)
        self.acts: Iterator[Act | None] = acts_backwards(journal, entry.load_id, entry.seq, entry.revert.behind_seq)
        self.taken: list[Act] = []
        """Those of the step in hand."""
        self.single_count = 0
        """Acts still to be taken back one by one, because a step that held them broke."""

    def progressed(self, act: Act, found: Counter[Effect]) -> le.LoadRevertProgressed:
        counts = Counter({effect.value: count for effect, count in found.items()})
        return le.LoadRevertProgressed(self.load_id, act.first_seq, _counts(counts))


def _check_order(view: IdentityView, configuration: Configuration, entry: LoadEntry) -> None:
    """Pass if no later load that may have written the same records stands.

    Taken back after this one, it would bring back what this one had brought.
    """
    later = loads_since(view, entry)
    over = [
        each.load_id
        for each in later
        if each.revert is None and each.has_written and _overlap(configuration, entry, each)
    ]
    if over:
        shown = ", ".join(over[:LOAD_EXAMPLES_MAX]) + (", …" if len(over) > LOAD_EXAMPLES_MAX else "")
        raise ConflictError(
            f"later loads stand that may have written its records over: {shown}; take back those that are wrong too, "
            "the latest first, then this one with keep_later (--keep-later), and what the others wrote stays"
        )


def _overlap(configuration: Configuration, one: LoadEntry, other: LoadEntry) -> bool:
    """Return whether two feeds may hold the same records."""
    (registry, _, name), (other_registry, _, other_name) = one.feed.partition("."), other.feed.partition(".")
    declared = configuration.registries.get(registry)
    feeds = declared.feeds if declared is not None else {}
    if registry != other_registry:
        return False
    return not {name, other_name} <= feeds.keys() or not feeds[name].kinds.isdisjoint(feeds[other_name].kinds)


def _counts(found: Counter[str]) -> le.Counts:
    return tuple(sorted((name, count) for name, count in found.items() if count))


def _named(cause: ev.Cause, load_id: str) -> ev.Cause:
    return msgspec.structs.replace(cause, load_id=load_id)
