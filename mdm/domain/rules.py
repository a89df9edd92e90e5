"""Which golden ID a cluster answers under: anchors decide, online, by steward and in re-linkage alike.

Each ID has an anchor, the record that it was minted for. A cluster answers under the oldest of the IDs anchored
in it and the others redirect, so a merge keeps the older ID and an unmerge gives every ID back by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.state import GoldenEntry, IdentityView

Mint = Callable[[EntityKind], GoldenId]
"""Returns a golden ID that was never issued; the caller's randomness enters here and nowhere else."""


def departure(state: IdentityView, number: RecordNumber) -> list[ev.Fact]:
    """Return what must happen before `number` alone leaves its golden record, by deletion or for another one.

    Every ID anchored in the record passes to the oldest remaining member, of those that were its own before golden
    records became one if there are any left; without a member it is retired.
    """
    entry = state.record(number)
    if entry is None or entry.golden_id is None:
        return []
    golden = _issued(state, entry.golden_id)
    is_alone = golden.members == (number,)
    facts: list[ev.Fact] = []
    # Redirects first, so that a survivor is retired only when nothing leads to it any more.
    for golden_id in (*golden.absorbed, entry.golden_id):
        if is_alone and _issued(state, golden_id).anchor == number:
            facts.append(ev.GoldenIdRetired(golden_id))
        elif _issued(state, golden_id).anchor == number:
            heir = next(member for member in _succession(state, golden_id, golden) if member != number)
            facts.append(ev.AnchorMoved(golden_id, heir))
    return facts


def heir_of(state: IdentityView, number: RecordNumber) -> RecordNumber | None:
    """Return the member that takes the place of one that leaves its golden record alone; None without another."""
    entry = state.record(number)
    if entry is None or entry.golden_id is None:
        return None
    golden = _issued(state, entry.golden_id)
    anchored = (each for each in (entry.golden_id, *golden.absorbed) if _issued(state, each).anchor == number)
    line = _succession(state, next(anchored, entry.golden_id), golden)
    return next((member for member in line if member != number), None)


def regroup(
    state: IdentityView,
    clusters: Sequence[Collection[RecordNumber]],
    mint: Mint,
    *,
    reason: ev.RegroupReason,
    left: RecordNumber | None = None,
    right: RecordNumber | None = None,
    match_weight_bits: float | None = None,
    run_id: str = "",
) -> list[ev.Fact]:
    """Return the facts that make `clusters` the golden records of their members; none if they already are.

    Args:
        state: Read only.
        clusters: Disjoint; together they hold every member of each golden record that they touch. Pending records
            may stand among them.
        mint: Called for each cluster without an anchored ID.
        reason: Stands in the event, with the evidence that follows.
        left: The record on one side of the deciding edge.
        right: The record on its other side.
        match_weight_bits: Weight of that edge.
        run_id: The re-linkage run, if any.
    """
    cluster_of = {number: index for index, cluster in enumerate(clusters) for number in cluster}
    golden_ids = {number: _golden_id_of(state, number) for number in sorted(cluster_of)}
    survivors = list(dict.fromkeys(gid for gid in golden_ids.values() if gid is not None))
    if _already_grouped(state, clusters, golden_ids):
        return []

    facts: list[ev.Fact] = []
    anchored: list[list[tuple[int, int, GoldenId]]] = [[] for _ in clusters]
    for survivor in survivors:
        golden = _issued(state, survivor)
        for golden_id in (survivor, *golden.absorbed):
            entry = _issued(state, golden_id)
            anchor = entry.anchor
            if anchor is None:
                message = f"{golden_id} is retired and cannot be regrouped"
                raise AssertionError(message)
            line = (anchor, *(each for each in _succession(state, golden_id, golden) if each != anchor))
            heir = _heir(line, golden, lambda member: clusters[cluster_of[member]], golden_ids)
            if heir != anchor:
                anchor = heir
                facts.append(ev.AnchorMoved(golden_id, anchor))
            anchored[cluster_of[anchor]].append((entry.minted_seq, entry.minted_ordinal, golden_id))

    groups = []
    for cluster, candidates in zip(clusters, anchored, strict=True):
        numbers = tuple(sorted(cluster))
        if candidates:
            groups.append(ev.Group(min(candidates)[2], is_minted=False, numbers=numbers))
        else:
            groups.append(ev.Group(mint(_kind_of(state, numbers[0])), is_minted=True, numbers=numbers))
    regrouped = ev.RecordsRegrouped(tuple(groups), reason, left, right, match_weight_bits, run_id)
    facts.append(_with_former(state, regrouped, survivors))
    return facts


def reversal(state: IdentityView, left_as: ev.RecordsRegrouped, *, seq: int, run_id: str) -> list[ev.Fact] | None:
    """Return the facts that give every golden ID back as it was before a run regrouped it, or None if it can't be.

    It can't be where anything happened since: a record came to other values, was judged, moved or deleted, or a golden
    ID changed. Records that the run resolved keep the golden ID that they were given: one that the run minted goes on
    for them alone, and is retired only if it holds none.

    Args:
        state: Read only.
        left_as: The run's event.
        seq: Its position.
        run_id: The run that takes it back.
    """
    if not _stands_as_left(state, left_as, seq):
        return None
    home = {number: each.golden_id for each in left_as.former for number in each.numbers}
    members = {each.golden_id: list(each.numbers) for each in left_as.former if each.numbers}
    anchors = {each.golden_id: each.anchor for each in left_as.former}
    retired: list[GoldenId] = []
    for group in left_as.groups:
        fresh = [number for number in group.numbers if number not in home]
        if not group.is_minted:
            members[home[anchors[group.golden_id]]].extend(fresh)
        elif fresh:
            anchor = _issued(state, group.golden_id).anchor
            anchors[group.golden_id] = anchor if anchor in fresh else fresh[0]
            members[group.golden_id] = fresh
        else:
            retired.append(group.golden_id)
    groups = tuple(
        ev.Group(golden_id, is_minted=False, numbers=tuple(sorted(numbers))) for golden_id, numbers in members.items()
    )
    facts: list[ev.Fact] = [
        ev.AnchorMoved(golden_id, anchor)
        for golden_id, anchor in anchors.items()
        if _issued(state, golden_id).anchor != anchor
    ]
    regrouped = ev.RecordsRegrouped(groups, ev.RegroupReason.REVERT, run_id=run_id)
    facts.append(_with_former(state, regrouped, [group.golden_id for group in left_as.groups]))
    return facts + [ev.GoldenIdRetired(golden_id) for golden_id in retired]


def _stands_as_left(state: IdentityView, left_as: ev.RecordsRegrouped, seq: int) -> bool:
    for group in left_as.groups:
        golden = _issued(state, group.golden_id)
        if golden.changed_seq > seq or golden.members != tuple(sorted(group.numbers)):
            return False
        for number in group.numbers:
            entry = state.record(number)
            if entry is None or entry.is_deleted or entry.changed_seq > seq:
                return False
    return not any(_issued(state, each.golden_id).is_retired for each in left_as.former)


def _with_former(
    state: IdentityView, regrouped: ev.RecordsRegrouped, survivors: Iterable[GoldenId]
) -> ev.RecordsRegrouped:
    """Say in the event what its golden IDs and questions are before it."""
    former = []
    for survivor in survivors:
        golden = _issued(state, survivor)
        for golden_id, numbers in ((survivor, golden.members), *((other, ()) for other in golden.absorbed)):
            anchor = _issued(state, golden_id).anchor
            if anchor is not None:
                former.append(ev.Former(golden_id, anchor, numbers))
    group_of = {number: index for index, group in enumerate(regrouped.groups) for number in group.numbers}
    answered = []
    for number, index in group_of.items():
        entry = state.record(number)
        for other in entry.potential_matches if entry else ():
            match = state.potential_match((number, other)) if number < other else None
            if match is not None and group_of.get(other) == index:
                answered.append(
                    ev.PotentialMatchOpened(number, other, match.reason, match.match_weight_bits, match.detail)
                )
    return msgspec.structs.replace(regrouped, former=tuple(former), answered=tuple(answered))


def _issued(state: IdentityView, golden_id: GoldenId) -> GoldenEntry:
    entry = state.golden(golden_id)
    if entry is None:
        message = f"{golden_id} was never minted"
        raise AssertionError(message)
    return entry


def _golden_id_of(state: IdentityView, number: RecordNumber) -> GoldenId | None:
    entry = state.record(number)
    return None if entry is None else entry.golden_id


def _kind_of(state: IdentityView, number: RecordNumber) -> EntityKind:
    entry = state.record(number)
    if entry is None:
        message = f"record {number} was never upserted"
        raise AssertionError(message)
    return entry.kind


def _already_grouped(
    state: IdentityView,
    clusters: Sequence[Collection[RecordNumber]],
    golden_ids: dict[RecordNumber, GoldenId | None],
) -> bool:
    for cluster in clusters:
        ids = {golden_ids[number] for number in cluster}
        golden_id = ids.pop()
        if ids or golden_id is None or len(_issued(state, golden_id).members) != len(cluster):
            return False
    return True


def _succession(state: IdentityView, golden_id: GoldenId, golden: GoldenEntry) -> list[RecordNumber]:
    """Return a golden record's members in the order in which they inherit one of the IDs that lead to it.

    Those that the ID stood for before others were merged with it come first, or it could pass to another's bearer;
    then who came or changed since, then those others.
    """
    merged = {each: frozenset(_issued(state, each).merged_members) for each in golden.absorbed}
    merged_seq = min((_issued(state, each).merged_seq for each in golden.absorbed), default=0)
    own = merged.pop(golden_id, frozenset(golden.members))
    # Of what it was merged with, that which it had itself taken in before.
    foreign = frozenset().union(*(members for members in merged.values() if members < own))

    def place(number: RecordNumber) -> tuple[bool, bool, RecordNumber]:
        entry = state.record(number)
        is_late = bool(merged_seq) and entry is not None and entry.since_seq > merged_seq
        return number not in own or number in foreign, is_late, number

    return sorted(golden.members, key=place)


def _heir(
    line: Sequence[RecordNumber],
    golden: GoldenEntry,
    cluster_of: Callable[[RecordNumber], Collection[RecordNumber]],
    golden_ids: dict[RecordNumber, GoldenId | None],
) -> RecordNumber:
    """Return the first in line, the anchor before all, that does not leave alone for another golden record.

    Where every member leaves so, the newest one takes the ID along.
    """
    for member in line:
        if not _leaves_alone_for_another(member, golden, cluster_of(member), golden_ids):
            return member
    return golden.members[-1]


def _leaves_alone_for_another(
    anchor: RecordNumber,
    golden: GoldenEntry,
    cluster: Collection[RecordNumber],
    golden_ids: dict[RecordNumber, GoldenId | None],
) -> bool:
    if len(golden.members) == 1:
        return False
    own = golden_ids[anchor]
    stays_with_own = any(number != anchor and golden_ids[number] == own for number in cluster)
    joins_another = any(golden_ids[number] not in {None, own} for number in cluster)
    return joins_another and not stays_with_own
