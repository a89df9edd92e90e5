"""Random lives of a small town against a plain model: who is grouped with whom, and what every ID answers."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mdm.domain import events as ev
from mdm.domain.changes import ChangeKind, Changes, apply_noting
from mdm.domain.erasure import farewell, subject_of
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, golden_id
from mdm.domain.rules import departure, regroup, reversal
from mdm.domain.state import GoldenEntry, MemoryState, apply, pair_of

EXAMPLES = int(os.environ.get("MDM_STATE_MACHINE_EXAMPLES", "200"))
NUMBERS = [RecordNumber(number) for number in range(1, 9)]
numbers = st.sampled_from(NUMBERS)


class TownMachine(RuleBasedStateMachine):
    """Moves identity state as the writer does, and keeps beside it the partition and the IDs as plain sets."""

    def __init__(self) -> None:
        super().__init__()
        self.state = MemoryState()
        self.plain = MemoryState()
        """What the fold gives without notes."""
        self.told_homes: dict[RecordNumber, GoldenId] = {}
        """Crosswalk of a subscriber who knows nothing but what each event changed."""
        self.told_answers: dict[GoldenId, GoldenId | None] = {}
        """What the same subscriber takes each golden ID to answer: itself, a survivor, or None when retired."""
        self.seq = 0
        self.minted: list[GoldenId] = []
        self.groups: dict[RecordNumber, frozenset[RecordNumber]] = {}
        self.pending: set[RecordNumber] = set()
        self.erased: set[RecordNumber] = set()
        self.retired: set[GoldenId] = set()
        self.judged: dict[tuple[RecordNumber, RecordNumber], ev.Verdict] = {}
        self.runs: list[tuple[int, ev.RecordsRegrouped, dict[GoldenId, GoldenEntry]]] = []
        """Regroupings by a run: position, fact, and all golden IDs before it."""

    def mint(self, kind: EntityKind) -> GoldenId:
        minted = golden_id(kind, len(self.minted) * 0x5DEECE66D % 2**60)
        self.minted.append(minted)
        return minted

    def tell(self, *facts: ev.Fact) -> None:
        for fact in facts:
            self.seq += 1
            event = ev.Event(self.seq, self.seq, 1, ev.Cause(), fact)
            apply(self.plain, event)
            changes = apply_noting(self.state, event)
            if changes is not None:
                self.follow(changes)

    def follow(self, changes: Changes) -> None:
        for record in changes.records:
            assert self.told_homes.get(record.number) == record.before
            if record.after is None:
                self.told_homes.pop(record.number, None)
            else:
                self.told_homes[record.number] = record.after
        for golden in changes.goldens:
            match golden.kind:
                case ChangeKind.CREATED:
                    assert golden.golden_id not in self.told_answers
                    self.told_answers[golden.golden_id] = golden.golden_id
                case ChangeKind.MERGED:
                    self.told_answers[golden.golden_id] = golden.other
                case ChangeKind.RESTORED:
                    assert self.told_answers[golden.golden_id] == golden.other
                    self.told_answers[golden.golden_id] = golden.golden_id
                case ChangeKind.RETIRED:
                    self.told_answers[golden.golden_id] = None
                case _:
                    pass

    def upserted(self, number: RecordNumber, *, is_new_bearer: bool = False) -> ev.Fact:
        return ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, self.seq + 1, b"", None, is_new_bearer)

    def part(self, number: RecordNumber) -> None:
        rest = self.groups.pop(number, frozenset()) - {number}
        self.groups.update(dict.fromkeys(rest, rest))

    def settle(self, number: RecordNumber, other: RecordNumber | None) -> None:
        """Resolve a record into the golden record of another, or into one of its own."""
        self.part(number)
        self.pending.discard(number)
        if other is None or other not in self.groups:
            self.tell(ev.RecordResolved(number, self.mint(EntityKind.CITIZEN), True, ev.Outcome.CREATED))
            self.groups[number] = frozenset({number})
            return
        joined = self.state.records[other].golden_id
        assert joined is not None
        self.tell(ev.RecordResolved(number, joined, False, ev.Outcome.LINKED, other, 12.0))
        together = self.groups[other] | {number}
        self.groups.update(dict.fromkeys(together, together))

    @rule(number=numbers, other=st.none() | numbers)
    def a_record_arrives_or_its_key_gets_a_new_bearer(self, number: RecordNumber, other: RecordNumber | None) -> None:
        if number in self.erased:
            return
        if other == number:
            other = None
        is_known = number in self.groups
        self.tell(self.upserted(number, is_new_bearer=is_known), *departure(self.state, number))
        self.settle(number, other)

    @rule(number=numbers)
    def a_record_arrives_for_later(self, number: RecordNumber) -> None:
        if number not in self.groups and number not in self.erased:
            self.tell(self.upserted(number))
            self.pending.add(number)

    @rule(number=numbers)
    def a_record_changes_and_stays(self, number: RecordNumber) -> None:
        if number in self.groups:
            self.tell(self.upserted(number))

    @rule(number=numbers, other=numbers)
    def a_record_moves(self, number: RecordNumber, other: RecordNumber) -> None:
        apart = number in self.groups and other in self.groups and other not in self.groups[number]
        if apart and len(self.groups[number]) > 1:
            self.tell(self.upserted(number), *departure(self.state, number))
            self.settle(number, other)

    @rule(number=numbers)
    def a_record_is_deleted(self, number: RecordNumber) -> None:
        if number in self.groups or number in self.pending:
            self.tell(*departure(self.state, number), ev.RecordDeleted(number))
            self.part(number)
            self.pending.discard(number)

    @rule(number=numbers)
    def a_person_is_erased(self, number: RecordNumber) -> None:
        entry = self.state.records.get(number)
        golden_id = entry and (entry.golden_id or entry.withdrawn_from)
        subject = subject_of(self.state, golden_id) if golden_id else None
        if subject is None or number in self.erased:
            return
        assert {number, *self.groups.get(number, ())} <= set(subject.numbers)
        for each in subject.numbers:
            self.tell(*farewell(self.state, each))
            self.part(each)
        self.tell(ev.SubjectErased(subject.golden_ids, subject.numbers, subject.passed_on))
        self.erased.update(subject.numbers)
        self.judged = {pair: said for pair, said in self.judged.items() if not self.erased.intersection(pair)}
        assert all(
            self.state.goldens[each].is_erased and self.state.goldens[each].is_retired for each in subject.golden_ids
        )
        again = subject_of(self.state, subject.golden_ids[0])
        assert again is not None
        assert again.is_nothing

    @precondition(lambda self: self.groups or self.pending)
    @rule(cuts=st.lists(st.integers(0, 3), min_size=8, max_size=8), is_everything=st.booleans())
    def a_relinkage_groups_anew(self, cuts: list[int], is_everything: bool) -> None:  # noqa: FBT001
        live = sorted(self.groups.keys() | self.pending)
        if not is_everything:
            first = live[cuts[0] % len(live)]
            live = sorted(self.groups.get(first, frozenset({first})) | (self.pending & {live[-1]}))
        clusters: dict[int, list[RecordNumber]] = {}
        for number, cut in zip(live, cuts, strict=False):
            clusters.setdefault(cut, []).append(number)
        wanted = list(clusters.values())
        as_it_is = all(self.groups.get(cluster[0]) == frozenset(cluster) for cluster in wanted)
        facts = regroup(self.state, wanted, self.mint, reason=ev.RegroupReason.RELINK, run_id="run")
        assert (facts == []) is as_it_is
        before = dict(self.state.goldens)
        self.tell(*facts)
        self.runs.extend((self.seq, fact, before) for fact in facts if isinstance(fact, ev.RecordsRegrouped))
        for cluster in wanted:
            self.groups.update(dict.fromkeys(cluster, frozenset(cluster)))
            self.pending.difference_update(cluster)

    @precondition(lambda self: self.runs)
    @rule(choice=st.integers(0, 99), is_last=st.booleans())
    def a_relinkage_is_taken_back(self, choice: int, is_last: bool) -> None:  # noqa: FBT001
        seq, left_as, before = self.runs[-1 if is_last else choice % len(self.runs)]
        facts = reversal(self.state, left_as, seq=seq, run_id="back")
        if facts is None:
            assert self.seq > seq, "nothing can have intervened"
            return
        left = dict(self.state.goldens)
        self.tell(*facts)
        (regrouped,) = (fact for fact in facts if isinstance(fact, ev.RecordsRegrouped))
        self.runs.append((self.seq - len(facts) + facts.index(regrouped) + 1, regrouped, left))
        for group in regrouped.groups:
            self.groups.update(dict.fromkeys(group.numbers, frozenset(group.numbers)))
        fresh = {number for group in left_as.groups for number in group.numbers}
        fresh -= {number for former in left_as.former for number in former.numbers}
        for former in left_as.former:
            was, is_now = before[former.golden_id], self.state.goldens[former.golden_id]
            assert (is_now.anchor, is_now.survivor, is_now.absorbed) == (was.anchor, was.survivor, was.absorbed)
            assert set(is_now.members) - fresh == set(was.members)
        for group in left_as.groups:
            if group.is_minted:
                issued = self.state.goldens[group.golden_id]
                assert issued.is_retired is not bool(fresh & set(group.numbers))
                assert set(issued.members) == fresh & set(group.numbers)

    @rule(left=numbers, right=numbers)
    def a_question_is_asked(self, left: RecordNumber, right: RecordNumber) -> None:
        apart = left in self.groups and right in self.groups and right not in self.groups[left]
        if apart:
            self.tell(ev.PotentialMatchOpened(*pair_of(left, right), ev.MatchReason.WEIGHT, 4.0))

    @rule(left=numbers, right=numbers, verdict=st.none() | st.sampled_from(list(ev.Verdict)))
    def a_steward_judges_or_withdraws(
        self, left: RecordNumber, right: RecordNumber, verdict: ev.Verdict | None
    ) -> None:
        pair = pair_of(left, right)
        known = self.state.records.keys() - self.erased
        if left == right or left not in known or right not in known:
            return
        if verdict is None:
            self.tell(ev.JudgementWithdrawn(*pair))
            self.judged.pop(pair, None)
        else:
            self.tell(ev.JudgementMade(*pair, verdict))
            self.judged[pair] = verdict

    @invariant()
    def the_partition_is_the_models(self) -> None:
        found: dict[RecordNumber, frozenset[RecordNumber]] = {}
        for golden in self.state.goldens.values():
            assert golden.members == tuple(sorted(set(golden.members)))
            for number in golden.members:
                assert number not in found
                found[number] = frozenset(golden.members)
        assert found == self.groups

    @invariant()
    def records_and_golden_records_name_each_other(self) -> None:
        for number, record in self.state.records.items():
            assert (record.golden_id is not None) is (number in self.groups)
            if record.golden_id is not None:
                assert number in self.state.goldens[record.golden_id].members

    @invariant()
    def a_golden_record_remembers_its_deleted_records_until_they_return_or_are_erased(self) -> None:
        remembered = {
            number: identifier for identifier, golden in self.state.goldens.items() for number in golden.withdrawn
        }
        found = {number: entry.withdrawn_from for number, entry in self.state.records.items() if entry.withdrawn_from}
        assert remembered == found
        for number, entry in self.state.records.items():
            assert entry.is_erased is (number in self.erased)
            assert entry.is_deleted or entry.withdrawn_from is None

    @invariant()
    def every_id_answers_in_one_step_and_none_is_minted_twice(self) -> None:
        assert len(self.minted) == len(set(self.minted)) == len(self.state.goldens)
        for identifier, golden in self.state.goldens.items():
            if golden.is_retired:
                assert (golden.anchor, golden.survivor, golden.members, golden.absorbed) == (None, None, (), ())
            elif golden.survivor is None:
                assert golden.anchor in golden.members
                assert all(self.state.goldens[each].survivor == identifier for each in golden.absorbed)
            else:
                survivor = self.state.goldens[golden.survivor]
                assert (golden.members, golden.absorbed) == ((), ())
                assert survivor.survivor is None
                assert identifier in survivor.absorbed
                assert golden.anchor in survivor.members
                assert (survivor.minted_seq, survivor.minted_ordinal) < (golden.minted_seq, golden.minted_ordinal)

    @invariant()
    def the_fold_is_the_same_with_notes(self) -> None:
        assert vars(self.state) == vars(self.plain)

    @invariant()
    def what_each_event_changed_adds_up_to_the_state(self) -> None:
        assert self.told_homes == {
            number: entry.golden_id for number, entry in self.state.records.items() if entry.golden_id is not None
        }
        assert self.told_answers == {
            each: None if golden.is_retired else golden.survivor or each for each, golden in self.state.goldens.items()
        }

    @invariant()
    def a_retired_id_stays_retired(self) -> None:
        assert all(self.state.goldens[each].is_retired for each in self.retired)
        self.retired = {each for each, golden in self.state.goldens.items() if golden.is_retired}

    @invariant()
    def questions_stand_between_golden_records_that_live(self) -> None:
        named: dict[RecordNumber, set[RecordNumber]] = {}
        for left, right in self.state.potential_matches:
            assert left in self.groups
            assert right in self.groups
            assert right not in self.groups[left]
            named.setdefault(left, set()).add(right)
            named.setdefault(right, set()).add(left)
        for number, record in self.state.records.items():
            assert record.potential_matches == tuple(sorted(named.get(number, set())))

    @invariant()
    def judgements_stand_until_withdrawn(self) -> None:
        assert {pair: each.verdict for pair, each in self.state.judgements.items()} == self.judged
        for left, right in self.judged:
            assert right in self.state.records[left].judged
            assert left in self.state.records[right].judged


TestTown = TownMachine.TestCase
TestTown.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    derandomize="MDM_STATE_MACHINE_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
