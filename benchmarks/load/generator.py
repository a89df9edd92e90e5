"""Starts client processes, lets them begin together, and puts together what they measured."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import grpc
import msgspec

from benchmarks.load.client import READY
from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import CallCounts, ClientReport, Encryption, LoadSpec
from benchmarks.processes import Usage, cpu_of_s, machine_cpu_s
from mdm_client import Tls

_ROOT = Path(__file__).resolve().parents[2]
_LEAD_S = 0.05
_CORES_BOUND = 0.9
"""A client process that uses more of its one core than this could not have sent more."""
_LATE_MS_MAX = 1.0
_LATE_SHARE_MAX = 0.2
"""Calls sent late count as slow. More than this of the p99, and more than a millisecond, is the client's slowness."""


class Server(NamedTuple):
    """Where a load goes, and whose CPU is read beside it."""

    address: str
    reader_pids: Callable[[], Sequence[int]] | None = None
    writer_pids: Callable[[], Sequence[int]] | None = None
    encryption: Encryption | None = None

    def channel(self) -> grpc.Channel:
        """Return a new connection of gRPC's own client.

        Raises:
            mdm_client.TlsFileError: A file of the encryption cannot be read.
        """
        # Not one that other channels to the same server use too.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if self.encryption is None:
            return grpc.insecure_channel(self.address, options)
        name = self.encryption.server_name
        more = [("grpc.ssl_target_name_override", name)] if name else []
        return grpc.secure_channel(self.address, tls_of(self.encryption).credentials(), [*options, *more])


def tls_of(encryption: Encryption) -> Tls:
    """Return what the SDK takes."""
    return Tls(encryption.ca, encryption.certificate or None, encryption.key or None, encryption.server_name)


class Measured(NamedTuple):
    """What a load found, over all its client processes."""

    calls: Mapping[str, CallCounts]
    lateness: Histogram
    usage: Usage
    window_s: float
    unsent_count: int
    client_cores_max: float
    """Of the busiest client process."""

    @property
    def latency(self) -> Histogram:
        """Of calls of all kinds."""
        return Histogram.merged(each.latency for each in self.calls.values())

    @property
    def statuses(self) -> dict[str, int]:
        """Status code → calls of all kinds."""
        counts: Counter[str] = Counter()
        for each in self.calls.values():
            counts.update(each.statuses)
        return dict(counts)

    @property
    def failed_count(self) -> int:
        """Calls that were not answered with OK."""
        return sum(count for status, count in self.statuses.items() if status != "OK")

    @property
    def rate_per_s(self) -> float:
        """Calls answered with OK in each second."""
        return sum(each.completed_count for each in self.calls.values()) / self.window_s

    @property
    def client_bound(self) -> str:
        """Why the figures are the clients' and not the service's; empty if they are the service's."""
        if self.unsent_count:
            return f"{self.unsent_count:,} calls that were due were never sent"
        if self.client_cores_max > _CORES_BOUND:
            return f"a client process used {self.client_cores_max:.2f} cores"
        return lateness_of(self.lateness, self.latency)

    def cpu_us_per_call(self) -> dict[str, float]:
        """Return the CPU time that each side took for one call answered with OK, in microseconds."""
        rate = self.rate_per_s
        usage = self.usage
        sides = {"client": usage.client_cores, "readers": usage.reader_cores, "writer": usage.writer_cores}
        return {name: round(cores / rate * 1e6, 1) for name, cores in sides.items() if cores is not None and rate}


def lateness_of(lateness: Histogram, latency: Histogram) -> str:
    """Return how late a client sent, if that is much of what it measured; empty if not."""
    late_ms, p99_ms = lateness.quantile_ms(0.99), latency.quantile_ms(0.99)
    is_late = late_ms > max(_LATE_MS_MAX, _LATE_SHARE_MAX * p99_ms)
    return f"the p99 of what it sent left {late_ms:.1f} ms late" if is_late else ""


def split(spec: LoadSpec, processes: int) -> list[LoadSpec]:
    """Return each client process's part: the rate and the outstanding calls are shared out, and each draws its own."""
    return [
        msgspec.structs.replace(
            spec,
            seed=spec.seed * 1000 + number,
            rate_per_s=spec.rate_per_s / processes,
            outstanding=spec.outstanding // processes + (number < spec.outstanding % processes),
        )
        for number in range(processes)
    ]


def run_load(
    spec: LoadSpec, server: Server, processes: int = 1, *, meanwhile: Callable[[], object] | None = None
) -> Measured:
    """Let clients send, and return what they and /proc found within the window.

    Args:
        spec: The whole load; its address is the server's.
        server: Where to.
        processes: Client processes.
        meanwhile: Called when the window begins; the window ends when it returns, at the latest after `measure_s`.

    Raises:
        RuntimeError: A client failed, or several would send what is to be sent once.
    """
    if processes > 1 and any(call.is_consumed for call in spec.calls):
        raise RuntimeError("requests that are sent once need a single client process")
    addressed = msgspec.structs.replace(spec, address=server.address, encryption=server.encryption)
    clients = [_start(each) for each in split(addressed, processes)]
    try:
        for client in clients:
            _expect_ready(client)
        start_s = time.monotonic() + _LEAD_S
        for client in clients:
            _tell(client, repr(start_s))
        _sleep_until(start_s + spec.warm_up_s)
        watch = Watch(server)
        if meanwhile is None:
            _sleep_until(start_s + spec.warm_up_s + spec.measure_s)
        else:
            meanwhile()
            for client in clients:
                # One whose window has ended by itself is gone, or about to go.
                with suppress(BrokenPipeError):
                    _tell(client, "stop")
        watch.end()
        reports = [_report(client) for client in clients]
    finally:
        for client in clients:
            client.kill()
            # Leaving the block waits for the end and closes the pipes; what was not read of one that is gone is lost.
            with suppress(BrokenPipeError), client:
                pass
    return _put_together(reports, watch)


class Watch:
    """CPU of a server's processes and of the machine, from its making until `end`."""

    def __init__(self, server: Server) -> None:
        """Begin."""
        self._server = server
        self._before = self._after = _reading(server)

    def end(self) -> None:
        """End."""
        self._after = _reading(self._server)

    @property
    def took_s(self) -> float:
        """Seconds from begin to end."""
        return max(self._after.at_s - self._before.at_s, 1e-9)

    def usage(self, client_cpu_s: float) -> Usage:
        """Return who used how many cores.

        Args:
            client_cpu_s: CPU time of all clients in between.
        """
        before, after, took_s = self._before, self._after, self.took_s

        def cores(first: float | None, last: float | None) -> float | None:
            return None if first is None or last is None else max(last - first, 0.0) / took_s

        readers, writer = cores(before.readers_s, after.readers_s), cores(before.writer_s, after.writer_s)
        clients = client_cpu_s / took_s
        busy = (after.machine_s - before.machine_s) / took_s
        return Usage(clients, readers, writer, max(busy - clients - (readers or 0.0) - (writer or 0.0), 0.0))


def _start(spec: LoadSpec) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.load.client", msgspec.json.encode(spec).decode()]
    return subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _expect_ready(client: subprocess.Popen[str]) -> None:
    assert client.stdout is not None
    line = client.stdout.readline().strip()
    if line != READY:
        raise RuntimeError(f"a client process did not start: {line!r}; its standard error says why")


def _report(client: subprocess.Popen[str]) -> ClientReport:
    out, _ = client.communicate()
    if client.returncode or not out:
        raise RuntimeError(f"a client process ended with {client.returncode}; its standard error says why")
    return msgspec.json.decode(out, type=ClientReport, strict=False)


class _Reading(NamedTuple):
    """CPU seconds at one moment."""

    at_s: float
    machine_s: float
    readers_s: float | None
    writer_s: float | None


def _reading(server: Server) -> _Reading:
    return _Reading(
        time.monotonic(),
        machine_cpu_s(),
        None if server.reader_pids is None else cpu_of_s(server.reader_pids()),
        None if server.writer_pids is None else cpu_of_s(server.writer_pids()),
    )


def _tell(client: subprocess.Popen[str], line: str) -> None:
    assert client.stdin is not None
    client.stdin.write(f"{line}\n")
    client.stdin.flush()


def _sleep_until(moment_s: float) -> None:
    time.sleep(max(moment_s - time.monotonic(), 0))


def _put_together(reports: Sequence[ClientReport], watch: Watch) -> Measured:
    window_s = max(each.window_s for each in reports)
    calls = {
        name: CallCounts(
            Histogram.merged(each.calls[name].latency for each in reports),
            dict(sum((Counter(each.calls[name].statuses) for each in reports), Counter[str]())),
            sum(each.calls[name].completed_count for each in reports),
        )
        for name in reports[0].calls
    }
    return Measured(
        calls,
        Histogram.merged(each.lateness for each in reports),
        watch.usage(sum(each.cpu_s for each in reports)),
        window_s,
        sum(each.unsent_count for each in reports),
        max(each.cpu_s for each in reports) / window_s,
    )
