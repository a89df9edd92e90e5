"""Which services a reader can serve at the moment: those that write need the writer, the others need none."""

from __future__ import annotations

import threading
from pathlib import Path

from grpc_health.v1 import health_pb2

from mdm.limits import WRITER_STALLED_S
from mdm.server import service_state
from mdm.server.frames import WriterState
from mdm.server.health_service import HealthService
from mdm.server.logs import logger
from mdm.server.service_state import Mode
from mdm.server.writer_link import WriterLink

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_ANSWER_S_MAX = 1.0

WRITING_SERVICES = frozenset(
    f"mdm.v1.{name}Service"
    for name in ("Registry", "Load", "Configuration", "Relink", "Model", "Stewardship", "Survivorship", "Erasure")
)
"""Services with calls that write. Their calls that only read are answered all the same."""


class Availability:
    """Keeps health as the writer is. The whole service, by the empty name, serves as long as reads are answered."""

    def __init__(
        self,
        data: Path,
        asking: WriterLink,
        writing: WriterLink,
        servicer: HealthService,
        names: tuple[str, ...],
    ) -> None:
        """Say that nothing is served until `look` is called.

        Args:
            data: The service's directory.
            asking: To ask the writer by: of its own, so that no question waits behind what a load sends.
            writing: What writes go through; it is told why there is no writer.
            servicer: Answers about health.
            names: The services that it answers about.
        """
        self._data = data
        self._asking = asking
        self._writing = writing
        self._servicer = servicer
        self._names = names
        self._are_writes_served: bool | None = None
        self._lock = threading.Lock()
        for name in ("", *names):
            servicer.set(name, _NOT_SERVING)

    def look(self) -> None:
        """Ask the writer how it stands and set health by it; called about once a second. Cost: 0.1 ms."""
        with self._lock:
            writer = self._asking.state(_ANSWER_S_MAX)
            state = service_state.read_state(self._data)
            self._writing.note_absence(state.reason if state is not None and state.mode is Mode.READ_ONLY else "")
            self._set(are_writes_served=why_not_written(writer) == "")

    def _set(self, *, are_writes_served: bool) -> None:
        if are_writes_served == self._are_writes_served:
            return
        is_first, self._are_writes_served = self._are_writes_served is None, are_writes_served
        for name in ("", *self._names):
            is_served = are_writes_served or name not in WRITING_SERVICES
            self._servicer.set(name, _SERVING if is_served else _NOT_SERVING)
        if not is_first or not are_writes_served:
            logger().warning("health_changed", are_writes_served=are_writes_served)


def why_not_written(writer: WriterState | None) -> str:
    """Return why a writer that stands so takes no writes, as a sentence; empty if it does."""
    if writer is None:
        return "the writer does not answer"
    if writer.busy_s > WRITER_STALLED_S:
        return f"the writer has been at one thing for {writer.busy_s:.0f} s"
    return writer.refusal
