"""Starts the ceilings, each in a process of its own, ended by its process id."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ceilings.bare_server import PLAIN
from benchmarks.load.generator import Server

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def bare_server(answers: Mapping[str, bytes], processes: int, stack: str = PLAIN) -> Iterator[Server]:
    """Yield a gRPC server without work in as many processes on one port as the service has readers.

    Args:
        answers: Full method name → serialised answer.
        processes: From 1.
        stack: `bare_server.PLAIN` or `OWN`.
    """
    told = json.dumps({method: base64.b64encode(body).decode() for method, body in answers.items()})
    started: list[subprocess.Popen[str]] = []
    address = "127.0.0.1:0"
    try:
        for _ in range(processes):
            command = [sys.executable, "-m", "benchmarks.ceilings.bare_server", address, stack]
            pipe = subprocess.PIPE
            started.append(subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, text=True))
            answered, out = started[-1].stdin, started[-1].stdout
            assert answered is not None
            assert out is not None
            # Answers of a batch are longer than an argument may be.
            with answered:
                answered.write(told)
            address = out.readline().strip()
            if not address:
                raise RuntimeError("the bare server did not start; its standard error says why")
        pids = [each.pid for each in started]
        yield Server(address, lambda: pids)
    finally:
        for each in started:
            each.kill()
            each.wait()
            if each.stdout:
                each.stdout.close()


def loaded_s(module: str) -> float:
    """Return how long a process takes that loads a module of the server, and nothing else."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import mdm.server.{module}"], cwd=_ROOT, check=True)
    return time.monotonic() - began_s


def told_by(module: str, *arguments: object) -> dict[str, Any]:
    """Run a module in a process of its own, to its end, and return what it printed as JSON.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
