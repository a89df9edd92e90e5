from __future__ import annotations

from collections.abc import Iterable

import pytest

from mdm.domain.decision import Band, Decision, Evidence, Thresholds, decide
from mdm.domain.events import MatchReason, Outcome
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber, golden_id
from mdm.limits import POTENTIAL_MATCHES_MAX

THRESHOLDS = Thresholds(lead_bits=3.0, move_bits=11.0)
IDS = {letter: golden_id(EntityKind.CITIZEN, place) for place, letter in enumerate("ABCDEFGH")}
LETTERS = {identifier: letter for letter, identifier in IDS.items()}
LINK, REVIEW, NONE = Band.LINK, Band.REVIEW, Band.NONE

Pair = tuple[str, int, float, Band]
"""Golden record, member, match weight, band."""


def decided(
    pairs: Iterable[Pair],
    current: str = "",
    vetoed: str = "",
    exclusive: Iterable[str] = (),
    reason: MatchReason = MatchReason.WEIGHT,
) -> Decision:
    """Decide; `exclusive` names pairs of golden records that cannot be one."""
    excluded = {frozenset(each) for each in exclusive}

    def veto(identifier: GoldenId) -> str:
        return "verified_ids_differ" if LETTERS[identifier] in vetoed else ""

    def compatible(left: GoldenId, right: GoldenId) -> bool:
        return frozenset((LETTERS[left], LETTERS[right])) not in excluded

    evidence = [Evidence(RecordNumber(number), IDS[letter], band, bits, reason) for letter, number, bits, band in pairs]
    return decide(evidence, THRESHOLDS, current=IDS[current] if current else None, veto=veto, compatible=compatible)


def shown(decision: Decision) -> tuple[str, str, dict[int, str]]:
    """Outcome, golden records joined, and the questions by member."""
    joined = "".join(LETTERS[each] for each in decision.join)
    return decision.outcome.value, joined, {each.number: each.reason.value for each in decision.questions}


CASES = [
    ([], {}, ("created", "", {}), "nobody near"),
    ([("A", 1, 1.0, NONE)], {}, ("created", "", {}), "a candidate below review asks no steward"),
    ([("A", 1, 12.0, LINK)], {}, ("linked", "A", {}), "one clear candidate"),
    ([("A", 1, 5.0, REVIEW)], {}, ("review", "", {1: "weight"}), "the review band"),
    ([("A", 1, 5.0, REVIEW), ("A", 2, 12.0, LINK)], {}, ("linked", "A", {}), "the best member speaks"),
    (
        [("A", 1, 20.0, REVIEW), ("A", 2, 12.0, LINK)],
        {},
        ("linked", "A", {}),
        "a member that may link speaks even where another weighs more but is held back",
    ),
    ([("A", 1, 12.0, LINK)], {"vetoed": "A"}, ("review", "", {1: "veto"}), "a veto by any member holds back"),
    ([("A", 1, 5.0, REVIEW)], {"vetoed": "A"}, ("created", "", {}), "nor is asked what another member answers"),
    (
        [("A", 1, 20.0, LINK), ("B", 2, 12.0, LINK)],
        {"vetoed": "A"},
        ("linked", "B", {1: "veto"}),
        "a vetoed candidate is no rival, but a steward sees it",
    ),
    ([("A", 1, 12.0, LINK), ("B", 2, 11.0, LINK)], {}, ("linked", "AB", {}), "fragments of one bearer close"),
    (
        [("A", 1, 12.0, LINK), ("B", 2, 11.0, LINK)],
        {"exclusive": ["AB"]},
        ("review", "", {1: "ambiguous", 2: "ambiguous"}),
        "two that exclude each other lie too close",
    ),
    (
        [("A", 1, 20.0, LINK), ("B", 2, 12.0, LINK), ("C", 3, 12.0, LINK)],
        {"exclusive": ["BC"]},
        ("linked", "A", {2: "ambiguous", 3: "ambiguous"}),
        "a fragment is closed up only with the lead that the first needs",
    ),
    (
        [("A", 1, 20.0, LINK), ("B", 2, 12.0, LINK), ("C", 3, 9.5, REVIEW)],
        {"exclusive": ["BC"]},
        ("linked", "A", {2: "ambiguous", 3: "ambiguous"}),
        "over one that would only be asked about, too",
    ),
    (
        [("A", 1, 20.0, LINK), ("B", 2, 12.0, LINK), ("C", 3, 9.0, LINK)],
        {"exclusive": ["BC"]},
        ("linked", "AB", {3: "ambiguous"}),
        "which three bits are",
    ),
    (
        [("A", 1, 20.0, LINK), ("B", 2, 12.0, LINK), ("C", 3, 12.0, LINK)],
        {"exclusive": ["BC"], "current": "B"},
        ("linked", "B", {1: "ambiguous", 3: "ambiguous"}),
        "where it belongs it stays, and closes nothing up with that",
    ),
    (
        [("A", 1, 14.0, LINK), ("B", 2, 11.0, LINK)],
        {"exclusive": ["AB"]},
        ("linked", "A", {2: "ambiguous"}),
        "a lead of exactly three bits is clear",
    ),
    (
        [("A", 1, 12.0, LINK), ("B", 2, 11.0, REVIEW)],
        {"exclusive": ["AB"]},
        ("review", "", {1: "ambiguous", 2: "ambiguous"}),
        "a rival may lie in the review band",
    ),
    (
        [("A", 1, 12.0, LINK), ("B", 2, 11.0, REVIEW)],
        {},
        ("linked", "A", {2: "weight"}),
        "a neighbour in review that excludes nobody is a question, not a rival",
    ),
    (
        [("A", 1, 20.0, LINK), ("B", 2, 15.0, LINK), ("C", 3, 14.0, LINK)],
        {"exclusive": ["BC"]},
        ("linked", "A", {2: "ambiguous", 3: "ambiguous"}),
        "of two that exclude each other neither is the fragment",
    ),
    ([], {"current": "A"}, ("linked", "A", {}), "a record whose evidence is gone stays where it is"),
    ([("A", 1, 2.0, NONE)], {"current": "A"}, ("linked", "A", {}), "and below review"),
    (
        [("A", 1, 5.0, REVIEW)],
        {"current": "A", "vetoed": "A"},
        ("created", "", {}),
        "a veto that comes to light among one golden record's members parts them, and leaves nothing to ask",
    ),
    (
        [("A", 1, 12.0, LINK)],
        {"current": "A", "vetoed": "A"},
        ("review", "", {1: "veto"}),
        "even where the weight would link",
    ),
    ([], {"current": "A", "vetoed": "A"}, ("created", "", {}), "even where nothing else is near"),
    (
        [("A", 1, 12.0, LINK), ("B", 2, 13.0, LINK)],
        {"current": "A", "exclusive": ["AB"]},
        ("linked", "A", {2: "ambiguous"}),
        "a slight lead moves nobody",
    ),
    (
        [("A", 1, 5.0, REVIEW), ("B", 2, 10.9, LINK)],
        {"current": "A", "exclusive": ["AB"]},
        ("linked", "A", {2: "ambiguous"}),
        "a move needs the margin past the link threshold",
    ),
    (
        [("A", 1, 5.0, REVIEW), ("B", 2, 11.0, LINK)],
        {"current": "A", "exclusive": ["AB"]},
        ("linked", "B", {}),
        "with margin and lead it moves, and asks nothing about what it left",
    ),
    (
        [("A", 1, 12.0, LINK), ("B", 2, 12.0, LINK)],
        {"current": "A"},
        ("linked", "AB", {}),
        "a fragment found later joins the golden record that holds it",
    ),
]


@pytest.mark.parametrize(("pairs", "options", "expected", "reason"), CASES)
def test_decisions(
    pairs: list[Pair], options: dict[str, str], expected: tuple[str, str, dict[int, str]], reason: str
) -> None:
    assert shown(decided(pairs, **options)) == expected, reason  # type: ignore[arg-type]


def test_the_order_of_the_evidence_does_not_matter() -> None:
    pairs: list[Pair] = [("A", 4, 12.0, LINK), ("B", 2, 12.0, LINK), ("C", 9, 5.0, REVIEW), ("A", 1, 12.0, LINK)]
    assert decided(pairs) == decided(reversed(pairs))
    assert decided(pairs).partner == 1


def test_no_more_questions_are_asked_than_a_steward_can_answer_and_the_strongest_are() -> None:
    pairs: list[Pair] = [(letter, place, 3.0 + place / 10, REVIEW) for place, letter in enumerate("ABCDEFGH", 1)]
    questions = decided(pairs).questions
    assert [question.number for question in questions] == [8, 7, 6, 5, 4][:POTENTIAL_MATCHES_MAX]


def test_a_decision_names_its_strongest_evidence() -> None:
    linked = decided([("A", 1, 12.0, LINK), ("A", 2, 13.5, LINK)])
    assert (linked.outcome, linked.partner, linked.match_weight_bits) == (Outcome.LINKED, 2, 13.5)
    held = decided([("A", 1, 4.0, REVIEW)])
    assert (held.partner, held.match_weight_bits) == (1, 4.0)
    assert decided([]).partner is None


def test_only_golden_records_that_could_be_asked_about_are_looked_into() -> None:
    evidence = [Evidence(RecordNumber(n), IDS[each], REVIEW, float(n)) for n, each in enumerate(IDS, 1)]
    looked_into: list[GoldenId] = []

    def veto(identifier: GoldenId) -> str:
        looked_into.append(identifier)
        return "verified_ids_differ" if identifier == IDS["H"] else ""

    decision = decide(evidence, THRESHOLDS, current=None, veto=veto, compatible=lambda _, __: True)
    assert [question.number for question in decision.questions] == [7, 6, 5, 4, 3]
    assert looked_into == [IDS[letter] for letter in "HGFEDC"], "one more than are asked, for one answers itself"
