"""Imports point one way: the contracts in pyproject.toml hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LINT_IMPORTS = str(Path(sys.executable).with_name("lint-imports"))


def lint_imports(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter. Without a cache: a stale one once let a broken layer pass."""
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_no_import_points_against_the_layers(project_root: Path) -> None:
    result = lint_imports(project_root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 broken." in result.stdout


def test_the_check_finds_an_upward_import(tmp_path: Path) -> None:
    package = tmp_path / "city"
    package.mkdir()
    for name, text in {"__init__": "", "top": "", "bottom": "import city.top\n"}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["city"]\n'
        '[[tool.importlinter.contracts]]\nname = "one way"\ntype = "layers"\nlayers = ["city.top", "city.bottom"]\n',
        encoding="utf-8",
    )
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "city.bottom -> city.top" in result.stdout
