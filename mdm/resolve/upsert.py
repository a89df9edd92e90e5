"""Storing, resolving and withdrawing one record: commands become facts.

Everything here runs inside the writer's transaction: each fact is folded into the index as it is drafted, so the
records of one group see each other, and journal and index are committed together behind it.
"""

from __future__ import annotations

import msgspec

from mdm.domain import events as ev
from mdm.domain.decision import Decision
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.rules import departure, regroup
from mdm.domain.state import RecordEntry, pair_of
from mdm.linkage.evidence import veto
from mdm.linkage.features import BusinessFeatures, Features, FieldIssue
from mdm.resolve.changes import golden_id_changes
from mdm.resolve.commands import ClerkChoice, Delete, ScoredCandidate, Upsert, WriteAnswer, WriteOutcome
from mdm.resolve.engines import MATCH_STATE_VERSIONS, Engine
from mdm.resolve.group import Group
from mdm.resolve.matcher import Description, candidates_of, decide_for, describe, evidence_of, features_of, score
from mdm.resolve.payloads import decode_payload, encode_payload, updated_at_us


class _Stored(msgspec.Struct):
    """A record in the hands of the writer."""

    number: RecordNumber
    engine: Engine
    cause: ev.Cause
    description: Description
    is_new_bearer: bool
    proposal_scores: dict[RecordNumber, ScoredCandidate]


def upsert(group: Group, command: Upsert) -> WriteAnswer:
    """Store the record and resolve it unless it is deferred. A record that is resolved already is never deferred:
    a source key can change its bearer, and that must not wait."""
    record = command.record
    number = group.index.number_of(record.key)
    entry = group.index.record(number) if number is not None else None
    payload = encode_payload(record)
    stated_us = updated_at_us(record.updated_at)
    if entry is not None and number is not None and not entry.is_deleted:
        is_deferred = command.is_deferred and entry.golden_id is None
        needs_resolution = entry.golden_id is None and not is_deferred
        if group.index.raw(number) == payload and not needs_resolution and command.choice is None:
            return _answer(group, number, WriteOutcome.UNCHANGED)
        is_older = stated_us is not None and entry.updated_at_us is not None and stated_us < entry.updated_at_us
        if is_older and not command.allow_older:
            return _answer(group, number, WriteOutcome.STALE)
    else:
        is_deferred = command.is_deferred
    number = number if number is not None else RecordNumber(group.index.last_number() + 1)
    engine = group.engines[record.key.kind]
    cause = engine.stamped(command.request.cause)
    first_fact = len(group.drafts)

    if is_deferred:
        _store(group, command, number, payload, stated_us, cause, is_new_bearer=False)
        return _answer(group, number, WriteOutcome.PENDING)

    description = _description(command)
    old = features_of(group.index, record.key.kind, number) if entry and entry.golden_id else None
    is_new_bearer = old is not None and _is_new_bearer(engine, old, description.features)
    _store(group, command, number, payload, stated_us, cause, is_new_bearer=is_new_bearer)
    stored = _Stored(number, engine, cause, description, is_new_bearer, _scores(group, command))
    if command.choice is not None:
        _note_choice(group, stored, command.choice)
    outcome = resolve(group, stored)
    group.index.put_match_state(number, description.encoded, description.keys)
    answer = _answer(group, number, outcome, description.issues)
    was_in = entry.golden_id if entry and entry.golden_id != answer.golden_id else None
    changes = golden_id_changes(group.facts(first_fact), group.index, left=was_in)
    return msgspec.structs.replace(answer, changes=changes, is_new_bearer=is_new_bearer)


def delete(group: Group, command: Delete) -> WriteAnswer:
    """Withdraw the record: it leaves its golden record, an emptied ID is retired."""
    number = group.index.number_of(command.key)
    entry = group.index.record(number) if number is not None else None
    if number is None or entry is None or entry.is_deleted:
        return WriteAnswer(WriteOutcome.ABSENT, group.last_seq)
    first_fact = len(group.drafts)
    cause = group.engines[command.key.kind].stamped(command.request.cause)
    for fact in departure(group.index, number):
        group.add(cause, fact)
    group.add(cause, ev.RecordDeleted(number))
    group.index.drop_match_state(number)
    changes = golden_id_changes(group.facts(first_fact), group.index, left=entry.golden_id)
    return WriteAnswer(WriteOutcome.DELETED, group.last_seq, None, changes)


def resolve(group: Group, stored: _Stored) -> WriteOutcome:
    """Decide for a stored record and draft what follows."""
    index, number = group.index, stored.number
    entry = group.record(number)
    held_by = None if stored.is_new_bearer else entry.golden_id
    golden = index.golden(held_by) if held_by else None
    has_company = golden is not None and len(golden.members) > 1
    numbers = candidates_of(index, stored.description.kind, stored.description.keys, number).numbers
    judged = tuple(other for other in entry.judged if other not in numbers)
    scored = score(index, stored.engine, stored.description.features, (*numbers, *judged), stored.proposal_scores)
    evidence = evidence_of(index, stored.engine, stored.description.features, scored, entry, number)
    decision = decide_for(
        index,
        stored.engine,
        stored.description.features,
        [pair for pair in evidence if has_company or pair.golden_id != held_by],
        own=number,
        current=held_by if has_company else None,
    )
    _settle(group, stored, entry, decision, held_by, has_company=has_company)
    _ask(group, stored, decision)
    own_id = group.golden_id_of(number)
    own = index.golden(own_id) if own_id else None
    if own is not None and len(own.members) > 1:
        return WriteOutcome.LINKED
    return WriteOutcome.REVIEW if decision.questions else WriteOutcome.CREATED


def resolve_stored(group: Group, number: RecordNumber, cause: ev.Cause) -> None:
    """Resolve a record from its stored values, as if it had just been written."""
    entry, payload = group.record(number), group.index.raw(number)
    if payload is None:
        return
    engine = group.engines[entry.kind]
    description = describe(decode_payload(payload))
    stored = _Stored(number, engine, engine.stamped(cause), description, is_new_bearer=False, proposal_scores={})
    resolve(group, stored)
    group.index.put_match_state(number, description.encoded, description.keys)


def _settle(
    group: Group,
    stored: _Stored,
    entry: RecordEntry,
    decision: Decision,
    held_by: GoldenId | None,
    *,
    has_company: bool,
) -> None:
    index, number, join = group.index, stored.number, decision.join
    if not join:
        if held_by is None:
            _leave(group, stored, entry)
            minted = group.mint(entry.kind)
            group.add(stored.cause, _resolved(number, minted, decision, is_minted=True))
        return
    if held_by is None or (has_company and held_by not in join):
        _leave(group, stored, entry)
        group.add(stored.cause, _resolved(number, join[0], decision, is_minted=False))
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


def _resolved(number: RecordNumber, golden_id: GoldenId, decision: Decision, *, is_minted: bool) -> ev.RecordResolved:
    return ev.RecordResolved(
        number, golden_id, is_minted, decision.outcome, decision.partner, decision.match_weight_bits
    )


def _leave(group: Group, stored: _Stored, entry: RecordEntry) -> None:
    if entry.golden_id is not None:
        for fact in departure(group.index, stored.number):
            group.add(stored.cause, fact)


def _ask(group: Group, stored: _Stored, decision: Decision) -> None:
    """Open the questions that the decision leaves, and close those whose cause is gone."""
    number = stored.number
    entry = group.record(number)
    asked = {question.number: question for question in decision.questions}
    for other in entry.potential_matches:
        if other not in asked:
            group.add(stored.cause, ev.PotentialMatchClosed(*pair_of(number, other)))
    for other, question in asked.items():
        pair = pair_of(number, other)
        known = group.index.potential_match(pair)
        stands = known is not None and (known.reason, known.match_weight_bits) == (
            question.reason,
            question.match_weight_bits,
        )
        if not stands and group.golden_id_of(other) != group.golden_id_of(number):
            group.add(
                stored.cause,
                ev.PotentialMatchOpened(*pair, question.reason, question.match_weight_bits, question.detail),
            )


def _store(  # noqa: PLR0913  (the parts of one fact)
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
    payload_id, payload_hash = group.seal(number, payload)
    # Key and values first: the fold puts the record into the crosswalk under its key.
    group.index.put_raw(number, key, payload)
    group.add(
        cause,
        ev.RecordUpserted(number, key.registry, key.kind, payload_id, payload_hash, stated_us, is_new_bearer),
    )


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


def _is_new_bearer(engine: Engine, old: Features, new: Features) -> bool:
    """Return whether a key's new values are about somebody else: a veto, or a weight below review.

    Values too thin to tell anyone apart do not count against the bearer as long as name, birth date and codes stay.
    """
    if _identity(old) == _identity(new):
        return False
    if veto(old, new) is not None:
        return True
    pair = engine.scorer.score(old, [new])[0]
    return pair.match_weight_bits < engine.model.thresholds.review_bits


def _identity(features: Features) -> tuple[object, ...]:
    if isinstance(features, BusinessFeatures):
        return (features.name, features.tax_codes)
    return (features.name, features.birth_date, features.birth_year, features.sex, features.personal_ids)


def _note_choice(group: Group, stored: _Stored, choice: ClerkChoice) -> None:
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
