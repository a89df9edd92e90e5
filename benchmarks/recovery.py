"""Kill -9 of writer, reader or the whole service at random moments under load: what is lost, and how soon it answers.

Each round starts the service on the same data directory, writes, kills, waits until it answers again, stops it, and
compares the index with a replay of the journal. At the end every acknowledged write is looked up.
"""

from __future__ import annotations

import argparse
import collections
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import grpc

from mdm.resolve.projection import verify
from mdm.v1 import common_pb2 as common
from mdm.v1 import golden_record_service_pb2 as golden
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.golden_record_service_pb2_grpc import GoldenRecordServiceStub
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.serving import RunningServer, running_server

WRITERS = 4
RUN_UP_S = (0.05, 0.6)
RECOVERY_S_MAX = 60.0
BATCH = 5_000
# A replay after each round costs more the longer the journal is.
ROUNDS_PER_DIRECTORY = 20
SURNAMES = ("Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Võ", "Đặng", "Bùi")
GIVEN_NAMES = ("An", "Bình", "Châu", "Dung", "Giang", "Hạnh", "Khoa", "Linh", "Minh", "Ngọc", "Phúc", "Quân")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this suite."""
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Return the counts, and whether nothing was lost and every index was the fold of its journal."""
    dice = random.Random(options.seed)
    tally = _Tally()
    for first in range(0, options.kills, ROUNDS_PER_DIRECTORY):
        with tempfile.TemporaryDirectory(prefix="mdm-recovery-") as scratch:
            _rounds(Path(scratch) / "data", range(first, min(options.kills, first + ROUNDS_PER_DIRECTORY)), dice, tally)
    result = {
        "suite": "recovery",
        "seed": options.seed,
        "kills": options.kills,
        "kills_by_target": dict(tally.kinds),
        "acknowledged_writes_count": tally.acknowledged_count,
        "acknowledged_writes_lost_count": tally.lost_count,
        "index_equals_replay": f"{tally.equal_count} of {options.kills}",
        "journal_events_count": tally.event_count,
        "first_write_after_kill_ms": {
            kind: {"median": round(statistics.median(found) * 1000), "max": round(max(found) * 1000)}
            for kind, found in tally.recovery_s.items()
        },
    }
    return result, tally.lost_count == 0 and tally.equal_count == options.kills


class _Tally:
    """What the rounds found so far."""

    def __init__(self) -> None:
        self.kinds: collections.Counter[str] = collections.Counter()
        self.recovery_s: dict[str, list[float]] = collections.defaultdict(list)
        self.acknowledged_count = 0
        self.lost_count = 0
        self.equal_count = 0
        self.event_count = 0


def _rounds(data: Path, numbers: range, dice: random.Random, tally: _Tally) -> None:
    """Kill once in each round on one data directory, and look everything up at the end."""
    acknowledged: dict[str, str] = {}
    event_count = 0
    for number in numbers:
        kind = dice.choice(("writer_process", "reader_process", "service"))
        tally.kinds[kind] += 1
        with running_server(data, workers=2) as served:
            seconds = _round(served, kind, dice.uniform(*RUN_UP_S), f"{number}", acknowledged)
        if seconds is not None:
            tally.recovery_s[kind].append(seconds)
        report = verify(data)
        tally.equal_count += report.is_equal
        event_count = report.event_count
        print(f"{number + 1} {kind} acknowledged={len(acknowledged)} equal={report.is_equal}", file=sys.stderr)
    with running_server(data, workers=1) as served:
        tally.lost_count += len(_lost(served, acknowledged))
    tally.acknowledged_count += len(acknowledged)
    tally.event_count += event_count


def _round(served: RunningServer, kind: str, run_up_s: float, name: str, acknowledged: dict[str, str]) -> float | None:
    """Write, kill and write on; return the seconds from the kill to the next acknowledged write."""
    load = _Load(served, name)
    time.sleep(run_up_s)
    before = time.monotonic()
    if kind == "service":
        served.process.kill()
        served.process.wait()
        load.stop()
        acknowledged.update(load.acknowledged)
        return None
    killed = served.kill(kind, 0)
    while killed in served.child_pids(kind):
        time.sleep(0.005)
    load.mark()
    while load.first_after_mark_s is None:
        assert time.monotonic() - before < RECOVERY_S_MAX, "no write was acknowledged after a kill"
        time.sleep(0.005)
    load.stop()
    acknowledged.update(load.acknowledged)
    served.process.send_signal(signal.SIGTERM)
    assert served.stop() == 0
    return load.first_after_mark_s - before


class _Load:
    """Writers that retry each record under its request_id until it is acknowledged."""

    def __init__(self, served: RunningServer, name: str) -> None:
        self.acknowledged: dict[str, str] = {}
        self.first_after_mark_s: float | None = None
        self._served = served
        self._name = name
        self._is_marked = False
        self._is_stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def mark(self) -> None:
        """Remember when the next write is acknowledged."""
        self._is_marked = True

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
                    try:
                        answer = stub.UpsertRecord(request, timeout=5)
                    except grpc.RpcError:
                        time.sleep(0.01)
                        continue
                    self.acknowledged[record.key.record_id] = answer.golden_id
                    if self._is_marked and self.first_after_mark_s is None:
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
