from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mdm.v1 import (
    change_service_pb2,
    erasure_service_pb2,
    explain_service_pb2,
    export_service_pb2,
    golden_record_service_pb2,
    lookup_service_pb2,
    match_service_pb2,
    model_service_pb2,
    registry_service_pb2,
    relink_service_pb2,
    stewardship_service_pb2,
    survivorship_service_pb2,
)

FILES = (
    change_service_pb2,
    erasure_service_pb2,
    explain_service_pb2,
    export_service_pb2,
    golden_record_service_pb2,
    lookup_service_pb2,
    match_service_pb2,
    model_service_pb2,
    registry_service_pb2,
    relink_service_pb2,
    stewardship_service_pb2,
    survivorship_service_pb2,
)


@pytest.mark.parametrize("name", sorted(name for file in FILES for name in file.DESCRIPTOR.services_by_name))
def test_every_service_tells_its_health(channel: grpc.Channel, name: str) -> None:
    request = health_pb2.HealthCheckRequest(service=f"mdm.v1.{name}")
    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
