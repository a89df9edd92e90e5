"""Matches: who is this? One by one and in batches, against all records, beside Splink's own online calls."""

from __future__ import annotations

import statistics

import pyarrow.parquet as pq

from benchmarks.ceilings.bare_server import OWN
from benchmarks.ceilings.started import bare_server, told_by
from benchmarks.figures import Figure
from benchmarks.load.generator import Measured, Server
from benchmarks.load.spec import Call
from benchmarks.quality.peers.rows import plain_rows
from benchmarks.session import Deployment, Session
from benchmarks.suites import asking
from benchmarks.suites.ingesting import ingest
from mdm.domain.keys import EntityKind
from mdm.v1 import common_pb2 as common

OUTSTANDING = 8
BATCH_SIZE = 100
BATCH_OUTSTANDING = 2
HALF = 0.5
SPLINK_ROWS = 100_000
SPLINK_CALLS = 10
HOT_NAME, HOT_BIRTH_DATE = "Nguyễn Văn A", "01/01/1980"
HOT_RECORDS_SHARE = 1 / 9
"""Of the citizens: 50,000 of 450,000."""


def measure(session: Session) -> None:
    """Run the suite."""
    attributes = asking.matched_attributes(session)
    match, batch = asking.matches(session, attributes), asking.batch_matches(session, attributes, BATCH_SIZE)
    with session.deployment() as service:
        answers = {call.method: asking.answered(service.server, call) for call in (match, batch)}
        with bare_server(answers, session.options.readers, OWN) as own:
            _unary(session, service.server, own, match)
            _batches(session, service.server, own, batch)
    if not session.options.server:
        with session.deployment(is_writing=True) as service:
            _hot(session, service, attributes)


def _unary(session: Session, service: Server, own: Server, call: Call) -> None:
    runs, owns = session.in_turns("unary matches, closed loop", (service, own), lambda _: [call], OUTSTANDING)
    figure = session.add_rate("match.unary.rate", "Match, unary", runs, ceiling=asking.READY_ANSWER, ceiling_runs=owns)
    figure.is_judged_by_value = True
    rate = figure.spread.median * HALF
    session.add_per_core("match.unary.rate_per_core", "Match, unary, a core", runs, unit="calls/s a core")
    rows = session.scratch / "splink.parquet"
    records = session.city.records(asking.RESIDENTS, SPLINK_ROWS)
    pq.write_table(plain_rows(EntityKind.CITIZEN, records), rows)
    runs, owns, splink = [], [], []
    for number in session.repeats(f"unary matches, {rate:,.0f} a second; Splink's calls on {len(records):,} rows"):
        runs.append(session.open(service, [call], rate, number))
        owns.append(session.open(own, [call], rate, number))
        splink.append(told_by("ceilings.splink_online", rows, SPLINK_CALLS))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        session.add_latency(
            f"match.unary.half_load_{name}",
            f"Match, unary, {name} at half load",
            runs,
            share,
            ceiling=f"{asking.READY_ANSWER}, at the same rate",
            ceiling_runs=owns,
        ).is_judged_by_value = True
    session.add_distribution("Match at half load", runs)
    for name, title, key in (
        ("match.unary.speedup", "compare_records, SQL cached, 1 record with 50", "cached_ms"),
        ("match.unary.speedup_to_predict", "predict_between, 1 record with all", "predict_ms"),
    ):
        theirs = [statistics.median(told[key]) for told in splink]
        session.add(
            Figure(
                name=name,
                title=f"Match at half load, beside Splink's {title}",
                unit="× as fast",
                values=[each / run.latency.quantile_ms(0.5) for each, run in zip(theirs, runs, strict=True)],
                note=f"Splink took {statistics.median(theirs):.1f} ms a call on {len(records):,} rows, "
                f"{SPLINK_CALLS} calls in each repeat",
            )
        )


def _batches(session: Session, service: Server, own: Server, call: Call) -> None:
    servers = (service, own)
    runs, owns = session.in_turns(f"batches of {BATCH_SIZE} matches", servers, lambda _: [call], BATCH_OUTSTANDING)
    title = f"BatchMatch, {BATCH_SIZE} records"
    session.add_rate(
        "match.batch.rate",
        title,
        runs,
        unit="records/s",
        operations=BATCH_SIZE,
        ceiling=asking.READY_ANSWER,
        ceiling_runs=owns,
    ).is_judged_by_value = True
    session.add_per_core(
        "match.batch.rate_per_core", f"{title}, a core", runs, unit="records/s a core", operations=BATCH_SIZE
    )


def _hot(session: Session, service: Deployment, attributes: list[common.Attributes]) -> None:
    count = max(round(session.city.citizens * HOT_RECORDS_SHARE), 50)
    session.say(f"storing {HOT_NAME}, {HOT_BIRTH_DATE} {count:,} times")
    ingest(service.address, [_hot_record(number) for number in range(count)], outstanding_max=512)
    hot = common.Attributes(citizen=common.CitizenAttributes(full_name=HOT_NAME, birth_date=HOT_BIRTH_DATE))
    calls = [asking.matches(session, attributes)]
    hot_calls = [asking.matches(session, [hot], name="hot_match")]
    # The one question asked again and again stays in the caches: where memory is slow, everybody else is the slower.
    rate = min(session.closed(service.server, each, OUTSTANDING).rate_per_s for each in (hot_calls, calls)) * HALF
    runs: list[Measured] = []
    normal: list[Measured] = []
    for number in session.repeats(f"matches of a hot key, {rate:,.0f} a second"):
        runs.append(session.open(service.server, hot_calls, rate, number))
        normal.append(session.open(service.server, calls, rate, number))
    title = f"Match of {HOT_NAME}, {HOT_BIRTH_DATE}, borne by {count:,}, p99"
    figure = session.add_latency(
        "match.hot.p99", title, runs, 0.99, ceiling="everybody at the same rate", ceiling_runs=normal
    )
    figure.is_judged_by_value = True
    figure.note = f"{rate:,.0f} a second, half of what the slower of both is answered at"
    session.check(title, runs)
    session.check("Match of everybody at that rate", normal)


def _hot_record(number: int) -> common.SourceRecord:
    key = common.SourceKey(registry="hospital", entity_kind=common.ENTITY_KIND_CITIZEN, record_id=f"hot-{number}")
    citizen = common.CitizenAttributes(full_name=HOT_NAME, birth_date=HOT_BIRTH_DATE, phones=[f"09{number:08}"])
    return common.SourceRecord(key=key, attributes=common.Attributes(citizen=citizen))
