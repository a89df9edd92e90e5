"""What is wrong with a file, all of it at once: raw TOML held against the structs that it is to become."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import inspect


class Fault(NamedTuple):
    """One thing that is wrong or suspicious: a key of the file, the rule, and what to do."""

    path: str
    """The key, as `registries.land.feeds.holders.records[0].kind`; items of a list count from 0."""
    rule: str
    hint: str = ""
    is_warning: bool = False
    """Whether the file may be used all the same."""


def faults_of(raw: object, target: type[msgspec.Struct], path: str = "") -> list[Fault]:
    """Return everything for which `msgspec.convert(raw, target)` would fail; empty if it would not.

    Args:
        raw: What a TOML or JSON parser returned.
        target: The struct of this section.
        path: Where the section stands in the file.
    """
    return list(_faults(raw, inspect.type_info(target), path))


def near(word: object, words: Iterable[str]) -> str:
    """Return a hint: the word that was probably meant, or else which there are."""
    known = sorted(words)
    (*found,) = difflib.get_close_matches(str(word), known, 1)
    return f"did you mean {found[0]}?" if found else f"there are {', '.join(known)}"


def _faults(raw: object, declared: inspect.Type, path: str) -> Iterator[Fault]:
    match declared:
        case inspect.StructType(fields=fields):
            yield from _table_faults(raw, {field.encode_name: field for field in fields}, path)
        case inspect.DictType(value_type=value_type, min_length=length_min):
            if not isinstance(raw, dict):
                yield Fault(path, "must be a table")
                return
            if len(raw) < (length_min or 0):
                yield Fault(path, f"must hold at least {length_min}")
            for key, value in raw.items():
                yield from _faults(value, value_type, _under(path, key))
        case inspect.VarTupleType(item_type=item_type, min_length=length_min):
            yield from _list_faults(raw, item_type, length_min or 0, path)
        case inspect.UnionType(types=types):
            # Text or a list, something or nothing: the form says which is meant.
            fitting = [each for each in types if _is_of(raw, each)]
            yield from _faults(raw, (fitting or list(types))[0], path)
        case _:
            yield from _value_faults(raw, declared, path)


def _value_faults(raw: object, declared: inspect.Type, path: str) -> Iterator[Fault]:
    match declared:
        case inspect.LiteralType(values=values):
            if raw not in values:
                yield Fault(path, f"must be one of {', '.join(map(str, values))}", near(raw, map(str, values)))
        case inspect.StrType():
            if not isinstance(raw, str):
                yield Fault(path, "must be text", "put quotes around it" if isinstance(raw, int | float) else "")
        case inspect.BoolType():
            if not isinstance(raw, bool):
                yield Fault(path, "must be true or false")
        case inspect.IntType(ge=least):
            if not isinstance(raw, int) or isinstance(raw, bool) or (least is not None and raw < least):
                yield Fault(path, f"must be a whole number of at least {least}")
        case _:
            raise TypeError(type(declared).__name__)


def _table_faults(raw: object, fields: dict[str, inspect.Field], path: str) -> Iterator[Fault]:
    if not isinstance(raw, dict):
        yield Fault(path, "must be a table")
        return
    for key, value in raw.items():
        if key in fields:
            yield from _faults(value, fields[key].type, _under(path, key))
        else:
            yield Fault(_under(path, key), "is no key of this section", near(key, fields))
    for name, field in fields.items():
        if field.required and name not in raw:
            yield Fault(_under(path, name), "is missing")


def _list_faults(raw: object, item_type: inspect.Type, length_min: int, path: str) -> Iterator[Fault]:
    if not isinstance(raw, list):
        yield Fault(path, "must be a list", "put brackets around it")
        return
    if len(raw) < length_min:
        yield Fault(path, f"must hold at least {length_min}")
    for index, item in enumerate(raw):
        yield from _faults(item, item_type, f"{path}[{index}]")


def _is_of(raw: object, declared: inspect.Type) -> bool:
    match declared:
        case inspect.StrType():
            return isinstance(raw, str)
        case inspect.VarTupleType():
            return isinstance(raw, list)
        case inspect.NoneType():
            return raw is None
        case _:
            return raw is not None


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
