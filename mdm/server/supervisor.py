"""Keeps one writer and N readers serving one data directory on one port."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from mdm.config import Configuration
from mdm.errors import InvalidInputError, MdmError
from mdm.limits import INDEX_RENEWALS_MAX, READER_SILENT_S_MAX, RESTARTS_WINDOW_S, WRITER_SILENT_S_MAX
from mdm.machine import avoid_slow_instructions
from mdm.server import disk_space, metrics
from mdm.server.children import BACKOFF_S_MAX, BEAT_S, EXIT_DISK_FULL, EXIT_INDEX_DAMAGED, Child
from mdm.server.degradation import Degradation
from mdm.server.frames import RUN_DIRECTORY
from mdm.server.listening import (
    AddressUnavailableError,
    address_of,
    join_address,
    parse_address,
    require_loopback,
    reserve_port,
)
from mdm.server.logs import configure_logs, logger
from mdm.server.notify import ServiceManager
from mdm.server.options import ChildOptions, ServeOptions, decode_serve_options
from mdm.server.service_state import (
    Mode,
    ProcessState,
    ServiceState,
    now_us,
    read_failure,
    read_progress,
    write_progress,
    write_state,
)
from mdm.store.data_directory import DataDirectory
from mdm.store.index import is_whole

_POLL_S = 0.05
_COUNTED_S_MAX = 4 * _POLL_S
# A start that builds no index is over before, but for a machine in trouble.
_WAIT_OPENLY_AFTER_S = 15.0
_CRASHES_SUSPECT = 2
_RENEWALS_WINDOW_S = 3600.0
# A writer that is killed while it closes leaves a synced journal and no clean mark: the next start catches up.
_WRITER_CLOSE_S = 30.0
WITHOUT_EVENT_ENGINE = "-event_engine_client,-event_engine_listener,-event_engine_for_all_other_endpoints"
"""Has the thread that waits for calls read and write the connections itself. With gRPC's event engine other threads do,
and wake it: a lookup then takes the reader 1.3 to 2 times as much processor time."""


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 0 after a clean end.

    Prints `listening on HOST:PORT` once all processes serve.

    Raises:
        InvalidInputError: An address or a TLS file that is refused; nothing was started.
        AddressUnavailableError: An address that cannot be had now; nothing was started.
        DataDirectoryError: The directory is in use, of another version, or not ours, or its disk is full; nothing was
            started.
        ConfigurationError: The registries file breaks its schema; nothing was started.
    """
    configure_logs("supervisor")
    # gRPC would write a line that is no JSON for each handshake that fails, such as a port scanner's.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("GRPC_EXPERIMENTS", WITHOUT_EVENT_ENGINE)
    host, port = parse_address(options.listen, "--listen")
    if options.tls is not None:
        if options.is_insecure:
            raise InvalidInputError(
                "--insecure", "contradicts --tls-certificate; the metrics page has --expose-metrics"
            )
        # Here, for gRPC takes 0.1 s to load, and a service without TLS has no need of it.
        from mdm.server import tls  # noqa: PLC0415

        tls.check(options.tls)
    elif not options.is_insecure:
        require_loopback(
            host,
            "--listen",
            "listen on 127.0.0.1, pass --tls-certificate and --tls-key, or --insecure if the network protects it",
        )
    Configuration.load(options.registries)
    disk_space.require(options.data)
    with contextlib.closing(reserve_port(host, port)) as holder:
        directory = DataDirectory.open(options.data, create=True, exclusive=True)
        try:
            return _Supervisor(options, holder, directory).run()
        finally:
            directory.close()


class _Supervisor:
    """The processes of one service. Everything happens on the main thread; signals only set a flag."""

    def __init__(self, options: ServeOptions, holder: socket.socket, directory: DataDirectory) -> None:
        self._options = options
        self._directory = directory
        self._is_stopping = False
        self._is_announced = False
        self._service_manager = ServiceManager()
        self._is_index_ready = False
        self._index_loss = ""
        self._renewed_s: collections.deque[float] = collections.deque(maxlen=INDEX_RENEWALS_MAX)
        self._crashed_s: collections.deque[float] = collections.deque(maxlen=_CRASHES_SUSPECT)
        self._degradation = Degradation(options.retry_s)
        self._is_for_space = False
        self._failure = ""
        self._started_us = now_us()
        self._published: ServiceState | None = None
        self._tended_s = time.monotonic()
        self._shown_s = float("-inf")
        self._address = address_of(holder)
        run = options.data / RUN_DIRECTORY
        run.mkdir(mode=0o700, exist_ok=True)
        write_progress(options.data, None)
        read_failure(options.data)
        self._metrics_directory = metrics.prepare(run)
        os.environ[metrics.ENVIRONMENT_VARIABLE] = str(self._metrics_directory)
        self._metrics_address = "off"
        self._figures: metrics.ServiceFigures | None = None
        self._serve_metrics()
        common = ChildOptions(
            name="writer",
            data=options.data.resolve(),
            parent_pid=os.getpid(),
            ready_fd=-1,
            address=self._address,
            is_reflecting=options.is_reflecting,
            tls=options.tls,
            registries=options.registries.resolve() if options.registries else None,
            grace_s=options.grace_s,
        )
        self._writer = Child("mdm.server.writer_process", common)
        self._readers = [
            Child("mdm.server.reader_process", msgspec.structs.replace(common, name=f"reader-{index}"))
            for index in range(options.reader_count)
        ]
        self._children = (self._writer, *self._readers)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        failure = ""
        try:
            while not self._is_stopping and not failure:
                failure = self._tend()
                self._service_manager.alive()
                time.sleep(_POLL_S)
        finally:
            self._service_manager.stopping()
            self._end_children()
        if failure:
            sys.stderr.write(f"mdm serve: {failure}\n")
            return 1
        logger().info("stopped")
        return 0

    def _tend(self) -> str:
        """Restart what ended or hangs and announce the service; return why it cannot go on, or an empty text."""
        now_s = time.monotonic()
        # While this process did not run itself, as on a machine that slept, nobody's silence counts.
        elapsed_s, self._tended_s = min(now_s - self._tended_s, _COUNTED_S_MAX), now_s
        for child in self._children:
            child.listen(elapsed_s)
            failure = self._note_end(child)
            if failure:
                return failure
            self._end_if_hung(child)
        if self._index_loss and (failure := self._renew_index()):
            return failure
        for child in self._children:
            self._start(child)
        if self._writer.is_ready:
            self._is_index_ready = True
            if self._degradation.reason:
                logger().warning("writes_served_again", after=self._degradation.reason)
                self._degradation.end()
        if not self._is_announced and all(child.is_ready for child in self._children):
            self._announce()
        self._publish()
        return ""

    def _note_end(self, child: Child) -> str:
        """Note that a child ended, if it did; return why the service cannot go on."""
        pid = child.pid
        status = child.poll()
        if status is None or pid is None:
            return f"{child.name} did not begin to serve" if child.is_stuck else ""
        logger().warning("child_ended", child=child.name, pid=pid, status=status)
        metrics.forget_process(pid, self._metrics_directory)
        if child is self._writer:
            # Of each death, so that a later one is not put down to the cause of this one.
            self._failure = read_failure(self._options.data)
        is_full = self._is_for_want_of_space(status)
        if is_full and not self._is_announced:
            return disk_space.advice(self._options.data)
        if not is_full and self._is_for_damage(status):
            self._index_loss = f"{child.name} ended with status {status}"
            return ""
        is_hopeless = child.is_hopeless
        if child is not self._writer:
            if is_full:
                child.rest(BACKOFF_S_MAX)
            return f"{child.name} cannot be kept running; its log lines above say why" if is_hopeless else ""
        is_failed = self._degradation.fails_trial(is_killed=child.was_killed)
        if not (is_full or is_hopeless or self._degradation.reason or is_failed):
            return ""
        if not self._is_announced:
            return f"{child.name} cannot be kept running; its log lines above say why" if is_hopeless else ""
        self._read_only(status, is_full=is_full)
        return ""

    def _read_only(self, status: int, *, is_full: bool) -> None:
        """Go on with reads alone; the writer is tried again later, or when there is space."""
        cause = self._failure or f"exit status {status}"
        reason = disk_space.advice_running(self._options.data) if is_full else f"the writer failed: {cause}"
        delay_s = self._degradation.begin(reason)
        # A quota is full without the disk being so: nothing tells of its end but another try.
        self._is_for_space = is_full and disk_space.is_short(self._options.data)
        if self._is_for_space:
            delay_s = 0.0
        self._writer.rest(delay_s)
        logger().critical("reads_only", reason=reason, next_try_s=delay_s)

    def _start(self, child: Child) -> None:
        if child is self._writer and self._degradation.reason and self._is_for_space:
            if disk_space.is_short(self._options.data):
                return
            self._is_for_space = False
        if child.start_if_due():
            logger().info("child_started", child=child.name, pid=child.pid, restarts=child.restart_count)
            if self._figures is not None:
                # From 0 on: to Prometheus an increase from nothing to 1 is none.
                self._figures.restarts.labels(child.name).inc(int(child.restart_count > 0))
        # Readers need the index that the writer makes ready; until then they load their modules.
        if child is self._writer or self._is_index_ready:
            child.release()
        elif read_progress(self._options.data) is not None:
            child.wait_openly()
        else:
            child.wait_openly(_WAIT_OPENLY_AFTER_S)

    def _end_if_hung(self, child: Child) -> None:
        default_s = WRITER_SILENT_S_MAX if child is self._writer else READER_SILENT_S_MAX
        if child.silent_s > (self._options.silent_s_max or default_s):
            logger().critical("child_hung", child=child.name, pid=child.pid, silent_s=round(child.silent_s, 1))
            child.testify()
            child.kill()

    def _is_for_want_of_space(self, status: int) -> bool:
        """Return whether a child ended because the disk is full; a mapped page that it cannot hold is a signal."""
        is_broken = status not in {0, -signal.SIGKILL, -signal.SIGTERM}
        return status == EXIT_DISK_FULL or (is_broken and disk_space.is_short(self._options.data))

    def _is_for_damage(self, status: int) -> bool:
        """Return whether a child ended because the index is damaged; a mapped page that is missing is a signal."""
        if status == EXIT_INDEX_DAMAGED:
            return True
        if status not in {-signal.SIGBUS, -signal.SIGSEGV}:
            return False
        self._crashed_s.append(time.monotonic())
        current = self._directory.generations.current()
        if current is None or not is_whole(current):
            return True
        is_often = len(self._crashed_s) == _CRASHES_SUSPECT
        return is_often and self._crashed_s[-1] - self._crashed_s[0] < RESTARTS_WINDOW_S

    def _renew_index(self) -> str:
        """Have the writer build the index from the journal; readers say on the port that nothing is served."""
        loss, self._index_loss = self._index_loss, ""
        now_s = time.monotonic()
        is_often = len(self._renewed_s) == INDEX_RENEWALS_MAX and now_s - self._renewed_s[0] < _RENEWALS_WINDOW_S
        if is_often:
            return "the index is damaged again and again: check the disk and the memory of this machine"
        self._renewed_s.append(now_s)
        self._crashed_s.clear()
        logger().critical("index_lost", cause=loss, then="built anew from the journal")
        # At once, so that nobody leaves the mark that the index is clean.
        for child in self._children:
            child.kill()
            child.poll()
            child.rest(0.0)
        self._directory.generations.distrust()
        self._is_index_ready = False
        if self._figures is not None:
            self._figures.renewals.inc()
        return ""

    def _publish(self) -> None:
        """Tell whoever looks, if anything changed."""
        mode = Mode.READ_ONLY if self._degradation.reason else Mode.SERVING
        state = ServiceState(
            self._started_us,
            mode if self._is_announced and self._is_index_ready else Mode.STARTING,
            self._degradation.reason,
            (
                ProcessState("supervisor", os.getpid(), self._started_us, 0, is_serving=True),
                *(
                    ProcessState(
                        child.name,
                        child.pid or 0,
                        child.since_us,
                        max(0, child.restart_count),
                        is_serving=child.is_ready,
                    )
                    for child in self._children
                ),
            ),
        )
        if state != self._published and write_state(self._options.data, state):
            self._published = state
        if self._figures is not None and self._tended_s >= self._shown_s + BEAT_S:
            self._shown_s = self._tended_s
            self._figures.show(state, disk_space.free_bytes(self._options.data))

    def _announce(self) -> None:
        self._is_announced = True
        if self._options.ready_file is not None:
            _write_whole(
                self._options.ready_file, json.dumps({"address": self._address, "metrics": self._metrics_address})
            )
        self._service_manager.ready(self._address)
        sys.stdout.write(f"listening on {self._address}\n")
        sys.stdout.flush()

    def _serve_metrics(self) -> None:
        if self._options.metrics == "off":
            return
        host, port = parse_address(self._options.metrics, "--metrics")
        if not self._options.is_insecure and not self._options.is_metrics_exposed:
            require_loopback(host, "--metrics", "serve it on 127.0.0.1, or pass --expose-metrics")
        try:
            server, self._figures = metrics.serve_metrics(host, port, self._metrics_directory)
        except OSError as error:
            where = join_address(host, port)
            rule = f"{where} cannot be used: {error.strerror}; name another HOST:PORT, or off"
            raise AddressUnavailableError("--metrics", rule) from error
        self._metrics_address = join_address(host, server.server_port)

    def _stop(self, _signal: int, _frame: object) -> None:
        self._is_stopping = True

    def _end_children(self) -> None:
        # Readers first: what they have taken on still needs the writer.
        for reader in self._readers:
            reader.stop()
        deadline_s = time.monotonic() + self._options.grace_s + 5
        for reader in self._readers:
            reader.wait(max(0.1, deadline_s - time.monotonic()))
        self._writer.stop()
        status = self._writer.wait(_WRITER_CLOSE_S)
        if status:
            logger().warning("writer_ended_without_clean_mark", status=status)


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def main(text: str) -> int:
    """Serve with options as JSON, for those who embed the service; `mdm serve` is for people."""
    avoid_slow_instructions()
    try:
        return serve(decode_serve_options(text))
    except MdmError as error:
        sys.stderr.write(f"mdm serve: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
