"""Records a second through the load stream, keys a second through BatchLookup, calls a second through Lookup.

All of it over gRPC on loopback, with the callers on the same machine and cores as the service.
"""

from __future__ import annotations

import argparse
import queue
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from benchmarks.recovery import random_record
from mdm.limits import BATCH_LOOKUP_KEYS_MAX
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.lookup_service_pb2_grpc import LookupServiceStub
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from mdm_client import Client
from mdm_client.records import (
    Assurance,
    CitizenAttributes,
    EntityKind,
    Identifier,
    IdentifierType,
    SourceKey,
    SourceRecord,
)
from mdm_client.stewardship_results import ReviewAnswer
from tests.serving import RunningServer, running_server

MESSAGE_OPERATIONS = 64
MEASURE_S = 5.0
UNMERGED_RECORDS = 50
UNMERGES = 9


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this suite."""
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--later", action="store_true", help="load as pending, without resolving")


def run(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Return the figures; there is no promise to break."""
    dice = random.Random(7)
    records = [random_record(f"S{number:07}", dice) for number in range(options.records)]
    with (
        tempfile.TemporaryDirectory(prefix="mdm-serving-") as scratch,
        running_server(Path(scratch) / "data", workers=options.workers) as served,
    ):
        load_s = _load(served, records, is_later=options.later)
        keys_s, batch_ms = _batches(served, records)
        lookups = _calls(served, options.callers, _lookup_call(records))
        matches = _calls(served, options.callers, _match_call(records))
        unmerges_ms = _unmerges(served)
    result = {
        "suite": "serving",
        "records_count": len(records),
        "readers_count": options.workers,
        "callers_count": options.callers,
        "load_records_per_s": round(len(records) / load_s),
        "batch_lookup_keys_per_s": round(keys_s),
        "batch_lookup_ms_median": round(batch_ms, 2),
        "lookup": lookups,
        "match": matches,
        "unmerge_of_50_records_until_a_reader_answers_anew_ms": [round(each, 1) for each in unmerges_ms],
    }
    return result, True


def _load(served: RunningServer, records: list[common.SourceRecord], *, is_later: bool) -> float:
    credit: queue.SimpleQueue[int] = queue.SimpleQueue()
    resolve = common.RESOLVE_TIME_LATER if is_later else common.RESOLVE_TIME_NOW

    def requests() -> Iterator[registry.IngestRecordsRequest]:
        header = registry.IngestHeader(load_id="serving", feed="hospital.patients", resolve=resolve)
        yield registry.IngestRecordsRequest(header=header)
        available = credit.get()
        for start in range(0, len(records), MESSAGE_OPERATIONS):
            part = records[start : start + MESSAGE_OPERATIONS]
            while available < len(part):
                available += credit.get()
            available -= len(part)
            parts = [registry.IngestOperation(ordinal=start + n, upsert=each) for n, each in enumerate(part, start=1)]
            yield registry.IngestRecordsRequest(operations=registry.IngestOperations(operations=parts))
        yield registry.IngestRecordsRequest(end=registry.IngestEnd())

    count = 0
    with served.channel() as channel:
        started_s = time.perf_counter()
        for response in RegistryServiceStub(channel).IngestRecords(requests()):
            credit.put(response.accepted.credit_operation_count or response.acknowledgements.credit_operation_count)
            count += len(response.acknowledgements.outcomes)
        load_s = time.perf_counter() - started_s
    assert count == len(records)
    return load_s


def _batches(served: RunningServer, records: list[common.SourceRecord]) -> tuple[float, float]:
    dice = random.Random(8)
    record_ids = [dice.choice(records).key.record_id for _ in range(BATCH_LOOKUP_KEYS_MAX)]
    request = lookup.BatchLookupRequest(
        registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_ids=record_ids
    )
    seconds: list[float] = []
    with served.channel() as channel:
        stub = LookupServiceStub(channel)
        until_s = time.perf_counter() + MEASURE_S
        while time.perf_counter() < until_s:
            started_s = time.perf_counter()
            answer = stub.BatchLookup(request, timeout=60)
            seconds.append(time.perf_counter() - started_s)
            assert len(answer.golden_ids) == BATCH_LOOKUP_KEYS_MAX
    return BATCH_LOOKUP_KEYS_MAX * len(seconds) / sum(seconds), statistics.median(seconds) * 1000


def _lookup_call(records: list[common.SourceRecord]) -> Callable[[grpc.Channel, random.Random], object]:
    def call(channel: grpc.Channel, dice: random.Random) -> object:
        request = lookup.LookupRequest(key=dice.choice(records).key)
        return LookupServiceStub(channel).Lookup(request, timeout=5)

    return call


def _match_call(records: list[common.SourceRecord]) -> Callable[[grpc.Channel, random.Random], object]:
    def call(channel: grpc.Channel, dice: random.Random) -> object:
        request = match.MatchRequest(attributes=dice.choice(records).attributes)
        return MatchServiceStub(channel).Match(request, timeout=5)

    return call


def _calls(
    served: RunningServer, callers: int, call: Callable[[grpc.Channel, random.Random], object]
) -> dict[str, float]:
    seconds: list[float] = []

    def repeat(number: int) -> None:
        dice = random.Random(number)
        with served.channel() as channel:
            until_s = time.perf_counter() + MEASURE_S
            while time.perf_counter() < until_s:
                started_s = time.perf_counter()
                call(channel, dice)
                seconds.append(time.perf_counter() - started_s)

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(seconds, n=100)
    return {
        "calls_per_s": round(len(seconds) / MEASURE_S),
        "ms_p50": round(cuts[49] * 1000, 2),
        "ms_p99": round(cuts[98] * 1000, 2),
    }


def _unmerges(served: RunningServer) -> list[float]:
    """Merge two people of 25 records and time each unmerge, from the call until a reader answers anew."""
    people = {"T": ("Đoàn Quý Hợi", "079083000111"), "U": ("Lục Tiểu Phụng", "079091000222")}
    spent_ms = []
    with Client(served.address, actor="first") as first, Client(served.address, actor="second") as second:
        for letter, (name, personal_id) in people.items():
            for number in range(UNMERGED_RECORDS // 2):
                first.upsert(_seen(f"{letter}{number}", name, personal_id))
        left, right = (first.lookup("hospital", EntityKind.CITIZEN, f"{each}0").golden_id for each in people)
        for _ in range(UNMERGES):
            proposed = first.stewardship.merge(left, right, "one file")
            second.stewardship.resolve_review(proposed.review_id, ReviewAnswer.APPROVE, "one file")
            assert first.lookup("hospital", EntityKind.CITIZEN, "U0").golden_id == left
            started_s = time.perf_counter()
            first.stewardship.unmerge(right, "two people")
            while first.lookup("hospital", EntityKind.CITIZEN, "U0").golden_id != right:
                pass
            spent_ms.append((time.perf_counter() - started_s) * 1000)
    return spent_ms


def _seen(record_id: str, name: str, personal_id: str) -> SourceRecord:
    year = f"19{personal_id[4:6]}"
    attributes = CitizenAttributes(
        full_name=name,
        birth_date=f"{year}-05-17",
        identifiers=(Identifier(IdentifierType.PERSONAL_ID, personal_id, Assurance.SIGHTED),),
    )
    return SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, record_id), attributes)
