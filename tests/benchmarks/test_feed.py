"""The short form of the feed's suite, and what its comparison finds."""

from __future__ import annotations

import argparse

from benchmarks import feed
from benchmarks.feed import difference_count

A, B = ("hospital", "citizen", "1", "C-1"), ("hospital", "citizen", "1", "C-2")


def test_a_subscriber_killed_five_times_ends_with_the_crosswalk() -> None:
    result, is_kept = feed.run(argparse.Namespace(kills=5, citizens=150, seed=3))
    assert is_kept
    assert len(result["kills_by_phase"]) > 1
    assert result["changes_by_type"]["created"] > 100
    assert result["rows"] > 400
    assert result["finished_steps_by_phase"]["relink"] >= 1


def test_the_comparison_finds_a_row_that_is_missing_or_stands_under_another_id() -> None:
    assert difference_count([A], [A]) == 0
    assert difference_count([A], []) == 1
    assert difference_count([A], [B]) == 2
