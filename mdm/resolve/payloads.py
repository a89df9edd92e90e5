"""The sealed values' encoding, and the source's own time on one scale."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

import msgspec

from mdm.domain.keys import EntityKind, RecordNumber
from mdm.domain.records import SourceRecord
from mdm.limits import CONTENT_DIGEST_BYTES
from mdm.linkage.normalise.dates import parse_time
from mdm.store.journal import JournalReader
from mdm.store.layout import CrosswalkStatus
from mdm.store.view import IndexView

_AHEAD_US_MAX = 24 * 3600 * 1_000_000
"""Zones of the world, and clocks that go wrong by hours."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SourceRecord)


def encode_payload(record: SourceRecord) -> bytes:
    """Return the record as it is sealed; equal records give equal bytes."""
    return _encoder.encode(record)


def decode_payload(payload: bytes) -> SourceRecord:
    """Return the record of a payload."""
    return _decoder.decode(payload)


def stored_before(journal: JournalReader, number: RecordNumber, last_payload_id: int) -> bytes | None:
    """Return the payload of a record's last version up to a payload id; None without one, or where it was erased."""
    for plain in journal.payloads_of(number, last_payload_id):
        try:
            decode_payload(plain)
        except msgspec.DecodeError:
            # A steward's words about the record: text, which never begins as an array does.
            continue
        return plain
    return None


def content_digest(payload: bytes) -> bytes:
    """Return what names a payload's values: 16 bytes, the same on both sides of the wire. Cost: 1 µs."""
    return hashlib.blake2b(payload, digest_size=CONTENT_DIGEST_BYTES).digest()


def unchanged(
    view: IndexView, registry: str, kind: EntityKind, record_ids: Sequence[str], digests: bytes, *, is_deferred: bool
) -> list[bool]:
    """Return for each record whether writing values of this digest would change nothing: it is stored with just these.

    Args:
        view: The index.
        registry: Of all records.
        kind: Of all records.
        record_ids: Their ids.
        digests: Content digests in the same order, one behind the other.
        is_deferred: Whether the write would leave a pending record pending.

    Returns:
        One value for each record. Cost: about 3 µs each.
    """
    settled = {CrosswalkStatus.RESOLVED} | ({CrosswalkStatus.PENDING} if is_deferred else set())
    stored = view.payloads(registry, kind, record_ids)
    starts = range(0, len(digests), CONTENT_DIGEST_BYTES)
    return [
        status in settled
        and payload is not None
        and content_digest(payload) == digests[start : start + CONTENT_DIGEST_BYTES]
        for start, (status, payload) in zip(starts, stored, strict=True)
    ]


def ordering_us(text: str, written_us: int) -> int | None:
    """Return the source's time by which versions of a record are ordered, None where none counts.

    One that lies more than a day ahead of the write is a slip: it would hold up every later version until it has come.

    Args:
        text: As the source writes it.
        written_us: When the version is written, in microseconds since 1970.
    """
    stated_us = updated_at_us(text)
    return None if stated_us is not None and stated_us > written_us + _AHEAD_US_MAX else stated_us


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
