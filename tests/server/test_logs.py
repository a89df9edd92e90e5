"""Logs: what cannot be written is lost, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mdm.server.logs import loggable_request_id

LOGGING = """
from mdm.server.logs import configure_logs, log_failure, logger
configure_logs("test")
logger().info("begun")
print(log_failure("failed", ValueError("x")))
"""


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, stderr=full, check=False)
    assert len(done.stdout.strip()) == 12


@pytest.mark.parametrize(
    ("request_id", "logged"),
    [
        ("7b1c7d0a-2f4e-4a43-9d5c-0f7f5e1b2a3c", True),
        ("4bf92f3577b34da6a3ce929d0e0e4736", True),
        ("079187000123", False),
        ("GD4797916123456", False),
        ("BV006.26.106204", False),
        ("Nguyễn Thị Hoa, patient", False),
        ("0" * 41, False),
    ],
)
def test_a_request_id_that_could_be_somebodys_number_is_not_logged(request_id: str, logged: bool) -> None:  # noqa: FBT001
    metadata = (("mdm-actor", "clinic"), ("x-request-id", request_id))
    assert loggable_request_id(metadata) == (request_id if logged else "")


DEFECT = """
from mdm.server.errors import status_of
from mdm.server.logs import configure_logs
configure_logs("test")
metadata = (("x-request-id", "7b1c7d0a-2f4e-4a43-9d5c-0f7f5e1b2a3c"),)
status = status_of(ValueError("Nguyễn"), "LookupService/Lookup", metadata)
print(status.code.name, status.trailing_metadata)
"""


def test_a_call_that_fails_by_a_defect_is_logged_with_its_method_code_and_request_id() -> None:
    done = subprocess.run([sys.executable, "-c", DEFECT], capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert done.stdout.startswith("INTERNAL ")
    assert (line["method"], line["code"]) == ("LookupService/Lookup", "INTERNAL")
    assert line["request_id"] == "7b1c7d0a-2f4e-4a43-9d5c-0f7f5e1b2a3c"
    assert line["error_id"] in done.stdout
    assert "Nguyễn" not in done.stderr
