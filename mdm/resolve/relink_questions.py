"""The questions of a re-linkage as stewards should see them: none answered before, and all about shared numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.domain.events import MatchReason
from mdm.domain.judgements import is_silenced
from mdm.domain.keys import RecordNumber
from mdm.domain.state import Judgement
from mdm.linkage.features import Features
from mdm.linkage.pair_codes import is_first, pair_codes, pairs_of_codes
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.resolve.questions import VERIFIED_COLUMNS, agreeing, is_conflict
from mdm.resolve.relink_linkage import Linked
from mdm.resolve.relink_runs import Question
from mdm.resolve.relink_snapshot import Pair, People, Snapshot

HOLDERS_COMPARED_MAX = 5
"""Golden records of one number that are put against each other: of more, the number is a filler."""


def reviewed(
    snapshot: Snapshot, linked: Linked, people: People, standing: Callable[[Pair], Judgement | None]
) -> Linked:
    """Return what linkage found, with the questions that stewards should get.

    Args:
        snapshot: The records.
        linked: In places of the snapshot, as everything here.
        people: What was judged.
        standing: Returns the judgement about two record numbers.
    """
    scorer = compile_scorer(linked.model, linked.epoch)
    cluster_of = linked.cluster_of
    earlier: dict[tuple[int, int], list[Judgement]] = {}
    for pair in people.different:
        judgement = standing(snapshot.numbered(pair))
        if judgement is not None:
            earlier.setdefault(_ends(cluster_of, *pair), []).append(judgement)
    asked = [*linked.questions, *_conflicts(snapshot, cluster_of, scorer)]
    kept = []
    for question in asked:
        if (question.left, question.right) in people.different:
            continue
        answers = earlier.get(_ends(cluster_of, question.left, question.right), [])
        if answers:
            levels = scorer.levels(snapshot.features(question.left), snapshot.features(question.right))
            if is_silenced(agreeing(snapshot.kind, levels), answers):
                continue
        kept.append(question)
    return msgspec.structs.replace(linked, questions=sorted(kept, key=lambda each: (each.left, each.right)))


def _conflicts(snapshot: Snapshot, cluster_of: NDArray[np.int64], scorer: Scorer) -> list[Question]:
    """Ask about every two clusters that hold one verified number. Cost: 0.3 µs a record."""
    pairs: dict[tuple[int, int], tuple[RecordNumber, RecordNumber]] = {}
    for holders in holders_apart(snapshot.parquet, VERIFIED_COLUMNS[snapshot.kind], cluster_of):
        places = [RecordNumber(place) for place in sorted(holders)[:HOLDERS_COMPARED_MAX]]
        for at, left in enumerate(places):
            for right in places[at + 1 :]:
                pairs.setdefault(_ends(cluster_of, left, right), (left, right))
    return [
        Question(left, right, MatchReason.IDENTIFIER_CONFLICT, _bits(scorer, snapshot, left, right), "")
        for left, right in pairs.values()
        if is_conflict(snapshot.features(left), snapshot.features(right))
    ]


def holders_apart(parquet: Path, column: str, cluster_of: NDArray[np.int64]) -> list[list[int]]:
    """Return of each value that several clusters hold its first holder in each cluster, in the order of clusters.

    Args:
        parquet: A snapshot's rows, by place.
        column: A feature that is a list of texts.
        cluster_of: By place, the position of its cluster; every place of the rows is in one.

    Returns:
        Places, first those of the value that the first cluster holds.
    """
    table = pq.read_table(parquet, columns=["number", column]).combine_chunks()
    if not len(table):
        return []
    lists = table.column(column).chunk(0)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    number = lists.flatten().dictionary_encode().indices.to_numpy()
    place = np.repeat(table.column("number").to_numpy(), lengths)
    held_in = pair_codes(number.astype(np.int64), cluster_of[place])
    # The rows of a snapshot are by place, which a stable sort keeps.
    order = np.argsort(held_in, kind="stable")
    order = order[is_first(held_in[order])]
    (number, cluster), place = pairs_of_codes(held_in[order]), place[order]
    starts = np.flatnonzero(is_first(number))
    ends = np.append(starts[1:], len(number))
    shared = np.flatnonzero(ends - starts > 1)
    by_first = shared[np.lexsort((number[starts[shared]], place[starts[shared]], cluster[starts[shared]]))]
    return [place[start:end].tolist() for start, end in zip(starts[by_first], ends[by_first], strict=True)]


def _bits(scorer: Scorer, snapshot: Snapshot, left: int, right: int) -> float:
    others: Sequence[Features] = [snapshot.features(right)]
    return scorer.score(snapshot.features(left), others)[0].match_weight_bits


def _ends(cluster_of: NDArray[np.int64], left: RecordNumber, right: RecordNumber) -> tuple[int, int]:
    one, other = int(cluster_of[left]), int(cluster_of[right])
    return (one, other) if one < other else (other, one)
