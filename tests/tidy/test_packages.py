"""Modules have telling names, and a package's `__init__` is its table of contents."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

NAMES_THAT_SAY_NOTHING = {"common", "commons", "helper", "helpers", "misc", "shared", "stuff", "util", "utils"}
PACKAGE_ROOTS = ("mdm/", "clients/python/", "benchmarks/")
# What an agency's backend imports is the client package itself, so it names its public classes there.
PACKAGES_THAT_EXPORT = {Path("clients/python/mdm_client/__init__.py")}


def code_in(source: str) -> list[str]:
    """Return the statements of a module other than its docstring."""
    body = ast.parse(source).body
    has_docstring = (
        bool(body)
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )
    return [ast.unparse(node) for node in body[has_docstring:]]


def unnamed_modules(docstring: str, modules: set[str]) -> set[str]:
    """Return the modules that a package's docstring does not name in backticks."""
    return modules - set(re.findall(r"`([a-z0-9_]+)`", docstring))


def packages(tracked_files: list[Path]) -> list[Path]:
    """Return the `__init__` files of our own packages."""
    return [path for path in tracked_files if path.name == "__init__.py" and path.as_posix().startswith(PACKAGE_ROOTS)]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""Says what it is."""\n', 0),
        ('"""Says what it is."""\n\nfrom mdm.limits import PAGE_SIZE_MAX\n', 1),
        ("VERSION = 1\n", 1),
    ],
)
def test_the_check_finds_code_beside_the_docstring(source: str, count: int) -> None:
    assert len(code_in(source)) == count


def test_the_check_finds_a_module_that_the_docstring_leaves_out() -> None:
    assert unnamed_modules("Read `keys`, then `records`.", {"keys", "records", "events"}) == {"events"}


def test_a_package_init_holds_a_docstring_and_no_code(tracked_files: list[Path], project_root: Path) -> None:
    found = {
        str(path): code
        for path in packages(tracked_files)
        if path not in PACKAGES_THAT_EXPORT and (code := code_in((project_root / path).read_text(encoding="utf-8")))
    }
    assert found == {}


def test_the_client_init_only_exports(project_root: Path) -> None:
    for path in PACKAGES_THAT_EXPORT:
        for statement in code_in((project_root / path).read_text(encoding="utf-8")):
            assert statement.startswith(("from ", "import ", "__all__")), statement


def test_a_package_docstring_names_each_of_its_modules(tracked_files: list[Path], project_root: Path) -> None:
    found = {}
    for init in packages(tracked_files):
        below = [path.relative_to(init.parent) for path in tracked_files if path.is_relative_to(init.parent)]
        modules = {path.parts[0].removesuffix(".py") for path in below if path.suffix == ".py"}
        modules -= {name for name in modules if name.startswith("__") or name.endswith(("_pb2", "_pb2_grpc"))}
        docstring = ast.get_docstring(ast.parse((project_root / init).read_text(encoding="utf-8"))) or ""
        assert docstring, f"{init} has no docstring"
        if missing := unnamed_modules(docstring, modules):
            found[str(init)] = sorted(missing)
    assert found == {}


def test_no_module_is_named_after_nothing(tracked_files: list[Path]) -> None:
    found = [
        str(path)
        for path in tracked_files
        if path.suffix == ".py" and NAMES_THAT_SAY_NOTHING.intersection(part.removesuffix(".py") for part in path.parts)
    ]
    assert found == []
