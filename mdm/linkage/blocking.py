"""Which records are compared at all: two records are candidates when they share a blocking key.

The keys are made here, once, for both engines: the index holds them as postings, the snapshot carries them as a
list column. A rule's keys are compound where a bare value would be borne by thousands.
"""

from __future__ import annotations

import hashlib

from mdm.linkage.features import AnyFeatures
from mdm.linkage.specification import specification_for

POSTING_KEY_BYTES = 9
"""One byte of rule index and eight of hash: fixed width for the index, and hashes hold no names in clear."""


def blocking_keys(features: AnyFeatures) -> tuple[tuple[int, str], ...]:
    """Return (rule index, key) of every blocking key, without repetition. Keys hold values in clear: never log them."""
    rules = specification_for(features).blocking_rules
    return tuple(dict.fromkeys((index, key) for index, (_, keys) in enumerate(rules) for key in keys(features)))


def posting_keys(features: AnyFeatures) -> tuple[bytes, ...]:
    """Return the blocking keys as the index holds them, `POSTING_KEY_BYTES` each, sorted."""
    kind = specification_for(features).kind[:1].encode()
    return tuple(
        sorted(
            index.to_bytes(1, "big") + hashlib.blake2b(key.encode(), digest_size=8, person=kind).digest()
            for index, key in blocking_keys(features)
        )
    )
