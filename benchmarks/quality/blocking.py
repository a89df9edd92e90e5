"""Which pairs each blocking rule makes, and what each is worth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.quality.datasets import Candidates, Numbers, Truth
from benchmarks.quality.intervals import Estimate, wilson


class RuleQuality(NamedTuple):
    """What one blocking rule does."""

    rule: str
    recall: Estimate
    """Of the true pairs, those that this rule alone would compare."""
    pairs: int
    only_pairs: int
    """Pairs that no other rule makes."""
    only_true_pairs: int
    largest_block: int | None
    truncated_keys: int | None


class BlockingQuality(NamedTuple):
    """What all rules do together."""

    pairs: int
    pairs_per_record: float
    recall: Estimate
    rules: tuple[RuleQuality, ...]


def pair_codes(left: Numbers, right: Numbers, record_count: int) -> Numbers:
    """Return one number for each pair, ascending with left, then right."""
    return left * record_count + right


def pairs_within(groups: Numbers, reach: int | None = None) -> tuple[Numbers, Numbers]:
    """Return all pairs of positions that share a group code, left < right.

    Args:
        groups: Shape (records,).
        reach: A position meets at most this many before it in its group; None for all.
    """
    order = np.argsort(groups, kind="stable")
    codes = groups[order]
    lefts, rights = [], []
    step, alive = 1, np.arange(len(codes) - 1)
    while len(alive) and (reach is None or step <= reach):
        alive = alive[alive + step < len(codes)]
        # Codes are sorted: where a step crosses into another group, every longer one does.
        alive = alive[codes[alive] == codes[alive + step]]
        lefts.append(order[alive])
        rights.append(order[alive + step])
        step += 1
    if not lefts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    one, other = np.concatenate(lefts), np.concatenate(rights)
    return np.minimum(one, other), np.maximum(one, other)


def candidates_of_snapshot(snapshot: Path, rule_names: tuple[str, ...], reach: int) -> Candidates:
    """Return the pairs that the posting keys of a snapshot make, as the batch engine makes them.

    Args:
        snapshot: As `mdm.linkage.snapshot` writes it, its records in the order of their numbers.
        rule_names: By rule index, the first byte of a posting key.
        reach: Holders of a key before it that a record meets.
    """
    lists = pq.read_table(snapshot, columns=["posting_keys"]).column(0).combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    keys = _key_bytes(lists)
    holders = np.repeat(np.arange(len(lengths)), lengths)
    hashes = np.ascontiguousarray(keys[:, 1:]).view(">u8").ravel().astype(np.uint64)
    codes: Numbers = np.empty(0, np.int64)
    rules: Numbers = np.empty(0, np.int64)
    largest, truncated = [], []
    for rule in range(len(rule_names)):
        is_rule = keys[:, 0] == rule
        blocks, sizes = np.unique(hashes[is_rule], return_inverse=True, return_counts=True)[1:]
        largest.append(int(sizes.max(initial=0)))
        truncated.append(int(np.sum(sizes > reach + 1)))
        left, right = pairs_within(blocks.astype(np.int64), reach)
        numbers = holders[is_rule]
        made = np.unique(pair_codes(numbers[left], numbers[right], len(lengths)))
        codes, rules = _merged(codes, rules, made, 1 << rule)
    left, right = np.divmod(codes, len(lengths))
    return Candidates(left, right, rules, rule_names, tuple(largest), tuple(truncated))


def _key_bytes(lists: object) -> NDArray[np.uint8]:
    """Return the keys of a list column as rows of bytes, without a Python object for each."""
    values = lists.flatten()  # type: ignore[attr-defined]
    width = values.type.byte_width
    _, data = values.buffers()
    first = values.offset * width
    return np.frombuffer(data, np.uint8)[first : first + len(values) * width].reshape(-1, width)


def _merged(codes: Numbers, rules: Numbers, made: Numbers, bit: int) -> tuple[Numbers, Numbers]:
    """Add one rule's pairs to ascending codes and their rule bits."""
    place = np.searchsorted(codes, made)
    is_known = np.zeros(len(made), dtype=np.bool_)
    inside = place < len(codes)
    is_known[inside] = codes[place[inside]] == made[inside]
    rules[place[is_known]] |= bit
    fresh = made[~is_known]
    all_codes = np.concatenate([codes, fresh])
    all_rules = np.concatenate([rules, np.full(len(fresh), bit, np.int64)])
    order = np.argsort(all_codes, kind="stable")
    return all_codes[order], all_rules[order]


def blocking_quality(truth: Truth, candidates: Candidates) -> BlockingQuality:
    """Return recall and pairs of each rule and of all together."""
    is_true = truth.entities[candidates.left] == truth.entities[candidates.right]
    sizes = np.bincount(truth.entities)
    true_pairs = int((sizes * (sizes - 1) // 2).sum())
    rules = []
    for index, name in enumerate(candidates.rule_names):
        bit = 1 << index
        has, alone = (candidates.rules & bit) != 0, candidates.rules == bit
        rules.append(
            RuleQuality(
                name,
                wilson(int(np.sum(has & is_true)), true_pairs),
                int(np.sum(has)),
                int(np.sum(alone)),
                int(np.sum(alone & is_true)),
                candidates.largest_blocks[index] if candidates.largest_blocks else None,
                candidates.truncated_keys[index] if candidates.truncated_keys else None,
            )
        )
    count = len(candidates.left)
    return BlockingQuality(
        count, count / max(len(truth.entities), 1), wilson(int(is_true.sum()), true_pairs), tuple(rules)
    )
