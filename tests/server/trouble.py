"""What tests of a service in trouble ask of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mdm.v1 import admin_service_pb2 as admin
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.admin_service_pb2_grpc import AdminServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, info_of, key

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
READ_SERVICES = ("", "mdm.v1.LookupService", "mdm.v1.MatchService", "mdm.v1.AdminService")
WRITE_SERVICES = ("mdm.v1.RegistryService", "mdm.v1.StewardshipService", "mdm.v1.RelinkService")

_Found = TypeVar("_Found")


def write(channel: grpc.Channel, record_id: str, name: str = "Lý Thị Sương") -> str:
    """Store a patient and return the golden ID."""
    request = registry.UpsertRecordRequest(record=citizen(record_id, name), request_id=f"id-{record_id}")
    return RegistryServiceStub(channel).UpsertRecord(request, timeout=5).golden_id


def read(channel: grpc.Channel, record_id: str) -> str:
    """Look a patient up and return the golden ID."""
    answer = LookupServiceStub(channel).Lookup(lookup.LookupRequest(key=key(record_id)), timeout=5)
    assert answer.status == common.RECORD_STATUS_FOUND
    return answer.golden_id


def status(channel: grpc.Channel) -> admin.GetStatusResponse:
    """Return the state of the service."""
    return AdminServiceStub(channel).GetStatus(admin.GetStatusRequest(), timeout=5)


def health(channel: grpc.Channel, service: str) -> int:
    """Return what health says of a service."""
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status)


def health_of(channel: grpc.Channel, services: tuple[str, ...]) -> set[int]:
    """Return what health says of several services."""
    return {health(channel, service) for service in services}


def wait_for(found: Callable[[], _Found | None], timeout_s: float = 40.0) -> _Found:
    """Return the first answer that is true; errors of calls count as none."""
    until_s = time.monotonic() + timeout_s
    while True:
        answer = None
        with contextlib.suppress(grpc.RpcError):
            answer = found()
        if answer:
            return answer
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.05)


def reason_of(channel: grpc.Channel, record_id: str) -> str:
    """Return the reason for which a write was refused, empty if it was taken."""
    error = refused(channel, record_id)
    return info_of(error).reason if error is not None else ""


def refused(channel: grpc.Channel, record_id: str) -> grpc.RpcError | None:
    """Return how a write was refused, None if it was taken."""
    try:
        write(channel, record_id)
    except grpc.RpcError as error:
        return error
    return None
