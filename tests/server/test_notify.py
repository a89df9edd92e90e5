"""What systemd is told, and by whom alone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm.server.notify import ServiceManager
from tests.serving import running_server


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end that systemd would hold."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager


def test_the_service_says_when_it_serves_lives_and_stops(
    told: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with running_server(tmp_path / "data") as served:
        assert told.recv(4096).decode() == f"READY=1\nSTATUS=listening on {served.address}"
        assert told.recv(4096) == b"WATCHDOG=1"
        assert told.recv(4096) == b"WATCHDOG=1"
        for module in ("writer_process", "reader_process"):
            environment = Path(f"/proc/{served.child_pids(module)[0]}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environment
            assert b"WATCHDOG_USEC" not in environment
        assert served.stop() == 0
        said = told.recv(4096)
        while said == b"WATCHDOG=1":
            said = told.recv(4096)
        assert said == b"STOPPING=1\nSTATUS=finishing the calls under way"


def test_a_name_outside_of_the_file_system_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"mdm-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        ServiceManager().ready("127.0.0.1:1")
        assert manager.recv(4096).startswith(b"READY=1\n")


def test_the_watchdog_is_told_no_more_often_than_it_asks(told: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    manager = ServiceManager()
    manager.alive()
    manager.ready("127.0.0.1:1")
    assert told.recv(4096).startswith(b"READY=1"), "before it serves there is nothing to watch"
    began_s = time.monotonic()
    while time.monotonic() - began_s < 0.5:
        manager.alive()
    assert told.recv(4096) == b"WATCHDOG=1"
    assert told.recv(4096) == b"WATCHDOG=1"
    told.settimeout(0.1)
    with pytest.raises(TimeoutError):
        told.recv(4096)


def test_a_manager_that_does_not_listen_keeps_nobody_from_working(told: socket.socket) -> None:
    manager = ServiceManager()
    began_s = time.monotonic()
    for _ in range(1_000):
        # More than the kernel keeps for a reader: the one beyond waits for a moment and is left out.
        manager.stopping()
        if time.monotonic() - began_s > 0.9:
            break
    assert 0.9 < time.monotonic() - began_s < 10


def test_a_watchdog_of_another_process_is_not_ours(told: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    manager = ServiceManager()
    manager.ready("127.0.0.1:1")
    manager.alive()
    told.settimeout(0.1)
    assert told.recv(4096).startswith(b"READY=1")
    with pytest.raises(TimeoutError):
        told.recv(4096)


def test_nobody_to_tell_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "/nowhere/notify"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        manager = ServiceManager()
        manager.ready("127.0.0.1:1")
        manager.stopping()
