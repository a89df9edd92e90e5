"""From a record to scored candidates, and from scores to evidence: what reader and writer do alike.

A score depends on two records' features and the engine alone, so the writer takes over a reader's scores for every
candidate that has not changed since the reader looked, and scores the few others itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mdm.domain import events as ev
from mdm.domain.decision import Band, Decision, Evidence, decide
from mdm.domain.judgements import judged_within
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.domain.state import IdentityView, RecordEntry, pair_of
from mdm.limits import (
    CANDIDATES_MAX,
    CANDIDATES_PER_KEY_MAX,
    CROWDED_KEY_CANDIDATES_MIN,
    MEMBER_PAIRS_COMPARED_MAX,
)
from mdm.linkage.blocking import posting_keys
from mdm.linkage.cluster import Ties
from mdm.linkage.codec import decode_features, encode_features
from mdm.linkage.evidence import Assessor, compatible, contradiction
from mdm.linkage.features import Features, FieldIssue
from mdm.linkage.normalise.record import normalise
from mdm.linkage.rules import SOLE
from mdm.linkage.specification import specification_of
from mdm.resolve.commands import Proposal, ScoredCandidate
from mdm.resolve.engines import MATCH_STATE_VERSIONS, Engine
from mdm.resolve.questions import agreeing, shares_number, verified_identifiers, with_conflicts, without_answered
from mdm.resolve.recall import MatchState, Recall
from mdm.resolve.views import TruncatedBlock

STEWARD_BITS = 1000.0
"""Weight of a steward's "same": above every sum of evidence."""


class Description(msgspec.Struct, frozen=True):
    """A record as matching sees it."""

    kind: EntityKind
    features: Features
    encoded: bytes
    keys: tuple[bytes, ...]
    issues: tuple[FieldIssue, ...]

    @classmethod
    def of_proposal(cls, kind: EntityKind, proposal: Proposal) -> Description:
        """Take over what a reader found, of the same versions."""
        features = decode_features(kind, proposal.features)
        return cls(kind, features, proposal.features, proposal.posting_keys, proposal.issues)


class Candidates(msgspec.Struct, frozen=True):
    """Records that share a blocking key with the described one."""

    numbers: tuple[RecordNumber, ...]
    truncated: tuple[TruncatedBlock, ...]


class Consideration(msgspec.Struct, frozen=True):
    """Everything that was looked at for one record, and what is to become of it."""

    truncated: tuple[TruncatedBlock, ...]
    scored: list[ScoredCandidate]
    evidence: list[Evidence]
    decision: Decision
    held_by: GoldenId | None
    """The golden record that its bearer belongs to so far; None for a new record and for a new bearer."""
    has_company: bool
    """Whether `held_by` has other members."""


def describe(record: SourceRecord) -> Description:
    """Normalise a record. Cost: about 0.1 ms."""
    normalised = normalise(record)
    features = normalised.features
    return Description(
        record.key.kind, features, encode_features(features), tuple(posting_keys(features)), normalised.issues
    )


def proposal_of(engine: Engine, description: Description, scored: Iterable[ScoredCandidate], read_seq: int) -> Proposal:
    """Return what a reader found, for the writer to take over."""
    return Proposal(
        read_seq,
        description.encoded,
        description.keys,
        tuple(scored),
        description.issues,
        engine.model_digest,
        engine.epoch_digest,
        MATCH_STATE_VERSIONS,
    )


def features_of(state: MatchState, kind: EntityKind, number: RecordNumber) -> Features | None:
    """Return the features of a resolved record; None for one that is pending or deleted."""
    encoded = state.features(number)
    return None if encoded is None else decode_features(kind, encoded)


def candidates_of(state: MatchState, kind: EntityKind, keys: Iterable[bytes], own: RecordNumber | None) -> Candidates:
    """Return who shares a key, in the order of the rules, never silently cut.

    A key with more than `CANDIDATES_PER_KEY_MAX` holders yields its most recent ones, the fewer the more there are,
    and is reported; so is every rule from which `CANDIDATES_MAX` over all keys left something out.
    """
    found: dict[RecordNumber, None] = {}
    truncated: list[TruncatedBlock] = []
    rules = specification_of(kind).blocking_rules
    for key in keys:
        holders, total = state.postings(key, CANDIDATES_PER_KEY_MAX)
        if total > CANDIDATES_PER_KEY_MAX:
            # The more hold it, the less likely is the bearer among those read, and the less are they worth.
            holders = holders[: max(CROWDED_KEY_CANDIDATES_MIN, CANDIDATES_PER_KEY_MAX**2 // total)]
        read = len(holders)
        if len(found) + read <= CANDIDATES_MAX:
            found.update(dict.fromkeys(holders))
            if own is not None:
                found.pop(own, None)
        else:
            for position, number in enumerate(holders):
                if len(found) >= CANDIDATES_MAX and number not in found:
                    read = position
                    break
                if number != own:
                    found[number] = None
        if read < total:
            truncated.append(TruncatedBlock(rules[key[0]][0], total, read))
    return Candidates(tuple(found), tuple(truncated))


def consider(
    seen: Recall,
    engine: Engine,
    description: Description,
    own: RecordNumber | None = None,
    *,
    is_new_bearer: bool = False,
    known: Mapping[RecordNumber, ScoredCandidate] | None = None,
) -> Consideration:
    """Compare a record with everything near it and decide; reader and writer do exactly this.

    Args:
        seen: Holds the candidates, and the record itself if it is stored.
        engine: Of the record's kind.
        description: The record's values, which may be newer than the stored ones.
        own: The record's number, if it is stored.
        is_new_bearer: Whether the values are about somebody else than the stored ones.
        known: Scores that still hold.
    """
    entry = seen.record(own) if own is not None else None
    held_by = entry.golden_id if entry is not None and not is_new_bearer else None
    golden = seen.golden(held_by) if held_by is not None else None
    company = [number for number in golden.members if number != own] if golden is not None else []
    found = candidates_of(seen.state, engine.kind, description.keys, own)
    # Whoever people named, and the present company, count even if blocking would not find them.
    named = (*entry.judged, *filter(None, (entry.chosen,))) if entry is not None else ()
    numbers = tuple(dict.fromkeys((*found.numbers, *named, *company[:CANDIDATES_PER_KEY_MAX])))
    scored = score(seen, engine, description.features, numbers, known)
    evidence = evidence_of(seen, engine, description.features, scored, entry, own)
    decision = decide_for(
        seen,
        engine,
        description.features,
        [pair for pair in evidence if company or pair.golden_id != held_by],
        own=own,
        current=held_by if company else None,
    )
    stays_in = None if company else held_by
    if verified_identifiers(description.features):
        sharing = (each for each in scored if shares_number(engine.kind, each.levels))
        others = ((each, seen.described(each.number)) for each in sharing)
        candidates = [(each.number, each.match_weight_bits, other) for each, other in others if other is not None]
        decision = with_conflicts(seen, decision, description.features, stays_in, candidates)
    if decision.questions:
        asked = {question.number for question in decision.questions}
        agreed = {each.number: agreeing(engine.kind, each.levels) for each in scored if each.number in asked}
        decision = without_answered(seen, decision, own, stays_in, agreed)
    return Consideration(found.truncated, scored, evidence, decision, held_by, bool(company))


def score(
    seen: Recall,
    engine: Engine,
    features: Features,
    numbers: Sequence[RecordNumber],
    known: Mapping[RecordNumber, ScoredCandidate] | None = None,
) -> list[ScoredCandidate]:
    """Return each candidate's levels and match weight, taking over what is `known`.

    Cost: about 10 us for each different candidate; equal ones are scored once.
    """
    known = known or {}
    seen.expect(len(numbers) - len(known))
    distinct: dict[int, Features] = {}
    places: dict[RecordNumber, int] = {}
    for number in numbers:
        if number not in known:
            other = seen.described(number)
            if other is not None:
                places[number] = id(other)
                distinct[id(other)] = other
    pairs = dict(zip(distinct, engine.scorer.score(features, list(distinct.values())), strict=True))
    scored = []
    for number in numbers:
        if number in places:
            levels, bits = pairs[places[number]]
            scored.append(ScoredCandidate(number, bits, levels))
        elif number in known:
            scored.append(known[number])
    return scored


def evidence_of(
    seen: Recall,
    engine: Engine,
    features: Features,
    scored: Iterable[ScoredCandidate],
    entry: RecordEntry | None = None,
    own: RecordNumber | None = None,
) -> list[Evidence]:
    """Return the band of every candidate that is resolved, judgements and the clerk's choice included.

    Args:
        seen: Where the candidates' golden records are read.
        engine: Judges the pairs.
        features: Of the record in question.
        scored: Its candidates.
        entry: The record's entry, if it is stored: carries judgements and a clerk's choice.
        own: The record's number, if it is stored.
    """
    weak = engine.model.thresholds.review_bits
    evidence: dict[RecordNumber, Evidence] = {}
    namesakes: dict[RecordNumber, Features] = {}
    assessor = Assessor(engine.kind, features, engine.model, engine.epoch)
    for candidate in scored:
        other = seen.record(candidate.number)
        if other is None or other.golden_id is None:
            continue
        bits = candidate.match_weight_bits
        if bits < weak:
            pair = Evidence(candidate.number, other.golden_id, Band.NONE, bits)
        else:
            other_features = seen.described(candidate.number)
            if other_features is None:
                continue
            found = assessor.assess(candidate.levels, other_features, bits)
            if found.is_namesake:
                namesakes[candidate.number] = other_features
            pair = Evidence(
                candidate.number, other.golden_id, found.band, bits, found.reason or ev.MatchReason.WEIGHT, found.detail
            )
        evidence[candidate.number] = pair
    if namesakes and not _is_sole(seen, engine, features, evidence, namesakes):
        evidence = {number: _held_back(pair) for number, pair in evidence.items()}
    if entry is not None and own is not None:
        _hear_people(seen, entry, own, evidence)
    return list(evidence.values())


def _is_sole(
    state: IdentityView,
    engine: Engine,
    features: Features,
    evidence: Mapping[RecordNumber, Evidence],
    namesakes: Mapping[RecordNumber, Features],
) -> bool:
    """Return whether name and birth date may link: all who share them can be one bearer (see `cluster`)."""
    if any(pair.band is Band.LINK and pair.detail != SOLE for pair in evidence.values()):
        # With a surer link the record is no lone one.
        return False
    is_listed = engine.scorer.specification.rules.is_listed
    golden_ids = {evidence[number].golden_id for number in namesakes}
    listed = {evidence[number].golden_id for number, other in namesakes.items() if is_listed(other)}
    goldens = [state.golden(golden_id) for golden_id in golden_ids]
    several_count = sum(golden is not None and len(golden.members) > 1 for golden in goldens)
    return len(listed) + is_listed(features) <= 1 and several_count <= 1


def _held_back(pair: Evidence) -> Evidence:
    """Turn a link on name and birth date alone into a question."""
    if pair.band is not Band.LINK or pair.detail != SOLE:
        return pair
    return msgspec.structs.replace(pair, band=Band.REVIEW, reason=ev.MatchReason.AMBIGUOUS)


def _hear_people(
    state: IdentityView, entry: RecordEntry, own: RecordNumber, evidence: dict[RecordNumber, Evidence]
) -> None:
    """Let a clerk's choice tip the scales, and a steward's judgement overrule everything."""
    chosen = _golden_of(state, entry.chosen)
    rejected = {_golden_of(state, number) for number in entry.rejected} - {None}
    for number, pair in evidence.items():
        if pair.golden_id in rejected and pair.band is not Band.NONE:
            evidence[number] = msgspec.structs.replace(
                pair, band=Band.REVIEW, reason=ev.MatchReason.VETO, detail="clerk_rejected"
            )
        elif pair.golden_id == chosen and pair.band is Band.REVIEW and pair.reason is not ev.MatchReason.VETO:
            evidence[number] = msgspec.structs.replace(pair, band=Band.LINK, detail="clerk_chosen")
        elif number == entry.chosen and pair.band is Band.NONE:
            # Values that hardly fit do not link on a clerk's word, but a steward hears it.
            evidence[number] = msgspec.structs.replace(pair, band=Band.REVIEW, detail="clerk_chosen")
    for other in entry.judged:
        golden_id = _golden_of(state, other)
        if golden_id is None:
            continue
        if state.judgement(pair_of(own, other)) is ev.Verdict.SAME:
            evidence[other] = Evidence(other, golden_id, Band.LINK, STEWARD_BITS, detail="steward_same")
        else:
            evidence.pop(other, None)


def _golden_of(state: IdentityView, number: RecordNumber | None) -> GoldenId | None:
    entry = state.record(number) if number is not None else None
    return entry.golden_id if entry else None


def decide_for(
    seen: Recall,
    engine: Engine,
    features: Features,
    evidence: Sequence[Evidence],
    *,
    own: RecordNumber | None = None,
    current: GoldenId | None = None,
) -> Decision:
    """Decide for a described record; see `mdm.domain.decision.decide`."""
    same = {pair.number for pair in evidence if pair.match_weight_bits == STEWARD_BITS}

    def forbids(golden_id: GoldenId) -> str:
        golden = seen.golden(golden_id)
        members = golden.members if golden else ()
        entry = seen.record(own) if own is not None else None
        if entry is not None and own is not None:
            for other in entry.judged:
                if other in members and seen.judgement(pair_of(own, other)) is ev.Verdict.DIFFERENT:
                    return "steward_different"
        if same.intersection(members):
            return ""
        # Hundreds of visits to one desk say the same: what is equal need be compared but once.
        known = (seen.described(number) for number in members if number != own)
        others = list({id(each): each for each in known if each is not None}.values())
        forbidden = contradiction([features], others)
        if forbidden is not None:
            # Few golden records hold a judgement: asked only where it matters.
            forbidden = contradiction([features], others, called_same(seen, members))
        return forbidden or ""

    def may_be_one(left: GoldenId, right: GoldenId) -> bool:
        # The record's own golden record still holds it with its former values.
        revised = {} if own is None else {own: features}
        return goldens_compatible(seen, engine, left, right, bridged=same, revised=revised)

    return decide(evidence, engine.thresholds, current=current, veto=forbids, compatible=may_be_one)


def goldens_compatible(
    seen: Recall,
    engine: Engine,
    left: GoldenId,
    right: GoldenId,
    *,
    bridged: set[RecordNumber] | None = None,
    revised: Mapping[RecordNumber, Features] | None = None,
) -> bool:
    """Return whether two golden records may be one: no judgement and no veto between members, joint evidence for it.

    Two that are too large to be compared within a write are not merged by it; a steward or a re-linkage decides.

    `bridged` are records that a steward called the same as the one in question: where both sides hold one,
    the judgement decides. `revised` are features that stand in for those stored: a record's new values.
    """
    if left == right:
        return True
    sides = [seen.golden(golden_id) for golden_id in (left, right)]
    lefts, rights = ([] if side is None else list(side.members) for side in sides)
    for number in lefts:
        entry = seen.record(number)
        for other in entry.judged if entry else ():
            if other in rights and seen.judgement(pair_of(number, other)) is ev.Verdict.DIFFERENT:
                return False
    if bridged and bridged.intersection(lefts) and bridged.intersection(rights):
        return True
    if len(lefts) * len(rights) > MEMBER_PAIRS_COMPARED_MAX:
        return False
    new = revised or {}
    left_features, right_features = (
        [each for number in side if (each := new.get(number) or seen.described(number)) is not None]
        for side in (lefts, rights)
    )
    same = called_same(seen, [*lefts, *rights])
    # Without values on both sides nothing speaks for one bearer.
    return bool(left_features and right_features) and compatible(left_features, right_features, engine.scorer, same)


def called_same(seen: Recall, members: Sequence[RecordNumber]) -> list[list[Features]]:
    """Return the features of those members that stewards called the same, in groups. Cost: a read for each member."""
    groups = Ties(judged_within(seen, members, ev.Verdict.SAME)).groups(members)
    found = ([seen.described(RecordNumber(number)) for number in group] for group in groups)
    return [[each for each in group if each is not None] for group in found]
