"""The form of a blocking rule, and how its keys are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Rule = tuple[str, Callable[[Any], Iterator[str]]]
"""A blocking rule's name and what yields its keys from features; a key holds values in clear."""

_SEPARATOR = "\x1f"


def joined(*parts: str | int | None) -> Iterator[str]:
    """Yield the one key of these parts, none if a part is missing."""
    # A key with a missing part would join strangers on their silence.
    if all(part is not None for part in parts):
        yield _SEPARATOR.join(str(part) for part in parts)


def each(values: Iterable[str], *parts: str | int | None) -> Iterator[str]:
    """Yield a key of each value with these parts."""
    for value in values:
        yield from joined(value, *parts)


def word_order_free(name: str) -> str:
    """Return the words of a name in alphabetical order."""
    return " ".join(sorted(name.split()))
