"""How keys and values are written in the index: fixed widths, big-endian, so that byte order is number order."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from mdm.domain.changes import Changes
from mdm.domain.keys import GOLDEN_ID_LENGTH, EntityKind, GoldenId, RecordNumber, SourceKey
from mdm.domain.reviews import Review
from mdm.domain.state import GoldenEntry, Judgement, Pair, PotentialMatch, RecordEntry

LAYOUT_VERSION = 9
"""Version of everything in this module and of what the fold puts; an index of another version is rebuilt."""

NUMBER_BYTES = 8
SEQ_BYTES = 8
SOURCE_KEY_VERSION = 1

STATUS_OFFSET = NUMBER_BYTES
GOLDEN_ID_OFFSET = NUMBER_BYTES + 1
CROSSWALK_VALUE_BYTES = GOLDEN_ID_OFFSET + GOLDEN_ID_LENGTH

encode = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(RecordEntry).decode
decode_golden = msgspec.msgpack.Decoder(GoldenEntry).decode
decode_changes = msgspec.msgpack.Decoder(Changes).decode
decode_potential_match = msgspec.msgpack.Decoder(PotentialMatch).decode
decode_judgement = msgspec.msgpack.Decoder(Judgement).decode
decode_review = msgspec.msgpack.Decoder(Review).decode

_LENGTH_BYTES = 4
_PREFIXES_CACHED_MAX = 256
"""More than a city has registries; a caller may ask about any name."""
_NO_GOLDEN_ID = b" " * GOLDEN_ID_LENGTH
_KIND_OF_LETTER = {ord(kind.letter): kind for kind in EntityKind}


class CrosswalkStatus(enum.IntEnum):
    """What a source key answers with; the numbers are those of the wire, so columns need no translation."""

    RESOLVED = 1
    """Has a golden ID."""
    NOT_FOUND = 2
    """Nothing was ever stored under it. Never written."""
    DELETED = 3
    """Its registry withdrew the record."""
    PENDING = 4
    """Stored, not resolved yet."""


MISSING_VALUE = bytes(NUMBER_BYTES) + bytes((CrosswalkStatus.NOT_FOUND,)) + _NO_GOLDEN_ID
"""Stands for the value of a key under which nothing was ever stored."""


class CrosswalkEntry(msgspec.Struct, frozen=True, gc=False):
    """One row of the crosswalk."""

    number: RecordNumber
    status: CrosswalkStatus
    golden_id: GoldenId | None
    """A surviving ID; None unless resolved."""


def number_bytes(number: RecordNumber) -> bytes:
    """Return the key of a record number."""
    return number.to_bytes(NUMBER_BYTES, "big")


def number_of(key: bytes) -> RecordNumber:
    """Return the record number of a key."""
    return RecordNumber(int.from_bytes(key, "big"))


def pair_bytes(pair: Pair) -> bytes:
    """Return the key of two record numbers."""
    return pair[0].to_bytes(NUMBER_BYTES, "big") + pair[1].to_bytes(NUMBER_BYTES, "big")


def pair_of_bytes(key: bytes) -> Pair:
    """Return the two record numbers of a key."""
    return number_of(key[:NUMBER_BYTES]), number_of(key[NUMBER_BYTES:])


@lru_cache(_PREFIXES_CACHED_MAX)
def source_key_prefix(registry: str, kind: EntityKind) -> bytes:
    """Return what all keys of one registry and kind begin with: version, length of the registry's name, name, kind."""
    name = registry.encode()
    return bytes((SOURCE_KEY_VERSION, len(name))) + name + kind.letter.encode()


def source_key_bytes(key: SourceKey) -> bytes:
    """Return the key of a source key: its prefix and the record id, which runs to the end and needs no length.

    At most 163 bytes, of LMDB's 511, for a checked source key.
    """
    return source_key_prefix(key.registry, key.kind) + key.record_id.encode()


def source_key_of(key: bytes) -> SourceKey:
    """Return the source key of its bytes."""
    kind_offset = 2 + key[1]
    return SourceKey(key[2:kind_offset].decode(), _KIND_OF_LETTER[key[kind_offset]], key[kind_offset + 1 :].decode())


def crosswalk_value(number: RecordNumber, entry: RecordEntry) -> bytes:
    """Return what the crosswalk says of a record: number, status byte, golden ID or spaces; 27 bytes."""
    if entry.is_deleted:
        status, golden_id = CrosswalkStatus.DELETED, _NO_GOLDEN_ID
    elif entry.golden_id is None:
        status, golden_id = CrosswalkStatus.PENDING, _NO_GOLDEN_ID
    else:
        status, golden_id = CrosswalkStatus.RESOLVED, entry.golden_id.encode("ascii")
    return number.to_bytes(NUMBER_BYTES, "big") + bytes((status,)) + golden_id


def crosswalk_entry(value: bytes) -> CrosswalkEntry:
    """Return the row that a crosswalk value stands for."""
    status = CrosswalkStatus(value[STATUS_OFFSET])
    golden_id = GoldenId(value[GOLDEN_ID_OFFSET:].decode("ascii")) if status is CrosswalkStatus.RESOLVED else None
    return CrosswalkEntry(number_of(value[:NUMBER_BYTES]), status, golden_id)


def source_key_column(registry: str, kind: EntityKind, record_ids: Sequence[str]) -> list[bytes]:
    """Return the keys of many record ids of one registry. Cost: 0.1 us each."""
    prefix = source_key_prefix(registry, kind)
    # Joined, encoded and split as a whole. No record id that is stored holds a NUL, but one that is asked for may.
    keys = ("\0" + prefix.decode()).join(("", *record_ids)).encode().split(b"\0")[1:]
    return keys if len(keys) == len(record_ids) else [prefix + record_id.encode() for record_id in record_ids]


class CrosswalkColumn(msgspec.Struct, frozen=True):
    """What the crosswalk says of many source keys, as one run of values."""

    values: bytes
    """`CROSSWALK_VALUE_BYTES` for each key, `MISSING_VALUE` where nothing was ever stored."""

    @property
    def statuses(self) -> bytes:
        """The `CrosswalkStatus` of each key, a byte each."""
        return self.values[STATUS_OFFSET::CROSSWALK_VALUE_BYTES]

    def golden_ids(self) -> list[str]:
        """Return the golden ID of each key, empty unless it is resolved."""
        starts = range(GOLDEN_ID_OFFSET, len(self.values), CROSSWALK_VALUE_BYTES)
        return [
            self.values[start : start + GOLDEN_ID_LENGTH].decode("ascii") if status == CrosswalkStatus.RESOLVED else ""
            for start, status in zip(starts, self.statuses, strict=True)
        ]


def relation_state_value(packed_keys: bytes, stays: bytes) -> bytes:
    """Return relation keys, one behind the other, and households over time as one value."""
    return len(packed_keys).to_bytes(_LENGTH_BYTES, "big") + packed_keys + stays


def relation_keys(value: bytes) -> bytes:
    """Return the relation keys of a relation state, one behind the other."""
    return relation_state(value)[0]


def relation_state(value: bytes) -> tuple[bytes, bytes]:
    """Return the two parts of a relation state."""
    end = _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES], "big")
    return value[_LENGTH_BYTES:end], value[end:]


_REVIEW_PLACE = struct.Struct(">BQQ")


def review_place(queue: int, place: int, review: int) -> bytes:
    """Return where a review stands: queue, order within it, id; 17 bytes."""
    return _REVIEW_PLACE.pack(queue, place, review)


def review_of_place(key: bytes) -> tuple[int, int, int]:
    """Return queue, order and id of a place."""
    queue, place, review = _REVIEW_PLACE.unpack(key)
    return queue, place, review


def seq_bytes(seq: int) -> bytes:
    """Return the key of a position."""
    return seq.to_bytes(SEQ_BYTES, "big")
