"""What the files of deploy/ have the command line do, checked against what it can do."""

from __future__ import annotations

import shlex
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from mdm.cli import loads
from mdm.cli.application import application
from mdm.cli.connection import SERVER_VARIABLE, options, reach_services
from mdm.cli.settings import settings_of

APPLICATION: Any = get_command(application())
reach_services(APPLICATION)
SERVE: Any = APPLICATION.commands["serve"]
VARIABLES = (
    {setting.variable for setting in settings_of(SERVE)} | {option.envvar for option in options()} | {SERVER_VARIABLE}
)


def faults(line: str) -> list[str]:
    """Return what is wrong with a command line that begins with `mdm` or a path that ends with it."""
    program, *words = shlex.split(line)
    if program.rpartition("/")[2] != "mdm":
        return [f"{program} is not mdm"]
    command, name = APPLICATION, "mdm"
    while isinstance(command, TyperGroup) and words and words[0] in command.commands:
        name = f"{name} {words[0]}"
        command = command.commands[words.pop(0)]
    if isinstance(command, loads._LoadGroup):
        command = command.commands[loads._FILE]
    if isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        return [f"{name} has no command {words[0]}"]
    known = {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    return [f"{name} has no option {option}" for option in sorted(given - known)]
