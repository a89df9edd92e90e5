"""Thresholds on made-up pairs whose precision at each weight is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mdm.linkage.calibration import calibrate, fewest, lower_bound, probability
from mdm.linkage.thresholds import Basis, Choice, Pairs, choose_thresholds

BASE, REVIEW = 7.0, 3.0


def chosen(pairs: Pairs, *, target: float = 0.999, is_sample: bool = True, **more: Any) -> Choice:
    return choose_thresholds(
        pairs, base_link_bits=BASE, base_review_bits=REVIEW, target_precision=target, is_sample=is_sample, **more
    )


def spread(count: int = 20_000, low: float = 0.0, high: float = 20.0) -> NDArray[np.float64]:
    """Weights evenly spread over a range."""
    return np.linspace(low, high, count, endpoint=False)


def wrong_below(bits: NDArray[np.float64], at: float) -> NDArray[np.int8]:
    """Labels of a city in which all pairs below `at` are strangers and all others are one bearer."""
    return (bits >= at).astype(np.int8)


@pytest.mark.parametrize(("errors", "count"), [(0, 10), (0, 30_000), (1, 100), (5, 50), (19, 40)])
def test_the_lower_bound_is_the_exact_one(errors: int, count: int) -> None:
    wrong = 1.0 - lower_bound(errors, count)
    as_few = sum(math.comb(count, each) * wrong**each * (1.0 - wrong) ** (count - each) for each in range(errors + 1))
    assert as_few == pytest.approx(0.05, rel=1e-6), "were it true, so few errors would be seen once in twenty times"


def test_without_a_right_one_nothing_is_known() -> None:
    assert lower_bound(0, 0) == lower_bound(7, 7) == 0.0


def test_a_fraction_of_an_error_counts_as_a_whole_one() -> None:
    assert lower_bound(0.2, 100.9) == lower_bound(1, 100)


@pytest.mark.parametrize("border", [5.0, 9.5])
def test_the_truth_moves_the_threshold_to_where_the_errors_begin(border: float) -> None:
    bits = spread()
    choice = chosen(Pairs.of(bits, labels=wrong_below(bits, border)))
    assert choice.basis is Basis.PROVEN
    # The target allows one wrong link in a thousand, so the threshold stops one step of the grid short at most.
    assert choice.link_bits == pytest.approx(border, abs=0.25)
    assert choice.chosen.precision_min >= 0.999


def test_a_target_that_so_few_labels_cannot_prove_leaves_the_threshold() -> None:
    bits = spread(500)
    choice = chosen(Pairs.of(bits, labels=wrong_below(bits, 0.0)), target=0.9999)
    assert (choice.link_bits, choice.basis) == (BASE, Basis.KEPT)
    assert choice.chosen.precision == 1.0
    assert choice.chosen.precision_min < 0.9999


def test_many_sure_links_do_not_pay_for_guesses() -> None:
    bits = np.concatenate([np.full(100_000, 15.0), spread(400, 5.0, 7.0)])
    is_right = np.ones(len(bits), np.int8)
    is_right[-400::8] = 0  # One in eight of the weak ones is wrong, which the whole hardly notices.
    choice = chosen(Pairs.of(bits, labels=is_right))
    assert choice.link_bits == BASE
    assert next(point for point in choice.curve if point.link_bits == 5.0).precision > 0.999
    assert chosen(Pairs.of(bits, labels=is_right), edge_precision_min=0.8).link_bits == 5.0


def test_pairs_that_lack_evidence_for_a_link_have_no_say_in_its_threshold() -> None:
    bits = np.concatenate([spread(), np.full(5_000, 12.0)])
    labels = np.concatenate([wrong_below(spread(), 5.0), np.zeros(5_000, np.int8)])
    can_link = np.concatenate([np.ones(20_000, np.bool_), np.zeros(5_000, np.bool_)])
    assert chosen(Pairs.of(bits, can_link, labels)).link_bits == pytest.approx(5.0, abs=0.25)
    assert chosen(Pairs.of(bits, None, labels)).link_bits > 12.0


def test_a_sample_drawn_unevenly_counts_by_what_it_stands_for() -> None:
    rng = np.random.default_rng(7)
    bits = spread(200_000)
    truth = wrong_below(bits, 5.0)
    # Half of the weak pairs and one in ten of the strong ones were labelled.
    seen = rng.random(len(bits)) < np.where(bits < 8.0, 0.5, 0.1)
    choice = chosen(Pairs.of(bits, labels=np.where(seen, truth, -1)))
    assert choice.basis is Basis.PROVEN
    assert choice.link_bits == pytest.approx(5.0, abs=0.5)
    assert choice.chosen.precision == pytest.approx(1.0, abs=1e-3)


def test_links_without_a_label_prove_nothing() -> None:
    bits = spread(200_000)
    labels = np.where(bits < 12.0, wrong_below(bits, 5.0), -1)
    choice = chosen(Pairs.of(bits, labels=labels))
    assert choice.link_bits >= BASE
    assert choice.chosen.precision_min < 0.7


def test_judgements_never_lower_a_threshold() -> None:
    bits = spread(50_000)
    labels = np.where((bits >= REVIEW) & (bits < BASE), 1, -1)
    choice = chosen(Pairs.of(bits, labels=labels), is_sample=False)
    assert choice.link_bits >= BASE
    assert choice.chosen.precision_min == 0.0


def test_judgements_that_links_were_wrong_raise_it() -> None:
    bits = np.concatenate([spread(50_000, 8.0, 30.0), np.full(200, 7.4)])
    labels = np.full(len(bits), -1)
    quiet = chosen(Pairs.of(bits, labels=labels), is_sample=False)
    labels[-200::2] = 0
    choice = chosen(Pairs.of(bits, labels=labels), is_sample=False)
    assert (quiet.link_bits, quiet.basis) == (BASE, Basis.KEPT)
    assert (choice.link_bits, choice.basis) == (7.5, Basis.TIGHTENED)


@pytest.mark.parametrize(
    ("complaint_count", "at_bits", "link_bits", "basis"),
    [
        (1, 12.0, BASE, Basis.KEPT),
        (2, 12.0, BASE, Basis.KEPT),  # More than the target allows, but three would be needed to tell it from chance.
        (20, 12.0, 12.25, Basis.TIGHTENED),
        (20, 25.0, BASE, Basis.MISSED),  # No threshold mends weights that are wrong.
    ],
)
def test_complaints_count_where_chance_does_not_explain_them_and_a_threshold_helps(
    complaint_count: int, at_bits: float, link_bits: float, basis: Basis
) -> None:
    bits = np.concatenate([spread(5_000, 20.0, 30.0), np.full(100, at_bits)])
    labels = np.full(len(bits), -1)
    labels[-complaint_count:] = 0
    choice = chosen(Pairs.of(bits, labels=labels), target=0.9999, edge_precision_min=0.5, is_sample=False)
    assert (choice.link_bits, choice.basis) == (link_bits, basis)


def test_a_complaint_about_one_link_speaks_for_that_link_alone() -> None:
    bits = spread(50_000, 7.0, 30.0)
    labels = np.full(len(bits), -1)
    labels[20_000:20_010] = 0
    judged = chosen(Pairs.of(bits, labels=labels), is_sample=False)
    silent = chosen(Pairs.of(bits), is_sample=False)
    assert judged.base.precision < silent.base.precision
    assert (silent.base.precision - judged.base.precision) * silent.base.link_count == pytest.approx(fewest(10), 0.01)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_the_fewest_is_the_mean_that_so_many_reach_once_in_twenty_times(count: int) -> None:
    mean = fewest(count)
    fewer = sum(mean**each / math.factorial(each) for each in range(count)) * math.exp(-mean)
    assert 1.0 - fewer == pytest.approx(0.05, rel=1e-6)
    assert fewest(0) == 0.0


def test_without_labels_the_model_s_expected_errors_tighten() -> None:
    bits = spread(50_000, 3.0, 20.0)
    choice = chosen(Pairs.of(bits), target=0.9999)
    assert choice.basis is Basis.TIGHTENED
    links = bits[bits >= choice.link_bits]
    assert (1.0 - probability(links)).mean() <= 1e-4 < (1.0 - probability(bits[bits >= choice.link_bits - 0.25])).mean()
    assert choice.review_bits == REVIEW


def test_a_prior_that_was_too_kind_is_taken_off() -> None:
    bits = spread(50_000, 3.0, 20.0)
    kind, right = chosen(Pairs.of(bits), target=0.9999), chosen(Pairs.of(bits), target=0.9999, prior_shift_bits=-2.0)
    assert right.link_bits == pytest.approx(kind.link_bits + 2.0, abs=0.5)


def test_labels_say_where_questions_are_worth_a_steward_s_time() -> None:
    bits = spread(50_000, -5.0, 20.0)

    def half_right_from(at: float) -> Pairs:
        labels = wrong_below(bits, at)
        labels[(bits < 9.0) & (np.arange(len(bits)) % 2 == 0)] = 0
        return Pairs.of(bits, labels=labels)

    # A bit of questions may hold 80 % strangers at its lower end, for half of the rest are merges.
    assert chosen(half_right_from(1.0)).review_bits == pytest.approx(0.2, abs=0.25)
    assert chosen(half_right_from(6.0)).review_bits == pytest.approx(5.2, abs=0.25)
    few = chosen(half_right_from(1.0), question_count_max=300)
    assert few.question_count <= 300
    assert few.review_bits <= few.link_bits


def test_a_city_without_pairs_keeps_its_thresholds() -> None:
    choice = chosen(Pairs.of(np.array([])))
    assert (choice.link_bits, choice.review_bits, choice.basis) == (BASE, REVIEW, Basis.KEPT)


def test_calibration_finds_how_much_too_sure_a_model_is() -> None:
    rng = np.random.default_rng(3)
    bits = rng.uniform(-10.0, 20.0, 40_000)
    found = calibrate(bits, rng.random(len(bits)) < probability(0.5 * bits - 1.0))
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.shift_bits == pytest.approx(-1.0, abs=0.1)
    covered = 0
    for row in found.rows:
        inside = bits[(bits >= row.bits_min) & (bits < row.bits_max)]
        covered += row.observed_min < probability(0.5 * inside - 1.0).mean() < row.observed_max
        assert row.label_count == len(inside)
    assert covered >= 6, "each of eight rows lies within both of its bounds nine times in ten"
    beyond = found.corrected(np.array([100.0, 101.0]))
    assert beyond[1] - beyond[0] == pytest.approx(1.0), "no slope is known where no label is"


def test_a_handful_of_labels_corrects_nothing() -> None:
    bits = spread(60)
    assert calibrate(bits, bits > 10.0).label_count == 0
    assert np.array_equal(calibrate(bits, bits > 10.0).corrected(bits), bits)
    one_sided = spread(500)
    assert calibrate(one_sided, np.ones(500, np.bool_)).label_count == 0
