"""Where a setting of `mdm serve` comes from: its option, else the environment, else a file, else the default.

Options are declared once, in `serve`; names of variables and of keys in a file follow from theirs.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import typer

from mdm.errors import ConfigurationError, InvalidInputError

PREFIX = "MDM_SERVE"
CONFIG = "config"
"""The one option that is no key of a file, because it names the file."""

_TYPES: dict[type, str] = {
    str: "a text",
    Path: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


class Setting(NamedTuple):
    """One setting and its three names."""

    key: str
    """In a file; empty for what no file can say."""
    option: str
    variable: str
    type: type
    default: Any
    meaning: str


def settings_of(command: Any) -> list[Setting]:
    """Return the settings that a command's options declare, in their order."""
    return [
        Setting(
            key="" if option.name == CONFIG else option.name,
            option=" / ".join((*option.opts, *option.secondary_opts)),
            variable=f"{PREFIX}_{option.name.upper()}",
            type=option.type_descriptor.annotation,
            default=option.default,
            meaning=option.help,
        )
        for option in command.params
        if option.name != "help"
    ]


def use_file(context: typer.Context, path: Path | None) -> Path | None:
    """Take the settings of a file for defaults, and refuse variables that look like settings and are none.

    Called before all other options are read.

    Raises:
        ConfigurationError: The file cannot be read, or it or a variable holds what is no setting or out of range.
    """
    settings = settings_of(context.command)
    variables = {setting.variable for setting in settings}
    for variable in sorted(os.environ):
        if variable.startswith(f"{PREFIX}_") and variable not in variables:
            raise ConfigurationError(variable, f"is no setting{_nearest(variable, variables)}")
    for setting in settings:
        if setting.key and os.environ.get(setting.variable):
            _check(context, setting, os.environ[setting.variable], setting.variable)
    if path is not None:
        context.default_map = _read(context, path, {setting.key: setting for setting in settings if setting.key})
    return path


@contextmanager
def told_where_it_stands(context: typer.Context, file: Path | None) -> Iterator[None]:
    """Turn what is refused of an option into an error of its variable, or of its key in the file, if that says it.

    Raises:
        ConfigurationError: The operator has to mend it.
        AddressUnavailableError: Another start may have it.
    """
    from mdm.server.listening import AddressUnavailableError

    try:
        yield
    except AddressUnavailableError as error:
        raise AddressUnavailableError(_said_by(context, error.field, file), error.rule) from error
    except InvalidInputError as error:
        raise ConfigurationError(_said_by(context, error.field, file), error.rule) from error


def _said_by(context: typer.Context, option: str, file: Path | None) -> str:
    for setting in settings_of(context.command):
        if setting.key and option in setting.option.split(" / "):
            source = context.get_parameter_source(setting.key)
            names = {"ENVIRONMENT": setting.variable, "DEFAULT_MAP": f"{file}: {setting.key}"}
            return names.get(source.name if source is not None else "", option)
    return option


def _check(context: typer.Context, setting: Setting, value: Any, name: str) -> None:
    """Pass if a value may stand where it stands, whether or not it counts; else the option would be blamed for it."""
    option: Any = next(each for each in context.command.params if each.name == setting.key)
    try:
        option.process_value(context, value)
    except typer.BadParameter as error:
        raise ConfigurationError(name, f"{error.message[:1].lower()}{error.message[1:]}") from error


def _read(context: typer.Context, path: Path, settings: dict[str, Setting]) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), f"is no TOML: {error}") from error
    for key, value in found.items():
        if key not in settings:
            raise ConfigurationError(f"{path}: {key}", f"is no setting{_nearest(key, settings)}")
        wanted = settings[key].type
        given: type = type(value)
        # A whole number is a number too; true, to Python a whole number, is none.
        if given is not (str if wanted is Path else wanted) and (given, wanted) != (int, float):
            raise ConfigurationError(f"{path}: {key}", f"must be {_TYPES[wanted]}")
        _check(context, settings[key], value, f"{path}: {key}")
        if wanted is Path:
            found[key] = str(path.parent.absolute() / str(value))
    return found


def _nearest(name: str, names: Collection[str]) -> str:
    """Return a hint at what was meant."""
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else "; mdm config reference lists them"
