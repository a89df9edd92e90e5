"""A run against an earlier one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.quality.comparison import differences


def estimate(value: float | None, half: float = 0.01) -> dict[str, float | None]:
    return {
        "value": value,
        "low": None if value is None else value - half,
        "high": None if value is None else value + half,
    }


def result(ours_s: float = 2.0) -> dict[str, Any]:
    pairs = {name: estimate(0.9) for name in ("precision", "recall", "f1")}
    clusters = {name: estimate(0.9) for name in ("b3_f1", "exact_entities")}
    clusters["false_merges_per_10_000"] = estimate(5.0, 1.0)
    figures = {
        "pairs": pairs,
        "clusters": clusters,
        "strata": {"twin": {"recall": estimate(0.5, 0.2), "precision": estimate(None)}},
        "review": {"per_1000_records": estimate(4.0, 0.5)},
        "seconds": {"predict_and_cluster": ours_s},
    }
    peer = copy.deepcopy(figures) | {"seconds": {"predict_and_cluster": 1.0}}
    del peer["review"]
    return {"sets": {"city:1:1:hard": {"citizen": {"batch": figures, "splink_stock": peer}}}}


def batch(of: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = of["sets"]["city:1:1:hard"]["citizen"]["batch"]
    return figures


def test_equal_results_differ_in_nothing() -> None:
    assert differences(result(), result()) == []


@pytest.mark.parametrize(
    ("path", "value", "verdict", "reason"),
    [
        (("pairs", "recall"), estimate(0.95), "better", "beyond the band, upwards"),
        (("pairs", "recall"), estimate(0.85), "worse", "beyond the band, downwards"),
        (("pairs", "recall"), estimate(0.91), "within noise", "0.01 within the square root of two such halves"),
        (("clusters", "false_merges_per_10_000"), estimate(9.0, 1.0), "worse", "more of it is worse"),
        (("review", "per_1000_records"), estimate(1.0, 0.5), "better", "less of it is better"),
        (("strata", "twin", "recall"), estimate(0.7, 0.2), "within noise", "few twins, wide band"),
    ],
)
def test_a_change_is_judged_by_its_band(
    path: tuple[str, ...], value: dict[str, float], verdict: str, reason: str
) -> None:
    after = result()
    place = batch(after)
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (row,) = differences(result(), after)
    assert row["verdict"] == verdict, reason
    assert row["where"] == "city:1:1:hard citizen batch"
    assert row["after"] == value["value"]


@pytest.mark.parametrize(("seconds", "verdict"), [(2.2, "within noise"), (6.0, "worse"), (0.5, "better")])
def test_time_is_compared_as_ratio_to_plain_splink(seconds: float, verdict: str) -> None:
    (row,) = differences(result(), result(seconds))
    assert row["figure"] == "predict_and_cluster, ratio to plain Splink"
    assert (row["before"], row["after"], row["verdict"]) == (2.0, seconds, verdict)


def test_what_only_one_result_holds_is_no_difference() -> None:
    other = result()
    other["sets"]["city:2:1:hard"] = other["sets"].pop("city:1:1:hard")
    assert differences(result(), other) == []
