"""Clusters that hold one verified number are found by columns; of several questions one is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.domain.events import MatchReason
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features
from mdm.resolve.questions import VERIFIED_COLUMNS, verified_identifiers
from mdm.resolve.relink_plan import question_changes
from mdm.resolve.relink_questions import holders_apart
from mdm.resolve.relink_runs import Question

STATED = st.none() | st.lists(st.sampled_from(["1", "2", "3", "4"]), max_size=3, unique=True).map(sorted)
RECORDS = st.lists(st.tuples(STATED, st.integers(0, 5)), max_size=20)
"""What each record states, and its cluster."""


@given(records=RECORDS)
def test_holders_apart_are_the_first_of_each_cluster(
    records: list[tuple[list[str] | None, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("snapshot") / "records.parquet"
    numbers = pa.array(range(1, len(records) + 1), pa.int64())
    stated = pa.array([values for values, _ in records], pa.list_(pa.string()))
    pq.write_table(pa.table({"number": numbers, "verified_ids": stated}), path, row_group_size=3)
    cluster_of = np.array([-1, *(cluster for _, cluster in records)], np.int64)

    holders: dict[str, dict[int, int]] = {}
    for place, (values, cluster) in enumerate(records, start=1):
        for value in values or ():
            holders.setdefault(value, {}).setdefault(cluster, place)
    expected = [[found[cluster] for cluster in sorted(found)] for found in holders.values() if len(found) > 1]
    found = holders_apart(path, "verified_ids", cluster_of)
    assert sorted(found) == sorted(expected)
    firsts = [(int(cluster_of[places[0]]), places[0]) for places in found]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize(
    "features", [CitizenFeatures(verified_ids=("1", "2")), BusinessFeatures(verified_tax_codes=("3",))]
)
def test_the_column_holds_what_is_asked_of_a_record(features: Features) -> None:
    kind = EntityKind.CITIZEN if isinstance(features, CitizenFeatures) else EntityKind.BUSINESS
    assert getattr(features, VERIFIED_COLUMNS[kind]) == verified_identifiers(features) != ()


def test_of_questions_between_two_clusters_the_strongest_is_asked_and_the_others_are_closed() -> None:
    cluster_of = np.array([-1, 0, 0, 1, 1, 2])

    def asked(left: int, right: int, bits: float) -> Question:
        return Question(RecordNumber(left), RecordNumber(right), MatchReason.WEIGHT, bits, "")

    def pair(left: int, right: int) -> tuple[RecordNumber, RecordNumber]:
        return RecordNumber(left), RecordNumber(right)

    wanted = [asked(1, 3, 4.0), asked(2, 4, 5.0), asked(1, 2, 9.0), asked(4, 5, 1.0), asked(1, 4, 5.0)]
    standing = [pair(1, 3), pair(4, 5), pair(3, 4)]
    closed, opened = question_changes(standing, wanted, cluster_of)
    assert closed == [pair(1, 3)], "one that now lies inside a cluster is closed by what joined it"
    assert opened == [asked(2, 4, 5.0)], "among equals the first, and none that is open already"
