"""What stewards' judgements allow: chains that contradict each other, and groups of records that keep to all of them.

Judgements bind pairs of records. "Same" is transitive: a chain of it binds its ends. "Different" binds the golden
records that hold its two ends, because whoever joins one of them is not the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from mdm.domain import events as ev
from mdm.domain.keys import RecordNumber
from mdm.domain.state import GoldenEntry, IdentityView, Judgement, Pair, RecordEntry, pair_of

WeightedPair = tuple[RecordNumber, RecordNumber, float]
"""Two records and the match weight between them, in bits."""


class _Judged(Protocol):
    """The part of identity state that judgements stand in."""

    def record(self, number: RecordNumber) -> RecordEntry | None:
        """Return the entry of a record."""

    def judgement(self, pair: Pair) -> ev.Verdict | None:
        """Return the verdict about a pair."""


def contradiction_among(state: IdentityView, judges: Sequence[ev.Judge]) -> tuple[Pair, ...]:
    """Return the standing judgements that several new ones, made together, would contradict; or nothing.

    One by one they may pass and yet close a chain together. Cost: O(judgements reached).
    """
    ends = dict.fromkeys(number for judge in judges for number in (judge.left, judge.right))
    known = dict.fromkeys(number for end in ends for number in _reached(state, end)) if len(ends) > 1 else ends
    beside = {other for number in known if (entry := state.record(number)) for other in entry.judged}
    nodes = [*known, *sorted(beside.difference(known))]
    groups = _Groups(nodes, judged_within(state, nodes, ev.Verdict.DIFFERENT))
    for left, right in judged_within(state, nodes, ev.Verdict.SAME):
        groups.join(left, right)
    for at, judge in enumerate(judges):
        if not groups.admit(judge):
            chain = contradiction_of(_Supposed(state, judges[:at]), judge)
            return tuple(pair for pair in chain if state.judgement(pair) is not None)
    return ()


class _Supposed:
    """A state as if some judgements had been made already."""

    def __init__(self, state: _Judged, judges: Iterable[ev.Judge]) -> None:
        self._state = state
        self._verdicts = {(judge.left, judge.right): judge.verdict for judge in judges}
        self._others: dict[RecordNumber, list[RecordNumber]] = {}
        for left, right in self._verdicts:
            self._others.setdefault(left, []).append(right)
            self._others.setdefault(right, []).append(left)

    def record(self, number: RecordNumber) -> RecordEntry | None:
        entry = self._state.record(number)
        others = self._others.get(number)
        # In order, as the fold keeps them, so that the same chain is found.
        return (
            msgspec.structs.replace(entry, judged=tuple(sorted({*entry.judged, *others})))
            if entry and others
            else entry
        )

    def judgement(self, pair: Pair) -> ev.Verdict | None:
        return self._verdicts.get(pair) or self._state.judgement(pair)


def contradiction_of(state: _Judged, judge: ev.Judge) -> tuple[Pair, ...]:
    """Return the standing judgements that a new one would contradict, as a chain from `left` to `right`; or nothing.

    Against "different" stands a chain of "same"; against "same" a "different" between two records that chains of
    "same" lead to from both ends. Cost: O(judgements reached).
    """
    lefts = _reached(state, judge.left)
    if judge.verdict is ev.Verdict.DIFFERENT:
        return _path(lefts, judge.right) if judge.right in lefts else ()
    rights = _reached(state, judge.right)
    for number in lefts:
        entry = state.record(number)
        for other in entry.judged if entry else ():
            pair = pair_of(number, other)
            if other in rights and state.judgement(pair) is ev.Verdict.DIFFERENT:
                return (*_path(lefts, number), pair, *reversed(_path(rights, other)))
    return ()


def different_between(
    state: IdentityView, lefts: Iterable[RecordNumber], rights: Iterable[RecordNumber]
) -> list[tuple[Pair, Judgement]]:
    """Return the standing "different" between members of two golden records, ordered by pair."""
    others = frozenset(rights)
    found = {}
    for number in lefts:
        entry = state.record(number)
        for other in entry.judged if entry else ():
            standing = state.standing(pair_of(number, other)) if other in others else None
            if standing is not None and standing.verdict is ev.Verdict.DIFFERENT:
                found[pair_of(number, other)] = standing
    return sorted(found.items())


def judged_within(state: IdentityView, numbers: Iterable[RecordNumber], verdict: ev.Verdict) -> list[Pair]:
    """Return the pairs among these records that stand judged so, in order."""
    members = frozenset(numbers)
    found = set()
    for number in members:
        entry = state.record(number)
        for other in entry.judged if entry else ():
            pair = pair_of(number, other)
            if other in members and state.judgement(pair) is verdict:
                found.add(pair)
    return sorted(found)


def partition(
    members: Sequence[RecordNumber],
    *,
    same: Iterable[Pair],
    different: Iterable[Pair],
    cores: Iterable[Sequence[RecordNumber]] = (),
    weights: Iterable[WeightedPair] = (),
) -> list[tuple[RecordNumber, ...]]:
    """Return as few groups as the judgements allow, each record on the side that speaks for it most.

    Args:
        members: Of all golden records concerned.
        same: Pairs that stay together whatever else holds.
        different: Pairs that never share a group, unless `same` forces them to.
        cores: Records that belong together before any weight is looked at, as far as `different` allows.
        weights: Evidence that decides for the rest, in any order; ties go by the numbers.

    Returns:
        Groups, each ascending, in the order of their first. Cost: O(weights x log).
    """
    groups = _Groups(members, different)
    for left, right in sorted(same):
        groups.join(left, right)
    for core in cores:
        groups.gather(core)
    for left, right, _ in sorted(weights, key=lambda each: (-each[2], each[0], each[1])):
        groups.join_if_allowed(left, right)
    # Where no evidence speaks, whoever is left stays with the rest.
    groups.gather(members)
    return groups.found()


def binding(own: Sequence[RecordNumber], rest: Sequence[RecordNumber]) -> list[ev.Judge]:
    """Return the judgements that keep `own` together and apart from every one of `rest`, linear in their number.

    The first of `own` is the same as each other of it and different from each of the rest; with that, no record of the
    rest can share a golden record with any of `own`.
    """
    first = own[0]
    kept = [ev.Judge(*pair_of(first, number), ev.Verdict.SAME) for number in own[1:]]
    return kept + [ev.Judge(*pair_of(first, number), ev.Verdict.DIFFERENT) for number in rest]


def joining(pair: Pair, lefts: Sequence[RecordNumber], rights: Sequence[RecordNumber]) -> list[ev.Judge]:
    """Return the judgements that keep two golden records one whatever the evidence says, linear in their members.

    All lie between the two sides, the pair first, so that withdrawing what crosses takes back the join and no more.
    """
    left, right = pair
    pairs = [pair, *((left, other) for other in rights if other != right), *((other, right) for other in lefts)]
    return [ev.Judge(*pair_of(*each), ev.Verdict.SAME) for each in dict.fromkeys(pairs)]


def bequeathed(state: IdentityView, number: RecordNumber) -> list[ev.JudgementMade]:
    """Return what must be said of others before a record's judgements cease to bind: it is deleted, or changes hands.

    Whoever it was the same as takes its place: what follows from its judgements for the others is said of them, as
    part of the same acts. Nothing new is claimed.
    """
    entry = state.record(number)
    standing = [
        (other, judgement)
        for other in (entry.judged if entry is not None else ())
        if (judgement := state.standing(pair_of(number, other))) is not None
    ]
    heirs = [(other, judgement) for other, judgement in standing if judgement.verdict is ev.Verdict.SAME]
    live = [each for each in heirs if (record := state.record(each[0])) is not None and not record.is_deleted]
    if not live:
        return []
    heir, _ = live[0]
    return [
        ev.JudgementMade(
            *pair_of(heir, other), said.verdict, (), said.agreeing, said.act_seq or said.seq, said.regrouped_seq
        )
        for other, said in standing
        if other != heir and state.judgement(pair_of(heir, other)) is None
    ]


def is_silenced(agreeing: Iterable[str], earlier: Iterable[Judgement]) -> bool:
    """Return whether an earlier "different" between two golden records answers a question about members of them.

    It does unless the pair agrees in a comparison in which nothing agreed when the answer was given.

    Args:
        agreeing: Names of the comparisons that agree between the two records asked about.
        earlier: Standing "different" between the two golden records.
    """
    now = frozenset(agreeing)
    return any(now <= frozenset(each.agreeing) for each in earlier)


def members_of(golden: GoldenEntry | None) -> tuple[RecordNumber, ...]:
    """Return a golden record's members; none for no golden record."""
    return golden.members if golden is not None else ()


class _Groups:
    """Union-find over the members that knows which groups must stay apart."""

    def __init__(self, members: Sequence[RecordNumber], different: Iterable[Pair]) -> None:
        self._parent = {number: number for number in members}
        self._enemies: dict[RecordNumber, set[RecordNumber]] = {number: set() for number in members}
        for left, right in different:
            if left in self._parent and right in self._parent:
                self._enemies[left].add(right)
                self._enemies[right].add(left)

    def _root(self, number: RecordNumber) -> RecordNumber:
        while (above := self._parent[number]) != number:
            self._parent[number] = number = self._parent[above]
        return number

    def join(self, left: RecordNumber, right: RecordNumber) -> None:
        if left not in self._parent or right not in self._parent:
            return
        left, right = sorted((self._root(left), self._root(right)))
        if left != right:
            self._parent[right] = left
            self._enemies[left] |= self._enemies.pop(right)

    def join_if_allowed(self, left: RecordNumber, right: RecordNumber) -> bool:
        if left not in self._parent or right not in self._parent:
            return False
        left, right = self._root(left), self._root(right)
        if any(self._root(enemy) == right for enemy in self._enemies[left]):
            return False
        self.join(left, right)
        return True

    def admit(self, judge: ev.Judge) -> bool:
        """Take a judgement in if the others allow it."""
        if judge.verdict is ev.Verdict.SAME:
            return self.join_if_allowed(judge.left, judge.right)
        left, right = self._root(judge.left), self._root(judge.right)
        if left != right:
            self._enemies[left].add(right)
            self._enemies[right].add(left)
        return left != right

    def gather(self, numbers: Sequence[RecordNumber]) -> None:
        """Join each to the first group among them that it is allowed in."""
        heads: list[RecordNumber] = []
        for number in numbers:
            if not any(self.join_if_allowed(head, number) for head in heads):
                heads.append(number)

    def found(self) -> list[tuple[RecordNumber, ...]]:
        groups: dict[RecordNumber, list[RecordNumber]] = {}
        for number in sorted(self._parent):
            groups.setdefault(self._root(number), []).append(number)
        return [tuple(group) for group in groups.values()]


def _reached(state: _Judged, start: RecordNumber) -> dict[RecordNumber, RecordNumber]:
    """Return every record that chains of "same" lead to, with the one before it on the shortest way."""
    before = {start: start}
    waiting = [start]
    for number in waiting:
        entry = state.record(number)
        for other in entry.judged if entry else ():
            if other not in before and state.judgement(pair_of(number, other)) is ev.Verdict.SAME:
                before[other] = number
                waiting.append(other)
    return before


def _path(before: dict[RecordNumber, RecordNumber], end: RecordNumber) -> tuple[Pair, ...]:
    steps = []
    while before[end] != end:
        steps.append(pair_of(before[end], end))
        end = before[end]
    return tuple(reversed(steps))
