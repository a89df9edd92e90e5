"""Backup of a running service and restore: time, size, and what lookups and writes feel of a backup beside them."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import data
from benchmarks.ceilings.started import told_by
from benchmarks.figures import Figure
from benchmarks.load.generator import Measured
from benchmarks.load.spec import Call
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from benchmarks.suites.ingesting import ingest
from benchmarks.suites.profiles import resolves
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from tests.serving import running_server

OUTSTANDING = 8
HALF = 0.5
NEW_RECORDS_MAX = 10_000
"""Between two backups, a busy day's; of a small city a tenth of its rows."""
RESOLVES_PER_S_MAX = 500
"""Requests prepared for each second: more than one writer answers."""
QUANTILES = (("p50", 0.5), ("p99", 0.99))
GIB = 2**30


def measure(session: Session) -> None:
    """Run the suite."""
    file = session.scratch / "mdm.backup"
    with session.deployment(is_writing=True) as service:
        for name, title, call in (
            ("lookup", "Lookup", asking.lookups(session)),
            ("resolve", "Resolve that stores", None),
        ):
            _felt(session, service, name, title, call)
        _taken(session, service, file)
    _restored(session, file)


def _felt(session: Session, service: Deployment, name: str, title: str, call: Call | None) -> None:
    """Measure one kind of call at half load, in turns without and with backups one after the other."""

    def calls() -> list[Call]:
        seconds = session.options.measure_seconds + session.options.warm_up_seconds
        return [call or resolves(session, round(RESOLVES_PER_S_MAX * seconds) + 1)]

    rate = session.closed(service.server, calls(), OUTSTANDING).rate_per_s * HALF
    calm: list[Measured] = []
    beside: list[Measured] = []
    for number in session.repeats(f"{title}, {rate:,.0f} a second, without and with a backup"):
        calm.append(session.open(service.server, calls(), rate, number))
        with _backups(session, service):
            beside.append(session.open(service.server, calls(), rate, number))
    for quantile, share in QUANTILES:
        session.add_latency(
            f"backup.{name}_{quantile}",
            f"{title} at half load beside a backup, {quantile}",
            beside,
            share,
            ceiling="the same without a backup",
            ceiling_runs=calm,
        )
        session.result.figures[-1].is_judged_by_value = True


@contextmanager
def _backups(session: Session, service: Deployment) -> Iterator[None]:
    """Make one full backup after the other for the length of the block."""
    is_over = threading.Event()
    # As its document says to run it beside the service.
    command = ["nice", "-n", "10", sys.executable, "-m", "mdm", "backup", "--server", service.address]
    failed: list[str] = []

    def run() -> None:
        for number in itertools.count():
            file = session.scratch / f"felt-{number}"
            with subprocess.Popen([*command, str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
                while child.poll() is None and not is_over.wait(0.05):
                    pass
                is_cut = child.poll() is None
                child.kill()
                _, said = child.communicate()
            file.unlink(missing_ok=True)
            file.with_name(f".{file.name}.partial").unlink(missing_ok=True)
            if child.returncode and not is_cut:
                failed.append(said.decode(errors="replace")[-300:])
            if is_over.is_set() or failed:
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        # Until the first one reads.
        time.sleep(1.0)
        yield
    finally:
        is_over.set()
        thread.join()
    if failed:
        raise RuntimeError(f"a backup failed: {failed[0]}")


def _taken(session: Session, service: Deployment, file: Path) -> None:
    full_s, full_copied_s, more_s, more_copied_s = [], [], [], []
    count = min(NEW_RECORDS_MAX, max(1, session.city.row_count // 10))
    size = 0
    for _ in session.repeats("a full backup, and one of what came since"):
        file.unlink(missing_ok=True)
        told = data.mdm("backup", file, "--server", service.address, "--json")
        full_s.append(told["seconds"])
        full_copied_s.append(_copied_s(session, file))
        size = told["bytes"]
        ingest(service.address, [*asking.arrivals(session, count)])
        more_s.append(data.mdm("backup", file, "--server", service.address, "--json")["seconds"])
        more_copied_s.append(_copied_s(session, file))
    title = "Full backup, proven and on disk"
    _add(session, "full", title, full_s, full_copied_s, note=f"{size / GIB:.2f} GiB")
    # The earlier file is copied and stays whole until the next is proven.
    _add(session, "incremental", f"Backup of {count:,} more records", more_s, more_copied_s)


def _restored(session: Session, file: Path) -> None:
    """Measure from the command to the first answer of the restored service."""
    request = lookup.LookupRequest(key=session.city.wire_records(asking.PATIENTS, asking.REQUESTS)[0].key)
    values, copied_s = [], []
    for number in session.repeats("restore"):
        directory = session.scratch / f"restored-{number}"
        copied_s.append(_copied_s(session, file))
        began_s = time.monotonic()
        data.mdm("restore", file, "--data", directory, "--json")
        with running_server(directory, workers=session.options.readers, start_s_max=data.START_S_MAX) as running:
            with running.channel() as channel:
                answer = LookupServiceStub(channel).Lookup(request, timeout=5)
            values.append(time.monotonic() - began_s)
        if not answer.golden_id:
            raise RuntimeError("the restored service does not know a record of the city")
        shutil.rmtree(directory)
    _add(session, "restore", "Restore, from the command to the first answer", values, copied_s)


def _copied_s(session: Session, file: Path) -> float:
    """Return how long a plain copy of a backup takes until it is on disk."""
    return float(told_by("ceilings.durable_copy", file, session.scratch / "copied.backup")["seconds"])


def _add(session: Session, name: str, title: str, values: list[float], copied_s: list[float], note: str = "") -> None:
    figure = Figure(
        name=f"backup.{name}",
        title=title,
        unit="s",
        values=values,
        is_better_higher=False,
        ceiling="a plain copy of the backup, synced",
        ceiling_values=copied_s,
        is_judged_by_value=True,
        note=note,
    )
    session.add(figure)
