"""Which pairs of a snapshot are compared: those that share a posting key, found by sorting the keys of one rule."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.limits import POSTING_KEY_BYTES
from mdm.linkage.pair_codes import are_among, distinct, is_first, pair_codes

_BATCH_RECORDS = 65_536
"""Read at a time."""

RULES_AT_ONCE = 2
"""Sorted beside each other, for sorting leaves the interpreter alone. Each takes some 60 bytes for each of its keys."""

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


CandidatePairs = tuple[NDArray[np.int64], int]
"""Codes of pairs, ascending, and how many keys were truncated."""


def candidate_pairs(snapshot: Path, reach: int) -> CandidatePairs:
    """Return all pairs that share a posting key.

    Costs about 0.2 µs a key, and some 55 bytes for each key and 16 for each pair, those of several keys counted anew.

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
    postings = _postings(snapshot)

    def of_rule(rule: int) -> RulePairs:
        hashes, holders = zip(*postings.pop(rule), strict=True)
        return _pairs_of_rule(rule, np.concatenate(hashes), np.concatenate(holders), reach)

    with ThreadPoolExecutor(RULES_AT_ONCE) as pool:
        yield from pool.map(of_rule, sorted(postings))


def _postings(snapshot: Path) -> dict[int, list[tuple[NDArray[np.uint64], NDArray[np.int64]]]]:
    """Return of each rule the hashes and records of its posting keys, batch by batch; records ascend."""
    postings: dict[int, list[tuple[NDArray[np.uint64], NDArray[np.int64]]]] = {}
    last = np.int64(-1)
    with pq.ParquetFile(snapshot) as file:
        for batch in file.iter_batches(_BATCH_RECORDS, columns=["number", "posting_keys"]):
            numbers, packed = batch.column("number").to_numpy(), batch.column("posting_keys")
            counts = pc.fill_null(pc.binary_length(packed), 0).to_numpy() // POSTING_KEY_BYTES
            starts = np.frombuffer(packed.buffers()[1], np.int32)[packed.offset : packed.offset + len(packed) + 1]
            rows = np.frombuffer(packed.buffers()[2] or b"", np.uint8)[starts[0] : starts[-1]]
            rows = rows.reshape(-1, POSTING_KEY_BYTES)
            if not np.all(np.diff(numbers, prepend=last) > 0):
                raise ValueError("the rows of a snapshot ascend by their numbers")
            last = numbers[-1]
            # A stable sort of single bytes counts them: the keys of a rule then lie side by side.
            order = np.argsort(rows[:, 0], kind="stable")
            hashes = np.ascontiguousarray(rows[:, 1:]).view(np.uint64).ravel()[order]
            holders = np.repeat(numbers, counts)[order]
            ends = np.cumsum(sizes := np.bincount(rows[:, 0], minlength=_RULES_MAX))
            for rule in np.flatnonzero(sizes).tolist():
                its = slice(int(ends[rule] - sizes[rule]), int(ends[rule]))
                # Copies: a view would keep the keys of all rules until the last one is done.
                postings.setdefault(rule, []).append((hashes[its].copy(), holders[its].copy()))
    return postings


def _pairs_of_rule(rule: int, hashes: NDArray[np.uint64], holders: NDArray[np.int64], reach: int) -> RulePairs:
    order = _grouped(hashes)
    hashes, holders = hashes[order], holders[order]
    starts = is_first(hashes)
    made = []
    step, place = 1, np.flatnonzero(~starts[1:])
    while step <= reach and len(place):
        made.append(pair_codes(holders[place], holders[place + step]))
        step += 1
        place = place[: np.searchsorted(place, len(hashes) - step)]
        # Where a step crosses into another key's holders, every longer one does.
        place = place[hashes[place] == hashes[place + step]]
    sizes = np.diff(np.append(np.flatnonzero(starts), len(hashes)))
    codes = np.concatenate(made or [np.empty(0, np.int64)])
    return RulePairs(rule, codes, int(sizes.max()), int(np.sum(sizes > reach + 1)))


def _grouped(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the places of the hashes in their order, those of one hash ascending.

    Upper bits of a hash and place are sorted as one number: a third of the time that `np.argsort` takes.
    """
    bits = len(hashes).bit_length()
    lower = np.uint64((1 << bits) - 1)
    codes = (hashes & ~lower) | np.arange(len(hashes), dtype=np.uint64)
    codes.sort()
    order = (codes & lower).view(np.int64)
    found = hashes[order]
    # Hashes that differ in the lower bits alone may lie in any order: of a million hardly any.
    mixed = (found[1:] ^ found[:-1]) - np.uint64(1) < lower
    if np.any(mixed):
        among = np.flatnonzero(are_among(codes >> np.uint64(bits), codes[1:][mixed] >> np.uint64(bits)))
        order[among] = order[among][np.lexsort((order[among], found[among]))]
    return order
