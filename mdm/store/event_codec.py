"""How the journal writes an event: seq and time as columns, the rest as msgpack."""

from __future__ import annotations

import msgspec

from mdm.domain.events import Cause, Event, Fact


class _Body(msgspec.Struct, frozen=True, array_like=True):
    schema_version: int
    cause: Cause
    fact: Fact


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


def encode_body(event: Event) -> bytes:
    """Return what stands beside the event's seq and time."""
    return _encoder.encode(_Body(event.schema_version, event.cause, event.fact))


def decode_event(seq: int, at_us: int, body: bytes) -> Event:
    """Return the event of a row.

    Raises:
        msgspec.MsgspecError: The body is damaged, or of a later version.
    """
    try:
        decoded = _decoder.decode(body)
    except UnicodeDecodeError as error:
        # A bit that flipped in a text; msgspec lets Python's own error through.
        raise msgspec.DecodeError("a text of the event is damaged") from error
    return Event(seq, at_us, decoded.schema_version, decoded.cause, decoded.fact)
