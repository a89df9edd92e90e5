"""The batch half of resolution: a snapshot's records → pairs → bands → clusters and questions.

A pure function of the records, the judgements and the model: the present golden records have no say, so a second
run over the same records finds the same clusters.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import starmap
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from mdm.domain.keys import RecordNumber
from mdm.limits import POPULATION_ROUNDS_MAX
from mdm.linkage.adaptation import tightened
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.graph import Edges, Groups
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import are_among, is_first
from mdm.linkage.snapshot import RuleColumns, read_rule_columns
from mdm.linkage.splink_engine import PredictionReport, Workspace, predict
from mdm.resolve.relink_bands import ScoredPairs
from mdm.resolve.relink_decision import Case, Decided, candidates_by, decided_by
from mdm.resolve.relink_runs import Question
from mdm.resolve.relink_snapshot import People, Records
from mdm.resolve.workers import Worker

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
    helping: Sequence[Worker] = (),
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
        helping: Processes that help; they know the service's own kinds of records only.
        progress: Told of each stage.

    Raises:
        WorkerEndedError: One of the processes ended early.
    """
    with ThreadPoolExecutor(1) as aside:
        columns = aside.submit(read_rule_columns, workspace.snapshot, model.kind)
        search = _Search(records, workspace, columns, model, people, helping, progress)
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
    return _linked(records, found, model, epoch, prediction)


class _Search(NamedTuple):
    """What stays the same from round to round of the search for the population."""

    records: Records
    workspace: Workspace
    columns: Future[RuleColumns]
    model: Model
    people: People
    helping: Sequence[Worker]
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
            paired=partial(candidates_by, self.helping),
            progress=lambda _stage, done, total: self.progress("comparing", done, total),
        )
        return report, ScoredPairs.read(output, self.model.specification), epoch

    def decided(
        self, pairs: ScoredPairs, model: Model, epoch: StatisticsEpoch, scored_under: StatisticsEpoch
    ) -> Decided:
        """Put pairs into their bands and records into clusters, under this population."""
        self.progress("clustering", 0, len(pairs.left))
        shift_bits = epoch.prior_bits - scored_under.prior_bits
        case = Case(pairs, self.records, self.columns.result(), model, epoch, shift_bits, self.people)
        return decided_by(case, self.helping)


def _linked(
    records: Records, found: Decided, model: Model, epoch: StatisticsEpoch, prediction: PredictionReport
) -> Linked:
    clusters, cluster_of = _partition(found.clustering.clusters, records)
    return Linked(
        clusters,
        cluster_of,
        _weakest(found, cluster_of),
        sorted(found.questions, key=lambda question: (question.left, question.right)),
        epoch,
        prediction,
        len(found.edges.left),
        len(found.clustering.refused),
        model,
    )


def _partition(joined: Groups, records: Records) -> tuple[list[Cluster], NDArray[np.int64]]:
    """Return all clusters, those of one record included, and by record number the position of its cluster."""
    numbers = np.fromiter(records.encoded, np.int64, len(records.encoded))
    first_of = np.arange(numbers.max(initial=0) + 1)
    first_of[joined.members] = np.repeat(joined.members[joined.starts], joined.sizes)
    is_one = first_of[numbers] == numbers
    firsts = np.sort(numbers[is_one])
    position_of = np.full(len(first_of), -1)
    position_of[firsts] = np.arange(len(firsts))
    cluster_of = np.full(len(first_of), -1)
    cluster_of[numbers] = position_of[first_of[numbers]]
    clusters = cast("list[Cluster]", list(zip(firsts.tolist(), strict=True)))
    positions = position_of[joined.members[joined.starts]]
    for position, members in zip(positions.tolist(), joined.lists(), strict=True):
        clusters[position] = cast("Cluster", tuple(members))
    return clusters, cluster_of


def _weakest(found: Decided, cluster_of: NDArray[np.int64]) -> dict[int, Weakest]:
    """Return the edge that carried the least weight in each cluster; ties go to the first by number."""
    apart = Edges.of((*found.clustering.refused, *found.clustering.ambiguous))
    index = cluster_of[found.edges.left]
    inside = (index == cluster_of[found.edges.right]) & ~are_among(found.edges.places(), apart.places())
    index, edges = index[inside], found.edges.taken(inside)
    least = np.full(int(index.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, index, edges.bits)
    at = np.flatnonzero(edges.bits == least[index])
    at = at[np.lexsort((edges.right[at], edges.left[at], index[at]))]
    at = at[is_first(index[at])]
    return dict(zip(index[at].tolist(), starmap(Weakest, edges.taken(at).rows()), strict=True))
