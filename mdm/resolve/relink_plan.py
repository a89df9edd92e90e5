"""From old golden records and new clusters to the plan: components, question changes and the impact report. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import GoldenId, RecordNumber, golden_id
from mdm.domain.rules import regroup
from mdm.domain.state import IdentityView
from mdm.resolve.relink_runs import Component, Question, RegistryImpact, Report

Cluster = tuple[RecordNumber, ...]


class Standing(msgspec.Struct, frozen=True):
    """A live record as the snapshot found it."""

    registry: str
    kind: str
    golden_id: GoldenId | None


class Weakest(msgspec.Struct, frozen=True):
    """The edge of a cluster that carried the least weight."""

    left: RecordNumber
    right: RecordNumber
    match_weight_bits: float


def components(
    standings: Mapping[RecordNumber, Standing],
    clusters: Iterable[Cluster],
    weakest: Mapping[RecordNumber, Weakest],
) -> Iterator[Component]:
    """Yield what has to change, in the order of record numbers; nothing for golden records that stay as they are.

    Args:
        standings: Every live record of one kind.
        clusters: A partition of exactly these records.
        weakest: By the first member of a cluster, the weakest edge that holds it together.
    """
    members: dict[GoldenId, list[RecordNumber]] = {}
    for number, standing in standings.items():
        if standing.golden_id is not None:
            members.setdefault(standing.golden_id, []).append(number)
    parent: dict[GoldenId, GoldenId] = {}

    def root(golden_id: GoldenId) -> GoldenId:
        while (above := parent.get(golden_id, golden_id)) != golden_id:
            golden_id = above
        return golden_id

    changed: list[Cluster] = []
    touched: set[GoldenId] = set()
    for cluster in clusters:
        golden_ids = {standings[number].golden_id for number in cluster}
        only = next(iter(golden_ids)) if len(golden_ids) == 1 else None
        if only is not None and len(members[only]) == len(cluster):
            continue
        changed.append(cluster)
        old = sorted(golden_id for golden_id in golden_ids if golden_id is not None)
        touched.update(old)
        for other in old[1:]:
            parent[root(other)] = root(old[0])

    grouped: dict[GoldenId | RecordNumber, list[Cluster]] = {}
    for cluster in changed:
        first = next((gid for number in cluster if (gid := standings[number].golden_id) is not None), None)
        grouped.setdefault(root(first) if first is not None else cluster[0], []).append(cluster)
    for group in sorted(grouped.values(), key=lambda group: min(cluster[0] for cluster in group)):
        edges = [weakest[cluster[0]] for cluster in group if cluster[0] in weakest]
        edge = min(edges, key=lambda edge: (edge.match_weight_bits, edge.left), default=None)
        yield Component(
            tuple(sorted(group)),
            edge.left if edge else None,
            edge.right if edge else None,
            edge.match_weight_bits if edge else None,
        )


def question_changes(
    standing: Iterable[tuple[RecordNumber, RecordNumber]],
    wanted: Sequence[Question],
    cluster_of: Mapping[RecordNumber, int],
) -> tuple[list[tuple[RecordNumber, RecordNumber]], list[Question]]:
    """Return the questions to close and to open.

    Args:
        standing: Pairs that are open now.
        wanted: Everything that this run would ask; of those between the same two clusters only the strongest is
            asked, among equals the first.
        cluster_of: Record → number of its cluster.
    """
    strongest: dict[tuple[int, int], Question] = {}
    for question in sorted(wanted, key=lambda each: -each.match_weight_bits):
        ends = (cluster_of[question.left], cluster_of[question.right])
        if ends[0] != ends[1]:
            strongest.setdefault((min(ends), max(ends)), question)
    asked = {(question.left, question.right): question for question in strongest.values()}
    open_now = set(standing)
    closed = sorted(
        pair
        for pair in open_now
        if pair not in asked and pair[0] in cluster_of and cluster_of[pair[0]] != cluster_of.get(pair[1])
    )
    opened = [question for pair, question in sorted(asked.items()) if pair not in open_now]
    return closed, opened


def impact(view: IdentityView, standings: Mapping[RecordNumber, Standing], changed: Iterable[Component]) -> Report:
    """Return what a plan changes for one kind, as the commit would carry it out.

    Args:
        view: The state that the plan was made on.
        standings: Every live record of the kind.
        changed: The plan's components.
    """
    before = {standing.golden_id for standing in standings.values() if standing.golden_id is not None}
    sizes = Counter(standing.golden_id for standing in standings.values() if standing.golden_id is not None)
    registries = {(each.registry, each.kind): [0, 0, 0] for each in standings.values()}
    for standing in standings.values():
        registries[standing.registry, standing.kind][0] += 1
    new = restored = moved = 0
    merged: set[GoldenId] = set()
    split: set[GoldenId] = set()
    for component in changed:
        groups = _groups(view, component)
        survivors = {group.golden_id for group in groups}
        for group in groups:
            new += group.is_minted
            restored += not group.is_minted and group.golden_id not in before
            for number in group.numbers:
                standing = standings[number]
                if standing.golden_id is None:
                    registries[standing.registry, standing.kind][1] += 1
                elif standing.golden_id != group.golden_id:
                    registries[standing.registry, standing.kind][2] += 1
                    moved += 1
                    (split if standing.golden_id in survivors else merged).add(standing.golden_id)
                    sizes[standing.golden_id] -= 1
            sizes[group.golden_id] = len(group.numbers)
    return Report(
        record_count=len(standings),
        pending_record_count=sum(standing.golden_id is None for standing in standings.values()),
        golden_before_count=len(before),
        golden_after_count=len(before) - len(merged) + new + restored,
        unchanged_count=len(before - merged - split),
        new_count=new,
        merged_count=len(merged),
        split_count=len(split),
        restored_count=restored,
        moved_record_count=moved,
        largest_member_count=max(sizes.values(), default=0),
        churn_share=len(merged | split) / len(before) if before else 0.0,
        registries=tuple(RegistryImpact(*key, *counts) for key, counts in sorted(registries.items())),
    )


def _groups(view: IdentityView, component: Component) -> tuple[ev.Group, ...]:
    placeholders = itertools.count()
    facts = regroup(
        view,
        component.clusters,
        lambda kind: golden_id(kind, next(placeholders)),
        reason=ev.RegroupReason.RELINK,
    )
    return next((fact.groups for fact in facts if isinstance(fact, ev.RecordsRegrouped)), ())
