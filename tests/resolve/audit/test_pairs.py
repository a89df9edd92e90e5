from __future__ import annotations

import numpy as np
import pytest

from mdm.domain.keys import EntityKind
from mdm.linkage.blocking import posting_keys
from mdm.linkage.specification import specification_of
from mdm.resolve.audit.design import Way
from mdm.resolve.audit.pairs import NUMBER_COMPARISONS, WEIGHT_BITS_MIN, caught_share, cut, joined, unblocked_pairs
from tests.resolve.audit.conftest import City, pair_count, silent


def test_every_pair_that_stands_together_is_there_once(city: City) -> None:
    assert len(city.linked.lefts) == pair_count(city.population.goldens.tolist())
    assert city.population.are_together(city.linked.lefts, city.linked.rights).all()


def test_no_pair_is_in_two_places(city: City) -> None:
    codes = joined([city.linked, city.apart, city.unblocked]).codes
    assert len(np.unique(codes)) == len(codes)
    for pairs in (city.apart, city.unblocked):
        assert len(pairs.lefts)
        assert not city.population.are_together(pairs.lefts, pairs.rights).any()
        assert (pairs.lefts < pairs.rights).all()
        assert (pairs.bits >= WEIGHT_BITS_MIN).all()


def test_both_engines_weigh_the_pairs_alike(city: City) -> None:
    population, scorer = city.population, city.engine.scorer
    for left, right, bits in zip(city.apart.lefts[:300], city.apart.rights[:300], city.apart.bits[:300], strict=True):
        features = [population.features_of(int(side)) for side in (left, right)]
        assert scorer.score(features[0], features[1:])[0].match_weight_bits == pytest.approx(bits, abs=1e-9)


def test_unblocked_pairs_share_no_key_and_blocked_ones_do(city: City) -> None:
    population = city.population

    keys = {number: frozenset(posting_keys(population.features_of(number))) for number in population.numbers.tolist()}
    assert all(
        keys[int(one)] & keys[int(other)] for one, other in zip(city.apart.lefts, city.apart.rights, strict=True)
    )
    unblocked = list(zip(city.unblocked.lefts, city.unblocked.rights, strict=True))
    assert not any(keys[int(one)] & keys[int(other)] for one, other in unblocked)


def test_a_search_finds_the_pairs_of_its_records_and_no_other(city: City) -> None:
    searched = city.population.numbers[::40]
    found = unblocked_pairs(city.population, city.engine, searched, city.apart, silent)
    met = np.isin(city.unblocked.lefts, searched) | np.isin(city.unblocked.rights, searched)
    assert sorted(found.codes) == sorted(city.unblocked.where(met).codes)
    assert len(found.codes)
    nothing = unblocked_pairs(city.population, city.engine, searched[:0], city.apart, silent)
    assert len(nothing.codes) == 0


def test_strata_hold_all_pairs_by_how_they_stand_what_carries_them_and_weight(city: City) -> None:
    pairs = joined([city.linked, city.apart, city.unblocked])
    strata, places = cut(pairs, city.population, city.engine.model.thresholds, len(city.population.numbers))
    assert [stratum.population for stratum in strata] == np.bincount(places, minlength=len(strata)).tolist()
    assert {stratum.way for stratum in strata} == set(Way)
    assert sum(stratum.way is Way.UNBLOCKED for stratum in strata) == 1
    assert len({stratum.title for stratum in strata}) == len(strata)
    for place, stratum in enumerate(strata):
        of_stratum = pairs.where(places == place)
        assert {list(Way)[way] for way in of_stratum.ways} == {stratum.way}
        assert sum(stratum.populations.values()) == stratum.population
        if stratum.way is not Way.UNBLOCKED:
            assert set(of_stratum.are_carried_by_number) == {stratum.is_carried_by_number}
            assert (of_stratum.bits >= (-np.inf if stratum.weight_bits_min is None else stratum.weight_bits_min)).all()
            assert (of_stratum.bits < (np.inf if stratum.weight_bits_max is None else stratum.weight_bits_max)).all()


def test_what_links_on_its_own_is_told_from_what_others_link(city: City) -> None:
    link_bits = city.engine.model.thresholds.link_bits
    direct = city.linked.where(city.linked.ways == list(Way).index(Way.LINKED_DIRECTLY))
    assert (direct.bits >= link_bits).all()
    assert 0.5 * len(city.linked.lefts) < len(direct.lefts) < len(city.linked.lefts)
    asked = city.apart.where(city.apart.ways == list(Way).index(Way.ASKED))
    assert sorted(asked.codes) == sorted(set(city.apart.codes) & set(city.population.asked))
    assert len(asked.codes)


def test_a_search_of_some_records_leaves_a_stratum_though_it_finds_nothing(city: City) -> None:
    strata, _ = cut(city.linked, city.population, city.engine.model.thresholds, 10)
    (unblocked,) = [stratum for stratum in strata if stratum.way is Way.UNBLOCKED]
    assert (unblocked.population, unblocked.caught_share) == (0, caught_share(len(city.population.numbers), 10))
    without, _ = cut(city.linked, city.population, city.engine.model.thresholds, 0)
    assert not [stratum for stratum in without if stratum.way is Way.UNBLOCKED]


@pytest.mark.parametrize(("records", "searched", "share"), [(10, 10, 1.0), (10, 9, 1.0), (10, 1, 0.2), (4, 2, 5 / 6)])
def test_the_chance_of_a_pair_to_be_caught(records: int, searched: int, share: float) -> None:
    assert caught_share(records, searched) == pytest.approx(share)


@pytest.mark.parametrize("kind", EntityKind)
def test_each_kind_has_a_number_that_carries_links(kind: EntityKind) -> None:
    names = {comparison.name for comparison in specification_of(kind).comparisons}
    assert names & NUMBER_COMPARISONS
