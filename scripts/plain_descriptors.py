#!/usr/bin/env python3
"""Writes the interface as a descriptor set without its rules, for compilers that are too old for them, and for Go.

protoc before 22 does not know debug_redact, and its Java generator refuses options that it can't read; Go would import
a package for them. Neither matters to a client: the service checks the rules. The details of errors, google/rpc, are in
it too.

Usage: scripts/plain_descriptors.py TARGET. Needs the project's environment.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

PROTOS = Path(__file__).resolve().parent.parent / "protos" / "mdm" / "v1"


def collect(file: FileDescriptor, found: dict[str, FileDescriptorProto]) -> None:
    """Add a file behind those that it imports."""
    if file.name in found:
        return
    for imported in file.dependencies:
        collect(imported, found)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    # Rules are extensions that nobody here has loaded: fields without a name.
    proto.DiscardUnknownFields()
    for message in proto.message_type:
        take_redaction_out(message)
    found[file.name] = proto


def take_redaction_out(message: DescriptorProto) -> None:
    """Clear debug_redact in a message and those inside it."""
    for field in message.field:
        field.options.ClearField("debug_redact")
    for inner in message.nested_type:
        take_redaction_out(inner)


def main() -> None:
    """Write the set."""
    found: dict[str, FileDescriptorProto] = {}
    modules = [f"mdm.v1.{path.stem}_pb2" for path in sorted(PROTOS.glob("*.proto"))]
    for module in [*modules, "google.rpc.status_pb2", "google.rpc.error_details_pb2"]:
        collect(importlib.import_module(module).DESCRIPTOR, found)
    Path(sys.argv[1]).write_bytes(FileDescriptorSet(file=found.values()).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
