"""Why two records are one bearer's or not: the scorer's own numbers, and what the rules of evidence say beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason, Verdict
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.records import SourceRecord
from mdm.domain.state import PotentialMatch, pair_of
from mdm.errors import LimitExceededError
from mdm.limits import CANDIDATES_PER_KEY_MAX, MEMBER_PAIRS_COMPARED_MAX
from mdm.linkage.comparisons import Meaning
from mdm.linkage.evidence import assess, found_of, missing_beside_coincidence, veto
from mdm.linkage.features import CitizenFeatures, Features
from mdm.linkage.rules import Coincidence
from mdm.linkage.scorer import match_probability
from mdm.linkage.specification import specification_of
from mdm.resolve.engines import Engine
from mdm.resolve.explain.history import HistoryEntry, judged, keys_of, meeting
from mdm.resolve.explain.phrases import Sentence, named, phrase, summed, weighed, with_detail
from mdm.resolve.explain.values import used_values, written_values
from mdm.resolve.matcher import describe, features_of
from mdm.resolve.payloads import decode_payload
from mdm.resolve.reading import Reading
from mdm.resolve.views import RecordState


class Side(msgspec.Struct, frozen=True):
    """One of the two records as it stands."""

    number: RecordNumber
    kind: EntityKind
    key: SourceKey | None
    """None after its erasure."""
    state: RecordState
    golden_id: GoldenId | None
    record: SourceRecord | None
    """None after its deletion or erasure."""
    features: Features | None
    """None with `record`."""

    @property
    def updated_at(self) -> str:
        """When the record last changed, as its registry wrote it."""
        return self.record.updated_at if self.record else ""


class Part(msgspec.Struct, frozen=True):
    """What one comparison found and what it adds."""

    comparison: str
    level: str
    meaning: Meaning
    level_bits: float
    """log2(m/u) of the level; 0 where a side is missing."""
    term_frequency_bits: float
    """What the rarity of the value adds to it, or takes from it."""
    left_used: tuple[str, ...]
    right_used: tuple[str, ...]
    left_written: tuple[str, ...]
    right_written: tuple[str, ...]
    sentence: Sentence

    @property
    def bits(self) -> float:
        """What the comparison adds in all."""
        return self.level_bits + self.term_frequency_bits


class Ruling(msgspec.Struct, frozen=True):
    """What a rule says whatever the weight: a veto, what a link lacks, a judgement."""

    rule: str
    """`veto`, `lack`, `judgement` or `reason`, the table of phrases that `name` stands in."""
    name: str
    sentence: Sentence


class SharedBlock(msgspec.Struct, frozen=True):
    """A blocking key that both records hold."""

    rule: str
    holder_count: int
    sentence: Sentence

    @property
    def is_truncated(self) -> bool:
        """Whether more hold it than are read, so that either may be left out."""
        return self.holder_count > CANDIDATES_PER_KEY_MAX


class Comparison(msgspec.Struct, frozen=True):
    """Two records compared. Prior and parts add up to the match weight, to 1e-9 bits."""

    prior_bits: float
    prior_sentence: Sentence
    parts: tuple[Part, ...]
    match_weight_bits: float
    band: Band
    """What the pair alone leads to, by weight and rules of evidence."""
    veto: str
    """Name of what forbids the link; empty if nothing does."""
    lack: str
    """Name of what a link needs besides; empty if nothing."""
    expected_strangers: float | None
    """Others in the city who share this name and one given birth date, on average; None for a firm."""
    summary: Sentence

    @property
    def match_probability(self) -> float:
        """The weight as a probability, 0 to 1."""
        return match_probability(self.match_weight_bits)


class PairExplanation(msgspec.Struct, frozen=True):
    """All that there is to say of two records."""

    left: Side
    right: Side
    engine: Engine
    """The model and epoch in force, under which they were compared."""
    comparison: Comparison | None
    """None where the two cannot be compared: of two kinds, deleted or erased."""
    rulings: tuple[Ruling, ...]
    judgement: Verdict | None
    judged: HistoryEntry | None
    """Who judged, when and why; None without a judgement, and for one made while both records were pending."""
    question: PotentialMatch | None
    """The open question about this pair."""
    shared_blocks: tuple[SharedBlock, ...]
    decision: HistoryEntry | None
    """By which they came together; of two that are apart, by which the later came to its golden ID. None if neither has
    one."""
    keys: dict[RecordNumber, SourceKey]
    """Of the records that decision and judgement name."""
    read_seq: int

    @property
    def are_one(self) -> bool:
        """Whether both stand under one golden ID."""
        return self.left.golden_id is not None and self.left.golden_id == self.right.golden_id

    @property
    def was_decided_otherwise(self) -> bool:
        """Whether they were last decided upon under another model or epoch than they are compared under here."""
        if self.decision is None or not self.decision.cause.model:
            return False
        cause, engine = self.decision.cause, self.engine
        return (cause.model, cause.epoch) != (engine.model_digest, engine.epoch_digest)


def side(reading: Reading, number: RecordNumber) -> Side:
    """Return a stored record as it stands; a pending one is normalised here, about 0.1 ms."""
    view = reading.view
    entry = view.record(number)
    if entry is None:
        message = f"record {number} is not stored"
        raise AssertionError(message)
    payload = None if entry.is_deleted else view.raw(number)
    record = decode_payload(payload) if payload is not None else None
    features = features_of(view, entry.kind, number) if record is not None else None
    if record is not None and features is None:
        features = describe(record).features
    state = RecordState.DELETED if entry.is_deleted else RecordState.PENDING
    if entry.golden_id is not None:
        state = RecordState.FOUND
    return Side(number, entry.kind, view.key_of(number), state, entry.golden_id, record, features)


def explain_pair(reading: Reading, left: RecordNumber, right: RecordNumber) -> PairExplanation:
    """Explain two different stored records. Cost: below 1 ms, and the holders of keys that both have are counted."""
    one, other = side(reading, left), side(reading, right)
    engine = reading.engines[one.kind]
    view, pair = reading.view, pair_of(left, right)
    judgement = view.judgement(pair)
    comparison = _comparison(engine, one, other)
    decision = _decision(reading, one, other)
    said = judged(reading, pair)
    return PairExplanation(
        one,
        other,
        engine,
        comparison,
        _rulings(one, other, comparison, judgement),
        judgement,
        said,
        view.potential_match(pair),
        _shared_blocks(reading, one, other),
        decision,
        keys_of(reading, [entry for entry in (decision, said) if entry is not None]),
        view.applied_seq,
    )


def best_pair(
    reading: Reading, lefts: Sequence[RecordNumber], rights: Sequence[RecordNumber]
) -> tuple[RecordNumber, RecordNumber]:
    """Return the pair of two different members that speaks loudest: one that may link before one that may not.

    Where nothing can be compared it is the first pair. Cost: about 10 µs a pair.

    Raises:
        LimitExceededError: More than `MEMBER_PAIRS_COMPARED_MAX` pairs.
    """
    if len(lefts) * len(rights) > MEMBER_PAIRS_COMPARED_MAX:
        raise LimitExceededError(
            f"{len(lefts) * len(rights)} pairs of members, at most {MEMBER_PAIRS_COMPARED_MAX} are compared; "
            f"name two records instead"
        )
    first = next((left, right) for left in lefts for right in rights if left != right)
    kinds = {entry.kind for number in first if (entry := reading.view.record(number)) is not None}
    if len(kinds) > 1:
        return first
    engine = reading.engines[kinds.pop()]
    others = [(number, each) for number in rights if (each := features_of(reading.view, engine.kind, number))]
    best, best_rank = first, (-1, float("-inf"))
    for left in lefts:
        features = features_of(reading.view, engine.kind, left)
        if features is None:
            continue
        scored = engine.scorer.score(features, [each for _, each in others])
        for (right, other), (levels, bits) in zip(others, scored, strict=True):
            if left == right:
                continue
            band = assess(engine.kind, levels, features, other, bits, engine.model, engine.epoch).band
            rank = (_BANDS.index(band), bits)
            if rank > best_rank:
                best, best_rank = (left, right), rank
    return best


_BANDS = (Band.NONE, Band.REVIEW, Band.LINK)


def _comparison(engine: Engine, left: Side, right: Side) -> Comparison | None:
    one, other = left.features, right.features
    if left.record is None or right.record is None or one is None or other is None or left.kind is not right.kind:
        return None
    levels, bits = engine.scorer.score(one, [other])[0]
    prior, *steps = engine.scorer.waterfall(one, other)
    left_written, right_written = written_values(left.record), written_values(right.record)
    parts = tuple(
        Part(
            step.comparison,
            step.level,
            step.meaning,
            step.bits,
            step.term_frequency_bits,
            used_values(engine.kind, step.comparison, one),
            used_values(engine.kind, step.comparison, other),
            left_written[step.comparison],
            right_written[step.comparison],
            weighed(
                phrase("level", engine.kind, step.comparison, step.level),
                step.bits + step.term_frequency_bits,
                step.term_frequency_bits,
                is_missing=step.meaning is Meaning.MISSING,
            ),
        )
        for step in steps
    )
    thresholds, epoch = engine.model.thresholds, engine.epoch
    assessed = assess(engine.kind, levels, one, other, bits, engine.model, epoch)
    name = one.name if isinstance(one, CitizenFeatures) else None
    return Comparison(
        prior.bits,
        weighed(phrase("template", "prior"), prior.bits),
        parts,
        bits,
        assessed.band,
        veto(one, other) or "",
        _lack(engine, levels, one, other),
        epoch.expected_strangers(name) if name is not None else None,
        summed(assessed.band, bits, match_probability(bits), thresholds.link_bits, thresholds.review_bits),
    )


def _lack(engine: Engine, levels: tuple[int, ...], left: Features, right: Features) -> str:
    """Return what a link of the pair lacks, as `assess` asks it, but whatever the weight."""
    rules = specification_of(engine.kind).rules
    seen = (left, right) if rules.traits is None else (rules.traits(left), rules.traits(right))
    missing = rules.lack(found_of(engine.kind, levels), *seen)
    if isinstance(missing, Coincidence):
        missing = missing_beside_coincidence(missing, left, engine.model, engine.epoch)
    return missing or ""


def _decision(reading: Reading, left: Side, right: Side) -> HistoryEntry | None:
    if left.golden_id is not None and left.golden_id == right.golden_id:
        return meeting(reading, left.golden_id, frozenset({left.number, right.number}))
    found = [
        entry
        for each in (left, right)
        if each.golden_id is not None and (entry := meeting(reading, each.golden_id, frozenset({each.number})))
    ]
    return max(found, key=lambda entry: entry.position, default=None)


def _rulings(left: Side, right: Side, comparison: Comparison | None, judgement: Verdict | None) -> tuple[Ruling, ...]:
    rulings = []
    if judgement is not None:
        rulings.append(Ruling("judgement", judgement, phrase("judgement", judgement)))
    if left.kind is not right.kind:
        rulings.append(Ruling("veto", "entity_kind", phrase("veto", "entity_kind")))
    if comparison is not None and comparison.veto:
        rulings.append(Ruling("veto", comparison.veto, phrase("veto", comparison.veto)))
    if comparison is not None and comparison.lack:
        rulings.append(Ruling("lack", comparison.lack, phrase("lack", comparison.lack)))
    return tuple(rulings)


def question_sentence(reason: MatchReason, detail: str) -> Sentence:
    """Return why a question was put to stewards: the reason, and the veto or lack that stands behind it."""
    found, behind = phrase("reason", reason), named(detail)
    return with_detail(found, behind) if behind is not None else found


def _shared_blocks(reading: Reading, left: Side, right: Side) -> tuple[SharedBlock, ...]:
    if left.kind is not right.kind:
        return ()
    view = reading.view
    shared = set(view.posting_keys(left.number)).intersection(view.posting_keys(right.number))
    rules = specification_of(left.kind).blocking_rules
    counted: dict[str, int] = {}
    for key in sorted(shared):
        rule = rules[key[0]][0]
        holder_count = view.postings(key, 0)[1]
        # Of several keys of one rule the one with the fewest holders finds the pair.
        counted[rule] = min(holder_count, counted.get(rule, holder_count))
    return tuple(SharedBlock(rule, count, phrase("block", f"{left.kind}.{rule}")) for rule, count in counted.items())


def blocks_without(reading: Reading, pair: PairExplanation) -> list[str]:
    """Return the blocking rules under which both records hold keys, none of them in common: what nearly finds them."""
    rules = specification_of(pair.left.kind).blocking_rules
    held: list[Iterable[int]] = [
        {key[0] for key in reading.view.posting_keys(each.number)} for each in (pair.left, pair.right)
    ]
    return [rules[index][0] for index in sorted(set(held[0]).intersection(held[1]))]
