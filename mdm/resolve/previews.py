"""What a write would see and do, computed as the writer computes it but without writing."""

from __future__ import annotations

import time

from mdm.domain.decision import Band, Evidence
from mdm.domain.events import Outcome
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.linkage.scorer import match_probability
from mdm.resolve.bearer import is_another_bearer
from mdm.resolve.commands import WriteOutcome
from mdm.resolve.engines import Engine
from mdm.resolve.matcher import Consideration, Description, consider, describe, proposal_of
from mdm.resolve.payloads import encode_payload, ordering_us
from mdm.resolve.recall import Recall
from mdm.resolve.renames import with_former_names
from mdm.resolve.upsert import unwritten_outcome
from mdm.resolve.views import Grade, MatchCandidate, MatchResult, Preview
from mdm.store.view import IndexView


def preview_write(
    view: IndexView,
    engine: Engine,
    record: SourceRecord,
    limit: int,
    own: RecordNumber | None,
    seen: Recall | None = None,
) -> Preview:
    """Return what an upsert of `record` would find and do.

    Args:
        view: The state that the record would meet.
        engine: Of the record's kind.
        record: Its key counts only through `own`.
        limit: Candidates to show; the outcome rests on all.
        own: Number of the stored record under the same key; None treats the record as a new one.
        seen: What was read of `view` about records of this kind.
    """
    sent = record
    if own is not None:
        record = with_former_names(view, engine, own, record)
    description = describe(record)
    is_new_bearer = own is not None and is_another_bearer(view, engine, own, description.features)
    seen = seen or Recall(view, engine.kind)
    considered = consider(seen, engine, description, own, is_new_bearer=is_new_bearer)
    ranked = _ranked(seen, engine, description, considered, limit)
    compared = len({pair.golden_id for pair in considered.evidence})
    match = MatchResult(ranked, compared, len(considered.scored), considered.truncated, view.applied_seq)
    outcome, golden_id = WriteOutcome(considered.decision.outcome.value), _golden_id_after(view, considered)
    entry = view.record(own) if own is not None else None
    if entry is not None and own is not None:
        unwritten = unwritten_outcome(
            entry,
            view.raw(own),
            encode_payload(record),
            ordering_us(record.updated_at, time.time_ns() // 1000),
            allow_older=False,
        )
        if unwritten is not None:
            outcome, golden_id = unwritten, entry.golden_id
        elif entry.golden_id is not None and golden_id == entry.golden_id:
            outcome = WriteOutcome.UPDATED
    # Values that were added to those sent are the writer's to add again: it may know more names by then.
    proposal = proposal_of(engine, description, considered.scored, view.applied_seq) if record is sent else None
    return Preview(description.features, description.issues, match, outcome.value, golden_id, proposal)


def _golden_id_after(view: IndexView, considered: Consideration) -> GoldenId | None:
    """Return the golden ID that the record would have; None where one would be minted."""
    stays_alone = considered.held_by if not considered.has_company else None
    if considered.decision.outcome is not Outcome.LINKED:
        return stays_alone
    fragments = {*considered.decision.join, *filter(None, (stays_alone,))}
    # Merged fragments answer under the oldest of their IDs.
    return min(fragments, key=lambda golden_id: _age(view, golden_id))


def _age(view: IndexView, golden_id: GoldenId) -> tuple[int, int]:
    golden = view.golden(golden_id)
    return (golden.minted_seq, golden.minted_ordinal) if golden else (0, 0)


def _ranked(
    seen: Recall,
    engine: Engine,
    description: Description,
    considered: Consideration,
    limit: int,
) -> tuple[MatchCandidate, ...]:
    decision = considered.decision
    best: dict[GoldenId, Evidence] = {}
    for pair in sorted(considered.evidence, key=lambda pair: (-pair.match_weight_bits, pair.number)):
        if pair.match_weight_bits > 0:
            best.setdefault(pair.golden_id, pair)
    questions = {question.number: question for question in decision.questions}
    levels = {each.number: each.levels for each in considered.scored}
    ranked = []
    for golden_id, pair in list(best.items())[:limit]:
        question = questions.get(pair.number)
        if golden_id in decision.join:
            grade, held_back = Grade.CERTAIN, ""
        elif pair.band is Band.NONE:
            grade, held_back = Grade.POSSIBLE, ""
        else:
            held_back = (question.detail or question.reason.value) if question else pair.detail or pair.reason.value
            grade = Grade.LIKELY
        other = seen.described(pair.number)
        steps = engine.scorer.steps(levels[pair.number], description.features, other) if other is not None else []
        ranked.append(
            MatchCandidate(
                golden_id,
                pair.match_weight_bits,
                match_probability(pair.match_weight_bits),
                grade,
                held_back,
                tuple(steps),
                pair.number,
                len(golden.members) if (golden := seen.golden(golden_id)) else 0,
            )
        )
    return tuple(ranked)
