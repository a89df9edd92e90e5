"""Calls and messages of registries."""

from __future__ import annotations

from datetime import UTC

from mdm.v1 import common_pb2, configuration_service_pb2
from mdm_client import configuration_results as results
from mdm_client import wire
from mdm_client.calls import Call, fresh_request_id

_CHANGE_TYPES = {
    configuration_service_pb2.RegistryChangeType.Value(f"REGISTRY_CHANGE_TYPE_{each.name}"): each
    for each in results.RegistryChangeType
}


def get() -> Call[results.ConfigurationInForce]:
    """Ask for the configuration in force."""

    def decode(answer: configuration_service_pb2.GetConfigurationResponse) -> results.ConfigurationInForce:
        at = answer.activated_at.ToDatetime(tzinfo=UTC) if answer.HasField("activated_at") else None
        return results.ConfigurationInForce(answer.digest, answer.content, at, answer.actor, answer.reason)

    request = configuration_service_pb2.GetConfigurationRequest()
    return Call("ConfigurationService", "GetConfiguration", request, decode)


def activate(
    content: bytes,
    reason: str,
    caller: common_pb2.Caller,
    *,
    is_whole: bool,
    is_dry_run: bool,
    etag: str,
    request_id: str | None,
) -> Call[results.ConfigurationActivated]:
    """Put registries in force."""
    request = configuration_service_pb2.ActivateConfigurationRequest(
        content=content,
        is_whole=is_whole,
        reason=reason,
        is_dry_run=is_dry_run,
        request_id=fresh_request_id(request_id),
        caller=caller,
        etag=etag,
    )

    def decode(answer: configuration_service_pb2.ActivateConfigurationResponse) -> results.ConfigurationActivated:
        changes = tuple(_change(item) for item in answer.changes)
        return results.ConfigurationActivated(answer.digest, answer.was_in_force, changes, answer.token.value)

    return Call("ConfigurationService", "ActivateConfiguration", request, decode, is_batch=True)


def _change(message: configuration_service_pb2.RegistryChange) -> results.RegistryChange:
    return results.RegistryChange(
        message.registry,
        _CHANGE_TYPES[message.change_type],
        tuple(results.ConfigurationDifference(item.path, item.before, item.after) for item in message.differences),
        {wire.ENTITY_KIND.from_wire(item.entity_kind): item.record_count for item in message.stored_records},
        message.is_trust_changed,
        message.is_mapping_changed,
    )
