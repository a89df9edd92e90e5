"""Storing records that are resolved at once: by stream, one by one, and how soon an unmerge is seen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.ceilings.bare_server import OWN
from benchmarks.ceilings.started import bare_server
from benchmarks.figures import Cost, Figure, cost_of_work, median_cost
from benchmarks.load.generator import Server, Watch, lateness_of
from benchmarks.load.histogram import Histogram
from benchmarks.load.spec import Call
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from benchmarks.suites.desk import CALLS_PER_S_MAX
from benchmarks.suites.ingesting import Appends, Ingested, appends, ingest
from benchmarks.suites.profiles import resolves
from mdm_client import Client
from mdm_client.ingest import UNDER_WAY_MAX
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

STREAM_RECORDS_PER_S = 3_000
"""Records that a repeat prepares for each second of its length."""
OUTSTANDING_CALLS = 8
HALF = 0.5
PACED_MESSAGE_RECORDS = 8
UNMERGED_RECORDS = 50


def measure(session: Session) -> None:
    """Run the suite."""
    with session.deployment(is_writing=True) as service:
        rate = _streams(session, service)
        _paced(session, service, rate)
        _unary(session, service)
        _unmerges(session, service)


def _streams(session: Session, service: Deployment) -> float:
    runs: list[Ingested] = []
    costs: list[Cost] = []
    bare: list[Appends] = []
    count = max(round(STREAM_RECORDS_PER_S * session.options.measure_seconds), UNDER_WAY_MAX)
    for _ in session.repeats(f"a stream of {count:,} records"):
        records = [*asking.arrivals(session, count)]
        watch = Watch(service.server)
        runs.append(ingest(service.address, records))
        watch.end()
        costs.append(cost_of_work(watch, runs[-1].client_cpu_s, count))
        bare.append(appends(session, records, UNDER_WAY_MAX))
    title = f"IngestRecords, resolved at once, {UNDER_WAY_MAX} under way"
    figure = Figure(
        name="resolve.ingest.rate",
        title=title,
        unit="records/s",
        values=[run.rate_per_s for run in runs],
        ceiling=f"durable appends of the same records to SQLite, {UNDER_WAY_MAX} a transaction",
        ceiling_values=[each.records_per_s for each in bare],
        is_judged_by_value=True,
        cost=median_cost(costs),
        note="half of the records are of somebody known",
    )
    session.add(figure)
    title = f"{title}: p99 of an acknowledgement"
    _acknowledgements(session, "resolve.ingest.acknowledgement_p99", title, runs, UNDER_WAY_MAX, bare)
    session.result.latencies["Acknowledgement of a stream at full rate"] = Histogram.merged(run.latency for run in runs)
    return figure.spread.median


def _paced(session: Session, service: Deployment, full_rate: float) -> None:
    rate = full_rate * HALF
    count = max(round(rate * session.options.measure_seconds), 64)
    runs, bare = [], []
    for _ in session.repeats(f"a stream at {rate:,.0f} records a second"):
        records = [*asking.arrivals(session, count)]
        runs.append(
            ingest(
                service.address,
                records,
                outstanding_max=8 * UNDER_WAY_MAX,
                rate_per_s=rate,
                message_operations=PACED_MESSAGE_RECORDS,
            )
        )
        bare.append(appends(session, records, PACED_MESSAGE_RECORDS))
    title = "IngestRecords at half of that rate: p99 of an acknowledgement"
    name = "resolve.ingest.half_load_acknowledgement_p99"
    _acknowledgements(session, name, title, runs, PACED_MESSAGE_RECORDS, bare)
    session.result.latencies["Acknowledgement of a stream at half rate"] = Histogram.merged(run.latency for run in runs)


def _acknowledgements(
    session: Session, name: str, title: str, runs: Sequence[Ingested], group: int, bare: Sequence[Appends]
) -> None:
    late = [reason for run in runs if (reason := lateness_of(run.lateness, run.latency))]
    if len(late) * 2 > len(runs):
        session.note(f"{title}: not the service but the client: {late[0]}")
    values = [run.latency.quantile_ms(0.99) for run in runs]
    figure = Figure(
        name=name,
        title=title,
        unit="ms",
        values=values,
        is_better_higher=False,
        ceiling=f"p99 of a durable append of {group} records to SQLite",
        ceiling_values=[each.p99_ms for each in bare],
        is_judged_by_value=True,
    )
    session.add(figure)


def _unary(session: Session, service: Deployment) -> None:
    seconds = session.options.warm_up_seconds + session.options.measure_seconds
    ready = asking.answered(service.server, resolves(session, asking.ANSWERS_ASKED))
    with bare_server({asking.RESOLVE: ready}, session.options.readers, OWN) as own:

        def calls(server: Server) -> Sequence[Call]:
            rate_max = CALLS_PER_S_MAX if server is own else STREAM_RECORDS_PER_S
            return [resolves(session, round(rate_max * seconds))]

        servers = (service.server, own)
        runs, owns = session.in_turns("unary resolves, closed loop", servers, calls, OUTSTANDING_CALLS)
        figure = session.add_rate(
            "resolve.unary.rate", "Resolve, find or create", runs, ceiling=asking.READY_ANSWER, ceiling_runs=owns
        )
        figure.is_judged_by_value = True
        rate = figure.spread.median * HALF
        runs, owns = [], []
        for number in session.repeats(f"unary resolves, {rate:,.0f} a second"):
            fresh = [resolves(session, round(2 * rate * seconds) + 20)]
            runs.append(session.open(service.server, fresh, rate, number))
            owns.append(session.open(own, fresh, rate, number))
    session.add_latency(
        "resolve.unary.half_load_p99",
        "Resolve, find or create, p99 at half load",
        runs,
        0.99,
        ceiling=f"{asking.READY_ANSWER}, at the same rate",
        ceiling_runs=owns,
    ).is_judged_by_value = True
    session.add_distribution("Resolve at half load", runs)


def _unmerges(session: Session, service: Deployment) -> None:
    """Merge two people of 25 records and time each unmerge, from the call until a reader answers anew."""
    people = {"T": ("Đoàn Quý Hợi", "079083000111"), "U": ("Lục Tiểu Phụng", "079091000222")}
    spent_ms, bare = [], []
    stored = [*asking.arrivals(session, UNMERGED_RECORDS)]
    batch = f"unmerged-{session.options.seed}-{session.batch()}"
    with Client(service.address, actor="first") as first, Client(service.address, actor="second") as second:
        for letter, (name, personal_id) in people.items():
            for number in range(UNMERGED_RECORDS // 2):
                first.upsert(_seen(f"{batch}-{letter}{number}", name, personal_id))
        left, right = (first.lookup("hospital", EntityKind.CITIZEN, f"{batch}-{each}0").golden_id for each in people)
        for _ in session.repeats(f"unmerge of {UNMERGED_RECORDS} records"):
            proposed = first.stewardship.merge(left, right, "one file")
            second.stewardship.resolve_review(proposed.review_id, ReviewAnswer.APPROVE, "one file")
            assert first.lookup("hospital", EntityKind.CITIZEN, f"{batch}-U0").golden_id == left
            started_s = time.perf_counter()
            first.stewardship.unmerge(right, "two people")
            while first.lookup("hospital", EntityKind.CITIZEN, f"{batch}-U0").golden_id != right:
                pass
            spent_ms.append((time.perf_counter() - started_s) * 1000)
            bare.append(appends(session, stored, 1).median_ms)
    figure = Figure(
        name="resolve.unmerge",
        title=f"Unmerge of {UNMERGED_RECORDS} records, until a reader answers anew",
        unit="ms",
        values=spent_ms,
        is_better_higher=False,
        ceiling="a durable append of one record to SQLite",
        ceiling_values=bare,
        is_judged_by_value=True,
    )
    session.add(figure)


def _seen(record_id: str, name: str, personal_id: str) -> SourceRecord:
    year = f"19{personal_id[4:6]}"
    attributes = CitizenAttributes(
        full_name=name,
        birth_date=f"{year}-05-17",
        identifiers=(Identifier(IdentifierType.PERSONAL_ID, personal_id, Assurance.SIGHTED),),
    )
    return SourceRecord(SourceKey("hospital", EntityKind.CITIZEN, record_id), attributes)
