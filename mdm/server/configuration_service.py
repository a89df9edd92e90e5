"""ConfigurationService: which registries there are, and taking new ones on."""

# ruff: noqa: ARG002, N802 – the generated base class names the calls and their arguments.

from __future__ import annotations

import grpc
import msgspec

from mdm.config import parse_declaration
from mdm.resolve.commands import SwitchAnswer, SwitchConfiguration
from mdm.resolve.configuring import ChangeType, RegistryChange, require_made_from
from mdm.resolve.reader import Reader
from mdm.server.calls import cause_of, request_of, token_at, write
from mdm.server.wire_answers import timestamp
from mdm.server.wire_records import kind_number
from mdm.server.writer_link import WriterLink
from mdm.store.journal import artefact_digest
from mdm.v1 import configuration_service_pb2 as wire
from mdm.v1.configuration_service_pb2_grpc import ConfigurationServiceServicer

_CHANGE_TYPES = {each: wire.RegistryChangeType.Value(f"REGISTRY_CHANGE_TYPE_{each.name}") for each in ChangeType}


class ConfigurationService(ConfigurationServiceServicer):
    """Steers which registries there are."""

    def __init__(self, reader: Reader, link: WriterLink) -> None:
        """Compare here, have the writer act; each call refreshes the reader first."""
        self._reader = reader
        self._link = link

    def GetConfiguration(
        self, request: wire.GetConfigurationRequest, context: grpc.ServicerContext
    ) -> wire.GetConfigurationResponse:
        """Return the configuration in force."""
        self._reader.refresh()
        found = self._reader.configuration_activation()
        return wire.GetConfigurationResponse(
            digest=found.digest,
            content=found.configuration.encode(),
            activated_at=None if found.at_us is None else timestamp(found.at_us),
            actor=found.cause.actor,
            reason=found.reason,
        )

    def ActivateConfiguration(
        self, request: wire.ActivateConfigurationRequest, context: grpc.ServicerContext
    ) -> wire.ActivateConfigurationResponse:
        """Put registries in force, or say what that would change."""
        self._reader.refresh()
        declared = parse_declaration(request.content)
        before = self._reader.configuration
        if request.is_dry_run:
            # Else the writer says it, behind the first answer to a repeated request.
            require_made_from(before, request.etag)
        after = before.with_declaration(declared, is_whole=request.is_whole)
        response = wire.ActivateConfigurationResponse(
            digest=artefact_digest(after.encode()),
            was_in_force=after == before,
            changes=[_change(each) for each in self._reader.compare_configuration(after)],
        )
        if not request.is_dry_run:
            guard = request_of(cause_of(context, request.caller, "ActivateConfiguration"), request.request_id, request)
            body = msgspec.json.encode(declared)
            command = SwitchConfiguration(guard, body, request.is_whole, request.reason, request.etag)
            answer = write(self._link, command, context)
            if not isinstance(answer, SwitchAnswer):
                raise TypeError(type(answer).__name__)
            response.digest = answer.digest
            response.token.CopyFrom(token_at(self._reader, answer.seq))
            self._reader.refresh()
        return response


def _change(change: RegistryChange) -> wire.RegistryChange:
    return wire.RegistryChange(
        registry=change.registry,
        change_type=_CHANGE_TYPES[change.type],
        differences=[
            wire.ConfigurationDifference(path=each.path, before=each.before, after=each.after)
            for each in change.differences
        ],
        stored_records=[
            wire.KindCount(entity_kind=kind_number(kind), record_count=count)
            for kind, count in change.record_counts.items()
        ],
        is_trust_changed=change.is_trust_changed,
        is_mapping_changed=change.is_mapping_changed,
    )
