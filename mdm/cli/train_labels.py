"""What is known of pairs of training records: a synthetic city's truth, a reviewed sample, stewards' judgements."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mdm.cli.output import ExitCode, fail

if TYPE_CHECKING:
    from mdm.domain.keys import EntityKind, RecordNumber, SourceKey
    from mdm.store.view import IndexView

LABEL_COLUMNS = ("left_registry", "left_record_id", "right_registry", "right_record_id", "label")
_LABELS = {"same": 1, "different": 0}

LabelOf = Callable[[int, int], int]
"""1 if both places are of one bearer, 0 if not, -1 if nobody said."""


def truth_labels(entities: Mapping[int, str]) -> LabelOf:
    """Return labels from the true entity of each place."""

    def label_of(left: int, right: int) -> int:
        one, other = entities.get(left), entities.get(right)
        return -1 if one is None or other is None else int(one == other)

    return label_of


def pair_labels(labels: Mapping[tuple[int, int], int]) -> LabelOf:
    """Return labels from pairs of places, the smaller first."""
    return lambda left, right: labels.get((min(left, right), max(left, right)), -1)


def read_truth(path: Path, keys: Sequence[SourceKey]) -> dict[int, str]:
    """Return the entity of each place that a `truth.csv` names."""
    with path.open(encoding="utf-8", newline="") as file:
        entities = {
            (row["registry"], row["entity_kind"], row["record_id"]): row["entity_id"] for row in csv.DictReader(file)
        }
    named = ((place, entities.get((key.registry, key.kind, key.record_id))) for place, key in enumerate(keys, start=1))
    return {place: entity for place, entity in named if entity is not None}


def read_labels(path: Path, kind: EntityKind, keys: Sequence[SourceKey]) -> dict[tuple[int, int], int]:
    """Return the labels of a reviewed sample by pairs of places; ends the command where the file is wrong."""
    from mdm.domain.keys import SourceKey

    places = {key: place for place, key in enumerate(keys, start=1)}
    labels: dict[tuple[int, int], int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in LABEL_COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            fail(f"{path}: lacks the columns {', '.join(missing)}", ExitCode.USAGE)
        for row in reader:
            label = _LABELS.get((row["label"] or "").strip().lower())
            if label is None:
                fail(f"{path}: line {reader.line_num}: label must be same or different", ExitCode.USAGE)
            sides = (SourceKey(row[f"{side}_registry"], kind, row[f"{side}_record_id"]) for side in ("left", "right"))
            found = sorted(places.get(key, 0) for key in sides)
            if 0 in found or found[0] == found[1]:
                fail(
                    f"{path}: line {reader.line_num}: must name two {kind} records of the training data", ExitCode.USAGE
                )
            if labels.setdefault((found[0], found[1]), label) != label:
                fail(f"{path}: line {reader.line_num}: this pair was labelled otherwise before", ExitCode.USAGE)
    if not labels:
        fail(f"{path}: holds no labels", ExitCode.USAGE)
    return labels


def judged_labels(view: IndexView, place_of: Mapping[RecordNumber, int]) -> dict[tuple[int, int], int]:
    """Return what clerks chose and, outranking them, what stewards judged, by pairs of places."""
    from mdm.domain.events import Verdict

    said: dict[tuple[RecordNumber, RecordNumber], int] = {}
    for number, entry in view.iter_records():
        said.update({(number, other): 0 for other in entry.rejected})
        if entry.chosen is not None:
            said[number, entry.chosen] = 1
    said = {(min(pair), max(pair)): label for pair, label in said.items()}
    said.update({pair: int(verdict is Verdict.SAME) for pair, verdict in view.iter_judgements()})
    return {
        (min(left, right), max(left, right)): label
        for (one, other), label in said.items()
        if (left := place_of.get(one)) is not None and (right := place_of.get(other)) is not None
    }
