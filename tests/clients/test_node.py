"""The Node client against a real service: its own tests, its admission desk, a feed that outlives both ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from mdm_client import CitizenAttributes, EntityKind, SourceKey, SourceRecord
from mdm_client.testing import EphemeralServer, ephemeral_server
from tests.clients.programs import AWAY, check_a_desk_admits_once, check_a_desk_says_what_is_wrong
from tests.clients.tokens import unserved_tokens

NODE_MAJOR_MIN = 18
NO_NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED")


def record(record_id: str) -> SourceRecord:
    """Return somebody whom nobody else resembles."""
    name = f"Trương Thị {'Xuân Hạ Thu Đông'.split()[len(record_id) % 4]} {record_id}"
    return SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, record_id), CitizenAttributes(full_name=name))


def node_major() -> int:
    """Return the installed Node's major version, 0 if there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    printed = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(printed.removeprefix("v").partition(".")[0])


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The Node client, copied and installed from its lock."""
    if node_major() < NODE_MAJOR_MIN:
        pytest.skip(f"skipped the Node client: node {NODE_MAJOR_MIN} or newer and npm are not installed")
    root = tmp_path_factory.mktemp("node")
    for part in ("clients/node", "protos"):
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(project_root / part, root / part, ignore=ignored)
    shutil.copy(project_root / "clients/service_config.json", root / "clients")
    project = root / "clients/node"
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    result = subprocess.run(install, cwd=project, capture_output=True, text=True, check=False)
    if result.returncode and NO_NETWORK.search(result.stderr):
        pytest.skip("skipped the Node client: its packages can't be fetched here")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture(scope="module")
def server() -> Iterator[EphemeralServer]:
    with ephemeral_server() as served:
        yield served


def run_node(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the project."""
    command = ["node", *arguments]
    environment = os.environ | environment
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_the_lock_pins_every_package_by_hash_and_names_no_place(project_root: Path) -> None:
    text = (project_root / "clients/node/package-lock.json").read_text(encoding="utf-8")
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert len(packages) > 20
    assert all(re.fullmatch(r"sha512-[\w+/=]+", entry["integrity"]) for entry in packages.values())
    assert "://" not in text


def test_the_node_client_passes_its_tests_against_a_real_service(node_project: Path, server: EphemeralServer) -> None:
    tokens = ",".join(unserved_tokens(server.address))
    arguments = ("--test", "--test-reporter=tap", "test/client.test.mjs")
    result = run_node(node_project, *arguments, MDM_TARGET=server.address, MDM_TOKENS=tokens)
    counts = dict(re.findall(r"^# (pass|fail|skipped) (\d+)$", result.stdout, re.MULTILINE))
    assert result.returncode == 0, result.stdout
    assert counts == {"pass": "14", "fail": "0", "skipped": "0"}


def test_the_admission_desk_admits_a_patient_once_and_says_what_is_wrong(
    node_project: Path, server: EphemeralServer
) -> None:
    desk = partial(run_node, node_project, "examples/admission_desk.mjs")
    check_a_desk_admits_once(desk, server.address)
    check_a_desk_says_what_is_wrong(desk, server.address)


def test_a_service_that_does_not_answer_in_time_has_not_refused(node_project: Path, server: EphemeralServer) -> None:
    # Whether the write was done is not known: as "refused" the admission would be given up.
    assert server._process is not None
    os.killpg(server._process.pid, signal.SIGSTOP)
    try:
        late = run_node(node_project, "examples/admission_desk.mjs", server.address, "D3", "Trần Thị Bích", "1961")
    finally:
        os.killpg(server._process.pid, signal.SIGCONT)
    assert (late.returncode, late.stderr) == (AWAY, "unanswered DEADLINE_EXCEEDED\n")


@contextmanager
def follower(project: Path, server: EphemeralServer, token_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the example that follows the feed; it is killed at the end of the block."""
    command = ["node", "examples/follow.mjs", server.address, str(token_file), "hospital"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str], record_id: str) -> str:
    """Return the golden ID that the follower tells for a record; it may tell others before."""
    assert process.stdout is not None
    for line in process.stdout:
        move = json.loads(line)
        if move["record"] == record_id:
            return str(move["to"])
    raise AssertionError(f"the feed ended before {record_id}")


@pytest.mark.crash
def test_a_feed_goes_on_after_either_end_was_killed(
    node_project: Path, server: EphemeralServer, tmp_path: Path
) -> None:
    token_file = tmp_path / "feed.token"
    with follower(node_project, server, token_file) as process:
        (golden_id,) = server.put([record("F1")]).values()
        assert told(process, "F1") == golden_id
        server.kill()
        server.start()
        (golden_id,) = server.put([record("F22")]).values()
        assert told(process, "F22") == golden_id
        process.send_signal(signal.SIGKILL)
    (golden_id,) = server.put([record("F333")]).values()
    with follower(node_project, server, token_file) as process:
        assert told(process, "F333") == golden_id
    token_file.write_text(unserved_tokens(server.address)[1], encoding="utf-8")
    reset = run_node(node_project, "examples/follow.mjs", server.address, str(token_file))
    assert (reset.returncode, reset.stderr) == (3, "FEED_RESET: begin with an export\n")
