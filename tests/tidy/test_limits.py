"""Every bound stands in one file and says why it is what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CONSTANT = re.compile(r"^[A-Z][A-Z0-9_]*$")


def unreasoned(source: str) -> list[str]:
    """Return what a module of limits holds that is no constant followed by a docstring of at least three words."""
    body = ast.parse(source).body
    found = []
    for node, following in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                reason = _text(following)
                if not CONSTANT.match(name) or len(reason.split()) < 3:
                    found.append(name)
            case ast.Expr(value=ast.Constant(value=str())) | ast.ImportFrom():
                pass
            case _:
                found.append(ast.unparse(node))
    return found


def _text(node: ast.stmt | None) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str() as text)):
            return text
        case _:
            return ""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('PAGE_MAX = 5\n"""A screen shows five rows."""\n', []),
        ("PAGE_MAX = 5\n", ["PAGE_MAX"]),
        ('PAGE_MAX = 5\n"""Five."""\n', ["PAGE_MAX"]),
        ('page = 5\n"""A screen shows five rows."""\n', ["page"]),
        ("def page_max(): ...\n", ["def page_max():\n    ..."]),
    ],
)
def test_the_check_finds_a_bound_without_a_reason(source: str, found: list[str]) -> None:
    assert unreasoned(source) == found


def test_every_bound_has_its_reason_beside_it(project_root: Path) -> None:
    source = (project_root / "mdm" / "limits.py").read_text(encoding="utf-8")
    assert "PAGE_SIZE_MAX" in source
    assert unreasoned(source) == []
