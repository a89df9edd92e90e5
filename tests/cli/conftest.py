"""The command line as a shell runs it, and a service for it to speak to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdm.cli import application
from tests.serving import RunningServer, running_server

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "data") as served:
        yield served


APART = frozenset({"demo", "doctor", "rebuild", "restore", "serve", "synth", "train", "upgrade", "verify"})
"""Commands that start processes, open a store or set up logs: each runs in a process of its own."""


@pytest.fixture
def mdm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mdm` in the test's own directory; returns its exit code and what it said.

    A command that speaks to a service runs in this process, by the entry point of `mdm`: a tenth of the cost.
    """

    def here(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["mdm", *arguments])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                application.run()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), said.out, said.err)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        texts = [str(argument) for argument in arguments]
        if texts[0] not in APART:
            return here(texts)
        command = [sys.executable, "-m", "mdm", *texts]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    return run
