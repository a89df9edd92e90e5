"""Which questions need no steward, because one was answered already, and which identifiers raise one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from mdm.domain import events as ev
from mdm.domain.decision import Decision, Question
from mdm.domain.judgements import WeightedPair, different_between, is_silenced, members_of
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.state import IdentityView, Judgement, pair_of
from mdm.limits import MEMBER_PAIRS_COMPARED_MAX, POTENTIAL_MATCHES_MAX
from mdm.linkage.comparisons import Meaning
from mdm.linkage.evidence import MEMBERS_HEARD_MAX, veto
from mdm.linkage.features import BusinessFeatures, Features
from mdm.linkage.scorer import Scorer
from mdm.linkage.specification import specification_for, specification_of

_NUMBERS = frozenset({"personal_id", "tax_code"})
"""Comparisons of what one bearer alone can hold."""

AGREEING = frozenset({Meaning.AGREES, Meaning.CLOSE})


def agreeing(kind: EntityKind | str, levels: Sequence[int]) -> frozenset[str]:
    """Return the names of the comparisons that agree between two records."""
    comparisons = specification_of(kind).comparisons
    return frozenset(
        comparison.name
        for comparison, level in zip(comparisons, levels, strict=True)
        if comparison.level_at(level).meaning in AGREEING
    )


def shares_number(kind: EntityKind | str, levels: Sequence[int]) -> bool:
    """Return whether two records agree in what one bearer alone can hold. Asked of every candidate: 0.3 µs."""
    return any(levels[place] in agreeing_levels for place, agreeing_levels in _number_levels(kind))


@lru_cache(maxsize=8)
def _number_levels(kind: str) -> tuple[tuple[int, frozenset[int]], ...]:
    return tuple(
        (
            place,
            frozenset(
                value
                for value, level in zip(comparison.level_values(), comparison.levels, strict=True)
                if level.meaning is Meaning.AGREES
            ),
        )
        for place, comparison in enumerate(specification_of(kind).comparisons)
        if comparison.name in _NUMBERS
    )


def agreements(scorer: Scorer, lefts: Sequence[Features], rights: Sequence[Features]) -> tuple[str, ...]:
    """Return the comparisons that agree between any two members of two golden records, sorted.

    Cost: 10 us a pair, for up to `MEMBERS_HEARD_MAX` members of each.
    """
    found: set[str] = set()
    kind = scorer.model.kind
    for left in lefts[:MEMBERS_HEARD_MAX]:
        for pair in scorer.score(left, rights[:MEMBERS_HEARD_MAX]):
            found |= agreeing(kind, pair.levels)
    return tuple(sorted(found))


def weights_among(
    scorer: Scorer, features: dict[RecordNumber, Features], focus: Iterable[RecordNumber]
) -> list[WeightedPair]:
    """Return the match weights between `focus` and all others, as many as a write may take time for."""
    numbers = list(features)
    asked = [number for number in focus if number in features]
    asked = asked[: max(1, MEMBER_PAIRS_COMPARED_MAX // max(len(numbers), 1))]
    found: list[WeightedPair] = []
    for number in asked:
        others = [other for other in numbers if other != number]
        scored = scorer.score(features[number], [features[other] for other in others])
        found += [(number, other, pair.match_weight_bits) for other, pair in zip(others, scored, strict=True)]
    return found


def without_answered(
    state: IdentityView,
    decision: Decision,
    own: RecordNumber | None,
    held_by: GoldenId | None,
    agreeing_of: dict[RecordNumber, frozenset[str]],
) -> Decision:
    """Leave out the questions between golden records that a steward called different on no less evidence.

    Args:
        state: Holds judgements and members.
        decision: About the record `own`, or a new one.
        own: The record.
        held_by: The golden record that it stays in if it joins none.
        agreeing_of: Comparisons that agree with each candidate.
    """
    sides = {*decision.join, *filter(None, (held_by,) if not decision.join else ())}
    lefts = {number for golden_id in sides for number in members_of(state.golden(golden_id))}
    lefts |= {own} if own is not None else set()
    judged = {pair_of(own, question.number) for question in decision.questions} if own is not None else set()
    answered = {number for pair in judged if state.judgement(pair) is not None for number in pair}
    kept = tuple(
        question
        for question in decision.questions
        if question.number not in answered
        and not is_silenced(agreeing_of.get(question.number, frozenset()), _earlier(state, lefts, question))
    )
    if len(kept) == len(decision.questions):
        return decision
    if decision.outcome is ev.Outcome.REVIEW and not kept:
        return Decision(ev.Outcome.CREATED, decision.join, None, None, ())
    return msgspec.structs.replace(decision, questions=kept)


def _earlier(state: IdentityView, lefts: Iterable[RecordNumber], question: Question) -> list[Judgement]:
    entry = state.record(question.number)
    golden = state.golden(entry.golden_id) if entry is not None and entry.golden_id is not None else None
    return [judgement for _, judgement in different_between(state, lefts, members_of(golden))]


VERIFIED_COLUMNS = {EntityKind.CITIZEN: "verified_ids", EntityKind.BUSINESS: "verified_tax_codes"}
"""Feature that holds what `verified_identifiers` returns."""


def verified_identifiers(features: Features) -> tuple[str, ...]:
    """Return the numbers that a clerk saw or a chip gave: nobody else can bear them."""
    return features.verified_tax_codes if isinstance(features, BusinessFeatures) else features.verified_ids


def is_conflict(left: Features, right: Features) -> bool:
    """Return whether both bear one verified number though nothing of itself explains that they are two.

    Twins, a newborn and its mother, a branch and its firm share what their registries write for want of a number.
    """
    shared = frozenset(verified_identifiers(left)) & frozenset(verified_identifiers(right))
    return bool(shared) and veto(left, right) not in specification_for(left).rules.plain_facts


def with_conflicts(
    state: IdentityView,
    decision: Decision,
    described: Features,
    held_by: GoldenId | None,
    candidates: Iterable[tuple[RecordNumber, float, Features]],
) -> Decision:
    """Add a question about each golden record that holds the record's verified number and is neither joined nor asked.

    Args:
        state: Gives the candidates' golden records.
        decision: About the record.
        described: Its features.
        held_by: The golden record that it stays in if it joins none.
        candidates: Records that share its number, with match weight and features.
    """
    known = {*decision.join, held_by}
    for question in decision.questions:
        entry = state.record(question.number)
        known.add(entry.golden_id if entry is not None else None)
    added = []
    for number, bits, features in sorted(candidates, key=lambda each: (-each[1], each[0])):
        entry = state.record(number)
        if entry is not None and entry.golden_id not in known and is_conflict(described, features):
            known.add(entry.golden_id)
            added.append(Question(number, ev.MatchReason.IDENTIFIER_CONFLICT, bits, ""))
    if not added:
        return decision
    questions = (*decision.questions, *added)[:POTENTIAL_MATCHES_MAX]
    if decision.outcome is ev.Outcome.CREATED:
        best = questions[0]
        return Decision(ev.Outcome.REVIEW, decision.join, best.number, best.match_weight_bits, questions)
    return msgspec.structs.replace(decision, questions=questions)
