"""Kill -9 of writer, reader or the whole service at random moments under load: what is lost, and how soon it answers.

Each round starts the service on the same copy of the city's store, writes, kills, waits until it answers again, stops
it, and compares the index with a replay of the journal. At the end every acknowledged write is looked up.
"""

from __future__ import annotations

import math
import random
import shutil
import signal
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import grpc

from benchmarks import data
from benchmarks.ceilings.started import loaded_s
from benchmarks.figures import Figure
from benchmarks.session import Session
from mdm.resolve.projection import verify
from mdm.server.service_state import read_state
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.serving import RunningServer, running_server

SERVICE, WRITER, READER = "service", "writer", "reader"
KILLED = (WRITER, READER, SERVICE)
WRITERS = 4
READERS = 2
"""So that one goes on answering while another is killed."""
POLL_S = 0.005
RUN_UP_S = (0.05, 0.6)
RECOVERY_S_MAX = 60.0
BATCH = 5_000
# A replay after each round costs more the longer the journal is.
ROUNDS_PER_DIRECTORY = 20
SURNAMES = ("Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Võ", "Đặng", "Bùi")
GIVEN_NAMES = ("An", "Bình", "Châu", "Dung", "Giang", "Hạnh", "Khoa", "Linh", "Minh", "Ngọc", "Phúc", "Quân")


REPLACED = "reader_replaced"
_TITLES = {
    WRITER: "From kill -9 of a writer to the next acknowledged write",
    READER: "From kill -9 of a reader to the next acknowledged write, by another",
    REPLACED: "From kill -9 of a reader until one serves in its place",
}
_CEILINGS = {
    WRITER: "a process that loads the modules of a writer",
    # While one reader starts anew, the other takes the writes.
    READER: "from any moment to the next acknowledged write, nothing killed",
    REPLACED: "a process that loads the modules of a reader",
}


def measure(session: Session) -> None:
    """Run the suite.

    Raises:
        RuntimeError: An acknowledged write was lost, or an index was not the fold of its journal.
    """
    tally, dice, kills = _Tally(), random.Random(session.options.seed), session.options.kills
    for first in range(0, kills, ROUNDS_PER_DIRECTORY):
        directory, event_count = data.copied(session.store, session.scratch / f"killed-{first}"), 0
        for number in range(first, min(kills, first + ROUNDS_PER_DIRECTORY)):
            kind = dice.choice(KILLED)
            session.say(f"kill -9 of a {kind}, {number + 1} of {kills}")
            tally.kinds[kind] += 1
            event_count = _round(directory, kind, dice.uniform(*RUN_UP_S), f"kill-{number}", tally)
        tally.event_count += event_count
        with running_server(directory, workers=1, start_s_max=data.START_S_MAX) as served:
            tally.lost_count += len(_lost(served, tally.acknowledged))
        tally.acknowledged_count += len(tally.acknowledged)
        tally.acknowledged.clear()
        shutil.rmtree(directory)
    _tell(session, tally)
    if tally.lost_count or tally.unequal_count:
        raise RuntimeError(
            f"{tally.lost_count} acknowledged writes were lost, {tally.unequal_count} indexes were not the fold"
        )


def _tell(session: Session, tally: _Tally) -> None:
    killed = ", ".join(f"{count} of a {kind}" for kind, count in sorted(tally.kinds.items()))
    told = (
        f"{tally.acknowledged_count:,} writes acknowledged, journals of {tally.event_count:,} events; kills: {killed}"
    )
    for name, title, unit, value in (
        ("lost", "Acknowledged writes that kill -9 lost", "writes", tally.lost_count),
        ("unequal", "Indexes that were not the fold of their journal after kill -9", "indexes", tally.unequal_count),
    ):
        figure = Figure(
            name=f"recovery.{name}", title=title, unit=unit, values=[float(value)], is_better_higher=False, note=told
        )
        session.add(figure)
    for name, title in _TITLES.items():
        # Which processes are killed is drawn: of few kills none may be of a kind.
        if not tally.recovery_ms[name]:
            continue
        figure = Figure(
            name=f"recovery.{name}",
            title=title,
            unit="ms",
            values=tally.recovery_ms[name],
            is_better_higher=False,
            ceiling=_CEILINGS[name],
            ceiling_values=tally.ceiling_ms[name],
            is_judged_by_value=True,
        )
        session.add(figure)


class _Tally:
    """What the rounds found so far."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.recovery_ms: dict[str, list[float]] = defaultdict(list)
        """By figure."""
        self.ceiling_ms: dict[str, list[float]] = defaultdict(list)
        """By figure, of the same rounds."""
        self.acknowledged: dict[str, str] = {}
        """Record id → golden ID, of the data directory in use."""
        self.acknowledged_count = 0
        self.lost_count = 0
        self.unequal_count = 0
        self.event_count = 0


def _round(directory: Path, kind: str, run_up_s: float, name: str, tally: _Tally) -> int:
    """Write, kill, write on until a write is acknowledged, stop, and compare the index with a replay of the journal.

    Returns how many events the journal holds.
    """
    with running_server(directory, workers=READERS, start_s_max=data.START_S_MAX) as served:
        load = _Load(served, name)
        try:
            time.sleep(run_up_s)
            if kind == SERVICE:
                served.process.kill()
                served.process.wait()
            else:
                _kill(served, kind, load, tally)
        finally:
            load.stop()
        tally.acknowledged |= load.acknowledged
        if kind != SERVICE:
            served.process.send_signal(signal.SIGTERM)
            if served.stop() != 0:
                raise RuntimeError(f"the service did not stop well after the kill of a {kind}")
    if kind != SERVICE:
        # Once the service has ended: beside it the load would take longer.
        loaded = WRITER if kind == WRITER else REPLACED
        tally.ceiling_ms[loaded].append(loaded_s(f"{kind}_process") * 1000)
    report = verify(directory)
    tally.unequal_count += not report.is_equal
    return report.event_count


def _kill(served: RunningServer, kind: str, load: _Load, tally: _Tally) -> None:
    """Kill a process of the service; note how long it took until a write was acknowledged, and a reader replaced."""
    module = f"{kind}_process"
    if kind == READER:
        began_s = time.monotonic()
        load.mark()
        tally.ceiling_ms[READER].append(_first_ms(load, began_s))
    began_s = time.monotonic()
    killed = served.kill(module, 0)
    while killed in served.child_pids(module):
        time.sleep(POLL_S)
    load.mark()
    tally.recovery_ms[kind].append(_first_ms(load, began_s))
    if kind == READER:
        tally.recovery_ms[REPLACED].append(_replaced_ms(served, killed, began_s))


def _first_ms(load: _Load, since_s: float) -> float:
    """Return the milliseconds since then until a write is acknowledged that was sent after the mark."""
    while load.first_after_mark_s is None:
        if time.monotonic() - since_s > RECOVERY_S_MAX:
            raise RuntimeError("no write was acknowledged after a kill")
        time.sleep(POLL_S)
    return (load.first_after_mark_s - since_s) * 1000


def _replaced_ms(served: RunningServer, killed: int, since_s: float) -> float:
    """Return the milliseconds since then until all processes serve and none of them is the killed one."""
    while time.monotonic() - since_s < RECOVERY_S_MAX:
        state = read_state(served.data)
        if state is not None and all(each.is_serving and each.pid != killed for each in state.processes):
            return (time.monotonic() - since_s) * 1000
        time.sleep(POLL_S)
    raise RuntimeError("no reader served in the place of one that was killed")


class _Load:
    """Writers that retry each record under its request_id until it is acknowledged."""

    def __init__(self, served: RunningServer, name: str) -> None:
        self.acknowledged: dict[str, str] = {}
        self.first_after_mark_s: float | None = None
        self._served = served
        self._name = name
        self._marked_s = math.inf
        self._is_stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def mark(self) -> None:
        """Remember when a write is acknowledged that is sent from now on."""
        # In this order: whoever finds no first one sees the new mark.
        self._marked_s = time.monotonic()
        self.first_after_mark_s = None

    def stop(self) -> None:
        """End after the call in hand."""
        self._is_stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        dice = random.Random(f"{self._name}-{writer}")
        with self._served.channel() as channel:
            stub = RegistryServiceStub(channel)
            count = 0
            while not self._is_stopping.is_set():
                count += 1
                record = random_record(f"{self._name}-{writer}-{count}", dice)
                request = registry.UpsertRecordRequest(record=record, request_id=f"r-{record.key.record_id}")
                while not self._is_stopping.is_set():
                    # One sent before the kill may have been stored before it.
                    sent_s = time.monotonic()
                    try:
                        answer = stub.UpsertRecord(request, timeout=5)
                    except grpc.RpcError:
                        time.sleep(0.01)
                        continue
                    self.acknowledged[record.key.record_id] = answer.golden_id
                    if self.first_after_mark_s is None and sent_s >= self._marked_s:
                        self.first_after_mark_s = time.monotonic()
                    break


def random_record(record_id: str, dice: random.Random) -> common.SourceRecord:
    """Return a citizen of the hospital registry with a plausible name, birth date, personal ID and phone."""
    year, month, day = dice.randint(1940, 1999), dice.randint(1, 12), dice.randint(1, 28)
    name = f"{dice.choice(SURNAMES)} {dice.choice(GIVEN_NAMES)} {dice.choice(GIVEN_NAMES)}"
    personal_id = f"079{dice.randint(0, 1)}{year % 100:02}{dice.randint(0, 999_999):06}"
    identifier = common.Identifier(
        type=common.IDENTIFIER_TYPE_PERSONAL_ID, value=personal_id, assurance=common.ASSURANCE_SIGHTED
    )
    attributes = common.CitizenAttributes(
        full_name=name,
        birth_date=f"{year}-{month:02}-{day:02}",
        identifiers=[identifier],
        phones=[f"09{dice.randint(0, 99_999_999):08}"],
    )
    key = common.SourceKey(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id=record_id)
    return common.SourceRecord(key=key, attributes=common.Attributes(citizen=attributes))


def _lost(served: RunningServer, acknowledged: dict[str, str]) -> list[str]:
    """Return the acknowledged records that answer under nothing, or under an ID that theirs does not lead to."""
    lost: list[str] = []
    record_ids = list(acknowledged)
    with served.channel() as channel:
        for start in range(0, len(record_ids), BATCH):
            batch = record_ids[start : start + BATCH]
            request = lookup.BatchLookupRequest(
                registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_ids=batch
            )
            found = LookupServiceStub(channel).BatchLookup(request, timeout=60).golden_ids
            current = golden.BatchCurrentGoldenIdsRequest(golden_ids=[acknowledged[each] for each in batch])
            expected = GoldenRecordServiceStub(channel).BatchCurrentGoldenIds(current, timeout=60).surviving_golden_ids
            lost += [each for each, now, due in zip(batch, found, expected, strict=True) if not now or now != due]
    return lost
