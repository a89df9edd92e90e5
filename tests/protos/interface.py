"""Every file of the interface, found where the protos lie, so that a new service is checked without a list."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor

PROTOS = Path(__file__).parents[2] / "protos" / "mdm" / "v1"

FILES: list[FileDescriptor] = [
    import_module(f"mdm.v1.{path.stem}_pb2").DESCRIPTOR for path in sorted(PROTOS.glob("*.proto"))
]
SERVICES: list[str] = sorted(service.full_name for file in FILES for service in file.services_by_name.values())
