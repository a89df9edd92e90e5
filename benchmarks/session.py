"""One run of suites: its options, its city, the service under test, and the result that gathers."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import grpc
from google.protobuf.message import Message

from benchmarks import data
from benchmarks.data import City
from benchmarks.environment import environment
from benchmarks.figures import FULL, Figure, Result, bound_of, cost_of, statuses_of
from benchmarks.load.generator import Measured, Server, run_load
from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import Call, Encryption, LoadSpec, write_requests
from benchmarks.targets import TARGETS
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from tests.serving import RunningServer, running_server

QUICK_CITIZENS = 20_000
STANDARD_CITIZENS = 450_000
"""Of whose city, with 1.3 million records, everything is promised."""
CONNECTIONS = 4
"""Of a client process to each of several readers: a connection stays with one, and so the kernel's choice evens out."""
CHECKED_RECORDS = 100
"""Looked up first in a service that we did not fill."""
ANSWER_S_MAX = 10.0
OPEN_CALLS_MIN = 10
"""Expected in the window of an open loop: that none is due then happens once in 20,000 runs."""
FOREIGN_CORES_MAX = 0.25
"""CPU that others may use beside a measurement; more is told with the result."""


class Deployment:
    """The service under test: our own on a copy of the store, or one that runs already."""

    def __init__(self, address: str, running: RunningServer | None, encryption: Encryption | None = None) -> None:
        """See `Session.deployment`."""
        self.address = address
        self.running = running
        self.encryption = encryption

    @property
    def server(self) -> Server:
        """Where load goes, with its processes if they are ours."""
        if self.running is None:
            return Server(self.address, encryption=self.encryption)
        return Server(self.address, self.reader_pids, self.writer_pids)

    @property
    def data(self) -> Path:
        """The data directory of our own service."""
        assert self.running is not None
        return self.running.data

    def reader_pids(self) -> list[int]:
        """Return the readers' process ids."""
        return self._pids("reader_process")

    def writer_pids(self) -> list[int]:
        """Return the writer's process id."""
        return self._pids("writer_process")

    def _pids(self, module: str) -> list[int]:
        return [] if self.running is None else self.running.child_pids(module)


class Session:
    """What the suites of one run share."""

    def __init__(self, suites: Sequence[str], options: argparse.Namespace) -> None:
        """Prepare the city; a cached one is used again.

        Raises:
            ValueError: The options contradict each other, or name a directory that is none.
        """
        self.options = options
        self._encryption = _encryption(options)
        self._began_s = time.monotonic()
        options.cache.mkdir(parents=True, exist_ok=True)
        self.city = self._city()
        self.result = Result(
            suites=list(suites),
            environment=environment(options.cache),
            city={"citizens": self.city.citizens, "seed": self.city.seed, "rows": self.city.row_count},
            settings={
                "repeats": options.repeats,
                "readers": options.readers,
                "clients": options.clients,
                "measure_s": options.measure_seconds,
                "warm_up_s": options.warm_up_seconds,
                "grpc_experiments": os.environ.get("GRPC_EXPERIMENTS", ""),
                **({"soak_minutes": options.soak_minutes} if "soak" in suites else {}),
                **({"kills": options.kills} if "recovery" in suites else {}),
                **({"sizes": options.sizes} if "scaling" in suites else {}),
                **({"server": options.server} if options.server else {}),
            },
        )
        self._batches = 0
        # A connection stays with one reader: only of several does each get its share.
        is_shared = options.readers > 1 or options.server
        self._channels = CONNECTIONS * options.readers if is_shared else 1
        if self._encryption is not None:
            self.note("ceilings ran without TLS")
        if options.server:
            self.note("ceilings ran where the clients did, not where the service runs; nothing is judged by them")
            self.note("of a service that somebody else runs no processor time is known, and so no figure a core")
        if self.city.citizens < STANDARD_CITIZENS:
            self.note(f"what is promised is promised of {STANDARD_CITIZENS:,} citizens, not {self.city.citizens:,}")
        self._foreign_cores: list[float] = []
        self.scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=options.cache)).resolve()

    def __enter__(self) -> Self:
        """Remove the scratch files at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the scratch files, and say how quiet the machine was."""
        disturbed = [cores for cores in self._foreign_cores if cores > FOREIGN_CORES_MAX]
        # A service that we did not start, on this machine, is among the others.
        if disturbed and not self.options.server:
            self.note(
                f"the machine was not quiet: others used up to {max(disturbed):.1f} cores in {len(disturbed)} of "
                f"{len(self._foreign_cores)} measurements; CPU for each operation is steadier than rates"
            )
        shutil.rmtree(self.scratch, ignore_errors=True)

    def say(self, text: str) -> None:
        """Tell whoever watches what is going on."""
        print(f"{time.monotonic() - self._began_s:7.1f} s  {text}", file=sys.stderr, flush=True)

    def repeats(self, title: str) -> Iterator[int]:
        """Yield the number of each repeat, saying so."""
        for number in range(self.options.repeats):
            self.say(f"{title}, {number + 1} of {self.options.repeats}")
            yield number

    @cached_property
    def store(self) -> Path:
        """The data directory that is copied for each suite: built, or adopted from --data, at first use."""
        if self.options.data:
            return data.adopted_store(self.options.cache, self.options.data, self.say)
        return data.prepared_store(self.options.cache, self.city, self.say)

    @contextmanager
    def deployment(
        self, *, is_writing: bool = False, is_empty: bool = False, grace_s: float = 2.0
    ) -> Iterator[Deployment]:
        """Yield a service on a fresh copy of the store, or on an empty directory; with --server, the one that runs.

        Raises:
            ValueError: The suite writes, and the service is somebody's; or it does not answer, or lacks the city.
        """
        if self.options.server:
            if is_writing or is_empty:
                raise ValueError("this suite writes records; a running service is only read (leave --server out)")
            deployment = Deployment(self.options.server, None, self._encryption)
            self._check_holds_city(deployment.server)
            yield deployment
            return
        directory = self.scratch / f"data-{time.monotonic_ns()}"
        if not is_empty:
            self.say("copying the store")
            data.copied(self.store, directory)
        try:
            with running_server(
                directory, workers=self.options.readers, start_s_max=data.START_S_MAX, grace_s=grace_s
            ) as running:
                deployment = Deployment(running.address, running)
                if self.options.data and not is_empty:
                    self._check_holds_city(deployment.server)
                yield deployment
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _check_holds_city(self, server: Server) -> None:
        """Refuse a service that lacks the city's records: searching for nobody would be measured, and faster."""
        keys = [record.key for record in self.city.records("hospital.patients", CHECKED_RECORDS)]
        request = lookup.BatchLookupRequest(
            registry="hospital",
            entity_kind=common.ENTITY_KIND_CITIZEN,
            record_ids=[key.record_id for key in keys],
        )
        with server.channel() as channel:
            try:
                answer = LookupServiceStub(channel).BatchLookup(request, timeout=ANSWER_S_MAX)
            except grpc.RpcError as error:
                raise ValueError(f"{server.address} does not answer lookups: {error.code().name}") from error
        lacking = list(answer.statuses).count(common.RECORD_STATUS_NOT_FOUND)
        if lacking:
            counts = f"{lacking} of {len(keys)}"
            raise ValueError(f"{server.address} lacks {counts} of the city's patients: is --city its city?")

    def batch(self) -> str:
        """Return what makes the record ids of one batch differ from those of every other."""
        self._batches += 1
        return f"{self._batches}"

    def requests(self, name: str, messages: Iterable[Message | bytes]) -> str:
        """Write requests for the clients and return the file's path."""
        path = self.scratch / f"{name}.requests"
        bodies = (each if isinstance(each, bytes) else each.SerializeToString() for each in messages)
        if not write_requests(path, bodies):
            raise ValueError(f"the city is too small: there is nothing to ask for {name}")
        return str(path)

    def closed(self, server: Server, calls: Sequence[Call], outstanding: int, seed: int = 0) -> Measured:
        """Run a closed loop of so many calls under way."""
        spec = self.spec(calls, seed, outstanding=outstanding, channels=self._channels)
        return run_load(spec, server, self.processes(calls, outstanding))

    def in_turns(
        self, title: str, servers: Sequence[Server], calls: Callable[[Server], Sequence[Call]], outstanding: int
    ) -> list[list[Measured]]:
        """Run a closed loop on one server after the other in each repeat; return each server's runs, in their order.

        Args:
            title: Of the repeats.
            servers: What is measured, and its ceilings.
            calls: Gives the calls of one run.
            outstanding: Calls under way.
        """
        runs: list[list[Measured]] = [[] for _ in servers]
        for number in self.repeats(title):
            for server, found in zip(servers, runs, strict=True):
                found.append(self.closed(server, calls(server), outstanding, number))
        return runs

    def open(
        self,
        server: Server,
        calls: Sequence[Call],
        rate_per_s: float,
        seed: int = 0,
        arrivals: Literal["poisson", "even"] = "poisson",
        connections: int = 0,
    ) -> Measured:
        """Run an open loop of so many calls a second, over this session's number of connections or another."""
        channels = connections or self._channels
        # A window without a call would measure nothing; it comes of a closed loop that answered little in a short one.
        least_per_s = OPEN_CALLS_MIN / self.options.measure_seconds
        if rate_per_s < least_per_s:
            self.note(f"an open loop of {rate_per_s:,.1f} calls a second was run at {least_per_s:,.0f}, the fewest")
        spec = self.spec(calls, seed, rate_per_s=max(rate_per_s, least_per_s), channels=channels, arrivals=arrivals)
        return run_load(spec, server, self.processes(calls))

    def processes(self, calls: Sequence[Call], most: int = sys.maxsize) -> int:
        """Return how many client processes send calls: one alone where each request is to be sent once."""
        if self.options.clients > 1 and any(call.is_consumed for call in calls):
            self.note("loads that store records have one client process, for each record is to be sent once")
            return 1
        return min(int(self.options.clients), most)

    def spec(self, calls: Sequence[Call], seed: int, *, seconds: float = 0.0, **more: Any) -> LoadSpec:
        """Return a load of this session's length or another; its address is filled in where it is sent."""
        return LoadSpec(
            address="",
            calls=tuple(calls),
            seed=self.options.seed * 100 + seed,
            warm_up_s=self.options.warm_up_seconds,
            measure_s=seconds or self.options.measure_seconds,
            **more,
        )

    def add(self, figure: Figure) -> None:
        """Put a figure into the result, with what was promised of it."""
        target = TARGETS.get(figure.name)
        is_foreign = bool(self.options.server) and target is not None and target.on == "ratio"
        figure.target = None if is_foreign else target
        self.result.figures.append(figure)

    def add_rate(
        self,
        name: str,
        title: str,
        runs: Sequence[Measured],
        *,
        unit: str = "calls/s",
        operations: int = 1,
        ceiling: str = "",
        ceiling_runs: Sequence[Measured] = (),
    ) -> Figure:
        """Put the rate of runs into the result, with CPU, statuses, who was full, and its ceiling."""
        figure = Figure(
            name=name,
            title=title,
            unit=unit,
            values=[run.rate_per_s * operations for run in runs],
            ceiling=ceiling,
            ceiling_values=[run.rate_per_s * operations for run in ceiling_runs],
            ceiling_cpu_us=cost_of(ceiling_runs, operations).us_per_operation.get("readers") if ceiling_runs else None,
            cost=cost_of(runs, operations),
            bound_by=bound_of(runs, self.options.readers),
            statuses=statuses_of(runs),
        )
        self.add(figure)
        self.check(title, runs)
        if ceiling_runs:
            # One that failed, or that its clients held back, flatters the ratio.
            self.check(ceiling, ceiling_runs)
        return figure

    def add_per_core(self, name: str, title: str, runs: Sequence[Measured], *, unit: str, operations: int = 1) -> None:
        """Put the rate for each core that the readers used into the result, if their CPU is known."""
        values = [run.rate_per_s * operations / run.usage.reader_cores for run in runs if run.usage.reader_cores]
        if values:
            self.add(Figure(name=name, title=title, unit=unit, values=values))

    def add_latency(
        self,
        name: str,
        title: str,
        runs: Sequence[Measured],
        share: float,
        *,
        ceiling: str = "",
        ceiling_runs: Sequence[Measured] = (),
    ) -> Figure:
        """Put a quantile of the latency into the result, and all of the latency into the report's chart."""
        figure = Figure(
            name=name,
            title=title,
            unit="ms",
            is_better_higher=False,
            values=[run.latency.quantile_ms(share) for run in runs],
            ceiling=ceiling,
            ceiling_values=[run.latency.quantile_ms(share) for run in ceiling_runs],
            cost=cost_of(runs),
            bound_by=bound_of(runs, self.options.readers),
            statuses=statuses_of(runs),
        )
        self.add(figure)
        return figure

    def add_distribution(self, title: str, runs: Sequence[Measured], *, is_alone: bool = True) -> None:
        """Put the latencies of runs into the report's chart, and what a reader must know of them into the notes.

        Args:
            title: What was measured.
            runs: All repeats.
            is_alone: Whether the machine was to be quiet but for client, readers and writer.
        """
        self.check(title, runs, is_alone=is_alone)
        self.result.latencies[title] = Histogram.merged(run.latency for run in runs)

    def check(self, title: str, runs: Sequence[Measured], *, is_alone: bool = True) -> None:
        """Note calls that failed, clients that were the bottleneck, and how quiet the machine was."""
        failed = sum(run.failed_count for run in runs)
        if failed:
            self.note(f"{title}: {failed:,} calls were not answered with OK: {statuses_of(runs)}")
        held_back = [run.client_bound for run in runs if run.client_bound]
        if len(held_back) * 2 > len(runs):
            beside = (
                "not only the service but also"
                if bound_of(runs, self.options.readers) in FULL
                else "not the service but"
            )
            self.note(f"{title}: {beside} the client: {held_back[0]}")
        if is_alone:
            self._foreign_cores += [cores for run in runs if (cores := run.usage.foreign_cores) is not None]

    def note(self, text: str) -> None:
        """Tell readers of the result what they must know, once."""
        if text not in self.result.notes:
            self.result.notes.append(text)

    def _city(self) -> City:
        options = self.options
        if options.city:
            return data.city_in(options.city, options.size or data.citizens_in(options.city), options.seed)
        if options.data or options.server:
            raise ValueError("--data and --server need --city: the feeds that the service holds")
        return data.prepared_city(options.cache, options.size or QUICK_CITIZENS, options.seed, self.say)


def _encryption(options: argparse.Namespace) -> Encryption | None:
    said = (options.tls_ca, options.tls_certificate, options.tls_key, options.tls_server_name)
    if not options.server or not any(said):
        return None
    if not options.tls_ca:
        raise ValueError("--tls-ca is needed where another of the TLS options is given")
    if bool(options.tls_certificate) != bool(options.tls_key):
        raise ValueError("--tls-certificate and --tls-key go together: name both or neither")
    for file in filter(None, said[:3]):
        if not Path(file).is_file():
            raise ValueError(f"{file} is no file")
    return Encryption(*said)


Suite = Callable[[Session], None]
"""Measures, and puts what it found into the session's result."""
