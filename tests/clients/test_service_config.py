"""One service config for clients in every language: what it says of each call, and that it is in force."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from mdm.limits import BATCH_LOOKUP_KEYS_MAX
from mdm.server.interceptors import rule_of
from mdm.v1 import lookup_service_pb2 as wire
from mdm.v1.lookup_service_pb2_grpc import LookupServiceServicer, add_LookupServiceServicer_to_server
from mdm_client import Client, EntityKind, UnavailableError
from mdm_client.channel import service_config
from tests.protos.interface import FILES
from tests.serving import running_server

LISTENING = "0A"
CONFIG: dict[str, Any] = json.loads(service_config())
METHODS: list[MethodDescriptor] = [
    method for file in FILES for service in file.services_by_name.values() for method in service.methods
]


def entries(method: MethodDescriptor) -> list[dict[str, Any]]:
    """Return what the config says of one call."""
    name = {"service": method.containing_service.full_name, "method": method.name}
    return [entry for entry in CONFIG["methodConfig"] if name in entry["name"]]


def test_the_file_is_what_the_interface_gives(project_root: Path) -> None:
    script = project_root / "scripts" / "service_config.py"
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_config_names_every_call_once_and_no_other() -> None:
    named = sorted((name["service"], name["method"]) for entry in CONFIG["methodConfig"] for name in entry["name"])
    assert named == sorted((method.containing_service.full_name, method.name) for method in METHODS)
    assert len(named) >= 58


def test_only_what_may_happen_twice_is_tried_again() -> None:
    retried = [method for method in METHODS if any("retryPolicy" in entry for entry in entries(method))]
    for method in retried:
        is_declared = method.GetOptions().idempotency_level in {
            MethodOptions.NO_SIDE_EFFECTS,
            MethodOptions.IDEMPOTENT,
        }
        assert is_declared or "request_id" in method.input_type.fields_by_name, method.full_name
    assert {method.name for method in retried} >= {"Lookup", "BatchLookup", "Match", "UpsertRecord", "Merge"}
    assert not {method.name for method in retried} & {"Watch", "IngestRecords", "StreamLookup", "ExportCrosswalk"}


def test_no_call_is_given_more_time_than_the_service_takes() -> None:
    for method in METHODS:
        (entry,) = entries(method)
        is_stream = method.client_streaming or method.server_streaming
        assert entry.get("timeout") == (None if is_stream else f"{deadline_s_max(method):g}s"), method.full_name


def deadline_s_max(method: MethodDescriptor) -> float:
    """Return the longest deadline that the service says it takes for a call."""
    return rule_of(f"{method.containing_service.name}/{method.name}").deadline_s_max


class Shedding(LookupServiceServicer):
    """Has no place for any batch."""

    def __init__(self) -> None:
        self.tries: list[int] = []

    def BatchLookup(  # noqa: N802 – the interface's name
        self, request: wire.BatchLookupRequest, context: grpc.ServicerContext
    ) -> wire.BatchLookupResponse:
        self.tries.append(request.ByteSize())
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "1"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "")


def test_a_batch_is_tried_again_however_large_it_is() -> None:
    server, service = grpc.server(ThreadPoolExecutor(1)), Shedding()  # type: ignore[abstract]  # one call is enough
    add_LookupServiceServicer_to_server(service, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with Client(address, heeds_health=False) as client, pytest.raises(UnavailableError):
        client.batch_lookup(
            "hospital", EntityKind.CITIZEN, [f"{number:0128}" for number in range(BATCH_LOOKUP_KEYS_MAX)]
        )
    server.stop(None).wait()
    assert len(service.tries) == 5
    assert min(service.tries) > 128 * BATCH_LOOKUP_KEYS_MAX


def listeners(address: str) -> int:
    """Return how many sockets take connections: each reader has some."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    files = Path("/proc/net/tcp"), Path("/proc/net/tcp6")
    sockets = [line.split() for file in files for line in file.read_text(encoding="ascii").splitlines()]
    return sum(1 for _, local, _, state, *_ in sockets if local.endswith(port) and state == LISTENING)


@pytest.mark.crash
def test_lookups_go_on_without_an_error_while_readers_are_killed(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", workers=2) as served, Client(served.address, is_gathering=False) as client:
        both, kills = listeners(served.address), 0
        is_both = True
        # One of the two holds the connection, so each is killed once, the older one first; the other answers meanwhile.
        while kills < 2:
            client.lookup("hospital", EntityKind.CITIZEN, "SC-1")
            time.sleep(0.005)
            was_both, is_both = is_both, listeners(served.address) == both
            if is_both and (kills == 0 or not was_both):
                served.kill("reader_process")
                kills += 1
        assert client.lookup("hospital", EntityKind.CITIZEN, "SC-1").golden_id == ""
