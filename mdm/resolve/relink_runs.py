"""The files of a re-linkage run: its state, which anyone may watch, its plan and its report."""

from __future__ import annotations

import enum
import hashlib
import os
import re
import shutil
import struct
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from mdm.domain.events import Cause, MatchReason, RecordsRegrouped
from mdm.domain.keys import EntityKind, GoldenId, RecordNumber
from mdm.errors import UnknownRunError
from mdm.linkage.gates import TrainingReport

STATE_FILE = "state.json"
PLAN_FILE = "plan.bin"
EXAMPLES_FILE = "examples.json"
WORK_DIRECTORY = "work"
"""What a killed run takes up; removed when the run has its plan or ended."""

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


class SizeCount(msgspec.Struct, frozen=True):
    """How many golden records have at least `size` members and fewer than the next bar."""

    size: int
    before_count: int
    after_count: int


class LargeGoldenRecord(msgspec.Struct, frozen=True):
    """One of the largest golden records that a plan leaves."""

    golden_id: GoldenId | None
    """None for one whose ID the commit mints."""
    member_count: int
    registries: dict[str, int]


class Reversal(msgspec.Struct, frozen=True):
    """What taking a run back gives back and what it leaves, in components."""

    restored_count: int = 0
    kept_judged_count: int = 0
    """Left as they are, because a steward has judged a record of them and it changed since."""
    kept_changed_count: int = 0
    """Left as they are, because a record or golden ID of them changed since."""
    restored_golden_count: int = 0
    """Golden IDs that answer for themselves again, or get records back."""
    retired_golden_count: int = 0
    kept_pending_count: int = 0
    """Records that were pending before the run and keep the golden ID that it gave them."""
    restored_settings: tuple[str, ...] = ()
    """`model:<kind>` and `epoch:<kind>` that are active again as before the run."""


class Report(msgspec.Struct, frozen=True):
    """Impact of a plan. Counts of golden IDs unless they say records."""

    record_count: int = 0
    pending_record_count: int = 0
    golden_before_count: int = 0
    golden_after_count: int = 0
    unchanged_count: int = 0
    """Those that keep exactly their records."""
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
    sizes: tuple[SizeCount, ...] = ()
    """Of one kind."""
    largest: tuple[LargeGoldenRecord, ...] = ()
    """Of one kind, the largest first."""


class Change(enum.StrEnum):
    """What happens to a record or golden ID in a component."""

    NEW = "new"
    """A pending record gets a golden ID of its own."""
    JOINED = "joined"
    """A pending record joins a golden ID that exists."""
    MERGED = "merged"
    """A golden ID redirects to another."""
    SPLIT = "split"
    """Records leave a golden ID for one that is issued or answers again."""
    MOVED = "moved"
    """Records leave a golden ID for another one that holds records."""


class ExampleRecord(msgspec.Struct, frozen=True):
    """One record of an example, by its number: who serves it looks the source key up, so that none lies in a file."""

    number: RecordNumber
    before: GoldenId | None
    after: GoldenId | None
    """None for one that the commit mints."""
    is_deciding: bool
    """Whether it is one of the pair that `steps` explain."""


class ExampleStep(msgspec.Struct, frozen=True):
    """What one comparison of the deciding pair found and added."""

    comparison: str
    level: str
    bits: float


class Example(msgspec.Struct, frozen=True):
    """One component, and the pair that decides it: for a split one that is parted, else the weakest that is joined."""

    kind: EntityKind
    change: Change
    records: tuple[ExampleRecord, ...]
    record_count: int
    """All records of the component; `records` may be fewer."""
    match_weight_bits: float | None
    steps: tuple[ExampleStep, ...]


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
    memory_limit_bytes: int = 0
    """Of the process that plans."""
    core_count_max: int = 0
    """Of the process that plans; 0 leaves it all cores."""
    attempt_count: int = 0
    """How often that process was started."""
    reverts: str = ""
    """The run that this one takes back; empty for a re-linkage."""
    reversal: Reversal | None = None
    dropped: tuple[tuple[RecordNumber, ...], ...] = ()
    """Records of the first components that the commit dropped; a commit that was killed may lack its last step's."""
    cause: Cause = Cause(method="CommitRelink")
    """Who committed or cancelled it and what for: a commit that was killed goes on in the same name."""
    written_us: int = 0
    """When this state was written."""
    spent_us: dict[str, int] = {}
    """Phase → time spent in it until then, in the order in which the run came to them."""


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


class Restored(msgspec.Struct, frozen=True, array_like=True, tag="Restored"):
    """What a run did to one component, to be undone if nothing happened to it since."""

    seq: int
    left_as: RecordsRegrouped


PlanItem = Component | QuestionChanges | Restored


class PlanHeader(msgspec.Struct, frozen=True, array_like=True):
    """First frame of a plan."""

    read_seq: int
    item_count: int
    models: dict[str, bytes]
    """Kind → model to activate; absent where the active one stays."""
    epochs: dict[str, bytes]
    only_over: dict[str, str] = {}
    """Setting → digest: what is activated only in the place of this one."""
    reverts: str = ""
    """The run that the plan takes back."""
    pinned: tuple[str, ...] = ()
    """Kinds whose model an operator had chosen."""

    def may_activate(self, what: str, kind: str, active: str | None) -> bool:
        """Return whether the plan's model or epoch may take the place of the active one."""
        setting = f"{what}:{kind}"
        return setting not in self.only_over or self.only_over[setting] == active


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(PlanHeader).decode
_decode_item = msgspec.msgpack.Decoder(PlanItem).decode


def new_run(relinks: Path, **facts: object) -> RunState:
    """Create the directory of a new run and its first state."""
    started_us = time.time_ns() // 1000
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started_us / 1e6))
    run_id = f"{stamp}-{os.urandom(3).hex()}"
    (relinks / run_id).mkdir(mode=0o700)
    state = msgspec.structs.replace(RunState(run_id, Phase.STARTING, started_us), **facts)
    write_state(relinks / run_id, state)
    return state


def write_state(run: Path, state: RunState) -> None:
    """Replace the state file in one step, so that a watcher never reads half of it."""
    now_us = time.time_ns() // 1000
    spent_us = _spent_us(_written(run), state.attempt_count, now_us)
    state = msgspec.structs.replace(state, written_us=now_us, spent_us=spent_us)
    if state.phase.is_final:
        state = msgspec.structs.replace(state, ended_us=now_us)
    temporary = run / f"{STATE_FILE}.{os.getpid()}"
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.replace(run / STATE_FILE)


def read_state(relinks: Path, run_id: str) -> RunState:
    """Return the state of a run; one that a power cut tore counts as failed.

    Raises:
        UnknownRunError: There is none of this id.
    """
    if not _RUN_ID.match(run_id) or not (relinks / run_id).is_dir():
        raise UnknownRunError("no re-linkage run has this id")
    return _written(relinks / run_id) or RunState(run_id, Phase.FAILED, 0, error="StoreError")


def _written(run: Path) -> RunState | None:
    try:
        return msgspec.json.decode((run / STATE_FILE).read_bytes(), type=RunState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _spent_us(before: RunState | None, attempt_count: int, now_us: int) -> dict[str, int]:
    """Return what a state spent on each phase, with the time since it was written if its attempt goes on."""
    if before is None:
        return {}
    spent_us = dict(before.spent_us)
    # Releases that counted no time did not say when they wrote a state.
    if before.written_us and not before.phase.is_final and before.attempt_count == attempt_count:
        phase = before.phase.value
        spent_us[phase] = spent_us.get(phase, 0) + max(0, now_us - before.written_us)
    return spent_us


def run_ids(relinks: Path) -> list[str]:
    """Return the ids of all runs, oldest first."""
    return sorted(path.name for path in relinks.iterdir() if _RUN_ID.match(path.name))


def read_examples(relinks: Path, run_id: str) -> list[Example]:
    """Return the examples of a planned run; none once its files were removed."""
    path = relinks / run_id / EXAMPLES_FILE
    return msgspec.json.decode(path.read_bytes(), type=list[Example]) if path.exists() else []


def clean_up(relinks: Path, kept_count: int) -> None:
    """Remove what runs that ended left, apart from their states; of runs older than the last `kept_count` everything.

    Plans and working files hold personal data: they go as soon as nothing can need them.
    """
    states = [read_state(relinks, run_id) for run_id in run_ids(relinks)]
    ended = [state for state in states if state.phase.is_final]
    for state in ended:
        run = relinks / state.run_id
        shutil.rmtree(run / WORK_DIRECTORY, ignore_errors=True)
        if state.phase is not Phase.PLANNED:
            (run / PLAN_FILE).unlink(missing_ok=True)
    for state in ended[:-kept_count]:
        shutil.rmtree(relinks / state.run_id)


def write_frame(file: BinaryIO, frame: PlanHeader | PlanItem) -> None:
    """Append one frame of a plan."""
    body = _encode(frame)
    file.write(_LENGTH.pack(len(body)))
    file.write(body)


def plan_digest(path: Path) -> str:
    """Return the SHA-256 of a plan, which the journal's header names."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plan_holds(path: Path, numbers: Collection[RecordNumber]) -> bool:
    """Return whether a plan holds values of one of these records: features of those that were pending."""
    plan = PlanReader(path)
    try:
        return any(
            pending.number in numbers for item in plan if isinstance(item, Component) for pending in item.pending
        )
    finally:
        plan.close()


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
