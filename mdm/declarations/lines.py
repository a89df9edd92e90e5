"""Which line of a TOML file a key stands in: the parser of the standard library does not say."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator

_LAST_STEP = re.compile(r"(\.[^.\[\]]+|\[\d+\])$")


class KeyLines:
    """The lines of one file that is TOML as a whole. Cost: of a list of many lines, the square of their number."""

    def __init__(self, text: str) -> None:
        """Find the keys of a file."""
        self._found: dict[str, int] = {}
        self._read(text.split("\n"))

    def line_of(self, path: str) -> int | None:
        """Return the 1-based line of a key, or else of the nearest section around it; None if there is none."""
        while path:
            if path in self._found:
                return self._found[path]
            shorter = _LAST_STEP.sub("", path)
            path = shorter if shorter != path else ""
        return None

    def _read(self, lines: list[str]) -> None:
        section = ""
        counts: Counter[str] = Counter()
        position = 0
        while position < len(lines):
            line = lines[position].strip()
            start = position
            position += 1
            if line.startswith("["):
                section = self._section(line, counts, start + 1)
            elif line and not line.startswith("#"):
                while (parsed := _parsed("\n".join(lines[start:position]))) is None and position < len(lines):
                    position += 1
                self._note(parsed or {}, section, lines, start, position)

    def _section(self, line: str, counts: Counter[str], number: int) -> str:
        is_list = line.startswith("[[")
        path = ""
        keys = list(_keys(_parsed(line) or {}))
        for depth, key in enumerate(keys):
            path = f"{path}.{key}" if path else key
            if is_list and depth == len(keys) - 1:
                counts[path] += 1
            if counts[path]:
                self._found.setdefault(path, number)
                path = f"{path}[{counts[path] - 1}]"
        self._found[path] = number
        return path

    def _note(self, parsed: dict[str, object], section: str, lines: list[str], start: int, end: int) -> None:
        """Note a key with its value, and the items of a list over several lines."""
        value: object = parsed
        path = section
        while isinstance(value, dict) and len(value) == 1:
            ((key, value),) = value.items()
            path = f"{path}.{key}" if path else key
            self._found[path] = start + 1
        if isinstance(value, list):
            known = 0
            begun = start
            for position in range(start, end):
                # A list cut off behind an item is a list again once it is closed.
                count = _item_count("\n".join(lines[start : position + 1]))
                if count is not None and count > known:
                    for index in range(known, count):
                        self._found[f"{path}[{index}]"] = begun + 1 if count == known + 1 else position + 1
                    known = count
                if count is not None:
                    begun = position + 1


def _parsed(text: str) -> dict[str, object] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _item_count(text: str) -> int | None:
    found: object = _parsed(text) or _parsed(text.rstrip().rstrip(",") + "]")
    while isinstance(found, dict) and len(found) == 1:
        (found,) = found.values()
    return len(found) if isinstance(found, list) else None


def _keys(parsed: dict[str, object]) -> Iterator[str]:
    value: object = parsed
    while value:
        if isinstance(value, list):
            value = value[0]
        if isinstance(value, dict) and value:
            ((key, value),) = value.items()
            yield key
