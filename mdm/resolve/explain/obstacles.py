"""Why two records are not one golden record: everything that stands between them, the firmest first."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from mdm.domain.decision import Band, Evidence
from mdm.domain.events import MatchReason, Verdict
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.state import pair_of
from mdm.limits import MEMBER_PAIRS_COMPARED_MAX
from mdm.linkage.evidence import standing_veto
from mdm.linkage.features import Features
from mdm.linkage.rules import SHARED_BY_NAMESAKES, SOLE
from mdm.linkage.specification import specification_of
from mdm.resolve.explain.counterfactuals import enough_alone
from mdm.resolve.explain.pairs import PairExplanation, Side, blocks_without, question_sentence
from mdm.resolve.explain.phrases import Sentence, either_of, measured, phrase, with_detail
from mdm.resolve.matcher import Consideration, Description, called_same, consider, features_of, goldens_compatible
from mdm.resolve.reading import Reading
from mdm.resolve.recall import Recall
from mdm.resolve.views import RecordState


class ObstacleKind(enum.StrEnum):
    """What stands between two records. In order: what nothing but people or the registry can mend comes first."""

    KIND = "kind"
    DELETED = "deleted"
    ERASED = "erased"
    PENDING = "pending"
    JUDGEMENT = "judgement"
    """Of this pair, or of two other members."""
    CLERK_CHOICE = "clerk_choice"
    VETO = "veto"
    MEMBER_VETO = "member_veto"
    """Between two other members, or over all of them."""
    LACK = "lack"
    BELOW_REVIEW = "below_review"
    BELOW_LINK = "below_link"
    NOT_COMPARED = "not_compared"
    BLOCK_TRUNCATED = "block_truncated"
    REFUSED_EDGE = "refused_edge"
    AMBIGUOUS = "ambiguous"
    MOVE_MARGIN = "move_margin"
    JOINT_EVIDENCE = "joint_evidence"
    TOO_LARGE = "too_large"
    NOT_RECONSIDERED = "not_reconsidered"
    """None at all: evidence changed since the last decision."""


class Obstacle(msgspec.Struct, frozen=True):
    """One thing that stands between two records."""

    kind: ObstacleKind
    sentence: Sentence
    detail: str = ""
    """Name of the veto or of what is missing; of blocking rules, one after the other."""
    missing_bits: float = 0.0
    """How far the weight lies below the threshold; 0 where none is meant."""
    records: tuple[RecordNumber, ...] = ()
    """The records in question, where they are not both of the pair."""
    rivals: tuple[GoldenId, ...] = ()
    """Golden records that exclude the link, the strongest first."""


class Enough(msgspec.Struct, frozen=True):
    """One thing that would be enough for a link, by itself."""

    name: str
    """A comparison of which both would have to state one value, or `judgement` or `steward`."""
    sentence: Sentence


class WhyNot(msgspec.Struct, frozen=True):
    """What keeps two records apart; nothing if they are one."""

    pair: PairExplanation
    obstacles: tuple[Obstacle, ...]
    enough: tuple[Enough, ...]


_FOR_GOOD = frozenset({ObstacleKind.KIND, ObstacleKind.DELETED, ObstacleKind.ERASED})
_OF_THE_PAIR = frozenset(
    {
        ObstacleKind.PENDING,
        ObstacleKind.VETO,
        ObstacleKind.LACK,
        ObstacleKind.BELOW_REVIEW,
        ObstacleKind.BELOW_LINK,
        ObstacleKind.NOT_COMPARED,
        ObstacleKind.BLOCK_TRUNCATED,
        ObstacleKind.REFUSED_EDGE,
    }
)
"""What one shared value more can mend."""


_KEYS_NAMED_MAX = 3
"""Blocking keys that a sentence names, those of the firmest rules; the detail names all."""


def why_not(reading: Reading, pair: PairExplanation) -> WhyNot:
    """Return what keeps an explained pair apart. Cost: that of a preview, and a veto for each pair of members."""
    if pair.are_one:
        return WhyNot(pair, (), ())
    found = [*_of_sides(pair), *_of_people(reading, pair)]
    if pair.comparison is not None:
        found += _of_evidence(pair)
        found += _of_members(reading, pair)
        found += _of_blocking(reading, pair)
        if not {each.kind for each in found} - {ObstacleKind.REFUSED_EDGE}:
            found += _of_decision(reading, pair)
    order = list(ObstacleKind)
    found.sort(key=lambda each: order.index(each.kind))
    return WhyNot(pair, tuple(found), tuple(_enough(pair, {each.kind for each in found})))


def _of_sides(pair: PairExplanation) -> Iterator[Obstacle]:
    if pair.left.kind is not pair.right.kind:
        yield Obstacle(ObstacleKind.KIND, phrase("obstacle", "kind"))
    for each in (pair.left, pair.right):
        kind = None
        if each.state is RecordState.DELETED:
            kind = ObstacleKind.DELETED
        elif each.record is None:
            kind = ObstacleKind.ERASED
        elif each.state is RecordState.PENDING:
            kind = ObstacleKind.PENDING
        if kind is not None:
            yield Obstacle(kind, phrase("obstacle", kind), records=(each.number,))


def _of_people(reading: Reading, pair: PairExplanation) -> Iterator[Obstacle]:
    lefts, rights = _members(reading, pair.left), set(_members(reading, pair.right))
    for number in lefts:
        entry = reading.view.record(number)
        for other in entry.judged if entry else ():
            if other in rights and reading.view.judgement(pair_of(number, other)) is Verdict.DIFFERENT:
                yield Obstacle(ObstacleKind.JUDGEMENT, phrase("obstacle", "judgement"), records=(number, other))
    for one, other_side in ((pair.left, pair.right), (pair.right, pair.left)):
        entry = reading.view.record(one.number)
        if entry is not None and set(entry.rejected).intersection(_members(reading, other_side)):
            yield Obstacle(ObstacleKind.CLERK_CHOICE, phrase("obstacle", "clerk_choice"), records=(one.number,))


def _of_evidence(pair: PairExplanation) -> Iterator[Obstacle]:
    found, thresholds = pair.comparison, pair.engine.model.thresholds
    if found is None:
        return
    bits = found.match_weight_bits
    if found.veto:
        sentence = with_detail(phrase("obstacle", "veto"), phrase("veto", found.veto))
        yield Obstacle(ObstacleKind.VETO, sentence, found.veto)
    if found.lack not in {"", SOLE}:
        sentence = with_detail(phrase("obstacle", "lack"), phrase("lack", found.lack))
        yield Obstacle(ObstacleKind.LACK, sentence, found.lack)
    for kind, threshold in (
        (ObstacleKind.BELOW_REVIEW, thresholds.review_bits),
        (ObstacleKind.BELOW_LINK, thresholds.link_bits),
    ):
        if bits < threshold:
            # What is missing for a link, also of a pair that nobody would be asked about.
            missing = thresholds.link_bits - bits
            yield Obstacle(kind, measured("short_of", phrase("obstacle", kind), missing), missing_bits=missing)
            break
    if pair.question is not None and pair.question.reason is MatchReason.REFUSED_EDGE:
        sentence = question_sentence(pair.question.reason, pair.question.detail)
        yield Obstacle(ObstacleKind.REFUSED_EDGE, sentence, pair.question.detail)


def _of_members(reading: Reading, pair: PairExplanation) -> Iterator[Obstacle]:
    lefts, rights = _members(reading, pair.left), _members(reading, pair.right)
    if len(lefts) * len(rights) > MEMBER_PAIRS_COMPARED_MAX:
        yield Obstacle(ObstacleKind.TOO_LARGE, phrase("obstacle", "too_large"))
        return
    sides: list[list[tuple[RecordNumber, Features]]] = [
        [(number, each) for number in numbers if (each := features_of(reading.view, pair.engine.kind, number))]
        for numbers in (lefts, rights)
    ]
    same = called_same(Recall(reading.view, pair.engine.kind), [*lefts, *rights])
    for number, one in sides[0]:
        for other, another in sides[1]:
            is_asked = (number, other) == (pair.left.number, pair.right.number)
            name = None if is_asked else standing_veto(one, another, same)
            if name is not None:
                yield _member_veto(name, (number, other))
                return
    name = specification_of(pair.engine.kind).rules.excess([each for side in sides for _, each in side])
    if name is not None:
        yield _member_veto(name, ())


def _member_veto(name: str, records: tuple[RecordNumber, ...]) -> Obstacle:
    sentence = with_detail(phrase("obstacle", "member_veto"), phrase("veto", name))
    return Obstacle(ObstacleKind.MEMBER_VETO, sentence, name, records=records)


def _of_blocking(reading: Reading, pair: PairExplanation) -> Iterator[Obstacle]:
    kind = pair.left.kind
    if RecordState.PENDING in {pair.left.state, pair.right.state}:
        # A pending record is posted under no key yet.
        return
    if not pair.shared_blocks:
        rules = blocks_without(reading, pair) or [rule for rule, _ in specification_of(kind).blocking_rules[:1]]
        wanted = [phrase("block", f"{kind}.{rule}") for rule in rules[:_KEYS_NAMED_MAX]]
        sentence = either_of("keys", phrase("obstacle", "not_compared"), wanted)
        yield Obstacle(ObstacleKind.NOT_COMPARED, sentence, " ".join(rules))
    elif all(each.is_truncated for each in pair.shared_blocks):
        rules = [each.rule for each in pair.shared_blocks]
        yield Obstacle(ObstacleKind.BLOCK_TRUNCATED, phrase("obstacle", "block_truncated"), " ".join(rules))


class _Stand(NamedTuple):
    """The record of a pair that a next write would decide anew, and the one that it would meet."""

    own: Side
    other: Side
    considered: Consideration


def _of_decision(reading: Reading, pair: PairExplanation) -> Iterator[Obstacle]:
    """Say what the machine would decide now about a pair that could link by itself."""
    stand = _stand(reading, pair)
    target = stand.other.golden_id
    decision = stand.considered.decision
    if target is None or target in decision.join:
        yield Obstacle(ObstacleKind.NOT_RECONSIDERED, phrase("obstacle", "not_reconsidered"))
        return
    rivals = _rivals(reading, stand, target)
    if rivals:
        yield Obstacle(ObstacleKind.AMBIGUOUS, phrase("obstacle", "ambiguous"), rivals=tuple(rivals))
        return
    held_by, asked = stand.considered.held_by, None
    if stand.considered.has_company and held_by is not None:
        if not goldens_compatible(Recall(reading.view, pair.engine.kind), pair.engine, held_by, target):
            yield Obstacle(ObstacleKind.JOINT_EVIDENCE, phrase("obstacle", "joint_evidence"))
        missing = _short_of_moving(stand, pair)
        if missing > 0:
            sentence = measured("short_of", phrase("obstacle", "move_margin"), missing)
            yield Obstacle(ObstacleKind.MOVE_MARGIN, sentence, missing_bits=missing)
    else:
        asked = next((each for each in decision.questions if each.number == stand.other.number), None)
    if asked is not None:
        yield Obstacle(ObstacleKind.AMBIGUOUS, question_sentence(asked.reason, asked.detail), asked.detail)


def _short_of_moving(stand: _Stand, pair: PairExplanation) -> float:
    """Return how many bits the record lacks to leave its present company for the other, as `decide` asks it."""
    considered, thresholds = stand.considered, pair.engine.thresholds
    if pair.comparison is None:
        return 0.0
    here = [each.match_weight_bits for each in considered.evidence if each.golden_id == considered.held_by]
    needed = max([thresholds.move_bits, *(bits + thresholds.lead_bits for bits in here)])
    return needed - pair.comparison.match_weight_bits


def _stand(reading: Reading, pair: PairExplanation) -> _Stand:
    """Take the record that is more likely to move: one without company, and of two the later one."""
    ranked = sorted((pair.left, pair.right), key=lambda each: (len(_members(reading, each)) > 1, -each.number))
    own, other = ranked
    entry, features = reading.view.record(own.number), reading.view.features(own.number)
    if entry is None or features is None or own.features is None:
        message = f"record {own.number} is explained and has no features"
        raise AssertionError(message)
    keys = reading.view.posting_keys(own.number)
    description = Description(own.kind, own.features, features, keys, ())
    return _Stand(own, other, consider(Recall(reading.view, pair.engine.kind), pair.engine, description, own.number))


def _rivals(reading: Reading, stand: _Stand, target: GoldenId) -> list[GoldenId]:
    """Return the golden records that keep the record from joining `target`, the strongest first."""
    engine = reading.engines[stand.own.kind]
    best: dict[GoldenId, Evidence] = {}
    for each in sorted(stand.considered.evidence, key=lambda each: -each.match_weight_bits):
        best.setdefault(each.golden_id, each)
    aim = best.get(target)
    if aim is None:
        return []
    floor = aim.match_weight_bits - engine.thresholds.lead_bits
    seen, rivals = Recall(reading.view, engine.kind), []
    for golden_id, each in best.items():
        if golden_id in {target, stand.own.golden_id} or each.band is Band.NONE or each.reason is MatchReason.VETO:
            continue
        is_namesake = aim.detail == SOLE and each.detail in SHARED_BY_NAMESAKES
        is_near = each.match_weight_bits > floor or golden_id in stand.considered.decision.join
        if is_namesake or (is_near and not goldens_compatible(seen, engine, target, golden_id)):
            rivals.append(golden_id)
    return rivals


def _enough(pair: PairExplanation, kinds: set[ObstacleKind]) -> Iterator[Enough]:
    if kinds & _FOR_GOOD:
        return
    if ObstacleKind.JUDGEMENT in kinds:
        yield Enough("judgement", phrase("enough", "judgement"))
        return
    left, right = pair.left.features, pair.right.features
    if left is not None and right is not None and kinds <= _OF_THE_PAIR:
        for name in enough_alone(pair.engine, left, right):
            yield Enough(name, phrase("enough", f"{pair.engine.kind}.{name}"))
    found, asks = pair.comparison, kinds - {ObstacleKind.PENDING, ObstacleKind.NOT_RECONSIDERED}
    if asks and found is not None and found.match_weight_bits >= pair.engine.model.thresholds.review_bits:
        yield Enough("steward", phrase("enough", "steward"))


def _members(reading: Reading, each: Side) -> tuple[RecordNumber, ...]:
    golden = reading.view.golden(each.golden_id) if each.golden_id else None
    return golden.members if golden else (each.number,)
