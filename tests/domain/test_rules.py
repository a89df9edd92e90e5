from __future__ import annotations

from collections.abc import Iterable

import pytest

from mdm.domain import events as ev
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, golden_id
from mdm.domain.rules import departure, regroup
from mdm.domain.state import MemoryState, apply


class Town:
    """Identity state of citizens, moved by the rules as the writer moves it."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.seq = 0
        self.minted = 0

    def mint(self, kind: EntityKind) -> GoldenId:
        self.minted += 1
        # Neither in nor against the order of age, so that no test passes by the letters of an ID.
        return golden_id(kind, self.minted * 0x5DEECE66D % 2**60)

    def tell(self, *facts: ev.Fact) -> None:
        for fact in facts:
            self.seq += 1
            apply(self.state, ev.Event(self.seq, self.seq, 1, ev.Cause(), fact))

    def arrive(self, number: int, joins: int | None = None) -> GoldenId:
        record = RecordNumber(number)
        self.tell(ev.RecordUpserted(record, "hospital", EntityKind.CITIZEN, number, b""))
        identifier = self.mint(EntityKind.CITIZEN) if joins is None else self.id_of(joins)
        self.tell(ev.RecordResolved(record, identifier, joins is None, ev.Outcome.CREATED))
        return identifier

    def leave(self, number: int) -> None:
        self.tell(*departure(self.state, RecordNumber(number)), ev.RecordDeleted(RecordNumber(number)))

    def group(self, *clusters: Iterable[int]) -> list[ev.Fact]:
        sets = [tuple(RecordNumber(number) for number in cluster) for cluster in clusters]
        facts = regroup(self.state, sets, self.mint, reason=ev.RegroupReason.RELINK)
        self.tell(*facts)
        return facts

    def id_of(self, number: int) -> GoldenId:
        identifier = self.state.records[RecordNumber(number)].golden_id
        assert identifier is not None
        return identifier

    def answer(self, identifier: GoldenId) -> GoldenId | None:
        entry = self.state.goldens[identifier]
        return None if entry.is_retired else entry.survivor or identifier


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_merge_keeps_the_older_id_and_the_younger_redirects(town: Town) -> None:
    old, young = town.arrive(1), town.arrive(2)
    town.group([2, 1])

    assert town.id_of(1) == town.id_of(2) == old
    assert town.answer(young) == old
    assert town.state.goldens[old].absorbed == (young,)
    assert town.state.goldens[young].members == ()


def test_an_unmerge_gives_every_id_back_to_the_record_that_it_was_minted_for(town: Town) -> None:
    ids = [town.arrive(number) for number in (1, 2, 3)]
    town.group([1, 2, 3])
    minted = town.minted
    town.group([1], [2], [3])

    assert [town.id_of(number) for number in (1, 2, 3)] == ids
    assert [town.answer(each) for each in ids] == ids
    assert town.minted == minted


def test_a_chain_of_merges_redirects_in_one_step(town: Town) -> None:
    first, second, third = (town.arrive(number) for number in (1, 2, 3))
    town.group([2, 3])
    assert town.answer(third) == second
    town.group([1, 2, 3])

    assert town.answer(third) == town.answer(second) == first
    assert town.state.goldens[third].survivor == first
    assert town.state.goldens[first].absorbed == tuple(sorted((second, third)))
    assert town.state.goldens[second].absorbed == ()


def test_grouping_what_is_grouped_so_already_says_nothing(town: Town) -> None:
    for number in (1, 2, 3):
        town.arrive(number)
    assert town.group([1, 2], [3])
    assert town.group([3], [2, 1]) == []


def test_the_part_of_a_split_that_holds_the_anchor_keeps_the_id(town: Town) -> None:
    old = town.arrive(1)
    town.arrive(2, joins=1)
    town.arrive(3, joins=1)
    town.group([1], [2, 3])

    assert town.id_of(1) == old
    assert town.id_of(2) == town.id_of(3) != old
    assert town.answer(town.id_of(2)) == town.id_of(2)


def test_a_part_without_an_anchor_gets_a_new_id_even_if_it_is_larger(town: Town) -> None:
    town.arrive(1)
    for number in (2, 3, 4):
        town.arrive(number, joins=1)
    before = town.minted
    town.group([1], [2, 3, 4])
    assert town.minted == before + 1


def test_an_anchor_that_is_deleted_passes_the_id_to_the_oldest_remaining_member(town: Town) -> None:
    old = town.arrive(1)
    town.arrive(3, joins=1)
    town.arrive(2, joins=1)
    town.leave(1)

    assert town.state.goldens[old].anchor == 2
    assert town.state.goldens[old].members == (2, 3)
    assert town.answer(old) == old


def test_an_anchor_that_leaves_alone_for_another_golden_record_leaves_the_id_behind(town: Town) -> None:
    old, other = town.arrive(1), town.arrive(9)
    town.arrive(2, joins=1)
    town.group([1, 9], [2])

    assert town.id_of(2) == old
    assert town.id_of(1) == town.id_of(9) == other


def test_an_heir_that_leaves_alone_as_well_does_not_inherit(town: Town) -> None:
    old, eighth, ninth = town.arrive(1), town.arrive(8), town.arrive(9)
    town.arrive(2, joins=1)
    town.arrive(3, joins=1)
    town.group([1, 8], [2, 9], [3])

    assert town.id_of(3) == old
    assert (town.id_of(1), town.id_of(2)) == (eighth, ninth)


def test_where_all_leave_for_others_the_id_goes_along_and_still_answers(town: Town) -> None:
    old, eighth, ninth = town.arrive(1), town.arrive(8), town.arrive(9)
    town.arrive(2, joins=1)
    town.group([1, 8], [2, 9])

    assert (town.id_of(1), town.id_of(2)) == (eighth, old)
    assert town.answer(ninth) == old


def test_a_redirect_whose_anchor_leaves_stays_with_the_rest(town: Town) -> None:
    old, young, other = town.arrive(1), town.arrive(2), town.arrive(9)
    town.group([1, 2])
    town.group([1], [2, 9])

    assert town.id_of(1) == old
    assert town.answer(young) == old
    assert town.id_of(2) == town.id_of(9) == other


def test_the_last_member_retires_the_id_and_all_that_redirect_to_it(town: Town) -> None:
    old, young = town.arrive(1), town.arrive(2)
    town.group([1, 2])
    town.leave(2)
    assert town.answer(young) == old
    town.leave(1)

    for identifier in (old, young):
        entry = town.state.goldens[identifier]
        assert entry.is_retired
        assert (entry.members, entry.anchor, entry.survivor, entry.absorbed) == ((), None, None, ())


def test_a_record_that_comes_back_never_refills_the_retired_id(town: Town) -> None:
    old = town.arrive(1)
    town.leave(1)
    assert town.arrive(1) != old
    assert town.answer(old) is None


def test_pending_records_join_or_get_a_new_id(town: Town) -> None:
    old = town.arrive(1)
    for number in (2, 3, 4):
        town.tell(ev.RecordUpserted(RecordNumber(number), "hospital", EntityKind.CITIZEN, number, b""))
    town.group([1, 2], [3, 4])

    assert town.id_of(2) == old
    assert town.id_of(3) == town.id_of(4) != old
    assert town.state.goldens[town.id_of(3)].anchor == 3


def test_ids_minted_by_one_event_are_told_apart_by_their_place(town: Town) -> None:
    for number in (1, 2):
        town.tell(ev.RecordUpserted(RecordNumber(number), "hospital", EntityKind.CITIZEN, number, b""))
    town.group([2], [1])
    first, second = town.id_of(2), town.id_of(1)
    assert town.state.goldens[first].minted_seq == town.state.goldens[second].minted_seq
    town.group([1, 2])
    assert town.id_of(1) == first


def test_a_record_without_golden_record_leaves_nothing_behind(town: Town) -> None:
    town.tell(ev.RecordUpserted(RecordNumber(1), "hospital", EntityKind.CITIZEN, 1, b""))
    assert departure(town.state, RecordNumber(1)) == []
    assert departure(town.state, RecordNumber(2)) == []


def test_questions_that_a_merge_answers_are_closed_and_others_stay(town: Town) -> None:
    for number in (1, 2, 3):
        town.arrive(number)
    for left, right in ((1, 2), (2, 3)):
        town.tell(ev.PotentialMatchOpened(RecordNumber(left), RecordNumber(right), ev.MatchReason.WEIGHT, 4.0))
    town.group([1, 2])

    assert list(town.state.potential_matches) == [(2, 3)]
    assert town.state.records[RecordNumber(1)].potential_matches == ()
    assert town.state.records[RecordNumber(2)].potential_matches == (3,)
