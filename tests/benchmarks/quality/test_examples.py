"""Errors shown record by record, of data that may be shown."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.datasets import Linkage, Truth
from benchmarks.quality.examples import EXAMPLES_PER_KIND, examples
from benchmarks.quality.missed import missed_pairs
from tests.benchmarks.quality.conftest import Run

TRUTH = Truth(np.array([0, 0, 1, 2, 2, 3]), np.zeros(6, np.int64), ("a",))
CLUSTERS = np.array([0, 1, 1, 2, 2, 3])
QUESTIONS = np.array([[0, 2], [3, 5]])


def shown(*, is_described: bool) -> dict[str, list[dict[str, object]]]:
    linkage = Linkage(
        "citizen",
        "batch",
        TRUTH,
        CLUSTERS,
        questions=QUESTIONS,
        describe=(lambda record: {"name": f"record {record}"}) if is_described else None,
    )
    return examples(linkage, missed_pairs(linkage), seed=1)


def test_each_kind_of_error_is_shown_by_a_pair() -> None:
    found = shown(is_described=True)
    assert {kind: [each["records"] for each in rows] for kind, rows in found.items()} == {
        "false merge": [[{"name": "record 1"}, {"name": "record 2"}]],
        # The question between 0 and 2 joins the clusters that hold the missed pair of 0 and 1.
        "missed: review": [[{"name": "record 0"}, {"name": "record 1"}]],
        "needless question": [
            [{"name": "record 0"}, {"name": "record 2"}],
            [{"name": "record 3"}, {"name": "record 5"}],
        ],
    }
    assert [each["is_one_bearer"] for rows in found.values() for each in rows] == [False, True, False, False]


def test_nothing_of_real_people_is_shown() -> None:
    assert shown(is_described=False) == {}


def test_a_city_shows_levels_with_each_error(small_run: Run) -> None:
    found = small_run.result["sets"]["city:400:3:hard"]["citizen"]["batch"]["examples"]
    assert found
    for rows in found.values():
        assert 0 < len(rows) <= EXAMPLES_PER_KIND
        for example in rows:
            assert {"prior", "name", "birth"} <= set(example["comparisons"])
            assert all(record["registry"] for record in example["records"])
