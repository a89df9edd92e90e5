"""Fixtures that tests of every package ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ("MDM_SERVE", "MDM_TLS_", "MDM_ACTOR", "MDM_PURPOSE")

for _name in [name for name in os.environ if name.startswith(SETTINGS)]:
    # Of the developer's own service, which commands and services under test must neither ask nor be.
    del os.environ[_name]

# As in the Makefile, for runs without it: neither a service under test nor the other worker compiles modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

LONGEST_FILES = (
    "tests/benchmarks/test_suites.py",
    "tests/cli/test_commands.py",
    "tests/resolve/test_life_machine.py",
    "tests/clients/test_examples.py",
    "tests/docs/test_blocks.py",
    "tests/journey/test_demo.py",
    "tests/server/test_restarts.py",
    "tests/cli/test_review.py",
    "tests/cli/test_backup.py",
    "tests/journey/test_nights.py",
    "tests/benchmarks/test_feed.py",
    "tests/benchmarks/quality/test_companies.py",
)
"""Half a minute and more each: they go first, so that no core waits at the end for another's last file."""


SHARING_FOLDERS = ("tests/resolve/audit/", "tests/benchmarks/quality/")
"""Their files share a city that takes ten seconds and more to make: one worker runs all of them."""


class FilesAndFolders(LoadFileScheduling):  # type: ignore[misc]
    """One worker runs a file, or a folder whose files share what is dear."""

    def _split_scope(self, nodeid: str) -> str:
        shared = [folder for folder in SHARING_FOLDERS if nodeid.startswith(folder)]
        return shared[0] if shared else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Hand out files and folders instead of `--dist loadfile`'s files."""
    return FilesAndFolders(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as there are cores."""
    # In 27 of 100 samples nothing ran of a worker and all that it had started: it waited for syncs and clocks.
    return len(os.sched_getaffinity(0)) * 3 // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; all else stays in its order."""
    turns = {PROJECT_ROOT / file: turn for turn, file in enumerate(LONGEST_FILES)}
    assert all(path.is_file() for path in turns), "LONGEST_FILES names a file that is gone"
    items.sort(key=lambda item: turns.get(item.path, len(turns)))


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
