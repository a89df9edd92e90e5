"""From old golden records and new clusters to the plan: components, question changes and the impact report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from mdm.domain.keys import GoldenId, RecordNumber
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
        for golden_id in old[1:]:
            parent[root(golden_id)] = root(old[0])

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


def impact(
    standings: Mapping[RecordNumber, Standing],
    changed: Iterable[Component],
    survivors: Mapping[GoldenId, RecordNumber],
) -> Report:
    """Return what a plan changes.

    Args:
        standings: Every live record.
        changed: The plan's components.
        survivors: Live golden ID → its anchor, which decides where the ID goes.
    """
    before = {standing.golden_id for standing in standings.values() if standing.golden_id is not None}
    counts = dict.fromkeys(("new", "merged", "split", "moved", "after_changed", "before_changed"), 0)
    impacts: dict[tuple[str, str], list[int]] = {}
    for standing in standings.values():
        impacts.setdefault((standing.registry, standing.kind), [0, 0, 0])[0] += 1
    disturbed: set[GoldenId] = set()
    for component in changed:
        old = {standings[n].golden_id for cluster in component.clusters for n in cluster} - {None}
        counts["before_changed"] += len(old)
        counts["after_changed"] += len(component.clusters)
        for cluster in component.clusters:
            _count_cluster(standings, cluster, survivors, counts, impacts, disturbed)
    after = len(before) - counts["before_changed"] + counts["after_changed"]
    return Report(
        record_count=len(standings),
        pending_record_count=sum(standing.golden_id is None for standing in standings.values()),
        golden_before_count=len(before),
        golden_after_count=after,
        unchanged_count=len(before - disturbed),
        new_count=counts["new"],
        merged_count=counts["merged"],
        split_count=counts["split"],
        moved_record_count=counts["moved"],
        churn_share=len(disturbed) / len(before) if before else 0.0,
        registries=tuple(RegistryImpact(*key, *numbers) for key, numbers in sorted(impacts.items())),
    )


def _count_cluster(
    standings: Mapping[RecordNumber, Standing],
    cluster: Cluster,
    survivors: Mapping[GoldenId, RecordNumber],
    counts: dict[str, int],
    impacts: dict[tuple[str, str], list[int]],
    disturbed: set[GoldenId],
) -> None:
    inside = set(cluster)
    old = sorted({gid for number in cluster if (gid := standings[number].golden_id) is not None})
    # An ID whose anchor is here answers here, or redirects here when an older one does.
    anchored = [golden_id for golden_id in old if survivors.get(golden_id) in inside]
    keeper = min(anchored, key=lambda golden_id: survivors[golden_id], default=None)
    counts["new"] += keeper is None
    counts["merged"] += max(len(anchored) - 1, 0)
    disturbed.update(golden_id for golden_id in anchored if golden_id != keeper)
    for golden_id in old:
        if golden_id not in anchored:
            counts["split"] += 1
            disturbed.add(golden_id)
    for number in cluster:
        standing = standings[number]
        tally = impacts[standing.registry, standing.kind]
        if standing.golden_id is None:
            tally[1] += 1
        elif standing.golden_id != keeper:
            tally[2] += 1
            counts["moved"] += 1
