"""A reader's process: one gRPC server on the shared port, answering from the index and passing writes on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mdm.errors import IndexDamagedError, IndexMismatchError, InvalidInputError, UnavailableError
from mdm.limits import (
    BACKUP_WORKERS,
    CONNECTION_AGE_GRACE_S,
    CONNECTION_AGE_S,
    DEADLINE_BATCH_S_MAX,
    EXPORT_WORKERS,
    REQUEST_BATCH_BYTES_MAX,
    STREAM_WORKERS,
    STREAMS_PER_CONNECTION_MAX,
    WATCH_WORKERS,
)
from mdm.processes import spare_the_collector
from mdm.resolve.reader import Reader
from mdm.server import metrics
from mdm.server.admin_service import AdminService
from mdm.server.availability import Availability
from mdm.server.backup_service import BackupService
from mdm.server.bell import Bell
from mdm.server.change_service import ChangeService
from mdm.server.children import BEAT_S, EXIT_INDEX_DAMAGED, beat, live_as_child, tell_ready
from mdm.server.configuration_service import ConfigurationService
from mdm.server.erasure_service import ErasureService
from mdm.server.errors import watch_for_damage
from mdm.server.explain_service import ExplainService
from mdm.server.export_service import ExportService
from mdm.server.golden_record_service import GoldenRecordService
from mdm.server.health_service import HEALTH_WORKERS, HealthService
from mdm.server.interceptors import Gate
from mdm.server.load_service import LoadService
from mdm.server.logs import configure_logs, log_failure, logger
from mdm.server.lookup_service import LookupService
from mdm.server.match_service import MatchService
from mdm.server.model_service import ModelService
from mdm.server.options import ChildOptions, TlsFiles, decode_child_options
from mdm.server.pools import CountingPool
from mdm.server.registry_service import RegistryService
from mdm.server.relink_service import RelinkService
from mdm.server.self_check import SelfCheck
from mdm.server.stewardship_service import StewardshipService
from mdm.server.survivorship_service import SurvivorshipService
from mdm.server.tls import Certificates
from mdm.server.unary import UnaryCalls
from mdm.server.waiting_room import wait_openly
from mdm.server.writer_link import WriterLink
from mdm.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from mdm.v1.backup_service_pb2_grpc import add_BackupServiceServicer_to_server
from mdm.v1.change_service_pb2_grpc import add_ChangeServiceServicer_to_server
from mdm.v1.configuration_service_pb2_grpc import add_ConfigurationServiceServicer_to_server
from mdm.v1.erasure_service_pb2_grpc import add_ErasureServiceServicer_to_server
from mdm.v1.explain_service_pb2_grpc import add_ExplainServiceServicer_to_server
from mdm.v1.export_service_pb2_grpc import add_ExportServiceServicer_to_server
from mdm.v1.golden_record_service_pb2_grpc import add_GoldenRecordServiceServicer_to_server
from mdm.v1.load_service_pb2_grpc import add_LoadServiceServicer_to_server
from mdm.v1.lookup_service_pb2_grpc import add_LookupServiceServicer_to_server
from mdm.v1.match_service_pb2_grpc import add_MatchServiceServicer_to_server
from mdm.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from mdm.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server
from mdm.v1.relink_service_pb2_grpc import add_RelinkServiceServicer_to_server
from mdm.v1.stewardship_service_pb2_grpc import add_StewardshipServiceServicer_to_server
from mdm.v1.survivorship_service_pb2_grpc import add_SurvivorshipServiceServicer_to_server

SERVICES = tuple(
    f"mdm.v1.{name}Service"
    for name in (
        *("Registry", "Lookup", "Match", "GoldenRecord", "Export", "Relink", "Model", "Change"),
        *("Explain", "Stewardship", "Survivorship", "Erasure", "Configuration", "Backup", "Admin", "Load"),
    )
)
ADMINISTRATION_WORKERS = 2
_ADMINISTRATION_CALLS_MAX = 1024
_LAST_CALLS_S = 0.25
_SHOW_S = 5.0
_OPEN_WAIT_S = 5.0
_RENEWAL_WAIT_S = 60.0
# Above our own bounds, so that a request which is too large gets a documented error.
_RECEIVE_BYTES_MAX = 4 * REQUEST_BATCH_BYTES_MAX
_UNBOUNDED = 2**31 - 1

CHANNEL_OPTIONS = (
    ("grpc.so_reuseport", 1),
    ("grpc.max_receive_message_length", _RECEIVE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_S * 1000),
    ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_S * 1000),
    # A stream that has ended would count against a connection's bound until it is torn down, of which its client can't
    # know: 256 callers on one connection had two calls of three refused as UNAVAILABLE. `UnaryCalls` counts until then.
    ("grpc.http.overload_protection", 0),
    # By default gRPC ends some of a method's waiting calls beyond 1,000 as CANCELLED, which nobody retries. What waits
    # is bounded by the streams of each connection and by deadlines.
    ("grpc.server.max_pending_requests", _UNBOUNDED),
    ("grpc.server.max_pending_requests_hard_limit", _UNBOUNDED),
    # Likewise after 30 s, though a batch may wait for longer.
    ("grpc.server_max_unrequested_time_in_server", int(DEADLINE_BATCH_S_MAX) + 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Agencies' firewalls drop idle connections: clients may ping as often as that, also without calls.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class _ReaderServer:
    """The gRPC server of one process and what it serves from."""

    def __init__(self, options: ChildOptions, reader: Reader, link: WriterLink) -> None:
        self._options = options
        self._reader = reader
        self._link = link
        self._is_stopping = threading.Event()
        self._certificates = _certificates(options.tls) if options.tls is not None else None
        self._bell = Bell(reader.applied_seq)
        streams = CountingPool("stream", STREAM_WORKERS, STREAM_WORKERS)
        watches = CountingPool("watch", WATCH_WORKERS, WATCH_WORKERS)
        administration = CountingPool("administration", ADMINISTRATION_WORKERS, _ADMINISTRATION_CALLS_MAX)
        exports = CountingPool("export", EXPORT_WORKERS, EXPORT_WORKERS)
        backups = CountingPool("backup", BACKUP_WORKERS, BACKUP_WORKERS)
        self._gate = Gate(streams, watches, exports, backups, administration)
        self._server = grpc.server(streams, interceptors=[self._gate], options=CHANNEL_OPTIONS)
        self._unary_calls = UnaryCalls(self._server)
        reader.searches.give_way_to(self._unary_calls.searches_idle)
        self._health = HealthService(ThreadPoolExecutor(HEALTH_WORKERS, thread_name_prefix="health"))
        self._asking = WriterLink(options.data)
        self._availability = Availability(options.data, self._asking, link, self._health, SERVICES)
        self._self_check = SelfCheck(options.data, options.name)
        self._is_damaged = False
        self._shown_s = float("-inf")
        watch_for_damage(self._note_damage)
        self._add_services()

    def stop(self, _signal: int, _frame: object) -> None:
        self._is_stopping.set()

    def run(self) -> None:
        """Serve until stopped, then drain."""
        _bind(self._server, self._options, self._certificates)
        self._self_check.listen(self._server)
        self._unary_calls.start()
        self._availability.look()
        spare_the_collector()
        tell_ready(self._options)
        while not self._is_stopping.wait(BEAT_S):
            self._refresh()
            # In this order: a refresh that hangs is silence, too.
            if self._self_check.is_answered():
                beat(self._options)
        # Balancers that watch health stop sending before the port closes.
        self._health.end()
        # gRPC drops what it has read but not yet started when it stops, and tells the caller CANCELLED, which nobody
        # retries: what is on its way now is refused with a reason to retry instead.
        self._gate.begin_draining()
        self._unary_calls.begin_draining()
        # Watches would go on until the grace is over; their callers resume at another server.
        self._bell.stop()
        time.sleep(_LAST_CALLS_S)
        drained = self._server.stop(self._options.grace_s)
        drained.wait(self._options.grace_s + 1)
        metrics.publish()
        self._link.close()
        self._asking.close()
        logger().info("reader_drained")

    def _refresh(self) -> None:
        try:
            metrics.publish()
            if self._certificates is not None:
                self._certificates.refresh()
            self._availability.look()
            self._reader.refresh()
            self._reader.exporter.sweep()
            self._gate.end_stalled()
            self._health.end_untaken()
            metrics.applied_seq.set(self._reader.applied_seq())
            if time.monotonic() >= self._shown_s + _SHOW_S:
                self._shown_s = time.monotonic()
                metrics.show_store(self._reader.status())
        except IndexDamagedError as error:
            self._end_for_damage(error)
        except Exception as error:  # noqa: BLE001 – the next second tries again; lookups go on from what is open
            log_failure("refresh_failed", error)

    def _note_damage(self, error: IndexDamagedError) -> None:
        """Called on the thread of the call that met it; its caller still gets an answer."""
        if not self._is_damaged:
            self._is_damaged = True
            threading.Timer(_LAST_CALLS_S, self._end_for_damage, (error,)).start()

    def _end_for_damage(self, error: IndexDamagedError) -> None:
        logger().critical("index_damaged", error_type=type(error.__cause__).__name__)
        sys.stderr.flush()
        os._exit(EXIT_INDEX_DAMAGED)

    def _add_services(self) -> None:
        registered = _Registration(self._server, self._unary_calls)
        add_RegistryServiceServicer_to_server(RegistryService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_LookupServiceServicer_to_server(LookupService(self._reader), registered)  # type: ignore[arg-type]
        add_MatchServiceServicer_to_server(MatchService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_GoldenRecordServiceServicer_to_server(GoldenRecordService(self._reader), registered)  # type: ignore[arg-type]
        add_ExportServiceServicer_to_server(ExportService(self._reader), registered)  # type: ignore[arg-type]
        add_RelinkServiceServicer_to_server(RelinkService(self._reader, self._link, self._bell), registered)  # type: ignore[arg-type]
        add_ModelServiceServicer_to_server(ModelService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_ChangeServiceServicer_to_server(ChangeService(self._reader, self._bell), registered)  # type: ignore[arg-type]
        add_ExplainServiceServicer_to_server(ExplainService(self._reader), registered)  # type: ignore[arg-type]
        add_StewardshipServiceServicer_to_server(StewardshipService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_SurvivorshipServiceServicer_to_server(SurvivorshipService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_ErasureServiceServicer_to_server(ErasureService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_ConfigurationServiceServicer_to_server(ConfigurationService(self._reader, self._link), registered)  # type: ignore[arg-type]
        add_BackupServiceServicer_to_server(BackupService(self._reader, self._options.data), registered)  # type: ignore[arg-type]
        add_AdminServiceServicer_to_server(AdminService(self._options.data, self._reader, self._asking), registered)  # type: ignore[arg-type]
        add_LoadServiceServicer_to_server(LoadService(self._reader, self._link), registered)  # type: ignore[arg-type]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._options.is_reflecting:
            names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)


class _Registration:
    """Takes a service's calls once, though the generated code offers them twice, and unary ones for `UnaryCalls`."""

    def __init__(self, server: grpc.Server, unary_calls: UnaryCalls) -> None:
        self._server = server
        self._unary_calls = unary_calls

    def add_generic_rpc_handlers(self, _handlers: Iterable[object]) -> None:
        pass

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        unary = {name: handler for name, handler in handlers.items() if handler.unary_unary is not None}
        self._unary_calls.add(service, unary)
        streams = {name: handler for name, handler in handlers.items() if name not in unary}
        self._server.add_registered_method_handlers(service, streams)


def main(text: str) -> None:
    """Serve as a reader until SIGTERM."""
    options = decode_child_options(text)
    configure_logs(options.name)
    live_as_child(options, lambda: _wait_openly(options))
    with contextlib.closing(_opened(options)) as reader:
        server = _ReaderServer(options, reader, WriterLink(options.data))
        signal.signal(signal.SIGTERM, server.stop)
        server.run()
    sys.stderr.flush()
    # A handler that outlives the grace must not keep the process.
    os._exit(0)


def _bind(server: grpc.Server, options: ChildOptions, certificates: Certificates | None) -> None:
    if certificates is not None:
        server.add_secure_port(options.address, certificates.credentials())
    else:
        server.add_insecure_port(options.address)


def _wait_openly(options: ChildOptions) -> None:
    certificates = _certificates(options.tls) if options.tls is not None else None
    server = grpc.server(ThreadPoolExecutor(ADMINISTRATION_WORKERS), options=CHANNEL_OPTIONS)
    _bind(server, options, certificates)
    wait_openly(server, options.data, HealthService(ThreadPoolExecutor(HEALTH_WORKERS)), SERVICES)


def _certificates(files: TlsFiles) -> Certificates:
    """Take the files up; a reader that starts again in the midst of a renewal waits for its end."""
    until_s = time.monotonic() + _RENEWAL_WAIT_S
    while True:
        try:
            return Certificates(files)
        except (InvalidInputError, OSError):
            if time.monotonic() > until_s:
                raise
            time.sleep(0.1)


def _opened(options: ChildOptions) -> Reader:
    try:
        return _patiently(lambda: Reader.open(options.data))
    except (IndexMismatchError, IndexDamagedError, UnavailableError) as error:
        logger().critical("start_failed", text=str(error))
        sys.stderr.flush()
        sys.exit(EXIT_INDEX_DAMAGED)


def _patiently(opening: Callable[[], Reader]) -> Reader:
    """Open once the writer has made the index; a reader restarted beside a writer that builds it may come early."""
    until_s = time.monotonic() + _OPEN_WAIT_S
    while True:
        try:
            return opening()
        except (UnavailableError, IndexMismatchError):
            # The second also where the writer has put another index in use since its name was read.
            if time.monotonic() > until_s:
                raise
            time.sleep(0.1)
