"""The Go client against a real service, compiled by Debian's compiler against Debian's packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.clients.programs import CHECKS, check_a_desk_admits_once, check_a_desk_says_what_is_wrong
from tests.clients.tokens import unserved_tokens
from tests.serving import RunningServer

# Compiling takes 28 s of processor time where nobody has compiled Go before, 7 s after that.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The directory of the compiled programs."""
    setup = subprocess.run([project_root / "clients/go/setup.sh"], capture_output=True, text=True, check=False)
    if setup.returncode:
        pytest.skip(f"skipped the Go client: {setup.stderr.strip()}")
    target = tmp_path_factory.mktemp("go")
    descriptors = target / "descriptors.binpb"
    subprocess.run([sys.executable, project_root / "scripts/plain_descriptors.py", descriptors], check=True)
    command = [project_root / "clients/go/build.sh", target, descriptors]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return target / "bin"


def run_go(program: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a compiled program; Debian's gRPC tries again only if it is told to."""
    environment = os.environ | {"GRPC_GO_RETRY": "on"} | environment
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_go_client_passes_its_tests_against_a_real_service(
    build: Path, server: RunningServer, project_root: Path
) -> None:
    config = str(project_root / "clients/service_config.json")
    environment = {"MDM_CONFIG": config, "MDM_TARGET": server.address}
    tokens = " ".join(unserved_tokens(server.address))
    result = run_go(build / "client.test", "-test.v", MDM_TOKENS=tokens, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    held = re.findall(r"^    --- PASS: TestClient/(\S+)", result.stdout, re.MULTILINE)
    assert [name.replace("_", " ") for name in held] == [*CHECKS, "what may happen twice is tried again"]


def test_the_admission_desk_admits_a_patient_once_and_says_what_is_wrong(
    build: Path, server: RunningServer, project_root: Path
) -> None:
    desk = partial(run_go, build / "admission_desk", str(project_root / "clients/service_config.json"))
    check_a_desk_admits_once(desk, server.address)
    check_a_desk_says_what_is_wrong(desk, server.address)
