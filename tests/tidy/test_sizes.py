"""Files and functions stay short enough to be read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
DOCUMENT_LINES_MAX = {"ARCHITECTURE.md": 250, "README.md": 120}


def is_written_by_hand(path: Path) -> bool:
    """Whether a Python file is ours to keep short: generated stubs are as long as the protos make them."""
    return path.suffix == ".py" and not path.stem.endswith(("_pb2", "_pb2_grpc"))


def long_functions(source: str) -> list[str]:
    """Return `name: lines` of each function that is too long, its decorators and docstring included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines = node.end_lineno - first + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{node.name}: {lines}")
    return found


@pytest.mark.parametrize(("lines", "is_found"), [(FUNCTION_LINES_MAX, False), (FUNCTION_LINES_MAX + 1, True)])
def test_the_check_finds_a_function_one_line_too_long(lines: int, is_found: bool) -> None:  # noqa: FBT001 – a case table's column
    source = "async def long():\n" + "    pass\n" * (lines - 1)
    assert bool(long_functions(source)) is is_found


def test_no_function_is_longer_than_70_lines(tracked_files: list[Path], project_root: Path) -> None:
    found = [
        f"{path}: {function}"
        for path in tracked_files
        if is_written_by_hand(path)
        for function in long_functions((project_root / path).read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_file_is_longer_than_500_lines(tracked_files: list[Path], project_root: Path) -> None:
    lines = {
        path: len((project_root / path).read_text(encoding="utf-8").splitlines())
        for path in tracked_files
        if is_written_by_hand(path)
    }
    assert {path: count for path, count in lines.items() if count > FILE_LINES_MAX} == {}
    assert lines, "no Python file was looked at"


@pytest.mark.parametrize(("name", "lines_max"), sorted(DOCUMENT_LINES_MAX.items()))
def test_the_entrance_documents_stay_short(name: str, lines_max: int, project_root: Path) -> None:
    assert len((project_root / name).read_text(encoding="utf-8").splitlines()) <= lines_max
