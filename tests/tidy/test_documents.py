"""Documents agree with the code: error reasons, links, make targets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mdm.v1 import error_reason_pb2

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
REASON_ROW = re.compile(r"^\| `([A-Z_]+)` \| `[A-Z_]+` \| ", re.MULTILINE)
PREFIX = "ERROR_REASON_"


def broken_links(document: Path) -> list[str]:
    """Return the relative links of a Markdown file that lead nowhere."""
    text = document.read_text(encoding="utf-8")
    return [link for link in LINK.findall(text) if not (document.parent / link).exists()]


def test_the_check_finds_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("[here](a.md#top), [web](https://example.org), [gone](b.md)", encoding="utf-8")
    assert broken_links(document) == ["b.md"]


def test_every_link_leads_somewhere(tracked_files: list[Path], project_root: Path) -> None:
    found = {
        str(path): links
        for path in tracked_files
        if path.suffix == ".md" and (links := broken_links(project_root / path))
    }
    assert found == {}


def test_every_error_reason_is_documented(project_root: Path) -> None:
    reasons = [name.removeprefix(PREFIX) for name, number in error_reason_pb2.ErrorReason.items() if number]
    assert REASON_ROW.findall((project_root / "docs" / "errors.md").read_text(encoding="utf-8")) == reasons


def test_the_error_document_is_what_the_proto_says(project_root: Path) -> None:
    script = project_root / "scripts" / "errors_document.py"
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_an_error_reason_without_its_parts_is_refused(project_root: Path, tmp_path: Path) -> None:
    # The script reads the proto beside it, so a copy of both stands in for a project with a bad comment.
    script = tmp_path / "scripts" / "errors_document.py"
    script.parent.mkdir()
    script.write_bytes((project_root / "scripts" / "errors_document.py").read_bytes())
    proto = tmp_path / "protos" / "mdm" / "v1" / "error_reason.proto"
    proto.parent.mkdir(parents=True)
    proto.write_text("enum ErrorReason {\n  // Only a cause.\n  ERROR_REASON_LOST = 1;\n}\n", encoding="utf-8")
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "LOST: the comment must say cause" in result.stderr


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md"])
def test_every_make_target_that_a_document_names_exists(document: str, project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = (project_root / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    assert named, f"{document} names no target"
    assert named - targets == set()
