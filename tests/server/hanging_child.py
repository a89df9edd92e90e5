"""A child process that serves, or starts for ever, and never ends by itself, for tests of its supervisor."""

from __future__ import annotations

import signal
import time

from mdm.server.children import live_as_child, tell_progress, tell_ready
from mdm.server.options import decode_child_options


def hang_for_ever() -> None:
    """Stand in a line that a stack can name."""
    while True:
        time.sleep(0.1)


def main(text: str) -> None:
    """Serve, or start, until killed."""
    options = decode_child_options(text)
    live_as_child(options)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while options.name == "starting":
        tell_progress(options)
        time.sleep(0.05)
    tell_ready(options)
    hang_for_ever()
