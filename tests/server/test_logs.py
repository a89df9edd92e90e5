"""Logs: what cannot be written is lost, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
