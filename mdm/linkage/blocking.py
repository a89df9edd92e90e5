"""Which records are compared at all: two records are candidates when they share a blocking key.

The keys are made here, once, for both engines: the index holds them as postings, the snapshot carries them as a
list column. A rule's keys are compound where a bare value would be borne by thousands.
"""

from __future__ import annotations

import hashlib
from functools import cache

from mdm.linkage.features import AnyFeatures
from mdm.linkage.specification import specification_for

POSTING_KEY_BYTES = 9
"""One byte of rule index and eight of hash: fixed width for the index, and hashes hold no names in clear."""

_RULE_BYTES = tuple(bytes((index,)) for index in range(256))


def blocking_keys(features: AnyFeatures) -> tuple[tuple[int, str], ...]:
    """Return (rule index, key) of every blocking key, without repetition. Keys hold values in clear: never log them."""
    rules = specification_for(features).blocking_rules
    return tuple(dict.fromkeys((index, key) for index, (_, keys) in enumerate(rules) for key in keys(features)))


def posting_keys(features: AnyFeatures) -> tuple[bytes, ...]:
    """Return the blocking keys as the index holds them, `POSTING_KEY_BYTES` each, sorted. About 1 µs each."""
    specification = specification_for(features)
    start = _start_of(specification.kind)
    found = set()
    for rule, (_, keys) in zip(_RULE_BYTES, specification.blocking_rules, strict=False):
        for key in keys(features):
            # A copy costs half of what a hash with a personalisation does that starts anew.
            hashed = start.copy()
            hashed.update(key.encode())
            found.add(rule + hashed.digest())
    return tuple(sorted(found))


@cache
def _start_of(kind: str) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=POSTING_KEY_BYTES - 1, person=kind[:1].encode())
