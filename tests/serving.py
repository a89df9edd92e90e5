"""A real service for tests: started as a process of its own on a free port, ended by its own process id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from mdm.limits import READ_ONLY_RETRY_S
from mdm.server.options import ServeOptions, TlsFiles

START_S_MAX = 60.0
STOP_S_MAX = 60.0


class RunningServer:
    """A service that serves. `log_path` holds what all its processes wrote to standard error."""

    def __init__(self, process: subprocess.Popen[bytes], data: Path, log_path: Path, ready: dict[str, str]) -> None:
        """Take over a started service; see `running_server`."""
        self.process = process
        self.data = data
        self.log_path = log_path
        self.address = ready["address"]
        self.metrics_address = ready["metrics"]

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """Yield a channel that waits for a restarted server instead of backing off for seconds."""
        options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
        options += [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self.address, options) as channel:
            yield channel

    def child_pids(self, module: str) -> list[int]:
        """Return the process ids of the children that run `mdm.server.<module>`, oldest first."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return [int(child) for child in children if _runs(int(child), f"mdm.server.{module}")]

    def kill(self, module: str, index: int = 0) -> int:
        """End a child at once, as a crash would, and return its process id."""
        pid = self.child_pids(module)[index]
        os.kill(pid, signal.SIGKILL)
        return pid

    def logged(self, event: str) -> list[dict[str, object]]:
        """Return the log's lines of one event so far."""
        lines = (json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line.endswith("}"))
        return [line for line in lines if line.get("event") == event]

    def stop(self) -> int:
        """Ask the service to drain and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)

    def log(self) -> str:
        """Return what was logged so far."""
        return self.log_path.read_text(encoding="utf-8")


@contextmanager
def running_server(
    data: Path,
    *,
    workers: int = 1,
    metrics: str = "off",
    listen: str = "127.0.0.1:0",
    grace_s: float = 2.0,
    start_s_max: float = START_S_MAX,
    tls: TlsFiles | None = None,
    silent_s_max: float = 0.0,
    retry_s: float = READ_ONLY_RETRY_S,
) -> Iterator[RunningServer]:
    """Start a service on `data` and yield it once it serves; it is ended at the end of the block."""
    ready_file = data.with_name(f"{data.name}.ready.json")
    log_path = data.with_name(f"{data.name}.log")
    ready_file.unlink(missing_ok=True)
    options = ServeOptions(
        data=data,
        listen=listen,
        workers=workers,
        metrics=metrics,
        ready_file=ready_file,
        grace_s=grace_s,
        silent_s_max=silent_s_max,
        retry_s=retry_s,
        tls=tls,
    )
    process = start_server(options, log_path)
    try:
        until_s = time.monotonic() + start_s_max
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"the service did not start:\n{log_path.read_text(encoding='utf-8')}")
            time.sleep(0.02)
        yield RunningServer(process, data, log_path, json.loads(ready_file.read_text(encoding="utf-8")))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_server(options: ServeOptions, log_path: Path) -> subprocess.Popen[bytes]:
    """Start a service without waiting for it; its standard error is appended to `log_path`."""
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "mdm.server.supervisor", options.encode()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


def _runs(pid: int, module: str) -> bool:
    try:
        return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
