"""Each fact's effect on identity state that the rules' own tests do not show."""

from __future__ import annotations

import pytest

from mdm.domain import events as ev
from mdm.domain import load_events as le
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, golden_id
from mdm.domain.state import MemoryState, apply, pair_of

ONE, TWO, THREE = RecordNumber(1), RecordNumber(2), RecordNumber(3)
FIRST, SECOND = golden_id(EntityKind.CITIZEN, 1), golden_id(EntityKind.CITIZEN, 2)


def upserted(number: RecordNumber, *, at_us: int | None = None, is_new_bearer: bool = False) -> ev.RecordUpserted:
    return ev.RecordUpserted(number, "hospital", EntityKind.CITIZEN, number + 100, b"h", at_us, is_new_bearer)


def minted(number: RecordNumber, identifier: GoldenId) -> ev.RecordResolved:
    return ev.RecordResolved(number, identifier, True, ev.Outcome.CREATED)


def folded(*facts: ev.Fact) -> MemoryState:
    state = MemoryState()
    for seq, fact in enumerate(facts, 1):
        apply(state, ev.Event(seq, seq, 1, ev.Cause(), fact))
    return state


@pytest.mark.parametrize(
    ("facts", "name", "value"),
    [
        ((ev.ConfigurationChanged("d"),), "configuration", "d"),
        ((ev.ModelActivated(EntityKind.CITIZEN, "m"),), "model:citizen", "m"),
        ((ev.ModelActivated(EntityKind.BUSINESS, "m"),), "model:citizen", None),
        ((ev.ModelActivated(EntityKind.CITIZEN, "m"),), "pin:citizen", ""),
        ((ev.ModelActivated(EntityKind.CITIZEN, "m", is_pinned=True),), "pin:citizen", "m"),
        (
            (ev.ModelActivated(EntityKind.CITIZEN, "m", is_pinned=True), ev.ModelActivated(EntityKind.CITIZEN, "n")),
            "pin:citizen",
            "",
        ),
        (
            (
                ev.ModelActivated(EntityKind.CITIZEN, "m"),
                ev.ModelActivated(EntityKind.BUSINESS, "o"),
                ev.ModelActivated(EntityKind.CITIZEN, "n"),
            ),
            "models:citizen",
            "1 3",
        ),
        ((ev.EpochActivated(EntityKind.BUSINESS, "e"),), "epoch:business", "e"),
        ((ev.RelinkCommitStarted("r", "p", 9),), "relink:r", "0 done, 0 dropped, of 9"),
        ((ev.RelinkCommitStarted("r", "p", 9), ev.RelinkProgressed("r", 4, 1)), "relink:r", "4 done, 1 dropped, of 9"),
        ((ev.RelinkCommitStarted("r", "p", 9), ev.RelinkCommitFinished("r", 1)), "relink:r", "finished"),
        ((le.LoadProgressed("l", 7),), "load:l", "7"),
        ((le.LoadProgressed("l", 7), le.LoadFinished("l")), "load:l", "0"),
    ],
)
def test_settings_hold_the_last_that_was_said(facts: tuple[ev.Fact, ...], name: str, value: str | None) -> None:
    assert folded(*facts).setting(name) == value


def test_a_new_version_keeps_the_golden_id_and_the_number() -> None:
    state = folded(upserted(ONE, at_us=5), minted(ONE, FIRST), upserted(ONE, at_us=9))
    entry = state.records[ONE]
    assert (entry.golden_id, entry.updated_at_us, entry.changed_seq) == (FIRST, 9, 3)


def test_a_new_bearer_inherits_neither_choice_nor_pinned_value() -> None:
    said = (ev.ClerkChose(ONE, TWO, (THREE,)), ev.ValuePinned(ONE, "full_name", 7))
    base = (upserted(ONE), minted(ONE, FIRST), upserted(TWO), upserted(THREE), *said)
    before = folded(*base, upserted(ONE)).records[ONE]
    assert (before.chosen, before.rejected, before.pins) == (TWO, (THREE,), (("full_name", 7),))
    after = folded(*base, upserted(ONE, is_new_bearer=True)).records[ONE]
    assert (after.chosen, after.rejected, after.pins) == (None, (), ())


def test_a_pin_is_replaced_and_taken_away() -> None:
    pins = (ev.ValuePinned(ONE, "sex", 1), ev.ValuePinned(ONE, "full_name", 2), ev.ValuePinned(ONE, "sex", 3))
    assert folded(upserted(ONE), *pins).records[ONE].pins == (("full_name", 2), ("sex", 3))
    assert folded(upserted(ONE), *pins, ev.ValueUnpinned(ONE, "sex")).records[ONE].pins == (("full_name", 2),)


def test_a_judgement_outlives_the_deletion_of_its_records() -> None:
    judged = (upserted(ONE), upserted(TWO), ev.JudgementMade(ONE, TWO, ev.Verdict.DIFFERENT), ev.RecordDeleted(ONE))
    assert folded(*judged).judgement(pair_of(TWO, ONE)) is ev.Verdict.DIFFERENT
    withdrawn = folded(*judged, ev.JudgementWithdrawn(ONE, TWO))
    assert withdrawn.judgement((ONE, TWO)) is None
    assert withdrawn.records[TWO].judged == ()


def test_a_judgement_marks_both_records_as_changed() -> None:
    state = folded(upserted(ONE), upserted(TWO), ev.JudgementMade(ONE, TWO, ev.Verdict.SAME))
    assert {state.records[number].changed_seq for number in (ONE, TWO)} == {3}


def test_a_question_asked_again_keeps_its_last_wording_once() -> None:
    asked = [ev.PotentialMatchOpened(ONE, TWO, reason, 4.0) for reason in (ev.MatchReason.WEIGHT, ev.MatchReason.VETO)]
    state = folded(upserted(ONE), minted(ONE, FIRST), upserted(TWO), minted(TWO, SECOND), *asked)
    match = state.potential_match((ONE, TWO))
    assert match is not None
    assert (match.reason, match.opened_seq) == (ev.MatchReason.VETO, 6)
    assert state.records[ONE].potential_matches == (TWO,)


def test_a_question_closed_by_hand_is_gone_on_both_sides() -> None:
    state = folded(
        upserted(ONE),
        upserted(TWO),
        ev.PotentialMatchOpened(ONE, TWO, ev.MatchReason.WEIGHT, 4.0),
        ev.PotentialMatchClosed(ONE, TWO),
    )
    assert state.potential_matches == {}
    assert [state.records[number].potential_matches for number in (ONE, TWO)] == [(), ()]


@pytest.mark.parametrize("fact", [minted(ONE, FIRST), ev.RecordDeleted(ONE), ev.GoldenIdRetired(FIRST)])
def test_a_fact_about_what_never_was_is_a_broken_journal(fact: ev.Fact) -> None:
    with pytest.raises(AssertionError, match="never"):
        folded(fact)
