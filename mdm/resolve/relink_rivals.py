"""Which pairs cannot be told from another's: a record's partners that exclude each other and lie too close together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.domain.keys import RecordNumber
from mdm.linkage.banding import FeaturesOf
from mdm.linkage.cluster import Ties
from mdm.linkage.evidence import compatible
from mdm.linkage.graph import Edges, connected
from mdm.linkage.pair_codes import are_among, distinct, pair_codes, pairs_of_codes
from mdm.linkage.scorer import Scorer
from mdm.resolve.relink_bands import Bands
from mdm.resolve.relink_snapshot import Pair, People

RIVALS_BEHIND_MAX = 64
"""Of a record's partners that lie close to each other, each but the best is compared with so many of the next: hundreds
bear one name and birth date. Who has an edge with everybody that it is connected with excludes nobody, and is left out.
"""


class Unclear(NamedTuple):
    """What is unclear of some pairs, as one flag for each."""

    is_dropped: NDArray[np.bool_]
    """It may not link."""
    is_asked: NDArray[np.bool_]
    """It is a question: of an undecided record only those that exclude each other, and the best."""


def heard(found: Bands, people: People) -> Edges:
    """Return all pairs that may be one bearer's: what links, links a sole bearer, or is held back for no veto.

    What people settled is no pair that could be unclear.
    """
    settled = np.array(sorted(people.same | people.different), np.int64).reshape(-1, 2)
    return found.unvetoed.taken(~are_among(found.unvetoed.places(), pair_codes(settled[:, 0], settled[:, 1])))


def unclear(edges: Edges, features_of: FeaturesOf, scorer: Scorer, lead_bits: float, people: People) -> Unclear:
    """Say of each edge whether one of its records can't be told from another's: its partners exclude each other.

    Two partners of a record that lie within `lead_bits` of each other and exclude each other are both unclear. Where
    one of them lies as close to the best partner, the record is undecided, and all of its edges are unclear: it would
    else be linked with one of them by way of a third, or of a weaker edge.
    Two partners that have an edge of their own exclude each other never, so that only open triangles are looked at.

    Args:
        edges: All pairs that may be one bearer's.
        features_of: Gives a record's features.
        scorer: Weighs partners against each other.
        lead_bits: How far one must lie before another that excludes it.
        people: Whose word counts: what a clerk chose is never unclear.
    """
    is_dropped, is_asked = np.zeros(len(edges.left), np.bool_), np.zeros(len(edges.left), np.bool_)
    is_whole, is_full = _neighbours(edges)
    open_edges = np.flatnonzero(~is_whole)
    number = np.concatenate((edges.left[open_edges], edges.right[open_edges]))
    other = np.concatenate((edges.right[open_edges], edges.left[open_edges]))
    edge = np.concatenate((open_edges, open_edges))
    order = np.lexsort((other, -edges.bits[edge], number))
    number, other, edge = number[order], other[order], edge[order]
    bits = edges.bits[edge]
    # The first row of a record is its best partner; each row knows which that is.
    firsts = np.flatnonzero(np.concatenate((np.ones(min(len(number), 1), np.bool_), number[1:] != number[:-1])))
    first = np.repeat(firsts, np.diff(np.append(firsts, len(number))))
    is_near = _are_near(bits[first], bits, lead_bits)
    is_contested = np.zeros(len(number), np.bool_)
    exclude = _Exclusions(features_of, scorer, people)
    places = np.sort(edges.places())
    candidates = np.flatnonzero(~is_full[other])
    for one, two in _compared(candidates, number, bits, first, is_near, lead_bits):
        lower, higher = np.minimum(other[one], other[two]), np.maximum(other[one], other[two])
        apart = ~_are_among_sorted(pair_codes(lower, higher), places)
        rows = (column[apart].tolist() for column in (one, two, lower, higher))
        for row, another, left, right in zip(*rows, strict=True):
            if exclude(left, right):
                is_contested[[row, another]] = True
    is_undecided = np.zeros(len(number), np.bool_)
    is_undecided[first[is_contested & is_near]] = True
    is_dropped[edge[is_contested | is_undecided[first]]] = True
    is_asked[edge[is_contested | is_undecided]] = True
    chosen = np.array(sorted(people.chosen), np.int64).reshape(-1, 2)
    is_free = ~are_among(edges.places(), pair_codes(chosen[:, 0], chosen[:, 1]))
    return Unclear(is_dropped & is_free, is_asked & is_free)


class _Exclusions:
    """Whether two records can't be one bearer's by their values, remembered.

    A steward's "different" is no rivalry: it parted the two, and who stayed with either is not asked about again.
    """

    def __init__(self, features_of: FeaturesOf, scorer: Scorer, people: People) -> None:
        self._features_of = features_of
        self._scorer = scorer
        self._ties = Ties(people.same)
        self._known: dict[Pair, bool] = {}

    def __call__(self, left: int, right: int) -> bool:
        pair = RecordNumber(left), RecordNumber(right)
        if pair not in self._known:
            sides: list[Sequence[int]] = [[pair[0]], [pair[1]], *self._ties.groups(pair)]
            one, another, *same = ([self._features_of(number) for number in side] for side in sides)
            may_be_one = self._ties.are_tied(*pair) or compatible(one, another, self._scorer, same)
            self._known[pair] = not may_be_one
        return self._known[pair]


def _compared(
    candidates: NDArray[np.int64],
    number: NDArray[np.int64],
    bits: NDArray[np.float64],
    first: NDArray[np.int64],
    is_near: NDArray[np.bool_],
    lead_bits: float,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows of one record that lie close together: its best partner's with any, others with few behind.

    Args:
        candidates: Rows that matter, ascending.
        number: Of the record of each row; its rows follow each other, the heaviest first.
        bits: Of each row.
        first: The best row of each row's record.
        is_near: Whether a row lies close to the best.
        lead_bits: What is close.
    """
    others = candidates[first[candidates] != candidates]
    beside_best = others[is_near[others]]
    yield first[beside_best], beside_best
    here = np.arange(len(others))
    for distance in range(1, RIVALS_BEHIND_MAX + 1):
        here = here[here + distance < len(others)]
        one, two = others[here], others[here + distance]
        kept = (number[one] == number[two]) & _are_near(bits[one], bits[two], lead_bits)
        # What is not close at one distance is not at the next.
        here = here[kept]
        if not len(here):
            break
        yield one[kept], two[kept]


def _are_near(higher: NDArray[np.float64], lower: NDArray[np.float64], lead_bits: float) -> NDArray[np.bool_]:
    is_near: NDArray[np.bool_] = (higher - lower < lead_bits) | np.isclose(higher, lower, rtol=1e-9, atol=0.0)
    return is_near


def _neighbours(edges: Edges) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each edge whether all records that it is connected with have edges between each other.

    And of each record, by its number, whether it has an edge with each that it is connected with.
    """
    part = connected(edges.left, edges.right)
    ends = np.concatenate((pair_codes(part, edges.left), pair_codes(part, edges.right)))
    part_of, record = pairs_of_codes(distinct(ends))
    highest = int(part.max(initial=0)) + 1
    sizes, counts = np.bincount(part_of, minlength=highest), np.bincount(part, minlength=highest)
    is_whole: NDArray[np.bool_] = (counts == sizes * (sizes - 1) // 2)[part]
    degrees = np.bincount(np.concatenate((edges.left, edges.right)), minlength=int(record.max(initial=0)) + 1)
    is_full = np.zeros(len(degrees), np.bool_)
    is_full[record] = degrees[record] == sizes[part_of] - 1
    return is_whole, is_full


def _are_among_sorted(values: NDArray[np.int64], few: NDArray[np.int64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = few[np.minimum(np.searchsorted(few, values), len(few) - 1)] == values
    return found
