"""How a golden record grew and what holds it together: every pair of members judged anew, its tree, its bridges."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from mdm.domain.decision import Band
from mdm.domain.events import Verdict
from mdm.domain.keys import GoldenId, RecordNumber, SourceKey, kind_of
from mdm.domain.state import GoldenEntry, pair_of
from mdm.errors import LimitExceededError
from mdm.limits import BRIDGES_SHOWN_MAX, GOLDEN_MEMBERS_EXPLAINED_MAX
from mdm.linkage.evidence import Assessment, assess
from mdm.linkage.features import Features
from mdm.resolve.engines import Engine
from mdm.resolve.explain.evidence_graph import bridges, connected_parts, strongest_tree
from mdm.resolve.explain.history import HistoryEntry, gains, keys_of
from mdm.resolve.explain.pairs import Side, side
from mdm.resolve.explain.phrases import Sentence, named, phrase, weighed
from mdm.resolve.reading import Reading
from mdm.resolve.views import GoldenState, golden_state


class EvidenceEdge(msgspec.Struct, frozen=True):
    """The evidence of one pair within a golden record."""

    left: RecordNumber
    right: RecordNumber
    match_weight_bits: float
    band: Band
    judgement: Verdict | None
    detail: str
    """Name of the veto or of what is missing; empty if the pair would link."""
    sentence: Sentence


class BridgeRecord(msgspec.Struct, frozen=True):
    """A member without which a part falls into several, the largest first."""

    number: RecordNumber
    parts: tuple[tuple[RecordNumber, ...], ...]


class HowGolden(msgspec.Struct, frozen=True):
    """What holds a golden record together."""

    requested: GoldenId
    golden_id: GoldenId | None
    """The surviving ID; None when retired."""
    state: GoldenState
    engine: Engine
    members: tuple[Side, ...]
    edges: tuple[EvidenceEdge, ...]
    """A spanning tree over the members with values, the strongest edge first: pairs that a steward called the same,
    then pairs that would link, then the others, each by weight."""
    part_count: int
    """Parts into which the members fall by pairs that would link or were called the same; 0 without members."""
    bridges: tuple[BridgeRecord, ...]
    """At most `BRIDGES_SHOWN_MAX`, those that hold the most together first."""
    bridge_count: int
    steps: tuple[HistoryEntry, ...]
    """How its present members came, the oldest first."""
    keys: dict[RecordNumber, SourceKey]
    """Of the records that the steps name."""
    read_seq: int

    @property
    def erased_count(self) -> int:
        """Members whose values were erased, and which are compared with nobody."""
        return sum(each.features is None for each in self.members)


_SAME_RANK = 1e6
_LINK_RANK = 1e3
"""Added to the weight of pairs that would link: above any weight, as a judgement is above them."""


def how_golden(reading: Reading, requested: GoldenId, entry: GoldenEntry) -> HowGolden:
    """Judge every pair of members. Cost: about 25 µs a pair, so a second for 300 members and about 1 ms for ten.

    Raises:
        LimitExceededError: More than `GOLDEN_MEMBERS_EXPLAINED_MAX` members.
    """
    view = reading.view
    surviving = entry.survivor or requested
    golden = view.golden(surviving) or entry
    if len(golden.members) > GOLDEN_MEMBERS_EXPLAINED_MAX:
        raise LimitExceededError(
            f"the golden record has {len(golden.members)} members, at most {GOLDEN_MEMBERS_EXPLAINED_MAX} are explained"
        )
    engine = reading.engines[kind_of(requested)]
    members = tuple(side(reading, number) for number in golden.members)
    graph = _Graph(reading, engine, [each for each in members if each.features is not None])
    found = graph.bridges()
    steps = tuple(gains(reading, surviving, set(golden.members)))
    return HowGolden(
        requested,
        None if entry.is_retired else surviving,
        golden_state(entry),
        engine,
        members,
        tuple(graph.tree()),
        len(graph.parts()),
        tuple(found[:BRIDGES_SHOWN_MAX]),
        len(found),
        steps,
        keys_of(reading, steps),
        view.applied_seq,
    )


class _Graph:
    """All pairs of some members. Places are those of `members`."""

    def __init__(self, reading: Reading, engine: Engine, members: Sequence[Side]) -> None:
        self._numbers = [each.number for each in members]
        features = [each.features for each in members if each.features is not None]
        count = len(features)
        self._ranks = np.full((count, count), -np.inf)
        self._judgements = _judgements(reading, self._numbers)
        self._engine = engine
        self._features = features
        self._neighbours: list[list[int]] = [[] for _ in features]
        for place in range(count - 1):
            for other, rank, bits in self._judged(place):
                self._ranks[place, other] = self._ranks[other, place] = rank + bits
                if rank:
                    self._neighbours[place].append(other)
                    self._neighbours[other].append(place)

    def tree(self) -> list[EvidenceEdge]:
        """Return the strongest tree, its strongest edge first."""
        return [self._edge(*sorted(edge)) for edge in strongest_tree(self._ranks)]

    def parts(self) -> list[list[int]]:
        """Return what hangs together by pairs that would link."""
        return connected_parts(self._neighbours)

    def bridges(self) -> list[BridgeRecord]:
        """Return the members that hold a part together, first those that hold the most besides its largest rest."""
        found = sorted(bridges(self._neighbours), key=lambda each: (-sum(map(len, each.parts[1:])), each.place))
        return [
            BridgeRecord(
                self._numbers[each.place],
                tuple(tuple(self._numbers[place] for place in part) for part in each.parts),
            )
            for each in found
        ]

    def _judged(self, place: int) -> list[tuple[int, float, float]]:
        """Return for each later place its rank, 0 if the pair would not link, and its weight."""
        engine, left = self._engine, self._features[place]
        others = self._features[place + 1 :]
        rows = []
        for offset, (right, (levels, bits)) in enumerate(
            zip(others, engine.scorer.score(left, others), strict=True), start=place + 1
        ):
            judgement = self._judgements.get(pair_of(self._numbers[place], self._numbers[offset]))
            rank = 0.0
            if judgement is Verdict.SAME:
                rank = _SAME_RANK
            elif judgement is None and self._assessed(levels, left, right, bits).band is Band.LINK:
                rank = _LINK_RANK
            rows.append((offset, rank, bits))
        return rows

    def _assessed(self, levels: tuple[int, ...], left: Features, right: Features, bits: float) -> Assessment:
        engine = self._engine
        return assess(engine.kind, levels, left, right, bits, engine.model, engine.epoch)

    def _edge(self, place: int, other: int) -> EvidenceEdge:
        left, right = self._features[place], self._features[other]
        levels, bits = self._engine.scorer.score(left, [right])[0]
        found = self._assessed(levels, left, right, bits)
        pair = pair_of(self._numbers[place], self._numbers[other])
        judgement = self._judgements.get(pair)
        detail = "" if found.band is Band.LINK else found.detail
        said = phrase("judgement", judgement) if judgement else named(detail) or phrase("band", found.band)
        return EvidenceEdge(*pair, bits, found.band, judgement, detail, weighed(said, bits))


def _judgements(reading: Reading, numbers: Sequence[RecordNumber]) -> dict[tuple[RecordNumber, RecordNumber], Verdict]:
    members = set(numbers)
    found = {}
    for number in numbers:
        entry = reading.view.record(number)
        for other in entry.judged if entry else ():
            verdict = reading.view.judgement(pair_of(number, other)) if other in members else None
            if verdict is not None:
                found[pair_of(number, other)] = verdict
    return found
