"""Nothing that the project says is about one machine, and nothing is put off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT_SUFFIXES = {"", ".cfg", ".csv", ".ini", ".json", ".lock", ".md", ".mk", ".proto", ".py", ".pyi", ".sh", ".sql"} | {
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}

# A path that exists on one machine and on no other. Temporary folders come from tempfile, mktemp and tmp_path.
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:home|Users|root|tmp|work|workspace|builds?|mnt)/[\w.-]+")
# What is put off in a comment is never done: it is built, or it stands in the decisions with its reason.
PUT_OFF = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")


def lines_with(pattern: re.Pattern[str], path: Path, text: str) -> list[str]:
    """Return `path:line: match` for each line that the pattern finds something in."""
    return [
        f"{path}:{number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := pattern.search(line))
    ]


def text_of(path: Path) -> str:
    """Return the text of a file. A text file that is not UTF-8 is an error of its own."""
    return path.read_text(encoding="utf-8") if path.suffix in TEXT_SUFFIXES else ""


@pytest.mark.parametrize("folder", ["home", "Users", "root", "tmp", "work"])
def test_the_check_finds_a_path_of_one_machine(folder: str) -> None:
    assert lines_with(MACHINE_PATH, Path("notes.md"), "Data lies in\n" + f"`/{folder}/data`.") == [
        f"notes.md:2: /{folder}/data"
    ]


@pytest.mark.parametrize("text", ["docs/work/plan.md", "https://example.org/home/page", "a/root/of/x", "~/work/x"])
def test_the_check_lets_relative_paths_and_addresses_pass(text: str) -> None:
    assert lines_with(MACHINE_PATH, Path("notes.md"), text) == []


def test_the_check_finds_what_is_put_off() -> None:
    assert lines_with(PUT_OFF, Path("a.py"), "# TO" + "DO: later") == ["a.py:1: TO" + "DO"]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, PUT_OFF], ids=["machine path", "put off"])
def test_no_tracked_file_names_a_machine_or_puts_work_off(
    pattern: re.Pattern[str], tracked_files: list[Path], project_root: Path
) -> None:
    found = [line for path in tracked_files for line in lines_with(pattern, path, text_of(project_root / path))]
    assert found == []
