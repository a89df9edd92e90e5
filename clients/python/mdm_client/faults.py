"""Why values cannot travel: which field breaks which rule, found once a conversion has failed; never the value."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import grpc

from mdm_client.errors import FieldViolation, InvalidArgumentError

_Value = TypeVar("_Value")
_Converted = TypeVar("_Converted")


def named_faults(root: str) -> Callable[[Callable[[_Value], _Converted]], Callable[[_Value], _Converted]]:
    """Let a conversion of `records` raise `InvalidArgumentError` where a value is not of its declared type, or no text.

    Fields are named by their path, behind `root`. What converts costs nothing more.
    """

    def named(convert: Callable[[_Value], _Converted]) -> Callable[[_Value], _Converted]:
        @functools.wraps(convert)
        def converted(value: _Value) -> _Converted:
            try:
                return convert(value)
            except (TypeError, ValueError, KeyError, AttributeError):
                found = tuple(_faults(value, type(value), root))
                if not found:
                    raise
            # Not chained to its cause: that holds the value.
            told = "; ".join(f"{each.field} {each.rule}" for each in found)
            code = grpc.StatusCode.INVALID_ARGUMENT
            raise InvalidArgumentError(code, told, reason="INVALID_FIELD", field_violations=found)

        return converted

    return named


def _faults(value: Any, declared: Any, path: str) -> Iterator[FieldViolation]:
    if declared is str:
        if not isinstance(value, str | bytes):
            yield FieldViolation(path, f"must be text, not {type(value).__name__}")
        elif not _is_utf8(value):
            yield FieldViolation(path, "must be text in UTF-8, without lone surrogates")
    elif get_origin(declared) is tuple:
        if not isinstance(value, tuple | list):
            yield FieldViolation(path, f"must be a tuple, not {type(value).__name__}")
            return
        for index, each in enumerate(value):
            yield from _faults(each, get_args(declared)[0], f"{path}[{index}]")
    elif isinstance(declared, type) and issubclass(declared, StrEnum):
        if value not in tuple(declared):
            yield FieldViolation(path, f"must be one of {declared.__name__}")
    elif dataclasses.is_dataclass(value):
        for name, each in get_type_hints(type(value)).items():
            yield from _faults(getattr(value, name), each, f"{path}.{name}".lstrip("."))
    else:
        yield FieldViolation(path, f"must be a record's part, not {type(value).__name__}")


def _is_utf8(text: str | bytes) -> bool:
    try:
        text.encode() if isinstance(text, str) else text.decode()
    except UnicodeError:
        return False
    return True
