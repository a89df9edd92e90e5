"""What stewards do to golden records: judge, withdraw, merge, unmerge, split, move, fix values.

Every act leaves judgements that bind whatever the machine decides later, in the same transaction as its effect. Which
golden ID a group answers under follows from the anchors alone, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdm.domain import events as ev
from mdm.domain.judgements import (
    binding,
    contradiction_among,
    different_between,
    joining,
    judged_within,
    members_of,
    partition,
)
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.domain.restores import never_issued
from mdm.domain.rules import regroup
from mdm.domain.state import GoldenEntry, IdentityView, Pair, RecordEntry, pair_of
from mdm.errors import (
    ActImpossibleError,
    JudgementContradictedError,
    UnknownJudgementError,
    UnknownRecordError,
)
from mdm.linkage.features import Features
from mdm.resolve import commands as asked
from mdm.resolve.engines import Engine
from mdm.resolve.fixed_values import fix_value, free_value, hand_over
from mdm.resolve.group import Group
from mdm.resolve.matcher import features_of
from mdm.resolve.questions import agreements, weights_among
from mdm.resolve.reasons import seal_reason
from mdm.resolve.upsert import resolve_stored
from mdm.store.journal import JournalReader


class Act:
    """One steward's act being drafted into a group of its own."""

    def __init__(self, group: Group, journal: JournalReader, cause: ev.Cause, reason: str) -> None:
        """Draft into `group`; `journal` tells what earlier acts did."""
        self.group = group
        self.index = group.index
        self.journal = journal
        self.cause = cause
        self.reason = reason
        self.first = len(group.drafts)
        self.first_change = len(group.changes)

    @property
    def facts(self) -> list[ev.Fact]:
        """What the act has drafted."""
        return [event.fact for event in self.group.drafts[self.first :]]

    def carry_out(self, act: asked.Act) -> None:
        """Draft everything that follows from an act.

        Raises:
            UnknownRecordError, UnknownGoldenIdError, UnknownJudgementError: It names what is not there.
            ActImpossibleError: What is there does not allow it.
            JudgementContradictedError: Standing judgements say otherwise.
            InvalidInputError: A value or field that cannot be fixed.
        """
        match act:
            case ev.Judge():
                self._judge(act)
            case ev.Merge():
                self._merge(act)
            case ev.Move():
                self._move(act)
            case asked.Split():
                self._split(act)
            case asked.Unmerge():
                self._unmerge(act)
            case asked.WithdrawJudgement():
                self._withdraw(act)
            case asked.Pin():
                fix_value(self.group, self.cause, self._surviving(act.golden_id), act, self.reason)
            case asked.Unpin():
                free_value(self.group, self.cause, self._surviving(act.golden_id), act, self.reason)

    def _judge(self, judge: ev.Judge) -> None:
        left, right = (self._live(number) for number in (judge.left, judge.right))
        if judge.left == judge.right or left.kind is not right.kind:
            raise ActImpossibleError("a judgement is about two records of one entity kind")
        self._check([judge])
        if self.index.judgement((judge.left, judge.right)) is judge.verdict:
            return
        judgements, regrouped_seq = [judge], 0
        if judge.verdict is ev.Verdict.SAME:
            golden_ids = dict.fromkeys((left.golden_id, right.golden_id))
            if None not in golden_ids and len(golden_ids) > 1:
                sides = [self._members([golden_id]) for golden_id in golden_ids]
                regrouped_seq = self._regroup(self._parted(self._members(golden_ids), same=[judge]), judge)
                joined = self._members([self.group.golden_id_of(judge.left)])
                kept = ([number for number in side if number in joined] for side in sides)
                judgements = joining((judge.left, judge.right), *kept)
                self._check(judgements)
        elif left.golden_id is not None and left.golden_id == right.golden_id:
            regrouped_seq = self._regroup(self._parted(self._members([left.golden_id]), different=[judge]), judge)
        self._make(judgements, regrouped_seq)

    def _merge(self, act: ev.Merge) -> None:
        left, right = (self._surviving(golden_id) for golden_id in (act.left, act.right))
        if left == right:
            raise ActImpossibleError("both golden IDs stand for one golden record already")
        goldens = [self._golden(golden_id) for golden_id in (left, right)]
        if left[0] != right[0]:
            raise ActImpossibleError("a citizen and a business are never one")
        standing = different_between(self.index, goldens[0].members, goldens[1].members)
        if standing:
            raise _contradicted([judgement.seq for _, judgement in standing])
        self._judge(ev.Judge(*pair_of(_anchor(goldens[0]), _anchor(goldens[1])), ev.Verdict.SAME))

    def _split(self, act: asked.Split) -> None:
        golden = self._golden(self._surviving(act.golden_id))
        own = tuple(sorted(set(act.numbers)))
        rest = tuple(number for number in golden.members if number not in own)
        if not own or not rest or not set(own).issubset(golden.members):
            raise ActImpossibleError("a split names some members of the golden record, and not all of them")
        judgements = binding(own, rest)
        self._check(judgements)
        self._make(judgements, self._regroup([own, rest], judgements[-1]))

    def _move(self, act: ev.Move) -> None:
        target = self._golden(self._surviving(act.target))
        entry = self._live(act.number)
        if entry.golden_id is None or act.number in target.members or entry.kind.letter != act.target[0]:
            raise ActImpossibleError("the record is pending, there already, or of another entity kind")
        rest = tuple(number for number in self._golden(entry.golden_id).members if number != act.number)
        judgements = joining((act.number, _anchor(target)), (act.number,), target.members)
        judgements += binding((act.number,), rest)
        self._check(judgements)
        standing = different_between(self.index, (act.number,), target.members)
        if standing:
            raise _contradicted([judgement.seq for _, judgement in standing])
        if rest:
            hand_over(self.group, self._stamped(act.number), act.number)
        clusters = [(act.number, *target.members), *([rest] if rest else [])]
        self._make(judgements, self._regroup(clusters, judgements[0]))

    def _unmerge(self, act: asked.Unmerge) -> None:
        merged = self.index.golden(act.golden_id)
        if merged is None:
            raise never_issued(self.index)
        golden = self.index.golden(merged.survivor) if merged.survivor is not None else None
        own = tuple(number for number in merged.merged_members if number in members_of(golden))
        if golden is None or not own or len(own) == len(golden.members):
            raise ActImpossibleError("the golden ID is not merged, or none of its records is left there")
        known = self._known_since_merges(golden)
        rest = tuple(number for number in golden.members if number in known and number not in own)
        rest = rest or tuple(number for number in golden.members if number not in own)
        between = [pair for pair in judged_within(self.index, golden.members, ev.Verdict.SAME) if _parts(pair, own)]
        acts = {standing.act_seq for pair in between if (standing := self.index.standing(pair))}
        for pair in (*between, *self._left_to_deleted(golden, acts)):
            self._withdraw_one(pair)
        wedge = ev.Judge(*pair_of(own[0], rest[0]), ev.Verdict.DIFFERENT)
        clusters = self._parted(golden.members, different=[wedge], cores=[own, rest])
        if merged.anchor not in own:
            self.group.add(self._stamped(wedge.left), ev.AnchorMoved(act.golden_id, own[0]))
        regrouped_seq = self._regroup(clusters, wedge)
        if acts:
            self._ask_again(self._regrouping(merged.merged_seq))
        else:
            side = next(cluster for cluster in clusters if own[0] in cluster)
            others = tuple(number for number in golden.members if number not in side)
            judgements = binding(side, others)
            self._check(judgements)
            self._make(judgements, regrouped_seq)

    def _withdraw(self, act: asked.WithdrawJudgement) -> None:
        judge = standing_judge(self.index, self.journal, act.judgement)
        standing = self.index.standing((judge.left, judge.right))
        if standing is not None:
            self._withdraw_act(standing.act_seq)

    def _withdraw_act(self, act_seq: int) -> None:
        pairs = self._pairs_of_act(act_seq)
        regroupings = {standing.regrouped_seq for pair in pairs if (standing := self.index.standing(pair)) is not None}
        for pair in pairs:
            self._withdraw_one(pair)
        regrouped = self._regrouping(max(regroupings)) if any(regroupings) else None
        if regrouped is not None:
            self._take_back(regrouped)
            self._ask_again(regrouped)
        # What the judgement kept from being decided is decided now, as it would have been without it.
        for number in dict.fromkeys(number for pair in pairs for number in pair):
            entry = self.group.record(number)
            if entry.golden_id is not None and not entry.is_deleted:
                resolve_stored(self.group, number, self.cause)

    def _pairs_of_act(self, act_seq: int) -> list[Pair]:
        """Return the pairs that stand judged by an act, those that deleted records left to others included."""
        numbers: dict[RecordNumber, None] = {}
        for event in self.journal.events(act_seq - 1):
            fact = event.fact
            if not isinstance(fact, ev.JudgementMade) or (fact.act_seq or event.seq) != act_seq:
                break
            numbers.update(dict.fromkeys((fact.left, fact.right)))
        pairs = {pair_of(number, other) for number in numbers for other in self.group.record(number).judged}
        standing = ((pair, self.index.standing(pair)) for pair in sorted(pairs))
        return [pair for pair, judgement in standing if judgement is not None and judgement.act_seq == act_seq]

    def _take_back(self, regrouped: ev.RecordsRegrouped) -> None:
        """Group as before a regrouping, as far as standing judgements allow; who came since goes with the evidence.

        A record that has left since, or whose key has passed to another bearer, is none of those it was grouped with.
        """
        homes = {number: self._home(group.golden_id) for group in regrouped.groups for number in group.numbers}
        stayed = {
            number for number, home in homes.items() if home is not None and home == self.group.golden_id_of(number)
        }
        members = self._members(dict.fromkeys(homes[number] for number in sorted(stayed)))
        core_of = {
            former.golden_id: core
            for former in regrouped.former
            if (core := tuple(number for number in former.numbers if number in stayed))
        }
        cores = list(core_of.values())
        wedges = [
            ev.Judge(*pair_of(one[0], other[0]), ev.Verdict.DIFFERENT)
            for at, one in enumerate(cores)
            for other in cores[at + 1 :]
        ]
        if not members:
            return
        for golden_id, core in core_of.items():
            issued = self.index.golden(golden_id)
            # Its anchor may have left, and the ID have passed to a record that it was never given for.
            if issued is not None and not issued.is_retired and issued.anchor in stayed.difference(core):
                self.group.add(self._stamped(core[0]), ev.AnchorMoved(golden_id, core[0]))
        edge = ev.Judge(members[0], members[-1], ev.Verdict.SAME)
        self._regroup(self._parted(members, different=wedges, cores=cores), edge)
        for former in regrouped.former:
            issued = self.index.golden(former.golden_id)
            home = self.group.golden_id_of(former.anchor)
            is_home = issued is not None and home is not None and home == (issued.survivor or former.golden_id)
            if issued is not None and is_home and not issued.is_retired and issued.anchor != former.anchor:
                self.group.add(self._stamped(former.anchor), ev.AnchorMoved(former.golden_id, former.anchor))

    def _home(self, golden_id: GoldenId) -> GoldenId | None:
        """Return the golden record that an ID leads to now, None for a retired one."""
        entry = self.index.golden(golden_id)
        return None if entry is None or entry.is_retired else entry.survivor or golden_id

    def _regrouping(self, seq: int) -> ev.RecordsRegrouped | None:
        for event in self.journal.events(seq - 1, seq):
            if isinstance(event.fact, ev.RecordsRegrouped):
                return event.fact
        return None

    def _left_to_deleted(self, golden: GoldenEntry, acts: set[int]) -> list[Pair]:
        """Return the pairs of members and deleted records that these acts called the same: one that returns joins."""
        pairs = [pair_of(number, other) for number in golden.members for other in self.group.record(number).judged]
        return [
            pair
            for pair in dict.fromkeys(pairs)
            if any(self.group.record(number).is_deleted for number in pair)
            and (standing := self.index.standing(pair)) is not None
            and standing.verdict is ev.Verdict.SAME
            and standing.act_seq in acts
        ]

    def _known_since_merges(self, golden: GoldenEntry) -> set[RecordNumber]:
        """Return the records that a golden record was merged from; the others joined it later."""
        known: set[RecordNumber] = set()
        for golden_id in golden.absorbed:
            merged = self.index.golden(golden_id)
            regrouped = self._regrouping(merged.merged_seq) if merged is not None and merged.merged_seq else None
            known.update(number for group in regrouped.groups for number in group.numbers) if regrouped else None
        return known

    def _ask_again(self, regrouped: ev.RecordsRegrouped | None) -> None:
        for question in regrouped.answered if regrouped else ():
            pair = pair_of(question.left, question.right)
            ends = [self.index.record(number) for number in pair]
            golden_ids = [entry.golden_id for entry in ends if entry is not None]
            is_open = None not in golden_ids and len(set(golden_ids)) == len(pair)
            if is_open and self.index.judgement(pair) is None and self.index.potential_match(pair) is None:
                fact = ev.PotentialMatchOpened(*pair, question.reason, question.match_weight_bits, question.detail)
                self.group.add(self._stamped(pair[0]), fact)

    def _parted(
        self,
        members: Sequence[RecordNumber],
        *,
        same: Iterable[ev.Judge] = (),
        different: Iterable[ev.Judge] = (),
        cores: Sequence[Sequence[RecordNumber]] = (),
    ) -> list[tuple[RecordNumber, ...]]:
        bound = judged_within(self.index, members, ev.Verdict.SAME) + [(each.left, each.right) for each in same]
        apart = judged_within(self.index, members, ev.Verdict.DIFFERENT)
        apart += [(each.left, each.right) for each in different]
        if not apart:
            return [tuple(members)]
        placed = {number for core in cores for number in core}
        focus = [number for number in members if number not in placed]
        kind = self.group.record(members[0]).kind
        scorer = self.group.engines[kind].scorer
        weights = weights_among(scorer, self._features(kind, members), focus) if focus else []
        return partition(members, same=bound, different=apart, cores=cores, weights=weights)

    def _regroup(self, clusters: Sequence[Sequence[RecordNumber]], edge: ev.Judge) -> int:
        """Draft a regrouping; returns the position of its event, 0 if the groups are as wanted already."""
        facts = regroup(
            self.index,
            clusters,
            self.group.mint,
            reason=ev.RegroupReason.JUDGEMENT,
            left=edge.left,
            right=edge.right,
        )
        seq = 0
        for fact in facts:
            self.group.add(self._stamped(clusters[0][0]), fact)
            seq = self.group.last_seq if isinstance(fact, ev.RecordsRegrouped) else seq
        return seq

    def _check(self, judgements: Sequence[ev.Judge]) -> None:
        chain = contradiction_among(self.index, judgements)
        if chain:
            found = [self.index.standing(pair) for pair in chain]
            raise _contradicted([standing.seq for standing in found if standing is not None])

    def _make(self, judgements: Sequence[ev.Judge], regrouped_seq: int) -> None:
        """Draft judgements one behind the other, as one act, and close the questions that they answer."""
        act_seq = 0
        agreed: dict[tuple[GoldenId | None, GoldenId | None], tuple[str, ...]] = {}
        for judge in judgements:
            if self.index.judgement((judge.left, judge.right)) is judge.verdict:
                continue
            reason_ids = () if act_seq else seal_reason(self.group, (judge.left, judge.right), self.reason)
            sides = self.group.golden_id_of(judge.left), self.group.golden_id_of(judge.right)
            if judge.verdict is ev.Verdict.DIFFERENT and sides not in agreed:
                agreed[sides] = self._agreeing(judge)
            act_seq = act_seq or self.group.last_seq + 1
            said = agreed.get(sides, ()) if judge.verdict is ev.Verdict.DIFFERENT else ()
            fact = ev.JudgementMade(judge.left, judge.right, judge.verdict, reason_ids, said, act_seq, regrouped_seq)
            self.group.add(self._stamped(judge.left), fact)
        for left, right in agreed:
            self._close_questions(left, right)

    def _close_questions(self, left: GoldenId | None, right: GoldenId | None) -> None:
        if left is None or right is None:
            return
        others = frozenset(members_of(self.index.golden(right)))
        for number in members_of(self.index.golden(left)):
            for other in self.group.record(number).potential_matches:
                if other in others:
                    self.group.add(self._stamped(number), ev.PotentialMatchClosed(*pair_of(number, other)))

    def _agreeing(self, judge: ev.Judge) -> tuple[str, ...]:
        entry = self.group.record(judge.left)
        sides = []
        for number in (judge.left, judge.right):
            golden_id = self.group.golden_id_of(number)
            members = members_of(self.index.golden(golden_id)) if golden_id is not None else (number,)
            sides.append(list(self._features(entry.kind, members).values()))
        return agreements(self.group.engines[entry.kind].scorer, *sides)

    def _withdraw_one(self, pair: Pair) -> None:
        reason_ids = seal_reason(self.group, pair, self.reason)
        self.group.add(self._stamped(pair[0]), ev.JudgementWithdrawn(*pair, reason_ids))

    def _features(self, kind: EntityKind, members: Iterable[RecordNumber]) -> dict[RecordNumber, Features]:
        found = {number: features_of(self.index, kind, number) for number in members}
        return {number: features for number, features in found.items() if features is not None}

    def _members(self, golden_ids: Iterable[GoldenId | None]) -> tuple[RecordNumber, ...]:
        goldens = [self.index.golden(golden_id) for golden_id in golden_ids if golden_id is not None]
        return tuple(sorted(number for golden in goldens for number in members_of(golden)))

    def _live(self, number: RecordNumber) -> RecordEntry:
        entry = self.index.record(number)
        if entry is None or entry.is_deleted:
            raise UnknownRecordError("a judgement is about live records")
        return entry

    def _surviving(self, golden_id: GoldenId) -> GoldenId:
        entry = self.index.golden(golden_id)
        if entry is None:
            raise never_issued(self.index)
        if entry.is_retired:
            raise ActImpossibleError("the golden ID is retired")
        return entry.survivor or golden_id

    def _golden(self, golden_id: GoldenId) -> GoldenEntry:
        entry = self.index.golden(golden_id)
        if entry is None:
            raise never_issued(self.index)
        return entry

    def _stamped(self, number: RecordNumber) -> ev.Cause:
        engine: Engine = self.group.engines[self.group.record(number).kind]
        return engine.stamped(self.cause)


def standing_judge(state: IdentityView, journal: JournalReader, seq: int) -> ev.Judge:
    """Return what a judgement says, by its id.

    Raises:
        UnknownJudgementError: None of this id stands.
    """
    for event in journal.events(seq - 1, seq) if seq <= journal.last_seq else ():
        fact = event.fact
        if isinstance(fact, ev.JudgementMade):
            standing = state.standing((fact.left, fact.right))
            if standing is not None and standing.seq == seq:
                return ev.Judge(fact.left, fact.right, fact.verdict)
    raise UnknownJudgementError("no judgement of this id stands")


def _anchor(golden: GoldenEntry) -> RecordNumber:
    return golden.anchor if golden.anchor is not None else golden.members[0]


def _parts(pair: Pair, own: Sequence[RecordNumber]) -> bool:
    return (pair[0] in own) is not (pair[1] in own)


def _contradicted(judgements: Iterable[int]) -> JudgementContradictedError:
    ids = ", ".join(f"J-{seq}" for seq in dict.fromkeys(judgements))
    return JudgementContradictedError(f"standing judgements say otherwise; withdraw one of them first: {ids}")


def contradicted_judgements(error: JudgementContradictedError) -> tuple[int, ...]:
    """Return the judgements that stand against an act, as a chain."""
    return tuple(int(word) for word in str(error).rpartition(": ")[2].replace("J-", "").split(", "))
