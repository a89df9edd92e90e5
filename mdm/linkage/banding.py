"""The bands of millions of pairs: what `evidence.assess` says of each, asked once for each combination that occurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import Assessment, concluded, found_of, missing_beside_coincidence, veto
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.pair_codes import numbered
from mdm.linkage.rules import STRANGERS, Coincidence

FeaturesOf = Callable[[int], AnyFeatures]


class PairColumns(NamedTuple):
    """Pairs at or above the review threshold, as arrays of one length."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    bits: NDArray[np.float64]
    pattern: NDArray[np.int64]
    """Positions in a list of levels."""


class Banded(NamedTuple):
    """What the evidence makes of pairs: some dozen assessments, and which of them each pair has."""

    assessments: list[Assessment]
    which: NDArray[np.int64]


def assess_columns(
    pairs: PairColumns,
    patterns: list[tuple[int, ...]],
    traits: NDArray[np.int64] | None,
    features_of: FeaturesOf,
    model: Model,
    epoch: StatisticsEpoch,
) -> Banded:
    """Assess pairs as `evidence.assess` does each of them.

    Cost: some 1.5 µs a pair of a city, those that a veto or the rarity of a name decides included; without traits each
    pair is asked by itself.

    Args:
        pairs: None below the review threshold.
        patterns: Levels.
        traits: Of each record, by number; None where the rules declare none.
        features_of: Gives a record's features.
        model: That scored them.
        epoch: Gives how common a name is.
    """
    left, right, bits, _ = pairs
    rules = model.specification.rules
    missing_names: dict[str | Coincidence | None, int] = {}
    missing, may_veto = _lacking(pairs, patterns, traits, features_of, model, missing_names)
    for shared, code in list(missing_names.items()):
        if isinstance(shared, Coincidence):
            for place in np.flatnonzero(missing == code).tolist():
                name = missing_beside_coincidence(shared, features_of(int(left[place])), model, epoch)
                missing[place] = missing_names.setdefault(name, len(missing_names))
    forbidden_names: dict[str | None, int] = {None: 0}
    forbidden = np.zeros(len(left), np.int64)
    for place in np.flatnonzero(may_veto & (missing != missing_names.get(STRANGERS, -1))).tolist():
        found = veto(features_of(int(left[place])), features_of(int(right[place])))
        forbidden[place] = forbidden_names.setdefault(found, len(forbidden_names))

    is_above = bits >= model.thresholds.link_bits
    states, which = numbered((missing * len(forbidden_names) + forbidden) * 2 + is_above)
    names, vetoes = list(missing_names), list(forbidden_names)
    assessments = []
    for state in states.tolist():
        rest, above = divmod(state, 2)
        name, what = divmod(rest, len(vetoes))
        # Every coincidence was judged above, so that a name is what it is.
        lacking = cast("str | None", names[name])
        assessments.append(concluded(rules, lacking, vetoes[what], is_above=bool(above)))
    return Banded(assessments, which)


def _lacking(
    pairs: PairColumns,
    patterns: list[tuple[int, ...]],
    traits: NDArray[np.int64] | None,
    features_of: FeaturesOf,
    model: Model,
    names: dict[str | Coincidence | None, int],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what each pair lacks, as a code in `names`, and whether a veto has to look at it."""
    rules = model.specification.rules
    left, right = (pairs.left, pairs.right) if traits is None else (traits[pairs.left], traits[pairs.right])
    base = int(max(left.max(initial=0), right.max(initial=0))) + 1
    if len(patterns) * base**2 >= 1 << 63:
        raise OverflowError("more combinations of levels and traits than one number can tell apart")
    combinations, of_pair = numbered((pairs.pattern * base + left) * base + right)
    lacks, looks = [], []
    for combination in combinations.tolist():
        rest, other = divmod(combination, base)
        pattern, one = divmod(rest, base)
        found = found_of(model.kind, patterns[pattern])
        seen = (features_of(one), features_of(other)) if traits is None else (one, other)
        missing = rules.lack(found, *seen)
        lacks.append(names.setdefault(missing, len(names)))
        looks.append(rules.may_veto(found, *seen))
    return np.array(lacks, np.int64)[of_pair], np.array(looks, np.bool_)[of_pair]
