"""Every gate of training, tripped by the fault that it is for and passed without it."""

from __future__ import annotations

import pytest

from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.gates import (
    Counted,
    Gate,
    Session,
    failure_of_counts,
    failure_of_sessions,
    failure_of_values,
    purified,
)
from mdm.linkage.predicates import EitherMissing, Equal

COMPARISON = Comparison(
    "name",
    (
        Level("missing", Meaning.MISSING, EitherMissing("name")),
        Level("same", Meaning.AGREES, Equal("name")),
        Level("close", Meaning.CLOSE, Equal("name_short")),
        Level("similar", Meaning.NEUTRAL, Equal("given")),
        Level("different", Meaning.CONFLICTS, None),
    ),
)
KNOWN = {"same": (0.9, 0.001), "close": (0.05, 0.001), "similar": (0.02, 0.02), "different": (0.03, 0.978)}


def gate_of(**changed: tuple[float, float]) -> Gate | None:
    failed = failure_of_values(COMPARISON, KNOWN | changed, KNOWN)
    return failed.gate if failed else None


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        ({}, None),
        ({"same": (0.88, 0.002), "close": (0.07, 0.002)}, None),  # Another city.
        ({"same": (0.001, 0.002), "close": (0.9, 0.001)}, Gate.AGREEMENT_AGAINST),
        ({"different": (0.03, 0.02)}, Gate.CONFLICT_FOR),
        ({"same": (0.6, 0.001), "different": (0.35, 0.978)}, Gate.CONFLICT_SHARE),  # Branches taken for one firm.
        ({"close": (0.05, 2e-6)}, Gate.DRIFT),
        ({"same": (0.5, 0.001)}, Gate.SUM),  # Half of the matches fell into levels that were never trained.
        ({"same": (0.9, 0.05)}, Gate.ORDER),  # A close name would weigh more than the same name.
        ({"similar": (0.02, 0.0002)}, Gate.ORDER),
    ],
)
def test_each_gate_stops_its_own_fault(changed: dict[str, tuple[float, float]], gate: Gate | None) -> None:
    assert gate_of(**changed) == gate


def session(last_change: float = 1e-5, *, columns: tuple[str, ...] = ("birth_date",), **m: float) -> Session:
    seen = {"same": 0.9, "close": 0.05, "similar": 0.02, "different": 0.03} | m
    return Session(columns, 5, last_change, last_change < 1e-4, {"name": seen} if m != {"absent": 1} else {})


@pytest.mark.parametrize(
    ("sessions", "gate"),
    [
        ([session(), session(close=0.04, different=0.04)], None),
        ([session(), Session(("name",), 5, 0.3, is_converged=False)], None),  # It teaches this comparison nothing.
        ([session(), session(2e-3)], Gate.NOT_CONVERGED),
        ([session(), session(same=0.6, different=0.33)], Gate.SESSIONS_DISAGREE),
        ([session(similar=0.0009), session(similar=0.00001)], None),  # So rare that chance alone does it.
        ([Session(("name",), 5, 1e-5, is_converged=True)], Gate.NOT_LEARNED),
        ([Session(("birth_date",), 0, 0.0, is_converged=False)], Gate.NOT_LEARNED),  # No pair agrees on its columns.
    ],
)
def test_sessions_are_believed_when_they_stand_still_and_agree(sessions: list[Session], gate: Gate | None) -> None:
    failed = failure_of_sessions(COMPARISON, sessions)
    assert (failed.gate if failed else None) == gate


@pytest.mark.parametrize(
    ("u_close", "close_count", "gate"),
    [
        (1e-3, 300, None),
        (1e-3, 360, None),  # 20 % more: near enough for a weight.
        (1e-3, 900, Gate.U_IMPLAUSIBLE),
        (1e-3, 0, Gate.U_IMPLAUSIBLE),
        (2e-6, 5, None),  # Chance: 4 of 2,000,000 against 5 of 300,000.
        (0.0, 300, Gate.U_IMPLAUSIBLE),
    ],
)
def test_u_must_fit_a_direct_count(u_close: float, close_count: int, gate: Gate | None) -> None:
    counts = {"same": 300, "close": close_count, "similar": 6_000}
    counts["different"] = 300_000 - sum(counts.values())
    learned = {("name", label): (None, u) for label, (_, u) in (KNOWN | {"close": (0.0, u_close)}).items()}
    failed = failure_of_counts(COMPARISON, learned, Counted(300_000, 0, counts), 2_000_000)
    assert (failed.gate if failed else None) == gate


def test_what_was_not_observed_is_filled_in_and_matches_are_taken_from_u() -> None:
    known = (0.02, 0.001)
    assert purified((None, 0.01), known, 1e-5)[0] == 0.005
    m, u = purified((0.04, None), known, 1e-5)
    assert m / u == pytest.approx(known[0] / known[1]), "an unseen u leaves the level its weight"
    assert purified((0.5, 2e-5), known, 1e-5)[1] == pytest.approx(1.5e-5)
    assert purified((0.9, 1e-5), known, 1e-5)[1] == pytest.approx(1e-6), "nine tenths at most are put down to matches"
