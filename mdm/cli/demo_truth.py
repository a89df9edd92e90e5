"""How well golden IDs agree with the truth of a synthetic city, counted in pairs of records."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdm_client import Client, EntityKind, SourceKey

Crosswalk = dict[SourceKey, str]
"""Source key → golden ID, or in the truth → entity."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Pairs of records of one kind: put together by golden IDs, belonging together in truth, and both."""

    golden_count: int
    entity_count: int
    right_pair_count: int
    wrong_pair_count: int
    missed_pair_count: int

    @property
    def precision(self) -> float:
        """Share of the pairs put together that belong together; 1 where none was put together."""
        found = self.right_pair_count + self.wrong_pair_count
        return self.right_pair_count / found if found else 1.0

    @property
    def recall(self) -> float:
        """Share of the pairs that belong together that were put together; 1 where none belongs together."""
        true = self.right_pair_count + self.missed_pair_count
        return self.right_pair_count / true if true else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def read_truth(city: Path) -> Crosswalk:
    """Return who each record of a synthetic city is really about."""
    with (city / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            SourceKey(row["registry"], EntityKind(row["entity_kind"]), row["record_id"]): row["entity_id"]
            for row in csv.DictReader(file)
        }


def read_crosswalk(client: Client) -> Crosswalk:
    """Return every live, resolved record's golden ID, all at one position."""
    return {
        SourceKey(chunk.registry, chunk.kind, record_id): golden_id
        for chunk in client.export_crosswalk()
        for record_id, golden_id in zip(chunk.record_ids, chunk.golden_ids, strict=True)
    }


def quality(crosswalk: Mapping[SourceKey, str], truth: Mapping[SourceKey, str], kind: EntityKind) -> Quality:
    """Count the pairs of one kind; records that the truth does not know are left out.

    A record without a golden ID is a golden record of its own: it costs recall.
    """
    keys = [key for key in truth if key.kind is kind]
    golden = {key: crosswalk.get(key) or f"alone {key.registry} {key.record_id}" for key in keys}
    together = Counter(golden.values())
    belonging = Counter(truth[key] for key in keys)
    right = _pairs(Counter((golden[key], truth[key]) for key in keys))
    return Quality(
        golden_count=len(together),
        entity_count=len(belonging),
        right_pair_count=right,
        wrong_pair_count=_pairs(together) - right,
        missed_pair_count=_pairs(belonging) - right,
    )


def _pairs(groups: Mapping[Any, int]) -> int:
    return sum(size * (size - 1) // 2 for size in groups.values())
