"""Bulk loading by `mdm load`: the city for later, and the same files again with a few rows changed."""

from __future__ import annotations

import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data import City, city_in, load_feeds
from benchmarks.figures import Cost, Figure, cost_of_work, median_cost
from benchmarks.load.generator import Watch
from benchmarks.session import Deployment, Session
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
    changed = session.scratch / "changed"
    repeats = session.options.repeats
    for number in session.repeats("loading the city for later"):
        with session.deployment(is_empty=True, is_writing=True) as service:
            first.append(_loaded(session, service, session.city, costs["first"], is_first=True))
            if number == repeats - 1:
                # One store is enough to load into again: each time other rows are changed.
                city = session.city
                for place in session.repeats("loading it again, 0.5 % changed"):
                    city = _with_changes(city, changed / str(place), place)
                    again.append(_loaded(session, service, city, costs["again"], is_first=False))
    rows = session.city.row_count
    for name, title, values, unit in (
        ("load.later.rate", f"mdm load --resolve later, {rows:,} rows into an empty store", first, "records/s"),
        ("load.again.rate", f"The same {rows:,} rows again, 0.5 % changed", again, "rows/s"),
    ):
        cost = costs["first" if values is first else "again"]
        session.add(Figure(name=name, title=title, unit=unit, values=values, cost=median_cost(cost)))


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
