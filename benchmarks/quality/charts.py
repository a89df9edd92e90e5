"""The charts of a quality report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.charts import Axis, Figures, Frame, percent, ticks_between

_BANDS = (("review", "review_bits"), ("link", "link_bits"))
_NINES_TICKS = (
    1.0, 0.99, 0.9, 0.9999, 0.999, 0.95, 0.98, 0.5, 0.8, 0.7, 0.995, 0.998, 0.97, 0.985, 0.975, 0.93, 0.85, 0.6, 0.96
)  # fmt: skip
"""The shares most worth naming first: a later one is left out where it would crowd an earlier one."""

_NINES_MAX = 5.0


def _decade(value: float) -> str:
    return f"{10**value:,.0f}"


def weight_histogram(weights: Figures, thresholds: Figures) -> str:
    """Draw how many matches and strangers have each weight, on a logarithmic scale."""
    bins = weights["bins"]
    tallest = max(max(each["matches"], each["strangers"]) for each in bins)
    first, last = bins[0]["bits"], bins[-1]["bits"] + 1
    decades = math.ceil(math.log10(max(tallest, 10)))
    frame = Frame(
        Axis(first, last, ticks_between(first, last, 8), "match weight, bits"),
        # A single pair must be seen: one stands above the bottom of a scale that begins below it.
        Axis(-0.3, decades, range(decades + 1), "pairs", _decade),
        "Match weights of matches and of strangers",
    )
    for each in bins:
        for offset, kind in ((0.05, "matches"), (0.5, "strangers")):
            if each[kind]:
                left = each["bits"] + offset
                title = f"{each[kind]:,} {kind} from {each['bits']} to {each['bits'] + 1} bits"
                frame.bar(left, left + 0.42, math.log10(each[kind]), kind, title)
    _mark_thresholds(frame, thresholds)
    return frame.svg()


def _mark_thresholds(frame: Frame, thresholds: Figures) -> None:
    frame.threshold(thresholds["review_bits"], "review")
    frame.threshold(thresholds["link_bits"], "link", row=1)


def precision_recall(weights: Figures, thresholds: Figures, ways: Mapping[str, Figures]) -> str:
    """Draw precision against recall if the weight alone decided, with the thresholds and what the linkers reached.

    Both axes count nines, so that 99 % and 99.99 % lie apart.
    """
    reached = {
        way: (figures["pairs"]["recall"]["value"], figures["pairs"]["precision"]["value"])
        for way, figures in ways.items()
    }
    # Loading online differs from batch by less than a dot.
    reached = {way: point for way, point in reached.items() if None not in point and not way.startswith("online")}
    marked = [(f"{name} {thresholds[key]:g}", _nearest(weights["curve"], thresholds[key])) for name, key in _BANDS]
    curve = [(each["recall"], each["precision"]) for each in weights["curve"]]
    shown = [*reached.values(), *((point["recall"], point["precision"]) for _, point in marked)]
    frame = Frame(
        _nines_axis([recall for recall, _ in shown], "recall"),
        _nines_axis([precision for _, precision in shown], "precision"),
        "Precision and recall by threshold",
    )
    frame.line([(_nines(x), _nines(y)) for x, y in curve if frame.holds(_nines(x), _nines(y))], "matches")
    for label, point in marked:
        title = f"{label} bits: precision {percent(point['precision'])}, recall {percent(point['recall'])}"
        frame.dot(_nines(point["recall"]), _nines(point["precision"]), "matches", title, label, below=True)
    ours = next(iter(ways))
    for way, (recall, precision) in reached.items():
        title = f"{way}: precision {percent(precision)}, recall {percent(recall)}"
        frame.dot(_nines(recall), _nines(precision), "ours" if way == ours else "peer", title, way)
    return frame.svg()


def _nines(share: float) -> float:
    """Return how many nines a share has: 1 for 90 %, 2 for 99 %; everything from 99.999 % up is 5."""
    return -math.log10(max(1.0 - share, 1e-5))


def _nines_axis(shares: Sequence[float], title: str) -> Axis:
    low, high = min(map(_nines, shares)), max(map(_nines, shares))
    margin = max(0.1 * (high - low), 0.05)
    apart = (high - low + 2 * margin) / 12
    ticks: list[float] = []
    for tick in map(_nines, _NINES_TICKS):
        if low - margin <= tick <= high + margin and all(abs(tick - other) >= apart for other in ticks):
            ticks.append(tick)
    return Axis(max(0.0, low - margin), high + margin, ticks, title, _nines_text)


def _nines_text(nines: float) -> str:
    return f"{100 * (1 - 10**-nines):.6g} %" if nines < _NINES_MAX else "all"


def _nearest(curve: Sequence[Figures], bits: float) -> Figures:
    return min(curve, key=lambda point: abs(point["bits"] - bits))


def calibration(weights: Figures) -> str:
    """Draw the share of matches that each weight showed, with intervals, over the probability that it stands for."""
    bins = [each for each in weights["bins"] if -10 <= each["bits"] < 15]
    frame = Frame(
        Axis(-10, 15, range(-10, 16, 5), "match weight, bits"),
        Axis(0, 1, [0, 0.25, 0.5, 0.75, 1], "share of matches", lambda value: f"{100 * value:.0f} %"),
        "Calibration of match weights",
    )
    frame.line([(step / 4, 1 / (1 + 2.0 ** (-step / 4))) for step in range(-40, 61)], "expected")
    for each in bins:
        observed = each["observed"]
        middle = each["bits"] + 0.5
        frame.whisker(middle, observed["low"], observed["high"], "matches")
        count = each["matches"] + each["strangers"]
        title = f"{each['bits']} to {each['bits'] + 1} bits: {percent(observed['value'])} of {count:,} pairs match"
        frame.dot(middle, observed["value"], "matches", title)
    return frame.svg()


def cluster_sizes(sizes: Figures) -> str:
    """Draw how many clusters, and how many true bearers, have each number of records."""
    count = max(place for name in ("clusters", "entities") for place, each in enumerate(sizes[name], 1) if each)
    tallest = max([*sizes["clusters"], *sizes["entities"]])
    decades = math.ceil(math.log10(max(tallest, 10)))

    def text(size: float) -> str:
        return f"{size:g}+" if size == len(sizes["clusters"]) else f"{size:g}"

    frame = Frame(
        Axis(0.5, count + 0.5, range(1, count + 1), "records", text),
        Axis(-0.3, decades, range(decades + 1), "clusters, bearers", _decade),
        "Sizes of clusters and of true bearers",
    )
    for size in range(1, count + 1):
        for offset, kind, style in ((-0.4, "clusters", "matches"), (0.02, "entities", "expected-bar")):
            value = sizes[kind][size - 1]
            if value:
                title = f"{value:,} {kind} of {text(size)} records"
                frame.bar(size + offset, size + offset + 0.38, math.log10(value), style, title)
    return frame.svg()


def level_bar(bits: float, observed: float | None, widest: float) -> str:
    """Draw one level's weight as a bar from the middle, and what the truth shows as a tick."""
    width, middle, height = 220.0, 110.0, 14
    scale = (middle - 2) / widest
    end = middle + max(min(bits, widest), -widest) * scale
    style = "matches" if bits >= 0 else "strangers"
    bar = f'<rect class="{style}" x="{min(end, middle):.1f}" y="2" width="{abs(end - middle):.1f}" height="10"/>'
    tick = ""
    if observed is not None:
        at = middle + max(min(observed, widest), -widest) * scale
        tick = f'<line class="observed" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}"/>'
    axis = f'<line class="grid" x1="{middle}" x2="{middle}" y1="0" y2="{height}"/>'
    return (
        f'<svg class="level" viewBox="0 0 {width:g} {height}" role="img" aria-label="{bits:+.1f} bits">'
        f"{axis}{bar}{tick}</svg>"
    )


def interval_bar(low: float, value: float, high: float, left: float) -> str:
    """Draw a share with its interval on a scale from `left` to 1."""
    width, height = 120.0, 12

    def at(share: float) -> float:
        return 2 + (max(share, left) - left) / (1 - left) * (width - 4)

    return (
        f'<svg class="interval" viewBox="0 0 {width:g} {height}" role="img" aria-label="{percent(value)}">'
        f'<line class="grid" x1="2" x2="{width - 2:g}" y1="6" y2="6"/>'
        f'<line class="range" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="6" y2="6"/>'
        f'<circle class="ours" cx="{at(value):.1f}" cy="6" r="3.5"/></svg>'
    )
