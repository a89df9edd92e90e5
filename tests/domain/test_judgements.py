"""Chains, groups and bindings of judgements, against plain sets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.domain import events as ev
from mdm.domain.events import Verdict
from mdm.domain.judgements import (
    bequeathed,
    binding,
    contradiction_among,
    contradiction_of,
    is_silenced,
    joining,
    partition,
)
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.domain.state import Judgement, MemoryState, Pair, apply, pair_of

NUMBERS = [RecordNumber(number) for number in range(1, 8)]
PAIRS = list(itertools.combinations(NUMBERS, 2))
SAME, DIFFERENT = Verdict.SAME, Verdict.DIFFERENT


def judged(*judgements: tuple[int, int, Verdict]) -> MemoryState:
    state = MemoryState()
    facts: list[ev.Fact] = [ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, 1, b"") for number in NUMBERS]
    facts += [ev.JudgementMade(RecordNumber(left), RecordNumber(right), verdict) for left, right, verdict in judgements]
    for seq, fact in enumerate(facts, start=1):
        apply(state, ev.Event(seq, seq, 1, ev.Cause(), fact))
    return state


def ask(left: int, right: int, verdict: Verdict) -> ev.Judge:
    return ev.Judge(RecordNumber(left), RecordNumber(right), verdict)


@pytest.mark.parametrize(
    ("standing", "new", "chain"),
    [
        ([], ask(1, 2, SAME), ()),
        ([(1, 2, SAME)], ask(1, 2, DIFFERENT), ((1, 2),)),
        ([(1, 2, DIFFERENT)], ask(1, 2, SAME), ((1, 2),)),
        ([(1, 2, SAME), (2, 3, SAME)], ask(1, 3, DIFFERENT), ((1, 2), (2, 3))),
        ([(1, 2, SAME), (2, 3, SAME), (3, 4, SAME)], ask(1, 4, DIFFERENT), ((1, 2), (2, 3), (3, 4))),
        ([(1, 2, SAME), (1, 3, DIFFERENT)], ask(2, 3, SAME), ((1, 2), (1, 3))),
        ([(1, 2, SAME), (3, 4, SAME), (2, 3, DIFFERENT)], ask(1, 4, SAME), ((1, 2), (2, 3), (3, 4))),
        ([(1, 2, DIFFERENT), (2, 3, DIFFERENT)], ask(1, 3, SAME), ()),
        ([(1, 2, DIFFERENT), (2, 3, DIFFERENT)], ask(1, 3, DIFFERENT), ()),
    ],
)
def test_the_chain_that_contradicts_a_judgement(
    standing: list[tuple[int, int, Verdict]], new: ev.Judge, chain: tuple[Pair, ...]
) -> None:
    assert contradiction_of(judged(*standing), new) == chain


pairs = st.sampled_from(PAIRS)


@given(made=st.lists(st.tuples(pairs, st.sampled_from(list(Verdict))), max_size=12))
def test_judgements_that_were_let_through_never_contradict_each_other(made: list[tuple[Pair, Verdict]]) -> None:
    state = judged()
    seq = len(NUMBERS)
    for pair, verdict in made:
        if not contradiction_of(state, ev.Judge(*pair, verdict)):
            seq += 1
            apply(state, ev.Event(seq, seq, 1, ev.Cause(), ev.JudgementMade(*pair, verdict)))
    groups = {number: {number} for number in NUMBERS}
    for (left, right), judgement in state.judgements.items():
        if judgement.verdict is SAME:
            joined = groups[left] | groups[right]
            groups.update(dict.fromkeys(joined, joined))
    for (left, right), judgement in state.judgements.items():
        assert (right in groups[left]) is (judgement.verdict is SAME)


@given(
    same=st.lists(pairs, max_size=4),
    different=st.lists(pairs, max_size=6),
    weights=st.lists(st.tuples(pairs, st.floats(-20, 20)), max_size=10),
    data=st.data(),
)
def test_groups_keep_to_every_judgement_whatever_the_weights(
    same: list[Pair], different: list[Pair], weights: list[tuple[Pair, float]], data: st.DataObject
) -> None:
    weighted = [(*pair, bits) for pair, bits in weights]
    groups = partition(NUMBERS, same=same, different=different, weights=weighted)
    home = {number: group for group in groups for number in group}
    assert sorted(home) == NUMBERS
    assert all(home[left] == home[right] for left, right in same)
    forced = judged(*((*pair, SAME) for pair in same))
    for left, right in different:
        is_forced = bool(contradiction_of(forced, ev.Judge(left, right, DIFFERENT)))
        assert (home[left] == home[right]) is is_forced
    shuffled = data.draw(st.permutations(weighted))
    assert partition(NUMBERS, same=same, different=different, weights=shuffled) == groups


def test_who_is_left_goes_with_the_side_that_speaks_for_it_and_without_evidence_with_the_first() -> None:
    one, two, three, four = NUMBERS[:4]
    parted = partition(
        [one, two, three, four], same=[], different=[(one, two)], weights=[(two, three, 4.0), (one, three, 3.0)]
    )
    assert parted == [(one, four), (two, three)]
    assert partition([one, two, three], same=[], different=[(one, two)], cores=[(three, two)]) == [(one,), (two, three)]


@given(cut=st.integers(1, 6))
def test_a_binding_leaves_no_way_for_any_record_of_the_rest_to_join(cut: int) -> None:
    own, rest = NUMBERS[:cut], NUMBERS[cut:]
    state = judged(*((each.left, each.right, each.verdict) for each in binding(own, rest)))
    assert len(state.judgements) == len(NUMBERS) - 1
    for inner, outer in itertools.product(own, rest):
        assert contradiction_of(state, ev.Judge(*pair_of(inner, outer), SAME))


@given(cut=st.integers(1, 6), data=st.data())
def test_a_joining_connects_all_and_lies_between_the_sides_alone(cut: int, data: st.DataObject) -> None:
    lefts, rights = NUMBERS[:cut], NUMBERS[cut:]
    pair = (data.draw(st.sampled_from(lefts)), data.draw(st.sampled_from(rights)))
    made = joining(pair, lefts, rights)
    assert (made[0].left, made[0].right) == pair
    assert len(made) == len(NUMBERS) - 1
    assert all((each.left in lefts) is not (each.right in lefts) for each in made)
    (whole,) = partition(NUMBERS, same=[(each.left, each.right) for each in made], different=PAIRS)
    assert list(whole) == NUMBERS


@given(
    standing=st.lists(st.tuples(pairs, st.sampled_from(list(Verdict))), max_size=6),
    made=st.lists(st.tuples(pairs, st.sampled_from(list(Verdict))), min_size=1, max_size=5),
)
def test_several_judgements_are_refused_together_if_one_after_the_other_one_would_be(
    standing: list[tuple[Pair, Verdict]], made: list[tuple[Pair, Verdict]]
) -> None:
    state, seq = judged(), len(NUMBERS)
    for pair, verdict in standing:
        if not contradiction_of(state, ev.Judge(*pair, verdict)):
            seq += 1
            apply(state, ev.Event(seq, seq, 1, ev.Cause(), ev.JudgementMade(*pair, verdict)))
    before = set(state.judgements)
    judges = [ev.Judge(*pair, verdict) for pair, verdict in made]
    found = contradiction_among(state, judges)
    for judge in judges:
        chain = contradiction_of(state, judge)
        if chain:
            assert set(found) == set(chain) & before
            return
        seq += 1
        apply(state, ev.Event(seq, seq, 1, ev.Cause(), ev.JudgementMade(judge.left, judge.right, judge.verdict)))
    assert found == ()


def test_a_record_that_goes_leaves_what_follows_from_its_judgements() -> None:
    state = judged((1, 2, SAME), (1, 3, SAME), (1, 4, DIFFERENT), (2, 5, DIFFERENT), (1, 5, DIFFERENT))
    left = {(fact.left, fact.right, fact.verdict) for fact in bequeathed(state, RecordNumber(1))}
    assert left == {(2, 3, SAME), (2, 4, DIFFERENT)}
    assert bequeathed(judged((1, 4, DIFFERENT)), RecordNumber(1)) == []


@pytest.mark.parametrize(
    ("now", "then", "silent"),
    [
        (["name"], [["name", "birth"]], True),
        (["name", "phone"], [["name", "birth"]], False),
        (["name", "phone"], [["name"], ["name", "phone"]], True),
        (["name"], [], False),
        ([], [[]], True),
    ],
)
def test_an_answer_holds_until_something_agrees_that_did_not(
    now: list[str],
    then: list[list[str]],
    silent: bool,  # noqa: FBT001
) -> None:
    assert is_silenced(now, [Judgement(DIFFERENT, agreeing=tuple(each)) for each in then]) is silent
