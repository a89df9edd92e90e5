"""The README's client code runs as it stands, against a real service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import RunningServer, running_server

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
DEFAULT_TARGET = '"127.0.0.1:50051"'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as running:
        yield running


def test_the_client_code_in_the_readme_runs(
    server: RunningServer, project_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = BLOCK.findall((project_root / "README.md").read_text(encoding="utf-8"))
    assert code.count(DEFAULT_TARGET) == 1
    exec(compile(code.replace(DEFAULT_TARGET, repr(server.address)), "README.md", "exec"), {})  # noqa: S102 – our own
    written, found = capsys.readouterr().out.splitlines()
    outcome, golden_id = written.split()
    assert outcome == "created"
    assert re.fullmatch(rf"{golden_id} certain \d+\.\d bits", found)
