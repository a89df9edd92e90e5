"""Results as one page: what was promised, measured, possible, and how it was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.charts import Axis, Frame, ticks_between
from benchmarks.figures import Curve, Figure, Result, number
from benchmarks.load.histogram import Histogram
from benchmarks.pages import Html, document, table, tile
from benchmarks.tables import by_size, measured_on, row

_STYLES = ("matches", "strangers", "expected", "ours", "peer", "observed")
_NINES = (0.0, 1.0, 2.0, 3.0, 4.0)
_SHARES = ("0", "90 %", "99 %", "99.9 %", "99.99 %")

PUBLISHED = (
    (
        "Senzing: records ingested a second on 8 cores",
        "about 100",
        "https://senzing.zendesk.com/hc/en-us/articles/115007301867",
    ),
    (
        "AWS Entity Resolution: GetMatchId requests a second, default quota",
        "50",
        "https://docs.aws.amazon.com/entityresolution/latest/userguide/quotas.html",
    ),
    (
        "Reltio: baseline latency of GET /entity/{id}, and of its _matches",
        "51 ms and 97 ms",
        "https://docs.reltio.com/benchmarks/apilatencybenchmark.html",
    ),
)
"""What makers of other systems state, on machines of theirs: no measurement of ours."""


def page(results: Sequence[Result]) -> Html:
    """Return the page. The first screen is about admissions; every figure, chart and condition follows."""
    figures = [figure for result in results for figure in result.figures]
    notes = [note for result in results for note in result.notes]
    conditions = "".join(f"<p class=soft>{escape(', '.join(r.suites))}: {escape(measured_on(r))}</p>" for r in results)
    body = [
        "<h1>Speed</h1>",
        f'<p class="soft">{escape(results[0].environment["measured_at"]) if results else ""}</p>',
        _admissions(figures),
        _promises(figures),
        "".join(f"<p><b>Mind:</b> {escape(note)}.</p>" for note in notes),
        "<h2>Every figure</h2>",
        _figures([each for each in figures if not each.is_projected]),
        "".join(_sizes(result) for result in results),
        "<h2>Charts</h2>",
        f'<div class="charts">{"".join(_charts(results))}</div>',
        _latencies(results),
        _published(),
        f"<h2>Measured on</h2>{conditions}{_libraries(results)}",
    ]
    return document("Speed", f'<div class="speed">{"".join(body)}</div>')


def _admissions(figures: Sequence[Figure]) -> Html:
    """Return the first tiles: admissions an hour that are promised, measured and possible, and what is left over."""
    found = next((each for each in figures if each.name == "desk.admissions"), None)
    if found is None:
        return ""
    promised = found.target.bound if found.target else math.nan
    measured = found.spread.median
    ceiling = found.ceiling_spread.median
    tiles = [
        tile(f"{number(promised)}", "admissions an hour promised"),
        tile(f"{number(measured)}", "measured", "good" if found.is_kept else "bad"),
        tile(f"{number(ceiling)}", f"ceiling: {found.ceiling}"),
        tile(
            f"{number(measured - promised)}", f"headroom: admissions an hour beyond it, {number(measured / promised)} ×"
        ),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div><p class="soft">{escape(found.note)}</p>'


def _promises(figures: Sequence[Figure]) -> Html:
    promised = [each for each in figures if each.target is not None]
    kept = sum(bool(each.is_kept) for each in promised)
    rows = []
    for figure in promised:
        title, median, between, unit, ceiling, ratio, target, verdict, _, full = row(figure)
        style = "good" if figure.is_kept else "bad"
        rows.append(
            (
                escape(title),
                f"{median} {escape(unit)}<br><small>{between}</small>",
                f"{ceiling}<br><small>{escape(figure.ceiling)}</small>",
                ratio,
                escape(target),
                f'<b style="color:var(--{style})">{verdict}</b>',
                full,
            )
        )
    head = ("promised of", "measured", "ceiling", "ratio", "promise", "", "full")
    return f"<p>{kept} of {len(promised)} promises are kept.</p>{table(head, rows)}" if promised else ""


def _figures(figures: Sequence[Figure]) -> Html:
    rows = []
    for figure in figures:
        title, median, between, unit, ceiling, ratio, *_, cost, full = row(figure)
        usage = figure.cost.usage if figure.cost else None
        cores = (
            f"{usage.client_cores:.2f} / {_cores(usage.reader_cores)} / {_cores(usage.writer_cores)} / "
            f"{_cores(usage.foreign_cores)}"
            if usage
            else ""
        )
        statuses = ", ".join(f"{name} {count:,}" for name, count in figure.statuses.items())
        told = [each for each in (figure.ceiling and f"ceiling: {figure.ceiling}", figure.note) if each]
        rows.append(
            (
                f"{escape(title)}<br><small>{escape('; '.join(told))}</small>",
                f"{median} {escape(unit)}",
                between,
                str(figure.spread.count),
                ceiling,
                ratio,
                cores,
                escape(cost),
                escape(full),
                f"<small>{statuses}</small>",
            )
        )
    head = (
        "figure", "median", "least–most", "repeats", "ceiling", "ratio", "cores: client / readers / writer / others",
        "CPU µs each", "full", "answers",
    )  # fmt: skip
    return table(head, rows)


def _sizes(result: Result) -> Html:
    """Return a table of costs by size, the projected ones in a column of their own."""
    rows = [[escape(cell) for cell in cells] for cells in by_size(result)]
    return table(rows[0], rows[1:]) if rows else ""


def _cores(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _charts(results: Sequence[Result]) -> list[Html]:
    latencies = {title: each for result in results for title, each in result.latencies.items() if each.counts}
    # No two lines of one chart look alike.
    titles = [*latencies]
    parts = [titles[start : start + len(_STYLES)] for start in range(0, len(titles), len(_STYLES))]
    charts = [_latency_chart({title: latencies[title] for title in part}) for part in parts]
    return charts + [_curve_chart(curve) for result in results for curve in result.curves if len(curve.points) > 1]


def _latency_chart(latencies: dict[str, Histogram]) -> Html:
    """Draw milliseconds over the share of calls that took no longer, both so that the slowest are seen."""
    curves = {
        title: [(_nines(share), math.log10(max(ms, 1e-3))) for share, ms in each.curve()]
        for title, each in latencies.items()
    }
    low = math.floor(min(y for points in curves.values() for _, y in points))
    high = math.ceil(max(y for points in curves.values() for _, y in points))
    frame = Frame(
        Axis(0, _NINES[-1], _NINES, "share of calls", lambda value: _SHARES[round(value)]),
        Axis(low, max(high, low + 1), range(low, max(high, low + 1) + 1), "milliseconds", _power),
        "Latency from the intended start",
    )
    key = []
    for place, (title, points) in enumerate(curves.items()):
        style = _STYLES[place % len(_STYLES)]
        frame.line([each for each in points if each[0] <= _NINES[-1]], style)
        key.append(f'<svg class="key-line" viewBox="0 0 18 8"><line class="line {style}" x2="18" y1="4" y2="4"/></svg>')
        key.append(f"{escape(title)} ")
    return (
        f"<figure><b>Latency from the intended start</b>{frame.svg()}<figcaption>{''.join(key)}</figcaption></figure>"
    )


def _latencies(results: Sequence[Result]) -> Html:
    """Return a table of quantiles, for those who want numbers."""
    found = [(title, each) for result in results for title, each in result.latencies.items() if each.counts]
    if not found:
        return ""
    head = ("milliseconds from the intended start", *found[0][1].quantiles_ms(), "calls")
    rows = [(escape(title), *map(number, each.quantiles_ms().values()), f"{each.count:,}") for title, each in found]
    return table(head, rows)


def _nines(share: float) -> float:
    return -math.log10(max(1.0 - share, 1e-6))


def _power(value: float) -> str:
    return f"{10**value:g}"


def _curve_chart(curve: Curve) -> Html:
    xs = [math.log2(x) if curve.is_logarithmic else x for x, _ in curve.points]
    ys = [y for _, y in curve.points]
    top = max(ys) * 1.1 or 1.0
    x_ticks = xs if curve.is_logarithmic else ticks_between(min(xs), max(xs), 6)
    frame = Frame(
        Axis(min(xs), max(xs), x_ticks, curve.x_title, _two_to_the if curve.is_logarithmic else "{:,g}".format),
        Axis(0, top, ticks_between(0, top, 5), curve.y_title, "{:,g}".format),
        curve.title,
    )
    frame.line([*zip(xs, ys, strict=True)], "matches")
    for x, (plain, y) in zip(xs, curve.points, strict=True):
        frame.dot(x, y, "matches", f"{number(plain)}: {number(y)} {curve.y_title}")
    return f"<figure><b>{escape(curve.title)}</b>{frame.svg()}</figure>"


def _two_to_the(value: float) -> str:
    return number(2**value)


def _published() -> Html:
    rows = [(escape(what), escape(figure), f"<small>{escape(source)}</small>") for what, figure, source in PUBLISHED]
    caption = "What makers of other systems state, on machines of theirs; not measured here."
    return f"<h2>Elsewhere</h2>{table(('stated of', 'figure', 'source'), rows, caption)}"


def _libraries(results: Sequence[Result]) -> Html:
    found = results[0].environment if results else {}
    libraries = ", ".join(f"{name} {version}" for name, version in found.get("libraries", {}).items())
    kernel = f"kernel {found.get('kernel')}, Python {found.get('python')}"
    return f'<p class="soft">{escape(kernel)}; {escape(libraries)}</p>'
