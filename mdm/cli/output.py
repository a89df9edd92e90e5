"""What commands say: progress and notes on standard error, the result on standard output.

On a terminal, bars and words; otherwise one JSON object a line, so that a log holds no control characters. Whatever a
command says goes through `tell`, `tell_json`, `note`, `fail` or `cell`: values are data, which a terminal must never
obey.
"""

from __future__ import annotations

import enum
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import typer

from mdm.cli.connection import chosen

if TYPE_CHECKING:
    from rich.text import Text

    from mdm_client import Client

LINE_INTERVAL_S = 2.0
"""Between two lines of progress where there is no terminal."""

CONNECT_S_MAX = 5.0
"""A service on this machine or network answers at once; one that is starting may take a moment."""


REACH_S_MAX = 1.0
"""Where the command has something to say without a service, too."""

_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys instead of showing it: control characters and those that turn the direction of a line; and
halves of characters, which no encoding holds."""


class ExitCode(enum.IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DONE_WITH_REJECTS = 3
    """Or with anything else left out."""
    STOPPED_BY_GATE = 4
    INTERRUPTED = 130


class Progress(Protocol):
    """Told how far a command has come."""

    def __call__(self, stage: str, done: int, whole: int | None) -> None:
        """Say that `done` of `whole` units of a stage are done; None if the whole is not known."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield what shows progress for the length of the block."""
    if not sys.stderr.isatty():
        lines = _Lines()
        try:
            yield lines
        finally:
            lines.finish()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, whole: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=whole)
            bars.update(tasks[stage], completed=done, total=whole)

        yield show


class _Lines:
    """A line every few seconds, and one with the last word on each stage."""

    def __init__(self) -> None:
        self._last: tuple[str, int, int | None] = ("", 0, None)
        self._is_said = True
        self._said_s = -LINE_INTERVAL_S

    def __call__(self, stage: str, done: int, whole: int | None) -> None:
        if stage != self._last[0]:
            self.finish()
        self._is_said = self._is_said and self._last == (stage, done, whole)
        self._last = (stage, done, whole)
        if time.monotonic() - self._said_s >= LINE_INTERVAL_S:
            self.finish()

    def finish(self) -> None:
        """Say what was not said yet."""
        if not self._is_said:
            stage, done, whole = self._last
            note("progress", stage=stage, done=done, whole=whole)
            self._is_said, self._said_s = True, time.monotonic()


def visible(text: str) -> str:
    """Return a text with what a terminal would obey written out, as `\\x1b` or `\\u202e`; a line feed is `\\n`."""
    return text if text.isprintable() else _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def tell(line: str = "") -> None:
    """Print a line of the result; whatever it holds, it stays one line."""
    print(visible(line))


def tell_json(value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Print a line of JSON; `default` turns into plain values what JSON does not know."""
    print(_json(value, default))


def _json(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return a line of JSON that holds nothing which a terminal obeys or no encoding has: the same values, escaped."""
    line = json.dumps(value, default=default, ensure_ascii=False)
    return line if line.isprintable() else _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def tell_document(content: str) -> None:
    """Print a file's content as it is: it may be put into a file again."""
    print(content, end="")


def cell(*lines: str, style: str = "") -> Text:
    """Return what a table on a terminal shows of values, each on a line of its own; markup in them is not obeyed."""
    from rich.text import Text

    return Text("\n".join(map(visible, lines)), style)


def note(event: str, **facts: Any) -> None:
    """Say something beside the result: words on a terminal, a JSON line otherwise. Never personal data."""
    if sys.stderr.isatty():
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value is not None)
        print(visible(f"{event}: {said}" if said else event), file=sys.stderr)
    else:
        print(_json({"event": event, **facts}), file=sys.stderr, flush=True)


def show(result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result: one JSON object, or a line for each fact; empty facts are left out of the lines."""
    if as_json:
        tell_json(result)
        return
    shown = {name: value for name, value in result.items() if value not in ("", None, {}, [], ())}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        if isinstance(value, Mapping):
            tell(name.replace("_", " "))
            for key, inner in value.items():
                tell(f"  {key}: {_readable(inner)}")
        else:
            tell(f"{name.replace('_', ' '):<{width}}  {_readable(value)}")


def fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """End the command with one line that says why."""
    complain(message)
    raise typer.Exit(code)


def complain(message: str) -> None:
    """Say on one line why the command ends."""
    print(visible(f"mdm: {message}"), file=sys.stderr)


@contextmanager
def connected(
    server: str, actor: str = "mdm-cli", timeout_s: float = CONNECT_S_MAX, *, heeds_health: bool = True
) -> Iterator[Client]:
    """Yield a client of a service that answers within `timeout_s`; otherwise end the command and say what to do.

    Encrypted, and in whose name, as the options of `connection` say; `actor` stands where they name nobody.
    `heeds_health` is that of `mdm_client.Client`: False for commands that ask how the service is.
    """
    from mdm_client import UnavailableError

    with _client(server, actor, heeds_health=heeds_health) as client:
        try:
            client.wait_until_ready(timeout_s)
        except UnavailableError as error:
            fail(f"{error.message}{_advice(error.message, server)}")
        yield client


def _client(server: str, actor: str, *, heeds_health: bool = True) -> Client:
    # gRPC's own lines about a handshake that fails say less than the error.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from mdm_client import Client

    said = chosen()
    name = said.actor or actor
    return Client(server, tls=said.tls, actor=name, purpose=said.purpose, heeds_health=heeds_health)


def _advice(message: str, server: str) -> str:
    if message == f"no service answers at {server}":
        return f"; start one with: mdm serve --data DIR --listen {server}"
    if message.startswith(f"no service answers at {server}, though something"):
        return f"; if it is a service that starts, this says how far it is: mdm status --server {server}"
    if "speaks TLS: " in message:
        return " with --tls-ca or MDM_TLS_CA"
    if "asks for a client certificate" in message:
        return ": --tls-certificate and --tls-key"
    return ""


@contextmanager
def reached(server: str) -> Iterator[Client | None]:
    """Yield a client of a service that answers at once, None if none does; else as `connected`."""
    from mdm_client import UnavailableError

    with _client(server, "mdm-cli") as client:
        try:
            client.wait_until_ready(REACH_S_MAX)
        except UnavailableError:
            yield None
        else:
            yield client


def _readable(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"{value:,}"
