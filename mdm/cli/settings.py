"""Where a setting of `mdm serve` comes from: its option, else the environment, else a file, else the default.

Options are declared once, in `serve`; names of variables and of keys in a file follow from theirs.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import typer

from mdm.errors import ConfigurationError

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
        ConfigurationError: The file cannot be read, or holds a key or a value that is no setting.
    """
    settings = settings_of(context.command)
    variables = {setting.variable for setting in settings}
    for variable in sorted(os.environ):
        if variable.startswith(f"{PREFIX}_") and variable not in variables:
            raise ConfigurationError(variable, f"is no setting{_nearest(variable, variables)}")
    if path is not None:
        context.default_map = _read(path, {setting.key: setting for setting in settings if setting.key})
    return path


def _read(path: Path, settings: dict[str, Setting]) -> dict[str, Any]:
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
        if wanted is Path:
            found[key] = str(path.parent.absolute() / str(value))
    return found


def _nearest(name: str, names: Collection[str]) -> str:
    """Return a hint at what was meant."""
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else "; mdm config reference lists them"
