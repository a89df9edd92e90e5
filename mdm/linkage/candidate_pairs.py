"""Which pairs of a snapshot are compared: those that share a posting key, found by sorting the keys of one rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.limits import POSTING_KEY_BYTES
from mdm.linkage.pair_codes import distinct, pair_codes, pairs_of_codes

_RULES_MAX = 256
"""A posting key's first byte is its rule."""


class RulePairs(NamedTuple):
    """What one blocking rule makes of a snapshot."""

    rule: int
    codes: NDArray[np.int64]
    """Pairs as `pair_codes` writes them; a pair that shares two keys of the rule stands here twice."""
    largest_block: int
    """Holders of the key that most records share."""
    truncated_keys: int
    """Keys of which a holder meets the nearest before it only."""


def candidate_pairs(snapshot: Path, reach: int) -> tuple[NDArray[np.int64], int]:
    """Return the codes of all pairs that share a posting key, ascending, and how many keys were truncated.

    Costs about 0.2 µs a key, and some 40 bytes for each key and 16 for each pair, those of several keys counted anew.

    Args:
        snapshot: As `write_snapshot` makes it.
        reach: A record meets at most this many holders of a key before it, as it would have online: in a crowd the
            cost grows with the holders, not with their square.
    """
    made = list(pairs_by_rule(snapshot, reach))
    codes = [pairs.codes for pairs in made]
    return distinct(np.concatenate(codes or [np.empty(0, np.int64)])), sum(pairs.truncated_keys for pairs in made)


def pairs_by_rule(snapshot: Path, reach: int) -> Iterator[RulePairs]:
    """Yield what each blocking rule makes, in the order of the rules, for those that made a key.

    Args:
        snapshot: As `write_snapshot` makes it.
        reach: As for `candidate_pairs`.
    """
    table = pq.read_table(snapshot, columns=["number", "posting_keys"]).combine_chunks()
    if not len(table):
        return
    lists = table.column("posting_keys").chunk(0)
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    holders = np.repeat(table.column("number").to_numpy(), lengths)
    keys = lists.flatten()
    first = keys.offset * POSTING_KEY_BYTES
    rows = np.frombuffer(keys.buffers()[1], np.uint8)[first : first + len(keys) * POSTING_KEY_BYTES]
    rows = rows.reshape(-1, POSTING_KEY_BYTES)
    rules = np.ascontiguousarray(rows[:, 0])
    hashes = np.ascontiguousarray(rows[:, 1:]).view(np.uint64).ravel()
    for rule in np.flatnonzero(np.bincount(rules, minlength=_RULES_MAX)).tolist():
        at = np.flatnonzero(rules == rule)
        yield _pairs_of_rule(rule, hashes[at], holders[at], reach)


def _pairs_of_rule(rule: int, hashes: NDArray[np.uint64], holders: NDArray[np.int64], reach: int) -> RulePairs:
    order = np.argsort(hashes)
    hashes, holders = hashes[order], holders[order]
    key = np.zeros(len(hashes), np.int64)
    np.cumsum(hashes[1:] != hashes[:-1], out=key[1:])
    # By key, then number: cheaper to sort as one number than to keep the order while sorting by key.
    held = pair_codes(key, holders)
    held.sort()
    key, holders = pairs_of_codes(held)
    made = []
    step, place = 1, np.arange(len(key))
    while step <= reach:
        place = place[: np.searchsorted(place, len(key) - step)]
        # Where a step crosses into another key's holders, every longer one does.
        place = place[key[place] == key[place + step]]
        if not len(place):
            break
        made.append(pair_codes(holders[place], holders[place + step]))
        step += 1
    sizes = np.bincount(key)
    codes = np.concatenate(made or [np.empty(0, np.int64)])
    return RulePairs(rule, codes, int(sizes.max()), int(np.sum(sizes > reach + 1)))
