"""What names a record's values: equal records have equal digests, here and in the service.

The canonical form is MessagePack in its shortest form, of arrays and texts alone: a record is [key, attributes,
updated_at], a key [registry, kind, record id], attributes their kind followed by the fields in the order of
`mdm_client.records`; so are identifiers, addresses and relations. Enumerations stand as their values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from mdm_client.faults import named_faults
from mdm_client.records import CitizenAttributes, EntityKind, SourceRecord

DIGEST_BYTES = 16


@named_faults("")
def content_digest(record: SourceRecord) -> bytes:
    """Return the 16 bytes that name a record's values, for `batch_compare_records`. Cost: about 30 µs."""
    is_citizen = isinstance(record.attributes, CitizenAttributes)
    kind = EntityKind.CITIZEN if is_citizen else EntityKind.BUSINESS
    parts = [_array(3), _packed(record.key), _values([kind, *_items(record.attributes)]), _packed(record.updated_at)]
    return hashlib.blake2b(b"".join(parts), digest_size=DIGEST_BYTES).digest()


def _packed(value: Any) -> bytes:
    if isinstance(value, str):
        body = value.encode()
        return _head(len(body), 0xA0, 32, b"\xd9") + body
    return _values(value) if isinstance(value, tuple | list) else _values(_items(value))


def _values(values: Iterable[Any]) -> bytes:
    packed = [_packed(each) for each in values]
    return _array(len(packed)) + b"".join(packed)


def _items(value: Any) -> list[Any]:
    return [getattr(value, name) for name in value.__slots__]


def _array(count: int) -> bytes:
    return _head(count, 0x90, 16, b"")


def _head(count: int, short: int, short_below: int, one_byte: bytes) -> bytes:
    """Return what stands before a text or array: `one_byte` is the mark of a length of one byte, for texts alone."""
    if count < short_below:
        return bytes([short | count])
    if one_byte and count < 1 << 8:
        return one_byte + bytes([count])
    marks = (b"\xda", b"\xdb") if one_byte else (b"\xdc", b"\xdd")
    return marks[0] + count.to_bytes(2, "big") if count < 1 << 16 else marks[1] + count.to_bytes(4, "big")
