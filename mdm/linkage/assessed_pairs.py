"""A city's scored pairs as thresholds are chosen from: with what each could become at any weight, and its label."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from mdm.domain.decision import Band
from mdm.domain.events import MatchReason
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import assess
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.thresholds import Pairs

BELOW_REVIEW_BITS = 5.0
"""How far below the review threshold pairs are looked at: of the matches below it, 97 % lie within five bits if the
model is calibrated and weights are evenly spread."""

ScoredRow = tuple[int, int, float, tuple[int, ...]]
"""Left, right, match weight in bits and comparison levels."""


def scored_rows(path: Path) -> Iterator[ScoredRow]:
    """Yield the pairs that `predict` wrote."""
    for batch in pq.ParquetFile(path).iter_batches(batch_size=50_000):
        lefts, rights, bits, *levels = (column.to_pylist() for column in batch.columns)
        yield from zip(lefts, rights, bits, zip(*levels, strict=True), strict=True)


def assessed_pairs(
    rows: Iterable[ScoredRow],
    features: Callable[[int], AnyFeatures],
    model: Model,
    epoch: StatisticsEpoch,
    label_of: Callable[[int, int], int],
) -> Pairs:
    """Return the pairs that could become links or questions if thresholds were elsewhere.

    Args:
        rows: Every scored pair of the city.
        features: Of a record, by its number.
        model: That scored them; its thresholds only say where a veto is worth a question.
        epoch: That scored them.
        label_of: 1 if both numbers are of one bearer, 0 if not, -1 if nobody said.

    Cost: about 10 us a pair.
    """
    open_model = msgspec.structs.replace(
        model, thresholds=msgspec.structs.replace(model.thresholds, link_bits=-math.inf, review_bits=-math.inf)
    )
    weights: list[float] = []
    can_link: list[bool] = []
    labels: list[int] = []
    for left, right, bits, levels in rows:
        found = assess(model.kind, levels, features(left), features(right), bits, open_model, epoch)
        is_veto = found.reason is MatchReason.VETO
        if found.band is Band.NONE or (is_veto and bits < model.thresholds.link_bits):
            continue
        weights.append(bits)
        # A link that holds only for the sole bearer of a name hangs on who else is listed, whatever it weighs.
        can_link.append(found.band is Band.LINK and not found.is_sole)
        labels.append(label_of(left, right))
    return Pairs.of(np.array(weights, np.float64), np.array(can_link, np.bool_), np.array(labels, np.int8))
