"""The questions of a re-linkage as stewards should see them: none answered before, and all about shared numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mdm.domain.events import MatchReason
from mdm.domain.judgements import is_silenced
from mdm.domain.keys import RecordNumber
from mdm.domain.state import Judgement
from mdm.linkage.features import Features
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.resolve.questions import agreeing, is_conflict, verified_identifiers
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
    cluster_of = {place: index for index, cluster in enumerate(linked.clusters) for place in cluster}
    earlier: dict[tuple[int, int], list[Judgement]] = {}
    for pair in people.different:
        judgement = standing(snapshot.numbered(pair))
        if judgement is not None:
            earlier.setdefault(_ends(cluster_of, *pair), []).append(judgement)
    asked = [*linked.questions, *_conflicts(snapshot, linked, cluster_of, scorer)]
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


def _conflicts(
    snapshot: Snapshot, linked: Linked, cluster_of: dict[RecordNumber, int], scorer: Scorer
) -> list[Question]:
    """Ask about every two clusters that hold one verified number. Cost: 3 µs a record."""
    holders: dict[str, dict[int, RecordNumber]] = {}
    for cluster in linked.clusters:
        for place in cluster:
            for identifier in verified_identifiers(snapshot.features(place)):
                holders.setdefault(identifier, {}).setdefault(cluster_of[place], place)
    pairs: dict[tuple[int, int], tuple[RecordNumber, RecordNumber]] = {}
    for found in holders.values():
        places = sorted(found.values())[:HOLDERS_COMPARED_MAX]
        for at, left in enumerate(places):
            for right in places[at + 1 :]:
                pairs.setdefault(_ends(cluster_of, left, right), (left, right))
    return [
        Question(left, right, MatchReason.IDENTIFIER_CONFLICT, _bits(scorer, snapshot, left, right), "")
        for left, right in pairs.values()
        if is_conflict(snapshot.features(left), snapshot.features(right))
    ]


def _bits(scorer: Scorer, snapshot: Snapshot, left: int, right: int) -> float:
    others: Sequence[Features] = [snapshot.features(right)]
    return scorer.score(snapshot.features(left), others)[0].match_weight_bits


def _ends(cluster_of: dict[RecordNumber, int], left: RecordNumber, right: RecordNumber) -> tuple[int, int]:
    one, other = cluster_of[left], cluster_of[right]
    return (one, other) if one < other else (other, one)
