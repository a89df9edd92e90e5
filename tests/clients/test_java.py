"""The Java client against a real service, compiled by Debian's compilers against Debian's jars."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.clients.programs import CHECKS, check_a_desk_admits_once, check_a_desk_says_what_is_wrong
from tests.clients.tokens import unserved_tokens
from tests.serving import RunningServer

# Generating and compiling 600 classes takes some 25 s of processor time.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

# A short run is over before a better compiler pays.
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The compiled Java client."""
    java = project_root / "clients" / "java"
    setup = subprocess.run([java / "setup.sh"], capture_output=True, text=True, check=False)
    if setup.returncode:
        pytest.skip(f"skipped the Java client: {setup.stderr.strip()}")
    target = tmp_path_factory.mktemp("java")
    descriptors = target / "descriptors.binpb"
    subprocess.run([sys.executable, project_root / "scripts" / "plain_descriptors.py", descriptors], check=True)
    result = subprocess.run([java / "build.sh", target, descriptors], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return target


def run_java(build: Path, project_root: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the Java client; its first argument is the service config."""
    classpath = (build / "classpath").read_text(encoding="utf-8").strip()
    config = str(project_root / "clients" / "service_config.json")
    command = [*JAVA, classpath, "-Dfile.encoding=UTF-8", program, config, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_java_client_passes_its_tests_against_a_real_service(
    build: Path, server: RunningServer, project_root: Path
) -> None:
    result = run_java(build, project_root, "ClientTest", server.address, *unserved_tokens(server.address))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines() == [f"ok {sentence}" for sentence in CHECKS]


def test_the_admission_desk_admits_a_patient_once_and_says_what_is_wrong(
    build: Path, server: RunningServer, project_root: Path
) -> None:
    desk = partial(run_java, build, project_root, "AdmissionDesk")
    check_a_desk_admits_once(desk, server.address)
    check_a_desk_says_what_is_wrong(desk, server.address)
