"""Bytes on disk and in memory for each record, beside its row; and what 40 million records would take."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Figure
from benchmarks.processes import memory, resident_bytes
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from mdm.store.generations import Generations
from mdm.store.index import Index

PROJECTED_RECORDS = 40_000_000
"""Four registries of a city of 14 million."""
PROJECTED_FROM_CITIZENS = 100_000
"""Of a smaller city most of what is in memory, and much of the index, does not grow with the records."""
OUTSTANDING = 16
GIB = 2**30
BLOCK_BYTES = 512
"""Of `st_blocks`."""


class Footprint(NamedTuple):
    """What a service's data take."""

    records: int
    journal_bytes: int
    index_bytes: int
    """On disk: what the file holds in blocks, not what it is long."""


def measure(session: Session) -> None:
    """Run the suite."""
    with session.deployment() as service:
        # Memory that a reader needs only once it works.
        session.closed(service.server, [asking.lookups(session)], OUTSTANDING)
        session.closed(service.server, [asking.matches(session, asking.matched_attributes(session))], OUTSTANDING)
        found = footprint(service)
        resident = resident_bytes([*service.reader_pids(), *service.writer_pids()])
        own = {
            "reader": max(memory(pid).own_bytes for pid in service.reader_pids()),
            "writer": max(memory(pid).own_bytes for pid in service.writer_pids()),
        }
    session.result.city["records"] = found.records
    row_bytes = session.city.text_bytes() / session.city.row_count
    for name, title, whole in (
        ("journal", "Journal on disk", found.journal_bytes),
        ("index", "Index on disk", found.index_bytes),
        ("memory", "In memory after lookups and matches: processes' own and pages of the index, once", resident),
    ):
        session.add(
            Figure(
                name=f"footprint.{name}",
                title=f"{title}, a record",
                unit="bytes",
                values=[whole / found.records],
                is_better_higher=False,
                ceiling="a row of the feeds as CSV",
                ceiling_values=[row_bytes],
                note=projection(whole, found.records, session.city.citizens),
            )
        )
    for name, used in own.items():
        session.add(
            Figure(
                name=f"footprint.{name}_memory",
                title=f"Own memory of a {name}",
                unit="MiB",
                values=[used / 2**20],
                is_better_higher=False,
                note=f"without the index, whose pages all readers share; {used / found.records:,.0f} bytes a record, "
                "but most of it does not grow with them",
            )
        )


def projection(whole_bytes: int, records: int, citizens: int) -> str:
    """Return in words what all records take, and what 40 million would; not of a city too small to tell."""
    told = f"{whole_bytes / GIB:.2f} GiB for {records:,} records"
    if citizens < PROJECTED_FROM_CITIZENS:
        return f"{told}; {citizens:,} citizens are too few to say what {PROJECTED_RECORDS:,} records would take"
    projected_gib = whole_bytes / records * PROJECTED_RECORDS / GIB
    return f"{told}; {PROJECTED_RECORDS:,} would take {projected_gib:,.0f} GiB if each takes as much"


def footprint(service: Deployment) -> Footprint:
    """Return what the data of our own service take now."""
    current = Generations(service.data / "index").current()
    assert current is not None
    with Index.open(current, readonly=True) as index:
        records = index.sizes().entries["records"]
    return Footprint(
        records,
        sum(file.stat().st_size for file in service.data.glob("journal.sqlite*")),
        sum(file.stat().st_blocks * BLOCK_BYTES for file in Path(current).iterdir()),
    )
