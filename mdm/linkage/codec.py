"""Features as bytes, the way the index keeps them."""

from __future__ import annotations

import msgspec

from mdm.domain.keys import EntityKind
from mdm.linkage.features import BusinessFeatures, CitizenFeatures, Features

_ENCODER = msgspec.msgpack.Encoder()
_CITIZEN_DECODER = msgspec.msgpack.Decoder(CitizenFeatures)
_BUSINESS_DECODER = msgspec.msgpack.Decoder(BusinessFeatures)


def encode_features(features: Features) -> bytes:
    """Return the features as msgpack, some 200 bytes; equal features give equal bytes."""
    return _ENCODER.encode(features)


def decode_features(kind: EntityKind, body: bytes) -> Features:
    """Return the features that `encode_features` wrote, in about 2 µs.

    Raises:
        msgspec.DecodeError: Not features of this kind.
    """
    return _CITIZEN_DECODER.decode(body) if kind == EntityKind.CITIZEN else _BUSINESS_DECODER.decode(body)
