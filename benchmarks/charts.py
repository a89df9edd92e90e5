"""Charts as inline SVG. Colours are classes, so that one style sheet serves light and dark screens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

WIDTH, HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 26, 14, 42

Figures = Mapping[str, Any]
"""JSON values, as a suite returns them."""


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
