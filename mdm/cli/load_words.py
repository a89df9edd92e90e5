"""A dry run's answer in words, for a reader."""

from __future__ import annotations

from typing import Any


def profile_in_words(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a dry run's facts as a line for each column and each outcome."""
    columns = shown.pop("columns")
    shown.pop("filled_share_by_column")
    counts = shown.pop("would_load", None)
    become = shown.pop("would_become", None)
    shown["columns"] = {name: _column(column) for name, column in columns.items()}
    if counts is not None:
        shown["would load"] = {name: count for name, count in counts.items() if count} or {"nothing": 0}
    if become is not None and become["new_or_changed"]:
        asked = "all of them" if become["is_exact"] else f"a sample of {become['asked_of']:,}"
        shown[f"of {become['new_or_changed']:,} new or changed, by {asked}"] = {
            outcome: _count(found) for outcome, found in become["records"].items()
        }
    return shown


def _column(column: dict[str, Any]) -> str:
    if not column["filled_share"]:
        return "never stated"
    shapes = ", ".join(f"{shape} {100 * share:.0f} %" for shape, share in column["shapes"].items())
    lengths = f"{column['length_min']} to {column['length_max']} characters"
    return f"stated in {100 * column['filled_share']:.1f} %, {column['distinct_count']:,} distinct, {lengths}; {shapes}"


def _count(found: dict[str, int]) -> str:
    if "at_least" not in found:
        return f"{found['count']:,}"
    return f"about {found['count']:,} (with 95 % certainty {found['at_least']:,} to {found['at_most']:,})"
