#!/usr/bin/env python3
"""Writes clients/service_config.json, gRPC's service config for clients in every language, from the interface itself.

Usage: scripts/service_config.py [--check]. With --check nothing is written; exit code 1 means that the file is out of
date. Needs the project's environment: deadlines are the service's own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodDescriptorProto, MethodOptions

from mdm.server.interceptors import rule_of

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos" / "mdm" / "v1"
CONFIG = ROOT / "clients" / "service_config.json"

RETRIES = {
    # Five tries bridge 2.5 s, which a reader that is started again needs at the most.
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2.5,
    # Where the service says when to come back, its word replaces the backoff.
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}

HEALTH_SERVICE = "mdm.v1.LookupService"
"""A connection is used as long as the server behind it answers lookups: also one without a writer answers reads."""


def methods() -> list[MethodDescriptor]:
    """Return every call of the interface, by service and in the order of its proto."""
    modules = [importlib.import_module(f"mdm.v1.{path.stem}_pb2") for path in sorted(PROTOS.glob("*_service.proto"))]
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return [method for service in services for method in service.methods]


def is_stream(method: MethodDescriptor) -> bool:
    """Return whether either side sends any number of messages: clients resume these themselves."""
    proto = MethodDescriptorProto()
    method.CopyToProto(proto)
    return proto.client_streaming or proto.server_streaming


def is_repeatable(method: MethodDescriptor) -> bool:
    """Return whether a second try does no harm: declared so, or a write that its request_id makes happen once."""
    is_declared = method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    return is_declared or "request_id" in method.input_type.fields_by_name


def method_config(method: MethodDescriptor) -> dict[str, Any]:
    """Return how a call is treated, without its name."""
    if is_stream(method):
        return {}
    service, name = method.containing_service.name, method.name
    config: dict[str, Any] = {"timeout": f"{rule_of(f'{service}/{name}').deadline_s_max:g}s"}
    if is_repeatable(method):
        config["retryPolicy"] = RETRIES
    return config


def service_config() -> dict[str, Any]:
    """Return the whole config; calls that are treated alike stand together."""
    groups: dict[str, tuple[dict[str, Any], list[dict[str, str]]]] = {}
    for method in methods():
        config = method_config(method)
        group = groups.setdefault(json.dumps(config), (config, []))
        group[1].append({"service": method.containing_service.full_name, "method": method.name})
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": HEALTH_SERVICE},
        "methodConfig": [{"name": names, **config} for config, names in groups.values()],
    }


def main() -> int:
    """Write the file, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description="Writes clients/service_config.json from the interface.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file is out of date")
    text = json.dumps(service_config(), indent=2) + "\n"
    if not parser.parse_args().check:
        CONFIG.write_text(text, encoding="utf-8")
    elif not CONFIG.exists() or CONFIG.read_text(encoding="utf-8") != text:
        print("clients/service_config.json is not what the protos give; run `make protos`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
