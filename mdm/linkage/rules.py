"""What a specification knows beside weights: vetoes, and what a pair must show before it may link."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from mdm.linkage.comparisons import Comparison, Level, Meaning

STRANGERS = "strangers"
"""Not even worth a review: what agrees is shared by a household, what tells its members apart differs."""

SOLE = "sole_bearer"
"""A link on name and birth date alone: good only if the register of residents knows nobody else of both."""

SHARED_BY_NAMESAKES = frozenset({SOLE, "name_and_birth_date_only"})
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


class Coincidence(msgspec.Struct, frozen=True):
    """How likely strangers share what two records share."""

    expected_strangers: Callable[[str], float]
    """Others in the population that bear this full name and one given birth date, on average."""
    strangers_max: float
    """Below it a name and a birth date may link on their own."""
    unlisted_share: float
    """Share of the population that no register of residents lists."""


Lack = Callable[[Found, Any, Any, Coincidence], str | None]
"""Names what a link of this pair lacks, None if nothing; `STRANGERS` where not even a question is due. Symmetric."""


def never(_features: Any) -> bool:
    """Return False: there is no such register."""
    return False


class Rules(msgspec.Struct, frozen=True):
    """The rules of evidence of one specification."""

    veto: PairRule
    lack: Lack
    excess: SetRule
    plain_facts: Collection[str] = frozenset()
    """Vetoes that no steward need look at: the two are known to be different."""
    is_listed: Callable[[Any], bool] = never
    """Whether the record stands in a register that means to list every bearer once."""


def disjoint(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Return whether two short tuples share no value."""
    return not any(value in right for value in left)
