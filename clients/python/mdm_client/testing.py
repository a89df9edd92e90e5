"""A real service for an agency's own tests: started as a process on a free port, ended with the tests.

    # conftest.py
    pytest_plugins = ["mdm_client.testing"]

    # test_admission.py
    def test_an_admitted_patient_has_a_golden_id(mdm_server):
        with mdm_server.client(actor="tests") as client:
            ...

Needs the server beside the client: `pip install 'hcm-mdm[server]'`. A start takes a second or two, so `mdm_server` is
one server for all tests of a run (with pytest-xdist, one for each worker): give each test record ids of its own. A test
that kills or restarts its server makes one by `ephemeral_server`. Variables that begin with MDM_ do not reach it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mdm_client.client import Client
from mdm_client.errors import MdmError
from mdm_client.records import SourceKey, SourceRecord

START_S_MAX = 120.0
"""A start takes two seconds; a busy machine many times that."""

STOP_S_MAX = 60.0
"""A clean end waits for calls under way."""

_POLL_S = 0.02
# The kernel ends the server when the test run ends in whatever way: it is told so before the server's own code runs.
_LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, "-m", "mdm", *sys.argv[2:]])
"""


class ServerStartError(MdmError):
    """The server did not start; the text is the end of what it logged."""


class CommandError(MdmError):
    """A command ended with another exit code than 0; the text is what it said."""


class EphemeralServer:
    """A service on a data directory of its own, on this machine only.

    Keeps its port from start to start, so that a client finds it again after `kill` and `start`.
    """

    def __init__(self, folder: Path, *, workers: int = 1, registries: Path | None = None) -> None:
        """Say where the service keeps its state and its log; nothing starts yet.

        Args:
            folder: An empty directory.
            workers: Reading processes.
            registries: Registries file; None takes the one that ships.
        """
        self.address = ""
        """`HOST:PORT`; empty before the first start."""
        self.data = folder / "data"
        self.log_path = folder / "server.log"
        self._ready_path = folder / "ready.json"
        self._options = ["--data", str(self.data), "--workers", str(workers), "--metrics", "off"]
        self._options += ["--ready-file", str(self._ready_path)]
        if registries is not None:
            self._options += ["--registries", str(registries)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the service and return once it answers; nothing happens if it runs. It ends with the calling thread.

        Raises:
            ServerStartError: It ended before, or did not answer within START_S_MAX.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._ready_path.unlink(missing_ok=True)
        command = ["serve", "--listen", self.address or "127.0.0.1:0", *self._options]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 – our own command
                [sys.executable, "-c", _LAUNCH, str(os.getpid()), *command],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests: the server ends when they have ended.
                start_new_session=True,
            )
        until_s = time.monotonic() + START_S_MAX
        while not self._ready_path.exists():
            if self._process.poll() is not None or time.monotonic() > until_s:
                self.kill()
                raise ServerStartError("the server did not start; the end of its log:\n" + self._log_end())
            time.sleep(_POLL_S)
        self.address = json.loads(self._ready_path.read_text(encoding="utf-8"))["address"]

    def stop(self) -> None:
        """Let calls under way finish and end the service; nothing happens if it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End all processes of the service at once, as a power cut would; `start` brings it back."""
        if self._process is None:
            return
        if self._process.poll() is None:
            pid = self._process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            os.killpg(pid, signal.SIGKILL)
            self._process.wait()
            # The kernel ends them one after the other; the port is free when all are gone.
            while any(map(_is_alive, children)):
                time.sleep(_POLL_S)
        self._process = None

    def client(self, **options: Any) -> Client:
        """Return a new client of this server; `options` are those of `mdm_client.Client`."""
        return Client(self.address, **options)

    def put(self, records: Iterable[SourceRecord]) -> dict[SourceKey, str]:
        """Store some records, in order, and return their golden IDs; a thousand take some seconds."""
        with self.client(actor="mdm_client.testing") as client:
            return {record.key: client.upsert(record).golden_id for record in records}

    def run(self, *arguments: str | Path) -> str:
        """Run `mdm …` against this server and return what it printed: `run("load", "hospital.patients", path)`.

        Raises:
            CommandError: It ended with another exit code than 0.
        """
        command = [*map(str, arguments), "--server", self.address]
        result = subprocess.run(  # noqa: S603 – our own command
            [sys.executable, "-m", "mdm", *command],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise CommandError(f"mdm {arguments[0]} ended with {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def _log_end(self) -> str:
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


@contextmanager
def ephemeral_server(*, workers: int = 1, registries: Path | None = None) -> Iterator[EphemeralServer]:
    """Start a server on an empty data directory and yield it; server and directory are gone at the end of the block.

    Raises:
        ServerStartError: It did not start.
    """
    with tempfile.TemporaryDirectory(prefix="mdm-testing-") as folder:
        server = EphemeralServer(Path(folder), workers=workers, registries=registries)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def mdm_server() -> Iterator[EphemeralServer]:
    """One running server for all tests of a run."""
    with ephemeral_server() as server:
        yield server


def _environment() -> dict[str, str]:
    """Return the environment without settings for another service than this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MDM_")}


def _is_alive(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
