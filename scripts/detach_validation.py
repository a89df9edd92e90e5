"""Take the import of buf/validate out of a descriptor set, so that the Python stubs do without a `buf` package.

The rules stay where they are, as bytes of options that protovalidate reads. A generated `buf.validate.validate_pb2` of
our own would clash in the descriptor pool with the one of any other package that a client has installed.

Usage: detach_validation.py SOURCE TARGET
"""

from __future__ import annotations

import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

VALIDATE = "buf/validate/validate.proto"


def detach(files: FileDescriptorSet) -> FileDescriptorSet:
    """Return the set without `VALIDATE` and without imports of it; option bytes are unknown fields and survive."""
    kept = FileDescriptorSet(file=[file for file in files.file if file.name != VALIDATE])
    for file in kept.file:
        if VALIDATE in file.dependency:
            file.dependency.remove(VALIDATE)
    return kept


if __name__ == "__main__":
    source, target = (Path(argument) for argument in sys.argv[1:])
    target.write_bytes(detach(FileDescriptorSet.FromString(source.read_bytes())).SerializeToString(deterministic=True))
