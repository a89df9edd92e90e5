"""Features as bytes, the way the index keeps them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, overload

import msgspec

from mdm.domain.keys import EntityKind
from mdm.linkage.features import AnyFeatures, Features
from mdm.linkage.specification import specification_of

_ENCODER = msgspec.msgpack.Encoder()


def encode_features(features: AnyFeatures) -> bytes:
    """Return the features as msgpack, some 200 bytes; equal features give equal bytes."""
    return _ENCODER.encode(features)


@overload
def decode_features(kind: EntityKind, body: bytes) -> Features: ...
@overload
def decode_features(kind: str, body: bytes) -> AnyFeatures: ...
def decode_features(kind: str, body: bytes) -> AnyFeatures:
    """Return the features that `encode_features` wrote, in about 3 µs.

    Raises:
        ConfigurationError: Nobody declared this kind.
        msgspec.DecodeError: Not features of this kind.
    """
    features: AnyFeatures = _decoder(specification_of(kind).features_type).decode(body)
    return features


def features_decoder(kind: EntityKind) -> Callable[[bytes], Features]:
    """Return `decode_features` of one kind, for many bodies."""
    return _decoder(specification_of(kind).features_type).decode


@cache
def _decoder(features_type: type[AnyFeatures]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(features_type)
