from __future__ import annotations

import pytest

from mdm.resolve.audit.agreement import Label, agreement, disagreements, settled

S, D, U = Label.SAME, Label.DIFFERENT, Label.UNSURE


def labels(*counts: tuple[int, Label, Label]) -> tuple[list[Label], list[Label]]:
    pairs = [(one, other) for count, one, other in counts for _ in range(count)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def test_kappa_is_that_of_the_books() -> None:
    # Cohen's kappa of the table 20 5 / 10 15: agreement 0.7, by chance 0.5; its error is 0.126 by the delta method.
    found = agreement(*labels((20, S, S), (5, S, D), (10, D, S), (15, D, D)))
    assert (found.item_count, found.agreed_count) == (50, 35)
    assert found.counts == {"same/same": 20, "same/different": 5, "different/same": 10, "different/different": 15}
    assert found.kappa == pytest.approx(0.4)
    assert found.kappa_lower == pytest.approx(0.4 - 1.96 * 0.1265, abs=2e-3)
    assert found.kappa_upper == pytest.approx(0.4 + 1.96 * 0.1265, abs=2e-3)


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        pytest.param([(50, S, S), (50, D, D)], 1.0, id="agreed throughout"),
        pytest.param([(25, S, S), (25, S, D), (25, D, S), (25, D, D)], 0.0, id="no better than chance"),
        pytest.param([(50, S, D), (50, D, S)], -1.0, id="opposed throughout"),
        pytest.param([(100, S, S)], None, id="one label throughout says nothing"),
        pytest.param([(90, S, S), (5, U, U), (5, D, D)], 1.0, id="unsure is a label like any"),
    ],
)
def test_kappa_at_its_ends(counts: list[tuple[int, Label, Label]], kappa: float | None) -> None:
    found = agreement(*labels(*counts))
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
    if found.kappa_lower is not None and found.kappa_upper is not None and kappa is not None:
        assert -1.0 <= found.kappa_lower <= kappa + 1e-9
        assert kappa - 1e-9 <= found.kappa_upper <= 1.0


def test_only_what_two_opinions_settle_is_settled() -> None:
    first = {"a": S, "b": S, "c": U, "d": D, "e": U}
    second = {"a": S, "b": D, "c": U, "d": D, "e": S}
    assert disagreements(first, second) == ["b", "c", "e"]
    assert settled(first, second, {}) == {"a": S, "b": U, "c": U, "d": D, "e": U}
    assert settled(first, second, {"b": D, "c": U, "e": S}) == {"a": S, "b": D, "c": U, "d": D, "e": S}
