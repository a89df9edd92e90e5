"""A re-linkage's model: m and u estimated anew on the city at hand, from the shipped model and without labels.

The shipped model is the base, not the active one: so the result depends on the records alone, and a second
re-linkage of the same records finds the same model. A model that an operator chose is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
import numpy as np
import pyarrow.parquet as pq

from mdm.domain.keys import EntityKind
from mdm.limits import ADAPTATION_RECORDS_MIN
from mdm.linkage.assessed_pairs import ScoredRow, assessed_pairs
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import AnyFeatures
from mdm.linkage.gates import TrainingReport
from mdm.linkage.model import Model, Provenance
from mdm.linkage.splink_engine import Progress, Workspace
from mdm.linkage.thresholds import (
    RAISE_BITS_MAX,
    STRATUM_BITS,
    TARGET_PRECISION,
    UNKNOWN,
    Choice,
    Pairs,
    choose_thresholds,
)
from mdm.linkage.train import train

ADAPTATION_SEED = 1
"""Of the random pairs that u is counted on; fixed, so that a re-linkage is reproducible."""


def tightened(
    model: Model,
    rows: Iterable[ScoredRow],
    features: Callable[[int], AnyFeatures],
    epoch: StatisticsEpoch,
    labels: Mapping[tuple[int, int], int],
) -> tuple[Model, Choice | None]:
    """Return the model with the thresholds that people's judgements ask for: higher or the same, never lower.

    Args:
        model: That scored the pairs.
        rows: Every scored pair.
        features: Of a record, by its number.
        epoch: That scored the pairs.
        labels: 1 for one bearer, 0 for two, by pair of numbers, the smaller first.

    Returns:
        The model and what the threshold rests on; the model itself and None if nobody judged anything.

    Cost: about 10 us for each pair that a threshold within reach could turn, and for each judged one.
    """
    if not labels:
        return model, None
    thresholds = model.thresholds
    beyond = thresholds.link_bits + RAISE_BITS_MAX + STRATUM_BITS
    within: list[ScoredRow] = []
    sure: list[float] = []
    for row in rows:
        if row[2] < beyond or row[:2] in labels:
            within.append(row)
        else:
            sure.append(row[2])
    pairs = assessed_pairs(within, features, model, epoch, lambda left, right: labels.get((left, right), -1))
    choice = choose_thresholds(
        # Far above every threshold within reach a pair only adds to the links, whatever its evidence.
        Pairs.of(
            np.concatenate([pairs.bits, np.array(sure, np.float64)]),
            np.concatenate([pairs.can_link, np.ones(len(sure), np.bool_)]),
            np.concatenate([pairs.labels, np.full(len(sure), UNKNOWN)]),
        ),
        base_link_bits=thresholds.link_bits,
        base_review_bits=thresholds.review_bits,
        # A kind that is declared elsewhere is held to the strictest.
        target_precision=TARGET_PRECISION.get(model.kind, max(TARGET_PRECISION.values())),
        is_sample=False,
    )
    raised = msgspec.structs.replace(thresholds, link_bits=choice.link_bits)
    return msgspec.structs.replace(model, thresholds=raised), choice


class Adaptation(msgspec.Struct, frozen=True):
    """A re-linkage's model and where its values come from."""

    model: Model
    verdict: str
    """One sentence."""
    report: TrainingReport | None = None
    """None where nothing was learned."""
    is_pinned: bool = False
    """Whether an operator chose it, so that judgements do not move its thresholds either."""


def adapted_model(
    workspace: Workspace,
    kind: EntityKind,
    epoch: StatisticsEpoch,
    *,
    pinned: Model | None = None,
    progress: Progress | None = None,
) -> Adaptation:
    """Return the model for a snapshot.

    Args:
        workspace: Over the snapshot.
        kind: Of the snapshot.
        epoch: Of the snapshot.
        pinned: What an operator chose; used as it is.
        progress: Told of each step.

    Returns:
        The shipped model itself for fewer than `ADAPTATION_RECORDS_MIN` records: too few matches to learn from.
    """
    if pinned is not None:
        return Adaptation(pinned, "the model that an operator put in force, as it is", is_pinned=True)
    base = Model.default(kind)
    record_count = pq.ParquetFile(workspace.snapshot).metadata.num_rows
    if record_count < ADAPTATION_RECORDS_MIN:
        return Adaptation(base, f"the shipped model's: fewer than {ADAPTATION_RECORDS_MIN:,} records to learn from")
    # No date: the same records must give the same model, and so the same digest.
    provenance = Provenance("re-linkage", seed=ADAPTATION_SEED)
    model, report = train(workspace, base, epoch, provenance=provenance, progress=progress)
    count = len(base.specification.comparisons)
    return Adaptation(model, f"learned {len(report.learned)} of {count} comparisons from these records", report)
