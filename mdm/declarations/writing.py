"""A configuration as a registries file: what `show` prints can be edited and put in force again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"^[A-Za-z0-9_-]+$")
_SECTIONS = ("fields", "translations", "date_patterns")
"""Keys of a record that are written as sections of their own, because they grow long."""


def toml_of(sections: Mapping[str, Any]) -> str:
    """Return the TOML text of a registries file.

    Args:
        sections: `registries`, and `stewardship` if it is stated, as the JSON form has them.
    """
    return "\n".join(_lines(sections)).strip("\n") + "\n"


def _lines(sections: Mapping[str, Any]) -> Iterator[str]:
    if sections.get("stewardship"):
        yield from _section("[stewardship]", sections["stewardship"])
    for name, registry in sections.get("registries", {}).items():
        path = f"registries.{name}"
        yield from _section(f"[{path}]", {key: value for key, value in registry.items() if key != "feeds"})
        for feed_name, feed in registry["feeds"].items():
            here = f"{path}.feeds.{feed_name}"
            keys = {key: value for key, value in feed.items() if key != "records"}
            if keys:
                yield from _section(f"[{here}]", keys)
            for record in feed["records"]:
                short = {key: value for key, value in record.items() if key not in _SECTIONS}
                if "identifiers" in short:
                    # The one default that a check asks to be written, because it says how far to believe.
                    short["identifiers"] = [item | {"assurance": _assurance(item)} for item in short["identifiers"]]
                yield from _section(f"[[{here}.records]]", short)
                for key in _SECTIONS:
                    if key in record:
                        yield from _section(f"[{here}.records.{key}]", record[key])


def _section(header: str, keys: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield header
    for key, value in keys.items():
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{_key(key)} = ["
            yield from (f"    {_value(item)}," for item in value)
            yield "]"
        else:
            yield f"{_key(key)} = {_value(value)}"


def _assurance(identifier: Mapping[str, Any]) -> str:
    return str(identifier.get("assurance", "stated"))


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # A JSON string is a basic string of TOML, but for one control character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE.match(key) else _value(key)
