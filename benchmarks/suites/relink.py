"""Re-linkage: its stages, beside plain Splink on the same rows; and what a desk feels of it."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.ceilings.started import told_by
from benchmarks.figures import Cost, Figure
from benchmarks.load.generator import Measured, run_load
from benchmarks.processes import Usage, children, cpu_of_s, peak_bytes, resident_bytes
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from benchmarks.suites.ingesting import ingest
from benchmarks.suites.others import linked_by, write_plain_rows
from benchmarks.suites.profiles import ADMISSION_DESK, Mixed
from mdm.limits import ADAPTATION_RECORDS_MIN
from mdm.store.journal import Journal
from mdm.v1 import common_pb2 as common
from mdm_client import Client
from mdm_client import EntityKind as ClientKind

DESK_CALLS_PER_S = 200.0
"""Ten admissions a second."""
PENDING_SHARE = 1 / 50
"""Of the city's rows: stored for later before each run, so that there is something to link and to commit."""
STAGES = {
    "snapshot": ("starting", "snapshot"),
    "epoch_and_model": ("training",),
    "predict_and_cluster": ("comparing", "clustering"),
    "plan": ("planning",),
    "commit": ("committing",),
}
"""Part → stages of a run that belong to it."""
TITLES = {
    "snapshot": "copy and snapshot",
    "epoch_and_model": "statistics epoch and model",
    "predict_and_cluster": "predict and cluster",
    "plan": "plan",
    "commit": "commit",
}
CEILINGS = {
    "snapshot": "a copy of the index whose match state is read and written to a file",
    "epoch_and_model": "plain Splink's training on the same rows",
    "predict_and_cluster": "plain Splink's predict and cluster on the same rows",
    "commit": "durable appends of the same events to SQLite, in as many transactions",
}
"""Part → what bounds it. A plan is our own logic alone."""
POLL_S = 0.1
"""Between two looks at a run: each takes processor time that the run could have, and plain Splink is not watched."""
DESK_S_MAX = 1200.0
"""Longest re-linkage beside which the desk has records to store."""
GB = 10**9


class Run(NamedTuple):
    """One re-linkage, planned and committed."""

    seconds: dict[str, float]
    """By stage, wall clock."""
    cpu_s: dict[str, float]
    """By stage, of the process that plans; a commit runs in the writer."""
    peak_bytes: int
    seqs: tuple[int, int]
    """Of the journal, before and after it; what it committed lies between them, unless others write meanwhile."""

    def part_s(self, part: str) -> float:
        """Return the wall clock of a part."""
        return sum(self.seconds.get(stage, 0.0) for stage in STAGES[part])

    def part_cpu_s(self, part: str) -> float:
        """Return the CPU time of a part."""
        return sum(self.cpu_s.get(stage, 0.0) for stage in STAGES[part])


class Beside(NamedTuple):
    """What stands beside one re-linkage, measured right after it."""

    seconds: dict[str, float]
    """By part."""
    peak_bytes: float
    committed: str
    """How much the commit appended, in words."""


def measure(session: Session) -> None:
    """Run the suite: citizens only, whom plain Splink links as well."""
    rows = session.scratch / "rows.parquet"
    count = write_plain_rows(session.city, rows)
    with session.deployment(is_writing=True) as service:
        runs: list[Run] = []
        beside: list[Beside] = []
        for _ in session.repeats(f"re-linkage of {count:,} citizens' records, beside plain Splink"):
            _store_pending(session, service)
            runs.append(relink(service))
            beside.append(_beside(session, service, runs[-1], rows))
        _stages(session, runs, beside, count)
        _beside_a_desk(session, service)


def _beside(session: Session, service: Deployment, run: Run, rows: Path) -> Beside:
    """Measure what bounds the parts of a re-linkage."""
    plain = linked_by(session, "splink_stock", rows)
    appended = told_by("ceilings.durable_events", session.scratch, _journal(service), *run.seqs)
    copied = told_by("ceilings.lmdb_copy", service.data, session.scratch)
    return Beside(
        {
            "snapshot": copied["seconds"],
            "epoch_and_model": plain["train"],
            "predict_and_cluster": plain["predict_and_cluster"],
            "commit": appended["seconds"],
        },
        plain["peak_mib"] * 2**20,
        f"{appended['events']:,} events in {appended['transactions']:,} transactions",
    )


def ceiling_of(part: str, records: int) -> str:
    """Return what bounds a part; nothing for training where too few records leave the shipped model as it is."""
    is_left_out = part == "epoch_and_model" and records < ADAPTATION_RECORDS_MIN
    return "" if is_left_out else CEILINGS.get(part, "")


def _journal(service: Deployment) -> Path:
    return service.data / "journal.sqlite"


def _last_seq(service: Deployment) -> int:
    with Journal.open_read_only(_journal(service)) as journal:
        return journal.last_seq


def relink(service: Deployment) -> Run:
    """Plan and commit a re-linkage of all citizens, and return how long each stage took."""
    began_at = _last_seq(service)
    with Client(service.address, actor="bench", purpose="benchmark") as client:
        watch = _StageWatch(service)
        run = client.relink.plan(ClientKind.CITIZEN)
        while run.is_under_way:
            watch.note(run.stage)
            time.sleep(POLL_S)
            run = client.relink.get(run.run_id)
        if run.state.value != "planned":
            raise RuntimeError(f"the re-linkage ended as {run.state.value}: {run.error_reason}")
        run = client.relink.commit(run.run_id)
        while run.is_under_way:
            watch.note("committing")
            time.sleep(POLL_S)
            run = client.relink.get(run.run_id)
        watch.note("")
    return Run(dict(watch.seconds), dict(watch.cpu_s), watch.peak_bytes, (began_at, _last_seq(service)))


class _StageWatch:
    """Adds up wall clock and CPU by stage, as stages follow each other."""

    def __init__(self, service: Deployment) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.peak_bytes = 0
        self._service = service
        self._stage = "starting"
        self._at_s = time.monotonic()
        self._used_s = 0.0

    def note(self, stage: str) -> None:
        """Say which stage it is now."""
        pids = [pid for writer in self._service.writer_pids() for pid in children(writer)]
        pids += [pid for parent in pids for pid in children(parent)]
        used_s = cpu_of_s(pids)
        # Processes that describe records work side by side; a single one's peak is known between looks too.
        self.peak_bytes = max(self.peak_bytes, resident_bytes(pids))
        for pid in pids:
            try:
                self.peak_bytes = max(self.peak_bytes, peak_bytes(pid))
            except OSError:
                continue
        now_s = time.monotonic()
        self.seconds[self._stage] += now_s - self._at_s
        # A process that has ended took its count with it: what it used since the last look is lost.
        self.cpu_s[self._stage] += max(used_s - self._used_s, 0.0)
        self._stage, self._at_s, self._used_s = stage, now_s, used_s


def _store_pending(session: Session, service: Deployment) -> None:
    count = max(round(session.city.row_count * PENDING_SHARE), 50)
    records = [*asking.arrivals(session, count)]
    ingest(service.address, records, outstanding_max=512, resolve=common.RESOLVE_TIME_LATER)


def _stages(session: Session, runs: list[Run], beside: list[Beside], count: int) -> None:
    for part, title in TITLES.items():
        seconds = [run.part_s(part) for run in runs]
        used = sorted(run.part_cpu_s(part) for run in runs)[len(runs) // 2]
        middle = sorted(seconds)[len(seconds) // 2]
        figure = Figure(
            name=f"relink.{part}",
            title=f"Re-linkage of {count:,} citizens' records: {title}",
            unit="s",
            values=seconds,
            is_better_higher=False,
            # The writer commits, among all else that it does.
            cost=None
            if part == "commit"
            else Cost(
                Usage(0.0, None, used / middle if middle else 0.0, None), {"process": round(used / count * 1e6, 1)}
            ),
        )
        figure.ceiling = ceiling_of(part, count)
        if figure.ceiling:
            figure.ceiling_values = [each.seconds[part] for each in beside]
        figure.is_judged_by_value = part in {"snapshot", "commit"}
        if part == "commit":
            figure.note = beside[-1].committed
        session.add(figure)
    session.add(
        Figure(
            name="relink.peak_memory",
            title="Re-linkage: the most memory resident at once",
            unit="GB",
            values=[run.peak_bytes / GB for run in runs],
            is_better_higher=False,
            ceiling="plain Splink's",
            ceiling_values=[each.peak_bytes / GB for each in beside],
        )
    )


def _beside_a_desk(session: Session, service: Deployment) -> None:
    mixed = Mixed(session, ADMISSION_DESK)
    quiet: list[Measured] = []
    busy: list[Measured] = []
    seconds = session.options.warm_up_seconds + session.options.measure_seconds
    for number in session.repeats(
        f"admission desk, {DESK_CALLS_PER_S:,.0f} calls a second, quiet and during a re-linkage"
    ):
        _store_pending(session, service)
        quiet.append(session.open(service.server, mixed.calls(DESK_CALLS_PER_S, seconds), DESK_CALLS_PER_S, number))
        calls = mixed.calls(DESK_CALLS_PER_S, DESK_S_MAX)
        spec = session.spec(calls, number, seconds=DESK_S_MAX, rate_per_s=DESK_CALLS_PER_S)
        busy.append(run_load(spec, service.server, meanwhile=lambda: relink(service)))
        if busy[-1].window_s >= DESK_S_MAX:
            session.result.notes.append(f"the desk's load ended after {DESK_S_MAX:,.0f} s, before the re-linkage did")
    session.add_latency(
        "relink.desk_p99",
        "Admission desk during a re-linkage and its commit, p99",
        busy,
        0.99,
        ceiling="the same load when quiet",
        ceiling_runs=quiet,
    ).is_judged_by_value = True
    session.add_distribution("Admission desk, quiet", quiet)
    session.add_distribution("Admission desk during a re-linkage", busy, is_alone=False)
    session.add(
        Figure(
            name="relink.write_stall",
            title="Longest a write waited during a re-linkage and its commit",
            unit="s",
            values=[run.calls["resolve"].latency.quantile_ms(1.0) / 1000 for run in busy],
            is_better_higher=False,
            ceiling="when quiet",
            is_judged_by_value=True,
            ceiling_values=[run.calls["resolve"].latency.quantile_ms(1.0) / 1000 for run in quiet],
        )
    )
