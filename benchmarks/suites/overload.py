"""Three times more than the service can do: what still gets through, what the rest is told, and is it still healthy?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Self

import grpc
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.figures import Figure
from benchmarks.load.generator import Server
from benchmarks.session import Session
from benchmarks.suites import asking

OUTSTANDING = 16
TIMES_CAPACITY = 3.0
READER_CONNECTIONS = 8
"""Enough for three times the places of a reader at a hundred calls each: on fewer, calls would wait in the clients and
never be refused."""
TIMEOUT_S = 2.0
"""Callers give up within a repeat of the usual length: calls that wait ever longer are then seen to die."""
HEALTH_EVERY_S = 0.1
REFUSED = "RESOURCE_EXHAUSTED"


def measure(session: Session) -> None:
    """Run the suite.

    Matches: on a machine that it shares, a client could not send three times the lookups that a reader answers.
    """
    attributes = asking.matched_attributes(session)
    with session.deployment() as service:
        calls = [msgspec.structs.replace(asking.matches(session, attributes), timeout_s=TIMEOUT_S)]
        connections = READER_CONNECTIONS * session.options.readers
        peak = [session.closed(service.server, calls, OUTSTANDING, n) for n in session.repeats("matches, closed loop")]
        rate = sorted(run.rate_per_s for run in peak)[len(peak) // 2] * TIMES_CAPACITY
        with _HealthWatch(service.server) as health:
            runs = [
                session.open(service.server, calls, rate, number, connections=connections)
                for number in session.repeats(f"matches, {rate:,.0f} a second: three times too many")
            ]
    figure = session.add_rate(
        "overload.goodput",
        "Match, answered while three times too many are sent",
        runs,
        ceiling="peak without overload",
        ceiling_runs=peak,
    )
    figure.is_judged_by_value = True
    other = {status: count for status, count in figure.statuses.items() if status not in {"OK", REFUSED}}
    session.add(
        Figure(
            name="overload.other_statuses",
            title=f"Match under overload, ended neither with OK nor with {REFUSED}",
            unit="calls",
            values=[float(sum(count for name, count in run.statuses.items() if name in other)) for run in runs],
            is_better_higher=False,
            statuses=figure.statuses,
        )
    )
    session.add_latency(
        "overload.p99",
        "Match under overload, p99 of the answered",
        runs,
        0.99,
        ceiling="at the peak without overload",
        ceiling_runs=peak,
    ).is_judged_by_value = True
    session.add(
        Figure(
            name="overload.unhealthy",
            title="Health checks under overload that did not say SERVING",
            unit="checks",
            values=[float(health.answers.total() - health.answers["SERVING"])],
            is_better_higher=False,
            statuses=dict(health.answers),
        )
    )


class _HealthWatch:
    """Asks the standard health service now and then, as a balancer does, on a connection of its own."""

    def __init__(self, server: Server) -> None:
        self.answers: Counter[str] = Counter()
        self._server = server
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        with self._server.channel() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not self._is_stopping.is_set():
                try:
                    status = stub.Check(health_pb2.HealthCheckRequest(), timeout=2).status
                    self.answers[health_pb2.HealthCheckResponse.ServingStatus.Name(status)] += 1
                except grpc.RpcError as error:
                    self.answers[error.code().name] += 1
                time.sleep(HEALTH_EVERY_S)
