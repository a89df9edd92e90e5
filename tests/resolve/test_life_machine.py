"""Random lives of a small city: records come, change and go, stewards act, runs link anew, the writer is killed.

Beside the writer stands a plain model: a fold in memory of the journal's events, a subscriber who knows nothing but
what each event changed, and what was ever issued, retired and judged. `MDM_LIFE_EXAMPLES=5000` is the long form; one in
`MDM_LIFE_RELINKS_EVERY` lives has real re-linkages, whose batch process runs here, for interpreters take long to start.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mdm.domain import events as ev
from mdm.domain.changes import ChangeKind
from mdm.domain.events import Verdict
from mdm.domain.keys import GoldenId, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.domain.state import MemoryState, Pair, apply, pair_of
from mdm.resolve.commands import (
    Act,
    ClaimReview,
    CommitRelink,
    Erase,
    EraseAnswer,
    Pin,
    Refusal,
    Request,
    RunAnswer,
    Split,
    Steward,
    StewardAnswer,
    Unmerge,
    Unpin,
    WithdrawJudgement,
)
from mdm.resolve.relink_runs import Phase, read_state
from tests.resolve.loads import load, revert
from tests.resolve.office import Office, citizen

EXAMPLES = int(os.environ.get("MDM_LIFE_EXAMPLES", "200"))
RELINKS_EVERY = int(os.environ.get("MDM_LIFE_RELINKS_EVERY", "20"))
STEPS = 20

NAMES = ("Nguyễn Thị Thúy", "Huỳnh Ngọc Bảo Trâm", "Lý Quốc Cường")
PHONES = ("", "0903123456", "0911222333")
IDS = ("", "079187000123", "079187004567")
KEYS = [(registry, name) for registry in ("hospital", "household") for name in ("A", "B", "C", "D")]
REFUSALS = frozenset({"JudgementContradictedError", "ActImpossibleError"})
"""What a random act may meet; nothing else."""

keys = st.sampled_from(KEYS)
operations = st.lists(
    st.tuples(keys, st.sampled_from(NAMES), st.sampled_from(PHONES), st.sampled_from(IDS), st.booleans()),
    min_size=1,
    max_size=4,
)
"""Of a load: key, values, and whether it is a delete instead."""
places = st.integers(0, 999)


def record(key: tuple[str, str], name: str = NAMES[0], phone: str = "", personal_id: str = "") -> SourceRecord:
    return citizen(key[1], name, registry=key[0], phone=phone, address="", personal_id=personal_id)


class LifeMachine(RuleBasedStateMachine):
    """A writer at work, and beside it the plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.office = Office(self.folder / "data")
        self.has_relinks = False
        self.stored: set[tuple[str, str]] = set()
        self.plain = MemoryState()
        self.folded_seq = self.revived_seq = 0
        self.told_homes: dict[RecordNumber, GoldenId] = {}
        self.told_answers: dict[GoldenId, GoldenId | None] = {}
        self.issued: dict[GoldenId, int] = {}
        """Golden ID → position at which it was minted."""
        self.retired: set[GoldenId] = set()
        self.committed: list[tuple[str, int, dict[GoldenId, tuple[object, ...]]]] = []
        """Runs with the position behind them and all golden IDs before them."""
        self.loads: list[str] = []

    @initialize(lot=places)
    def this_life_has_relinkages_or_not(self, lot: int) -> None:
        self.has_relinks = lot % RELINKS_EVERY == 0

    def teardown(self) -> None:
        differences = self.office.differences(self.folder / "replayed")
        self.office.close()
        shutil.rmtree(self.folder)
        assert differences == [], "a replay of the journal gives another index"

    # Records and processes.

    @rule(
        key=keys,
        name=st.sampled_from(NAMES),
        phone=st.sampled_from(PHONES),
        personal_id=st.sampled_from(IDS),
        later=st.booleans(),
    )
    def a_record_arrives(self, key: tuple[str, str], name: str, phone: str, personal_id: str, later: bool) -> None:  # noqa: FBT001
        self.office.put(record(key, name, phone, personal_id), later=later and self.has_relinks)
        self.stored.add(key)

    @precondition(lambda self: self.stored)
    @rule(place=places)
    def a_record_goes(self, place: int) -> None:
        self.office.drop(record(sorted(self.stored)[place % len(self.stored)]).key)

    @rule(place=places)
    def somebody_is_erased(self, place: int) -> None:
        goldens = self.survivors()
        if not goldens:
            return
        identifier = goldens[place % len(goldens)]
        (answer,) = self.office.execute(Erase(Request(self.office.cause), identifier, reason="asked for"))
        assert isinstance(answer, EraseAnswer), answer
        entry = self.office.golden(identifier)
        assert (entry.is_retired, entry.is_erased, entry.members) == (True, True, ())
        with self.office.writer._index.read() as view:
            self.stored = {key for key in self.stored if view.number_of(record(key).key) is not None}

    # Loads.

    def load(self, wanted: list[tuple[tuple[str, str], str, str, str, bool]]) -> str:
        found = [
            record(key).key if is_delete else record(key, name, phone, personal_id)
            for key, name, phone, personal_id, is_delete in wanted
        ]
        self.stored |= {key for key, *_, is_delete in wanted if not is_delete}
        return load(self.office, f"load {self.office.seq}", found, group=2)

    @rule(wanted=operations)
    def a_load_comes_and_goes_without_a_trace(self, wanted: list[tuple[tuple[str, str], str, str, str, bool]]) -> None:
        before = self.everything()
        pending = self.pending()
        revert(self.office, self.load(wanted))
        goldens, questions, judgements, pins, crosswalk = self.everything()
        if pending:
            # A pending record that was resolved by the load keeps a golden ID.
            return
        assert {identifier: goldens[identifier] for identifier in before[0]} == before[0]
        assert all(goldens[identifier][-1] for identifier in goldens.keys() - before[0].keys())
        assert (questions, judgements, crosswalk) == (before[1], before[2], before[4])
        assert {number: pins.get(number) for number in before[3]} == before[3]

    @rule(wanted=operations)
    def a_load_comes(self, wanted: list[tuple[tuple[str, str], str, str, str, bool]]) -> None:
        self.loads.append(self.load(wanted))

    @precondition(lambda self: self.loads)
    @rule(place=places)
    def a_load_is_taken_back(self, place: int) -> None:
        effects = revert(self.office, self.loads[place % len(self.loads)], keeps_later=True)
        assert "failed" not in effects

    def pending(self) -> set[RecordNumber]:
        with self.office.writer._index.read() as view:
            return {number for number, entry in view.iter_records() if not entry.golden_id and not entry.is_deleted}

    @rule()
    def the_writer_is_killed(self) -> None:
        before = self.office.goldens(), self.office.crosswalk(), self.office.reviews()
        self.office.kill()
        self.office.reopen()
        assert (self.office.goldens(), self.office.crosswalk(), self.office.reviews()) == before

    # Stewards.

    def act(self, act: Act) -> StewardAnswer | None:
        """Carry an act out, after a dry run that must leave everything as it is and foresee the same."""
        before = self.everything()
        request = Request(ev.Cause(actor="steward"))
        (seen,) = self.office.execute(Steward(request, act, "seen the files", is_dry_run=True))
        assert self.everything() == before, "a dry run wrote"
        (answer,) = self.office.execute(Steward(request, act, "seen the files"))
        if isinstance(answer, Refusal):
            assert answer.error in REFUSALS, answer
            assert self.everything() == before, "a refused act wrote"
            return None
        assert isinstance(answer, StewardAnswer)
        assert isinstance(seen, StewardAnswer)
        assert [each.numbers for each in seen.after] == [each.numbers for each in answer.after]
        assert (seen.made, seen.withdrawn) == (answer.made, answer.withdrawn)
        return answer

    def everything(self) -> tuple[Any, ...]:
        """All that an act and its undoing must leave alike, positions left out."""
        with self.office.writer._index.read() as view:
            questions = {
                pair: (match.reason, match.match_weight_bits, match.detail)
                for pair, match in view.iter_potential_matches()
            }
            judgements = dict(view.iter_judgements())
            # They are sealed anew: the fields stand for them.
            pins = {number: [field for field, _ in entry.pins] for number, entry in view.iter_records()}
        return self.office.goldens(), questions, judgements, pins, self.office.crosswalk()

    def by_age(self, identifiers: Iterable[GoldenId]) -> list[GoldenId]:
        """Return golden IDs in the order of their age: the IDs themselves are random."""

        def age(identifier: GoldenId) -> tuple[int, int]:
            entry = self.office.golden(identifier)
            return entry.minted_seq, entry.minted_ordinal

        return sorted(identifiers, key=age)

    def survivors(self) -> list[GoldenId]:
        return self.by_age(identifier for identifier, entry in self.office.goldens().items() if entry[2])

    def pair(self, one: int, other: int) -> Pair | None:
        live = sorted(self.office.members())
        if len(live) < 2:
            return None
        left = live[one % len(live)]
        rest = [number for number in live if number != left]
        return pair_of(left, rest[other % len(rest)])

    @rule(one=places, other=places, verdict=st.sampled_from(list(Verdict)))
    def a_steward_judges(self, one: int, other: int, verdict: Verdict) -> None:
        if pair := self.pair(one, other):
            self.act(ev.Judge(*pair, verdict))

    @rule(one=places, other=places)
    def same_is_said_and_withdrawn(self, one: int, other: int) -> None:
        pair = self.pair(one, other)
        answer = self.act(ev.Judge(*pair, Verdict.SAME)) if pair else None
        if answer is not None and answer.judgement:
            self.act(WithdrawJudgement(answer.judgement))

    @rule(place=places)
    def a_judgement_is_withdrawn(self, place: int) -> None:
        with self.office.writer._index.read() as view:
            pairs = [pair for pair, _ in view.iter_judgements()]
            standing = view.standing(pairs[place % len(pairs)]) if pairs else None
        if standing is not None:
            self.act(WithdrawJudgement(standing.seq))

    @rule(one=places, other=places)
    def a_merge_and_its_unmerge_leave_no_trace(self, one: int, other: int) -> None:
        goldens = self.survivors()
        if len(goldens) < 2:
            return
        left = goldens.pop(one % len(goldens))
        right = goldens[other % len(goldens)]
        before = self.everything()
        if self.act(ev.Merge(left, right)) is None:
            return
        survivor = self.office.answer(left)
        assert survivor == self.office.answer(right)
        assert self.act(Unmerge(right if survivor == left else left)) is not None
        assert self.everything() == before

    @rule(one=places, other=places)
    def golden_records_are_merged(self, one: int, other: int) -> None:
        goldens = self.survivors()
        if len(goldens) > 1:
            left = goldens.pop(one % len(goldens))
            self.act(ev.Merge(left, goldens[other % len(goldens)]))

    @rule(place=places)
    def a_golden_record_is_unmerged(self, place: int) -> None:
        redirects = self.by_age(identifier for identifier, entry in self.office.goldens().items() if entry[1])
        if redirects:
            self.act(Unmerge(redirects[place % len(redirects)]))

    @rule(place=places, chosen=st.lists(places, min_size=1, max_size=3))
    def a_golden_record_is_split(self, place: int, chosen: list[int]) -> None:
        large = [each for each in self.survivors() if len(self.office.golden(each).members) > 1]
        if large:
            identifier = large[place % len(large)]
            members = self.office.golden(identifier).members
            leaving = tuple(sorted({members[each % len(members)] for each in chosen}))
            if len(leaving) < len(members):
                self.act(Split(identifier, leaving))

    @rule(one=places, other=places)
    def a_record_is_moved(self, one: int, other: int) -> None:
        live, goldens = sorted(self.office.members()), self.survivors()
        if live:
            self.act(ev.Move(live[one % len(live)], goldens[other % len(goldens)]))

    @rule(place=places, name=st.none() | st.sampled_from(NAMES))
    def a_value_is_fixed_or_let_go(self, place: int, name: str | None) -> None:
        goldens = self.survivors()
        if goldens:
            identifier = goldens[place % len(goldens)]
            self.act(Pin(identifier, "full_name", name) if name else Unpin(identifier, "full_name"))

    @rule(answer=st.sampled_from([ev.ReviewAnswer.SAME, ev.ReviewAnswer.DIFFERENT, ev.ReviewAnswer.UNSURE]))
    def the_next_review_is_answered(self, answer: ev.ReviewAnswer) -> None:
        (claimed,) = self.office.execute(ClaimReview(Request(ev.Cause(actor="steward"))))
        assert isinstance(claimed, StewardAnswer), claimed
        if claimed.review:
            self.office.answer_review(claimed.review, answer, etag=claimed.etag)

    # Re-linkage.

    @precondition(lambda self: self.has_relinks and self.stored)
    @rule(is_disturbed=st.booleans())
    def a_relinkage_is_committed(self, is_disturbed: bool) -> None:  # noqa: FBT001
        run_id = self.office.plan_here().run_id
        if is_disturbed:
            self.office.put(record(KEYS[0], NAMES[1], PHONES[1]))
            self.stored.add(KEYS[0])
        before = self.office.goldens()
        self.commit(run_id)
        self.committed.append((run_id, self.office.seq, before))

    @precondition(lambda self: self.committed)
    @rule(place=places)
    def a_relinkage_is_taken_back(self, place: int) -> None:
        run_id, seq, before = self.committed[place % len(self.committed)]
        is_untouched = self.office.seq == seq
        left = self.office.goldens()
        reverted = {read_state(self.office.directory.relinks, each[0]).reverts for each in self.committed}
        reversal = self.office.plan_here(reverts=run_id).run_id
        self.commit(reversal)
        self.committed.append((reversal, self.office.seq, left))
        found = read_state(self.office.directory.relinks, reversal).reversal
        assert found is not None
        is_reversal = bool(read_state(self.office.directory.relinks, run_id).reverts)
        if is_untouched and not is_reversal and run_id not in reverted and found.kept_pending_count == 0:
            after = self.office.goldens()
            assert {identifier: after[identifier] for identifier in before} == before
            assert all(after[identifier][-1] for identifier in after.keys() - before.keys())

    def commit(self, run_id: str) -> None:
        (answer,) = self.office.execute(CommitRelink(Request(self.office.cause), run_id))
        assert isinstance(answer, RunAnswer)
        assert self.office.follow(run_id).phase is Phase.COMMITTED

    # What always holds.

    @invariant()
    def the_index_is_the_plain_fold(self) -> None:
        for event in self.office.writer._journal.events(self.folded_seq):
            apply(self.plain, event)
            self.folded_seq = event.seq
        with self.office.writer._index.read() as view:
            assert dict(view.iter_goldens()) == self.plain.goldens
            assert dict(view.iter_records()) == self.plain.records
            assert dict(view.iter_potential_matches()) == self.plain.potential_matches

    @invariant()
    def a_subscriber_knows_the_crosswalk(self) -> None:
        with self.office.writer._index.read() as view:
            after = getattr(self, "followed_seq", 0)
            for seq, changes in view.iter_changes(after):
                self.followed_seq = seq
                for moved in changes.records:
                    assert self.told_homes.get(moved.number) == moved.before
                    if moved.after is None:
                        self.told_homes.pop(moved.number, None)
                    else:
                        self.told_homes[moved.number] = moved.after
                for golden in changes.goldens:
                    if golden.kind is ChangeKind.RETIRED:
                        self.told_answers[golden.golden_id] = None
                    elif golden.kind in {ChangeKind.CREATED, ChangeKind.RESTORED}:
                        self.told_answers[golden.golden_id] = golden.golden_id
                    elif golden.kind is ChangeKind.MERGED:
                        self.told_answers[golden.golden_id] = golden.other
            homes = {number: entry.golden_id for number, entry in view.iter_records() if entry.golden_id is not None}
        assert self.told_homes == homes
        assert self.told_answers == {each: self.office.answer(each) for each in self.office.goldens()}

    @invariant()
    def each_resolved_record_has_exactly_one_golden_record(self) -> None:
        members = self.office.members()
        found = [number for group in set(members.values()) for number in group]
        assert sorted(found) == sorted(members)
        for key in self.stored:
            source_key = record(key).key
            entry = self.office.entry(source_key)
            assert (entry.golden_id is None) is (self.office.number(source_key) not in members)

    @invariant()
    def no_golden_id_is_ever_issued_again(self) -> None:
        with self.office.writer._index.read() as view:
            entries = dict(view.iter_goldens())
        # Whatever runs first: what was retired with a record may be revived for it.
        for event in self.office.writer._journal.events(self.revived_seq):
            self.revived_seq = event.seq
            if isinstance(event.fact, ev.GoldenIdRevived):
                self.retired.discard(event.fact.golden_id)
        for identifier, minted_seq in self.issued.items():
            assert entries[identifier].minted_seq == minted_seq
            assert entries[identifier].is_retired or identifier not in self.retired
        self.issued |= {identifier: entry.minted_seq for identifier, entry in entries.items()}
        self.retired = {identifier for identifier, entry in entries.items() if entry.is_retired}

    @invariant()
    def every_golden_id_answers_in_one_step(self) -> None:
        goldens = self.office.goldens()
        for identifier, (anchor, survivor, members, absorbed, is_retired) in goldens.items():
            assert is_retired is (anchor is None)
            assert bool(members) is (survivor is None and not is_retired), identifier
            if members:
                assert anchor in members  # type: ignore[operator]
                assert all(goldens[each][1] == identifier for each in absorbed)  # type: ignore[attr-defined]
            elif survivor is not None:
                assert anchor in goldens[survivor][2]  # type: ignore[index,operator]

    @invariant()
    def judgements_bind_and_reviews_point_at_what_lives(self) -> None:
        members = self.office.members()
        with self.office.writer._index.read() as view:
            judgements = dict(view.iter_judgements())
            questions = dict(view.iter_potential_matches())
        for (left, right), verdict in judgements.items():
            if left in members and right in members:
                assert (members[left] == members[right]) is (verdict is Verdict.SAME), (left, right, verdict)
        for left, right in questions:
            assert members[left] != members[right]
            assert (left, right) not in judgements
        reviews = self.office.reviews()
        assert {match.review for match in questions.values()} == set(reviews)
        assert {(entry.left, entry.right) for entry in reviews.values()} == set(questions)


# A limit that ends a life between kill and reopening looks like a journal that fails; 0.25 s each on a quiet machine.
TestLife = pytest.mark.timeout(max(600, 2 * EXAMPLES))(LifeMachine.TestCase)
TestLife.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize="MDM_LIFE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
