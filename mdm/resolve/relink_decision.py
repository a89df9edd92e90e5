"""One round of a re-linkage: scored pairs → edges, clusters, and the questions that are left.

Pairs of different connected parts have no record in common, so that parts are decided apart: by several processes,
each with its share of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import chain, starmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mdm.domain.events import MatchReason
from mdm.domain.keys import RecordNumber
from mdm.linkage.candidate_pairs import CandidatePairs, candidate_pairs
from mdm.linkage.cluster import Clustering, Ties, cluster
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import contradiction
from mdm.linkage.graph import Edge, Edges, Groups
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import are_among
from mdm.linkage.scorer import compile_scorer
from mdm.linkage.snapshot import RuleColumns
from mdm.processes import give_back_memory
from mdm.resolve.relink_bands import ScoredPairs, bands, chosen_against_the_evidence, question
from mdm.resolve.relink_rivals import heard, unclear
from mdm.resolve.relink_runs import Question
from mdm.resolve.relink_snapshot import People, Records
from mdm.resolve.workers import Worker, answer_all

_SHARED_PAIRS_MIN = 10_000
"""Decided in 0.05 s; of fewer, to send a share and to receive what became of it saves next to nothing."""


class Case(NamedTuple):
    """What is to be decided, and all that it is decided from."""

    pairs: ScoredPairs
    records: Records
    columns: RuleColumns
    model: Model
    epoch: StatisticsEpoch
    """Gives how common a name is, and the prior."""
    shift_bits: float
    """What the epoch's prior adds to the weights of the pairs."""
    people: People
    """Whose word counts."""


class Decided(NamedTuple):
    """What one round made of the pairs."""

    edges: Edges
    """Pairs that link by their evidence, those that hold for a sole bearer only among them."""
    clustering: Clustering
    questions: list[Question]
    """Those of which "same" is a possible answer."""

    @property
    def joined_count(self) -> int:
        """How many records joined another one."""
        sizes = self.clustering.clusters.sizes
        return int(sizes.sum()) - len(sizes)


@contextmanager
def deciders(count: int) -> Iterator[list[Worker]]:
    """Start so many processes that can find pairs and decide them; they load while the caller goes on."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(__name__)) for _ in range(count)]


def candidates_by(helping: Sequence[Worker], snapshot: Path, reach: int) -> CandidatePairs:
    """Return what `candidate_pairs` does, found by another process if any helps: this one sets Splink up meanwhile.

    Raises:
        WorkerEndedError: It ended early.
    """
    if not helping:
        return candidate_pairs(snapshot, reach)
    helping[0].ask(found_apart, snapshot, reach)
    found: CandidatePairs = helping[0].answer()
    return found


def found_apart(snapshot: Path, reach: int) -> CandidatePairs:
    """Find pairs and give back what that took: a share of them is decided here when others need the memory."""
    found = candidate_pairs(snapshot, reach)
    pa.default_memory_pool().release_unused()
    give_back_memory()
    return found


def decided_by(case: Case, helping: Sequence[Worker]) -> Decided:
    """Return what comes of a case, decided by this process and some others together; the same whoever decides.

    Raises:
        WorkerEndedError: One of them ended early.
    """
    if len(case.pairs.left) < _SHARED_PAIRS_MIN or not helping:
        return decided(case)
    own, *others = _shares(case, 1 + len(helping))
    for process, share in zip(helping, others, strict=True):
        process.ask(decided, share)
    found: list[Decided] = [decided(own), *(process.answer() for process in helping)]
    clusters, refused, unclear = zip(*(each.clustering for each in found), strict=True)
    return Decided(
        Edges.together(each.edges for each in found),
        Clustering(
            Groups.together(clusters), sorted(chain.from_iterable(refused)), sorted(chain.from_iterable(unclear))
        ),
        list(chain.from_iterable(each.questions for each in found)),
    )


def _shares(case: Case, count: int) -> list[Case]:
    """Cut a case into shares of about one size, but that all that people spoke of is in the first, with their words."""
    pairs = case.pairs
    # Other bits than those that a sample is drawn by.
    share = (pairs.scattered() >> 16) % count
    share[are_among(pairs.part, pairs.parts_of(case.people.records()))] = 0
    first, *others = (case._replace(pairs=pairs.taken(np.flatnonzero(share == number))) for number in range(count))
    return [first, *(other._replace(people=People()) for other in others)]


def decided(case: Case) -> Decided:
    """Put pairs into their bands and records into clusters. Costs some 6 µs a pair of a city."""
    pairs, records, columns, model, epoch, shift_bits, people = case
    scorer = compile_scorer(model, epoch)
    found = bands(pairs, shift_bits, records.features, columns.traits, model, epoch, people)
    questions = found.questions + chosen_against_the_evidence(found, records.features, scorer, people)
    pairs_heard = heard(found, people)
    said = unclear(pairs_heard, records.features, scorer, model.thresholds.lead_bits, people)
    dropped, asked = (pairs_heard.taken(which).places() for which in said)
    sole = Edges.of(found.namesakes.sole)
    for links in (found.edges, sole):
        at = np.flatnonzero(are_among(links.places(), asked))
        questions += [question(links, place, MatchReason.AMBIGUOUS) for place in at.tolist()]
    edges, sole = (links.taken(~are_among(links.places(), dropped)) for links in (found.edges, sole))
    namesakes = found.namesakes._replace(sole=list(starmap(Edge, sole.rows())))
    clustering = cluster(
        edges,
        records.features,
        scorer,
        known=found.unvetoed,
        values=columns.values,
        namesakes=namesakes,
        same=people.same,
        different=people.different,
    )
    for reason, apart in (
        (MatchReason.REFUSED_EDGE, clustering.refused),
        (MatchReason.AMBIGUOUS, clustering.ambiguous),
    ):
        ends = ((RecordNumber(left), RecordNumber(right), bits) for left, right, bits in apart)
        questions += [Question(left, right, reason, bits, "") for left, right, bits in ends]
    return Decided(
        Edges.together((edges, sole)),
        clustering,
        _answerable(questions, records, clustering.clusters, Ties(people.same)),
    )


def _answerable(asked: Sequence[Question], records: Records, clusters: Groups, ties: Ties) -> list[Question]:
    """Return the questions of which "same" is a possible answer: nothing else tells the two clusters apart already."""
    ends = np.array([(each.left, each.right) for each in asked], np.int64).ravel()
    cluster_of = {number: members for members in clusters.holding(ends).lists() for number in members}

    # Several questions may stand between two clusters.
    @cache
    def are_open(one: int, other: int) -> bool:
        sides = [cluster_of.get(number, [number]) for number in (one, other)]
        tied = ties.groups(number for side in sides for number in side)
        left, right, *same = ([records.features(number) for number in side] for side in (*sides, *tied))
        return contradiction(left, right, same) is None

    def first(number: int) -> int:
        return cluster_of.get(number, [number])[0]

    return [
        each
        for each in asked
        if each.reason in {MatchReason.VETO, MatchReason.REFUSED_EDGE}
        or are_open(*sorted((first(each.left), first(each.right))))
    ]


def main(parent: str) -> None:
    """Decide for another process, or find its pairs."""
    # What is made of millions of pairs holds no cycles: to look for them took a third of the time.
    gc.disable()
    answer_all(parent)
