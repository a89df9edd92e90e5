"""A run against an earlier one: what changed, and whether it would on another city, too.

The rows of one set and seed are the same in both runs, so every difference is real for them. The noise band says how
far a figure would move if other bearers had been drawn: a change within it may be luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

TIME_BAND_SHARE = 0.25
"""How far the ratio of two times of one run moves by itself on a shared machine."""


class Figure(NamedTuple):
    """One compared figure."""

    value: float
    band: float
    """Half the width of its interval."""
    is_better_higher: bool


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the figures that differ, of every set, subject and way that both results hold.

    Returns:
        Rows of where, figure, before, after, band and verdict: `better`, `worse` or `within noise`.
    """
    old = dict(_figures(before))
    rows = []
    for place, now in _figures(after):
        then = old.get(place)
        if then is None or then.value == now.value:
            continue
        band = math.hypot(then.band, now.band)
        change = now.value - then.value
        verdict = (
            "within noise" if abs(change) <= band else "better" if (change > 0) is now.is_better_higher else "worse"
        )
        where, figure = place
        rows.append(
            {
                "where": where,
                "figure": figure,
                "before": then.value,
                "after": now.value,
                "band": band,
                "verdict": verdict,
            }
        )
    return rows


def _figures(result: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Figure]]:
    """Yield the compared figures of a result by where and name."""
    for set_name, subjects in result["sets"].items():
        for subject, ways in subjects.items():
            plain_s = ways.get("splink_stock", {}).get("seconds", {}).get("predict_and_cluster")
            ours = next(iter(ways), None)
            for way, figures in ways.items():
                where = f"{set_name} {subject} {way}"
                for name, figure in _of_way(figures, plain_s if way == ours else None):
                    yield (where, name), figure


def _of_way(figures: Mapping[str, Any], plain_s: float | None) -> Iterator[tuple[str, Figure]]:
    estimates = {name: (figures["pairs"][name], True) for name in ("precision", "recall", "f1")}
    estimates["b3_f1"] = (figures["clusters"]["b3_f1"], True)
    estimates["exact_entities"] = (figures["clusters"]["exact_entities"], True)
    estimates["false_merges_per_10_000"] = (figures["clusters"]["false_merges_per_10_000"], False)
    if "review" in figures:
        estimates["questions_per_1000"] = (figures["review"]["per_1000_records"], False)
    if "blocking" in figures:
        estimates["blocking_recall"] = (figures["blocking"]["recall"], True)
    for name, stratum in figures["strata"].items():
        estimates[f"recall of {name}"] = (stratum["recall"], True)
        estimates[f"precision of {name}"] = (stratum["precision"], True)
    for name, (estimate, is_better_higher) in estimates.items():
        if estimate["value"] is not None:
            yield name, Figure(estimate["value"], (estimate["high"] - estimate["low"]) / 2, is_better_higher)
    took = figures["seconds"].get("predict_and_cluster")
    if plain_s and took is not None:
        ratio = took / plain_s
        yield (
            "predict_and_cluster, ratio to plain Splink",
            Figure(ratio, TIME_BAND_SHARE * ratio, is_better_higher=False),
        )
