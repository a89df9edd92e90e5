"""The form of a comparison: levels in order, each with its predicate, its meaning and its bounds."""

from __future__ import annotations

import enum
from functools import cached_property

import msgspec

from mdm.linkage.predicates import Predicate

BITS_UNBOUNDED = 20.0
"""`bits_max` of a level that nothing but the sense of proportion bounds: a million to one."""


class Meaning(enum.StrEnum):
    """What a level says to the rules of evidence, whatever its weight."""

    AGREES = "agrees"
    CLOSE = "close"
    """Agrees but for an error that clerks make."""
    NEUTRAL = "neutral"
    """Says little either way."""
    CONFLICTS = "conflicts"
    MISSING = "missing"
    """Nothing to compare; adds 0 bits."""


class Level(msgspec.Struct, frozen=True):
    """One level. A pair takes the first level of its comparison whose predicate holds.

    `m` and `u` (probability of the level among matches and among strangers) are where training starts and what
    stands where a level was not observed. The learned weight is held within `bits_min` and `bits_max`: levels of
    one household are shared by its members, so that counting them as independent would merge siblings.
    """

    label: str
    meaning: Meaning
    predicate: Predicate | None
    """None for the last level, which takes whatever is left."""
    m: float = 0.0
    u: float = 0.0
    bits_min: float = -12.0
    bits_max: float = BITS_UNBOUNDED
    term_frequency_column: str | None = None
    """The commoner of the two records' values stands in for `u`; `bits_max` holds all the same."""
    sharers_free_max: int = 0
    """Records that may share the value before the level weighs less, a bit with each doubling; 0: as rare as it is."""

    @property
    def is_missing(self) -> bool:
        """Whether this is the level of a pair that cannot be compared."""
        return self.meaning is Meaning.MISSING


class Comparison(msgspec.Struct, frozen=True, dict=True):
    """Levels in order of evaluation; the last has no predicate, exactly one is the missing level."""

    name: str
    levels: tuple[Level, ...]

    def level_values(self) -> tuple[int, ...]:
        """Return Splink's comparison vector value of each level: -1 if missing, else counted down to 0."""
        remaining = len(self.levels) - 1
        values = []
        for level in self.levels:
            if level.is_missing:
                values.append(-1)
            else:
                remaining -= 1
                values.append(remaining)
        return tuple(values)

    def level_at(self, value: int) -> Level:
        """Return the level with this comparison vector value. Asked for every pair: 0.1 µs."""
        return self._level_of[value]

    @cached_property
    def _level_of(self) -> dict[int, Level]:
        return dict(zip(self.level_values(), self.levels, strict=True))
