"""What a run measured: figures over repeats, their ceilings and targets, and what the report draws, as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from benchmarks.load.generator import Measured, Watch
from benchmarks.load.histogram import Histogram
from benchmarks.processes import Usage

_READERS, _WRITER = "readers", "writer"
FULL = frozenset({_READERS, _WRITER})
"""What `bound_of` says of a service that had no more to give."""

SCHEMA_VERSION = 1
"""Of a saved result. A field may be added without raising it; one that changes its meaning raises it."""


class Spread(msgspec.Struct, frozen=True):
    """A value over the repeats."""

    median: float
    low: float
    high: float
    count: int


class Target(msgspec.Struct, frozen=True):
    """What was promised of a figure: a bound on its value or on its ratio to the ceiling."""

    bound: float
    is_minimum: bool
    on: Literal["value", "ratio"] = "value"

    def holds(self, measured: float) -> bool:
        """Return whether a median keeps the promise."""
        return measured >= self.bound if self.is_minimum else measured <= self.bound

    def text(self, unit: str) -> str:
        """Return it as a reader says it."""
        sign = "≥" if self.is_minimum else "≤"
        return f"{sign} {number(self.bound)} × ceiling" if self.on == "ratio" else f"{sign} {number(self.bound)} {unit}"


class Cost(msgspec.Struct, frozen=True):
    """What a rate cost: CPU beside it, as the median over repeats."""

    usage: Usage
    us_per_operation: dict[str, float]
    """Side (client, readers, writer) → CPU microseconds for one operation."""


class Figure(msgspec.Struct, kw_only=True):
    """One measured quantity."""

    name: str
    """Unique in a result, as `lookup.unary.rate`."""
    title: str
    unit: str
    values: list[float]
    """One for each repeat, in order; nan where nothing was answered, as null in JSON."""
    is_better_higher: bool = True
    ceiling: str = ""
    """What it is compared with, measured in the same run; empty for nothing."""
    ceiling_values: list[float] = msgspec.field(default_factory=list)
    """Of the ceiling, from the same repeats."""
    is_judged_by_value: bool = False
    """Whether a comparison of runs looks at the value alone: the ceiling is another figure of the service, which
    changes with it, or a limit of a disk, which scatters by itself where the service is bound by a processor."""
    ceiling_cpu_us: float | None = None
    """Server's CPU for one operation of the ceiling: on a machine that others use, the steadier comparison."""
    target: Target | None = None
    cost: Cost | None = None
    bound_by: str = ""
    """Who had no more to give: `client: …`, `readers`, `writer`; empty where nobody was full."""
    statuses: dict[str, int] = msgspec.field(default_factory=dict)
    """Status code → calls, over all repeats."""
    note: str = ""
    is_projected: bool = False
    """Whether it follows a trend beyond what was measured: it is compared, and shown beside what it follows from."""

    @property
    def spread(self) -> Spread:
        """Median, least and most."""
        return spread(self.values)

    @property
    def ceiling_spread(self) -> Spread:
        """Median, least and most of the ceiling."""
        return spread(self.ceiling_values)

    @property
    def ratio(self) -> Spread | None:
        """The value in ceilings, repeat by repeat: what disturbed one disturbed the other beside it."""
        if not self.ceiling_values:
            return None
        return spread([value / top for value, top in zip(self.values, self.ceiling_values, strict=True) if top])

    @property
    def is_kept(self) -> bool | None:
        """Whether the target holds; None without one."""
        if self.target is None:
            return None
        measured = self.ratio if self.target.on == "ratio" else self.spread
        return measured is not None and self.target.holds(measured.median)


class Curve(msgspec.Struct, kw_only=True):
    """Points for a chart, in the order of x."""

    title: str
    x_title: str
    y_title: str
    points: list[tuple[float, float]]
    is_logarithmic: bool = False
    """Whether x goes by powers."""
    projected: tuple[float, float] | None = None
    """A point to which the trend leads, beyond those that were measured."""


class Result(msgspec.Struct, kw_only=True):
    """One run: what was measured, on what, with which data."""

    suites: list[str]
    environment: dict[str, Any]
    city: dict[str, Any]
    """Citizens, seed, records."""
    settings: dict[str, Any]
    """Repeats, readers, seconds: what a figure depends on besides."""
    figures: list[Figure] = msgspec.field(default_factory=list)
    curves: list[Curve] = msgspec.field(default_factory=list)
    latencies: dict[str, Histogram] = msgspec.field(default_factory=dict)
    """By figure's title: every call of all repeats."""
    notes: list[str] = msgspec.field(default_factory=list)
    """What a reader must know, such as that clients were the bottleneck."""
    schema: int = SCHEMA_VERSION

    def plain(self) -> dict[str, Any]:
        """Return the result for JSON, with what follows from the values beside them."""
        told: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        for figure, shown in zip(self.figures, told["figures"], strict=True):
            shown |= {"spread": msgspec.to_builtins(figure.spread), "is_kept": figure.is_kept}
            if figure.ratio is not None:
                shown["ratio"] = msgspec.to_builtins(figure.ratio)
        return told


def read_result(path: Path) -> Result:
    """Return a saved result.

    Raises:
        ValueError: There is none in the file, or one of another schema.
    """
    try:
        told = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        for figure in told.get("figures", ()):
            for name in ("values", "ceiling_values"):
                figure[name] = [math.nan if value is None else value for value in figure.get(name, ())]
        result = msgspec.convert(told, type=Result, strict=False)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no result of these suites") from error
    if result.schema != SCHEMA_VERSION:
        raise ValueError(f"{path} has schema {result.schema}, this release reads {SCHEMA_VERSION}")
    return result


def spread(values: Sequence[float]) -> Spread:
    """Return median, least and most of the repeats that have a value; nan of none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Spread(math.nan, math.nan, math.nan, 0)
    return Spread(statistics.median(known), min(known), max(known), len(known))


def cost_of(runs: Sequence[Measured], operations: int = 1) -> Cost:
    """Return the median CPU beside the rates of runs, for one of the `operations` that a call carries."""

    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return round(statistics.median(known), 3) if known else None

    each = [run.usage for run in runs]
    usage = Usage(
        median([one.client_cores for one in each]) or 0.0,
        median([one.reader_cores for one in each]),
        median([one.writer_cores for one in each]),
        median([one.foreign_cores for one in each]),
    )
    # A run in which nothing was answered has no cost of an answer.
    per_call = [costs for run in runs if (costs := run.cpu_us_per_call())]
    sides = per_call[0] if per_call else ()
    return Cost(
        usage, {side: round(statistics.median(one[side] for one in per_call) / operations, 3) for side in sides}
    )


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Return the repeat whose work took the median of processor time, all sides together."""
    return sorted(costs, key=lambda cost: sum(cost.us_per_operation.values()))[len(costs) // 2]


def cost_of_work(watch: Watch, client_cpu_s: float, operations: int) -> Cost:
    """Return the cost of work that was not sent by the load generator.

    Args:
        watch: From before the work until after it.
        client_cpu_s: CPU time of whoever sent it, within the watch.
        operations: Done within the watch.
    """
    usage = watch.usage(client_cpu_s)
    sides = {"client": usage.client_cores, "readers": usage.reader_cores, "writer": usage.writer_cores}
    return Cost(
        msgspec.structs.replace(
            usage,
            client_cores=round(usage.client_cores, 3),
            reader_cores=None if usage.reader_cores is None else round(usage.reader_cores, 3),
            writer_cores=None if usage.writer_cores is None else round(usage.writer_cores, 3),
            foreign_cores=None if usage.foreign_cores is None else round(usage.foreign_cores, 3),
        ),
        {side: round(cores * watch.took_s / operations * 1e6, 1) for side, cores in sides.items() if cores is not None},
    )


def statuses_of(runs: Sequence[Measured]) -> dict[str, int]:
    """Return status code → calls of all runs."""
    found: dict[str, int] = {}
    for run in runs:
        for status, count in run.statuses.items():
            found[status] = found.get(status, 0) + count
    return found


def bound_of(runs: Sequence[Measured], readers: int) -> str:
    """Return who had no more to give in most of the runs."""
    reasons = [_bound(run, readers) for run in runs]
    return max(set(reasons), key=reasons.count) if reasons else ""


def _bound(run: Measured, readers: int) -> str:
    # A reader's handlers share one interpreter lock: a little more than one core is all that it takes.
    if (run.usage.reader_cores or 0.0) > 0.85 * readers:
        return _READERS
    if (run.usage.writer_cores or 0.0) > 0.85:
        return _WRITER
    return f"client: {run.client_bound}" if run.client_bound else ""


def number(value: float) -> str:
    """Return a value with about three digits that count."""
    if math.isnan(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(digits, 0), 6)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{value:,.0f}"
