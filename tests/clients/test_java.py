"""The Java client against a real service, compiled by Debian's compilers against Debian's jars."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm_client.testing import EphemeralServer, ephemeral_server
from tests.clients.tokens import unserved_tokens

# Generating and compiling 600 classes takes some 25 s of processor time.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

AWAY = 75
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


@pytest.fixture(scope="module")
def server() -> Iterator[EphemeralServer]:
    with ephemeral_server() as served:
        yield served


def run_java(build: Path, project_root: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the Java client; its first argument is the service config."""
    classpath = (build / "classpath").read_text(encoding="utf-8").strip()
    config = str(project_root / "clients" / "service_config.json")
    command = [*JAVA, classpath, "-Dfile.encoding=UTF-8", program, config, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_java_client_passes_its_tests_against_a_real_service(
    build: Path, server: EphemeralServer, project_root: Path
) -> None:
    result = run_java(build, project_root, "ClientTest", server.address, *unserved_tokens(server.address))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "17 passed, 0 failed"


def test_the_admission_desk_admits_a_patient_once(build: Path, server: EphemeralServer, project_root: Path) -> None:
    desk = (server.address, "D1", "Trần Thị Bích", "02/03/1961", "0903765432")
    first = run_java(build, project_root, "AdmissionDesk", *desk)
    assert first.returncode == 0, first.stderr
    golden_id = first.stdout.split()[1]
    assert first.stdout.splitlines()[0] == f"admitted {golden_id} WRITE_OUTCOME_CREATED"
    again = run_java(build, project_root, "AdmissionDesk", *desk).stdout.splitlines()
    assert re.fullmatch(rf"candidate {golden_id} MATCH_GRADE_CERTAIN \d+[.,]\d bits", again[0])
    assert again[1:] == [
        f"admitted {golden_id} WRITE_OUTCOME_UNCHANGED",
        f"looked up {golden_id} RECORD_STATUS_FOUND",
    ]


def test_the_admission_desk_says_what_is_wrong_and_when_the_service_is_away(
    build: Path, server: EphemeralServer, project_root: Path
) -> None:
    refused = run_java(build, project_root, "AdmissionDesk", server.address, "", "Trần Thị Bích", "1961")
    assert refused.returncode == 1
    assert refused.stderr.startswith("refused INVALID_FIELD\n  record.key.record_id: ")
    away = run_java(build, project_root, "AdmissionDesk", "127.0.0.1:1", "D2", "Trần Thị Bích", "1961")
    assert (away.returncode, away.stderr) == (AWAY, "unanswered UNAVAILABLE\n")
    assert run_java(build, project_root, "AdmissionDesk").returncode == 2
