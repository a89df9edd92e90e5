"""The compiled scorer: bits that add up, missing values that add nothing, and a pace that an admission desk needs."""

from __future__ import annotations

import math
import time
from typing import Any

import msgspec
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.comparisons import Meaning
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer, match_probability
from mdm.linkage.specification import specification_of

Rows = list[tuple[int, str, Features, str]]
PAIR_US_MAX = 10.0


@pytest.mark.parametrize("kind", EntityKind)
def test_the_waterfall_adds_up_to_the_match_weight(kind: EntityKind, city: dict[EntityKind, Rows]) -> None:
    scorer = compile_scorer(Model.default(kind), StatisticsEpoch.default(kind))
    records = [row[2] for row in city[kind][:60]]
    for left in records[:20]:
        for right, pair in zip(records, scorer.score(left, records), strict=True):
            steps = scorer.waterfall(left, right)
            total = sum(step.bits + step.term_frequency_bits for step in steps)
            assert math.isclose(total, pair.match_weight_bits, abs_tol=1e-9)
            assert scorer.weight(pair.levels, left, right) == pair.match_weight_bits
            assert scorer.levels(right, left) == pair.levels, "which record stands left must not matter"


@pytest.mark.parametrize("kind", EntityKind)
def test_two_records_that_say_nothing_weigh_the_prior(kind: EntityKind) -> None:
    scorer = compile_scorer(Model.default(kind), StatisticsEpoch.default(kind))
    silent: Features = CitizenFeatures() if kind is EntityKind.CITIZEN else BusinessFeatures()
    (pair,) = scorer.score(silent, [silent])
    assert set(pair.levels) == {-1}
    assert pair.match_weight_bits == scorer.epoch.prior_bits
    assert all(step.meaning is Meaning.MISSING for step in scorer.waterfall(silent, silent)[1:])


def test_a_rare_name_weighs_more_than_a_common_one() -> None:
    common = CitizenFeatures(name="nguyen thi hoa")
    names: list[Features] = [common for _ in range(300)]
    names += [CitizenFeatures(name=f"rare {number}") for number in range(700)]
    epoch = StatisticsEpoch.from_records(EntityKind.CITIZEN, names, 1000)
    scorer = compile_scorer(Model.default(EntityKind.CITIZEN), epoch)
    rare = CitizenFeatures(name="rare 7")
    lead = scorer.score(rare, [rare])[0].match_weight_bits - scorer.score(common, [common])[0].match_weight_bits
    assert math.isclose(lead, math.log2(epoch.share("name")("nguyen thi hoa") / epoch.share("name")("rare 7")))


@pytest.mark.parametrize(("bits", "expected"), [(0.0, 0.5), (1.0, 2 / 3), (-1.0, 1 / 3), (2000.0, 1.0), (-2000.0, 0.0)])
def test_match_probability_is_the_odds_of_the_bits(bits: float, expected: float) -> None:
    assert match_probability(bits) == pytest.approx(expected)


def test_a_model_that_learned_nothing_at_a_level_is_refused() -> None:
    model = Model.default(EntityKind.CITIZEN)
    settings: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(model.splink))
    del settings["comparisons"][0]["comparison_levels"][1]["u_probability"]
    with pytest.raises(ValueError, match="same of name"):
        compile_scorer(msgspec.structs.replace(model, splink=settings), StatisticsEpoch.default(EntityKind.CITIZEN))


@pytest.mark.parametrize("kind", EntityKind)
def test_the_levels_of_every_comparison_can_be_told_apart_by_their_labels(kind: EntityKind) -> None:
    for comparison in specification_of(kind).comparisons:
        labels = [level.label for level in comparison.levels]
        assert len(set(labels)) == len(labels)
        assert sum(level.is_missing for level in comparison.levels) == 1
        assert [level.predicate is None for level in comparison.levels].index(True) == len(labels) - 1
        assert sum(level.m for level in comparison.levels) == pytest.approx(1.0, abs=0.05)


def test_scoring_keeps_up_with_a_desk(city: dict[EntityKind, Rows]) -> None:
    scorer = compile_scorer(Model.default(EntityKind.CITIZEN), StatisticsEpoch.default(EntityKind.CITIZEN))
    records = [row[2] for row in city[EntityKind.CITIZEN][:500]]
    best = math.inf
    for left in records[:10]:
        # Processor time of this thread alone: others may be at work on the same cores.
        started = time.thread_time()
        scorer.score(left, records)
        best = min(best, (time.thread_time() - started) / len(records) * 1e6)
    print(f"\n{best:.2f} us a pair")  # noqa: T201 - A measured figure.
    assert best < PAIR_US_MAX
