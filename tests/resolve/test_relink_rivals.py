"""Rivals are found as by looking at each record."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.domain.keys import EntityKind, RecordNumber
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import compatible, veto
from mdm.linkage.features import CitizenFeatures
from mdm.linkage.graph import Edges
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer
from mdm.resolve.relink_rivals import unclear
from mdm.resolve.relink_snapshot import People

MODEL = Model.default(EntityKind.CITIZEN)
SCORER = compile_scorer(MODEL, StatisticsEpoch.default(EntityKind.CITIZEN).with_population(20_000))
LEAD_BITS = 3.0
PERSON = CitizenFeatures(
    name="ton that bach", name_sorted="bach that ton", name_short="ton bach", surname="ton", given="bach",
    birth_date="1984-07-19", birth_year=1984, birth_month=7, sex="m",
)  # fmt: skip
ONE = msgspec.structs.replace(PERSON, personal_ids=("079084000001",), verified_ids=("079084000001",))
OTHER = msgspec.structs.replace(PERSON, personal_ids=("079084000002",), verified_ids=("079084000002",))
WEIGHTS = (20.0, 19.0, 17.5, 16.999, 9.0)


def unclear_one_by_one(
    edges: list[tuple[int, int, float]], kinds: list[CitizenFeatures], chosen: set[tuple[int, int]]
) -> set[tuple[int, int]]:
    """The definition, record by record."""
    found: set[tuple[int, int]] = set()

    def are_near(higher: float, lower: float) -> bool:
        return math.isclose(higher, lower) or higher - lower < LEAD_BITS

    for number in {end for edge in edges for end in edge[:2]}:
        partners = sorted(((bits, left + right - number) for left, right, bits in edges if number in {left, right}))[
            ::-1
        ]
        best_bits = partners[0][0]
        contested = {
            each
            for (bits, one), (other_bits, other) in itertools.combinations(partners, 2)
            if are_near(bits, other_bits) and not compatible([kinds[one]], [kinds[other]], SCORER)
            for each in ((bits, one), (other_bits, other))
        }
        if any(are_near(best_bits, bits) for bits, _ in contested):
            contested = set(partners)
        found |= {tuple(sorted((number, other))) for _, other in contested}  # type: ignore[misc]
    return found - chosen


@settings(max_examples=150, deadline=None)
@given(
    drawn=st.dictionaries(
        st.tuples(st.integers(1, 9), st.integers(1, 9)).filter(lambda pair: pair[0] < pair[1]),
        st.sampled_from(WEIGHTS),
        max_size=14,
    ),
    kinds=st.lists(st.sampled_from([ONE, OTHER, PERSON]), min_size=10, max_size=10),
    chosen=st.sets(st.tuples(st.integers(1, 4), st.integers(5, 9)), max_size=2),
)
def test_rivals_are_found_as_by_looking_at_each_record(
    drawn: dict[tuple[int, int], float], kinds: list[CitizenFeatures], chosen: set[tuple[int, int]]
) -> None:
    # A pair under a veto is no edge.
    rows = [(*pair, bits) for pair, bits in drawn.items() if veto(kinds[pair[0]], kinds[pair[1]]) is None]
    numbers = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    edges = Edges(numbers[:, 0], numbers[:, 1], np.array([row[2] for row in rows], np.float64))
    people = People(chosen=frozenset((RecordNumber(left), RecordNumber(right)) for left, right in chosen))
    is_unclear = unclear(edges, kinds.__getitem__, SCORER, LEAD_BITS, people).is_dropped
    found = {row[:2] for row, unclear in zip(rows, is_unclear.tolist(), strict=True) if unclear}
    assert found == unclear_one_by_one(rows, kinds, chosen)


def test_two_that_exclude_each_other_are_rivals_though_a_third_is_better_than_both() -> None:
    kinds = {1: PERSON, 2: PERSON, 3: ONE, 4: OTHER}
    pairs = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4)]
    # Two rows of one desk, and two residents of one name and birth date: each row may be of either.
    alike = Edges.of([(*pair, 19.0) for pair in pairs])
    assert unclear(alike, kinds.__getitem__, SCORER, LEAD_BITS, People()).is_dropped.all()
    # What the rows share beside says that they are one person's, and not whose.
    shared = Edges.of([(*pair, 30.0 if pair == (1, 2) else 19.0) for pair in pairs])
    assert unclear(shared, kinds.__getitem__, SCORER, LEAD_BITS, People()).is_dropped.tolist() == [False, *[True] * 4]


def test_of_hundreds_close_together_each_is_compared_with_the_best() -> None:
    kinds = dict.fromkeys(range(1, 301), PERSON) | {2: ONE, 300: OTHER}
    edges = Edges.of([(1, number, 20.0 - number / 1000) for number in range(2, 301)])
    assert unclear(edges, kinds.__getitem__, SCORER, LEAD_BITS, People()).is_dropped.all()


def test_rivals_far_apart_among_rows_that_all_have_edges_are_found() -> None:
    rows = range(1, 91)
    kinds = dict.fromkeys(rows, PERSON) | {91: ONE, 200: OTHER} | dict.fromkeys(range(92, 200), PERSON)
    numbers = [*rows, *range(92, 200), 91, 200]
    pairs = [
        (one, other, 20.0) for one, other in itertools.combinations(sorted(numbers), 2) if (one, other) != (91, 200)
    ]
    assert unclear(Edges.of(pairs), kinds.__getitem__, SCORER, LEAD_BITS, People()).is_dropped.all()


def test_of_an_undecided_record_only_what_could_settle_it_is_asked() -> None:
    rows = range(1, 21)
    kinds = dict.fromkeys(rows, PERSON) | {21: ONE, 22: OTHER}
    pairs = [(one, other, 20.0) for one, other in itertools.combinations(range(1, 23), 2) if (one, other) != (21, 22)]
    found = unclear(Edges.of(pairs), kinds.__getitem__, SCORER, LEAD_BITS, People())
    asked = [pair[:2] for pair, is_asked in zip(pairs, found.is_asked.tolist(), strict=True) if is_asked]
    assert found.is_dropped.all()
    assert [pair for pair in asked if pair[1] > 20] == [(row, person) for row in rows for person in (21, 22)]
    assert [pair for pair in asked if pair[1] <= 20] == [(1, row) for row in rows if row > 1], "each row's best, once"


def test_who_may_be_either_of_two_that_are_one_by_a_judgement_has_no_rivals() -> None:
    kinds = {1: PERSON, 2: ONE, 3: OTHER, 4: OTHER}
    near = Edges.of([(1, 2, 20.0), (1, 3, 19.0)])
    assert unclear(near, kinds.__getitem__, SCORER, LEAD_BITS, People()).is_dropped.all()
    same = People(same=frozenset({(RecordNumber(2), RecordNumber(3))}))
    assert not unclear(near, kinds.__getitem__, SCORER, LEAD_BITS, same).is_dropped.any()
    later = Edges.of([(1, 2, 20.0), (1, 4, 19.0)])
    assert not unclear(later, kinds.__getitem__, SCORER, LEAD_BITS, same).is_dropped.any(), "4 bears the number of 3"
