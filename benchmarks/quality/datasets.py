"""What a pipeline hands over to be measured: plain arrays, so that any way of linking any data can be.

A record is its position, 0-based, in arrays of one length. A pipeline is a function `(argument, workshop)` that yields
one `Linkage` for each subject (citizens, businesses, a public set) and each way of linking it, ours first;
`sets.PIPELINES` names it. All ways of one subject share one `Truth` object.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

NO_BAND, REVIEW_BAND, LINK_BAND = 0, 1, 2
"""Values of `ScoredPairs.bands`."""


class Stratum(NamedTuple):
    """Some of the records, and with them the pairs that lie in it."""

    name: str
    records: Mask
    """Shape (records,)."""
    takes_both: bool = False
    """A pair lies in the stratum if both its records do; else if either does."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Who each record truly describes, and the strata to report apart."""

    entities: Numbers
    """Shape (records,): a code of the bearer, from 0."""
    registries: Numbers
    """Shape (records,): index into `registry_names`."""
    registry_names: tuple[str, ...]
    strata: tuple[Stratum, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """Pairs with their weights; those far below review may be left out. Each pair once, left < right, in any order."""

    left: Numbers
    right: Numbers
    bits: NDArray[np.float64]
    """Match weight; 0 is a probability of one half."""
    bands: NDArray[np.int8]
    """After vetoes and the question of enough evidence, before clustering."""
    levels: NDArray[np.int8]
    """Shape (pairs, comparisons): comparison vector values as Splink's, -1 for missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All pairs that blocking compares. Each once, left < right, in any order."""

    left: Numbers
    right: Numbers
    rules: Numbers
    """Bit i is set if rule i makes the pair."""
    rule_names: tuple[str, ...]
    largest_blocks: tuple[int, ...] = ()
    """Holders of each rule's commonest key."""
    truncated_keys: tuple[int, ...] = ()
    """Keys of each rule that were cut."""


class LevelWeight(NamedTuple):
    """One comparison level of a model, with what the truth shows of it where that was counted."""

    comparison: str
    label: str
    value: int
    """Comparison vector value."""
    m: float
    u: float
    observed_m: float | None = None
    observed_u: float | None = None


class Parity(NamedTuple):
    """Online scorer against batch engine, pair by pair."""

    pairs: int
    level_mismatches: int
    weight_mismatches: int
    """Differences above 1e-9 bits."""
    largest_difference_bits: float


@dataclass(frozen=True, slots=True, eq=False)
class Linkage:
    """What one way of linking made of one subject. Only `subject`, `way`, `truth` and `clusters` must be there."""

    subject: str
    """`citizen`, `business` or the set's own name."""
    way: str
    """`batch`, `online`, `splink_stock` …"""
    truth: Truth
    clusters: Numbers
    """Shape (records,): any code for each cluster."""
    questions: Numbers | None = None
    """Shape (questions, 2): the pairs put before stewards, as the service opens them, one for two golden records."""
    pairs: ScoredPairs | None = None
    candidates: Candidates | None = None
    levels: tuple[LevelWeight, ...] = ()
    link_bits: float | None = None
    review_bits: float | None = None
    parity: Parity | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage → duration. `predict_and_cluster` is compared between the ways."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else a reader should know: model digest, versions, settings. JSON values."""
    describe: Callable[[int], Mapping[str, str]] | None = None
    """Raw values of a record, for examples. None for real people's data."""
    explain: Callable[[int, int], Mapping[str, str]] | None = None
    """Comparison → level and bits of a pair of records, for examples."""


class Workshop(NamedTuple):
    """What a pipeline works with."""

    scratch: Path
    """A directory of its own, removed afterwards."""
    shared: Path | None
    """Public data sets, if this machine has them."""
    options: argparse.Namespace
    """`peers`, `online_citizens_max`, `memory_limit`, `examples` and what else `suite` declares."""
    say: Callable[[str], None]
    """Told of each stage, for whoever waits."""


class SkippedError(Exception):
    """A set cannot be measured here; the text says what is missing and how to get it."""


Pipeline = Callable[[str, Workshop], Iterator[Linkage]]
