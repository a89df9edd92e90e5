"""Candidate pairs are exactly those that share a posting key, and in a crowd those within reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.linkage.candidate_pairs import _grouped, candidate_pairs, pairs_by_rule
from mdm.linkage.pair_codes import distinct, pairs_of_codes

KEYS = st.tuples(st.integers(0, 2), st.sampled_from([b"same", b"other", b"third"])).map(
    # Rules share hashes: the rule is part of the key.
    lambda key: key[0].to_bytes(1, "big") + key[1].rjust(8, b"-")
)
RECORDS = st.dictionaries(st.integers(1, 10_000), st.none() | st.sets(KEYS, max_size=4), max_size=25)


def written(path: Path, records: dict[int, Any]) -> Path:
    numbers = list(records)
    keys = [None if each is None else b"".join(sorted(each)) for each in records.values()]
    table = {"number": pa.array(numbers, pa.int64()), "posting_keys": pa.array(keys, pa.binary())}
    pq.write_table(pa.table(table), path, row_group_size=7)
    return path


@given(RECORDS, st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_pairs_are_those_that_share_a_key_within_reach(
    tmp_path_factory: Any, records: dict[int, set[bytes] | None], reach: int
) -> None:
    holders: dict[bytes, list[int]] = {}
    for number in sorted(records):
        for key in records[number] or ():
            holders.setdefault(key, []).append(number)
    expected = {
        (left, right)
        for numbers in holders.values()
        for place, right in enumerate(numbers)
        for left in numbers[max(place - reach, 0) : place]
    }
    path = written(tmp_path_factory.mktemp("snapshot") / "records.parquet", dict(sorted(records.items())))
    codes, truncated_keys = candidate_pairs(path, reach)
    left, right = pairs_of_codes(codes)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == sorted(expected)
    assert truncated_keys == sum(len(numbers) > reach + 1 for numbers in holders.values())
    by_rule = {pairs.rule: pairs for pairs in pairs_by_rule(path, reach)}
    assert by_rule.keys() == {key[0] for key in holders}
    for rule, pairs in by_rule.items():
        assert pairs.largest_block == max(len(held) for key, held in holders.items() if key[0] == rule)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), min_size=1, max_size=60))
@settings(max_examples=300, deadline=None)
def test_hashes_that_differ_in_few_bits_are_told_apart(bits: list[tuple[int, int]]) -> None:
    hashes = np.array([(upper << 61) | lower for upper, lower in bits], np.uint64)
    assert _grouped(hashes).tolist() == np.lexsort((np.arange(len(hashes)), hashes)).tolist()


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1)])
def test_rows_that_do_not_ascend_are_refused(tmp_path: Path, numbers: tuple[int, int]) -> None:
    table = {"number": pa.array(numbers, pa.int64()), "posting_keys": pa.array([b"0" * 9] * 2, pa.binary())}
    pq.write_table(pa.table(table), tmp_path / "records.parquet")
    with pytest.raises(ValueError, match="ascend"):
        candidate_pairs(tmp_path / "records.parquet", 3)


def test_distinct_values_are_ascending_and_stand_once() -> None:
    assert distinct(np.array([3, 1, 3, 2, 1], np.int64)).tolist() == [1, 2, 3]
    assert distinct(np.empty(0, np.int64)).tolist() == []
