"""What work costs in cities of several sizes, and what would bind first in one of 14 million people."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import Curve, Figure, cost_of, cost_of_work, number
from benchmarks.load.generator import Measured, Watch
from benchmarks.session import Session
from benchmarks.suites import asking
from benchmarks.suites.footprint import Footprint, footprint
from benchmarks.suites.ingesting import ingest
from benchmarks.suites.relink import Run, relink

DEFAULT_SIZES = (20_000, 100_000, 450_000, 1_000_000)
PROJECTED_CITIZENS = 14_000_000
BATCH_KEYS = 1_000
INGESTED_RECORDS = 2_000
OUTSTANDING = 8
GIB = 2**30
HOUR_S = 3600.0
FIRST_LOAD_H = 24.0
"""What a first load of a city may take."""
NIGHT_H = 8.0
"""What a re-linkage may take."""

Points = list[tuple[float, float]]
"""Citizens → cost."""

_TITLES = {
    "lookup": ("Lookup: readers' CPU", "µs a call"),
    "batch": ("BatchLookup: readers' CPU", "µs a key"),
    "match": ("Match: readers' CPU", "µs a call"),
    "ingest": ("IngestRecords, resolved at once: the writer's CPU", "µs a record"),
    "relink": ("Re-linkage of all citizens, plan and commit", "s"),
    "relink_memory": ("Re-linkage: the most memory resident at once", "GiB"),
    "journal": ("Journal on disk", "bytes a record"),
    "index": ("Index on disk", "bytes a record"),
}
_GROWING = {"relink", "relink_memory"}
"""Costs of the whole city, which grow with it; the others are costs of one operation."""


def measure(session: Session) -> None:
    """Run the suite: one store and one service for each size."""
    costs: dict[str, Points] = {name: [] for name in _TITLES}
    records_per_citizen = 0.0
    for size in sorted(session.options.sizes):
        with Session(["scaling"], options_for(session, size)) as one:
            one.say(f"{size:,} citizens")
            found = _costs(one)
            records_per_citizen = found.pop("records") / size
            session.result.notes += one.result.notes
        for name, value in found.items():
            costs[name].append((float(size), value))
    for name, (title, unit) in _TITLES.items():
        points = costs[name]
        value = projected(points, is_growing=name in _GROWING)
        session.result.curves.append(
            Curve(
                title=title,
                x_title="citizens",
                y_title=unit,
                points=points,
                is_logarithmic=True,
                projected=(float(PROJECTED_CITIZENS), value),
            )
        )
        session.add(
            Figure(
                name=f"scaling.{name}",
                title=f"{title}, projected to {PROJECTED_CITIZENS:,} citizens",
                unit=unit,
                values=[value],
                is_better_higher=False,
                is_projected=True,
                note="measured: " + ", ".join(f"{number(value)} at {size:,.0f}" for size, value in points),
            )
        )
    session.result.notes.append(_binding(costs, records_per_citizen, session.result.environment))


def options_for(session: Session, size: int) -> argparse.Namespace:
    """Return a session's options for another size: a city that was given is of one size, the others are built."""
    given = {} if size == session.city.citizens else {"data": None, "city": None}
    return argparse.Namespace(**{**vars(session.options), "size": size, **given})


def _costs(session: Session) -> dict[str, float]:
    """Return cost by name, and how many records there are."""
    with session.deployment(is_writing=True) as service:
        found: dict[str, float] = {}
        attributes = asking.matched_attributes(session)
        for name, calls, each in (
            ("lookup", [asking.lookups(session)], 1),
            ("batch", [asking.batch_lookups(session, BATCH_KEYS)], BATCH_KEYS),
            ("match", [asking.matches(session, attributes)], 1),
        ):
            runs: list[Measured] = [
                session.closed(service.server, calls, OUTSTANDING, number) for number in session.repeats(name)
            ]
            cost = cost_of(runs, each).us_per_operation
            if not cost:
                raise RuntimeError(f"no call was answered while {name} was measured; give it more --measure-seconds")
            found[name] = cost["readers"]
        held: Footprint = footprint(service)
        found |= {
            "records": float(held.records),
            "journal": held.journal_bytes / held.records,
            "index": held.index_bytes / held.records,
        }
        records = [*asking.arrivals(session, INGESTED_RECORDS)]
        watch = Watch(service.server)
        ingest(service.address, records)
        watch.end()
        found["ingest"] = cost_of_work(watch, 0.0, len(records)).us_per_operation["writer"]
        session.say("re-linkage")
        run: Run = relink(service)
        found["relink"] = sum(run.seconds.values())
        found["relink_memory"] = run.peak_bytes / GIB
    return found


def projected(points: Sequence[tuple[float, float]], *, is_growing: bool) -> float:
    """Return what a cost would be in a city of 14 million, from the largest size on along the trend of all sizes.

    The cost of one operation goes with the logarithm of the size, as a tree's depth does, and never falls; that of the
    whole city goes with a power of it, at least the first.

    Args:
        points: Citizens and cost, by rising size.
        is_growing: Whether it is a cost of the whole city.
    """
    xs = [math.log(size) for size, _ in points]
    ys = [math.log(max(value, 1e-9)) if is_growing else value for _, value in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    scatter = sum((each - x) ** 2 for each in xs)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / scatter if scatter else 0.0
    value = ys[-1] + max(slope, 1.0 if is_growing else 0.0) * (math.log(PROJECTED_CITIZENS) - xs[-1])
    return math.exp(value) if is_growing else value


def _binding(costs: dict[str, Points], records_per_citizen: float, environment: Mapping[str, Any]) -> str:
    """Return what a city of 14 million needs of this machine, most wanting first, in words."""
    records = PROJECTED_CITIZENS * records_per_citizen
    at = {name: projected(points, is_growing=name in _GROWING) for name, points in costs.items()}
    index_gib, journal_gib = (records * at[name] / GIB for name in ("index", "journal"))
    memory_gib, disk_gib = environment["memory_gib"], environment["disk"]["size_gib"]
    needs = [
        (index_gib, memory_gib, "GiB of memory that hold the whole index"),
        # An index being rebuilt, and a re-linkage's copy, lie beside the one in use.
        (2 * index_gib + journal_gib, disk_gib, "GiB of disk for journal and index, and a copy of the index"),
        (records * at["ingest"] / 1e6 / HOUR_S, FIRST_LOAD_H, "hours of the one writer for a first load"),
        (at["relink"] / HOUR_S, NIGHT_H, "hours of a re-linkage, of a night"),
        (at["relink_memory"], memory_gib, "GiB of memory for a re-linkage"),
    ]
    needs.sort(key=lambda need: need[0] / need[1], reverse=True)
    told = "; ".join(f"{number(need)} of {number(has)} {what}" for need, has, what in needs)
    return (
        f"a city of {PROJECTED_CITIZENS:,} with {records / 1e6:,.0f} million records would need, of what is here, the "
        f"most wanting first: {told}"
    )
