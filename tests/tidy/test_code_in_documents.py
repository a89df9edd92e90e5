"""Python in a document runs as it stands, unless it needs a running service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
# A block that calls a service is run by the tests of the client, against a real one; a document whose blocks build on
# each other by a test of its own in tests/docs.
NEEDS_A_SERVICE = re.compile(r"\bmdm_client\b|\bgrpc\b")


def code_blocks(text: str) -> list[str]:
    """Return the Python blocks of a Markdown text that stand on their own."""
    return [code for code in BLOCK.findall(text) if not NEEDS_A_SERVICE.search(code)]


def own_test(document: Path) -> Path:
    """Return the test that runs a whole document, if there is one."""
    return Path("tests") / document.parent / f"test_{document.stem.replace('-', '_')}.py"


def run(code: str, name: str) -> None:
    """Run a block in a namespace of its own."""
    exec(compile(code, name, "exec"), {"__name__": "document"})  # noqa: S102 – our own documents are what is tested


def test_the_check_runs_what_a_document_claims() -> None:
    (code,) = code_blocks("So:\n\n```python\nassert 1 + 1 == 3\n```\n")
    with pytest.raises(AssertionError):
        run(code, "false.md")


def test_the_python_in_documents_runs(tracked_files: list[Path], project_root: Path) -> None:
    documents = [path for path in tracked_files if path.suffix == ".md"]
    with_own_tests = [path for path in documents if (project_root / own_test(path)).exists()]
    for path in documents:
        if path in with_own_tests:
            continue
        for code in code_blocks((project_root / path).read_text(encoding="utf-8")):
            run(code, str(path))
    assert Path("docs/golden-ids.md") in with_own_tests
