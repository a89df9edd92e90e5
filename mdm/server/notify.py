"""Tells systemd how the service is, as `sd_notify` does; does nothing where systemd has not asked."""

from __future__ import annotations

import os
import socket
import time

_SHARE_OF_INTERVAL = 0.5
"""systemd advises to report twice in the time after which it gives a service up."""


_SEND_S_MAX = 1.0


class ServiceManager:
    """The one who started the service, if it wants to be told; it is asked for by the environment.

    The variables are taken out of the environment, so that no child speaks for the service.
    """

    def __init__(self) -> None:
        """Read who wants to be told what."""
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        watchdog_us = os.environ.pop("WATCHDOG_USEC", "")
        is_ours = pid in {"", str(os.getpid())} and watchdog_us.isdecimal()
        self._interval_s = int(watchdog_us) / 1e6 * _SHARE_OF_INTERVAL if is_ours else 0.0
        self._told_s: float | None = None

    def ready(self, address: str) -> None:
        """Say that all processes serve."""
        self._told_s = time.monotonic()
        self._send(f"READY=1\nSTATUS=listening on {address}")

    def stopping(self) -> None:
        """Say that calls under way are being finished."""
        self._send("STOPPING=1\nSTATUS=finishing the calls under way")

    def alive(self) -> None:
        """Say that the supervisor still tends its processes, once it serves, as often as the watchdog asks for."""
        now_s = time.monotonic()
        if self._interval_s and self._told_s is not None and now_s - self._told_s >= self._interval_s:
            self._told_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A name that begins with @ lies outside of the file system.
        name = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaking:
            # A manager that does not listen must not keep the service from its work.
            speaking.settimeout(_SEND_S_MAX)
            try:
                speaking.sendto(message.encode(), name)
            except OSError:
                # Who is not told restarts the service by its own rules; serving goes first.
                return
