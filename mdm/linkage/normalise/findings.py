"""The issues found while one record is normalised, and the reading of raw values under their limits."""

from __future__ import annotations

from typing import TypeVar

from mdm.linkage.features import FieldIssue
from mdm.linkage.normalise.text import clean

_Value = TypeVar("_Value")


class Findings:
    """Collects the issues of one record in the order found; never holds a value."""

    __slots__ = ("_issues",)

    def __init__(self) -> None:
        """Start without issues."""
        self._issues: dict[FieldIssue, None] = {}

    def add(self, field: str, rule: str) -> None:
        """Note that a field broke a rule; the same finding counts once."""
        self._issues[FieldIssue(field, rule)] = None

    def issues(self) -> tuple[FieldIssue, ...]:
        """Return what was found."""
        return tuple(self._issues)

    def text(self, field: str, value: str, characters_max: int) -> str:
        """Return `value` cleaned and cut to its limit."""
        if not value:
            return ""
        cleaned, is_cut = clean(value, characters_max)
        if is_cut:
            self.add(field, f"is longer than {characters_max} characters: cut")
        return cleaned

    def values(self, field: str, values: tuple[_Value, ...], count_max: int) -> tuple[_Value, ...]:
        """Return at most `count_max` of the values."""
        if len(values) > count_max:
            self.add(field, f"has more than {count_max} values: cut")
            return values[:count_max]
        return values
