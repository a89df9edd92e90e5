"""What another model would change, found on a seeded sample of golden records before anything is activated.

Every candidate pair of a sampled golden record is weighed under both models and the present statistics. Comparison
levels are the same under both, so a pair is compared once and weighed twice.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import msgspec
import numpy as np

from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.state import pair_of
from mdm.limits import MODEL_PATTERNS_SHOWN
from mdm.linkage.comparisons import Comparison
from mdm.linkage.evidence import assess, compatible
from mdm.linkage.features import Features
from mdm.linkage.scorer import ScoredPair
from mdm.resolve.engines import Engine
from mdm.resolve.matcher import candidates_of, features_of
from mdm.store.index import Index
from mdm.store.view import IndexView

DRAWS_PER_GOLDEN_RECORD = 200
"""Record numbers drawn at most for one golden record of the sample: businesses are one record in fifteen, and three
records share one."""


class BandChange(msgspec.Struct, frozen=True):
    """Pairs that go from one band to another, or stay."""

    before: Band
    after: Band
    pair_count: int


class Pattern(msgspec.Struct, frozen=True):
    """Pairs with the same comparison levels and the same change of band."""

    levels: tuple[str, ...]
    """`comparison=level`, in the order of the comparisons; what cannot be compared is left out."""
    before: Band
    after: Band
    pair_count: int
    shift_bits: float
    """Mean change of the match weight."""


class ModelComparison(msgspec.Struct, frozen=True):
    """What a candidate model changes against a base. Holds no value and names no record."""

    base_digest: str
    candidate_digest: str
    golden_record_count: int
    """Live golden records of the kind; estimated unless all were sampled."""
    sampled_count: int
    """Of them, those whose pairs were weighed."""
    pair_count: int
    near_pair_count: int
    """Pairs that at least one model links or puts to a steward."""
    changes: tuple[BandChange, ...]
    """Of the near pairs, every combination that occurs, most frequent first."""
    shift_bits: tuple[float, float, float, float, float]
    """Least, 5 %, median, 95 % and largest change of a near pair's weight."""
    patterns: tuple[Pattern, ...]
    """Those with the largest change, largest first."""
    merged_count: int
    """Golden records of the whole kind that would be joined with another, as the sample predicts."""
    split_count: int
    """Golden records of the whole kind whose members would no longer hold together."""

    @property
    def band_change_share(self) -> float:
        """Share of the near pairs that change their band, from 0 to 1."""
        changed = sum(each.pair_count for each in self.changes if each.before is not each.after)
        return changed / self.near_pair_count if self.near_pair_count else 0.0


class _Tally:
    """What was seen of the sample so far."""

    def __init__(self, base: Engine, candidate: Engine) -> None:
        self.base = base
        self.candidate = candidate
        self.bands: dict[tuple[RecordNumber, RecordNumber], tuple[Band, Band]] = {}
        """Before and after, by pair: another member or another sampled golden record may meet the pair again."""
        self.changes: Counter[tuple[Band, Band]] = Counter()
        self.shifts: list[float] = []
        self.patterns: defaultdict[tuple[tuple[int, ...], Band, Band], list[float]] = defaultdict(list)
        self.merged_count = 0
        self.split_count = 0


def compare_models(index: Index, base: Engine, candidate: Engine, *, sample_count: int, seed: int) -> ModelComparison:
    """Weigh a sample of the city under two models.

    Args:
        index: Read in short transactions, so that writes go on.
        base: The model to compare with, and the statistics in force.
        candidate: The other model of the same kind, with the same statistics.
        sample_count: Golden records to look at; fewer if there are fewer.
        seed: Of the sample. The same index, models, count and seed give the same answer.

    Cost: about 1 ms a golden record.
    """
    kind = base.kind
    tally = _Tally(base, candidate)
    sampled, golden_count = golden_sample(index, kind, sample_count, seed)
    for golden_id in sampled:
        with index.read() as view:
            _weigh(view, golden_id, tally)
    scale = golden_count / max(len(sampled), 1)
    shifts = np.quantile(tally.shifts, (0.0, 0.05, 0.5, 0.95, 1.0)) if tally.shifts else np.zeros(5)
    least, low, median, high, largest = (round(float(each), 3) for each in shifts)
    return ModelComparison(
        base_digest=base.model_digest,
        candidate_digest=candidate.model_digest,
        golden_record_count=golden_count,
        sampled_count=len(sampled),
        pair_count=len(tally.bands),
        near_pair_count=tally.changes.total(),
        changes=tuple(BandChange(*bands, count) for bands, count in sorted(tally.changes.items(), key=_most_frequent)),
        shift_bits=(least, low, median, high, largest),
        patterns=_largest(tally, base.model.specification.comparisons),
        merged_count=round(tally.merged_count * scale),
        split_count=round(tally.split_count * scale),
    )


def golden_sample(index: Index, kind: EntityKind, sample_count: int, seed: int) -> tuple[list[GoldenId], int]:
    """Return golden records, each as likely as any other, and how many there are in all.

    A golden record is taken when its first member is drawn, so a large one has no more chances than a small one.
    """
    sampled: list[GoldenId] = []
    with index.read() as view:
        last = view.last_number()
        draws = random.Random(seed).sample(range(1, last + 1), min(last, DRAWS_PER_GOLDEN_RECORD * sample_count))
        drawn = 0
        for number in draws:
            if len(sampled) == sample_count:
                break
            drawn += 1
            entry = view.record(RecordNumber(number))
            if entry is None or entry.kind is not kind or entry.golden_id is None:
                continue
            golden = view.golden(entry.golden_id)
            if golden is not None and golden.members[0] == number:
                sampled.append(entry.golden_id)
    return sampled, round(len(sampled) * last / max(drawn, 1))


def _weigh(view: IndexView, golden_id: GoldenId, tally: _Tally) -> None:
    golden = view.golden(golden_id)
    members = golden.members if golden else ()
    held_before: list[tuple[RecordNumber, RecordNumber]] = []
    held_after: list[tuple[RecordNumber, RecordNumber]] = []
    linked_before: set[GoldenId] = set()
    linked_after: set[GoldenId] = set()
    kind = tally.base.kind
    for number in members:
        features = features_of(view, kind, number)
        if features is None:
            continue
        found = candidates_of(view, kind, view.posting_keys(number), number).numbers
        others = [(other, each) for other in found if (each := features_of(view, kind, other)) is not None]
        scored = tally.base.scorer.score(features, [each for _, each in others])
        for (other, other_features), pair in zip(others, scored, strict=True):
            key = pair_of(number, other)
            if key not in tally.bands:
                if view.judgement(key) is not None:
                    # What a steward said stands under every model.
                    continue
                tally.bands[key] = _note(tally, features, other_features, pair)
            before, after = tally.bands[key]
            entry = view.record(other)
            other_id = entry.golden_id if entry else None
            if other_id == golden_id:
                held_before += [key] * (before is Band.LINK)
                held_after += [key] * (after is Band.LINK)
            elif other_id is not None:
                linked_before |= {other_id} if before is Band.LINK else set()
                linked_after |= {other_id} if after is Band.LINK else set()
    tally.split_count += _part_count(members, held_after) > _part_count(members, held_before)
    tally.merged_count += any(
        _may_join(view, golden_id, other_id, tally.candidate) for other_id in sorted(linked_after - linked_before)
    )


def _note(tally: _Tally, left: Features, right: Features, pair: ScoredPair) -> tuple[Band, Band]:
    base, candidate = tally.base, tally.candidate
    levels, base_bits = pair.levels, pair.match_weight_bits
    bits = candidate.scorer.weight(levels, left, right)
    before = assess(base.kind, levels, left, right, base_bits, base.model, base.epoch).band
    after = assess(base.kind, levels, left, right, bits, candidate.model, candidate.epoch).band
    if Band.NONE is not before or Band.NONE is not after:
        tally.changes[before, after] += 1
        tally.shifts.append(bits - base_bits)
        tally.patterns[levels, before, after].append(bits - base_bits)
    return before, after


def _may_join(view: IndexView, one: GoldenId, other: GoldenId, candidate: Engine) -> bool:
    sides = []
    for golden_id in (one, other):
        golden = view.golden(golden_id)
        members = golden.members if golden else ()
        sides.append([each for n in members if (each := features_of(view, candidate.kind, n)) is not None])
    return bool(sides[0] and sides[1]) and compatible(sides[0], sides[1], candidate.scorer)


def _part_count(members: tuple[RecordNumber, ...], links: list[tuple[RecordNumber, RecordNumber]]) -> int:
    part_of = {number: {number} for number in members}
    for left, right in links:
        if part_of[left] is not part_of[right]:
            joined = part_of[left] | part_of[right]
            part_of.update(dict.fromkeys(joined, joined))
    return len({id(part) for part in part_of.values()})


def _most_frequent(item: tuple[tuple[Band, Band], int]) -> tuple[int, str, str]:
    (before, after), count = item
    return -count, before.name, after.name


def _largest(tally: _Tally, comparisons: tuple[Comparison, ...]) -> tuple[Pattern, ...]:
    def shift(item: tuple[tuple[tuple[int, ...], Band, Band], list[float]]) -> tuple[float, tuple[int, ...]]:
        (levels, _, _), shifts = item
        return -abs(sum(shifts) / len(shifts)), levels

    patterns = []
    for (levels, before, after), shifts in sorted(tally.patterns.items(), key=shift)[:MODEL_PATTERNS_SHOWN]:
        found = [(each.name, each.level_at(value)) for each, value in zip(comparisons, levels, strict=True)]
        said = tuple(f"{name}={level.label}" for name, level in found if not level.is_missing)
        patterns.append(Pattern(said, before, after, len(shifts), round(sum(shifts) / len(shifts), 3)))
    return tuple(patterns)
