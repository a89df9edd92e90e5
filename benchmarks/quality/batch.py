"""The service's batch path, step by step as a re-linkage takes it, with all that is needed to measure it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.quality.blocking import candidates_of_snapshot, pairs_within
from benchmarks.quality.datasets import (
    LINK_BAND,
    NO_BAND,
    REVIEW_BAND,
    LevelWeight,
    Linkage,
    Numbers,
    Parity,
    ScoredPairs,
    Truth,
    Workshop,
)
from mdm.domain.decision import Band
from mdm.domain.keys import EntityKind
from mdm.limits import CANDIDATES_PER_KEY_MAX, RELINK_MEMORY_BYTES
from mdm.linkage.adaptation import adapted_model
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.evidence import assess
from mdm.linkage.features import AnyFeatures
from mdm.linkage.model import Model
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import learned_parameters, specification_of
from mdm.linkage.splink_engine import Workspace, predict
from mdm.resolve.relink_decision import deciders
from mdm.resolve.relink_linkage import Linked, link
from mdm.resolve.relink_plan import question_changes
from mdm.resolve.relink_room import decider_count
from mdm.resolve.relink_snapshot import People, Records, StoredFeatures

KEPT_BITS_MIN = -10.0
"""Pairs of less than one in a thousand decide nothing; they are counted, not kept."""

SAMPLE_PAIRS = 200_000
"""Pairs compared between the engines, and pairs whose levels are counted: levels of one in 10,000 show 20 times."""

PARITY_BITS_MAX = 1e-9
NEAR_THRESHOLD_BITS = 0.5

_BANDS = {Band.NONE: NO_BAND, Band.REVIEW: REVIEW_BAND, Band.LINK: LINK_BAND}


def link_batch(
    records: Records,
    registries: Sequence[str],
    truth: Truth,
    workshop: Workshop,
    describe: Callable[[int], Mapping[str, str]] | None = None,
) -> Linkage:
    """Link all records of one kind in batch, without any judgement.

    Args:
        records: Numbered from 1, in the order of their source keys.
        registries: Of each record.
        truth: Of the same records.
        workshop: Where to work.
        describe: Gives a record's raw values.
    """
    kind, options = records.kind, workshop.options
    stopwatch = Stopwatch()
    snapshot = workshop.scratch / f"{kind}.parquet"
    workshop.say(f"{kind}: snapshot of {len(registries):,} records")
    # As a re-linkage has them: processes that help are told the file's name, and not all that is in it.
    stored = StoredFeatures.written(
        snapshot.with_suffix(".features"), map(records.encoded.__getitem__, records.encoded)
    )
    records = Records(kind, stored)
    rows = ((number, registry, records.features(number)) for number, registry in enumerate(registries, start=1))
    write_snapshot(snapshot, kind, rows)
    first_population = max(Counter(registries).values())
    first_epoch = StatisticsEpoch.from_records(kind, map(records.features, records.encoded), first_population)
    stopwatch.lap("snapshot")
    workshop.say(f"{kind}: training")
    count = len(registries)
    with (
        deciders(decider_count(RELINK_MEMORY_BYTES, count, count)) as helping,
        Workspace(snapshot, specification_of(kind), options.memory_limit) as workspace,
    ):
        adapted = adapted_model(workspace, EntityKind(kind), first_epoch)
        stopwatch.lap("train")
        workshop.say(f"{kind}: linking")
        linked = link(
            records, workspace, adapted.model, first_epoch, People(), helping=helping, progress=lambda *_: None
        )
        stopwatch.lap("predict_and_cluster")
    questions = open_questions(linked)
    stopwatch.lap("plan")
    facts = {"model_source": adapted.verdict}
    found = Found(records, snapshot, linked.model, linked, questions)
    return examined(str(kind), found, truth, workshop, seconds=stopwatch.seconds, facts=facts, describe=describe)


class Found(NamedTuple):
    """What the batch path made of the records of any declared kind, to be looked at."""

    records: Records
    """Numbered from 1, in the order of their positions."""
    snapshot: Path
    model: Model
    linked: Linked
    questions: Numbers
    """As `open_questions` gives them."""


def examined(
    subject: str,
    found: Found,
    truth: Truth,
    workshop: Workshop,
    *,
    seconds: Mapping[str, float],
    facts: Mapping[str, Any],
    describe: Callable[[int], Mapping[str, str]] | None = None,
) -> Linkage:
    """Score all candidates again, far below review too, compare the engines, and return all that can be measured.

    Args:
        subject: What the records describe.
        found: By the batch path, of any declared kind of record.
        truth: Of the same records.
        workshop: Where to work.
        seconds: By stage, so far.
        facts: Whatever else a reader should know.
        describe: Gives a record's raw values; None where nobody may see them.
    """
    records, snapshot, model, linked, questions = found
    options, thresholds, prediction = workshop.options, model.thresholds, linked.prediction
    workshop.say(f"{subject}: looking at every pair")
    rule_names = tuple(name for name, _ in model.specification.blocking_rules)
    candidates = candidates_of_snapshot(snapshot, rule_names, reach=CANDIDATES_PER_KEY_MAX)
    pairs = _scored_pairs(found, options.memory_limit)
    scorer = compile_scorer(model, linked.epoch)
    workshop.say(f"{subject}: parity and levels")
    clusters = np.zeros(len(truth.entities), np.int64)
    for index, members in enumerate(linked.clusters):
        clusters[np.array(members) - 1] = index
    return Linkage(
        subject=subject,
        way="batch",
        truth=truth,
        clusters=clusters,
        questions=questions,
        pairs=pairs,
        candidates=candidates,
        levels=_levels(records, truth, scorer, options.seed),
        link_bits=thresholds.link_bits,
        review_bits=thresholds.review_bits,
        parity=_parity(records, pairs, scorer, options.seed),
        seconds=seconds,
        facts={
            "model": model.digest,
            "epoch": linked.epoch.digest,
            "population": linked.epoch.population,
            "candidate_pairs": prediction.candidate_pairs,
            "linked_pairs": linked.linked_pair_count,
            "refused_pairs": linked.refused_pair_count,
            "truncated_keys": prediction.truncated_keys,
            **facts,
        },
        describe=describe,
        explain=lambda left, right: _explained(records, left, right, scorer),
    )


class Stopwatch:
    """Seconds by stage; a lap begins where the last one ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.seconds[stage] = now - self._began
        self._began = now


def open_questions(linked: Linked) -> Numbers:
    """Return the potential matches that a plan would open, shape (questions, 2), as positions."""
    _, opened = question_changes([], linked.questions, linked.cluster_of)
    pairs = [(question.left - 1, question.right - 1) for question in opened]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _scored_pairs(found: Found, memory_limit: str) -> ScoredPairs:
    """Score every candidate again under the final epoch, far below review too, and put each into its band."""
    records, snapshot, model, epoch = found.records, found.snapshot, found.model, found.linked.epoch
    output = snapshot.with_suffix(".all-pairs.parquet")
    with Workspace(snapshot, model.specification, memory_limit) as workspace:
        predict(workspace, model, epoch, output, threshold_bits=KEPT_BITS_MIN)
    table = pq.read_table(output)
    output.unlink()
    left, right, bits = (table.column(name).to_numpy() for name in ("left", "right", "match_weight"))
    gammas = [table.column(f"gamma_{each.name}").to_numpy() for each in model.specification.comparisons]
    levels = np.stack(gammas, axis=1).astype(np.int8)
    bands = np.full(len(left), NO_BAND, np.int8)
    # Neighbours in the file share records, whose features are then decoded once.
    for place in np.flatnonzero(bits >= model.thresholds.review_bits).tolist():
        one, other = records.features(int(left[place])), records.features(int(right[place]))
        pair_levels = tuple(levels[place].tolist())
        bands[place] = _BANDS[assess(records.kind, pair_levels, one, other, float(bits[place]), model, epoch).band]
    return ScoredPairs(left - 1, right - 1, bits, bands, levels)


def _parity(records: Records, pairs: ScoredPairs, scorer: Scorer, seed: int) -> Parity:
    """Score with the compiled scorer what Splink scored: all kept pairs, or a sample and all near a threshold."""
    thresholds = scorer.model.thresholds
    chosen = np.arange(len(pairs.left))
    if len(chosen) > SAMPLE_PAIRS:
        is_near = np.zeros(len(chosen), np.bool_)
        for threshold in (thresholds.review_bits, thresholds.link_bits):
            is_near |= np.abs(pairs.bits - threshold) <= NEAR_THRESHOLD_BITS
        drawn = np.random.default_rng(seed).choice(len(chosen), SAMPLE_PAIRS, replace=False)
        chosen = np.union1d(np.flatnonzero(is_near), drawn)
    levels, bits = _scored_online(records, pairs.left[chosen], pairs.right[chosen], scorer)
    differences = np.abs(bits - pairs.bits[chosen])
    return Parity(
        len(chosen),
        int(np.sum(np.any(levels != pairs.levels[chosen], axis=1))),
        int(np.sum(differences > PARITY_BITS_MAX)),
        float(differences.max(initial=0.0)),
    )


def _scored_online(
    records: Records, left: Numbers, right: Numbers, scorer: Scorer
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return levels, shape (pairs, comparisons), and weights of pairs of positions by the compiled scorer."""
    levels = np.empty((len(left), len(scorer.specification.comparisons)), np.int8)
    bits = np.empty(len(left))
    places: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(left.tolist()):
        places[number].append(place)
    for number, group in places.items():
        others: list[AnyFeatures] = [records.features(int(right[place]) + 1) for place in group]
        for place, scored in zip(group, scorer.score(records.features(number + 1), others), strict=True):
            levels[place], bits[place] = scored
    return levels, bits


def _levels(records: Records, truth: Truth, scorer: Scorer, seed: int) -> tuple[LevelWeight, ...]:
    """Return m and u of the model, beside how often true pairs and strangers show each level."""
    dice = np.random.default_rng(seed)
    left, right = pairs_within(truth.entities)
    if len(left) > SAMPLE_PAIRS:
        drawn = dice.choice(len(left), SAMPLE_PAIRS, replace=False)
        left, right = left[drawn], right[drawn]
    one, other = dice.integers(0, len(truth.entities), (2, SAMPLE_PAIRS))
    are_strangers = truth.entities[one] != truth.entities[other]
    of_matches = _scored_online(records, left, right, scorer)[0]
    of_strangers = _scored_online(records, one[are_strangers], other[are_strangers], scorer)[0]
    learned = learned_parameters(scorer.model.splink)
    weights = []
    for place, comparison in enumerate(scorer.specification.comparisons):
        for level, value in zip(comparison.levels, comparison.level_values(), strict=True):
            if level.is_missing:
                continue
            m, u = learned[comparison.name, level.label]
            weights.append(
                LevelWeight(
                    comparison.name,
                    level.label,
                    value,
                    m or 0.0,
                    u or 0.0,
                    _share(of_matches[:, place], value),
                    _share(of_strangers[:, place], value),
                )
            )
    return tuple(weights)


def _share(levels: NDArray[np.int8], value: int) -> float:
    """Return how often a level was seen where the comparison was not missing, as m and u are meant."""
    return float(np.sum(levels == value) / max(np.sum(levels >= 0), 1))


def _explained(records: Records, left: int, right: int, scorer: Scorer) -> dict[str, str]:
    steps = scorer.waterfall(records.features(left + 1), records.features(right + 1))
    return {step.comparison: f"{step.level} {step.bits + step.term_frequency_bits:+.1f}" for step in steps}
