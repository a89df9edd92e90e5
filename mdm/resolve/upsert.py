"""Storing, resolving and withdrawing one record: commands become facts.

Everything here runs inside the writer's transaction: each fact is folded into the index as it is drafted, so the
records of one group see each other, and journal and index are committed together behind it.
"""

from __future__ import annotations

import msgspec

from mdm.domain import events as ev
from mdm.domain.decision import Decision
from mdm.domain.judgements import bequeathed
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.records import SourceRecord
from mdm.domain.rules import departure, regroup
from mdm.domain.state import RecordEntry, pair_of
from mdm.errors import UnknownGoldenIdError
from mdm.linkage.features import FieldIssue
from mdm.resolve import relation_state
from mdm.resolve.bearer import is_another_bearer
from mdm.resolve.changes import golden_id_changes
from mdm.resolve.commands import ClerkChoice, Delete, ScoredCandidate, Upsert, WriteAnswer, WriteOutcome
from mdm.resolve.engines import MATCH_STATE_VERSIONS, Engine
from mdm.resolve.fixed_values import hand_over
from mdm.resolve.group import Group
from mdm.resolve.matcher import Consideration, Description, consider, describe
from mdm.resolve.payloads import decode_payload, encode_payload, ordering_us, updated_at_us
from mdm.resolve.recall import Recall
from mdm.resolve.renames import with_former_names


class Stored(msgspec.Struct):
    """A record in the hands of the writer, its values stored."""

    number: RecordNumber
    engine: Engine
    cause: ev.Cause
    description: Description
    is_new_bearer: bool
    proposal_scores: dict[RecordNumber, ScoredCandidate]


def upsert(group: Group, command: Upsert) -> WriteAnswer:
    """Store the record and resolve it unless it is deferred.

    A record that is resolved already is never deferred: a source key can change its bearer, and that must not wait.
    """
    number = group.index.number_of(command.record.key)
    entry = group.index.record(number) if number is not None else None
    engine = group.engines[command.record.key.kind]
    if number is not None:
        command = _keeping_names(group, engine, number, command)
    record = command.record
    payload = encode_payload(record)
    stated_us = ordering_us(record.updated_at, group.batch.at_us)
    if not command.allow_older and _is_row_older(group, record.key, command.other_kind, stated_us):
        return WriteAnswer(WriteOutcome.STALE, group.last_seq, entry.golden_id if entry is not None else None)
    is_deferred = command.is_deferred and (entry is None or entry.golden_id is None)
    if entry is not None and number is not None:
        unwritten = unwritten_outcome(
            entry,
            group.index.raw(number),
            payload,
            stated_us,
            allow_older=command.allow_older,
            is_asked_for=command.choice is not None or (entry.golden_id is None and not is_deferred),
        )
        if unwritten is not None:
            return _answer(group, number, unwritten)
    number = number if number is not None else RecordNumber(group.index.last_number() + 1)
    cause = engine.stamped(command.request.cause)
    first_change = len(group.changes)

    if is_deferred:
        _store(group, command, number, payload, stated_us, cause, is_new_bearer=False)
        return _answer(group, number, WriteOutcome.PENDING, _ahead(record, stated_us))

    if command.choice is not None:
        _check_choice(group, command.choice)
    description = _description(command)
    is_new_bearer = is_another_bearer(group.index, engine, number, description.features)
    if is_new_bearer and entry is not None:
        # What a steward said was said of the former bearer; what follows from it for others stays, and was said of them
        # when it was deleted if it was: what has been withdrawn since would be said anew.
        for fact in () if entry.is_deleted else bequeathed(group.index, number):
            group.add(cause, fact)
        hand_over(group, cause, number)
        for other in entry.judged:
            standing = group.index.standing(pair_of(number, other))
            made_seq = standing.seq if standing is not None else 0
            group.add(cause, ev.JudgementWithdrawn(*pair_of(number, other), made_seq=made_seq))
    _store(group, command, number, payload, stated_us, cause, is_new_bearer=is_new_bearer)
    stored = Stored(number, engine, cause, description, is_new_bearer, _scores(group, command))
    if command.choice is not None:
        _note_choice(group, stored, command.choice)
    decision = resolve(group, stored)
    group.index.put_match_state(number, description.encoded, description.keys)
    issues = (*description.issues, *_ahead(record, stated_us))
    answer = _answer(group, number, WriteOutcome(decision.outcome.value), issues)
    if entry is not None and entry.golden_id == answer.golden_id:
        answer = msgspec.structs.replace(answer, outcome=WriteOutcome.UPDATED)
    changes = golden_id_changes(group.changes[first_change:])
    return msgspec.structs.replace(
        answer, changes=changes, is_new_bearer=is_new_bearer, match_weight_bits=decision.match_weight_bits
    )


def _keeping_names(group: Group, engine: Engine, number: RecordNumber, command: Upsert) -> Upsert:
    record = with_former_names(group.index, engine, number, command.record)
    # The proposal was made without the names.
    return command if record is command.record else msgspec.structs.replace(command, record=record, proposal=None)


def unwritten_outcome(
    entry: RecordEntry,
    stored: bytes | None,
    payload: bytes,
    stated_us: int | None,
    *,
    allow_older: bool,
    is_asked_for: bool | None = None,
) -> WriteOutcome | None:
    """Return why the values of a stored or withdrawn record are not written, None if they are.

    Args:
        entry: Of the record.
        stored: Its payload.
        payload: The new one.
        stated_us: The source's time of the new one.
        allow_older: Whether an older version may replace a newer one.
        is_asked_for: Whether there is something to do even without a change; by default if it is pending.
    """
    if stored == payload and not entry.is_deleted:
        has_work = entry.golden_id is None if is_asked_for is None else is_asked_for
        return None if has_work else WriteOutcome.UNCHANGED
    return WriteOutcome.STALE if is_older(stated_us, entry) and not allow_older else None


def _is_row_older(group: Group, key: SourceKey, other_kind: EntityKind | None, stated_us: int | None) -> bool:
    """Return whether the other record of the same row is stored newer, so that this one must not come of it either."""
    other = SourceKey(key.registry, other_kind, key.record_id) if other_kind is not None else None
    number = group.index.number_of(other) if other is not None else None
    entry = group.index.record(number) if number is not None else None
    # One that is withdrawn holds nobody up: a row may have withdrawn it alone.
    return entry is not None and not entry.is_deleted and is_older(stated_us, entry)


def is_older(stated_us: int | None, entry: RecordEntry) -> bool:
    """Return whether a source's time lies before that of the stored version or withdrawal, where both state one."""
    return stated_us is not None and entry.updated_at_us is not None and stated_us < entry.updated_at_us


def delete(group: Group, command: Delete) -> WriteAnswer:
    """Withdraw the record, unless it is newer: it leaves its golden record, an emptied ID is retired."""
    number = group.index.number_of(command.key)
    entry = group.index.record(number) if number is not None else None
    if number is None or entry is None or entry.is_deleted:
        return WriteAnswer(WriteOutcome.ABSENT, group.last_seq)
    stated_us = ordering_us(command.updated_at, group.batch.at_us)
    if is_older(stated_us, entry) and not command.allow_older:
        return WriteAnswer(WriteOutcome.STALE, group.last_seq, entry.golden_id)
    first_change = len(group.changes)
    withdraw(group, number, group.engines[command.key.kind].stamped(command.request.cause), stated_us)
    changes = golden_id_changes(group.changes[first_change:])
    return WriteAnswer(WriteOutcome.DELETED, group.last_seq, None, changes)


def withdraw(
    group: Group, number: RecordNumber, cause: ev.Cause, stated_us: int | None, *, restored_seq: int = 0
) -> None:
    """Draft the end of a live record at the source's time of it; a revert names the withdrawal that it gives back."""
    entry = group.record(number)
    for other in entry.potential_matches:
        _close_question(group, cause, number, other)
    hand_over(group, cause, number)
    for fact in (*bequeathed(group.index, number), *departure(group.index, number)):
        group.add(cause, fact)
    group.add(cause, ev.RecordDeleted(number, entry.since_seq, restored_seq, stated_us))
    group.index.drop_match_state(number)
    relation_state.forget(group.index, number)


def resolve(group: Group, stored: Stored) -> Decision:
    """Decide for a stored record and draft what follows."""
    index, number = group.index, stored.number
    considered = consider(
        Recall(index, stored.engine.kind),
        stored.engine,
        stored.description,
        number,
        is_new_bearer=stored.is_new_bearer,
        known=stored.proposal_scores,
    )
    _settle(group, stored, considered)
    _ask(group, stored, considered.decision)
    return considered.decision


def resolve_stored(group: Group, number: RecordNumber, cause: ev.Cause) -> None:
    """Resolve a record from its stored values, as if it had just been written."""
    entry, payload = group.record(number), group.index.raw(number)
    if payload is None:
        return
    engine = group.engines[entry.kind]
    description = describe(decode_payload(payload))
    stored = Stored(number, engine, engine.stamped(cause), description, is_new_bearer=False, proposal_scores={})
    resolve(group, stored)
    group.index.put_match_state(number, description.encoded, description.keys)


def _settle(group: Group, stored: Stored, considered: Consideration) -> None:
    index, number, decision = group.index, stored.number, considered.decision
    held_by, has_company, join = considered.held_by, considered.has_company, decision.join
    entry = group.record(number)
    if not join:
        if held_by is None or has_company:
            _leave(group, stored, entry)
            minted = group.mint(entry.kind)
            group.add(stored.cause, _resolved(group, number, minted, decision, is_minted=True))
        return
    if held_by is None or (has_company and held_by not in join):
        _leave(group, stored, entry)
        group.add(stored.cause, _resolved(group, number, join[0], decision, is_minted=False))
    fragments = dict.fromkeys((*join, group.golden_id_of(number)))
    if len(fragments) > 1:
        members: list[RecordNumber] = []
        for golden_id in fragments:
            golden = index.golden(golden_id) if golden_id else None
            members.extend(golden.members if golden else ())
        facts = regroup(
            index,
            [members],
            group.mint,
            reason=ev.RegroupReason.FRAGMENTS,
            left=number,
            right=decision.partner,
            match_weight_bits=decision.match_weight_bits,
        )
        for fact in facts:
            group.add(stored.cause, fact)


def _resolved(
    group: Group, number: RecordNumber, golden_id: GoldenId, decision: Decision, *, is_minted: bool
) -> ev.RecordResolved:
    answered = tuple(
        ev.PotentialMatchOpened(*pair, match.reason, match.match_weight_bits, match.detail)
        for other in group.record(number).potential_matches
        if group.golden_id_of(other) == golden_id
        and (match := group.index.potential_match(pair := pair_of(number, other))) is not None
    )
    return ev.RecordResolved(
        number, golden_id, is_minted, decision.outcome, decision.partner, decision.match_weight_bits, answered
    )


def _leave(group: Group, stored: Stored, entry: RecordEntry) -> None:
    if entry.golden_id is not None:
        hand_over(group, stored.cause, stored.number)
        for fact in departure(group.index, stored.number):
            group.add(stored.cause, fact)


def _ask(group: Group, stored: Stored, decision: Decision) -> None:
    """Open the questions that the decision leaves, and close those whose cause is gone."""
    number = stored.number
    entry = group.record(number)
    asked = {question.number: question for question in decision.questions}
    for other in entry.potential_matches:
        if other not in asked:
            _close_question(group, stored.cause, number, other)
    for other, question in asked.items():
        pair = pair_of(number, other)
        known = group.index.potential_match(pair)
        stands = known is not None and (known.reason, known.match_weight_bits) == (
            question.reason,
            question.match_weight_bits,
        )
        if not stands and group.golden_id_of(other) != group.golden_id_of(number):
            former = (known.reason, known.match_weight_bits, known.detail) if known is not None else None
            left, right = pair
            fact = ev.PotentialMatchOpened(
                left, right, question.reason, question.match_weight_bits, question.detail, former=former
            )
            group.add(stored.cause, fact)


def _close_question(group: Group, cause: ev.Cause, number: RecordNumber, other: RecordNumber) -> None:
    pair = pair_of(number, other)
    asked = group.index.potential_match(pair)
    if asked is not None:
        fact = ev.PotentialMatchClosed(*pair, "", asked.reason, asked.match_weight_bits, asked.detail)
        group.add(cause, fact)


def _ahead(record: SourceRecord, stated_us: int | None) -> tuple[FieldIssue, ...]:
    """Return what is wrong with a time that is stated and does not count."""
    is_ahead = stated_us is None and updated_at_us(record.updated_at) is not None
    return (FieldIssue("updated_at", "lies in the future"),) if is_ahead else ()


def _store(
    group: Group,
    command: Upsert,
    number: RecordNumber,
    payload: bytes,
    stated_us: int | None,
    cause: ev.Cause,
    *,
    is_new_bearer: bool,
) -> None:
    key = command.record.key
    entry = group.index.record(number)
    payload_id, payload_hash = group.seal(number, payload)
    # Key and values first: the fold puts the record into the crosswalk under its key.
    group.index.put_raw(number, key, payload)
    fact = ev.RecordUpserted(
        number,
        key.registry,
        key.kind,
        payload_id,
        payload_hash,
        stated_us,
        is_new_bearer,
        is_returning=entry is not None and entry.is_deleted,
        former_payload_id=entry.payload_id if entry is not None else 0,
        former_seq=entry.since_seq if entry is not None else 0,
    )
    group.add(cause, fact)
    relation_state.note_version(group.index, fact, relation_state.stated_by(command.record), group.batch.at_us)


def _description(command: Upsert) -> Description:
    proposal = command.proposal
    if proposal is None or proposal.versions != MATCH_STATE_VERSIONS:
        return describe(command.record)
    return Description.of_proposal(command.record.key.kind, proposal)


def _scores(group: Group, command: Upsert) -> dict[RecordNumber, ScoredCandidate]:
    """Return the proposal's scores that still hold: same engine, and the candidate unchanged since it was read."""
    proposal, engine = command.proposal, group.engines[command.record.key.kind]
    if (
        proposal is None
        or proposal.versions != MATCH_STATE_VERSIONS
        or (proposal.model, proposal.epoch) != (engine.model_digest, engine.epoch_digest)
    ):
        return {}
    held = {}
    for candidate in proposal.candidates:
        entry = group.index.record(candidate.number)
        if entry is not None and entry.changed_seq <= proposal.read_seq:
            held[candidate.number] = candidate
    return held


def _check_choice(group: Group, choice: ClerkChoice) -> None:
    for golden_id in filter(None, (choice.chosen, *choice.shown)):
        if group.index.golden(golden_id) is None:
            raise UnknownGoldenIdError("the clerk's choice names a golden ID that was never issued")


def _note_choice(group: Group, stored: Stored, choice: ClerkChoice) -> None:
    def representative(golden_id: GoldenId) -> RecordNumber | None:
        golden = group.index.golden(golden_id)
        if golden is not None and golden.survivor is not None:
            golden = group.index.golden(golden.survivor)
        return golden.anchor if golden else None

    chosen = representative(choice.chosen) if choice.chosen else None
    rejected = {representative(golden_id) for golden_id in choice.shown if golden_id != choice.chosen}
    numbers = tuple(sorted(number for number in rejected if number is not None and number != chosen))
    group.add(stored.cause, ev.ClerkChose(stored.number, chosen, numbers))


def _answer(
    group: Group, number: RecordNumber, outcome: WriteOutcome, issues: tuple[FieldIssue, ...] = ()
) -> WriteAnswer:
    return WriteAnswer(outcome, group.last_seq, group.golden_id_of(number), (), issues)
