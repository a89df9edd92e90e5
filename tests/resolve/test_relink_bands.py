"""Pairs as columns say the same as pairs one by one."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.domain.keys import EntityKind, RecordNumber
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import compatible, veto
from mdm.linkage.features import CitizenFeatures
from mdm.linkage.graph import Edges, connected
from mdm.linkage.model import Model
from mdm.linkage.scorer import compile_scorer
from mdm.resolve.relink_bands import ScoredPairs, ambiguous
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


def test_a_prediction_is_read_with_its_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    comparisons = MODEL.specification.comparisons
    columns: dict[str, object] = {
        "left": pa.array(rng.integers(1, 50, 300), pa.int64()),
        "right": pa.array(rng.integers(51, 100, 300), pa.int64()),
        "match_weight": pa.array(rng.normal(size=300)),
    }
    for each in comparisons:
        columns[f"gamma_{each.name}"] = pa.array(rng.choice(each.level_values(), 300), pa.int8())
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "pairs")
    pairs = ScoredPairs.read(tmp_path / "pairs", MODEL.specification)
    wanted = {(*values[:3], tuple(values[3:])) for values in (list(row.values()) for row in table.to_pylist())}
    rows = zip(*(column.tolist() for column in pairs[:3]), strict=True)
    found = {(*row, pairs.patterns[pattern]) for row, pattern in zip(rows, pairs.pattern.tolist(), strict=True)}
    assert found == wanted


def test_a_sample_holds_whole_parts_and_counts_as_the_whole_does() -> None:
    rng = np.random.default_rng(5)
    left = rng.integers(1, 30_000, 20_000)
    right = left + rng.integers(1, 4, 20_000)
    part = connected(left, right)
    pairs = ScoredPairs(left, right, rng.uniform(0.0, 20.0, 20_000), np.zeros(20_000, np.int64), part, [()])
    sample = pairs.sample(1000)
    parts = np.unique(sample.part)
    assert 700 < len(parts) < 1500
    assert len(sample.left) == np.isin(part, parts).sum(), "no part is torn"
    assert len(pairs.sample(10**6).left) == len(pairs.left)
    share = sample.joined_by_weight(7.0) / pairs.joined_by_weight(7.0)
    assert share == pytest.approx(len(sample.left) / len(pairs.left), rel=0.1)
    strong = pairs.bits >= 7.0
    parent = {number: number for number in {*left[strong].tolist(), *right[strong].tolist()}}

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for one, other in zip(left[strong].tolist(), right[strong].tolist(), strict=True):
        parent[root(one)] = root(other)
    assert pairs.joined_by_weight(7.0) == sum(parent[number] != number for number in parent)


@pytest.mark.parametrize("pairs", [[(1, 2), (2, 3), (7, 9), (4, 9), (5, 6)], [], [(n, n + 1) for n in range(1, 400)]])
def test_connected_pairs_carry_one_label(pairs: list[tuple[int, int]]) -> None:
    numbers = np.array(pairs, np.int64).reshape(-1, 2)
    labels = connected(numbers[:, 0], numbers[:, 1])
    parts: list[set[int]] = []
    for pair in pairs:
        touching = [part for part in parts if not part.isdisjoint(pair)]
        parts = [part for part in parts if part not in touching] + [set(pair).union(*touching)]
    assert labels.tolist() == [min(next(part for part in parts if left in part)) for left, _ in pairs]


def unclear_one_by_one(
    edges: list[tuple[int, int, float]], kinds: list[CitizenFeatures], chosen: set[tuple[int, int]]
) -> set[tuple[int, int]]:
    """The definition, record by record."""
    unclear: set[tuple[int, int]] = set()

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
        unclear |= {tuple(sorted((number, other))) for _, other in contested}  # type: ignore[misc]
    return unclear - chosen


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
    is_unclear = ambiguous(edges, kinds.__getitem__, SCORER, LEAD_BITS, people)
    found = {row[:2] for row, unclear in zip(rows, is_unclear.tolist(), strict=True) if unclear}
    assert found == unclear_one_by_one(rows, kinds, chosen)


def test_two_that_exclude_each_other_are_rivals_though_a_third_is_better_than_both() -> None:
    kinds = {1: PERSON, 2: PERSON, 3: ONE, 4: OTHER}
    pairs = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4)]
    # Two rows of one desk, and two residents of one name and birth date: each row may be of either.
    alike = Edges.of([(*pair, 19.0) for pair in pairs])
    assert ambiguous(alike, kinds.__getitem__, SCORER, LEAD_BITS, People()).all()
    # What the rows share beside says that they are one person's, and not whose.
    shared = Edges.of([(*pair, 30.0 if pair == (1, 2) else 19.0) for pair in pairs])
    assert ambiguous(shared, kinds.__getitem__, SCORER, LEAD_BITS, People()).tolist() == [False, *[True] * 4]


def test_of_hundreds_close_together_each_is_compared_with_the_best() -> None:
    kinds = dict.fromkeys(range(1, 301), PERSON) | {2: ONE, 300: OTHER}
    edges = Edges.of([(1, number, 20.0 - number / 1000) for number in range(2, 301)])
    assert ambiguous(edges, kinds.__getitem__, SCORER, LEAD_BITS, People()).all()


def test_who_may_be_either_of_two_that_are_one_by_a_judgement_has_no_rivals() -> None:
    kinds = {1: PERSON, 2: ONE, 3: OTHER, 4: OTHER}
    near = Edges.of([(1, 2, 20.0), (1, 3, 19.0)])
    assert ambiguous(near, kinds.__getitem__, SCORER, LEAD_BITS, People()).all()
    same = People(same=frozenset({(RecordNumber(2), RecordNumber(3))}))
    assert not ambiguous(near, kinds.__getitem__, SCORER, LEAD_BITS, same).any()
    later = Edges.of([(1, 2, 20.0), (1, 4, 19.0)])
    assert not ambiguous(later, kinds.__getitem__, SCORER, LEAD_BITS, same).any(), "4 bears the number of 3"
