"""The batch half of resolution: a snapshot's records → pairs → bands → clusters and questions.

A pure function of the records, the judgements and the model: the present golden records have no say, so a second
run over the same records finds the same clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason
from mdm.domain.keys import RecordNumber
from mdm.limits import FEATURES_CACHED_MAX, POPULATION_ROUNDS_MAX
from mdm.linkage.adaptation import tightened
from mdm.linkage.cluster import Clustering, Edge, Namesakes, cluster
from mdm.linkage.codec import decode_features
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import assess, compatible, contradiction, veto
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.rules import SOLE
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.linkage.splink_engine import PredictionReport, predict
from mdm.resolve.relink_plan import Cluster, Weakest
from mdm.resolve.relink_runs import Question

PRIOR_SLACK_BITS = 2.0
"""How far the prior may move between rounds before the pairs are scored anew."""

POPULATION_SETTLED_SHARE = 0.005
"""A population known to half a per cent moves the prior by 0.01 bits."""

Pair = tuple[RecordNumber, RecordNumber]
Progress = Callable[[str, int, int], None]


class People(msgspec.Struct, frozen=True):
    """What people said about pairs of records."""

    same: frozenset[Pair] = frozenset()
    different: frozenset[Pair] = frozenset()
    chosen: frozenset[Pair] = frozenset()
    """Pairs that a clerk at a counter called the same: evidence, below a judgement."""
    rejected: frozenset[Pair] = frozenset()

    def labels(self) -> dict[tuple[int, int], int]:
        """Return 1 for pairs that are of one bearer and 0 for two; stewards outrank clerks."""
        return {
            **dict.fromkeys(self.rejected, 0),
            **dict.fromkeys(self.chosen, 1),
            **dict.fromkeys(self.different, 0),
            **dict.fromkeys(self.same, 1),
        }

    def placed(self, place_of: Mapping[RecordNumber, RecordNumber]) -> People:
        """Return what was said of these records, under other numbers."""
        return People(*(_renamed_pairs(pairs, place_of) for pairs in msgspec.structs.astuple(self)))


class Linked(msgspec.Struct, frozen=True):
    """What linkage found."""

    clusters: list[Cluster]
    """A partition of all records, in the order of their first members."""
    weakest: dict[RecordNumber, Weakest]
    """By the first member of a cluster."""
    questions: list[Question]
    epoch: StatisticsEpoch
    prediction: PredictionReport
    linked_pair_count: int
    refused_pair_count: int
    model: Model
    """With the thresholds that judgements ask for."""

    def renamed(self, number_of: Mapping[RecordNumber, RecordNumber]) -> Linked:
        """Return the same under other numbers."""
        clusters: list[Cluster] = []
        weakest: dict[RecordNumber, Weakest] = {}
        for members in self.clusters:
            cluster = tuple(sorted(number_of[member] for member in members))
            clusters.append(cluster)
            edge = self.weakest.get(members[0])
            if edge is not None:
                ends = _ordered(number_of[edge.left], number_of[edge.right])
                weakest[cluster[0]] = Weakest(*ends, edge.match_weight_bits)
        questions = []
        for asked in self.questions:
            left, right = _ordered(number_of[asked.left], number_of[asked.right])
            questions.append(msgspec.structs.replace(asked, left=left, right=right))
        return msgspec.structs.replace(self, clusters=sorted(clusters), weakest=weakest, questions=questions)


class _Bands(msgspec.Struct):
    edges: list[Edge]
    questions: list[Question]
    namesakes: Namesakes


class Records:
    """The features of one kind's records, encoded in memory and decoded as needed."""

    def __init__(self, kind: str, encoded: Mapping[RecordNumber, bytes]) -> None:
        """Take over the encoded features."""
        self.kind = kind
        self.encoded = encoded
        self.features = lru_cache(FEATURES_CACHED_MAX)(self._features)

    def _features(self, number: int) -> AnyFeatures:
        return decode_features(self.kind, self.encoded[RecordNumber(number)])


def link(
    records: Records,
    snapshot: Path,
    model: Model,
    epoch: StatisticsEpoch,
    people: People,
    *,
    is_tightened: bool = True,
    memory_limit: str,
    progress: Progress,
) -> Linked:
    """Partition the records.

    Args:
        records: All live records of one kind.
        snapshot: The same records as Parquet.
        model: Of this kind.
        epoch: Name frequencies of this snapshot; its population is where the search for the real one starts.
        people: Judgements and choices about these records.
        is_tightened: Whether judgements may raise the link threshold.
        memory_limit: For DuckDB.
        progress: Told of each stage.
    """
    pairs = snapshot.with_suffix(".pairs.parquet")
    scored_under: StatisticsEpoch | None = None
    prediction = PredictionReport(0, 0, 0, 0)
    for _ in range(POPULATION_ROUNDS_MAX):
        if scored_under is None or abs(epoch.prior_bits - scored_under.prior_bits) > PRIOR_SLACK_BITS:
            threshold = model.thresholds.review_bits - PRIOR_SLACK_BITS
            prediction = predict(
                snapshot,
                model,
                epoch,
                pairs,
                threshold_bits=threshold,
                memory_limit=memory_limit,
                progress=lambda _stage, done, total: progress("comparing", done, total),
            )
            if is_tightened and scored_under is None:
                rows = _pairs(pairs, 0.0, len(model.specification.comparisons))
                model, _ = tightened(model, rows, records.features, epoch, people.labels())
            scored_under = epoch
        scorer = compile_scorer(model, epoch)
        shift = epoch.prior_bits - scored_under.prior_bits
        progress("clustering", 0, prediction.kept_pairs)
        bands = _bands(_pairs(pairs, shift, len(model.specification.comparisons)), records, model, epoch, people)
        bands.questions += _chosen_against_the_evidence(bands, records, scorer, people)
        edges = _unambiguous(bands, records, scorer, model.thresholds.lead_bits, people)
        clustering = cluster(
            edges,
            records.features,
            scorer,
            namesakes=bands.namesakes,
            same=sorted(people.same),
            different=sorted(people.different),
        )
        population = len(records.encoded) - sum(len(members) - 1 for members in clustering.clusters)
        if abs(population - epoch.population) <= POPULATION_SETTLED_SHARE * epoch.population:
            break
        epoch = epoch.with_population(population)
    pairs.unlink(missing_ok=True)
    return _linked(records, clustering, [*edges, *bands.namesakes.sole], bands.questions, epoch, prediction, model)


def _pairs(path: Path, shift_bits: float, level_count: int) -> Iterator[tuple[int, int, float, tuple[int, ...]]]:
    """Yield left, right, match weight under the present prior, and levels."""
    for batch in pq.ParquetFile(path).iter_batches(batch_size=50_000):
        columns = [column.to_pylist() for column in batch.columns]
        lefts, rights, bits = columns[:3]
        levels = zip(*columns[3 : 3 + level_count], strict=True)
        for left, right, weight, row in zip(lefts, rights, bits, levels, strict=True):
            yield left, right, weight + shift_bits, row


def _bands(
    pairs: Iterable[tuple[int, int, float, tuple[int, ...]]],
    records: Records,
    model: Model,
    epoch: StatisticsEpoch,
    people: People,
) -> _Bands:
    found = _Bands([], [], Namesakes([], []))
    for left, right, bits, levels in pairs:
        pair = (RecordNumber(left), RecordNumber(right))
        if bits < model.thresholds.review_bits or pair in people.different or pair in people.same:
            continue
        assessed = assess(records.kind, levels, records.features(left), records.features(right), bits, model, epoch)
        reason, detail = assessed.reason or MatchReason.WEIGHT, assessed.detail
        band = assessed.band
        if pair in people.chosen and reason is not MatchReason.VETO and band is not Band.NONE:
            band, detail = Band.LINK, ""
        elif band is Band.LINK and pair in people.rejected:
            band, reason, detail = Band.REVIEW, MatchReason.VETO, "clerk_rejected"
        if assessed.is_namesake:
            found.namesakes.pairs.append((left, right))
        if band is Band.LINK and detail == SOLE:
            found.namesakes.sole.append(Edge(left, right, bits))
        elif band is Band.LINK:
            found.edges.append(Edge(left, right, bits))
        elif band is Band.REVIEW:
            found.questions.append(Question(*pair, reason, bits, detail))
    return found


def _chosen_against_the_evidence(bands: _Bands, records: Records, scorer: Scorer, people: People) -> list[Question]:
    """Return the questions that clerks raised about pairs whose values hardly fit."""
    seen = {(edge.left, edge.right) for edge in bands.edges} | {(each.left, each.right) for each in bands.questions}
    questions = []
    for left, right in sorted(people.chosen - people.same - people.different - seen):
        one, other = records.features(left), records.features(right)
        if veto(one, other) is None:
            bits = scorer.score(one, [other])[0].match_weight_bits
            questions.append(Question(left, right, MatchReason.WEIGHT, bits, "clerk_chosen"))
    return questions


def _unambiguous(bands: _Bands, records: Records, scorer: Scorer, lead_bits: float, people: People) -> list[Edge]:
    """Take out the edges of a record whose best two partners exclude each other and lie too close; they are asked."""
    partners: dict[int, list[tuple[float, int]]] = {}
    for edge in bands.edges:
        partners.setdefault(edge.left, []).append((edge.match_weight_bits, edge.right))
        partners.setdefault(edge.right, []).append((edge.match_weight_bits, edge.left))
    unclear: set[Pair] = set()
    for number, near in partners.items():
        if len(near) < 2:  # noqa: PLR2004  (a rival takes two)
            continue
        near.sort(key=lambda each: (-each[0], each[1]))
        best_bits, best = near[0]
        for bits, other in near[1:]:
            if math.isclose(best_bits, bits) or best_bits - bits < lead_bits:
                if not compatible([records.features(best)], [records.features(other)], scorer):
                    unclear.update({_ordered(number, best), _ordered(number, other)})
            else:
                break
    unclear -= people.chosen
    kept = []
    for edge in bands.edges:
        if (RecordNumber(edge.left), RecordNumber(edge.right)) in unclear:
            question = Question(
                RecordNumber(edge.left),
                RecordNumber(edge.right),
                MatchReason.AMBIGUOUS,
                edge.match_weight_bits,
                "",
            )
            bands.questions.append(question)
        else:
            kept.append(edge)
    return kept


def _renamed_pairs(pairs: Iterable[Pair], number_of: Mapping[RecordNumber, RecordNumber]) -> frozenset[Pair]:
    known = [(number_of[left], number_of[right]) for left, right in pairs if left in number_of and right in number_of]
    return frozenset(_ordered(left, right) for left, right in known)


def _ordered(one: int, other: int) -> Pair:
    return (RecordNumber(min(one, other)), RecordNumber(max(one, other)))


def _linked(
    records: Records,
    clustering: Clustering,
    edges: list[Edge],
    questions: list[Question],
    epoch: StatisticsEpoch,
    prediction: PredictionReport,
    model: Model,
) -> Linked:
    clusters: list[Cluster] = [tuple(RecordNumber(number) for number in members) for members in clustering.clusters]
    grouped = {number: members for members in clusters for number in members}
    clusters.extend((number,) for number in records.encoded if number not in grouped)
    clusters.sort()
    apart = {(edge.left, edge.right) for edge in (*clustering.refused, *clustering.ambiguous)}
    weakest: dict[RecordNumber, Weakest] = {}
    for edge in edges:
        left, right = RecordNumber(edge.left), RecordNumber(edge.right)
        if (edge.left, edge.right) in apart or grouped.get(left) is not grouped.get(right):
            continue
        first = grouped[left][0]
        if first not in weakest or edge.match_weight_bits < weakest[first].match_weight_bits:
            weakest[first] = Weakest(left, right, edge.match_weight_bits)
    asked = [
        *questions,
        *(
            Question(
                RecordNumber(edge.left),
                RecordNumber(edge.right),
                reason,
                edge.match_weight_bits,
                "",
            )
            for reason, edges_left in (
                (MatchReason.REFUSED_EDGE, clustering.refused),
                (MatchReason.AMBIGUOUS, clustering.ambiguous),
            )
            for edge in edges_left
        ),
    ]
    asked = [question for question in asked if _may_be_answered(question, records, grouped)]
    asked.sort(key=lambda question: (question.left, question.right))
    return Linked(clusters, weakest, asked, epoch, prediction, len(edges), len(clustering.refused), model)


def _may_be_answered(question: Question, records: Records, grouped: Mapping[RecordNumber, Cluster]) -> bool:
    """Return whether "same" is a possible answer: nothing else tells the two clusters apart already."""
    if question.reason in {MatchReason.VETO, MatchReason.REFUSED_EDGE}:
        return True
    left, right = (
        [records.features(number) for number in grouped.get(end, (end,))] for end in (question.left, question.right)
    )
    return contradiction(left, right) is None
