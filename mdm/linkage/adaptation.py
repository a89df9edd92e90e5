"""A re-linkage's model: m and u estimated anew on the city at hand, from the shipped model and without labels.

The shipped model is the base, not the active one: so the result depends on the records alone, and a second
re-linkage of the same records finds the same model.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from mdm.domain.keys import EntityKind
from mdm.limits import ADAPTATION_RECORDS_MIN
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.model import Model, Provenance
from mdm.linkage.splink_engine import Progress
from mdm.linkage.train import train

ADAPTATION_SEED = 1
"""Of the random pairs that u is counted on; fixed, so that a re-linkage is reproducible."""


def adapted_model(
    snapshot: Path, kind: EntityKind, epoch: StatisticsEpoch, *, memory_limit: str, progress: Progress | None = None
) -> tuple[Model, str]:
    """Return the model for a snapshot and one sentence on where its values come from.

    Args:
        snapshot: Parquet as `write_snapshot` makes it.
        kind: Of the snapshot.
        epoch: Of the snapshot.
        memory_limit: Of DuckDB's buffers.
        progress: Told of each step.

    Returns:
        The shipped model itself for fewer than `ADAPTATION_RECORDS_MIN` records: too few matches to learn from.
    """
    base = Model.default(kind)
    record_count = pq.ParquetFile(snapshot).metadata.num_rows
    if record_count < ADAPTATION_RECORDS_MIN:
        return base, f"shipped model kept: fewer than {ADAPTATION_RECORDS_MIN} records to learn from"
    # No date: the same records must give the same model, and so the same digest.
    provenance = Provenance("re-linkage", seed=ADAPTATION_SEED)
    model, report = train(snapshot, base, epoch, provenance=provenance, memory_limit=memory_limit, progress=progress)
    kept = ", ".join(f"{name} ({gate})" for name, gate in sorted(report.kept.items())) or "none"
    return model, f"learned {len(report.learned)} comparisons; kept from the shipped model: {kept}"
