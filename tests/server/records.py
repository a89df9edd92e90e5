"""Records and stubs that the tests of the server share."""

from __future__ import annotations

from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from mdm.v1 import common_pb2 as common
from mdm.v1 import registry_service_pb2 as registry


def key(record_id: str, registry_name: str = "hospital") -> common.SourceKey:
    return common.SourceKey(registry=registry_name, entity_kind=common.ENTITY_KIND_CITIZEN, record_id=record_id)


def citizen(
    record_id: str,
    full_name: str = "Nguyễn Thị Hoa Mai",
    *,
    registry_name: str = "hospital",
    birth_date: str = "1987-03-05",
    personal_id: str = "079187000123",
    updated_at: str = "2025-01-01",
) -> common.SourceRecord:
    identifier = common.Identifier(
        type=common.IDENTIFIER_TYPE_PERSONAL_ID, value=personal_id, assurance=common.ASSURANCE_SIGHTED
    )
    attributes = common.CitizenAttributes(
        full_name=full_name, birth_date=birth_date, sex="F", identifiers=[identifier], phones=["0903123456"]
    )
    return common.SourceRecord(
        key=key(record_id, registry_name),
        attributes=common.Attributes(citizen=attributes),
        updated_at=updated_at,
    )


def header(load_id: str, feed: str = "hospital.patients") -> registry.IngestRecordsRequest:
    return registry.IngestRecordsRequest(header=registry.IngestHeader(load_id=load_id, feed=feed))


def operations(*parts: registry.IngestOperation) -> registry.IngestRecordsRequest:
    return registry.IngestRecordsRequest(operations=registry.IngestOperations(operations=parts))


def end() -> registry.IngestRecordsRequest:
    return registry.IngestRecordsRequest(end=registry.IngestEnd())


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """Return the rich status that an error carries."""
    body = trailing_of(error)["grpc-status-details-bin"]
    assert isinstance(body, bytes)
    return status_pb2.Status.FromString(body)


def trailing_of(error: grpc.RpcError) -> dict[str, str | bytes]:
    """Return the metadata that came with an error."""
    return {str(key): value for key, value in cast("grpc.Call", error).trailing_metadata()}


def details_of(error: grpc.RpcError) -> str:
    """Return the text that came with an error."""
    return str(cast("grpc.Call", error).details())


def raw_call(channel: grpc.Channel, method: str, body: bytes) -> object:
    """Send bytes to a call as they are."""
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    return call(body, timeout=5)


def info_of(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """Return the one ErrorInfo that an error carries; more or fewer are a failure."""
    found = []
    for detail in status_of(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            found.append(info)
    assert len(found) == 1
    return found[0]
