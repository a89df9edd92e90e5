from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.protos.interface import SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_tells_its_health(channel: grpc.Channel, name: str) -> None:
    request = health_pb2.HealthCheckRequest(service=name)
    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
