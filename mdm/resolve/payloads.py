"""The sealed values' encoding, and the source's own time on one scale."""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from mdm.domain.records import SourceRecord

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SourceRecord)
_COMPACT = re.compile(r"^(\d{4})(\d{2})(\d{2})(\d{2})?(\d{2})?(\d{2})?$")
_SLASHED = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{4})$")


def encode_payload(record: SourceRecord) -> bytes:
    """Return the record as it is sealed; equal records give equal bytes."""
    return _encoder.encode(record)


def decode_payload(payload: bytes) -> SourceRecord:
    """Return the record of a payload."""
    return _decoder.decode(payload)


def updated_at_us(text: str) -> int | None:
    """Return the source's time in microseconds since 1970, or None when it is not stated or not understood.

    Accepts ISO 8601 dates and times, `yyyymmdd[HHMM[SS]]` and `dd/mm/yyyy`; a time without a zone is local to the
    source, which compares with its own times only.
    """
    stated = text.strip()
    if not stated:
        return None
    try:
        if compact := _COMPACT.match(stated):
            parts = [int(part) for part in compact.groups(default="0")]
            moment = dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type, misc]
        elif slashed := _SLASHED.match(stated):
            day, month, year = (int(part) for part in slashed.groups())
            moment = dt.datetime(year, month, day, tzinfo=dt.UTC)
        else:
            moment = dt.datetime.fromisoformat(stated)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1_000_000)
