"""A plan being committed in the writer's transactions: each item whole or not at all, and only if it still holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import RecordNumber
from mdm.domain.rules import regroup, reversal
from mdm.domain.state import pair_of
from mdm.limits import RELINK_DROPPED_LISTED_MAX, RELINK_EXAMPLE_RECORDS_MAX
from mdm.resolve.group import Group
from mdm.resolve.matcher import features_of
from mdm.resolve.relink_runs import (
    PLAN_FILE,
    Component,
    PlanItem,
    PlanReader,
    QuestionChanges,
    Restored,
    RunState,
)
from mdm.resolve.upsert import resolve_stored
from mdm.store.journal import artefact_digest


class Commit:
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
        # A reversal decides nothing: it gives back what was.
        self._deciding = {
            kind: msgspec.structs.replace(
                cause, model=artefact_digest(body), epoch=artefact_digest(header.epochs[kind])
            )
            for kind, body in header.models.items()
            if not header.reverts
        }

    def cause_of(self, group: Group, number: RecordNumber) -> ev.Cause:
        """Return the cause of a decision about a record: it names the model and epoch that the plan was made with."""
        return self._deciding.get(group.record(number).kind, self.cause)

    def note_dropped(self, dropped: Sequence[tuple[RecordNumber, ...]]) -> None:
        """Remember what was dropped, as far as a report lists it."""
        listed = (*self.state.dropped, *dropped)[:RELINK_DROPPED_LISTED_MAX]
        self.state = msgspec.structs.replace(self.state, dropped=listed)


def commit_item(group: Group, commit: Commit, item: PlanItem) -> bool:
    """Draft one item; returns whether it holds: False if something in it changed since the plan was made."""
    run_id = commit.state.run_id
    match item:
        case Component():
            if not _still_holds(group, item, commit.plan.header.read_seq):
                for pending in item.pending:
                    entry = group.index.record(pending.number)
                    if entry is not None and entry.golden_id is None and not entry.is_deleted:
                        resolve_stored(group, pending.number, commit.cause)
                leave_to_steward(group, commit.cause_of(group, item.clusters[0][0]), item, run_id)
                return False
            facts = regroup(
                group.index,
                item.clusters,
                group.mint,
                reason=ev.RegroupReason.RELINK,
                left=item.left,
                right=item.right,
                match_weight_bits=item.match_weight_bits,
                run_id=run_id,
            )
            cause = commit.cause_of(group, item.clusters[0][0])
            for fact in facts:
                group.add(cause, fact)
            for pending in item.pending:
                group.index.put_match_state(pending.number, pending.features, pending.posting_keys)
        case Restored():
            undone = reversal(group.index, item.left_as, seq=item.seq, run_id=run_id)
            for fact in undone or ():
                group.add(commit.cause, fact)
            return undone is not None
        case QuestionChanges():
            _change_questions(group, commit, item)
    return True


def leave_to_steward(group: Group, cause: ev.Cause, dropped: Component, run_id: str) -> None:
    """Ask about the edge that a dropped component hung on, if its two records still are likely to be of one bearer."""
    left, right = dropped.left, dropped.right
    if left is None or right is None or not _may_be_asked(group, *pair_of(left, right)):
        return
    engine = group.engines[group.record(left).kind]
    one, other = (features_of(group.index, engine.kind, number) for number in (left, right))
    if one is None or other is None:
        return
    bits = engine.scorer.score(one, [other])[0].match_weight_bits
    if bits >= engine.model.thresholds.review_bits:
        reason = ev.MatchReason.RELINK_LEFTOVER
        group.add(cause, ev.PotentialMatchOpened(*pair_of(left, right), reason, bits, "component_changed", run_id))


def numbers_of(item: PlanItem) -> tuple[RecordNumber, ...]:
    """Return the records of an item, as many as a report lists."""
    match item:
        case Component():
            numbers = [number for cluster in item.clusters for number in cluster]
        case Restored():
            numbers = [number for restored in item.left_as.groups for number in restored.numbers]
        case QuestionChanges():
            numbers = []
    return tuple(numbers[:RELINK_EXAMPLE_RECORDS_MAX])


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


def _change_questions(group: Group, commit: Commit, item: QuestionChanges) -> None:
    read_seq, run_id = commit.plan.header.read_seq, commit.state.run_id
    for pair in item.closed:
        standing = group.index.potential_match(pair_of(*pair))
        # A question asked since the snapshot rests on newer values than the plan.
        if standing is not None and standing.opened_seq <= read_seq:
            left, right = pair_of(*pair)
            was = (standing.reason, standing.match_weight_bits, standing.detail)
            group.add(commit.cause_of(group, left), ev.PotentialMatchClosed(left, right, run_id, *was))
    for question in item.opened:
        left, right = pair_of(question.left, question.right)
        if _may_be_asked(group, left, right):
            asked = (question.reason, question.match_weight_bits, question.detail)
            group.add(commit.cause_of(group, left), ev.PotentialMatchOpened(left, right, *asked, run_id))


def _may_be_asked(group: Group, left: RecordNumber, right: RecordNumber) -> bool:
    left_id, right_id = group.golden_id_of(left), group.golden_id_of(right)
    is_answered = group.index.judgement((left, right)) is not None
    stands = group.index.potential_match((left, right)) is not None
    return not is_answered and not stands and left_id is not None and right_id is not None and left_id != right_id
