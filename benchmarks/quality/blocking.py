"""Which pairs each blocking rule makes, and what each is worth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from benchmarks.quality.datasets import Candidates, Numbers, Truth
from benchmarks.quality.intervals import Estimate, wilson
from mdm.linkage.candidate_pairs import pairs_by_rule
from mdm.linkage.pair_codes import distinct, pairs_of_codes


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
        snapshot: As `mdm.linkage.snapshot` writes it, its records numbered from 1.
        rule_names: By rule index, the first byte of a posting key.
        reach: Holders of a key before it that a record meets.
    """
    record_count = pq.ParquetFile(snapshot).metadata.num_rows
    codes: Numbers = np.empty(0, np.int64)
    rules: Numbers = np.empty(0, np.int64)
    largest, truncated = [0] * len(rule_names), [0] * len(rule_names)
    for pairs in pairs_by_rule(snapshot, reach):
        largest[pairs.rule], truncated[pairs.rule] = pairs.largest_block, pairs.truncated_keys
        left, right = pairs_of_codes(distinct(pairs.codes))
        codes, rules = _merged(codes, rules, pair_codes(left - 1, right - 1, record_count), 1 << pairs.rule)
    left, right = np.divmod(codes, record_count)
    return Candidates(left, right, rules, rule_names, tuple(largest), tuple(truncated))


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
