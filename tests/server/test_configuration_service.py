"""Registries over the wire: seen, changed on the running service, and refused with every fault named."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2

from mdm.config import Configuration
from mdm.limits import CONFIGURATION_BYTES_MAX
from mdm.v1 import common_pb2 as common
from mdm.v1 import configuration_service_pb2 as wire
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.declarations.examples import LAND
from tests.server.records import citizen, info_of, status_of
from tests.serving import RunningServer, running_server

DEADLINE_S = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "data", workers=2) as served:
        yield served


def activate(channel: grpc.Channel, content: str, **options: object) -> wire.ActivateConfigurationResponse:
    request = wire.ActivateConfigurationRequest(content=content.encode(), **options)  # type: ignore[arg-type]
    return ConfigurationServiceStub(channel).ActivateConfiguration(request, timeout=DEADLINE_S)


def in_force(channel: grpc.Channel) -> wire.GetConfigurationResponse:
    return ConfigurationServiceStub(channel).GetConfiguration(wire.GetConfigurationRequest(), timeout=DEADLINE_S)


def upsert(channel: grpc.Channel, record: common.SourceRecord) -> registry.UpsertRecordResponse:
    return RegistryServiceStub(channel).UpsertRecord(registry.UpsertRecordRequest(record=record), timeout=DEADLINE_S)


def test_the_registries_that_ship_are_in_force_at_first(server: RunningServer) -> None:
    with server.channel() as channel:
        found = in_force(channel)
    assert Configuration.decode(found.content) == Configuration.load()
    assert not found.HasField("activated_at")


def test_a_dry_run_tells_and_changes_nothing(server: RunningServer) -> None:
    with server.channel() as channel:
        told = activate(channel, LAND, is_dry_run=True)
        (change,) = told.changes
        assert (change.registry, change.change_type) == ("land", wire.REGISTRY_CHANGE_TYPE_ADDED)
        assert not told.HasField("token")
        assert "land" not in Configuration.decode(in_force(channel).content).registries


def test_every_reader_takes_a_new_registry_at_once_and_with_its_actor_and_reason(server: RunningServer) -> None:
    # Each channel is a connection of its own, and lands at either of the two readers.
    channels = [server.channel() for _ in range(8)]
    opened = [each.__enter__() for each in channels]
    caller = common.Caller(actor="land-office")
    token = activate(opened[0], LAND, reason="decree 12", caller=caller).token
    assert token.value
    for number, channel in enumerate(opened):
        upsert(channel, citizen(f"L{number}", registry_name="land"))
    found = in_force(opened[1])
    assert (found.actor, found.reason) == ("land-office", "decree 12")
    assert found.HasField("activated_at")
    for each in channels:
        each.__exit__(None, None, None)


def test_taking_away_a_registry_with_records_is_refused(server: RunningServer) -> None:
    with server.channel() as channel:
        activate(channel, LAND)
        upsert(channel, citizen("KEPT", registry_name="land"))
        whole = (Configuration.load(), "registries.toml")
        with pytest.raises(grpc.RpcError) as caught:
            activate(channel, _shipped(), is_whole=True)
        assert info_of(caught.value).reason == "REGISTRY_IN_USE"
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.RpcError):
            activate(channel, _shipped(), is_whole=True, is_dry_run=True)
        assert whole[0] != Configuration.decode(in_force(channel).content)


def test_every_fault_of_a_file_is_named_at_once(server: RunningServer) -> None:
    broken = LAND.replace("trust_rank = 5", "trust_rank = 0").replace('full_name = "holder', 'fullname = "holder')
    with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        activate(channel, broken)
    assert info_of(caught.value).reason == "INVALID_CONFIGURATION"
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status_of(caught.value).details)
    assert [each.field for each in bad.field_violations] == [
        "registries.land.trust_rank",
        "registries.land.feeds.holders.records[0].fields.fullname",
    ]


@pytest.mark.parametrize("content", ["", "x" * (CONFIGURATION_BYTES_MAX + 1)])
def test_a_file_beyond_its_bounds_is_refused(server: RunningServer, content: str) -> None:
    with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        activate(channel, content)
    assert info_of(caught.value).reason == "INVALID_FIELD"


def _shipped() -> str:
    from importlib import resources  # noqa: PLC0415

    return (resources.files("mdm") / "registries.toml").read_text(encoding="utf-8")
