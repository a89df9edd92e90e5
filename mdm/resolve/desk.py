"""The stewards' desk in the writer: each command has a transaction of its own, and a dry run is one that is dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import msgspec

from mdm.config import Configuration
from mdm.domain import events as ev
from mdm.domain.judgements import members_of
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.reviews import QueueState, Review, ReviewKind
from mdm.domain.state import IdentityView, pair_of
from mdm.errors import (
    ActImpossibleError,
    InvalidInputError,
    JudgementContradictedError,
    ReviewClaimedError,
    SecondPersonRequiredError,
    StaleDecisionError,
    UnknownReviewError,
)
from mdm.limits import PROPOSAL_S, REVIEW_PARKED_S, REVIEWS_EXAMINED_MAX
from mdm.resolve import commands as asked
from mdm.resolve.changes import golden_id_changes
from mdm.resolve.commands import (
    ClaimReview,
    RecordGroup,
    ReleaseReview,
    ResolveReview,
    ReviewFilter,
    Steward,
    StewardAnswer,
    StewardCommand,
)
from mdm.resolve.etags import Subject, etag_of, parts_of_act, parts_of_review, require_unchanged
from mdm.resolve.group import Group
from mdm.resolve.reasons import seal_reason
from mdm.resolve.stewardship import Act, contradicted_judgements, standing_judge
from mdm.store.index import Index
from mdm.store.journal import Journal
from mdm.store.view import IndexView

Transact = Callable[[], AbstractContextManager[Group]]
_US = 1_000_000
_ANSWERS: dict[ReviewKind, frozenset[ev.ReviewAnswer]] = {
    **dict.fromkeys(ReviewKind, frozenset({ev.ReviewAnswer.SAME, ev.ReviewAnswer.DIFFERENT, ev.ReviewAnswer.UNSURE})),
    ReviewKind.OVERSIZED: frozenset({ev.ReviewAnswer.ACCEPT, ev.ReviewAnswer.UNSURE}),
    ReviewKind.PROPOSAL: frozenset({ev.ReviewAnswer.APPROVE, ev.ReviewAnswer.REJECT}),
}


class _DroppedError(Exception):
    """Ends a transaction whose effect is wanted as an answer only."""

    def __init__(self, answer: StewardAnswer) -> None:
        super().__init__()
        self.answer = answer


class _SecondPersonNeededError(Exception):
    """Ends a transaction that one person alone may not make."""

    def __init__(self, member_count: int) -> None:
        super().__init__()
        self.member_count = member_count


class Desk:
    """Carries out stewards' commands on the writer's thread."""

    def __init__(self, journal: Journal, index: Index, configuration: Configuration) -> None:
        """Read the stores; write through the transactions that commands are given."""
        self._journal = journal
        self._index = index
        self._configuration = configuration

    def execute(self, command: StewardCommand, transact: Transact) -> StewardAnswer:
        """Carry out a command and return its answer, durable unless it was a dry run.

        Raises:
            MdmError: It was refused; nothing was written.
            StoreError: Journal or index failed.
        """
        try:
            with transact() as group:
                answer = self._drafted(group, command)
                self._remember(group, command, answer)
                return answer
        except _DroppedError as dropped:
            return dropped.answer
        except _SecondPersonNeededError as needed:
            member_count = needed.member_count
        if not isinstance(command, Steward | ResolveReview):
            raise TypeError(type(command).__name__)
        if command.is_dry_run:
            return StewardAnswer(self._journal.last_seq, is_proposed=True)
        with transact() as group:
            answer = self._proposed(group, command, member_count)
            self._remember(group, command, answer)
            return answer

    def _remember(self, group: Group, command: StewardCommand, answer: StewardAnswer) -> None:
        request = command.request
        if request.request_id:
            content = self._journal.fingerprint(request.content_hash)
            guard = (request.cause.actor, type(command).__name__, request.request_id)
            group.batch.answer(*guard, content, msgspec.msgpack.encode(answer))

    def _drafted(self, group: Group, command: StewardCommand) -> StewardAnswer:
        match command:
            case Steward():
                subject: Subject = (
                    standing_judge(group.index, self._journal, command.act.judgement)
                    if isinstance(command.act, asked.WithdrawJudgement)
                    else command.act
                )
                parts = parts_of_act(group.index, subject)
                require_unchanged(group.index, command.etag, parts)
                return self._carried_out(group, command, command.act, etag_of(group.index, parts))
            case ClaimReview():
                return self._claim(group, command)
            case ReleaseReview():
                return self._release(group, command)
            case ResolveReview():
                return self._resolve(group, command)

    def _carried_out(
        self, group: Group, command: Steward | ResolveReview, act: asked.Act, etag: str, *, is_approved: bool = False
    ) -> StewardAnswer:
        doing = Act(group, self._journal, command.request.cause, command.reason)
        try:
            doing.carry_out(act)
        except JudgementContradictedError as error:
            if command.is_dry_run:
                found = contradicted_judgements(error)
                raise _DroppedError(StewardAnswer(group.last_seq, contradicted=found, etag=etag)) from error
            raise
        made_count = self._joined_count(doing.facts) if isinstance(act, ev.Joining) else 0
        needs_second = made_count >= self._configuration.stewardship.two_person_records_min and not is_approved
        if needs_second and not command.is_dry_run:
            raise _SecondPersonNeededError(made_count)
        answer = self._effect(group, doing, etag)
        if command.is_dry_run:
            raise _DroppedError(msgspec.structs.replace(answer, is_proposed=needs_second))
        return answer

    def _joined_count(self, facts: Iterable[ev.Fact]) -> int:
        """Return the members of the largest golden record that these facts joined from several."""
        largest = 0
        for fact in facts:
            if isinstance(fact, ev.RecordsRegrouped):
                home = {number: former.golden_id for former in fact.former for number in former.numbers}
                joined = [group for group in fact.groups if len({home.get(number) for number in group.numbers}) > 1]
                largest = max([largest, *(len(group.numbers) for group in joined)])
        return largest

    def _effect(self, group: Group, doing: Act, etag: str) -> StewardAnswer:
        facts = doing.facts
        touched: dict[RecordNumber, None] = {}
        made, withdrawn, first = [], [], 0
        for offset, fact in enumerate(facts):
            match fact:
                case ev.RecordsRegrouped():
                    touched.update(dict.fromkeys(number for each in fact.groups for number in each.numbers))
                case ev.RecordResolved() | ev.ValuePinned() | ev.ValueUnpinned():
                    touched[fact.number] = None
                case ev.JudgementMade():
                    made.append(ev.Judge(fact.left, fact.right, fact.verdict))
                    first = first or group.batch.events[doing.first + offset].seq
                case ev.JudgementWithdrawn():
                    verdict = _verdict_before(self._index, fact)
                    withdrawn.append(ev.Judge(fact.left, fact.right, verdict))
                case _:
                    pass
        with self._index.read() as before:
            was = _groups(before, touched)
            now = _groups(group.index, (number for each in was for number in each.numbers))
            now = [
                msgspec.structs.replace(each, is_minted=before.golden(each.golden_id) is None)
                for each in _groups(group.index, (*touched, *(number for each in now for number in each.numbers)))
            ]
        return StewardAnswer(
            group.last_seq,
            golden_id_changes(group.changes[doing.first_change :]),
            tuple(was),
            tuple(now),
            tuple(made),
            tuple(withdrawn),
            etag=etag,
            judgement=first,
        )

    def _proposed(self, group: Group, command: Steward | ResolveReview, member_count: int) -> StewardAnswer:
        """Draft a proposal of an act, or return the one that stands about the same two records."""
        _require_actor(command.request.cause)
        act: asked.Act = (
            command.act if isinstance(command, Steward) else _joining_of(_standing(group, command.review), command)
        )
        if not isinstance(act, ev.Joining):
            raise TypeError(type(act).__name__)
        left, right = _ends(group.index, act)
        now_us = group.batch.at_us
        for standing in group.record(left).proposals:
            review = group.index.review(standing)
            if review is not None and right in {review.left, review.right}:
                if now_us < review.expires_at_us:
                    return StewardAnswer(group.last_seq, review=standing, is_proposed=True)
                group.add(command.request.cause, ev.ReviewSettled(standing, ev.ReviewAnswer.REJECT))
        reason_ids = seal_reason(group, (left, right), command.reason)
        expires_at_us = now_us + PROPOSAL_S * _US
        fact = ev.MergeProposed(act, left, right, member_count, expires_at_us, reason_ids)
        group.add(command.request.cause, fact)
        return StewardAnswer(group.last_seq, review=group.last_seq, is_proposed=True)

    def _claim(self, group: Group, command: ClaimReview) -> StewardAnswer:
        _require_actor(command.request.cause)
        now_us, actor = group.batch.at_us, command.request.cause.actor
        if command.review:
            review_id = command.review
            _free(_standing(group, review_id), actor, now_us)
        else:
            review_id = next_review(group.index, command.wanted, now_us, examined_max=REVIEWS_EXAMINED_MAX) or 0
        if not review_id:
            return StewardAnswer(group.last_seq)
        group.add(command.request.cause, ev.ReviewClaimed(review_id, now_us + command.lease_s * _US))
        return self._about(group, review_id)

    def _release(self, group: Group, command: ReleaseReview) -> StewardAnswer:
        review, cause = _standing(group, command.review), command.request.cause
        _free(review, cause.actor, group.batch.at_us)
        if command.is_escalated:
            if review.kind is ReviewKind.PROPOSAL:
                raise ActImpossibleError("a proposal waits for a second person already")
            reason_ids = seal_reason(group, _subjects(review), command.reason)
            group.add(cause, ev.ReviewEscalated(command.review, reason_ids))
        elif review.claimed_by or review.parked_until_us or review.is_escalated:
            group.add(cause, ev.ReviewReleased(command.review))
        return self._about(group, command.review)

    def _about(self, group: Group, review_id: int) -> StewardAnswer:
        etag = etag_of(group.index, parts_of_review(group.index, _standing(group, review_id)))
        return StewardAnswer(group.last_seq, etag=etag, review=review_id)

    def _resolve(self, group: Group, command: ResolveReview) -> StewardAnswer:
        review, cause = _standing(group, command.review), command.request.cause
        _free(review, cause.actor, group.batch.at_us)
        parts = parts_of_review(group.index, review)
        require_unchanged(group.index, command.etag, parts)
        if command.answer not in _ANSWERS[review.kind]:
            allowed = ", ".join(sorted(_ANSWERS[review.kind]))
            raise ActImpossibleError(f"a review of kind {review.kind} is answered by one of: {allowed}")
        etag = etag_of(group.index, parts)
        match command.answer:
            case ev.ReviewAnswer.SAME | ev.ReviewAnswer.DIFFERENT:
                return self._carried_out(group, command, _joining_of(review, command), etag)
            case ev.ReviewAnswer.APPROVE:
                return self._approve(group, command, review, etag)
            case ev.ReviewAnswer.UNSURE:
                until_us = group.batch.at_us + REVIEW_PARKED_S * _US
                reason_ids = seal_reason(group, _subjects(review), command.reason)
                group.add(cause, ev.ReviewParked(command.review, until_us, reason_ids))
            case ev.ReviewAnswer.ACCEPT | ev.ReviewAnswer.REJECT:
                reason_ids = seal_reason(group, _subjects(review), command.reason)
                group.add(cause, ev.ReviewSettled(command.review, command.answer, reason_ids))
        answer = StewardAnswer(group.last_seq, etag=etag, review=command.review)
        if command.is_dry_run:
            raise _DroppedError(answer)
        return answer

    def _approve(self, group: Group, command: ResolveReview, review: Review, etag: str) -> StewardAnswer:
        actor = command.request.cause.actor
        _require_actor(command.request.cause)
        if actor == review.proposed_by:
            raise SecondPersonRequiredError("somebody else than whoever proposed it has to approve")
        if group.batch.at_us >= review.expires_at_us or review.joining is None:
            raise StaleDecisionError("the proposal has lapsed; propose it again")
        reason_ids = seal_reason(group, _subjects(review), command.reason)
        group.add(command.request.cause, ev.ReviewSettled(command.review, command.answer, reason_ids))
        return self._carried_out(group, command, review.joining, etag, is_approved=True)


def _require_actor(cause: ev.Cause) -> None:
    if not cause.actor:
        raise InvalidInputError("caller.actor", "must name who works on it")


def _standing(group: Group, review: int) -> Review:
    entry = group.index.review(review)
    if entry is None:
        raise UnknownReviewError("no review of this id is open: it was answered, or its cause is gone")
    return entry


def _free(review: Review, actor: str, now_us: int) -> None:
    if review.is_claimed(now_us) and review.claimed_by != actor:
        raise ReviewClaimedError("somebody else works on the review; their claim runs out by itself")


def _subjects(review: Review) -> tuple[RecordNumber, ...]:
    return (review.left,) if review.right is None else (review.left, review.right)


def _joining_of(review: Review, command: ResolveReview) -> ev.Joining:
    if review.right is None:
        raise ActImpossibleError("the review is about one golden record")
    verdict = ev.Verdict.SAME if command.answer is ev.ReviewAnswer.SAME else ev.Verdict.DIFFERENT
    return ev.Judge(*pair_of(review.left, review.right), verdict)


def _ends(state: IdentityView, act: ev.Joining) -> tuple[RecordNumber, RecordNumber]:
    match act:
        case ev.Judge():
            return pair_of(act.left, act.right)
        case ev.Merge():
            return pair_of(_anchor(state, act.left), _anchor(state, act.right))
        case ev.Move():
            return pair_of(act.number, _anchor(state, act.target))


def _anchor(state: IdentityView, golden_id: GoldenId) -> RecordNumber:
    golden = state.golden(golden_id)
    if golden is not None and golden.survivor is not None:
        golden = state.golden(golden.survivor)
    if golden is None or golden.anchor is None:
        raise ActImpossibleError("the golden ID is retired")
    return golden.anchor


def _groups(state: IdentityView, numbers: Iterable[RecordNumber]) -> list[RecordGroup]:
    entries = (state.record(number) for number in numbers)
    golden_ids = dict.fromkeys(entry.golden_id for entry in entries if entry is not None and entry.golden_id)
    return [
        RecordGroup(golden_id, is_minted=False, numbers=members_of(state.golden(golden_id))) for golden_id in golden_ids
    ]


def _verdict_before(index: Index, fact: ev.JudgementWithdrawn) -> ev.Verdict:
    with index.read() as before:
        return before.judgement((fact.left, fact.right)) or ev.Verdict.SAME


def passes(state: IdentityView, review: Review, wanted: ReviewFilter) -> bool:
    """Return whether a review is one of those meant."""
    if wanted.kinds and review.kind not in wanted.kinds:
        return False
    if review.priority < wanted.priority_min:
        return False
    entries = [state.record(number) for number in _subjects(review)]
    kinds = {entry.kind for entry in entries if entry is not None}
    registries = {entry.registry for entry in entries if entry is not None}
    is_kind = wanted.entity_kind is None or wanted.entity_kind in kinds
    return is_kind and (not wanted.registry or wanted.registry in registries)


def next_review(state: IndexView, wanted: ReviewFilter, now_us: int, *, examined_max: int | None) -> int | None:
    """Return the most urgent review that nobody works on: first those whose rest is over, then by priority."""
    examined = 0
    for queue in (QueueState.PARKED, QueueState.OPEN):
        for place, review_id in state.iter_review_queue(queue):
            if queue is QueueState.PARKED and place > now_us:
                break
            examined += 1
            if examined_max is not None and examined > examined_max:
                return None
            review = state.review(review_id)
            is_free = review is not None and not review.is_claimed(now_us) and review_id not in wanted.skipped
            if review is not None and is_free and passes(state, review, wanted):
                return review_id
    return None
