"""The batch half of resolution: a snapshot's records → pairs → bands → clusters and questions.

A pure function of the records, the judgements and the model: the present golden records have no say, so a second
run over the same records finds the same clusters.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import chain, starmap
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.domain.events import MatchReason
from mdm.domain.keys import RecordNumber
from mdm.limits import FEATURES_CACHED_MAX, POPULATION_ROUNDS_MAX
from mdm.linkage.adaptation import tightened
from mdm.linkage.cluster import Clustering, Edges, Namesakes, Ties, cluster
from mdm.linkage.codec import decode_features
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import contradiction
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import are_among, is_first
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import RuleColumns, read_rule_columns
from mdm.linkage.splink_engine import PredictionReport, Workspace, predict
from mdm.resolve.relink_bands import ScoredPairs, ambiguous, bands, chosen_against_the_evidence, question
from mdm.resolve.relink_runs import Question
from mdm.resolve.relink_snapshot import People

PRIOR_SLACK_BITS = 2.0
"""How far the prior may move between rounds before the pairs are scored anew."""

POPULATION_SETTLED_SHARE = 0.005
"""A population known to half a per cent moves the prior by 0.01 bits."""

SAMPLE_PARTS = 6_000
"""Connected parts whose clusters tell what the evidence takes from links by weight: 2 % of some 12,000, to 0.13 %."""

Cluster = tuple[RecordNumber, ...]
Progress = Callable[[str, int, int], None]


class Weakest(msgspec.Struct, frozen=True):
    """The edge of a cluster that carried the least weight."""

    left: int
    right: int
    match_weight_bits: float


class Linked(msgspec.Struct, frozen=True):
    """What linkage found, in places of the snapshot."""

    clusters: list[Cluster]
    """A partition of all records, in the order of their first members."""
    cluster_of: NDArray[np.int64]
    """By place, the position of its cluster; -1 for a place that holds no record."""
    weakest: dict[int, Weakest]
    """By position in `clusters`, for those that edges hold together."""
    questions: list[Question]
    epoch: StatisticsEpoch
    prediction: PredictionReport
    linked_pair_count: int
    refused_pair_count: int
    model: Model
    """With the thresholds that judgements ask for."""


class Records:
    """The features of one kind's records, encoded and decoded as needed."""

    def __init__(self, kind: str, encoded: Mapping[RecordNumber, bytes]) -> None:
        """Take over the encoded features."""
        self.kind = kind
        self.encoded = encoded
        self.features = lru_cache(FEATURES_CACHED_MAX)(self._features)

    def _features(self, number: int) -> AnyFeatures:
        return decode_features(self.kind, self.encoded[RecordNumber(number)])


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking millions of objects without a cycle, which took a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_no_collection()
def link(
    records: Records,
    workspace: Workspace,
    model: Model,
    epoch: StatisticsEpoch,
    people: People,
    *,
    is_tightened: bool = True,
    progress: Progress,
) -> Linked:
    """Partition the records. A prediction that a killed run left beside the snapshot is taken up.

    Args:
        records: All live records of one kind.
        workspace: Over a snapshot of the same records.
        model: Of this kind.
        epoch: Name frequencies of this snapshot; its population is where the search for the real one starts.
        people: Judgements and choices about these records.
        is_tightened: Whether judgements may raise the link threshold.
        progress: Told of each stage.
    """
    with ThreadPoolExecutor(1) as aside:
        columns = aside.submit(read_rule_columns, workspace.snapshot, model.kind)
        search = _Search(records, workspace, columns, model, people, progress)
        prediction, pairs, scored_under = search.predicted(epoch)
    if is_tightened:
        model, _ = tightened(model, pairs.rows(), records.features, epoch, people.labels())
    sample = pairs.sample(SAMPLE_PARTS)
    if len(sample.left) < len(pairs.left):
        # A round over a sample brings the population so near that one over everything mostly settles it.
        # Judgements about other records would count as joined by the sample's weights.
        found = search._replace(people=people.among(sample.records())).decided(sample, model, epoch, scored_under)
        link_bits = model.thresholds.link_bits
        share = found.joined_count / max(sample.joined_by_weight(link_bits), 1)
        joined_count = round(share * pairs.joined_by_weight(link_bits))
        epoch = epoch.with_population(max(len(records.encoded) - joined_count, 1))
    population = epoch.population
    for _ in range(POPULATION_ROUNDS_MAX):
        epoch = epoch.with_population(population)
        if abs(epoch.prior_bits - scored_under.prior_bits) > PRIOR_SLACK_BITS:
            prediction, pairs, scored_under = search.predicted(epoch)
        found = search.decided(pairs, model, epoch, scored_under)
        population = len(records.encoded) - found.joined_count
        if abs(population - epoch.population) <= POPULATION_SETTLED_SHARE * epoch.population:
            break
    return _linked(records, found, model, epoch, prediction, Ties(people.same))


class _Decided(NamedTuple):
    """What one round made of the pairs."""

    edges: Edges
    namesakes: Namesakes
    questions: list[Question]
    clustering: Clustering

    @property
    def joined_count(self) -> int:
        """How many records joined another one."""
        return sum(len(members) - 1 for members in self.clustering.clusters)


class _Search(NamedTuple):
    """What stays the same from round to round of the search for the population."""

    records: Records
    workspace: Workspace
    columns: Future[RuleColumns]
    model: Model
    people: People
    progress: Progress

    def predicted(self, epoch: StatisticsEpoch) -> tuple[PredictionReport, ScoredPairs, StatisticsEpoch]:
        """Score all candidate pairs, or read them where that was done before."""
        # Before the first chunk: until it is told, a run shows the stage before this one.
        self.progress("comparing", 0, 1)
        output = self.workspace.snapshot.with_suffix(f".{self.model.digest}.{epoch.digest}.pairs")
        report = predict(
            self.workspace,
            self.model,
            epoch,
            output,
            threshold_bits=self.model.thresholds.review_bits - PRIOR_SLACK_BITS,
            progress=lambda _stage, done, total: self.progress("comparing", done, total),
        )
        return report, ScoredPairs.read(output, self.model.specification), epoch

    def decided(
        self, pairs: ScoredPairs, model: Model, epoch: StatisticsEpoch, scored_under: StatisticsEpoch
    ) -> _Decided:
        """Put pairs into their bands and records into clusters, under this population."""
        self.progress("clustering", 0, len(pairs.left))
        people, features_of, columns = self.people, self.records.features, self.columns.result()
        scorer = compile_scorer(model, epoch)
        shift_bits = epoch.prior_bits - scored_under.prior_bits
        found = bands(pairs, shift_bits, features_of, columns.traits, model, epoch, people)
        questions = found.questions + chosen_against_the_evidence(found, features_of, scorer, people)
        is_unclear = ambiguous(found.edges, features_of, scorer, model.thresholds.lead_bits, people)
        questions += [question(found.edges, at, MatchReason.AMBIGUOUS) for at in np.flatnonzero(is_unclear).tolist()]
        edges = found.edges.taken(~is_unclear)
        clustering = cluster(
            edges,
            features_of,
            scorer,
            known=found.unvetoed,
            values=columns.values,
            namesakes=found.namesakes,
            same=people.same,
            different=people.different,
        )
        return _Decided(edges, found.namesakes, questions, clustering)


def _linked(
    records: Records,
    found: _Decided,
    model: Model,
    epoch: StatisticsEpoch,
    prediction: PredictionReport,
    ties: Ties,
) -> Linked:
    clustering = found.clustering
    clusters, cluster_of = _partition(clustering.clusters, records)
    asked = [*found.questions]
    parted = {MatchReason.REFUSED_EDGE: clustering.refused, MatchReason.AMBIGUOUS: clustering.ambiguous}
    for reason, apart in parted.items():
        asked += [Question(RecordNumber(left), RecordNumber(right), reason, bits, "") for left, right, bits in apart]
    questions = _answerable(asked, records, clusters, cluster_of, ties)
    return Linked(
        clusters,
        cluster_of,
        _weakest(found, cluster_of),
        sorted(questions, key=lambda question: (question.left, question.right)),
        epoch,
        prediction,
        len(found.edges.left) + len(found.namesakes.sole),
        len(clustering.refused),
        model,
    )


def _partition(joined: list[list[int]], records: Records) -> tuple[list[Cluster], NDArray[np.int64]]:
    """Return all clusters, those of one record included, and by record number the position of its cluster."""
    numbers = np.fromiter(records.encoded, np.int64, len(records.encoded))
    sizes = [len(members) for members in joined]
    everybody = np.fromiter(chain.from_iterable(joined), np.int64, sum(sizes))
    first_of = np.arange(numbers.max(initial=0) + 1)
    first_of[everybody] = np.repeat([members[0] for members in joined], sizes)
    is_one = first_of[numbers] == numbers
    firsts = np.sort(numbers[is_one])
    position_of = np.full(len(first_of), -1)
    position_of[firsts] = np.arange(len(firsts))
    cluster_of = np.full(len(first_of), -1)
    cluster_of[numbers] = position_of[first_of[numbers]]
    clusters = cast("list[Cluster]", [(first,) for first in firsts.tolist()])
    for position, members in zip(cluster_of[[members[0] for members in joined]].tolist(), joined, strict=True):
        clusters[position] = cast("Cluster", tuple(members))
    return clusters, cluster_of


def _weakest(found: _Decided, cluster_of: NDArray[np.int64]) -> dict[int, Weakest]:
    """Return the edge that carried the least weight in each cluster; ties go to the first by number."""
    apart = Edges.of((*found.clustering.refused, *found.clustering.ambiguous))
    edges = Edges(*(np.concatenate(pair) for pair in zip(found.edges, Edges.of(found.namesakes.sole), strict=True)))
    index = cluster_of[edges.left]
    inside = (index == cluster_of[edges.right]) & ~are_among(edges.places(), apart.places())
    index, edges = index[inside], edges.taken(inside)
    least = np.full(int(index.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, index, edges.bits)
    at = np.flatnonzero(edges.bits == least[index])
    at = at[np.lexsort((edges.right[at], edges.left[at], index[at]))]
    at = at[is_first(index[at])]
    return dict(zip(index[at].tolist(), starmap(Weakest, edges.taken(at).rows()), strict=True))


def _answerable(
    asked: Sequence[Question], records: Records, clusters: Sequence[Cluster], cluster_of: NDArray[np.int64], ties: Ties
) -> list[Question]:
    """Return the questions of which "same" is a possible answer: nothing else tells the two clusters apart already."""

    # Several questions may stand between two clusters.
    @cache
    def are_open(one: int, other: int) -> bool:
        sides = [clusters[one], clusters[other]]
        tied = ties.groups(number for side in sides for number in side)
        left, right, *same = ([records.features(number) for number in side] for side in (*sides, *tied))
        return contradiction(left, right, same) is None

    return [
        each
        for each in asked
        if each.reason in {MatchReason.VETO, MatchReason.REFUSED_EDGE}
        or are_open(*sorted((int(cluster_of[each.left]), int(cluster_of[each.right]))))
    ]
