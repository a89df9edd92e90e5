"""What the code blocks of the documents are and how each is run. The convention stands in docs/building.md.

Comments in the lines directly above a block tell how it is run:

    <!-- not run: why -->             it cannot run here; counted and printed
    <!-- before: command -->          runs in the shell before the block
    <!-- then: command -->            runs after it
    <!-- where WORD is: command -->   WORD in the block stands for what the command prints
    <!-- file: name -->               the block is the content of that file, for the blocks below it
    <!-- stop after: 5 s -->          a shell block that has no end, or none so soon
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import yaml

BLOCK = re.compile(
    r"(?P<notes>(?:^<!--[^\n]*-->\n)*)^```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOTE = re.compile(r"<!-- (?P<form>not run|before|then|where \S+ is|file|stop after): (?P<value>.+) -->")
DEFAULT_TARGET = "127.0.0.1:50051"
DATA = "/srv/mdm"
SHELL_S_MAX = 100.0
TOOLS = ("jq", "openssl")
"""What documents use and not every machine has; a block is left out, and told, where one is missing."""

# What a document shows without asking anybody to run it: output, drawings, the interface, which has checks of its own.
SHOWN = frozenset({"text", "proto"})


class Block(NamedTuple):
    """A fenced block of a document."""

    place: str
    """`docs/operating.md:7`."""
    language: str
    code: str
    notes: tuple[tuple[str, str], ...]
    """(form, value) of each comment directly above it."""

    def values(self, form: str) -> list[str]:
        """Return the values of the notes of one form."""
        return [value for each, value in self.notes if each == form]


def blocks(name: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a document in order.

    Raises:
        ValueError: A comment directly above a block is no note that this module knows.
    """
    for found in BLOCK.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start('code'))}"
        notes = []
        for line in found["notes"].splitlines():
            note = NOTE.fullmatch(line)
            if note is None:
                raise ValueError(f"{place}: unknown note above the block: {line}")
            notes.append((note["form"], note["value"]))
        yield Block(place, found["language"], found["code"], tuple(notes))


def reasons_left_out(block: Block) -> list[str]:
    """Return why a block is not run; nothing if it is."""
    missing = [tool for tool in TOOLS if re.search(rf"\b{tool}\b", block.code) and shutil.which(tool) is None]
    return block.values("not run") or [f"{tool} is not installed" for tool in missing]


class BlockError(AssertionError):
    """A block does not do what its document promises."""


class Document:
    """Runs the blocks of one document in order: one directory, one Python namespace, one service."""

    def __init__(self, folder: Path, address: str, environment: dict[str, str], store: Path) -> None:
        """Say where it runs.

        Args:
            folder: Its directory, in which the feeds of a small city lie.
            address: Of the service that stands for the default one.
            environment: Of its commands.
            store: What stands for the data directory /srv/mdm, with no service running on it.
        """
        self._folder = folder
        self._address = address
        self._environment = environment
        self._store = store
        self._namespace: dict[str, Any] = {"__name__": "document"}

    def run(self, block: Block) -> bool:
        """Run or parse a block; return whether it was, rather than shown only or left out with a reason.

        Raises:
            BlockError: It failed.
        """
        if reasons_left_out(block) or block.language in SHOWN:
            return False
        for command in block.values("before"):
            self._shell(block, command)
        code = block.code
        for form, command in block.notes:
            if form.startswith("where "):
                word = form.removeprefix("where ").removesuffix(" is")
                if word not in code:
                    raise BlockError(f"{block.place}: has no word {word}")
                code = code.replace(word, self._shell(block, command).strip())
        match block.language:
            case "python":
                self._python(block, code)
            case "sh":
                self._shell(block, code)
            case "console":
                self._shell(block, commands_of(code))
            case "toml" | "json" | "yaml":
                parse(block)
            case _:
                raise BlockError(f"{block.place}: needs a language: python, sh, console, toml, json, yaml or text")
        for name in block.values("file"):
            (self._folder / name).write_text(code, encoding="utf-8")
        for command in block.values("then"):
            self._shell(block, command)
        return True

    def _python(self, block: Block, code: str) -> None:
        source = compile(code.replace(DEFAULT_TARGET, self._address), block.place, "exec")
        before = Path.cwd()
        os.chdir(self._folder)
        try:
            exec(source, self._namespace)  # noqa: S102 – our own documents are what is tested
        except Exception as error:
            raise BlockError(f"{block.place}: {error!r}") from error
        finally:
            os.chdir(before)

    def _shell(self, block: Block, script: str) -> str:
        # A service that a document starts takes a free port; every other command asks the one that runs.
        lines = [
            line.replace(DEFAULT_TARGET, "127.0.0.1:0" if "mdm serve" in line else self._address)
            for line in script.splitlines()
        ]
        text = "\n".join(lines).replace(DATA, str(self._store)).replace(".venv/bin/", "")
        stops = block.values("stop after")
        seconds = float(stops[0].removesuffix(" s")) if stops else SHELL_S_MAX
        # Files, not pipes, which what a block leaves in the background would hold open.
        with TemporaryFile("w+", encoding="utf-8") as output, TemporaryFile("w+", encoding="utf-8") as errors:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                if not stops:
                    raise BlockError(f"{block.place}: still runs after {seconds:g} s") from None
                return ""
            finally:
                end(process)
            output.seek(0)
            errors.seek(0)
            printed = output.read()
            if code:
                raise BlockError(f"{block.place}: exit code {code}\n{text}\n{printed}\n{errors.read()}")
        return printed


def end(process: subprocess.Popen[bytes]) -> None:
    """End a block's shell and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def commands_of(console: str) -> str:
    """Return the commands of a console block: the lines after `$ `, with those that a backslash continues."""
    lines, is_continued = [], False
    for line in console.splitlines():
        if is_continued or line.startswith("$ "):
            lines.append(line.removeprefix("$ "))
            is_continued = line.endswith("\\")
    return "\n".join(lines)


def parse(block: Block) -> None:
    """Read a data block as what it says it is.

    Raises:
        BlockError: It is none.
    """
    try:
        match block.language:
            case "toml":
                tomllib.loads(block.code)
            case "json":
                json.loads(block.code)
            case _:
                list(yaml.safe_load_all(block.code))
    except (ValueError, yaml.YAMLError) as error:
        raise BlockError(f"{block.place}: {error}") from error


PICK = """
import functools, json, sys
print(functools.reduce(lambda value, key: value[key], sys.argv[1:], json.load(sys.stdin)))
"""


def shim(python: str, folder: Path) -> Path:
    """Write commands into a folder for PATH and return it: `mdm`, `python`, and `pick KEY…`, for values out of JSON."""
    folder.mkdir()
    for name, command in {"mdm": [python, "-m", "mdm"], "python": [python], "pick": [python, "-c", PICK]}.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return folder
