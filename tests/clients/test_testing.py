"""The server for other people's tests, as a stranger has it: a project of its own, a fresh process, nothing of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdm_client.testing import CommandError, EphemeralServer, ServerStartError, ephemeral_server

CONFTEST = 'pytest_plugins = ["mdm_client.testing"]\n'
TESTS = """
import os
import signal

import pytest
from mdm_client import CitizenAttributes, EntityKind, SourceKey, SourceRecord

KEY = SourceKey("hospital", EntityKind.CITIZEN, "P1")
PERSON = CitizenAttributes(full_name="Trần Thị Bích", birth_date="02/03/1961", phones=("0903 765 432",))


def test_a_record_gets_a_golden_id(mdm_server):
    golden_ids = mdm_server.put([SourceRecord(KEY, PERSON)])
    assert golden_ids[KEY].startswith("C-")


def test_the_next_test_has_the_same_server(mdm_server):
    with mdm_server.client(actor="agency", purpose="admission") as client:
        assert client.lookup("hospital", EntityKind.CITIZEN, "P1").golden_id
        assert client.match(PERSON).candidates


def test_its_address_is_told(mdm_server):
    print("SERVED", mdm_server.address, mdm_server.data.parent)
    if os.environ.get("KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An agency's project with tests of its own."""
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_agency.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


def run_pytest(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the agency's tests in a process of their own, warnings as errors."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-W", "error", "-p", "no:cacheprovider"],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def served(printed: str) -> tuple[str, Path]:
    """Return the address and the folder that the agency's tests printed."""
    (line,) = [line for line in printed.splitlines() if "SERVED" in line]
    _, address, folder = line[line.index("SERVED") :].split()
    return address, Path(folder)


def processes_of(folder: Path) -> list[str]:
    """Return the processes whose command line names a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if process.name.isdecimal() and str(folder).encode() in command:
            found.append(process.name)
    return found


def test_an_agencys_tests_run_against_a_server_that_is_gone_afterwards(project: Path) -> None:
    result = run_pytest(project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout
    address, folder = served(result.stdout)
    assert address.startswith("127.0.0.1:")
    assert not folder.exists()
    assert processes_of(folder) == []


def test_a_test_run_that_is_killed_takes_its_server_with_it(project: Path) -> None:
    result = run_pytest(project, KILLED="1")
    assert result.returncode == -signal.SIGKILL
    _, folder = served(result.stdout)
    until_s = time.monotonic() + 60
    while processes_of(folder) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert processes_of(folder) == []


def test_a_killed_server_comes_back_at_its_address_with_what_it_had(project: Path) -> None:
    with ephemeral_server() as server:
        address = server.address
        server.kill()
        with pytest.raises(CommandError, match=r"mdm export ended with 1: mdm: .*"):
            server.run("export", "crosswalk", project / "crosswalk.csv")
        server.start()
        assert server.address == address
        server.run("export", "crosswalk", project / "crosswalk.csv")
        server.stop()
        server.stop()


def test_a_missing_server_is_named_with_what_to_install(tmp_path: Path) -> None:
    # The base install lacks the engines: a module of this name that cannot be imported stands for typer's absence.
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(name='typer')\n", encoding="utf-8")
    server = EphemeralServer(tmp_path)
    environment = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{tmp_path}:{environment}"
    try:
        with pytest.raises(ServerStartError, match=r"typer is not installed; .* pip install 'hcm-mdm\[server\]'"):
            server.start()
    finally:
        os.environ["PYTHONPATH"] = environment


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no directory", encoding="utf-8")
    with pytest.raises(ServerStartError, match="data"):
        EphemeralServer(tmp_path).start()


def test_settings_of_another_service_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine that has a service: an admission desk's own tests must neither fail for it nor reach it.
    for name, value in {
        "MDM_SERVE_CONFIG": "/nowhere/serve.toml",
        "MDM_SERVE_INSECURE": "true",
        "MDM_SERVE_TLS_CLIENT_CA": "/nowhere/ca.crt",
        "MDM_SERVER": "127.0.0.1:1",
        "MDM_TLS_CA": "/nowhere/ca.crt",
    }.items():
        monkeypatch.setenv(name, value)
    with ephemeral_server() as server:
        assert server.run("health") == "status  SERVING\n"
