"""`mdm doctor` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.serving import RunningServer


def test_a_running_service_and_its_directory_are_looked_at(mdm: Run, server: RunningServer) -> None:
    shown = mdm("doctor", "--data", server.data, "--listen", server.address, "--server", server.address, "--json")
    found = {each["what"]: each for each in json.loads(shown.stdout)}
    assert shown.returncode == 0, shown.stdout
    assert found["service"]["verdict"] == "ok"
    assert found["port"]["verdict"] == "warn"
    assert str(server.process.pid) in found["lock"]["found"]
    assert found["journal"]["verdict"] == "ok"


def test_what_fails_is_said_with_what_to_do_and_an_exit_code(mdm: Run, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("hcm-mdm data 9\n", encoding="utf-8")
    shown = mdm("doctor", "--data", tmp_path, "--listen", "127.0.0.1:0")
    assert shown.returncode == 1
    assert "FAIL  directory" in shown.stdout
    assert "name another directory" in shown.stdout


def test_a_service_that_does_not_answer_is_one_finding_among_the_others(mdm: Run) -> None:
    shown = mdm("doctor", "--listen", "127.0.0.1:0", "--server", "127.0.0.1:1", "--json")
    found = {each["what"]: each for each in json.loads(shown.stdout)}
    assert shown.returncode == 1
    assert found["service"]["verdict"] == "fail"
    assert found["python"]["verdict"] == "ok"
