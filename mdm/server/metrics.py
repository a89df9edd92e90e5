"""Figures for Prometheus. Each process keeps its own in files below the run directory; the supervisor adds them up.

Labels are names of calls, codes, outcomes and processes: never a registry's key, never a person's data.
"""

from __future__ import annotations

import bisect
import shutil
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import prometheus_client as prometheus
from prometheus_client import multiprocess

METRICS_DIRECTORY = "metrics"
ENVIRONMENT_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is first imported: set in the environment of the children."""

_LATENCY_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120)
_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

calls = prometheus.Counter("mdm_calls", "Calls ended, by method and gRPC code.", ["method", "code"])
latency = prometheus.Histogram(
    "mdm_call_seconds", "From the handler's start to its end; queueing excluded.", ["method"], buckets=_LATENCY_S
)
stages = prometheus.Histogram("mdm_stage_seconds", "Parts of calls: propose, write.", ["stage"], buckets=_LATENCY_S)
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
applied_seq = prometheus.Gauge("mdm_applied_seq", "Journal position that is applied.", multiprocess_mode="livemax")


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
        # The library offers no way to add many observations at once: these are the two fields that `observe` adds to.
        for slot, before, now in zip(self._latency._buckets, slots, self._published[1], strict=True):  # noqa: SLF001
            if now > before:
                slot.inc(now - before)
        self._latency._sum.inc(self._published[2] - seconds)  # noqa: SLF001


def publish() -> None:
    """Publish what this process has tallied; once a second is enough for a scrape."""
    for tally in _tallies:
        tally.publish()


def prepare(run: Path) -> Path:
    """Return an empty directory for the figures of a new start."""
    directory = run / METRICS_DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    return directory


def serve_metrics(host: str, port: int, directory: Path) -> tuple[WSGIServer, prometheus.Counter]:
    """Serve the sum of all processes' figures over HTTP; returns the server and the counter of restarts.

    Raises:
        OSError: The port is taken.
    """
    registry = prometheus.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=str(directory))
    restarts = prometheus.Counter("mdm_restarts", "Processes started again.", ["process"], registry=registry)
    server, _ = prometheus.start_http_server(port, addr=host, registry=registry)
    return server, restarts


def forget_process(pid: int, directory: Path) -> None:
    """Drop the gauges of a process that ended; its counters stay in the sums."""
    multiprocess.mark_process_dead(pid, path=str(directory))
