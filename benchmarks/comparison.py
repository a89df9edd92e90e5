"""A run against an earlier one: which figures changed by more than either run scattered by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from benchmarks.figures import Figure, Result, Spread, number

BAND_SHARE_MIN = 0.02
"""Of the median: repeats of one run share a start, a page cache and a minute, so they scatter less than two runs do."""


REPEATS_MIN = 2
"""The fewest that have a spread."""

Verdict = Literal["better", "worse", "gone", "within noise", "one repeat"]
"""A figure that either run measured once may have changed or not: nothing says how far it scatters. One is gone that
the later run lacks though it ran the suite, or in which nothing is answered any more."""

FAILURES = frozenset({"worse", "gone"})


class Change(NamedTuple):
    """A figure in two runs."""

    title: str
    unit: str
    before: Spread
    after: Spread
    verdict: Verdict
    is_ratio: bool
    """Whether ceilings were compared away: the ratio moves less with the machine than the value. Not where the ceiling
    is a figure of our own: what makes that one better would make this one worse."""


def changes(before: Result, after: Result) -> list[Change]:
    """Return every figure of the earlier result that the later one's suites measure; with a ceiling, its ratio."""
    new = {figure.name: figure for figure in after.figures}
    nothing = Spread(math.nan, math.nan, math.nan, 0)
    return [
        _change(figure, new[figure.name])
        if figure.name in new
        else Change(figure.title, figure.unit, figure.spread, nothing, "gone", is_ratio=False)
        for figure in before.figures
        if figure.name in new or figure.name.partition(".")[0] in after.suites
    ]


def differing_settings(before: Result, after: Result) -> list[str]:
    """Return what makes the two results no fair comparison."""
    machine = ("processor", "cores", "memory_gib", "disk", "python", "kernel")
    # How much of a disk is free changes by the hour.
    ignored = {"free_gib"}

    def told(result: Result) -> dict[str, object]:
        disk = {name: value for name, value in result.environment.get("disk", {}).items() if name not in ignored}
        return {
            **{name: result.environment.get(name) for name in machine},
            "disk": disk,
            # Our own version is what is compared.
            **{name: found for name, found in result.environment.get("libraries", {}).items() if name != "hcm-mdm"},
            **result.city,
            **{name: value for name, value in result.settings.items() if name != "repeats"},
        }

    first, last = told(before), told(after)
    return [
        f"{name}: {first.get(name)} before, {last.get(name)} after"
        for name in sorted(first.keys() | last.keys())
        if first.get(name) != last.get(name)
    ]


def text(found: Sequence[Change]) -> str:
    """Return the comparison as lines of text, regressions first."""
    if not found:
        return "the two results have no figure in common"
    order = {"gone": 0, "worse": 1, "better": 2, "one repeat": 3, "within noise": 4}
    lines = []
    for each in sorted(found, key=lambda change: order[change.verdict]):
        unit = "× ceiling" if each.is_ratio else each.unit
        is_share = each.before.median and each.after.count
        share = f"{each.after.median / each.before.median - 1:+.1%}; " if is_share else ""
        lines.append(
            f"{each.verdict:12}  {each.title}: {number(each.before.median)} → {number(each.after.median)} {unit} "
            f"({share}was {_between(each.before)}, is {_between(each.after)})"
        )
    return "\n".join(lines)


def _between(spread: Spread) -> str:
    return f"{number(spread.low)}–{number(spread.high)}"


def _change(before: Figure, after: Figure) -> Change:
    old, new = before.ratio, after.ratio
    spreads = before.spread, after.spread
    of_value = _verdict(*spreads, after.is_better_higher)
    if old is None or new is None or after.is_judged_by_value:
        return Change(after.title, after.unit, *spreads, of_value, is_ratio=False)
    verdict = _verdict(old, new, after.is_better_higher)
    if {verdict, of_value} == {"better", "worse"} or (verdict == "worse" and _is_as_good(*spreads, after)):
        # The ceiling moved, not what stands beneath it.
        verdict = "within noise"
    return Change(after.title, after.unit, old, new, verdict, is_ratio=True)


def _is_as_good(before: Spread, after: Spread, figure: Figure) -> bool:
    """Return whether the value itself did not get worse by more than the band."""
    lost = before.median - after.median if figure.is_better_higher else after.median - before.median
    return lost <= BAND_SHARE_MIN * abs(before.median)


def _verdict(before: Spread, after: Spread, is_better_higher: bool) -> Verdict:  # noqa: FBT001 – a figure's own flag
    if before.count and not after.count:
        return "gone"
    if min(before.count, after.count) < REPEATS_MIN:
        return "one repeat"
    band = BAND_SHARE_MIN * abs(before.median)
    # A change counts only if each median lies outside all that the other run saw.
    is_higher = after.median > before.high + band and before.median < after.low - band
    is_lower = after.median < before.low - band and before.median > after.high + band
    if not (is_higher or is_lower):
        return "within noise"
    return "better" if is_higher is is_better_higher else "worse"
