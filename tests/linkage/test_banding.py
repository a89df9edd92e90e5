"""Pairs assessed as columns get the band that each gets by itself."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.linkage.banding import PairColumns, assess_columns
from mdm.linkage.blocking import posting_keys
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import Assessor, assess, found_of, veto
from mdm.linkage.features import CitizenFeatures, Features
from mdm.linkage.model import Model
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.linkage.specification import specification_of

Rows = list[tuple[int, str, Features, str]]
Pairs = list[tuple[int, int, float, tuple[int, ...]]]


def scored(rows: Rows, scorer: Scorer) -> Pairs:
    """Return all blocked pairs at or above the review threshold."""
    features = {number: evidence for number, _, evidence, _ in rows}
    holders: dict[bytes, list[int]] = {}
    for number, evidence in features.items():
        for key in posting_keys(evidence):
            holders.setdefault(key, []).append(number)
    blocked = sorted({pair for numbers in holders.values() for pair in combinations(sorted(numbers), 2)})
    pairs = []
    for left, right in blocked:
        levels, bits = scorer.score(features[left], [features[right]])[0]
        if bits >= scorer.model.thresholds.review_bits:
            pairs.append((left, right, bits, levels))
    return pairs


@pytest.mark.parametrize("kind", EntityKind)
@pytest.mark.parametrize("is_register_known", [True, False])
def test_columns_are_assessed_as_each_pair_is(
    kind: EntityKind, city: dict[EntityKind, Rows], *, is_register_known: bool
) -> None:
    rows, model = city[kind], Model.default(kind)
    features = {number: evidence for number, _, evidence, _ in rows}
    bearers = len({bearer for *_, bearer in rows})
    epoch = StatisticsEpoch.from_records(kind, features.values(), bearers)
    if not is_register_known:
        # Ten times the people: most names are common, and the register lacks most of them.
        epoch = epoch.with_population(bearers * 10)
    pairs = scored(rows, compile_scorer(model, epoch))
    left, right, bits, levels = zip(*pairs, strict=True)
    patterns = sorted(set(levels))
    columns = PairColumns(
        np.array(left), np.array(right), np.array(bits), np.array([patterns.index(each) for each in levels])
    )
    rules = specification_of(kind).rules
    traits = None
    if rules.traits is not None:
        traits = np.zeros(max(features) + 1, np.int64)
        for number, evidence in features.items():
            traits[number] = rules.traits(evidence)
    found = assess_columns(columns, patterns, traits, features.__getitem__, model, epoch)
    expected = [
        assess(kind, shown, features[one], features[other], weight, model, epoch) for one, other, weight, shown in pairs
    ]
    assert [found.assessments[which] for which in found.which] == expected
    assert {Band.LINK, Band.REVIEW} <= {each.band for each in expected}
    assessors = {number: Assessor(kind, evidence, model, epoch) for number, evidence in features.items()}
    assert [assessors[one].assess(shown, features[other], weight) for one, other, weight, shown in pairs] == expected


def test_no_pairs_have_no_bands() -> None:
    nothing = np.zeros(0, np.int64)
    columns = PairColumns(nothing, nothing, np.zeros(0), nothing)
    model, epoch = Model.default(EntityKind.CITIZEN), StatisticsEpoch.default(EntityKind.CITIZEN)
    found = assess_columns(columns, [], np.zeros(0, np.int64), lambda _: CitizenFeatures(), model, epoch)
    assert (found.assessments, len(found.which)) == ([], 0)


@pytest.mark.parametrize("kind", EntityKind)
def test_whom_the_traits_clear_no_veto_forbids(kind: EntityKind, city: dict[EntityKind, Rows]) -> None:
    rows, model = city[kind], Model.default(kind)
    features = {number: evidence for number, _, evidence, _ in rows}
    scorer = compile_scorer(model, StatisticsEpoch.default(kind))
    rules = specification_of(kind).rules
    vetoed_count = 0
    for left, right in zip(sorted(features), sorted(features)[1:], strict=False):
        # Neighbours by number are of one household now and then; strangers are vetoed by their numbers.
        one, other = features[left], features[right]
        seen = (one, other) if rules.traits is None else (rules.traits(one), rules.traits(other))
        forbidden = veto(one, other)
        vetoed_count += forbidden is not None
        assert forbidden is None or rules.may_veto(found_of(kind, scorer.levels(one, other)), *seen)
    assert vetoed_count
