"""The proof of the proof: audits of a city whose truth is known, whose bounds must hold what they claim to hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest

from mdm.resolve.audit.agreement import Label, disagreements
from mdm.resolve.audit.pairs import joined, linked_pairs
from mdm.resolve.audit.report import Report, Share, evaluate
from mdm.resolve.audit.sampling import Frame, draw_key, searched_records
from tests.resolve.audit.conftest import City, silent

SIZE = 300
SEARCHED = 60
REPETITIONS = 100
FLIP_SHARE, UNSURE_SHARE = 0.01, 0.02
"""Of a reviewer's labels; a third one, who takes the time, settles what two see differently."""

FALSE_MERGES = 25


def worsened(city: City) -> City:
    """The same city, badly linked: golden records of strangers merged along the strongest false near misses."""
    population, apart = city.population, city.apart
    false = apart.where(~city.are_same(apart.lefts, apart.rights))
    false = false.where(np.argsort(-false.bits, kind="stable")[:FALSE_MERGES])
    goldens = population.goldens.copy()
    for left, right in zip(population.places(false.lefts), population.places(false.rights), strict=True):
        goldens[goldens == goldens[right]] = goldens[left]
    merged = msgspec.structs.replace(population, goldens=goldens)
    return msgspec.structs.replace(
        city,
        population=merged,
        linked=linked_pairs(merged, city.engine, silent),
        apart=apart.where(~merged.are_together(apart.lefts, apart.rights)),
        unblocked=city.unblocked.where(~merged.are_together(city.unblocked.lefts, city.unblocked.rights)),
    )


def audited(city: City, seed: int) -> Report:
    """Draw, label by the truth with two careless reviewers, and evaluate."""
    searched = searched_records(city.population, SEARCHED, seed)
    met = np.isin(city.unblocked.lefts, searched) | np.isin(city.unblocked.rights, searched)
    pairs = joined([city.blocked, city.unblocked.where(met)])
    frame = Frame(city.population, city.engine.model.thresholds, pairs, SEARCHED, 0, "journal", 1, "model", "epoch")
    key = draw_key(frame, SIZE, seed)
    truth = {
        item.id: Label.SAME if city.entities[item.left] == city.entities[item.right] else Label.DIFFERENT
        for item in key.items
    }
    first, second = (_careless(truth, random.Random(f"{seed}/{reviewer}")) for reviewer in "AB")
    third = {item: truth[item] for item in disagreements(first, second)}
    return evaluate(key, first, second, third)


def _careless(truth: dict[str, Label], dice: random.Random) -> dict[str, Label]:
    other = {Label.SAME: Label.DIFFERENT, Label.DIFFERENT: Label.SAME}
    said = {}
    for item, label in truth.items():
        chance = dice.random()
        is_slip, is_unsure = chance < FLIP_SHARE, FLIP_SHARE <= chance < FLIP_SHARE + UNSURE_SHARE
        said[item] = other[label] if is_slip else Label.UNSURE if is_unsure else label
    return said


def summary(name: str, shares: Sequence[Share | None], value: float) -> int:
    """Print how the audits did, and return how many of them held the true value."""
    known = [share for share in shares if share is not None]
    held = sum(share.lower <= value <= share.upper for share in known)
    mean, width = (np.mean([getter(share) for share in known]) for getter in (_middle, _width))
    print(f"\n{name}: truly {value:.4f}, mean estimate {mean:.4f}, mean width {width:.4f}, held {held} times")  # noqa: T201
    return held


def _middle(share: Share) -> float:
    return (share.estimate_min + share.estimate_max) / 2


def _width(share: Share) -> float:
    return share.upper - share.lower


# Everyone is compared with everyone once: half a minute alone.
@pytest.mark.timeout(600)
@pytest.mark.quality
@pytest.mark.parametrize("change", [lambda city: city, worsened], ids=["as linked", "badly linked"])
def test_the_bounds_hold_the_truth_in_nine_of_ten_audits(city: City, change: Callable[[City], City]) -> None:
    audited_city = change(city)
    precision, recall = audited_city.truth()
    reports = [audited(audited_city, seed) for seed in range(REPETITIONS)]
    assert summary("precision", [report.precision for report in reports], precision) >= 90
    assert summary("recall", [report.recall for report in reports], recall) >= 90
