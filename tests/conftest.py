"""Fixtures that tests of every package ask for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the working copy."""
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """Every file that git tracks and that is there, relative to the root, sorted."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=PROJECT_ROOT, check=True, capture_output=True, text=True
    ).stdout
    return sorted(Path(name) for name in names.split("\0") if name and (PROJECT_ROOT / name).is_file())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public person and firm sets with known truth, which may not be committed to the project.

    It is named by MDM_SHARED_DATA, or lies beside the project as `shared/data`. Without it the test is skipped.
    """
    named = os.environ.get("MDM_SHARED_DATA")
    folder = Path(named) if named else PROJECT_ROOT.parent / "shared" / "data"
    if not (folder / "README.md").is_file():
        pytest.skip(
            "skipped the comparison with public data sets (persons/, business/, vn/): "
            "set MDM_SHARED_DATA to the folder that holds them"
        )
    return folder
