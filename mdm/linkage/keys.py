"""The form of a blocking rule, and how its keys are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Rule = tuple[str, Callable[[Any], Iterable[str]]]
"""A blocking rule's name and what gives its keys from features; a key holds values in clear."""

_SEPARATOR = "\x1f"


def joined(*parts: str | int | None) -> Sequence[str]:
    """Return the one key of these parts, none if a part is missing."""
    # A key with a missing part would join strangers on their silence.
    return () if None in parts else (_SEPARATOR.join(map(str, parts)),)


def each(values: Sequence[str], *parts: str | int | None) -> Sequence[str]:
    """Return a key of each value with these parts."""
    if not values or None in parts:
        return ()
    rest = _SEPARATOR.join(("", *map(str, parts)))
    return [value + rest for value in values]


def word_order_free(name: str) -> str:
    """Return the words of a name in alphabetical order."""
    return " ".join(sorted(name.split()))
