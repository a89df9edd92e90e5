"""Where an export goes on: an opaque text that names its state, what was asked, and the last row that was sent."""

from __future__ import annotations

import hashlib

import msgspec
from google.protobuf.message import Message

from mdm.errors import InvalidTokenError
from mdm.server.page_tokens import sealed, unsealed
from mdm.store.journal import JournalReader

_VERSION = 1
_FIELD = "resume_token"


class ExportPosition(msgspec.Struct, frozen=True, array_like=True):
    """How far an export came."""

    version: int
    asked: bytes
    """Digest of what was asked, and by whom."""
    copy_name: str
    export_id: str
    after: bytes = b""
    """Behind which row to go on; empty for the first."""
    row_count: int = 0
    """Rows sent: crosswalk rows, golden records or golden IDs."""
    other_count: int = 0
    """Pending records met, or values sent."""
    lineage_after: bytes = b""
    """Of a crosswalk whose rows were all sent: the golden ID behind which its lineage goes on."""
    golden_id_count: int = 0
    are_rows_done: bool = False

    def encode(self, journal: JournalReader) -> str:
        """Return the text."""
        return sealed(msgspec.msgpack.encode(self), journal)


def begun(request: Message, actor: str) -> ExportPosition:
    """Return the beginning of an export, its state and id yet to be set."""
    return ExportPosition(_VERSION, _digest(request, actor), "", "")


def resumed(text: str, journal: JournalReader, request: Message, actor: str) -> ExportPosition:
    """Return the position that a text holds.

    Raises:
        InvalidTokenError: It is none, or of an export of something else, or of another actor: the ledger names one.
    """
    try:
        position = msgspec.msgpack.decode(unsealed(text, journal) or b"", type=ExportPosition)
    except msgspec.DecodeError:
        raise InvalidTokenError(_FIELD, "must be the resume token of a message that came, unchanged") from None
    if position.version != _VERSION or position.asked != _digest(request, actor):
        raise InvalidTokenError(
            _FIELD, "must be of an export that asked for the same (registries, kind, fields) by the same actor"
        )
    return position


def _digest(request: Message, actor: str) -> bytes:
    asked = type(request)()
    asked.CopyFrom(request)
    for name in (_FIELD, "at_least_as_fresh", "caller"):
        if name in asked.DESCRIPTOR.fields_by_name:
            asked.ClearField(name)
    what = (asked.DESCRIPTOR.full_name.encode(), actor.encode(), asked.SerializeToString(deterministic=True))
    return hashlib.blake2b(b"\0".join(what), digest_size=8).digest()
