"""Keeps one writer and N readers serving one data directory on one port."""

from __future__ import annotations

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
from mdm.server import disk_space, metrics, tls
from mdm.server.children import EXIT_DISK_FULL, Child
from mdm.server.frames import RUN_DIRECTORY
from mdm.server.listening import address_of, join_address, parse_address, require_loopback, reserve_port
from mdm.server.logs import configure_logs, logger
from mdm.server.notify import ServiceManager
from mdm.server.options import ChildOptions, ServeOptions, decode_serve_options
from mdm.store.data_directory import DataDirectory

_POLL_S = 0.05
# A writer that is killed while it closes leaves a synced journal and no clean mark: the next start catches up.
_WRITER_CLOSE_S = 30.0


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 0 after a clean end.

    Prints `listening on HOST:PORT` once all processes serve.

    Raises:
        InvalidInputError: An address that cannot be used; nothing was started.
        DataDirectoryError: The directory is in use, of another version, or not ours, or its disk is full; nothing was
            started.
        ConfigurationError: The registries file breaks its schema; nothing was started.
    """
    configure_logs("supervisor")
    # gRPC would write a line that is no JSON for each handshake that fails, such as a port scanner's.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    host, port = parse_address(options.listen, "--listen")
    if options.tls is not None:
        if options.is_insecure:
            raise InvalidInputError(
                "--insecure", "contradicts --tls-certificate; the metrics page has --expose-metrics"
            )
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
            return _Supervisor(options, holder).run()
        finally:
            directory.close()


class _Supervisor:
    """The processes of one service. Everything happens on the main thread; signals only set a flag."""

    def __init__(self, options: ServeOptions, holder: socket.socket) -> None:
        self._options = options
        self._is_stopping = False
        self._is_announced = False
        self._service_manager = ServiceManager()
        self._address = address_of(holder)
        run = options.data / RUN_DIRECTORY
        run.mkdir(mode=0o700, exist_ok=True)
        self._metrics_directory = metrics.prepare(run)
        os.environ[metrics.ENVIRONMENT_VARIABLE] = str(self._metrics_directory)
        self._metrics_address = "off"
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
        """Restart what ended and announce the service; return why it cannot go on, or an empty text."""
        for child in (self._writer, *self._readers):
            pid = child.pid
            status = child.poll()
            if status is not None and pid is not None:
                logger().warning("child_ended", child=child.name, pid=pid, status=status)
                metrics.forget_process(pid, self._metrics_directory)
            if status is not None and self._is_for_want_of_space(status):
                return disk_space.advice(self._options.data)
            if child.is_hopeless:
                return f"{child.name} cannot be kept running; its log lines above say why"
            if child.is_stuck:
                return f"{child.name} did not begin to serve"
            if child.start_if_due():
                logger().info("child_started", child=child.name, pid=child.pid, restarts=child.restart_count)
                if self._restarts is not None and child.restart_count > 0:
                    self._restarts.labels(child.name).inc()
            # Readers need the index that the writer makes ready; until then they load their modules.
            if child is self._writer or self._is_announced or self._writer.is_ready:
                child.release()
        if not self._is_announced and all(child.is_ready for child in (self._writer, *self._readers)):
            self._announce()
        return ""

    def _is_for_want_of_space(self, status: int) -> bool:
        """Return whether a child ended because the disk is full; a mapped page that it cannot hold is a signal."""
        is_broken = status not in {0, -signal.SIGKILL, -signal.SIGTERM}
        return status == EXIT_DISK_FULL or (is_broken and disk_space.is_short(self._options.data))

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
        self._restarts = None
        if self._options.metrics == "off":
            return
        host, port = parse_address(self._options.metrics, "--metrics")
        if not self._options.is_insecure and not self._options.is_metrics_exposed:
            require_loopback(host, "--metrics", "serve it on 127.0.0.1, or pass --expose-metrics")
        try:
            server, self._restarts = metrics.serve_metrics(host, port, self._metrics_directory)
        except OSError as error:
            where = join_address(host, port)
            rule = f"{where} cannot be used: {error.strerror}; name another HOST:PORT, or off"
            raise InvalidInputError("--metrics", rule) from error
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
    try:
        return serve(decode_serve_options(text))
    except MdmError as error:
        sys.stderr.write(f"mdm serve: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
