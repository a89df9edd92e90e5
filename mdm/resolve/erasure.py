"""Erasing a person or firm: who that is, the facts that do it, and purging every derived copy afterwards.

The journal's values are destroyed in the transaction of the facts. Derived copies follow between writes; the state says
which erasures are not finished, so that a killed one goes on at the next start.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import msgspec
import structlog

from mdm.domain import events as ev
from mdm.domain.erasure import Subject, farewell, subject_of
from mdm.domain.keys import EntityKind, SourceKey, kind_of, parse_golden_id
from mdm.domain.relations import Direction
from mdm.domain.restores import never_issued
from mdm.errors import ConflictError, UnknownRecordError
from mdm.limits import PAGE_SIZE_MAX, WRITE_FREE_DISK_BYTES_AGAIN
from mdm.resolve.commands import Erase, EraseAnswer
from mdm.resolve.group import Group
from mdm.resolve.relations import RelationFilter, RelationList
from mdm.resolve.relink_control import RelinkControl
from mdm.resolve.renewal import Renewal
from mdm.store.data_directory import DataDirectory
from mdm.store.export_ledger import ExportEntry
from mdm.store.index import Index
from mdm.store.journal import Journal, JournalReader
from mdm.store.view import IndexView

_FINISH = ev.Cause(actor="service", method="FinishErasure")

_RETRY_S = 10.0
"""Before a process that failed, most likely for want of disk, is started again."""

_log = structlog.get_logger()


class SubjectOutline(msgspec.Struct, frozen=True):
    """What an erasure would take, for an operator to read before it."""

    subject: Subject
    keys: tuple[SourceKey, ...]
    """The first `PAGE_SIZE_MAX`."""
    mention_count: int
    """Relations that others' records state of it, at most `PAGE_SIZE_MAX` counted; they stay."""
    exports: tuple[ExportEntry, ...]
    """That may hold a key of it, the latest first."""


class ErasureEntry(msgspec.Struct, frozen=True):
    """One erasure as the journal keeps it."""

    seq: int
    at_us: int
    cause: ev.Cause
    fact: ev.SubjectErased
    is_finished: bool


def subject_named(view: IndexView, golden_id: str | None, key: SourceKey | None) -> Subject:
    """Return whom a golden ID or a record stands for.

    A resolved record stands for its whole golden record, any other for itself alone.

    Raises:
        InvalidGoldenIdError: Not a golden ID.
        UnknownGoldenIdError: Never issued here.
        UnknownRecordError: Nothing is stored under the key, or not any more.
    """
    if key is not None:
        number = view.number_of(key)
        entry = view.record(number) if number is not None else None
        if number is None or entry is None:
            raise UnknownRecordError("no record is stored under this key")
        if entry.golden_id is None:
            return Subject((), (number,), int(entry.is_deleted))
        golden_id = entry.golden_id
    subject = subject_of(view, parse_golden_id(golden_id or ""))
    if subject is None:
        raise never_issued(view)
    return subject


def outline_of(view: IndexView, subject: Subject, exports: list[ExportEntry]) -> SubjectOutline:
    """Return what erasing a subject would take, and which of the exports may hold a key of it."""
    keys = [key for number in subject.numbers[:PAGE_SIZE_MAX] if (key := view.key_of(number)) is not None]
    golden = view.golden(subject.golden_ids[0]) if subject.golden_ids else None
    mention_count = 0
    if golden is not None and golden.members:
        incoming = RelationFilter(direction=Direction.INCOMING)
        rows, _ = RelationList(view, subject.golden_ids[0], golden, incoming).page(PAGE_SIZE_MAX, None)
        mention_count = sum(row.statement_count for row in rows)
    return SubjectOutline(subject, tuple(keys), mention_count, tuple(_exports_of(view, subject, exports)))


def erase(group: Group, command: Erase) -> EraseAnswer:
    """Draft the facts that erase a subject; its values in the journal go with their commit.

    Raises:
        UnknownGoldenIdError: As for `subject_named`, and so are its others.
        ConflictError: The records are not as many as expected.
    """
    subject = subject_named(group.index, command.golden_id, command.key)
    expected = command.expected_record_count
    if expected is not None and expected != len(subject.numbers):
        raise ConflictError(f"the subject has {len(subject.numbers)} records now, not {expected}; look at it again")
    if subject.is_nothing:
        return EraseAnswer(group.last_seq, 0)
    cause = command.request.cause
    for number in subject.numbers:
        for fact in farewell(group.index, number):
            group.add(cause, fact)
    group.add(cause, ev.SubjectErased(subject.golden_ids, subject.numbers, subject.passed_on, command.reason))
    group.batch.erase(subject.numbers, subject.passed_on)
    for number in subject.numbers:
        group.index.purge(number)
    return EraseAnswer(group.last_seq, group.last_seq)


def erasures(view: IndexView, journal: JournalReader, skip_count: int, count: int) -> tuple[list[ErasureEntry], bool]:
    """Return `count` erasures behind the latest `skip_count`, the latest first, and whether there are more."""
    seqs = [int(seq) for seq in (view.setting("erasures") or "").split()][::-1]
    unfinished = set((view.setting("erasing") or "").split())
    found = [
        ErasureEntry(event.seq, event.at_us, event.cause, event.fact, str(event.seq) not in unfinished)
        for event in _events(journal, seqs[skip_count : skip_count + count])
        if isinstance(event.fact, ev.SubjectErased)
    ]
    return found, skip_count + count < len(seqs)


class Eraser:
    """Purges derived copies of erased values, between writes; idempotent, so a killed purge is simply done again."""

    def __init__(self, directory: DataDirectory, journal: Journal, index: Index, relink: RelinkControl) -> None:
        """Take up what is unfinished at the next step."""
        self._directory = directory
        self._journal = journal
        self._index = index
        self._relink = relink
        self._renewal: Renewal | None = None
        self._seqs: tuple[int, ...] = ()
        """Of the erasures that the renewal is for; later ones need another."""
        self._not_before_s = 0.0

    def step(self) -> None:
        """Take the open erasures one step further, if nothing is in the way: the end of a commit or of a reader."""
        if self._renewal is None:
            self._begin()
        elif self._renewal.has_failed:
            self._renewal.close()
            self._renewal = None
            self._not_before_s = time.monotonic() + _RETRY_S
        elif not (self._renewal.is_running or self._relink.is_committing) and self._journal.empty_wal():
            renewal, self._renewal = self._renewal, None
            self._finish(renewal)

    def close(self) -> None:
        """End the process of a renewal; the next start begins it again."""
        if self._renewal is not None:
            self._renewal.close()

    def _begin(self) -> None:
        with self._index.read() as view:
            self._seqs = tuple(int(seq) for seq in (view.setting("erasing") or "").split())
        # What a commit writes meanwhile would have to be folded twice.
        if not self._seqs or self._relink.is_committing or time.monotonic() < self._not_before_s:
            return
        needed = self._index.sizes().used_bytes + WRITE_FREE_DISK_BYTES_AGAIN
        if self._directory.generations.free_bytes() < needed:
            self._not_before_s = time.monotonic() + _RETRY_S
            _log.error("erasures_wait", cause=f"no room: {needed >> 20} MiB are needed", next_try_s=_RETRY_S)
            return
        self._renewal = Renewal.start(self._directory)

    def _finish(self, renewal: Renewal) -> None:
        started_s = time.monotonic()
        facts = [event.fact for event in _events(self._journal, self._seqs)]
        numbers = {number for fact in facts if isinstance(fact, ev.SubjectErased) for number in fact.numbers}
        renewal.take_over(self._index, self._journal)
        # After it, because whoever copied the index before has copied what lay in its free pages.
        self._relink.discard_values(numbers)
        for scratch in self._directory.scratch():
            shutil.rmtree(scratch, ignore_errors=True)
        self._directory.generations.drop_checkpoints()
        with self._index.write() as txn:
            group = Group(self._journal.begin(time.time_ns() // 1000), txn, {})
            group.add(_FINISH, ev.ErasureFinished(self._seqs))
            self._journal.commit(group.batch)
        _log.info("erasures_finished", count=len(self._seqs), seconds=round(time.monotonic() - started_s, 2))


def _events(journal: JournalReader, seqs: tuple[int, ...] | list[int]) -> Iterator[ev.Event]:
    for seq in seqs:
        yield from journal.events(seq - 1, seq)


def _exports_of(view: IndexView, subject: Subject, exports: list[ExportEntry]) -> Iterator[ExportEntry]:
    entries = [entry for number in subject.numbers if (entry := view.record(number)) is not None]
    registries = {entry.registry for entry in entries}
    kinds: set[EntityKind] = {entry.kind for entry in entries} | {kind_of(each) for each in subject.golden_ids}
    minted = [golden.minted_seq for each in subject.golden_ids if (golden := view.golden(each)) is not None]
    since = min(minted, default=0)
    for export in exports:
        may_hold = export.seq >= since or export.is_pending_included
        # A golden record was exported with the values of all its records, whichever registry it was chosen by.
        is_whole = not export.registries or export.kind == "golden-records"
        is_of_registry = is_whole or registries & set(export.registries)
        is_of_kind = not export.entity_kinds or {kind.value for kind in kinds} & set(export.entity_kinds)
        if may_hold and is_of_registry and is_of_kind:
            yield export
