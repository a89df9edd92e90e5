"""The sealed values' encoding, and the source's own time on one scale."""

from __future__ import annotations

import datetime as dt

import msgspec

from mdm.domain.records import SourceRecord
from mdm.linkage.normalise.dates import parse_time

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SourceRecord)


def encode_payload(record: SourceRecord) -> bytes:
    """Return the record as it is sealed; equal records give equal bytes."""
    return _encoder.encode(record)


def decode_payload(payload: bytes) -> SourceRecord:
    """Return the record of a payload."""
    return _decoder.decode(payload)


def updated_at_us(text: str) -> int | None:
    """Return the source's time in microseconds since 1970, or None when it is not stated or not understood.

    A time without a zone is local to the source, which compares with its own times only.
    """
    moment = parse_time(text)
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1_000_000)
