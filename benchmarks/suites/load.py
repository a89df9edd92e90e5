"""Bulk loading by `mdm load`: the city for later, and the same files again with a few rows changed."""

from __future__ import annotations

import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.ceilings.started import told_by
from benchmarks.data import City, city_in, load_feeds
from benchmarks.figures import Cost, Figure, cost_of_work, median_cost
from benchmarks.load.generator import Watch
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from benchmarks.suites.ingesting import appends
from mdm.limits import GROUP_COMMIT_RECORDS_MAX
from mdm.synth.feeds import COLUMNS

CHANGED_ROWS = 200
"""Every so-manieth row is changed before the second load: 0.5 %."""
CHANGED_AT = "2027-01-0{}T08:00:00+07:00"
"""After every row of a city; each repeat a day later."""


def measure(session: Session) -> None:
    """Run the suite."""
    first: list[float] = []
    again: list[float] = []
    costs: dict[str, list[Cost]] = {"first": [], "again": []}
    appended: list[float] = []
    seen: list[float] = []
    changed = session.scratch / "changed"
    repeats = session.options.repeats
    for number in session.repeats("loading the city for later"):
        with session.deployment(is_empty=True, is_writing=True) as service:
            first.append(_loaded(session, service, session.city, costs["first"], is_first=True))
            records = session.city.wire_records(asking.PATIENTS, asking.REQUESTS)
            appended.append(appends(session, records, GROUP_COMMIT_RECORDS_MAX).records_per_s)
            if number == repeats - 1:
                # One store is enough to load into again: each time other rows are changed.
                city = session.city
                for place in session.repeats("loading it again, 0.5 % changed"):
                    city = _with_changes(city, changed / str(place), place)
                    again.append(_loaded(session, service, city, costs["again"], is_first=False))
                    seen.append(told_by("ceilings.feed_rows", *city.files.values())["rows_per_s"])
    rows, group = session.city.row_count, GROUP_COMMIT_RECORDS_MAX
    session.add(
        Figure(
            name="load.later.rate",
            title=f"mdm load --resolve later, {rows:,} rows into an empty store",
            unit="records/s",
            values=first,
            ceiling=f"durable appends of patients' records to SQLite, {group} a transaction",
            ceiling_values=appended,
            is_judged_by_value=True,
            cost=median_cost(costs["first"]),
        )
    )
    session.add(
        Figure(
            name="load.again.rate",
            title=f"The same {rows:,} rows again, 0.5 % changed",
            unit="rows/s",
            values=again,
            ceiling="a loop that makes the same Parquet rows text",
            ceiling_values=seen,
            is_judged_by_value=True,
            cost=median_cost(costs["again"]),
        )
    )


def _loaded(session: Session, service: Deployment, city: City, costs: list[Cost], *, is_first: bool) -> float:
    """Return records a second of a first load, rows a second of a further one; both by what the command says."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watch = Watch(service.server)
    loaded = load_feeds(city.files, service.address, session.scratch, resolve="later", say=session.say)
    watch.end()
    # The commands are the children that have ended meanwhile.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = loaded.outcomes.total() if is_first else loaded.rows
    costs.append(cost_of_work(watch, cpu_s, count))
    return count / loaded.seconds


def _with_changes(city: City, target: Path, place: int) -> City:
    """Write the city's feeds with every 200th row changed, others than in the city before it."""
    target.mkdir(parents=True)
    for feed in COLUMNS:
        table = pq.read_table(city.files[feed])
        numbers = pa.array(range(table.num_rows), pa.int64())
        is_changed = pc.equal(pc.subtract(numbers, pc.multiply(pc.divide(numbers, CHANGED_ROWS), CHANGED_ROWS)), place)
        for column, value in (("phone", f"09{place:08}"), ("updated_at", CHANGED_AT.format(place % 9 + 1))):
            at = table.schema.get_field_index(column)
            table = table.set_column(at, column, pc.if_else(is_changed, value, table.column(column)))
        pq.write_table(table, target / f"{feed}.parquet")
    return city_in(target, city.citizens, city.seed)
