"""What answers on the port while the index is being built: health says NOT_SERVING, the status how far it has come."""

from __future__ import annotations

import select
import sys
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from mdm.errors import UnavailableError
from mdm.server.admin_service import AdminService
from mdm.server.availability import Availability
from mdm.server.errors import status_of
from mdm.server.health_service import HealthService
from mdm.server.logs import logger
from mdm.server.writer_link import WriterLink
from mdm.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server

_LAST_CALLS_S = 0.25


def wait_openly(server: grpc.Server, data: Path, health: HealthService, services: tuple[str, ...]) -> None:
    """Answer by a bound server that nothing is served yet, until the supervisor lets this process go on."""
    link = WriterLink(data)
    Availability(data, link, link, health, services)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    add_AdminServiceServicer_to_server(AdminService(data, None, link), server)
    server.add_generic_rpc_handlers((_NotYet(),))
    server.start()
    logger().info("waiting_openly")
    # The supervisor's next word is read by whoever called.
    _until_told()
    server.stop(_LAST_CALLS_S).wait()
    link.close()


def _until_told() -> None:
    select.select([sys.stdin.fileno()], [], [])


class _NotYet(grpc.GenericRpcHandler):
    """Answers any other call of ours."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Return what refuses the call."""
        del details
        return grpc.stream_stream_rpc_method_handler(_refuse)


def _refuse(_: object, context: grpc.ServicerContext) -> Any:
    error = UnavailableError("the index is being built from the journal; AdminService.GetStatus says how far it is")
    context.abort_with_status(status_of(error, ""))  # type: ignore[arg-type]
