"""What a specification knows beside weights: vetoes, and what a pair must show before it may link."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from mdm.linkage.comparisons import Comparison, Level, Meaning

STRANGERS = "strangers"
"""Not even worth a review: what agrees is shared by a household, what tells its members apart differs."""

SOLE = "sole_bearer"
"""A link on name and birth date alone: good only if the register of residents knows nobody else of both."""

NAME_AND_BIRTH_DATE_ONLY = "name_and_birth_date_only"
"""Shared is what a stranger may well share."""

SHARED_BY_NAMESAKES = frozenset({SOLE, NAME_AND_BIRTH_DATE_ONLY})
"""Details of pairs that share name and birth date and little else."""

PairRule = Callable[[Any, Any], str | None]
"""Names what forbids that the bearers of two records' features are one, or None. Symmetric."""

SetRule = Callable[[Sequence[Any]], str | None]
"""Names what forbids that all these features are of one bearer, although no two of them forbid it."""


class Found:
    """The levels of a pair by comparison name."""

    def __init__(self, comparisons: Sequence[Comparison], levels: tuple[int, ...]) -> None:
        self._levels = {
            comparison.name: comparison.level_at(value) for comparison, value in zip(comparisons, levels, strict=True)
        }

    def __getitem__(self, comparison: str) -> Level:
        return self._levels[comparison]

    def agrees(self, comparison: str) -> bool:
        """Return whether the comparison's level agrees."""
        return self._levels[comparison].meaning is Meaning.AGREES

    def is_close(self, comparison: str) -> bool:
        """Return whether it agrees but for a clerk's error."""
        return self._levels[comparison].meaning is Meaning.CLOSE

    def conflicts(self, comparison: str) -> bool:
        """Return whether it speaks against one bearer."""
        return self._levels[comparison].meaning is Meaning.CONFLICTS

    def count(self, *comparisons: str) -> int:
        """Return how many of these agree."""
        return sum(self.agrees(comparison) for comparison in comparisons)


class Coincidence(NamedTuple):
    """A name and a birth date are all that two records share: how rare the name is decides, see `evidence`."""

    has_moved: bool
    """Whether phone or address differ, so that a rare name alone is not enough."""


Lack = Callable[[Found, Any, Any], str | Coincidence | None]
"""Names what a link of this pair lacks, None if nothing; `STRANGERS` where not even a question is due. Symmetric.

Sees the pair's levels and of each record its traits; the features themselves where the rules declare no traits."""


def never(_features: Any) -> bool:
    """Return False: there is no such register."""
    return False


def always(_found: Found, _left: Any, _right: Any) -> bool:
    """Return True: the veto has to look."""
    return True


class Rules(msgspec.Struct, frozen=True):
    """The rules of evidence of one specification."""

    veto: PairRule
    lack: Lack
    excess: SetRule
    plain_facts: Collection[str] = frozenset()
    """Vetoes that no steward need look at: the two are known to be different."""
    is_listed: Callable[[Any], bool] = never
    """Whether the record stands in a register that means to list every bearer once."""
    excess_members_min: int = 3
    """Fewer members than this never break `excess`."""
    excess_column: str | None = None
    """Text of a record that `excess` counts: members that state fewer values of it than `excess_members_min` do not
    break it, so that a batch need not ask; None if it goes by something else."""
    traits: Callable[[Any], int] | None = None
    """All that `lack` and `may_veto` ask of one record, as a small number: a batch asks once for each combination."""
    may_veto: Callable[[Found, Any, Any], bool] = always
    """Whether a veto is possible between records of these levels and traits; it spares the veto most pairs."""


def disjoint(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Return whether two short tuples share no value."""
    return not any(value in right for value in left)
