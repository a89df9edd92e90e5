"""The lock pins every package by version and hash, and names no place to fetch it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

REQUIREMENT = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[\w.]+)(?: ; [^\\]+)?$")
HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


def faults(lock: str) -> list[str]:
    """Return the entries of a lock that are no `name==version` with an optional marker and at least one SHA-256."""
    entries = lock.replace("\\\n", "\n    ").strip()
    found = []
    for entry in re.split(r"\n(?=\S)", entries):
        requirement, *hashes = [line.strip() for line in entry.splitlines() if line.strip()]
        if not REQUIREMENT.match(requirement) or not hashes or not all(HASH.match(value) for value in hashes):
            found.append(requirement)
    return found


def locked_names(lock: str) -> set[str]:
    """Return the names of the packages that a lock pins."""
    return {match["name"] for line in lock.splitlines() if (match := re.match(r"(?P<name>[a-z0-9-]+)==", line))}


ONE_HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("lock", "found"),
    [
        (f"apsw==3.54.1.0 \\\n    {ONE_HASH} \\\n    {ONE_HASH}\n", []),
        ("apsw==3.54.1.0\n", ["apsw==3.54.1.0"]),
        (f"apsw>=3.54 \\\n    {ONE_HASH}\n", ["apsw>=3.54"]),
        (f"--index-url https://index.example\napsw==1 \\\n    {ONE_HASH}\n", ["--index-url https://index.example"]),
        (f"apsw @ https://index.example/apsw.whl \\\n    {ONE_HASH}\n", ["apsw @ https://index.example/apsw.whl"]),
    ],
)
def test_the_check_finds_an_entry_without_version_or_hash(lock: str, found: list[str]) -> None:
    assert faults(lock) == found


def test_each_package_is_pinned_by_version_and_hash(project_root: Path) -> None:
    assert faults((project_root / "requirements.lock").read_text(encoding="utf-8")) == []


def test_the_lock_holds_every_direct_dependency(project_root: Path) -> None:
    project = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    asked = {
        re.split(r"[<>=~!]", line)[0] for line in [*project["dependencies"], *optional["server"], *optional["dev"]]
    }
    lock = (project_root / "requirements.lock").read_text(encoding="utf-8")
    assert asked - locked_names(lock) == set()
