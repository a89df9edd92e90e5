"""What the command line says when a command does not come to its own end."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import typer

from mdm.cli import application
from mdm.cli.output import ExitCode, fail


def interrupted() -> None:
    raise KeyboardInterrupt


def interrupted_with_a_word() -> None:
    try:
        interrupted()
    except KeyboardInterrupt:
        fail("interrupted; it goes on", ExitCode.INTERRUPTED)


@pytest.mark.parametrize(
    ("command", "said"),
    [(interrupted, "mdm: interrupted\n"), (interrupted_with_a_word, "mdm: interrupted; it goes on\n")],
)
def test_an_interrupted_command_says_so_once(
    command: Callable[[], None], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()
    app.command("one")(command)
    app.command("other")(interrupted)
    monkeypatch.setattr(application, "application", lambda: app)
    monkeypatch.setattr(sys, "argv", ["mdm", "one"])
    with pytest.raises(SystemExit) as ended:
        application.run()
    assert ended.value.code == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == said
