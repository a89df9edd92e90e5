"""Clusters hold no veto, whatever the order of the edges, and obey judgements."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.domain.keys import EntityKind
from mdm.linkage.citizen_evidence import PERSONAL_NUMBERS_MAX
from mdm.linkage.cluster import Clustering, Namesakes, Ties, cluster
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import compatible, veto
from mdm.linkage.features import CitizenFeatures
from mdm.linkage.graph import Edge, Edges, connected
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import numbered
from mdm.linkage.scorer import compile_scorer

PERSON = CitizenFeatures(
    name="ton that bach",
    name_sorted="bach that ton",
    name_short="ton bach",
    surname="ton",
    given="bach",
    birth_date="1984-07-19",
    birth_year=1984,
    birth_month=7,
    sex="m",
)
ONE = msgspec.structs.replace(PERSON, personal_ids=("079084000001",), verified_ids=("079084000001",))
OTHER = msgspec.structs.replace(PERSON, personal_ids=("079084000002",), verified_ids=("079084000002",))
STRANGER = msgspec.structs.replace(
    PERSON, name="le thi sau", name_sorted="le sau thi", name_short="le sau", given="sau", birth_date="1951-01-30",
    birth_year=1951, sex="f",
)  # fmt: skip
SCORER = compile_scorer(
    Model.default(EntityKind.CITIZEN), StatisticsEpoch.default(EntityKind.CITIZEN).with_population(20_000)
)


def plain(found: Clustering) -> Clustering:
    """The same with lists in place of columns, which compare as a whole."""
    return found._replace(clusters=found.clusters.lists())  # type: ignore[arg-type]


def test_edges_join_records_across_a_chain() -> None:
    edges = [Edge(1, 2, 20.0), Edge(2, 3, 15.0), Edge(5, 6, 12.0)]
    assert cluster(Edges.of(edges), lambda _: PERSON, SCORER).clusters.lists() == [[1, 2, 3], [5, 6]]


def test_the_edge_that_would_put_a_veto_inside_a_cluster_is_refused() -> None:
    records = {1: ONE, 2: PERSON, 3: OTHER}
    found = cluster(Edges.of([Edge(2, 3, 15.0), Edge(1, 2, 20.0)]), records.__getitem__, SCORER)
    assert found.clusters.lists() == [[1, 2]]
    assert found.refused == [Edge(2, 3, 15.0)]


def test_one_edge_does_not_join_records_that_otherwise_contradict() -> None:
    records = {1: PERSON, 2: PERSON, 3: STRANGER, 4: STRANGER}
    edges = [Edge(1, 2, 30.0), Edge(3, 4, 30.0), Edge(2, 3, 8.0)]
    found = cluster(Edges.of(edges), records.__getitem__, SCORER)
    assert found.clusters.lists() == [[1, 2], [3, 4]]
    assert found.refused == [Edge(2, 3, 8.0)]


def test_a_judgement_of_same_joins_what_nothing_else_would() -> None:
    records = {1: PERSON, 2: STRANGER}
    assert cluster(Edges.of([]), records.__getitem__, SCORER, same=[(1, 2)]).clusters.lists() == [[1, 2]]


def test_a_judgement_of_same_overrules_a_veto_for_whoever_carries_either_number() -> None:
    third = msgspec.structs.replace(PERSON, personal_ids=("079084000003",), verified_ids=("079084000003",))
    records = {1: ONE, 2: PERSON, 3: OTHER, 4: ONE, 5: OTHER, 6: third}
    edges = [Edge(1, 4, 30.0), Edge(3, 5, 30.0), Edge(2, 6, 20.0)]
    found = cluster(Edges.of(edges), records.__getitem__, SCORER, same=[(1, 2), (2, 3)])
    assert found.clusters.lists() == [[1, 2, 3, 4, 5]], "a chain ties its ends"
    assert found.refused == [Edge(2, 6, 20.0)], "a third number is another bearer's"


def test_a_judgement_of_same_overrules_a_veto_between_records_that_edges_connect_already() -> None:
    records = {1: ONE, 2: PERSON, 3: OTHER, 4: ONE, 5: OTHER}
    edges = [Edge(1, 4, 30.0), Edge(3, 5, 30.0), *(Edge(*pair, 20.0) for pair in ((1, 2), (2, 3), (2, 4), (2, 5)))]
    found = cluster(Edges.of(edges), records.__getitem__, SCORER, same=[(1, 3)])
    assert (found.clusters.lists(), found.refused) == ([[1, 2, 3, 4, 5]], [])


def test_a_judgement_of_same_about_a_record_without_a_number_overrules_no_veto() -> None:
    records = {1: ONE, 2: PERSON, 3: OTHER}
    found = cluster(Edges.of([Edge(2, 3, 20.0)]), records.__getitem__, SCORER, same=[(1, 2)])
    assert (found.clusters.lists(), found.refused) == ([[1, 2]], [Edge(2, 3, 20.0)])


@pytest.mark.parametrize("judged", [(1, 3), (3, 1)])
def test_a_judgement_of_different_holds_through_others(judged: tuple[int, int]) -> None:
    edges = [Edge(1, 2, 30.0), Edge(2, 3, 20.0), Edge(3, 4, 25.0)]
    found = cluster(Edges.of(edges), lambda _: PERSON, SCORER, different=[judged])
    assert found.clusters.lists() == [[1, 2], [3, 4]]
    assert found.refused == [Edge(2, 3, 20.0)]


EDGES = st.lists(
    st.tuples(st.integers(1, 12), st.integers(13, 24), st.sampled_from([8.0, 9.5, 20.0])), max_size=40, unique=True
)


@settings(max_examples=60, deadline=None)
@given(
    edges=EDGES,
    kinds=st.lists(st.sampled_from([ONE, OTHER, PERSON]), min_size=25, max_size=25),
    different=st.sets(st.tuples(st.integers(1, 12), st.integers(13, 24)), max_size=4),
    seed=st.integers(),
)
def test_no_cluster_holds_a_veto_and_the_order_of_edges_does_not_matter(
    edges: list[tuple[int, int, float]],
    kinds: list[CitizenFeatures],
    different: set[tuple[int, int]],
    seed: int,
) -> None:
    # One weight for each pair, as a prediction gives; a pair under a veto is no edge.
    by_pair = {
        (left, right): Edge(left, right, bits) for left, right, bits in edges if veto(kinds[left], kinds[right]) is None
    }
    ordered = list(by_pair.values())
    shuffled = random.Random(seed).sample(ordered, len(ordered))
    found = cluster(Edges.of(ordered), kinds.__getitem__, SCORER, different=different)
    again = cluster(Edges.of(shuffled), kinds.__getitem__, SCORER, different=sorted(different, reverse=True))
    assert plain(again) == plain(found)
    for members in found.clusters.lists():
        assert all(veto(kinds[left], kinds[right]) is None for left in members for right in members)
        assert not any(left in members and right in members for left, right in different)
    joined = {number: members for members in map(tuple, found.clusters.lists()) for number in members}
    for edge in ordered:
        together = joined.get(edge.left) is not None and joined.get(edge.left) == joined.get(edge.right)
        assert together or edge in found.refused


NUMBERED = st.lists(st.none() | st.integers(1, 6), min_size=13, max_size=13)


@settings(max_examples=80, deadline=None)
@given(numbers=NUMBERED, edges=st.sets(st.tuples(st.integers(1, 6), st.integers(7, 12)), max_size=30))
def test_knowing_what_excess_counts_changes_nothing(numbers: list[int | None], edges: set[tuple[int, int]]) -> None:
    stated = [None if number is None else f"07919000000{number}" for number in numbers]
    records = [msgspec.structs.replace(PERSON, personal_id=number) for number in stated]
    linked = Edges.of([Edge(left, right, 20.0 + left) for left, right in edges])
    values = np.array([number or 0 for number in numbers], np.int64)
    found = cluster(linked, records.__getitem__, SCORER, values=values)
    assert plain(found) == plain(cluster(linked, records.__getitem__, SCORER))
    for members in found.clusters.lists():
        assert len({stated[number] for number in members} - {None}) <= PERSONAL_NUMBERS_MAX


LISTED = msgspec.structs.replace(PERSON, household="household:1")
ALSO_LISTED = msgspec.structs.replace(PERSON, household="household:2")


def _weighed(edges: list[tuple[int, int, float]], kinds: list[CitizenFeatures]) -> list[Edge]:
    """Return the edges without a veto weighed as a prediction does, and as what is found on the way is."""
    return [
        Edge(left, right, SCORER.score(kinds[left], (kinds[right],))[0].match_weight_bits)
        for left, right in sorted({(left, right) for left, right, _ in edges})
        if veto(kinds[left], kinds[right]) is None
    ]


JUDGED = st.sets(st.tuples(st.integers(1, 12), st.integers(13, 24)), max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    edges=EDGES,
    kinds=st.lists(st.sampled_from([ONE, OTHER, PERSON, STRANGER]), min_size=25, max_size=25),
    same=JUDGED,
    different=JUDGED,
)
def test_weights_found_beforehand_or_on_the_way_make_the_same_clusters(
    edges: list[tuple[int, int, float]],
    kinds: list[CitizenFeatures],
    same: set[tuple[int, int]],
    different: set[tuple[int, int]],
) -> None:
    linked = Edges.of(_weighed(edges, kinds))
    beforehand = cluster(linked, kinds.__getitem__, SCORER, same=same, different=different - same)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mdm.linkage.cluster.COMPLETED_MEMBERS_MAX", 0)
        on_the_way = cluster(linked, kinds.__getitem__, SCORER, same=same, different=different - same)
    assert plain(on_the_way) == plain(beforehand)


@settings(max_examples=200, deadline=None)
@given(
    edges=EDGES,
    kinds=st.lists(st.sampled_from([ONE, OTHER, PERSON, STRANGER]), min_size=25, max_size=25),
    same=JUDGED,
    different=JUDGED,
)
def test_clusters_are_those_of_one_walk_along_all_edges_in_falling_weight(
    edges: list[tuple[int, int, float]],
    kinds: list[CitizenFeatures],
    same: set[tuple[int, int]],
    different: set[tuple[int, int]],
) -> None:
    linked = _weighed(edges, kinds)
    found = cluster(Edges.of(linked), kinds.__getitem__, SCORER, same=same, different=different - same)
    joined = {number: frozenset([number]) for number in range(len(kinds))}
    refused = []
    for left, right, bits in [*((*pair, math.inf) for pair in sorted(same)), *sorted(linked, key=_falling)]:
        one, other = joined[left], joined[right]
        groups = [[kinds[number] for number in group] for group in Ties(same).groups([*one, *other])]
        is_parted = any({left, right} <= one | other for left, right in different - same)
        if one == other:
            continue
        first, second = ([kinds[number] for number in sorted(side)] for side in (one, other))
        if bits < math.inf and (is_parted or not compatible(first, second, SCORER, groups)):
            refused.append(Edge(left, right, bits))
        else:
            joined |= dict.fromkeys(one | other, one | other)
    assert found.clusters.lists() == sorted(sorted(members) for members in {*joined.values()} if len(members) > 1)
    assert found.refused == sorted(refused)


def _falling(edge: Edge) -> tuple[float, int, int]:
    return -edge.match_weight_bits, edge.left, edge.right


def test_the_stronger_of_two_links_is_taken_though_a_judgement_alone_brings_them_together() -> None:
    records = {1: ONE, 2: PERSON, 3: PERSON, 4: OTHER}
    edges = Edges.of([Edge(1, 2, 10.0), Edge(3, 4, 30.0)])
    found = cluster(edges, records.__getitem__, SCORER, same=[(2, 3)])
    assert found.clusters.lists() == [[2, 3, 4]]
    assert found.refused == [Edge(1, 2, 10.0)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_connected_names_the_lowest_number_of_each_part(pairs: list[tuple[int, int]]) -> None:
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    reached = {number: {number} for pair in pairs for number in pair}
    for _ in range(31):
        for one, other in pairs:
            reached[one] = reached[other] = reached[one] | reached[other]
    assert connected(left, right).tolist() == [min(reached[one]) for one, _ in pairs]


@given(st.lists(st.integers(-5, 5)))
def test_numbered_says_what_unique_does(values: list[int]) -> None:
    found, expected = numbered(np.array(values, np.int64)), np.unique(np.array(values, np.int64), return_inverse=True)
    assert [each.tolist() for each in found] == [each.tolist() for each in expected]


def clustered_namesakes(records: dict[int, CitizenFeatures], strong: list[tuple[int, int]]) -> Clustering:
    """Cluster records that all share name and birth date, some pairs of them more."""
    numbers = sorted(records)
    pairs = [(left, right) for left in numbers for right in numbers if left < right and (left, right) not in strong]
    sole = [Edge(left, right, 12.0) for left, right in pairs]
    edges = [Edge(left, right, 25.0) for left, right in strong]
    return cluster(Edges.of(edges), records.__getitem__, SCORER, namesakes=Namesakes(sole, pairs))


def test_name_and_birth_date_link_where_the_register_knows_one_bearer_of_both() -> None:
    found = clustered_namesakes({1: LISTED, 2: PERSON, 3: PERSON, 4: PERSON}, [(1, 4)])
    assert found.clusters.lists() == [[1, 2, 3, 4]]
    assert not found.ambiguous


def test_name_and_birth_date_do_not_choose_between_two_listed_bearers() -> None:
    found = clustered_namesakes({1: LISTED, 2: ALSO_LISTED, 3: PERSON}, [])
    assert found.clusters.lists() == []
    assert {(edge.left, edge.right) for edge in found.ambiguous} == {(1, 3), (2, 3)}, "two listed ones are two people"


def test_records_that_found_each_other_but_not_the_register_are_somebody_else() -> None:
    found = clustered_namesakes({1: LISTED, 2: PERSON, 3: PERSON, 4: PERSON, 5: PERSON}, [(1, 2), (3, 4)])
    assert found.clusters.lists() == [[1, 2], [3, 4]], "and the lone record may be of either"
    assert found.ambiguous


def test_a_surer_link_decides_before_name_and_birth_date_are_asked() -> None:
    found = clustered_namesakes({1: LISTED, 2: ALSO_LISTED, 3: PERSON}, [(1, 3)])
    assert found.clusters.lists() == [[1, 3]]
    assert not found.ambiguous
