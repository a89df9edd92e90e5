"""A result as text: a table for a terminal, and one in Markdown for a document."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import structs

from benchmarks.figures import Figure, Result, number
from benchmarks.load.histogram import Histogram

COLUMNS = ("figure", "median", "least–most", "unit", "ceiling", "ratio", "promised", "", "CPU µs each", "full")


def told_apart(results: Sequence[Result]) -> list[Result]:
    """Return the results as they are, or with the run's number behind each title where two tell of the same figure."""
    names = [figure.name for result in results for figure in result.figures]
    if len(set(names)) == len(names):
        return [*results]
    return [
        structs.replace(
            result,
            suites=[f"run {number}", *result.suites],
            figures=[structs.replace(each, title=f"{each.title}, run {number}") for each in result.figures],
            curves=[structs.replace(each, title=f"{each.title}, run {number}") for each in result.curves],
            latencies={f"{title}, run {number}": each for title, each in result.latencies.items()},
            notes=[f"run {number}: {note}" for note in result.notes],
        )
        for number, result in enumerate(results, 1)
    ]


def terminal(result: Result) -> str:
    """Return every figure that was measured as aligned text, then costs by size, latencies and notes."""
    figures = [row(figure) for figure in result.figures if not figure.is_projected]
    told = [f"{title}: {_quantiles(each)} ms" for title, each in result.latencies.items()]
    parts = (
        _aligned([COLUMNS, *figures], {0, 3, 9}) if figures else [],
        _aligned(by_size(result), {0}),
        [*told, *(f"note: {note}" for note in result.notes)],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """Return rows as lines; columns of these places begin at one place, the others end at one."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in rows
    ]


def by_size(result: Result) -> list[tuple[str, ...]]:
    """Return costs by size, the head first and what is projected last in each row; nothing if nothing is."""
    found = [(curve, curve.projected) for curve in result.curves if curve.projected is not None]
    if not found:
        return []
    (first, (projected_x, _)), *_ = found
    sizes = (f"{x:,.0f} {first.x_title}" for x, _ in first.points)
    head = ("by size", *sizes, f"{projected_x:,.0f} {first.x_title}, projected")
    rows = (
        (f"{curve.title}, {curve.y_title}", *(number(y) for _, y in curve.points), number(projected))
        for curve, (_, projected) in found
    )
    return [head, *rows]


def _quantiles(latency: Histogram) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in latency.quantiles_ms().items())


def markdown(results: Sequence[Result]) -> str:
    """Return the figures that something was promised of, costs by size, and what they were measured on, in Markdown."""
    lines: list[str] = []
    for result in results:
        for figure in result.figures:
            if figure.target is None:
                continue
            _, median, between, unit, ceiling, ratio, promised, kept, *_ = row(figure)
            named = f"{figure.ceiling}: {ceiling}" if ceiling else ""
            lines.append(f"| {figure.title} | {median} {unit} ({between}) | {named} | {ratio} | {promised} | {kept} |")
    if lines:
        lines = ["| path | measured | ceiling | ratio | promised | |", "|---|---|---|---|---|---|", *lines, ""]
    for sizes in filter(None, map(by_size, results)):
        head, *rows = [f"| {' | '.join(cells)} |" for cells in sizes]
        lines += [head, f"|{'---|' * len(sizes[0])}", *rows, ""]
    lines += [f"{', '.join(result.suites)}: {measured_on(result)}.  " for result in results]
    return "\n".join(lines) + "\n"


def measured_on(result: Result) -> str:
    """Return machine, versions and data in one line."""
    environment, city, settings = result.environment, result.city, result.settings
    where = f"that read {settings['server']}" if "server" in settings else "on the same machine"
    commit = str(environment.get("commit") or "unknown")[:12]
    changed = "" if environment.get("is_clean") else " with changes"
    beside = environment.get("speed_beside_busy_cores")
    shared = f" (each keeps {beside:.0%} of its speed while all work)" if beside is not None else ""
    return (
        f"{environment['processor']}, {environment['cores']} cores{shared}, {environment['memory_gib']} GiB, "
        f"Python {environment.get('python')}, "
        f"{environment.get('disk', {}).get('file_system', 'unknown file system')}; {city['citizens']:,} citizens, "
        f"{city['rows']:,} rows, seed {city['seed']}; {settings['readers']} readers, {settings['clients']} client "
        f"processes {where}, {settings['repeats']} repeats; commit {commit}{changed}"
    )


def row(figure: Figure) -> tuple[str, ...]:
    """Return a figure's cells, in the order of `COLUMNS`."""
    spread, ratio = figure.spread, figure.ratio
    ceiling = number(figure.ceiling_spread.median) if figure.ceiling_values else ""
    kept = "" if figure.is_kept is None else "kept" if figure.is_kept else "MISSED"
    return (
        figure.title,
        number(spread.median),
        f"{number(spread.low)}–{number(spread.high)}",
        figure.unit,
        ceiling,
        number(ratio.median) if ratio else "",
        figure.target.text(figure.unit) if figure.target else "",
        kept,
        _cost(figure),
        figure.bound_by.partition(":")[0],
    )


def _cost(figure: Figure) -> str:
    if figure.cost is None:
        return ""
    sides = figure.cost.us_per_operation
    text = " ".join(f"{side[0]}{number(value)}" for side, value in sides.items())
    return f"{text} (ceiling {number(figure.ceiling_cpu_us)})" if figure.ceiling_cpu_us is not None else text
