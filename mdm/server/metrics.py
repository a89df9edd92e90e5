"""Figures for Prometheus. Each process keeps its own in files below the run directory; the supervisor adds them up.

Labels are names of calls, codes, outcomes and processes: never a registry's key, never a person's data.
"""

from __future__ import annotations

import bisect
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

import prometheus_client as prometheus
from prometheus_client import multiprocess

from mdm import stages
from mdm.domain.reviews import QueueState
from mdm.server.service_state import ServiceState, memory_bytes
from mdm.store.counts import RECORD_STATES

if TYPE_CHECKING:
    # Only a reader tells of the store; the supervisor needs none of what matching loads.
    from mdm.resolve.status import StoreStatus

METRICS_DIRECTORY = "metrics"
ENVIRONMENT_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is first imported: set in the environment of the children."""

_LATENCY_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120)
_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

calls = prometheus.Counter("mdm_calls", "Calls ended, by method and gRPC code.", ["method", "code"])
latency = prometheus.Histogram(
    "mdm_call_seconds", "From the handler's start to its end; queueing excluded.", ["method"], buckets=_LATENCY_S
)
_stage_seconds = prometheus.Histogram("mdm_stage_seconds", "Parts of calls.", ["stage"], buckets=_LATENCY_S)
load_operations = prometheus.Counter("mdm_load_operations", "Operations of loads, by outcome.", ["outcome"])
shed = prometheus.Counter("mdm_calls_shed", "Calls refused because all places were taken.", ["kind"])
group_size = prometheus.Histogram("mdm_group_commands", "Commands committed together.", buckets=_GROUP_SIZES)
group_seconds = prometheus.Histogram("mdm_group_seconds", "Time of one group commit.", buckets=_LATENCY_S)
writer_queue = prometheus.Gauge(
    "mdm_writer_queue_commands", "Commands waiting in the writer.", multiprocess_mode="livesum"
)
certificate_expires = prometheus.Gauge(
    "mdm_certificate_expires_timestamp_seconds",
    "When the certificate of a listener ceases to be valid; absent without TLS.",
    ["listener"],
    multiprocess_mode="livemin",
)
writes_refused = prometheus.Gauge(
    "mdm_writes_refused", "1 while writes are refused for want of room.", multiprocess_mode="livemax"
)
checkpoint_failed = prometheus.Gauge(
    "mdm_checkpoint_failed",
    "1 while the last checkpoint of the index was skipped or failed.",
    multiprocess_mode="livemax",
)
applied_seq = prometheus.Gauge("mdm_applied_seq", "Journal position that is applied.", multiprocess_mode="livemax")
lag_events = prometheus.Gauge(
    "mdm_lag_events", "Events that the journal is ahead of the slowest reader.", multiprocess_mode="livemax"
)
records = prometheus.Gauge(
    "mdm_records",
    "Records by registry, kind and state (live, pending, deleted).",
    ["registry", "kind", "state"],
    multiprocess_mode="livemax",
)
golden_ids = prometheus.Gauge(
    "mdm_golden_ids",
    "Golden IDs by kind and state (active, redirected, retired).",
    ["kind", "state"],
    multiprocess_mode="livemax",
)
reviews = prometheus.Gauge(
    "mdm_reviews", "Reviews that are not closed, by queue.", ["queue"], multiprocess_mode="livemax"
)
oldest_review = prometheus.Gauge(
    "mdm_oldest_review_timestamp_seconds",
    "When the oldest of them was opened; 0 if none is.",
    multiprocess_mode="livemax",
)
index_bytes = prometheus.Gauge(
    "mdm_index_bytes", "The index: used by its state, its file, and most (map).", ["what"], multiprocess_mode="livemax"
)
journal_bytes = prometheus.Gauge(
    "mdm_journal_bytes", "The journal: its file and its write-ahead log.", ["what"], multiprocess_mode="livemax"
)
last_event = prometheus.Gauge(
    "mdm_last_event_timestamp_seconds", "When the last event of the journal happened.", multiprocess_mode="livemax"
)
relink_phase = prometheus.Gauge(
    "mdm_relink_phase", "1 for the phase that the last re-linkage is in.", ["phase"], multiprocess_mode="livemax"
)
relink_stage_seconds = prometheus.Gauge(
    "mdm_relink_stage_seconds", "Time that the last re-linkage spent.", ["stage"], multiprocess_mode="livemax"
)
last_backup = prometheus.Gauge(
    "mdm_last_backup_timestamp_seconds",
    "When the last backup was confirmed; 0 if none ever was.",
    multiprocess_mode="livemax",
)


_tallies: list[Tally] = []


class Tally:
    """Figures of one unary call. One thread adds, another publishes: the numbers only grow, so none is lost between."""

    def __init__(self, method: str) -> None:
        """Count under the name `LookupService/Lookup`."""
        self._method = method
        self._latency = latency.labels(method)
        self._counts: dict[str, int] = {}
        self._slots = [0] * (len(_LATENCY_S) + 1)
        self._seconds = 0.0
        self._published: tuple[dict[str, int], list[int], float] = ({}, self._slots.copy(), 0.0)
        _tallies.append(self)

    def add(self, code: str, seconds: float | None) -> None:
        """Count a call that ended; without seconds it never reached its handler."""
        self._counts[code] = self._counts.get(code, 0) + 1
        if seconds is not None:
            self._slots[bisect.bisect_left(_LATENCY_S, seconds)] += 1
            self._seconds += seconds

    def publish(self) -> None:
        """Move what came since the last time to where the supervisor reads it."""
        counts, slots, seconds = self._published
        self._published = self._counts.copy(), self._slots.copy(), self._seconds
        for code, count in self._published[0].items():
            if count > counts.get(code, 0):
                calls.labels(self._method, code).inc(count - counts.get(code, 0))
        gained = [now - before for before, now in zip(slots, self._published[1], strict=True)]
        _add(self._latency, gained, self._published[2] - seconds)


def publish() -> None:
    """Publish what this process has tallied and noted; once a second is enough for a scrape."""
    for tally in _tallies:
        tally.publish()
    slots: dict[str, list[int]] = {}
    seconds: dict[str, float] = {}
    for stage, duration_s in stages.take():
        of_stage = slots.setdefault(stage, [0] * (len(_LATENCY_S) + 1))
        of_stage[bisect.bisect_left(_LATENCY_S, duration_s)] += 1
        seconds[stage] = seconds.get(stage, 0.0) + duration_s
    for stage, gained in slots.items():
        _add(_stage_seconds.labels(stage), gained, seconds[stage])


def _add(histogram: prometheus.Histogram, gained: list[int], seconds: float) -> None:
    # The library offers no way to add many observations at once: these are the two fields that `observe` adds to.
    for slot, count in zip(histogram._buckets, gained, strict=True):  # noqa: SLF001
        if count:
            slot.inc(count)
    histogram._sum.inc(seconds)  # noqa: SLF001


def prepare(run: Path) -> Path:
    """Return an empty directory for the figures of a new start."""
    directory = run / METRICS_DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    return directory


class ServiceFigures:
    """What the supervisor itself counts."""

    def __init__(self, registry: prometheus.CollectorRegistry) -> None:
        """Show it in this registry."""
        self.restarts = prometheus.Counter("mdm_restarts", "Processes started again.", ["process"], registry=registry)
        self.renewals = prometheus.Counter(
            "mdm_index_renewals", "Times that a damaged index was built anew.", registry=registry
        )
        self.read_only = prometheus.Gauge(
            "mdm_read_only", "1 while the writer cannot be kept running and only reads are served.", registry=registry
        )
        self.disk_free = prometheus.Gauge(
            "mdm_disk_free_bytes", "Free space of the disk that holds the data.", registry=registry
        )
        self.process_memory = prometheus.Gauge(
            "mdm_process_memory_bytes", "Memory of each process, mapped files included.", ["process"], registry=registry
        )
        self.process_up = prometheus.Gauge(
            "mdm_process_up", "1 while a process serves.", ["process"], registry=registry
        )

    def show(self, state: ServiceState, disk_free_bytes: int) -> None:
        """Publish the state of the service; once a second is enough."""
        self.read_only.set(int(bool(state.reason)))
        self.disk_free.set(disk_free_bytes)
        for process in state.processes:
            self.process_memory.labels(process.name).set(memory_bytes(process.pid) if process.pid else 0)
            self.process_up.labels(process.name).set(int(process.is_serving and process.pid > 0))


def serve_metrics(host: str, port: int, directory: Path) -> tuple[WSGIServer, ServiceFigures]:
    """Serve the sum of all processes' figures over HTTP; returns the server and the supervisor's own figures.

    Raises:
        OSError: The port is taken.
    """
    registry = prometheus.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=str(directory))
    figures = ServiceFigures(registry)
    server, _ = prometheus.start_http_server(port, addr=host, registry=registry)
    return server, figures


def forget_process(pid: int, directory: Path) -> None:
    """Drop the gauges of a process that ended; its counters stay in the sums."""
    multiprocess.mark_process_dead(pid, path=str(directory))


def show_store(status: StoreStatus) -> None:
    """Publish what the state counts; every few seconds is enough."""
    lag_events.set(status.lag_events_count)
    found = {(each.registry, each.kind.value, each.state): each.count for each in status.records}
    for registry, kind in {(each.registry, each.kind.value) for each in status.records}:
        # A state that nothing is in any more has no count, and its figure would stay as it was.
        for state in RECORD_STATES:
            records.labels(registry, kind, state).set(found.get((registry, kind, state), 0))
    for golden in status.goldens:
        counts = {"active": golden.active_count, "redirected": golden.redirected_count, "retired": golden.retired_count}
        for state, count in counts.items():
            golden_ids.labels(golden.kind.value, state).set(count)
    queues = dict.fromkeys((queue.name.lower() for queue in QueueState), 0)
    for review in status.reviews:
        queues[review.queue] += review.count
    for queue, count in queues.items():
        reviews.labels(queue).set(count)
    oldest_review.set(status.oldest_review_us / 1e6)
    sizes = {"used": status.sizes.used_bytes, "file": status.sizes.file_bytes, "map": status.sizes.map_bytes}
    for what, size in sizes.items():
        index_bytes.labels(what).set(size)
    journal_bytes.labels("file").set(status.journal.file_bytes)
    journal_bytes.labels("wal").set(status.journal.wal_bytes)
    last_event.set(status.journal.last_event_us / 1e6)
    if status.last_relink is not None:
        for phase in type(status.last_relink.phase):
            relink_phase.labels(phase.value).set(int(phase is status.last_relink.phase))
            if not phase.is_final:
                spent_us = status.last_relink.spent_us.get(phase.value, 0)
                relink_stage_seconds.labels(phase.value).set(spent_us / 1e6)
    if status.last_backup is not None:
        last_backup.set(status.last_backup.at_us / 1e6)
