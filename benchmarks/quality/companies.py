"""Listed Vietnamese firms by their names alone: each short name is matched against all full names.

The names run through the product's own normaliser, its comparison of names and its bands, in a specification that has
nothing else. A name alone is weak evidence (one that is seen once is no rarer than one in all), so that weights stay
below even odds and the lead over every rival, on both sides, decides. m of each level and the link threshold are
learned on one half of the firms, drawn by a hash of their ticker; the strata tell that half from the one held back.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.quality.batch import Stopwatch
from benchmarks.quality.datasets import (
    LINK_BAND,
    NO_BAND,
    REVIEW_BAND,
    LevelWeight,
    Linkage,
    Mask,
    Numbers,
    Parity,
    ScoredPairs,
    SkippedError,
    Stratum,
    Truth,
    Workshop,
)
from mdm.domain.keys import EntityKind, SourceKey
from mdm.domain.records import BusinessAttributes, SourceRecord
from mdm.linkage.businesses import NAME
from mdm.linkage.comparisons import Comparison, Level, Meaning
from mdm.linkage.epoch import StatisticsEpoch
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.keys import each
from mdm.linkage.model import Model, Provenance, Thresholds
from mdm.linkage.normalise.record import normalise
from mdm.linkage.rules import STRANGERS, Found, Rules
from mdm.linkage.scorer import Scorer, compile_scorer
from mdm.linkage.snapshot import write_snapshot
from mdm.linkage.specification import Specification, declare
from mdm.linkage.splink_engine import Workspace, predict

KIND = "company_name"
FILE = Path("business") / "vn_listed_company_names_mit2023.parquet"
SHORT, FULL = "short_vn", "full_vn"

PRECISION_MIN = 0.995
"""What the link threshold must keep on the half that it is chosen on."""

LEAD_BITS = 3.0
"""As the service's own: eight times likelier than any rival."""

REVIEW_BITS = -12.0
"""Below it lie names that share nothing but a trade."""

_PARITY_BITS_MAX = 1e-9


class CompanyName(BusinessFeatures, frozen=True, array_like=True, tag=KIND):
    """The features of a record that states a name and nothing else."""


def _lack(found: Found, _left: CompanyName, _right: CompanyName) -> str | None:
    level = found["name"]
    if level.meaning in {Meaning.AGREES, Meaning.CLOSE} or level.label == "contained":
        return None
    return STRANGERS if level.meaning is Meaning.CONFLICTS else "name"


SPECIFICATION = Specification(
    KIND,
    CompanyName,
    (NAME,),
    # For the batch engine, whose weights are compared with those of all pairs.
    (("name", lambda f: each(f.names)), ("word", lambda f: each(f.name_distinct_words))),
    Rules(lambda _left, _right: None, _lack, lambda _members: None),
    (),
)


class Names(NamedTuple):
    """Short and full names of the same firms, in one order: position i of both is one firm."""

    short: list[CompanyName]
    full: list[CompanyName]
    is_for_learning: Mask
    """The half of the firms that m and the threshold are learned on."""


class Scores(NamedTuple):
    """Every short name (row) with every full name (column)."""

    levels: NDArray[np.int8]
    bits: NDArray[np.float64]


def read_names(file: Path) -> Names:
    """Read names and truth; firms come in the order of their tickers."""
    tickers = {
        row["record_id"]: row["true_id"] for row in pq.read_table(file.with_suffix(".truth.parquet")).to_pylist()
    }
    features: dict[str, dict[str, CompanyName]] = {SHORT: {}, FULL: {}}
    for row in pq.read_table(file).to_pylist():
        features[row["name_form"]][tickers[row["record_id"]]] = company_name(row["name"])
    order = sorted(features[SHORT])
    if order != sorted(features[FULL]):
        raise ValueError("every firm has a short and a full name")
    return Names(
        [features[SHORT][ticker] for ticker in order],
        [features[FULL][ticker] for ticker in order],
        np.array([hashlib.blake2b(ticker.encode(), digest_size=1).digest()[0] % 2 == 0 for ticker in order]),
    )


def company_name(text: str) -> CompanyName:
    """Return the features of a record whose legal name is `text`."""
    key = SourceKey("company", EntityKind.BUSINESS, "1")
    features = normalise(SourceRecord(key, BusinessAttributes(legal_name=text))).features
    return CompanyName(*msgspec.structs.astuple(features))


def score_all(scorer: Scorer, names: Names) -> Scores:
    """Score every short name with every full name, shape (firms, firms)."""
    rows = [scorer.score(short, names.full) for short in names.short]
    levels = np.array([[pair.levels[0] for pair in row] for row in rows], np.int8)
    return Scores(levels, np.array([[pair.match_weight_bits for pair in row] for row in rows]))


def learned_model(names: Names, epoch: StatisticsEpoch) -> Model:
    """Count m and u of each level on the learning half, and choose the lowest link threshold that is precise on it."""
    half = names.is_for_learning
    count = int(half.sum())
    first = score_all(compile_scorer(_model(), epoch), names).levels[np.ix_(half, half)]
    of_firms = Counter(np.diagonal(first).tolist())
    of_pairs = Counter(first.ravel().tolist())
    level_count = len(NAME.levels) - 1

    def parameters(_comparison: Comparison, level: Level) -> tuple[float, float]:
        value = NAME.level_values()[NAME.levels.index(level)]
        # Half an observation more: what was not seen is rare, not impossible.
        m = (of_firms[value] + 0.5) / (count + level_count / 2)
        return m, (of_pairs[value] - of_firms[value] + 0.5) / (count * (count - 1))

    scores = score_all(compile_scorer(_model(parameters), epoch), names)
    linkable = _linkable(scores) & half[:, None]
    best = REVIEW_BITS
    for bits in np.unique(scores.bits[linkable])[::-1].tolist():
        links = linkable & (scores.bits >= bits)
        if np.diagonal(links).sum() / links.sum() < PRECISION_MIN:
            break
        best = bits
    return _model(parameters, link_bits=best)


def _model(parameters: Any = None, link_bits: float = 0.0) -> Model:
    thresholds = Thresholds(link_bits, REVIEW_BITS, LEAD_BITS, move_margin_bits=0.0, coincidence_max=0.0)
    provenance = Provenance("half of the listed firms, by a hash of their tickers; m counted on its truth")
    if parameters is None:
        return Model.build(KIND, thresholds=thresholds, provenance=provenance)
    return Model.build(KIND, parameters, thresholds, provenance)


def _linkable(scores: Scores, lead_bits: float = LEAD_BITS) -> Mask:
    """Return which pairs may link: the level suffices, and both names prefer each other to all others by the lead."""
    allowed = [
        value
        for level, value in zip(NAME.levels, NAME.level_values(), strict=True)
        if level.meaning in {Meaning.AGREES, Meaning.CLOSE} or level.label == "contained"
    ]
    return np.isin(scores.levels, allowed) & (_leads(scores.bits) >= lead_bits)


def _leads(bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each pair lies above the best rival of either side; negative where it is not the best."""
    leads = []
    for axis in (0, 1):
        ordered = np.sort(bits, axis=axis)
        best, second = np.take(ordered, [-1], axis), np.take(ordered, [-2], axis)
        leads.append(bits - np.where(bits == best, second, best))
    return np.minimum(*leads)


def links_of(scores: Scores, link_bits: float) -> Mask:
    """Return which short name (row) links with which full name (column)."""
    return _linkable(scores) & (scores.bits >= link_bits)


def link_companies(_argument: str, workshop: Workshop) -> Iterator[Linkage]:
    """Match all short names with all full names, and yield what came of it."""
    if workshop.shared is None or not (workshop.shared / FILE).is_file():
        raise SkippedError(f"needs {FILE} in the folder of public sets: set MDM_SHARED_DATA")
    declare(SPECIFICATION)
    stopwatch = Stopwatch()
    workshop.say("company names: reading")
    names = read_names(workshop.shared / FILE)
    firms = len(names.short)
    epoch = StatisticsEpoch.from_records(KIND, [*names.short, *names.full], firms)
    stopwatch.lap("normalise")
    workshop.say("company names: learning from one half")
    model = learned_model(names, epoch)
    stopwatch.lap("train")
    workshop.say(f"company names: {firms:,} × {firms:,} pairs")
    scorer = compile_scorer(model, epoch)
    scores = score_all(scorer, names)
    links = links_of(scores, model.thresholds.link_bits)
    stopwatch.lap("predict_and_cluster")
    kept = np.argwhere(scores.bits >= REVIEW_BITS)
    rows, columns = kept[:, 0], kept[:, 1]
    bands = np.where(links[rows, columns], LINK_BAND, REVIEW_BAND).astype(np.int8)
    bands[~_linkable(scores, lead_bits=-np.inf)[rows, columns]] = NO_BAND
    clusters = np.arange(2 * firms)
    short, full = np.nonzero(links)
    clusters[short] = full + firms
    workshop.say("company names: parity")
    yield Linkage(
        subject=KIND,
        way="names_alone",
        truth=_truth(names),
        clusters=clusters,
        pairs=ScoredPairs(rows, columns + firms, scores.bits[rows, columns], bands, scores.levels[rows, columns, None]),
        levels=_level_weights(model, scores),
        link_bits=model.thresholds.link_bits,
        review_bits=REVIEW_BITS,
        parity=_parity(names, model, epoch, scorer, workshop),
        seconds=stopwatch.seconds,
        facts={
            "model": model.digest,
            "firms": firms,
            "learned_on": int(names.is_for_learning.sum()),
            "lead_bits": LEAD_BITS,
            **_wrong_without_counterpart(scores, model.thresholds.link_bits),
        },
    )


def _wrong_without_counterpart(scores: Scores, link_bits: float) -> dict[str, int]:
    """Return how many short names would find a wrong full name if, each in turn, their own were not listed.

    With every other short name there as a rival, and with none: a city's registries lie between the two.
    """
    absent = scores.bits.copy()
    np.fill_diagonal(absent, -np.inf)
    rows, best, ordered = np.arange(len(absent)), absent.argmax(axis=1), np.sort(absent, axis=1)
    found = (ordered[:, -1] - ordered[:, -2] >= LEAD_BITS) & (ordered[:, -1] >= link_bits)
    found &= _linkable(scores, lead_bits=-np.inf)[rows, best]
    rivals = scores.bits[:, best].copy()
    rivals[rows, rows] = -np.inf
    is_clear = ordered[:, -1] - rivals.max(axis=0) >= LEAD_BITS
    return {
        "wrong_links_without_counterpart": int((found & is_clear).sum()),
        "wrong_links_without_counterpart_or_rivals": int(found.sum()),
    }


def _truth(names: Names) -> Truth:
    firms = len(names.short)
    halves = {"learned on": names.is_for_learning, "held back": ~names.is_for_learning}
    return Truth(
        np.tile(np.arange(firms), 2),
        np.repeat(np.arange(2), firms),
        (SHORT, FULL),
        tuple(Stratum(name, np.tile(half, 2), takes_both=False) for name, half in halves.items()),
    )


def _level_weights(model: Model, scores: Scores) -> tuple[LevelWeight, ...]:
    of_firms = Counter(np.diagonal(scores.levels).tolist())
    of_pairs = Counter(scores.levels.ravel().tolist())
    firms = len(scores.levels)
    learned = {each["label_for_charts"]: each for each in model.splink["comparisons"][0]["comparison_levels"]}
    return tuple(
        LevelWeight(
            NAME.name,
            level.label,
            value,
            learned[level.label]["m_probability"],
            learned[level.label]["u_probability"],
            of_firms[value] / firms,
            (of_pairs[value] - of_firms[value]) / (firms * (firms - 1)),
        )
        for level, value in zip(NAME.levels, NAME.level_values(), strict=True)
        if not level.is_missing
    )


def _parity(names: Names, model: Model, epoch: StatisticsEpoch, scorer: Scorer, workshop: Workshop) -> Parity:
    """Compare the compiled scorer with Splink on every pair that shares a name or a distinct word."""
    records = [*names.short, *names.full]
    snapshot, output = workshop.scratch / f"{KIND}.parquet", workshop.scratch / f"{KIND}.pairs.parquet"
    write_snapshot(snapshot, KIND, ((number, "company", record) for number, record in enumerate(records, start=1)))
    with Workspace(snapshot, model.specification, workshop.options.memory_limit) as workspace:
        predict(workspace, model, epoch, output, threshold_bits=-1e6)
    level_mismatches = weight_mismatches = 0
    largest = 0.0
    pairs: Numbers = np.stack([pq.read_table(output).column(name).to_numpy() for name in ("left", "right")], axis=1)
    table = pq.read_table(output)
    weights, levels = table.column("match_weight").to_pylist(), table.column(f"gamma_{NAME.name}").to_pylist()
    for (left, right), weight, level in zip(pairs.tolist(), weights, levels, strict=True):
        scored = scorer.score(records[left - 1], (records[right - 1],))[0]
        difference = abs(scored.match_weight_bits - weight)
        level_mismatches += scored.levels != (level,)
        weight_mismatches += difference > _PARITY_BITS_MAX
        largest = max(largest, difference)
    return Parity(len(pairs), level_mismatches, weight_mismatches, largest)
