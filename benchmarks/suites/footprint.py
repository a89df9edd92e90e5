"""Bytes on disk and in memory for each record, and what 40 million records would take."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.processes import memory
from benchmarks.session import Session
from benchmarks.suites import asking
from mdm.store.generations import Generations
from mdm.store.index import Index

PROJECTED_RECORDS = 40_000_000
"""Four registries of a city of 14 million."""
OUTSTANDING = 16
GIB = 2**30


def measure(session: Session) -> None:
    """Run the suite."""
    with session.deployment() as service:
        # Memory that a reader needs only once it works.
        session.closed(service.server, [asking.lookups(session)], OUTSTANDING)
        session.closed(service.server, [asking.matches(session, asking.matched_attributes(session))], OUTSTANDING)
        current = Generations(service.data / "index").current()
        assert current is not None
        with Index.open(current, readonly=True) as index:
            sizes = index.sizes()
        records = sizes.entries["records"]
        journal = sum(file.stat().st_size for file in service.data.glob("journal.sqlite*"))
        own = {
            "reader": max(memory(pid).own_bytes for pid in service.reader_pids()),
            "writer": max(memory(pid).own_bytes for pid in service.writer_pids()),
        }
        # What the index's file holds is allocated in steps; its blocks on disk are what it takes.
        index_bytes = sum(file.stat().st_blocks * 512 for file in Path(current).iterdir())
    session.result.city["records"] = records
    for name, title, found in (
        ("journal", "Journal on disk", journal),
        ("index", "Index on disk, in memory as far as it is used", index_bytes),
    ):
        session.add(
            Figure(
                name=f"footprint.{name}",
                title=f"{title}, a record",
                unit="bytes",
                values=[found / records],
                is_better_higher=False,
                note=f"{found / GIB:.2f} GiB for {records:,} records; {PROJECTED_RECORDS:,} would take "
                f"{found / records * PROJECTED_RECORDS / GIB:,.0f} GiB if each takes as much",
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
                note="without the index, whose pages all readers share",
            )
        )
