"""Lookups: one by one, in batches, by identifier; beside an empty handler, a ready answer, and a loop of LMDB gets."""

from __future__ import annotations

from statistics import median

import msgspec

from benchmarks.ceilings.bare_server import OWN
from benchmarks.ceilings.started import bare_server, told_by
from benchmarks.figures import Curve, Figure
from benchmarks.load.generator import Measured, Server
from benchmarks.load.spec import Call
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from mdm.domain.keys import SourceKey
from mdm.store.layout import source_key_bytes
from mdm.v1 import common_pb2 as common
from mdm.v1 import lookup_service_pb2 as lookup

OUTSTANDING = 16
"""Closed loop: twice as many calls under way as a reader has threads, so that none ever waits for work."""
CONCURRENCIES = (1, 4, 16, 64)
BATCH_KEYS = 1_000
BATCH_OUTSTANDING = 2
HALF = 0.5
SDK_CALLERS = 256

_UNARY_ANSWER = lookup.LookupResponse(
    status=common.RECORD_STATUS_FOUND, golden_id="C-0000-0000-0000-0", read_at=common.JournalToken(value="0" * 40)
).SerializeToString()
_BATCH_ANSWER = lookup.BatchLookupResponse(
    golden_ids=["C-0000-0000-0000-0"] * BATCH_KEYS,
    statuses=[common.RECORD_STATUS_FOUND] * BATCH_KEYS,
    read_at=common.JournalToken(value="0" * 40),
).SerializeToString()
EMPTY_HANDLER = "empty handler on a bare gRPC server"


def measure(session: Session) -> None:
    """Run the suite."""
    readers, by_identifier = session.options.readers, asking.identifier_lookups(session)
    with session.deployment() as service:
        answers = {
            asking.LOOKUP: _UNARY_ANSWER,
            asking.BATCH_LOOKUP: _BATCH_ANSWER,
            asking.LOOKUP_BY_IDENTIFIER: asking.answered(service.server, by_identifier),
        }
        with bare_server(answers, readers) as bare, bare_server(answers, readers, OWN) as own:
            _unary(session, service.server, bare, own)
            _batches(session, service, bare)
            _identifiers(session, service.server, own, by_identifier)
            _callers(session, service.server)


def _unary(session: Session, service: Server, bare: Server, own: Server) -> None:
    calls = [asking.lookups(session)]
    servers = (service, bare, own)
    runs, ceilings, owns = session.in_turns("unary lookups, closed loop", servers, lambda _: calls, OUTSTANDING)
    title = "Lookup, unary, beside our own stack"
    session.add_rate(
        "lookup.unary.rate_to_own_stack", title, runs, ceiling="an empty handler on our own stack", ceiling_runs=owns
    ).is_judged_by_value = True
    figure = session.add_rate("lookup.unary.rate", "Lookup, unary", runs, ceiling=EMPTY_HANDLER, ceiling_runs=ceilings)
    # Each at half of its own: the slower would else queue, or the faster be idle.
    rate, bare_rate = (spread.median * HALF for spread in (figure.spread, figure.ceiling_spread))
    runs, ceilings = [], []
    for number in session.repeats(f"unary lookups, {rate:,.0f} a second; the empty handler, {bare_rate:,.0f}"):
        runs.append(session.open(service, calls, rate, number))
        ceilings.append(session.open(bare, calls, bare_rate, number))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        title = f"Lookup, unary, {name} at half load"
        session.add_latency(
            f"lookup.unary.half_load_{name}",
            title,
            runs,
            share,
            ceiling=f"{EMPTY_HANDLER}, at half of its load",
            ceiling_runs=ceilings,
        )
    session.add_distribution("Lookup at half load", runs)
    session.add_distribution("Empty handler at half of its load", ceilings)
    points = []
    for outstanding in CONCURRENCIES:
        title = f"unary lookups, {outstanding} under way"
        (runs,) = session.in_turns(title, (service,), lambda _: calls, outstanding)
        points.append((float(outstanding), median(run.rate_per_s for run in runs)))
    session.result.curves.append(
        Curve(
            title="Lookup: throughput against concurrency",
            x_title="calls under way",
            y_title="calls/s",
            points=points,
            is_logarithmic=True,
        )
    )


def _batches(session: Session, service: Deployment, bare: Server) -> None:
    calls = [asking.batch_lookups(session, BATCH_KEYS)]
    runs: list[Measured] = []
    replies: list[Measured] = []
    gets: list[dict[str, float]] = []
    for number in session.repeats(f"batches of {BATCH_KEYS:,} keys"):
        runs.append(session.closed(service.server, calls, BATCH_OUTSTANDING, number))
        replies.append(session.closed(bare, calls, BATCH_OUTSTANDING, number))
        if service.running is not None:
            gets.append(_gets(session, service))
    title = f"BatchLookup, {BATCH_KEYS:,} keys"
    figure = session.add_rate("lookup.batch.rate", title, runs, unit="keys/s", operations=BATCH_KEYS)
    session.add_per_core(
        "lookup.batch.rate_per_core", f"{title}, a core", runs, unit="keys/s a core", operations=BATCH_KEYS
    )
    session.add_rate(
        "lookup.batch.rate_to_reply",
        f"{title}, beside a ready answer",
        runs,
        unit="keys/s",
        operations=BATCH_KEYS,
        ceiling="an answer of the same size without lookups",
        ceiling_runs=replies,
    )
    if gets:
        session.add(
            Figure(
                name="lookup.batch.rate_to_gets",
                title=f"{title}, beside LMDB",
                unit="keys/s",
                values=figure.values,
                ceiling="a bare Python loop of LMDB gets",
                ceiling_values=[each["keys_per_s"] for each in gets],
                ceiling_cpu_us=sorted(each["cpu_us"] for each in gets)[len(gets) // 2],
                cost=figure.cost,
            )
        )


def _gets(session: Session, service: Deployment) -> dict[str, float]:
    file = session.scratch / "keys.requests"
    if not file.exists():
        records = session.city.records(asking.PATIENTS, asking.REQUESTS)
        keys = (SourceKey(each.key.registry, each.key.kind, each.key.record_id) for each in records)
        session.requests("keys", (source_key_bytes(key) for key in keys))
    return told_by("ceilings.lmdb_gets", service.data, file, BATCH_KEYS, session.options.measure_seconds)


def _identifiers(session: Session, service: Server, own: Server, call: Call) -> None:
    title = "lookups by identifier, closed loop"
    runs, owns = session.in_turns(title, (service, own), lambda _: [call], OUTSTANDING)
    session.add_rate(
        "lookup.identifier.rate", "LookupByIdentifier", runs, ceiling=asking.READY_ANSWER, ceiling_runs=owns
    ).is_judged_by_value = True


def _callers(session: Session, service: Server) -> None:
    """Measure many callers of one SDK client, beside unary lookups."""
    calls = asking.lookups(session)
    unary: list[Measured] = []
    ways = {"threads": "", "tasks": ".tasks"}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in session.repeats(f"{SDK_CALLERS} callers of the SDK"):
        unary.append(session.closed(service, [calls], OUTSTANDING, number))
        for way, told in found.items():
            told.append(
                told_by(
                    "load.callers",
                    service.address,
                    calls.requests,
                    way,
                    SDK_CALLERS,
                    session.options.measure_seconds,
                    msgspec.json.encode(service.encryption).decode(),
                )
            )
    session.check("Lookup, unary, beside callers of the SDK", unary)
    for way, suffix in ways.items():
        session.add(
            Figure(
                name=f"lookup.coalesced{suffix}.rate",
                title=f"SDK, {SDK_CALLERS} {way} that look up one key at a time",
                unit="answers/s",
                values=[each["answers_per_s"] for each in found[way]],
                ceiling="the rate of unary lookups",
                ceiling_values=[run.rate_per_s for run in unary],
                is_judged_by_value=True,
                note=f"{median(each['cpu_us'] for each in found[way]):.1f} µs of the client's CPU each",
            )
        )
