"""The files of a re-linkage run: its state, which anyone may watch, its plan and its report."""

from __future__ import annotations

import enum
import hashlib
import os
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from mdm.domain.events import MatchReason
from mdm.domain.keys import EntityKind, RecordNumber
from mdm.errors import UnknownRunError
from mdm.linkage.gates import TrainingReport

STATE_FILE = "state.json"
PLAN_FILE = "plan.bin"
_RUN_ID = re.compile(r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$")
_LENGTH = struct.Struct(">I")


class Phase(enum.StrEnum):
    """Where a run stands. The last four are final, PLANNED until it is committed."""

    STARTING = "starting"
    SNAPSHOT = "snapshot"
    TRAINING = "training"
    COMPARING = "comparing"
    CLUSTERING = "clustering"
    PLANNING = "planning"
    COMMITTING = "committing"
    PLANNED = "planned"
    COMMITTED = "committed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in {Phase.PLANNED, Phase.COMMITTED, Phase.CANCELLED, Phase.FAILED}


class RegistryImpact(msgspec.Struct, frozen=True):
    """What a plan changes for the records of one registry and kind."""

    registry: str
    kind: str
    record_count: int
    resolved_count: int
    """Pending ones that get a golden ID."""
    moved_count: int
    """Those whose golden ID changes."""


class Report(msgspec.Struct, frozen=True):
    """Impact of a plan. Counts of golden IDs unless they say records."""

    record_count: int = 0
    pending_record_count: int = 0
    golden_before_count: int = 0
    golden_after_count: int = 0
    unchanged_count: int = 0
    new_count: int = 0
    merged_count: int = 0
    split_count: int = 0
    restored_count: int = 0
    """Redirects that answer for themselves again."""
    moved_record_count: int = 0
    question_opened_count: int = 0
    question_closed_count: int = 0
    compared_pair_count: int = 0
    linked_pair_count: int = 0
    refused_pair_count: int = 0
    largest_member_count: int = 0
    """Records in the largest golden record after."""
    churn_share: float = 0.0
    """Share of the golden IDs before that are merged, split or lose a record."""
    registries: tuple[RegistryImpact, ...] = ()
    dropped_component_count: int = 0
    """Filled by the commit: components in which something changed meanwhile."""
    model_digest: str = ""
    epoch_digest: str = ""
    is_shipped_model_kept: bool = False
    models: dict[str, str] = {}
    """Kind → whether m and u were learned anew or why the active model was kept."""
    trainings: dict[str, TrainingReport] = {}
    """Kind → which comparisons were learned and which kept the shipped values, and why; absent if none was to learn."""


class RunState(msgspec.Struct, frozen=True):
    """What a watcher sees."""

    run_id: str
    phase: Phase
    started_us: int
    read_seq: int = 0
    done_count: int = 0
    total_count: int = 0
    error: str = ""
    """Class name of what failed; never a value."""
    report: Report | None = None
    """Impact on both kinds together."""
    impacts: dict[str, Report] = {}
    """Kind → impact on it."""
    kind: EntityKind | None = None
    """The only kind to link; None for both."""
    plan_digest: str = ""
    component_count: int = 0
    """Components of the plan; its items hold the questions besides."""
    ended_us: int = 0
    """When the run came to rest: planned, committed, cancelled or failed; 0 before."""
    commit_seq: int = 0
    """Journal position at which the commit was complete; 0 before."""
    is_learning: bool = False
    """Whether m and u are learned anew although an operator pinned a model."""


class Question(msgspec.Struct, frozen=True, array_like=True):
    """A potential match that the plan opens."""

    left: RecordNumber
    right: RecordNumber
    reason: MatchReason
    match_weight_bits: float
    detail: str


class PendingState(msgspec.Struct, frozen=True, array_like=True):
    """Match state of a pending record, so that the writer need not normalise it again."""

    number: RecordNumber
    features: bytes
    posting_keys: tuple[bytes, ...]


class Component(msgspec.Struct, frozen=True, array_like=True, tag="Component"):
    """The unit of commit: golden IDs and clusters connected by shared records."""

    clusters: tuple[tuple[RecordNumber, ...], ...]
    left: RecordNumber | None = None
    """One side of the weakest edge that holds the component together."""
    right: RecordNumber | None = None
    match_weight_bits: float | None = None
    pending: tuple[PendingState, ...] = ()


class QuestionChanges(msgspec.Struct, frozen=True, array_like=True, tag="QuestionChanges"):
    """Questions to close and to open, behind all components."""

    closed: tuple[tuple[RecordNumber, RecordNumber], ...] = ()
    opened: tuple[Question, ...] = ()


PlanItem = Component | QuestionChanges


class PlanHeader(msgspec.Struct, frozen=True, array_like=True):
    """First frame of a plan."""

    read_seq: int
    item_count: int
    models: dict[str, bytes]
    """Kind → model to activate; absent where the active one stays."""
    epochs: dict[str, bytes]


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(PlanHeader).decode
_decode_item = msgspec.msgpack.Decoder(PlanItem).decode


def new_run(relinks: Path, state_of: dict[str, object]) -> RunState:
    """Create the directory of a new run and its first state."""
    started_us = time.time_ns() // 1000
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started_us / 1e6))
    run_id = f"{stamp}-{os.urandom(3).hex()}"
    (relinks / run_id).mkdir(mode=0o700)
    state = msgspec.structs.replace(RunState(run_id, Phase.STARTING, started_us), **state_of)
    write_state(relinks / run_id, state)
    return state


def write_state(run: Path, state: RunState) -> None:
    """Replace the state file in one step, so that a watcher never reads half of it."""
    if state.phase.is_final:
        state = msgspec.structs.replace(state, ended_us=time.time_ns() // 1000)
    temporary = run / f"{STATE_FILE}.{os.getpid()}"
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.replace(run / STATE_FILE)


def read_state(relinks: Path, run_id: str) -> RunState:
    """Return the state of a run.

    Raises:
        UnknownRunError: There is none of this id.
    """
    if not _RUN_ID.match(run_id) or not (relinks / run_id / STATE_FILE).exists():
        raise UnknownRunError("no re-linkage run has this id")
    return msgspec.json.decode((relinks / run_id / STATE_FILE).read_bytes(), type=RunState)


def run_ids(relinks: Path) -> list[str]:
    """Return the ids of all runs, oldest first."""
    return sorted(path.name for path in relinks.iterdir() if _RUN_ID.match(path.name))


def write_frame(file: BinaryIO, frame: PlanHeader | PlanItem) -> None:
    """Append one frame of a plan."""
    body = _encode(frame)
    file.write(_LENGTH.pack(len(body)))
    file.write(body)


def plan_digest(path: Path) -> str:
    """Return the SHA-256 of a plan, which the journal's header names."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class PlanReader:
    """Reads a plan's items in order, from any of them on."""

    def __init__(self, path: Path, skip_count: int = 0) -> None:
        """Open the plan and pass over its first `skip_count` items."""
        self._file = path.open("rb")
        self.header: PlanHeader = _decode_header(self._frame() or b"")
        for _ in range(skip_count):
            self._frame()

    def __iter__(self) -> Iterator[PlanItem]:
        """Yield the remaining items."""
        while (body := self._frame()) is not None:
            yield _decode_item(body)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _frame(self) -> bytes | None:
        length = self._file.read(_LENGTH.size)
        return self._file.read(_LENGTH.unpack(length)[0]) if length else None
