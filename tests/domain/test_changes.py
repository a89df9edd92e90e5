"""What each fact is said to have changed."""

from __future__ import annotations

import pytest

from mdm.domain import events as ev
from mdm.domain import load_events as le
from mdm.domain.changes import ChangeKind, Changes, GoldenChange, RecordChange, apply_noting
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, golden_id
from mdm.domain.rules import departure, regroup
from mdm.domain.state import MemoryState, pair_of

ONE, TWO, THREE, FOUR = (RecordNumber(number) for number in (1, 2, 3, 4))
A, B, C, D = (golden_id(EntityKind.CITIZEN, place) for place in (1, 2, 3, 4))
Told = tuple[GoldenId, ChangeKind, GoldenId | None]


class Town:
    """Four records, each with a golden ID of its own: 1 in A, 2 in B, 3 in C, 4 in D."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.seq = 0
        for number, golden in ((ONE, A), (TWO, B), (THREE, C), (FOUR, D)):
            self.tell(upserted(number), ev.RecordResolved(number, golden, True, ev.Outcome.CREATED))

    def tell(self, *facts: ev.Fact) -> list[Changes]:
        told = []
        for fact in facts:
            self.seq += 1
            changes = apply_noting(self.state, ev.Event(self.seq, 1000 + self.seq, 1, ev.Cause(), fact))
            told += [changes] if changes else []
        return told

    def group(self, *clusters: list[RecordNumber]) -> list[Changes]:
        def mint(kind: EntityKind) -> GoldenId:
            return golden_id(kind, 100 + self.seq)

        return self.tell(*regroup(self.state, clusters, mint, reason=ev.RegroupReason.RELINK))


def upserted(number: RecordNumber, payload_id: int = 0, *, is_new_bearer: bool = False) -> ev.RecordUpserted:
    return ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, payload_id or number, b"h", None, is_new_bearer)


def goldens(changes: list[Changes]) -> list[Told]:
    return [(each.golden_id, each.kind, each.other) for event in changes for each in event.goldens]


def records(changes: list[Changes]) -> list[tuple[RecordNumber, GoldenId | None, GoldenId | None]]:
    return [(each.number, each.before, each.after) for event in changes for each in event.records]


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_record_that_waits_changes_nothing_and_one_that_is_resolved_creates(town: Town) -> None:
    assert town.tell(upserted(RecordNumber(5))) == []
    new = golden_id(EntityKind.CITIZEN, 5)
    (changes,) = town.tell(ev.RecordResolved(RecordNumber(5), new, True, ev.Outcome.CREATED))
    assert changes == Changes(
        1000 + town.seq, (GoldenChange(new, ChangeKind.CREATED),), (RecordChange(RecordNumber(5), None, new),)
    )


def test_events_without_identity_change_nothing(town: Town) -> None:
    assert town.tell(le.LoadProgressed("load", 4), ev.ConfigurationChanged("digest"), ev.ClerkChose(ONE, TWO)) == []


def test_a_merge_redirects_and_an_unmerge_restores(town: Town) -> None:
    merged = town.group([ONE, TWO, THREE])
    assert goldens(merged) == [
        (B, ChangeKind.MERGED, A),
        (C, ChangeKind.MERGED, A),
        (A, ChangeKind.ABSORBED, B),
        (A, ChangeKind.ABSORBED, C),
    ]
    assert records(merged) == [(TWO, B, A), (THREE, C, A)]

    parted = town.group([ONE, THREE], [TWO])
    assert set(goldens(parted)) == {(A, ChangeKind.SPLIT, B), (B, ChangeKind.RESTORED, A)}
    assert records(parted) == [(TWO, A, B)]


def test_a_restored_id_is_joined_by_whom_its_survivor_had_not(town: Town) -> None:
    town.group([ONE, TWO])
    waiting = RecordNumber(5)
    town.tell(upserted(waiting))
    assert (B, ChangeKind.JOINED, None) not in goldens(town.group([ONE], [TWO]))
    town.group([ONE, TWO])
    assert {(B, ChangeKind.RESTORED, A), (B, ChangeKind.JOINED, None)} < set(goldens(town.group([ONE], [TWO, waiting])))


def test_reviews_of_one_golden_record_and_of_two_are_told_of_them(town: Town) -> None:
    town.group([ONE, TWO])
    opened = town.tell(ev.OversizeFound(A, 2))
    assert (goldens(opened), records(opened)) == ([(A, ChangeKind.REVIEW_OPENED, None)], [(ONE, A, A)])
    assert goldens(town.tell(ev.ReviewClaimed(town.seq, 5), ev.ReviewReleased(town.seq))) == []
    oversize = town.seq - 2
    assert goldens(town.tell(ev.ReviewParked(oversize, 9000))) == [(A, ChangeKind.REVIEW_PARKED, None)]
    assert goldens(town.tell(ev.ReviewEscalated(oversize))) == [(A, ChangeKind.REVIEW_ESCALATED, None)]
    assert goldens(town.tell(ev.ReviewSettled(oversize, ev.ReviewAnswer.ACCEPT))) == [
        (A, ChangeKind.REVIEW_CLOSED, None)
    ]
    proposed = town.tell(ev.MergeProposed(ev.Merge(C, D), THREE, FOUR, 2, 9000))
    assert goldens(proposed) == [(C, ChangeKind.REVIEW_OPENED, D), (D, ChangeKind.REVIEW_OPENED, C)]
    assert records(proposed) == [(THREE, C, C), (FOUR, D, D)]
    merged = goldens(town.group([THREE, FOUR]))
    assert {(C, ChangeKind.REVIEW_CLOSED, D), (D, ChangeKind.REVIEW_CLOSED, C), (D, ChangeKind.MERGED, C)} < set(merged)


def test_a_review_of_size_that_ends_with_its_cause_is_told(town: Town) -> None:
    town.group([ONE, TWO])
    town.tell(ev.OversizeFound(A, 2))
    assert (A, ChangeKind.REVIEW_CLOSED, None) in goldens(town.group([ONE], [TWO]))


def test_an_erasure_is_told_to_whoever_follows_one_of_its_registries(town: Town) -> None:
    town.tell(*departure(town.state, ONE), ev.RecordDeleted(ONE))
    erased = town.tell(ev.SubjectErased((A,), (ONE,)))
    assert (goldens(erased), records(erased)) == ([(A, ChangeKind.ERASED, None)], [(ONE, None, None)])


def test_a_redirect_that_is_merged_further_names_its_new_survivor(town: Town) -> None:
    town.group([TWO, THREE])
    merged = town.group([ONE, TWO, THREE])
    assert set(goldens(merged)) == {
        (B, ChangeKind.MERGED, A),
        (C, ChangeKind.MERGED, A),
        (A, ChangeKind.ABSORBED, B),
        (A, ChangeKind.ABSORBED, C),
    }


def test_a_split_names_the_new_id(town: Town) -> None:
    town.tell(*departure(town.state, TWO), ev.RecordResolved(TWO, A, False, ev.Outcome.LINKED))
    split = town.group([ONE], [TWO])
    (new,) = {each.golden_id for each in split[0].goldens} - {A}
    assert goldens(split) == [(A, ChangeKind.SPLIT, new), (new, ChangeKind.CREATED, None)]
    assert records(split) == [(TWO, A, new)]


def test_a_record_that_a_regrouping_moves_is_told_of_both_sides(town: Town) -> None:
    town.tell(*departure(town.state, TWO), ev.RecordResolved(TWO, A, False, ev.Outcome.LINKED))
    moved = town.group([ONE], [TWO, THREE])
    assert goldens(moved) == [(A, ChangeKind.SPLIT, C), (C, ChangeKind.JOINED, None)]
    assert records(moved) == [(TWO, A, C)]


def test_a_record_that_moves_leaves_one_and_joins_another(town: Town) -> None:
    town.group([ONE, TWO])
    moved = town.tell(*departure(town.state, TWO), ev.RecordResolved(TWO, C, False, ev.Outcome.LINKED))
    assert goldens(moved) == [
        (B, ChangeKind.ANCHOR_MOVED, None),
        (A, ChangeKind.LEFT, C),
        (C, ChangeKind.JOINED, None),
    ]
    assert records(moved) == [(TWO, A, A), (TWO, A, C)], "the record that was the anchor is named, too"


def test_the_last_record_to_go_retires_its_id(town: Town) -> None:
    gone = town.tell(*departure(town.state, ONE), ev.RecordDeleted(ONE))
    assert goldens(gone) == [(A, ChangeKind.RETIRED, None), (A, ChangeKind.LEFT, None)]
    assert records(gone) == [(ONE, A, A), (ONE, A, None)]
    assert town.tell(upserted(ONE, 50)) == [], "a deleted record that comes back is pending at first"


def test_new_values_and_pins_are_told_of_the_golden_record(town: Town) -> None:
    assert goldens(town.tell(upserted(ONE, 50))) == [(A, ChangeKind.VALUES_CHANGED, None)]
    pinned = town.tell(ev.ValuePinned(ONE, "full_name", 51), ev.ValuePinned(ONE, "full_name", 52))
    assert goldens(pinned) == [(A, ChangeKind.VALUE_PINNED, None)] * 2
    assert goldens(town.tell(ev.ValueUnpinned(ONE, "full_name"))) == [(A, ChangeKind.VALUE_UNPINNED, None)]
    town.tell(ev.ValuePinned(ONE, "full_name", 53))
    assert goldens(town.tell(upserted(ONE, 54, is_new_bearer=True))) == [
        (A, ChangeKind.VALUES_CHANGED, None),
        (A, ChangeKind.VALUE_UNPINNED, None),
    ]


def test_a_question_is_told_of_both_and_closed_by_what_answers_it(town: Town) -> None:
    pair = pair_of(ONE, TWO)
    opened = town.tell(ev.PotentialMatchOpened(*pair, ev.MatchReason.WEIGHT, 5.0))
    assert goldens(opened) == [
        (A, ChangeKind.POTENTIAL_MATCH_OPENED, B),
        (B, ChangeKind.POTENTIAL_MATCH_OPENED, A),
    ]
    assert records(opened) == [(ONE, A, A), (TWO, B, B)]
    closed = goldens(town.group([ONE, TWO]))
    assert closed[-2:] == [(A, ChangeKind.POTENTIAL_MATCH_CLOSED, B), (B, ChangeKind.POTENTIAL_MATCH_CLOSED, A)]


@pytest.mark.parametrize(
    ("fact", "kind"),
    [
        (ev.JudgementMade(ONE, TWO, ev.Verdict.SAME), ChangeKind.JUDGED_SAME),
        (ev.JudgementMade(ONE, TWO, ev.Verdict.DIFFERENT), ChangeKind.JUDGED_DIFFERENT),
        (ev.JudgementWithdrawn(ONE, TWO), ChangeKind.JUDGEMENT_WITHDRAWN),
    ],
)
def test_a_judgement_is_told_of_both(town: Town, fact: ev.Fact, kind: ChangeKind) -> None:
    assert goldens(town.tell(fact)) == [(A, kind, B), (B, kind, A)]
    town.group([ONE, TWO])
    assert goldens(town.tell(fact)) == [(A, kind, A)], "two members of one golden record"
