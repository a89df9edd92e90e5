"""The index anew from the journal, and how soon a killed service answers."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks import data
from benchmarks.ceilings.started import loaded_s, told_by
from benchmarks.figures import Cost, Figure
from benchmarks.processes import Usage
from benchmarks.session import Session
from benchmarks.suites import asking
from benchmarks.suites.ingesting import ingest
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from tests.serving import running_server

WRITTEN_BEFORE_KILL = 500
"""Records stored right before the kill, so that the index is open and in use."""


def measure(session: Session) -> None:
    """Run the suite."""
    directory = data.copied(session.store, session.scratch / "rebuilt")
    _rebuild(session, directory)
    _restart(session, directory)
    shutil.rmtree(directory)


def _rebuild(session: Session, directory: Path) -> None:
    runs: list[dict[str, float]] = []
    puts: list[dict[str, float]] = []
    for number in session.repeats("rebuilding the index, and copying it entry by entry"):
        runs.append(told_by("suites.rebuild_process", directory))
        target = session.scratch / f"copied-{number}"
        puts.append(told_by("ceilings.lmdb_puts", directory, target))
        shutil.rmtree(target)
    last = runs[-1]
    # By the process that the writer is when a service starts.
    usage = Usage(0.0, None, last["cpu_s"] / last["whole_s"], last["foreign_cores"])
    cost = Cost(usage, {"process": round(last["cpu_s"] / last["records"] * 1e6, 1)})
    for name, title, of, unit, part in (
        ("identity.rate", "Rebuild: identity state, raw values and relations", "identity_s", "records/s", "identity"),
        ("match.rate", "Rebuild: match state and postings, on all cores", "match_s", "records/s", "match"),
        (
            "match.rate_per_core",
            "Rebuild: match state and postings, a core",
            "match_cpu_s",
            "records/s a core",
            "match",
        ),
        ("whole.rate", "Rebuild of the whole index", "whole_s", "records/s", "whole"),
    ):
        session.add(
            Figure(
                name=f"rebuild.{name}",
                title=title,
                unit=unit,
                values=[run["records"] / run[of] for run in runs],
                ceiling="a loop of LMDB puts of the same entries, in key order",
                ceiling_values=[each[part] for each in puts],
                is_judged_by_value=True,
                cost=cost if of == "whole_s" else None,
            )
        )


def _restart(session: Session, directory: Path) -> None:
    request = lookup.LookupRequest(key=session.city.wire_records(asking.PATIENTS, asking.REQUESTS)[0].key)
    values, loaded = [], []
    for _ in session.repeats("kill -9 and restart"):
        loaded.append(loaded_s("reader_process"))
        with running_server(directory, workers=session.options.readers, start_s_max=data.START_S_MAX) as running:
            ingest(running.address, [*asking.arrivals(session, WRITTEN_BEFORE_KILL)])
            children = running.child_pids("writer_process") + running.child_pids("reader_process")
            running.process.kill()
            running.process.wait()
            _await_end(children)
        began_s = time.monotonic()
        with running_server(directory, workers=session.options.readers, start_s_max=data.START_S_MAX) as running:
            with running.channel() as channel:
                LookupServiceStub(channel).Lookup(request, timeout=5)
            values.append(time.monotonic() - began_s)
    title = "Restart after kill -9, until the first answer"
    figure = Figure(
        name="rebuild.restart",
        title=title,
        unit="s",
        values=values,
        is_better_higher=False,
        ceiling="a process that loads the modules of a reader",
        ceiling_values=loaded,
        is_judged_by_value=True,
    )
    session.add(figure)


def _await_end(pids: list[int]) -> None:
    until_s = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until_s:
        time.sleep(0.01)
