"""The report's charts as inline SVG. Colours are classes, so that one style sheet serves light and dark screens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

WIDTH, HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 26, 14, 42

_BANDS = (("review", "review_bits"), ("link", "link_bits"))
_NINES_TICKS = (
    1.0, 0.99, 0.9, 0.9999, 0.999, 0.95, 0.98, 0.5, 0.8, 0.7, 0.995, 0.998, 0.97, 0.985, 0.975, 0.93, 0.85, 0.6, 0.96
)  # fmt: skip
"""The shares most worth naming first: a later one is left out where it would crowd an earlier one."""

_NINES_MAX = 5.0

Figures = Mapping[str, Any]
"""JSON values, as `evaluation.evaluate` returns them."""


class Axis(NamedTuple):
    """One direction of a chart: values from `low` to `high`, and the values to label."""

    low: float
    high: float
    ticks: Sequence[float]
    title: str
    text: Callable[[float], str] = "{:g}".format


class Frame:
    """A chart's plane: places values and gathers what is drawn."""

    def __init__(self, x: Axis, y: Axis, name: str) -> None:
        self._x, self._y, self._name = x, y, name
        self._parts: list[str] = []

    def across(self, value: float) -> float:
        """Return the place of an x value."""
        return _LEFT + (value - self._x.low) / (self._x.high - self._x.low) * (WIDTH - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        """Return the place of a y value; values outside lie on the edge."""
        held = min(max(value, self._y.low), self._y.high)
        return HEIGHT - _BOTTOM - (held - self._y.low) / (self._y.high - self._y.low) * (HEIGHT - _TOP - _BOTTOM)

    def bar(self, left: float, right: float, top: float, style: str, title: str) -> None:
        """Draw a bar from the bottom up to a value."""
        x, y = self.across(left), self.up(top)
        width, height = max(self.across(right) - x, 0.5), self.up(self._y.low) - y
        self._parts.append(
            f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
            f"{_tip(title)}</rect>"
        )

    def line(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """Draw a line through points."""
        path = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        self._parts.append(f'<polyline class="line {style}" points="{path}"/>')

    def holds(self, x: float, y: float) -> bool:
        """Return whether a point lies in the plane."""
        return self._x.low <= x <= self._x.high and self._y.low <= y <= self._y.high

    def dot(self, x: float, y: float, style: str, title: str, label: str = "", *, below: bool = False) -> None:
        """Draw a point, with a label beside or below it."""
        place = f'cx="{self.across(x):.1f}" cy="{self.up(y):.1f}"'
        self._parts.append(f'<circle class="{style}" {place} r="4">{_tip(title)}</circle>')
        if label:
            is_right = self.across(x) > WIDTH * 0.7
            anchor, shift = ("end", -8) if is_right else ("start", 8)
            drop = 17 if below else 4
            self._parts.append(
                f'<text class="mark" x="{self.across(x) + shift:.1f}" y="{self.up(y) + drop:.1f}" '
                f'text-anchor="{anchor}">{escape(label)}</text>'
            )

    def whisker(self, x: float, low: float, high: float, style: str) -> None:
        """Draw an interval."""
        at = self.across(x)
        self._parts.append(
            f'<line class="line {style}" x1="{at:.1f}" x2="{at:.1f}" y1="{self.up(low):.1f}" y2="{self.up(high):.1f}"/>'
        )

    def threshold(self, x: float, label: str, row: int = 0) -> None:
        """Draw a vertical line with its name; rows keep the names of near lines apart."""
        at = self.across(x)
        self._parts.append(
            f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
            f'<text class="mark" x="{at + 4:.1f}" y="{_TOP + 10 + 14 * row}">{escape(label)}</text>'
        )

    def svg(self) -> str:
        """Return the chart."""
        bottom = HEIGHT - _BOTTOM
        axes = [
            f'<text class="tick" x="{self.across(tick):.1f}" y="{bottom + 16}" text-anchor="middle">'
            f"{escape(self._x.text(tick))}</text>"
            for tick in self._x.ticks
        ]
        for tick in self._y.ticks:
            at = self.up(tick)
            axes.append(
                f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
                f'<text class="tick" x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">'
                f"{escape(self._y.text(tick))}</text>"
            )
        titles = (
            f'<text class="title" x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{escape(self._x.title)}</text>"
            f'<text class="title" transform="translate(12 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
            f"{escape(self._y.title)}</text>"
        )
        body = "".join([*axes, *self._parts, titles])
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self._name)}">{body}</svg>'


def _tip(title: str) -> str:
    return f"<title>{escape(title)}</title>"


def percent(value: float) -> str:
    """Return a share as per cent with as many digits as tell it from 100."""
    text = f"{100 * value:.2f}"
    if value < 1 and text == "100.00":
        text = f"{100 * math.floor(value * 1e6) / 1e6:.4f}"
    return f"{text} %"


def ticks_between(low: float, high: float, count: int) -> list[float]:
    """Return round values from low to high, about `count` of them."""
    rough = (high - low) / max(count, 1)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 10) for place in range(first, math.floor(high / step + 1e-9) + 1)]


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
