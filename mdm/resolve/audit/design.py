"""The design of an audit: strata of pairs, how many items each gets, and which pairs those are.

Pure: the same pairs, size and seed give the same items, in whatever order the pairs arrive.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

STRATUM_ITEMS_MIN = 20
"""Items of a stratum, if it has as many: without an error, 20 bound its share of errors at 17 %."""

PREDICTED_ERROR_MIN = 0.01
"""However sure the model is: a stratum that is most of the population must not be left to the model's own word."""

PREDICTED_ERROR_MAX = 0.5
"""Where machine and model disagree (a veto above the link threshold), nobody knows: an even chance."""

_LEAST_PART = 4
"""At most a quarter of the items go to strata for their own sake: an item of a small stratum narrows no bound."""

_BISECTIONS = 100
"""Halvings of the interval for the allocation's factor: far beyond the precision of a float."""


class Way(enum.StrEnum):
    """How a pair stands today."""

    LINKED_DIRECTLY = "linked"
    """Together in a golden record, and its own evidence would link it."""
    LINKED_THROUGH_OTHERS = "linked through others"
    """Together in a golden record only because other records link both."""
    ASKED = "asked"
    """Apart, and a potential match before a steward."""
    APART = "apart"
    """Apart; blocking made the pair and it was scored."""
    UNBLOCKED = "unblocked"
    """Apart; no blocking rule made the pair. Found by comparing some records with all others."""

    @property
    def is_linked(self) -> bool:
        """Whether the pair stands together."""
        return self in {Way.LINKED_DIRECTLY, Way.LINKED_THROUGH_OTHERS}


class Stratum(msgspec.Struct, frozen=True):
    """Pairs of one kind that are likely to be right or wrong alike."""

    way: Way
    is_carried_by_number: bool
    """Whether a personal ID, insurance number or tax code agrees."""
    weight_bits_min: float | None
    weight_bits_max: float | None
    population: int
    """Pairs in it: of the whole kind, or of UNBLOCKED those that were caught."""
    caught_share: float
    """Chance of a pair to be caught at all: 1 but for UNBLOCKED."""
    predicted_error: float
    """By the model: mean probability that the machine is wrong about a pair."""
    populations: dict[str, int]
    """The same pairs by pair of registries."""
    items: int = 0
    """Pairs drawn."""

    @property
    def title(self) -> str:
        """What a reader of the report sees."""
        if self.way is Way.UNBLOCKED:
            return str(self.way)
        carried = "with number" if self.is_carried_by_number else "without number"
        low, high = self.weight_bits_min, self.weight_bits_max
        if low is None:
            band = f"below {high:g} bits"
        else:
            band = f"{low:g} bits or more" if high is None else f"{low:g} to {high:g} bits"
        return f"{self.way}, {carried}, {band}"


def allocate(strata: Sequence[Stratum], size: int) -> list[int]:
    """Return how many items each stratum gets.

    Neyman's allocation (items in proportion to population × standard deviation of what is counted), on the model's
    predicted errors held within `PREDICTED_ERROR_MIN` and `PREDICTED_ERROR_MAX`, and at least `STRATUM_ITEMS_MIN` or
    an equal share of a quarter of `size`, whichever is less. No stratum gets more than it has; the sum is `size`, or
    all pairs.

    Source:
        Neyman (1934); Cochran, Sampling Techniques (1977), 5.5 and 5.8.
    """
    populations = np.array([stratum.population for stratum in strata], dtype=np.float64)
    if populations.sum() <= size:
        return [stratum.population for stratum in strata]
    error = np.clip([stratum.predicted_error for stratum in strata], PREDICTED_ERROR_MIN, PREDICTED_ERROR_MAX)
    importance = populations * np.sqrt(error * (1 - error)) / [stratum.caught_share for stratum in strata]
    occupied = int(np.count_nonzero(populations))
    least = np.minimum(populations, max(min(STRATUM_ITEMS_MIN, size // (_LEAST_PART * occupied)), 1))

    def shares(factor: float) -> NDArray[np.float64]:
        raised: NDArray[np.float64] = np.maximum(factor * importance, least)
        return np.minimum(raised, populations)

    low, high = 0.0, float(np.max(populations[populations > 0] / importance[populations > 0]))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if shares(middle).sum() <= size else (low, middle)
    exact = shares(low)
    items = np.floor(exact).astype(np.int64)
    # The largest remainders get what rounding left over; ties in the order of the strata.
    room = np.flatnonzero(items < populations)
    order = room[np.argsort(-(exact - items)[room], kind="stable")]
    items[order[: size - int(items.sum())]] += 1
    return [int(count) for count in items]


def draw(lefts: NDArray[np.int64], rights: NDArray[np.int64], count: int, seed: int) -> NDArray[np.intp]:
    """Return the places of `count` pairs, a simple random sample without replacement.

    Each pair has a random number that follows from seed and record numbers alone; the smallest are drawn. So the
    sample depends neither on the order of the pairs nor on what else is drawn.

    Args:
        lefts: Record numbers, shape (pairs,).
        rights: Those of the other side.
        count: At most as many as there are pairs.
        seed: Any integer.

    Returns:
        Shape (count,), in the order of the draw.
    """
    order = np.lexsort((rights, lefts, random_numbers(lefts, rights, seed)))
    return order[:count]


def random_numbers(lefts: NDArray[np.int64], rights: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Return one uniform 64-bit number for each pair, a function of seed and pair.

    Source:
        The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), once for each part.
    """
    mixed = _mixed(np.full(len(lefts), seed % 2**64, dtype=np.uint64))
    mixed = _mixed(mixed ^ lefts.astype(np.uint64))
    return _mixed(mixed ^ rights.astype(np.uint64))


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
