"""Every rule of golden IDs as users read it: the examples of docs/golden-ids.md run in order against a real service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.serving import running_server

DOCUMENT = "docs/golden-ids.md"
SECTION = re.compile(r"^## (.+?)$|^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
DEFAULT_TARGET = '"127.0.0.1:50051"'


def examples(text: str) -> list[tuple[str, str]]:
    """Return (section, code) of each example, in order."""
    section, found = "the beginning", []
    for heading, code in SECTION.findall(text):
        if heading:
            section = heading
        else:
            found.append((section, code))
    return found


def run(blocks: list[tuple[str, str]], target: str) -> None:
    """Run all examples in one namespace."""
    namespace: dict[str, object] = {"__name__": "document"}
    for section, code in blocks:
        source = compile(code.replace(DEFAULT_TARGET, repr(target)), f"{DOCUMENT}: {section}", "exec")
        exec(source, namespace)  # noqa: S102 – our own documents are what is tested


def test_the_check_runs_what_a_section_claims() -> None:
    blocks = examples("## One\n\n```python\nx = 1\n```\n\n## Two\n\n```python\nassert x == 2\n```\n")
    assert [section for section, _ in blocks] == ["One", "Two"]
    with pytest.raises(AssertionError):
        run(blocks, "")


def test_every_rule_of_golden_ids_holds_as_its_example_says(tmp_path: Path, project_root: Path) -> None:
    blocks = examples((project_root / DOCUMENT).read_text(encoding="utf-8"))
    assert len({section for section, _ in blocks}) >= 10
    assert sum(code.count("assert ") for _, code in blocks) >= 30
    assert blocks[0][1].count(DEFAULT_TARGET) == 1
    with running_server(tmp_path / "data") as server:
        run(blocks, server.address)
